/* SPDX-License-Identifier: Apache-2.0 */
/* The tests of doorbells: a part of hvabi.c, which is one stand-alone program. */
#ifndef TESTS_SYSTEM_HVBELL_TESTS_H
#define TESTS_SYSTEM_HVBELL_TESTS_H

#include "tests/system/tools/hvbell.h"

#define PORT_(width_, flags_, addr_, data_)                                    \
	((struct xen_dm_op_xenolith_doorbell){ .type = XEN_DMOP_IO_RANGE_PORT, \
					       .width = width_,                \
					       .flags = flags_,                \
					       .addr = addr_,                  \
					       .data = data_ })
#define MMIO_(flags_, addr_, data_, clear_)                                      \
	((struct xen_dm_op_xenolith_doorbell){ .type = XEN_DMOP_IO_RANGE_MEMORY, \
					       .width = 4,                       \
					       .flags = flags_,                  \
					       .addr = addr_,                    \
					       .data = data_,                    \
					       .clear = clear_ })
#define MATCH XENOLITH_DOORBELL_match
#define SILENT XENOLITH_DOORBELL_silent
#define CLEAR XENOLITH_DOORBELL_clear
#define REMOVE XENOLITH_DOORBELL_remove

static uint32_t bell_peek(uint32_t domid, uint64_t at)
{
	uint32_t v = 0;

	if (copy(domid, at, XENOLITH_COPY_from_guest, &v, sizeof(v), NULL))
		bail("guest_copy from the guest");
	return v;
}

static void bell_poke(uint32_t domid, uint64_t at, uint32_t v)
{
	if (copy(domid, at, XENOLITH_COPY_to_guest, &v, sizeof(v), NULL))
		bail("guest_copy to the guest");
}

static void test_bell_refused(const struct bell_server *s)
{
	static const struct xen_dm_op_xenolith_doorbell wrong[] = {
		{ .type = XEN_DMOP_IO_RANGE_PCI, .addr = BELL_PORT },
		{ .type = 3, .addr = BELL_PORT },
		{ .type = XEN_DMOP_IO_RANGE_PORT, .addr = BELL_PORT, .flags = 16 },
		{ .type = XEN_DMOP_IO_RANGE_PORT, .addr = BELL_PORT, .pad = 1 },
		{ .type = XEN_DMOP_IO_RANGE_PORT, .addr = BELL_PORT, .width = 3 },
		{ .type = XEN_DMOP_IO_RANGE_PORT, .addr = BELL_PORT, .width = 8 },
		{ .type = XEN_DMOP_IO_RANGE_MEMORY, .addr = BELL_MMIO, .width = 16 },
		{ .type = XEN_DMOP_IO_RANGE_PORT, .addr = 0x10000 },
		{ .type = XEN_DMOP_IO_RANGE_PORT, .addr = BELL_PORT, .data = 1 },
		{ .type = XEN_DMOP_IO_RANGE_PORT, .addr = BELL_PORT, .clear = 4 },
		{ .type = XEN_DMOP_IO_RANGE_PORT,
		  .addr = BELL_PORT,
		  .width = 1,
		  .flags = MATCH,
		  .data = 0x100 },
		{ .type = XEN_DMOP_IO_RANGE_MEMORY,
		  .addr = BELL_CLEARS,
		  .width = 2,
		  .flags = CLEAR | SILENT,
		  .clear = BELL_WORD },
		{ .type = XEN_DMOP_IO_RANGE_MEMORY,
		  .addr = BELL_CLEARS,
		  .width = 4,
		  .flags = CLEAR | SILENT,
		  .clear = BELL_WORD + 2 },
	};
	struct bell_server other = { .domid = s->domid, .id = (ioservid_t)(s->id + 1) };
	unsigned bad = 0;

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (bell(s, wrong[i], NULL) == -EINVAL)
			continue;
		printf("# number %u is not refused\n", i);
		bad++;
	}
	IS(bad, 0, "doorbell: what makes no sense is refused");
	IS(bell(&other, PORT_(1, SILENT, BELL_PORT, 0), NULL), -ENOENT,
	   "doorbell: no such server");
	other.id = 0xffff;
	IS(bell(&other, PORT_(1, SILENT, BELL_PORT, 0), NULL), -ENOENT, "doorbell: nor any");
	IS(bell(s, PORT_(1, MATCH, BELL_PORT, 0x11), NULL), -EEXIST,
	   "doorbell: there is one already");
	IS(bell(s, PORT_(0, MATCH, BELL_PORT, 0x12), NULL), -EEXIST,
	   "doorbell: or one of that width");
	IS(bell(s, PORT_(1, 0, BELL_PORT, 0), NULL), -EEXIST, "doorbell: or of some values");
	IS(bell(s, PORT_(1, MATCH, BELL_QUIET, 9), NULL), -EEXIST, "doorbell: or of all");
	IS(bell(s, PORT_(1, REMOVE | MATCH, BELL_PORT, 0x13), NULL), -ENOENT,
	   "doorbell: what is not there is not removed");
	IS(bell(s, PORT_(1, REMOVE, BELL_PORT, 0), NULL), -ENOENT,
	   "doorbell: nor what is there for some values");
}

