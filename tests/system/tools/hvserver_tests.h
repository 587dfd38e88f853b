/* SPDX-License-Identifier: Apache-2.0 */
/* What an IOREQ server is sent when pages go away: a part of hvabi.c. */
#ifndef TESTS_SYSTEM_HVSERVER_TESTS_H
#define TESTS_SYSTEM_HVSERVER_TESTS_H

#include "tests/system/tools/hvbell.h"

#define GIVING_DOMID 0x8ffc /* told by the test */
#define GIVING_RESULTS 0x8f00 /* of the hypercalls */
#define GIVING_DONE (BELL_PORT + 14)

/*
 * Over and over: maps a page by a grant of its own (grant table at 0x21000, entry 8; a page
 * from 0x2000 on, mapped at 0x20000), which Xen takes away from where it was; unmaps it,
 * writes to GIVING_DONE; gives a page back, and writes there again.
 */
extern const uint8_t giving_guest[], giving_guest_end[];
__asm__(".pushsection .rodata\n"
	".code32\n"
	"giving_guest:\n"
	"	movl	$0xa000, %esp\n"
	"	movl	$0x40000000, %ecx\n" /* MSR: the hypercall page */
	"	movl	$0x7000, %eax\n"
	"	xorl	%edx, %edx\n"
	"	wrmsr\n"
	"	movl	$0x00007ff0, 0x8000\n" /* add_to_physmap: DOMID_SELF, */
	"	movl	$1, 0x8004\n" /* grant table, */
	"	movl	$0, 0x8008\n" /* frame 0, */
	"	movl	$0x21, 0x800c\n" /* at 0x21000 */
	"	movl	$7, %ebx\n"
	"	movl	$0x8000, %ecx\n"
	"	movl	$0x7180, %eax\n" /* memory_op */
	"	call	*%eax\n"
	"	movl	%eax, 0x8f00\n"
	"	movw	0x8ffc, %ax\n"
	"	movw	%ax, 0x21042\n" /* entry 8: for ourselves, */
	"	movw	$1, 0x21040\n" /* permitted */
	"	movl	$0xd, %ebp\n" /* pages to give back */
	"1:	leal	-0xb(%ebp), %eax\n"
	"	movl	%eax, 0x21044\n" /* the frame */
	"	movl	$0x20000, 0x8100\n" /* map_grant_ref: at, */
	"	movl	$0, 0x8104\n"
	"	movl	$2, 0x8108\n" /* host map, */
	"	movl	$8, 0x810c\n" /* entry, */
	"	movzwl	0x8ffc, %eax\n"
	"	movl	%eax, 0x8110\n" /* whose; status, handle, bus address are OUT */
	"	movl	$0, %ebx\n"
	"	movl	$0x8100, %ecx\n"
	"	movl	$1, %edx\n"
	"	movl	$0x7280, %eax\n" /* grant_table_op */
	"	call	*%eax\n"
	"	movl	0x8110, %eax\n"
	"	movl	%eax, 0x8f04\n" /* status above the domid */
	"	movl	$0x20000, 0x8200\n" /* unmap_grant_ref: at, */
	"	movl	$0, 0x8204\n"
	"	movl	$0, 0x8208\n"
	"	movl	$0, 0x820c\n"
	"	movl	0x8114, %eax\n"
	"	movl	%eax, 0x8210\n" /* handle */
	"	movl	$1, %ebx\n"
	"	movl	$0x8200, %ecx\n"
	"	movl	$1, %edx\n"
	"	movl	$0x7280, %eax\n"
	"	call	*%eax\n"
	"	movl	0x8214, %eax\n"
	"	movl	%eax, 0x8f08\n"
	"	movl	$0x50e, %edx\n"
	"	movb	$1, %al\n"
	"	outb	%al, %dx\n"
	"	movl	%ebp, 0x8320\n"
	"	movl	$0x8320, 0x8300\n" /* decrease_reservation: extents at, */
	"	movl	$1, 0x8304\n" /* one, */
	"	movl	$0, 0x8308\n"
	"	movl	$0, 0x830c\n"
	"	movl	$0x7ff0, 0x8310\n"
	"	movl	$1, %ebx\n"
	"	movl	$0x8300, %ecx\n"
	"	movl	$0x7180, %eax\n"
	"	call	*%eax\n"
	"	movl	%eax, 0x8f0c\n"
	"	movl	$0x50e, %edx\n"
	"	movb	$2, %al\n"
	"	outb	%al, %dx\n"
	"	incl	%ebp\n"
	"	cmpl	$0x10, %ebp\n"
	"	jb	1b\n"
	"2:	hlt\n"
	"	jmp	2b\n"
	"giving_guest_end:\n"
	".code64\n"
	".popsection\n");

