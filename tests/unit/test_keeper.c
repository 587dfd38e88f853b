/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper against a monitor that may be anyone's. The test's process is the keeper,
 * with a domain that only counts; a child plays the monitor over a real socket pair.
 */
#include "vmm/hv/keeper.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/lib/exit.h"
#include "vmm/lib/layout.h"
#include "vmm/lib/log.h"

/* What the domain was asked for, and what it shall answer. */
struct domain {
	unsigned created, shaped, paged, started, paused, resumed, asked, destroyed;
	unsigned vcpus;
	uint64_t ram, at;
	unsigned pages;
	uint32_t ip, start_info;
	int create_rc, shape_rc, pages_rc, start_rc, pause_rc, resume_rc, state_rc;
	bool shut_down, lost;
	uint32_t reason;
};

static int stub_create(void *ctx, struct err *e)
{
	struct domain *d = ctx;

	d->created++;
	return d->create_rc < 0 ? err_set(e, d->create_rc, "no domain") : 0;
}

static int stub_shape(void *ctx, unsigned vcpus, uint64_t ram, struct err *e)
{
	struct domain *d = ctx;

	d->shaped++;
	d->vcpus = vcpus;
	d->ram = ram;
	return d->shape_rc < 0 ? err_set(e, d->shape_rc, "no memory") : 0;
}

static int stub_pages(void *ctx, uint64_t at, unsigned n, struct err *e)
{
	struct domain *d = ctx;

	d->paged++;
	d->at = at;
	d->pages = n;
	return d->pages_rc < 0 ? err_set(e, d->pages_rc, "no pages") : 0;
}

static int stub_start(void *ctx, uint32_t ip, uint32_t start_info, struct err *e)
{
	struct domain *d = ctx;

	d->started++;
	d->ip = ip;
	d->start_info = start_info;
	return d->start_rc < 0 ? err_set(e, d->start_rc, "no start") : 0;
}

static int stub_pause(void *ctx, struct err *e)
{
	struct domain *d = ctx;

	d->paused++;
	return d->pause_rc < 0 ? err_set(e, d->pause_rc, "no pause") : 0;
}

static int stub_resume(void *ctx, struct err *e)
{
	struct domain *d = ctx;

	d->resumed++;
	return d->resume_rc < 0 ? err_set(e, d->resume_rc, "no resume") : 0;
}

static int stub_state(void *ctx, bool *shut_down, uint32_t *reason, struct err *e)
{
	struct domain *d = ctx;

	d->asked++;
	*shut_down = d->shut_down;
	*reason = d->reason;
	return d->state_rc < 0 ? err_set(e, d->state_rc, "no state") : 0;
}

static void stub_info(void *ctx, struct keeper_info *out)
{
	const struct domain *d = ctx;

	*out = (struct keeper_info){ .domid = 42,
				     .profile = KEEPER_FULL_HVM,
				     .version = 4u << 16 | 20,
				     .hypercalls = d->created + d->shaped,
				     .start_ns = 99,
				     .lost = d->lost };
}

static void stub_destroy(void *ctx)
{
	struct domain *d = ctx;

	d->destroyed++;
}

static const struct keeper_ops stubs = {
	.create = stub_create,
	.shape = stub_shape,
	.pages = stub_pages,
	.start = stub_start,
	.pause = stub_pause,
	.resume = stub_resume,
	.state = stub_state,
	.info = stub_info,
	.destroy = stub_destroy,
};

/* ---- the monitor's side ---- */

/* Where the child says what it did not like: memory that both see. */
static volatile int *bad_line;

#define CHECK(what)                           \
	do {                                  \
		if (!(what)) {                \
			*bad_line = __LINE__; \
			_exit(99);            \
		}                             \
	} while (0)

typedef int (*monitor)(int sock, const void *arg);

static struct keeper_answer answer(int sock)
{
	struct keeper_answer a;

	CHECK(recv(sock, &a, sizeof(a), 0) == (ssize_t)sizeof(a));
	return a;
}

static struct keeper_answer ask(int sock, const struct keeper_request *q)
{
	CHECK(send(sock, q, sizeof(*q), 0) == (ssize_t)sizeof(*q));
	return answer(sock);
}

