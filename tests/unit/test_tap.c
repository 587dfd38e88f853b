/* SPDX-License-Identifier: Apache-2.0 */
/* Tap interfaces of this machine, made and removed by the tests; skipped where it may not. */
#include "devices/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static char ifname[IFNAMSIZ]; /* of this process alone */

/* ---- system calls that fail ------------------------------------------------------ */

static struct {
	unsigned call; /* the n-th one from now on fails; 0: none */
	int error;
	unsigned offloads; /* TUN_F_* that the kernel does not know */
	bool memory;
} fail;

static bool fails(void)
{
	if (fail.call == 0 || --fail.call > 0)
		return false;
	errno = fail.error;
	return true;
}

int __real_ioctl(int fd, unsigned long what, void *arg);
int __wrap_ioctl(int fd, unsigned long what, void *arg);
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, mode_t mode);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

int __wrap_ioctl(int fd, unsigned long what, void *arg)
{
	if (what == TUNSETOFFLOAD && ((uintptr_t)arg & fail.offloads)) {
		errno = EINVAL;
		return -1;
	}
	return fails() ? -1 : __real_ioctl(fd, what, arg);
}

int __wrap_open(const char *path, int flags, mode_t mode)
{
	return fails() ? -1 : __real_open(path, flags, mode);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fail.memory ? NULL : __real_calloc(n, size);
}

/* ---- interfaces ------------------------------------------------------------------ */

static bool exists(const char *name)
{
	return if_nametoindex(name) != 0;
}

/* Open the interface of this test, or skip it. */
static struct tap *open_or_skip(unsigned queues)
{
	struct tap *t = NULL;
	struct err e;
	int rc = tap_open(&t, ifname, queues, &e);

	if (rc == -EPERM || rc == -EACCES || rc == -ENOENT || rc == -ENODEV) {
		print_message("no taps here: %s\n", e.text);
		skip();
	}
	assert_int_equal(rc, 0);
	return t;
}

/* The interface stays without us, or not. */
static void persist(const struct tap *t, bool on)
{
	assert_int_equal(ioctl(t->fds[0], TUNSETPERSIST, (unsigned long)on), 0);
}

static void a_missing_interface_is_made_and_lives_as_long_as_it_is_open(void **state)
{
	struct tap *t = open_or_skip(1);

	assert_true(exists(ifname));
	assert_int_equal(t->n_queues, 1);
	assert_int_equal(t->attached, 1);
	tap_close(t);
	assert_false(exists(ifname));
}

static void an_existing_interface_stays(void **state)
{
	struct tap *t = open_or_skip(1);

	persist(t, true);
	tap_close(t);
	assert_true(exists(ifname));
	t = open_or_skip(1);
	persist(t, false);
	tap_close(t);
	assert_false(exists(ifname));
}