/* What must wait for the server, in this order. */
static const struct {
	uint64_t addr;
	uint8_t type, size, dir;
	uint32_t data;
	const char *what;
} bell_requests[] = {
	{ BELL_PORT, IOREQ_TYPE_PIO, 1, IOREQ_WRITE, 0x13, "another value" },
	{ BELL_PORT, IOREQ_TYPE_PIO, 2, IOREQ_WRITE, 0x11, "another width" },
	{ BELL_PORT, IOREQ_TYPE_PIO, 1, IOREQ_READ, 0, "a read" },
	{ BELL_MMIO, IOREQ_TYPE_COPY, 4, IOREQ_WRITE, 4, "another value in memory" },
	{ BELL_MMIO, IOREQ_TYPE_COPY, 2, IOREQ_WRITE, 3, "another width in memory" },
	{ BELL_MMIO, IOREQ_TYPE_COPY, 4, IOREQ_READ, 0, "a read in memory" },
	{ BELL_HOLE, IOREQ_TYPE_COPY, 4, IOREQ_WRITE, 7, "no memory to clear bits in" },
	{ BELL_PORT, IOREQ_TYPE_PIO, 1, IOREQ_WRITE, BELL_STRING, "a string" },
	{ BELL_PORT + 14, IOREQ_TYPE_PIO, 1, IOREQ_WRITE, 0x11, "another port" },
};

static void test_bell_requests(struct bell_server *s)
{
	for (unsigned i = 0; i < sizeof(bell_requests) / sizeof(bell_requests[0]); i++) {
		char line[64];
		ioreq_t r;
		bool ok = next_request(s, &r);

		ok = ok && r.type == bell_requests[i].type && r.addr == bell_requests[i].addr &&
		     r.size == bell_requests[i].size && r.dir == bell_requests[i].dir &&
		     (r.dir == IOREQ_READ || (uint32_t)r.data == bell_requests[i].data);
		snprintf(line, sizeof(line), "doorbell: %s waits", bell_requests[i].what);
		result(ok, line);
		if (!ok)
			printf("# addr %#llx size %u dir %u data %#llx\n",
			       (unsigned long long)r.addr, (unsigned)r.size, (unsigned)r.dir,
			       (unsigned long long)r.data);
	}
}

/* Have the guest ring once more: whether it went on. */
static bool bell_again(uint32_t domid)
{
	uint32_t n = bell_peek(domid, BELL_GO) + 1;

	bell_poke(domid, BELL_GO, n);
	for (unsigned i = 0; i < 2000; i++) {
		if (bell_peek(domid, BELL_DONE) == n)
			return true;
		usleep(1000);
	}
	return false;
}

/* How many there are, until no more come. */
static unsigned events(xenevtchn_handle *xe)
{
	unsigned n = 0;

	while (take_event(xe, 50))
		n++;
	return n;
}

static void test_bell_server(struct bell_server *s, xenevtchn_handle *a)
{
	ioreq_t r;

	IS(bell_again(s->domid), 1, "doorbell: the guest does not wait");
	IS(take_event(a, 1000), 1, "doorbell: one more");
	server_state(s, 0);
	IS(bell_again(s->domid), 1, "doorbell: while its server is disabled");
	IS(take_event(a, 50), 0, "doorbell: it is quiet");
	server_state(s, 1);
	IS(bell_again(s->domid), 1, "doorbell: enabled again");
	IS(take_event(a, 1000), 1, "doorbell: it rings");
	xenevtchn_close(a);
	IS(bell_again(s->domid), 1, "doorbell: nobody listens, the guest goes on");
	IS(bell(s, PORT_(1, REMOVE | MATCH, BELL_PORT, 0x11), NULL), 0,
	   "doorbell: can be removed");
	bell_poke(s->domid, BELL_GO, bell_peek(s->domid, BELL_GO) + 1);
	IS(next_request(s, &r) && r.addr == BELL_PORT && r.data == 0x11, 1,
	   "doorbell: removed, the write waits");
}