/* A request with good fields. */
static struct keeper_request good(enum keeper_request_type type)
{
	return (struct keeper_request){
		.type = type,
		.vcpus = 2,
		.ram = 64 * MIB,
		.ip = 0x1000000,
		.start_info = 0x6000,
		.at = LAYOUT_VIRTIO,
		.pages = 1,
	};
}

static int request(int sock, enum keeper_request_type type)
{
	const struct keeper_request q = good(type);

	return ask(sock, &q).rc;
}

/* Until somebody kills us. */
static int sleep_on(void)
{
	for (;;)
		pause();
	return 0;
}

/* No answer comes, and the keeper does not listen any more. */
static void expect_silence(int sock)
{
	const struct keeper_request q = good(KEEPER_SHAPE);
	struct pollfd p = { .fd = sock, .events = POLLIN };

	(void)!send(sock, &q, sizeof(q), MSG_NOSIGNAL | MSG_DONTWAIT);
	CHECK(poll(&p, 1, 200) == 0);
}

/* Run a keeper with `m` as its monitor; returns the keeper's exit status. */
static int keep(struct domain *d, monitor m, const void *arg)
{
	int socks[2], status;
	pid_t child;

	*bad_line = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(socks[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(m(socks[1], arg));
	}
	close(socks[1]);
	alarm(20);
	status = keeper_run(&stubs, d, socks[0], child);
	alarm(0);
	close(socks[0]);
	if (*bad_line)
		fail_msg("the monitor's check in line %d failed", *bad_line);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	assert_int_equal(errno, ECHILD);
	assert_int_equal(d->destroyed, 1);
	return status;
}

/* ---- the permit table ---- */

enum state { SHELL, SHAPED, PAGED, RUNNING, PAUSED, STATES };

static const bool permitted[KEEPER_REQUESTS][STATES] = {
	[KEEPER_SHAPE] = { [SHELL] = true, [SHAPED] = true, [PAGED] = true },
	[KEEPER_PAGES] = { [SHAPED] = true },
	[KEEPER_START] = { [SHAPED] = true, [PAGED] = true },
	[KEEPER_PAUSE] = { [RUNNING] = true },
	[KEEPER_RESUME] = { [PAUSED] = true },
	[KEEPER_STATE] = { [RUNNING] = true, [PAUSED] = true },
};

static void go_to(int sock, enum state s)
{
	(void)answer(sock);
	if (s >= SHAPED)
		CHECK(request(sock, KEEPER_SHAPE) == 0);
	if (s >= PAGED)
		CHECK(request(sock, KEEPER_PAGES) == 0);
	if (s >= RUNNING)
		CHECK(request(sock, KEEPER_START) == 0);
	if (s >= PAUSED)
		CHECK(request(sock, KEEPER_PAUSE) == 0);
}

struct
try {
	enum keeper_request_type type;
	enum state state;
};

static int try_request(int sock, const void *arg)
{
	const struct try *t = arg;
	const struct keeper_request q = good(t->type);
	struct keeper_answer a;

	go_to(sock, t->state);
	a = ask(sock, &q);
	if (permitted[t->type][t->state]) {
		CHECK(a.rc == 0);
	} else {
		CHECK(a.rc == -EPERM);
		CHECK(strstr(a.e.text, "is not permitted now"));
	}
	return 0;
}

static unsigned calls(const struct domain *d)
{
	return d->shaped + d->paged + d->started + d->paused + d->resumed + d->asked;
}

static void each_request_is_permitted_in_its_states_only(void **state)
{
	struct try t;

	for (t.type = 0; t.type < KEEPER_REQUESTS; t.type++) {
		for (t.state = 0; t.state < STATES; t.state++) {
			struct domain d = { 0 };

			assert_int_equal(keep(&d, try_request, &t), 0);
			/* One to reach each state, and the one that was tried. */
			assert_int_equal(calls(&d), t.state + permitted[t.type][t.state]);
		}
	}
}

static int unknown_requests(int sock, const void *arg)
{
	static const uint32_t types[] = { KEEPER_REQUESTS, 0x80000000, UINT32_MAX };

	go_to(sock, SHAPED);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct keeper_request q = good(KEEPER_SHAPE);

		q.type = types[i];
		CHECK(ask(sock, &q).rc == -ENOSYS);
	}
	CHECK(request(sock, KEEPER_START) == 0); /* nothing has changed */
	return 0;
}

