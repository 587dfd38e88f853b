/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doorbells, for hvabi.c: an IOREQ server made by hand, and a guest whose writes either
 * ring or wait there. 32-bit, flat, without paging, at address 0.
 */
#ifndef TESTS_SYSTEM_HVBELL_H
#define TESTS_SYSTEM_HVBELL_H

#include "tests/system/tools/hvcall.h"

#define BELL_PORT 0x500 /* rings for 0x11 and 0x12 */
#define BELL_QUIET 0x502 /* rings nobody, whatever is written */
#define BELL_MMIO 0xd0000050u /* rings for 3, of 4 bytes */
#define BELL_CLEARS 0xd0000064u /* clears bits at BELL_WORD */
#define BELL_HOLE 0xd0000068u /* would clear bits where there is nothing */
#define BELL_WORD 0x8000
#define BELL_STRING 0x8100 /* bytes that are written by a string instruction */
#define BELL_GO 0x8200 /* raised by the test: once more */
#define BELL_DONE 0x8204 /* and done */
#define BELL_STORM 5000

extern const uint8_t bell_guest[], bell_guest_end[];
__asm__(".pushsection .rodata\n"
	".code32\n"
	"bell_guest:\n"
	"	movl	$0x500, %edx\n"
	"	movb	$0x11, %al\n"
	"	outb	%al, %dx\n"
	"	movb	$0x12, %al\n"
	"	outb	%al, %dx\n"
	"	movb	$0x13, %al\n" /* 1: another value */
	"	outb	%al, %dx\n"
	"	movw	$0x11, %ax\n" /* 2: another width */
	"	outw	%ax, %dx\n"
	"	inb	%dx, %al\n" /* 3: a read */
	"	movl	$0x502, %edx\n"
	"	outb	%al, %dx\n"
	"	outw	%ax, %dx\n"
	"	movl	$3, 0xd0000050\n"
	"	movl	$4, 0xd0000050\n" /* 4 */
	"	movw	$3, 0xd0000050\n" /* 5 */
	"	movl	0xd0000050, %eax\n" /* 6 */
	"	movl	$5, 0xd0000064\n"
	"	movl	$7, 0xd0000068\n" /* 7: cannot be done in Xen */
	"	movl	$0x500, %edx\n"
	"	movl	$0x8100, %esi\n"
	"	movl	$2, %ecx\n"
	"	cld\n"
	"	rep outsb\n" /* 8: data in memory */
	"	movl	$5000, %ecx\n"
	"	movb	$0x11, %al\n"
	"1:	outb	%al, %dx\n"
	"	decl	%ecx\n"
	"	jnz	1b\n"
	"	movl	$0x50e, %edx\n"
	"	outb	%al, %dx\n" /* 9 */
	"	movl	$0x500, %edx\n"
	"2:	pause\n"
	"	movl	0x8204, %ebx\n"
	"	cmpl	0x8200, %ebx\n"
	"	je	2b\n"
	"	outb	%al, %dx\n"
	"	incl	0x8204\n"
	"	jmp	2b\n"
	"bell_guest_end:\n"
	".code64\n"
	".popsection\n");

/* An IOREQ server, and the event channel of vCPU 0's requests. */
struct bell_server {
	uint32_t domid;
	ioservid_t id;
	xenforeignmemory_resource_handle *resource;
	shared_iopage_t *page;
	xenevtchn_handle *xe;
	evtchn_port_t port;
};

static int server_state(const struct bell_server *s, uint8_t enabled)
{
	struct xen_dm_op op = { .op = XEN_DMOP_set_ioreq_server_state };

	op.u.set_ioreq_server_state.id = s->id;
	op.u.set_ioreq_server_state.enabled = enabled;
	return dm_op(s->domid, &op);
}

static int server_range(const struct bell_server *s, uint32_t type, uint64_t start,
			uint64_t end)
{
	struct xen_dm_op op = { .op = XEN_DMOP_map_io_range_to_ioreq_server };

	op.u.map_io_range_to_ioreq_server.id = s->id;
	op.u.map_io_range_to_ioreq_server.type = type;
	op.u.map_io_range_to_ioreq_server.start = start;
	op.u.map_io_range_to_ioreq_server.end = end;
	return dm_op(s->domid, &op);
}

static int server_create(struct bell_server *s, uint32_t domid)
{
	struct xen_dm_op op = { .op = XEN_DMOP_create_ioreq_server };
	int rc = dm_op(domid, &op);

	*s = (struct bell_server){ .domid = domid, .id = op.u.create_ioreq_server.id };
	return rc;
}

/* Ports 0x500 to 0x50f and the page at 0xd0000000, enabled. */
static void server_attach(struct bell_server *s)
{
	void *page = NULL;
	int port;

	s->resource = xenforeignmemory_map_resource(fmem, (domid_t)s->domid,
						    XENMEM_resource_ioreq_server, s->id, 1, 1,
						    &page, PROT_READ | PROT_WRITE, 0);
	if (!s->resource)
		bail("map the ioreq page");
	s->page = page;
	if (server_range(s, XEN_DMOP_IO_RANGE_PORT, BELL_PORT, BELL_PORT + 15) ||
	    server_range(s, XEN_DMOP_IO_RANGE_MEMORY, 0xd0000000, 0xd0000fff) ||
	    server_state(s, 1))
		bail("set up an IOREQ server");
	s->xe = xenevtchn_open(NULL, 0);
	port = xenevtchn_bind_interdomain(s->xe, s->domid, s->page->vcpu_ioreq[0].vp_eport);
	if (port < 0)
		bail("bind the ioreq port");
	s->port = (evtchn_port_t)port;
}

static int server_destroy(const struct bell_server *s)
{
	struct xen_dm_op op = { .op = XEN_DMOP_destroy_ioreq_server };

	op.u.destroy_ioreq_server.id = s->id;
	return dm_op(s->domid, &op);
}

static void server_detach(struct bell_server *s)
{
	xenevtchn_close(s->xe);
	xenforeignmemory_unmap_resource(fmem, s->resource);
}

/* The next request of the guest, answered with 0: false when none comes. */
static bool next_request(struct bell_server *s, ioreq_t *out)
{
	ioreq_t *slot = &s->page->vcpu_ioreq[0];

	while (take_event(s->xe, 5000)) {
		if (slot->state != STATE_IOREQ_READY)
			continue;
		__sync_synchronize();
		*out = *slot;
		slot->state = STATE_IOREQ_INPROCESS;
		slot->data = 0;
		__sync_synchronize();
		slot->state = STATE_IORESP_READY;
		xenevtchn_notify(s->xe, s->port);
		return true;
	}
	return false;
}

/* A doorbell of the server: 0 or -errno; its port. */
static int bell(const struct bell_server *s, struct xen_dm_op_xenolith_doorbell how,
		uint32_t *port)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_doorbell };
	int rc;

	op.u.xenolith_doorbell = how;
	op.u.xenolith_doorbell.id = s->id;
	rc = dm_op(s->domid, &op);
	if (port)
		*port = op.u.xenolith_doorbell.port;
	return rc;
}

/* Its events alone, on a handle of their own. */
static xenevtchn_handle *bell_listen(const struct bell_server *s, uint32_t port)
{
	xenevtchn_handle *xe = xenevtchn_open(NULL, 0);

	if (!xe || xenevtchn_bind_interdomain(xe, s->domid, port) < 0)
		bail("bind a doorbell");
	if (!take_event(xe, 1000))
		bail("no event on binding a doorbell");
	return xe;
}

#endif