static void queues_are_as_many_as_interface_and_caller_allow(void **state)
{
	static const struct {
		unsigned made_with, queues, expect;
	} cases[] = {
		{ 1, 0, 1 }, /* one is the least */
		{ 1, 1, 1 },
		{ 1, TAP_QUEUES_MAX, 1 },
		{ 2, 1, 1 },
		{ 2, 2, 2 },
		{ 2, 3, 3 },
		{ 2, TAP_QUEUES_MAX, TAP_QUEUES_MAX },
		{ 2, 1000, TAP_QUEUES_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tap *t = open_or_skip(cases[i].made_with);

		persist(t, true);
		tap_close(t);
		t = open_or_skip(cases[i].queues);
		assert_int_equal(t->n_queues, cases[i].expect);
		persist(t, false);
		tap_close(t);
	}
}

static void what_cannot_be_opened_is_named(void **state)
{
	struct tap *t = open_or_skip(1), *second = NULL;
	const struct {
		const char *name;
		int rc;
		const char *text;
	} cases[] = {
		{ "", -EINVAL, "tap : the name has no or too many characters" },
		{ "sixteen-letters-", -EINVAL,
		  "tap sixteen-letters-: the name has no or too many characters" },
		{ "lo", -EINVAL, "tap lo: cannot be opened: not a tap interface" },
		{ "a/b", -EINVAL, "tap a/b: cannot be opened: not a tap interface" },
		{ ifname, -EBUSY, "in use by another process" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { 0 };

		assert_int_equal(tap_open(&second, cases[i].name, 1, &e), cases[i].rc);
		assert_non_null(strstr(e.text, cases[i].text));
		assert_null(second);
	}
	tap_close(t);
}

static void descriptors_do_not_block_and_are_not_inherited(void **state)
{
	struct tap *t = open_or_skip(2);
	char byte;

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(read(t->fds[i], &byte, 1), -1);
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(fcntl(t->fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	}
	tap_close(t);
}

static void offloads_are_what_the_kernel_takes(void **state)
{
	struct tap *t = open_or_skip(1);

	/* Every kernel with io_uring takes these. */
	assert_int_equal(t->offload_csum, 1);
	assert_int_equal(t->offload_tso4, 1);
	assert_int_equal(t->offload_tso6, 1);
	assert_int_equal(
		tap_set_offloads(t, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN), 0);
	assert_int_equal(tap_set_offloads(t, TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6),
			 t->offload_uso ? 0 : -EINVAL);
	assert_int_equal(tap_set_offloads(t, 0x8000), -EINVAL);
	assert_int_equal(tap_set_offloads(t, 0), 0);
	tap_close(t);
}

static void the_header_has_the_length_that_was_set(void **state)
{
	struct tap *t = open_or_skip(1);
	int bytes = 0;

	assert_int_equal(tap_set_header(t, 12), 0);
	assert_int_equal(ioctl(t->fds[0], TUNGETVNETHDRSZ, &bytes), 0);
	assert_int_equal(bytes, 12);
	assert_int_equal(tap_set_header(t, 2), -EINVAL);
	tap_close(t);
}

/* A UDP packet of one of many flows, to whoever is behind the interface. */
static void send_flow(int fd, uint16_t port)
{
	const struct sockaddr_ll to = { .sll_family = AF_PACKET,
					.sll_ifindex = (int)if_nametoindex(ifname) };
	uint8_t frame[60] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0,  0,	   0, 1,
		0x08, 0x00, /* Ethernet */
		0x45, 0,    0,	  46,	0,    0,    0, 0, 64, IPPROTO_UDP, 0, 0, /* IPv4 */
		10,   0,    0,	  1,	10,   0,    0, 2,
	};

	frame[34] = (uint8_t)(port >> 8);
	frame[35] = (uint8_t)port;
	frame[37] = 9;
	frame[39] = 26;
	assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (const struct sockaddr *)&to,
				sizeof(to)),
			 sizeof(frame));
}

/* How many packets of those flows the first `n` queues got, all together. */
static unsigned drain(const struct tap *t, unsigned n)
{
	unsigned got = 0;
	uint8_t buf[2048];
	ssize_t len;

	for (unsigned q = 0; q < n; q++)
		while ((len = read(t->fds[q], buf, sizeof(buf))) > 0)
			got += len == 10 + 60 && buf[10 + 12] == 0x08 && buf[10 + 13] == 0;
	return got;
}

static void link_up(void)
{
	struct ifreq req = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(req.ifr_name, ifname, sizeof(ifname));
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &req), 0);
	req.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &req), 0);
	(void)close(fd);
}

#define FLOWS 256

static void packets_come_to_attached_queues_only(void **state)
{
	static const unsigned sets[] = { 1, 3, 2, TAP_QUEUES_MAX, TAP_QUEUES_MAX, 1 };
	struct tap *t = open_or_skip(TAP_QUEUES_MAX);
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	if (fd < 0) {
		tap_close(t);
		print_message("no packet sockets here: %s\n", strerror(errno));
		skip();
	}
	link_up();
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
		assert_int_equal(tap_set_queues(t, sets[i]), 0);
		assert_int_equal(t->attached, sets[i]);
		for (uint16_t port = 0; port < FLOWS; port++)
			send_flow(fd, port);
		/* The last one of them has its share. */
		if (sets[i] > 1)
			assert_in_range(drain(t, sets[i] - 1), 1, FLOWS - 1);
		assert_in_range(drain(t, sets[i]), 1, FLOWS);
		assert_int_equal(drain(t, TAP_QUEUES_MAX), 0);
	}
	(void)close(fd);
	tap_close(t);
}