static void unknown_requests_are_refused(void **state)
{
	struct domain d = { 0 };

	assert_int_equal(keep(&d, unknown_requests, NULL), 0);
	assert_int_equal(calls(&d), 2);
}

/* ---- fields ---- */

static const struct {
	uint32_t vcpus;
	uint64_t ram;
	int rc;
} shapes[] = {
	{ 1, MIB, 0 },
	{ 32, 8 * GIB, 0 },
	{ 0, MIB, -EINVAL },
	{ 33, MIB, -EINVAL },
	{ UINT32_MAX, MIB, -EINVAL },
	{ 1, 0, -EINVAL },
	{ 1, 1, -EINVAL },
	{ 1, MIB - 1, -EINVAL },
	{ 1, MIB + 4096, -EINVAL },
	{ 1, UINT64_MAX, -EINVAL },
};

static int try_shapes(int sock, const void *arg)
{
	(void)answer(sock);
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct keeper_request q = good(KEEPER_SHAPE);
		struct keeper_answer a;

		q.vcpus = shapes[i].vcpus;
		q.ram = shapes[i].ram;
		a = ask(sock, &q);
		CHECK(a.rc == shapes[i].rc);
		CHECK(a.rc == 0 || strncmp(a.e.text, "keeper: ", 8) == 0);
	}
	return 0;
}

static void shapes_out_of_range_never_reach_the_hypervisor(void **state)
{
	struct domain d = { 0 };

	assert_int_equal(keep(&d, try_shapes, NULL), 0);
	assert_int_equal(d.shaped, 2);
	assert_int_equal(d.vcpus, 32);
	assert_int_equal(d.ram, 8 * GIB);
}

#define LAST_PAGE (LAYOUT_VIRTIO + (LAYOUT_VIRTIO_MAX - 1) * PAGE_BYTES)

static const struct {
	uint64_t at;
	uint32_t n;
	int rc;
} pages[] = {
	{ LAYOUT_VIRTIO, 0, -EINVAL },
	{ LAYOUT_VIRTIO, LAYOUT_VIRTIO_MAX + 1, -EINVAL },
	{ LAYOUT_VIRTIO, UINT32_MAX, -EINVAL },
	{ LAYOUT_VIRTIO, 0x100000, -EINVAL }, /* 4 GiB */
	{ LAYOUT_VIRTIO + 1, 1, -EINVAL },
	{ LAYOUT_VIRTIO + PAGE_BYTES - 1, 1, -EINVAL },
	{ LAYOUT_VIRTIO - PAGE_BYTES, 1, -EINVAL },
	{ LAYOUT_VIRTIO - PAGE_BYTES, 2, -EINVAL },
	{ 0, 1, -EINVAL },
	{ LAST_PAGE, 2, -EINVAL },
	{ LAST_PAGE + PAGE_BYTES, 1, -EINVAL },
	{ UINT64_MAX - (PAGE_BYTES - 1), 1, -EINVAL },
	{ UINT64_C(1) << 32 | LAYOUT_VIRTIO, 1, -EINVAL },
	{ LAYOUT_VIRTIO, LAYOUT_VIRTIO_MAX, 0 },
	{ LAST_PAGE, 1, 0 },
};

static int try_pages(int sock, const void *arg)
{
	(void)answer(sock);
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		struct keeper_request q = good(KEEPER_PAGES);

		q.at = pages[i].at;
		q.pages = pages[i].n;
		CHECK(request(sock, KEEPER_SHAPE) == 0);
		CHECK(ask(sock, &q).rc == pages[i].rc);
	}
	return 0;
}

static void pages_elsewhere_never_reach_the_hypervisor(void **state)
{
	struct domain d = { 0 };

	assert_int_equal(keep(&d, try_pages, NULL), 0);
	assert_int_equal(d.paged, 2);
	assert_int_equal(d.at, LAST_PAGE);
	assert_int_equal(d.pages, 1);
}