static int server_flags(const struct bell_server *s, uint32_t flags, uint16_t pad)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_server };

	op.u.xenolith_server.id = s->id;
	op.u.xenolith_server.flags = flags;
	op.u.xenolith_server.pad = pad;
	return dm_op(s->domid, &op);
}

/* Requests until the guest says `value`: how many are INVALIDATE. */
static unsigned invalidations(struct bell_server *s, uint8_t value)
{
	unsigned n = 0;
	ioreq_t r;

	while (next_request(s, &r)) {
		if (r.type == IOREQ_TYPE_INVALIDATE)
			n++;
		else
			return r.addr == GIVING_DONE && (uint8_t)r.data == value ? n : 1000;
	}
	return 2000;
}

static void test_server(void)
{
	uint32_t domid = make_domain(16), results[4];
	struct bell_server s, other;

	if (server_create(&s, domid))
		bail("create_ioreq_server");
	server_attach(&s);
	other = s;
	other.id++;
	IS(server_flags(&s, 4, 0), -EINVAL, "server: no such flag");
	IS(server_flags(&s, 1, 1), -EINVAL, "server: padding is checked");
	IS(server_flags(&other, 1, 0), -ENOENT, "server: no such server");
	if (copy(domid, GIVING_DOMID, XENOLITH_COPY_to_guest, &domid, 2, NULL))
		bail("guest_copy of the domid");
	run(domid, giving_guest, (size_t)(giving_guest_end - giving_guest));
	IS(invalidations(&s, 1), 2, "server: is told of a page that moves, and its grant");
	IS(invalidations(&s, 2), 1, "server: and of a page that is given back");
	if (copy(domid, GIVING_RESULTS, XENOLITH_COPY_from_guest, results, sizeof(results),
		 NULL))
		bail("guest_copy of results");
	IS(results[0] | results[1] >> 16 | (results[2] & 0xffff), 0,
	   "server: the guest could map and unmap");
	IS(results[3], 1, "server: and give back");
	server_detach(&s);
	destroy(domid);
}

/* The same with flags from the beginning. */
static void test_server_flags(uint32_t flags, unsigned moved, unsigned given, const char *what)
{
	uint32_t domid = make_domain(16);
	struct bell_server s;

	if (server_create(&s, domid))
		bail("create_ioreq_server");
	server_attach(&s);
	IS(server_flags(&s, flags, 0), 0, what);
	if (copy(domid, GIVING_DOMID, XENOLITH_COPY_to_guest, &domid, 2, NULL))
		bail("guest_copy of the domid");
	run(domid, giving_guest, (size_t)(giving_guest_end - giving_guest));
	for (unsigned i = 0; i < 2; i++) {
		IS(invalidations(&s, 1), moved, "server: told of what moves and is unmapped");
		IS(invalidations(&s, 2), given, "server: told of what is given back");
	}
	server_detach(&s);
	destroy(domid);
}

static void test_servers(void)
{
	test_server();
	test_server_flags(XENOLITH_SERVER_invalidate_mappable, 1, 1,
			  "server: only what can be mapped");
	test_server_flags(XENOLITH_SERVER_no_invalidate, 0, 0, "server: nothing");
	test_server_flags(0, 2, 1, "server: all");
}

#endif