static void a_kernel_may_lack_offloads(void **state)
{
	static const struct {
		unsigned lacks;
		unsigned csum, tso4, tso6, ufo, uso;
	} cases[] = {
		{ TUN_F_CSUM, 0, 0, 0, 0, 0 }, { TUN_F_TSO4, 1, 0, 1, 1, 0 },
		{ TUN_F_TSO6, 1, 1, 0, 1, 0 }, { TUN_F_UFO, 1, 1, 1, 0, 0 },
		{ TUN_F_USO4, 1, 1, 1, 1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tap *t;

		/* USO is new, so that not every kernel can be asked for it. */
		fail.offloads = cases[i].lacks | TUN_F_USO4;
		t = open_or_skip(1);
		fail.offloads = 0;
		assert_int_equal(t->offload_csum, cases[i].csum);
		assert_int_equal(t->offload_tso4, cases[i].tso4);
		assert_int_equal(t->offload_tso6, cases[i].tso6);
		assert_int_equal(t->offload_ufo, cases[i].ufo);
		assert_int_equal(t->offload_uso, cases[i].uso);
		tap_close(t);
	}
}

/* Every system call fails once; only those that ask may. */
static void failures_leave_nothing_behind(void **state)
{
	struct tap *t = open_or_skip(TAP_QUEUES_MAX);
	unsigned failed = 0;
	bool all;

	tap_close(t);
	for (unsigned call = 1;; call++) {
		struct err e = { 0 };
		int rc, fd = dup(0);

		t = NULL;
		fail.call = call;
		fail.error = ENOSPC;
		rc = tap_open(&t, ifname, TAP_QUEUES_MAX, &e);
		all = fail.call > 0;
		fail.call = 0;
		if (rc < 0) {
			assert_int_equal(rc, -ENOSPC);
			assert_null(t);
			assert_non_null(strstr(e.text, "No space left on device"));
			failed++;
		}
		tap_close(t);
		assert_false(exists(ifname));
		(void)close(fd);
		/* The same number is free again. */
		assert_int_equal(dup(0), fd);
		(void)close(fd);
		if (all)
			break;
	}
	/* open and TUNSETIFF of each queue, and the last TUNSETOFFLOAD. */
	assert_int_equal(failed, 2 * TAP_QUEUES_MAX + 1);
}

static void without_memory_there_is_no_tap(void **state)
{
	struct tap *t = NULL;
	struct err e;
	int rc;

	fail.memory = true;
	rc = tap_open(&t, ifname, 1, &e);
	fail.memory = false;
	assert_int_equal(rc, -ENOMEM);
	assert_null(t);
	assert_false(exists(ifname));
}

static void queues_that_the_kernel_refuses_are_not_counted(void **state)
{
	struct tap *t = open_or_skip(TAP_QUEUES_MAX);

	for (unsigned up = 0; up < 2; up++) {
		assert_int_equal(tap_set_queues(t, up ? 1 : TAP_QUEUES_MAX), 0);
		fail.call = 2;
		fail.error = E2BIG;
		assert_int_equal(tap_set_queues(t, up ? TAP_QUEUES_MAX : 1), -E2BIG);
		fail.call = 0;
		assert_int_equal(t->attached, up ? 2 : TAP_QUEUES_MAX - 1);
	}
	tap_close(t);
}

static void closing_nothing_is_allowed(void **state)
{
	tap_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_interface_is_made_and_lives_as_long_as_it_is_open),
		cmocka_unit_test(an_existing_interface_stays),
		cmocka_unit_test(queues_are_as_many_as_interface_and_caller_allow),
		cmocka_unit_test(what_cannot_be_opened_is_named),
		cmocka_unit_test(descriptors_do_not_block_and_are_not_inherited),
		cmocka_unit_test(offloads_are_what_the_kernel_takes),
		cmocka_unit_test(the_header_has_the_length_that_was_set),
		cmocka_unit_test(packets_come_to_attached_queues_only),
		cmocka_unit_test(a_kernel_may_lack_offloads),
		cmocka_unit_test(failures_leave_nothing_behind),
		cmocka_unit_test(without_memory_there_is_no_tap),
		cmocka_unit_test(queues_that_the_kernel_refuses_are_not_counted),
		cmocka_unit_test(closing_nothing_is_allowed),
	};

	(void)snprintf(ifname, sizeof(ifname), "xlt%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