static int look_at_answers(int sock, const void *arg)
{
	struct keeper_answer a = answer(sock);
	struct keeper_request q = good(KEEPER_STATE);

	CHECK(a.rc == 0);
	CHECK(a.domid == 42 && a.profile == KEEPER_FULL_HVM && a.version == (4u << 16 | 20));
	CHECK(a.hypercalls == 1 && a.start_ns == 99);
	CHECK(request(sock, KEEPER_SHAPE) == 0);
	CHECK(request(sock, KEEPER_START) == 0);
	a = ask(sock, &q);
	CHECK(a.rc == 0 && a.shut_down == 1 && a.reason == 3 && a.hypercalls == 2);
	return 0;
}

static void answers_carry_the_domain_and_its_end(void **state)
{
	struct domain d = { .shut_down = true, .reason = 3 };

	assert_int_equal(keep(&d, look_at_answers, NULL), 0);
	assert_int_equal(d.ip, 0x1000000);
	assert_int_equal(d.start_info, 0x6000);
}

/* ---- operations that fail ---- */

static int create_fails(int sock, const void *arg)
{
	struct keeper_answer a = answer(sock);

	CHECK(a.rc == -ENOSPC);
	CHECK(strcmp(a.e.text, "no domain") == 0);
	expect_silence(sock);
	return EXIT_HOST_ERROR;
}

static void a_shell_that_cannot_be_made_is_told(void **state)
{
	struct domain d = { .create_rc = -ENOSPC };

	assert_int_equal(keep(&d, create_fails, NULL), EXIT_HOST_ERROR);
	assert_int_equal(calls(&d), 0);
}

static int shape_fails(int sock, const void *arg)
{
	const struct keeper_request q = good(KEEPER_SHAPE);
	struct keeper_answer a;

	(void)answer(sock);
	a = ask(sock, &q);
	CHECK(a.rc == -ENOMEM && strcmp(a.e.text, "no memory") == 0);
	/* What was there is lost: it is a shell, which cannot be started. */
	CHECK(request(sock, KEEPER_START) == -EPERM);
	CHECK(request(sock, KEEPER_SHAPE) == -ENOMEM);
	return 0;
}

static int shape_loses_the_domain(int sock, const void *arg)
{
	const struct keeper_request q = good(KEEPER_SHAPE);

	(void)answer(sock);
	(void)!send(sock, &q, sizeof(q), MSG_NOSIGNAL);
	return sleep_on();
}

/* At once: its handles are restricted to a domid that may be somebody else's now. */
static void a_monitor_whose_domain_is_lost_is_killed(void **state)
{
	struct domain d = { .shape_rc = -EEXIST, .lost = true };
	uint64_t start = clock_ms();

	assert_int_equal(keep(&d, shape_loses_the_domain, NULL), EXIT_HOST_ERROR);
	assert_in_range(clock_ms() - start, 0, 900);
}

static void a_failed_shape_leaves_a_shell(void **state)
{
	struct domain d = { .shape_rc = -ENOMEM };

	assert_int_equal(keep(&d, shape_fails, NULL), 0);
	assert_int_equal(d.shaped, 2);
	assert_int_equal(d.started, 0);
}

static int pages_fail(int sock, const void *arg)
{
	go_to(sock, SHAPED);
	CHECK(request(sock, KEEPER_PAGES) == -ENOMEM);
	CHECK(request(sock, KEEPER_PAGES) == -EPERM); /* half of them may be there */
	CHECK(request(sock, KEEPER_SHAPE) == 0);
	CHECK(request(sock, KEEPER_PAGES) == -ENOMEM);
	CHECK(request(sock, KEEPER_START) == 0);
	return 0;
}

static void failed_pages_are_not_tried_again(void **state)
{
	struct domain d = { .pages_rc = -ENOMEM };

	assert_int_equal(keep(&d, pages_fail, NULL), 0);
	assert_int_equal(d.paged, 2);
}

static int start_fails(int sock, const void *arg)
{
	go_to(sock, SHAPED);
	CHECK(request(sock, KEEPER_START) == -EIO);
	CHECK(request(sock, KEEPER_PAUSE) == -EPERM);
	CHECK(request(sock, KEEPER_SHAPE) == 0);
	return 0;
}

static void a_failed_start_can_be_tried_again(void **state)
{
	struct domain d = { .start_rc = -EIO };

	assert_int_equal(keep(&d, start_fails, NULL), 0);
	assert_int_equal(d.started, 1);
	assert_int_equal(d.shaped, 2);
}