/* A domain has 32 event channels here: they would not last for this. */
static void test_bell_ports(uint32_t domid)
{
	struct bell_server s;
	unsigned bad = 0, n;
	int rc = 0;

	for (unsigned round = 0; round < 8; round++) {
		bad += server_create(&s, domid) != 0;
		for (n = 0; n < 16; n++)
			bad += bell(&s, PORT_(1, MATCH, BELL_PORT, n), NULL) != 0;
		for (n = 0; n < 8; n++)
			bad += bell(&s, PORT_(1, MATCH | REMOVE, BELL_PORT, n), NULL) != 0;
		bad += server_destroy(&s) != 0;
	}
	IS(bad, 0, "doorbell: ports are freed with doorbell and server");
	server_create(&s, domid);
	for (n = 0; n < 64 && rc == 0; n++)
		rc = bell(&s, PORT_(1, MATCH, BELL_PORT, n), NULL);
	IS(rc, -ENOSPC, "doorbell: a domain has so many event channels");
	IS(n > 20, 1, "doorbell: which can be used");
	server_destroy(&s);
	server_create(&s, domid);
	for (n = 0; n < XENOLITH_DOORBELLS_MAX; n++)
		bad += bell(&s, MMIO_(MATCH | SILENT, BELL_MMIO, n * 37 % 128, 0), NULL) != 0;
	IS(bad, 0, "doorbell: so many");
	IS(bell(&s, MMIO_(MATCH | SILENT, BELL_MMIO, n, 0), NULL), -ENOSPC,
	   "doorbell: and no more");
}

static void test_doorbell(void)
{
	uint32_t domid = make_domain(16), a, b, c, none;
	xenevtchn_handle *xa, *xb, *xc_;
	struct bell_server s;

	test_bell_ports(domid);
	destroy(domid);
	IS(gone_after(domid, 5000) >= 0, 1,
	   "doorbell: a domain that has some can be destroyed");
	domid = make_domain(16);
	if (server_create(&s, domid))
		bail("create_ioreq_server");
	server_attach(&s);
	IS(bell(&s, PORT_(1, MATCH, BELL_PORT, 0x12), &b), 0, "doorbell: a port's value");
	IS(bell(&s, PORT_(1, MATCH, BELL_PORT, 0x11), &a), 0, "doorbell: another value");
	IS(a && b && a != b, 1, "doorbell: each has an event channel");
	IS(bell(&s, PORT_(0, SILENT, BELL_QUIET, 0), &none), 0, "doorbell: silent");
	IS(none, 0, "doorbell: has none");
	IS(bell(&s, MMIO_(MATCH, BELL_MMIO, 3, 0), &c), 0, "doorbell: memory");
	IS(bell(&s, MMIO_(SILENT | CLEAR, BELL_CLEARS, 0, BELL_WORD), NULL), 0,
	   "doorbell: one that clears bits");
	IS(bell(&s, MMIO_(CLEAR, BELL_HOLE, 0, 0xe0000000), NULL), 0,
	   "doorbell: one that cannot do so");
	test_bell_refused(&s);
	xa = bell_listen(&s, a);
	xb = bell_listen(&s, b);
	xc_ = bell_listen(&s, c);
	bell_poke(domid, BELL_WORD, 0xff);
	run(domid, bell_guest, (size_t)(bell_guest_end - bell_guest));
	test_bell_requests(&s);
	IS(take_event(xa, 1000), 1, "doorbell: rings");
	IS(events(xa) < 5, 1, "doorbell: many times are few events");
	IS(take_event(xb, 1000) && !take_event(xb, 50), 1, "doorbell: the other, too");
	IS(take_event(xc_, 1000) && !take_event(xc_, 50), 1, "doorbell: and that in memory");
	IS(bell_peek(domid, BELL_WORD), 0xff & ~5, "doorbell: bits were cleared");
	test_bell_server(&s, xa);
	IS(server_destroy(&s), 0, "doorbell: the server can go while they are bound");
	xenevtchn_close(xb);
	xenevtchn_close(xc_);
	server_detach(&s);
	destroy(domid);
	IS(gone_after(domid, 5000) >= 0, 1, "doorbell: and the domain");
}

#endif