static int pause_fails(int sock, const void *arg)
{
	go_to(sock, RUNNING);
	CHECK(request(sock, KEEPER_PAUSE) == -EIO);
	CHECK(request(sock, KEEPER_RESUME) == -EPERM); /* it still runs */
	return 0;
}

static int resume_fails(int sock, const void *arg)
{
	go_to(sock, PAUSED);
	CHECK(request(sock, KEEPER_RESUME) == -EIO);
	CHECK(request(sock, KEEPER_PAUSE) == -EPERM); /* it is still paused */
	return 0;
}

static void a_failed_pause_or_resume_changes_nothing(void **state)
{
	struct domain p = { .pause_rc = -EIO }, r = { .resume_rc = -EIO };

	assert_int_equal(keep(&p, pause_fails, NULL), 0);
	assert_int_equal(keep(&r, resume_fails, NULL), 0);
}

/* ---- a monitor that does not behave ---- */

static int send_bytes(int sock, const void *arg)
{
	static const uint8_t bytes[65536];

	go_to(sock, SHAPED);
	CHECK(send(sock, bytes, *(const size_t *)arg, 0) >= 0);
	expect_silence(sock);
	return 5;
}

static void a_request_of_another_size_ends_it(void **state)
{
	static const size_t sizes[] = { 0,
					1,
					sizeof(struct keeper_request) - 1,
					sizeof(struct keeper_request) + 1,
					2 * sizeof(struct keeper_request),
					65536 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct domain d = { 0 };

		assert_int_equal(keep(&d, send_bytes, &sizes[i]), 5);
		assert_int_equal(calls(&d), 1);
	}
}

static int never_reads(int sock, const void *arg)
{
	const struct keeper_request q = good(KEEPER_PAUSE);

	go_to(sock, SHELL);
	/* A keeper that waits for us to read would be deaf from then on. */
	for (unsigned i = 0; i < 10000; i++)
		if (send(sock, &q, sizeof(q), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			usleep(1000);
	return sleep_on();
}

static void a_monitor_that_reads_no_answers_is_ended(void **state)
{
	struct domain d = { 0 };

	assert_int_equal(keep(&d, never_reads, NULL), EXIT_SIGNALLED + SIGKILL);
}

static int hang_up(int sock, const void *arg)
{
	close(sock);
	return sleep_on();
}

static void a_monitor_that_only_hangs_up_is_ended(void **state)
{
	struct domain d = { 0 };
	uint64_t start = clock_ms();

	assert_int_equal(keep(&d, hang_up, NULL), EXIT_SIGNALLED + SIGKILL);
	assert_in_range(clock_ms() - start, 1000, 5000);
}

/* ---- the end ---- */

static int exit_with(int sock, const void *arg)
{
	go_to(sock, RUNNING);
	return *(const int *)arg;
}

static void the_monitors_status_is_the_programs(void **state)
{
	static const int statuses[] = { EXIT_GUEST_REBOOT,   EXIT_HOST_ERROR,
					EXIT_GUEST_POWEROFF, EXIT_GUEST_HALT,
					EXIT_GUEST_CRASH,    EXIT_GUEST_TRIPLE_FAULT,
					EXIT_GUEST_OTHER,    EXIT_SIGNALLED + SIGTERM,
					EXIT_BAD_CONFIG };

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct domain d = { 0 };

		assert_int_equal(keep(&d, exit_with, &statuses[i]), statuses[i]);
	}
}

static int die_of(int sock, const void *arg)
{
	sigset_t all;

	go_to(sock, RUNNING);
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	signal(*(const int *)arg, SIG_DFL);
	raise(*(const int *)arg);
	return 0;
}

static void a_monitor_that_a_signal_killed_is_told(void **state)
{
	static const int signals[] = { SIGKILL, SIGSEGV, SIGSYS, SIGTERM };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct domain d = { 0 };

		assert_int_equal(keep(&d, die_of, &signals[i]), EXIT_SIGNALLED + signals[i]);
	}
}

/* It ends as the monitor does: by taking the signal from its mask. */
static int end_when_asked(int sock, const void *arg)
{
	sigset_t set;
	int got;

	go_to(sock, RUNNING);
	kill(getppid(), *(const int *)arg);
	sigemptyset(&set);
	sigaddset(&set, *(const int *)arg);
	sigwait(&set, &got);
	return EXIT_SIGNALLED + got;
}

static void signals_are_passed_on(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct domain d = { 0 };
		uint64_t start = clock_ms();

		assert_int_equal(keep(&d, end_when_asked, &signals[i]),
				 EXIT_SIGNALLED + signals[i]);
		assert_true(clock_ms() - start < 900); /* nobody waited for the grace period */
	}
}

static int take_no_notice(int sock, const void *arg)
{
	go_to(sock, RUNNING);
	kill(getppid(), SIGTERM);
	return sleep_on();
}

static void a_monitor_that_does_not_end_is_killed(void **state)
{
	struct domain d = { 0 };
	uint64_t start = clock_ms();

	assert_int_equal(keep(&d, take_no_notice, NULL), EXIT_SIGNALLED + SIGKILL);
	assert_in_range(clock_ms() - start, 1000, 5000);
	assert_int_equal(d.paused, 1); /* meanwhile its guest does not run */
}

/* As a monitor does that was just asking when the signal came. */
static int ask_while_ending(int sock, const void *arg)
{
	go_to(sock, RUNNING);
	kill(getppid(), SIGTERM);
	usleep(100000);
	CHECK(request(sock, KEEPER_STATE) == 0);
	return 5;
}

static void a_monitor_that_is_ending_still_gets_answers(void **state)
{
	struct domain d = { 0 };

	assert_int_equal(keep(&d, ask_while_ending, NULL), 5);
	assert_int_equal(d.asked, 1);
}

/* A child that stops and goes on sends SIGCHLD, too. */
static int stop_and_go_on(int sock, const void *arg)
{
	pid_t helper, me = getpid();

	go_to(sock, RUNNING);
	helper = fork();
	if (helper == 0) {
		usleep(50000);
		kill(me, SIGCONT);
		_exit(0);
	}
	raise(SIGSTOP);
	CHECK(waitpid(helper, NULL, 0) == helper);
	CHECK(request(sock, KEEPER_PAUSE) == 0);
	return 3;
}

static void a_stopped_monitor_is_not_a_dead_one(void **state)
{
	struct domain d = { 0 };

	assert_int_equal(keep(&d, stop_and_go_on, NULL), 3);
	assert_int_equal(d.paused, 1);
}

static int block_signals(void **state)
{
	sigset_t set;

	bad_line = mmap(NULL, sizeof(*bad_line), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	log_set_level(LOG_OFF);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	return sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_is_permitted_in_its_states_only),
		cmocka_unit_test(unknown_requests_are_refused),
		cmocka_unit_test(shapes_out_of_range_never_reach_the_hypervisor),
		cmocka_unit_test(pages_elsewhere_never_reach_the_hypervisor),
		cmocka_unit_test(answers_carry_the_domain_and_its_end),
		cmocka_unit_test(a_shell_that_cannot_be_made_is_told),
		cmocka_unit_test(a_failed_shape_leaves_a_shell),
		cmocka_unit_test(a_monitor_whose_domain_is_lost_is_killed),
		cmocka_unit_test(failed_pages_are_not_tried_again),
		cmocka_unit_test(a_failed_start_can_be_tried_again),
		cmocka_unit_test(a_failed_pause_or_resume_changes_nothing),
		cmocka_unit_test(a_request_of_another_size_ends_it),
		cmocka_unit_test(a_monitor_that_reads_no_answers_is_ended),
		cmocka_unit_test(a_monitor_that_only_hangs_up_is_ended),
		cmocka_unit_test(the_monitors_status_is_the_programs),
		cmocka_unit_test(a_monitor_that_a_signal_killed_is_told),
		cmocka_unit_test(signals_are_passed_on),
		cmocka_unit_test(a_monitor_that_does_not_end_is_killed),
		cmocka_unit_test(a_monitor_that_is_ending_still_gets_answers),
		cmocka_unit_test(a_stopped_monitor_is_not_a_dead_one),
	};

	return cmocka_run_group_tests(tests, block_signals, NULL);
}
