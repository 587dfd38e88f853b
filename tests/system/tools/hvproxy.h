/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain that makes hypercalls for hvowner.c: a guest of a few instructions that works
 * off a table in its memory and suspends itself until there is another table. So that
 * one program in dom0 plays every domain there is, a compromised one, too.
 */
#ifndef TESTS_SYSTEM_HVPROXY_H
#define TESTS_SYSTEM_HVPROXY_H

#include "tests/system/tools/hvcall.h"

#include <xen/event_channel.h>
#include <xen/grant_table.h>

/*
 * The guest's memory. Virtual addresses are physical from 2 MiB on. What is below is at
 * P_BASE, so that the guest's own code and tables are not where the arguments that it
 * passes on, and what the hypervisor writes to them, may happen to point to.
 */
#define P_BASE 0x7f0000000000
#define P_TABLES 0x9000 /* page tables, five pages */
#define P_COUNT 0x5000 /* entries to work off */
#define P_CALLS 0x10000 /* struct call */
#define P_CALLS_MAX 1024
#define P_BUFFERS 0x200000 /* one of P_BUFFER bytes for each call */
#define P_BUFFER 256
#define P_SCRATCH 0x280000 /* for whoever makes a single call */
#define P_PAGES 1024
#define P_PENDING 0x5a5a5a5a
#define P_HOLE 0x4000 /* a frame where there is nothing */

/* One hypercall. */
struct call {
	uint64_t nr, arg[5];
	int64_t rc;
	uint64_t pad;
};

struct proxy {
	uint32_t domid;
	xenevtchn_handle *stopped;
};

extern const uint8_t proxy_guest[], proxy_guest_end[];
__asm__(".pushsection .rodata\n"
	"proxy_guest:\n"
	"	movabsq	$0x7f0000000000, %rbp\n" /* P_BASE */
	"	leaq	0x8000(%rbp), %rsp\n"
	"	movl	$0x40000000, %ecx\n" /* MSR: put the hypercall page at */
	"	movl	$0x4000, %eax\n"
	"	xorl	%edx, %edx\n"
	"	wrmsr\n"
	"1:	movq	0x5000(%rbp), %r12\n" /* P_COUNT */
	"	leaq	0x10000(%rbp), %rbx\n" /* P_CALLS */
	"2:	testq	%r12, %r12\n"
	"	jz	3f\n"
	"	movq	8(%rbx), %rdi\n"
	"	movq	16(%rbx), %rsi\n"
	"	movq	24(%rbx), %rdx\n"
	"	movq	32(%rbx), %r10\n"
	"	movq	40(%rbx), %r8\n"
	"	movl	(%rbx), %eax\n"
	"	shll	$5, %eax\n"
	"	leaq	0x4000(%rbp, %rax), %rax\n"
	"	call	*%rax\n"
	"	movq	%rax, 48(%rbx)\n"
	"	addq	$64, %rbx\n"
	"	decq	%r12\n"
	"	jmp	2b\n"
	"3:	movl	$2, %edi\n" /* SCHEDOP_shutdown */
	"	leaq	0x5010(%rbp), %rsi\n" /* reason: suspend */
	"	leaq	0x4000 + 29 * 32(%rbp), %rax\n"
	"	call	*%rax\n"
	"	jmp	1b\n"
	"proxy_guest_end:\n"
	".popsection\n");

static void peek(uint32_t domid, uint64_t gpa, void *to, size_t len)
{
	for (size_t at = 0; at < len; at += 15 * PAGE) {
		size_t n = len - at < 15 * PAGE ? len - at : 15 * PAGE;

		if (copy(domid, gpa + at, XENOLITH_COPY_from_guest, (char *)to + at, n, NULL))
			bail("guest_copy from a guest");
	}
}

/* By way of a buffer, as Linux wants to be able to write to those of a dm_op. */
static void poke(uint32_t domid, uint64_t gpa, const void *from, size_t len)
{
	static uint8_t buf[15 * PAGE] __attribute__((aligned(PAGE)));

	for (size_t at = 0; at < len; at += sizeof(buf)) {
		size_t n = len - at < sizeof(buf) ? len - at : sizeof(buf);

		memcpy(buf, (const char *)from + at, n);
		if (copy(domid, gpa + at, XENOLITH_COPY_to_guest, buf, n, NULL))
			bail("guest_copy to a guest");
	}
}

/* Put the guest and its page tables into a domain that has not run. */
static void proxy_load(uint32_t domid)
{
	static uint64_t tables[5][PAGE / 8];
	static const uint32_t suspend = SHUTDOWN_suspend;
	const uint64_t none = 0;

	tables[0][0] = (P_TABLES + PAGE) | 3;
	tables[1][0] = (P_TABLES + 2 * PAGE) | 3;
	for (unsigned i = 1; i < 512; i++)
		tables[2][i] = (uint64_t)i << 21 | 0x83;
	tables[0][P_BASE >> 39] = (P_TABLES + 3 * PAGE) | 3;
	tables[3][0] = (P_TABLES + 4 * PAGE) | 3;
	tables[4][0] = 0x83;
	poke(domid, 0, proxy_guest, (size_t)(proxy_guest_end - proxy_guest));
	poke(domid, P_TABLES, tables, sizeof(tables));
	poke(domid, P_COUNT, &none, sizeof(none));
	poke(domid, P_COUNT + 0x10, &suspend, sizeof(suspend));
}

/* vCPU 0 in 64-bit mode, as proxy_load() left it. */
static void proxy_context(struct context *ctx)
{
	context_init(ctx);
	ctx->c.cr0 |= 0x80000000;
	ctx->c.cr3 = P_TABLES;
	ctx->c.cr4 = 0x20;
	ctx->c.msr_efer = 0x500;
	ctx->c.cs_arbytes = 0xa9b;
	ctx->c.rip = P_BASE;
}

/* Until it has done what there was to do: whether it has. */
static bool proxy_wait(struct proxy *p)
{
	struct xen_dm_op_xenolith_lifecycle l;

	for (unsigned i = 0; i < 120; i++) {
		if (lifecycle(p->domid, &l))
			bail("lifecycle of a proxy");
		if (l.flags & XENOLITH_LIFECYCLE_shutdown) {
			if (l.reason != SHUTDOWN_suspend)
				bail("a proxy crashed");
			return true;
		}
		take_event(p->stopped, 1000);
	}
	return false;
}

/* From a domain with a guest that proxy_load() put there, and dom0 may ask for its port. */
static void proxy_start(struct proxy *p, uint32_t domid)
{
	struct xen_dm_op_xenolith_lifecycle l;

	p->domid = domid;
	p->stopped = xenevtchn_open(NULL, 0);
	if (lifecycle(domid, &l) || xenevtchn_bind_interdomain(p->stopped, domid, l.port) < 0)
		bail("lifecycle of a proxy");
	proxy_context(scratch);
	run_context(domid);
	if (!proxy_wait(p))
		bail("a proxy does not start");
}

static void proxy_end(struct proxy *p)
{
	destroy(p->domid);
	xenevtchn_close(p->stopped);
	if (gone_after(p->domid, 60000) < 0)
		bail("a proxy does not go away");
}

/* Say what it is that does not end. */
static void proxy_hangs(struct proxy *p, struct call *calls, size_t n)
{
	uint32_t words[48];
	struct call *c = calls;

	peek(p->domid, P_CALLS, calls, n * sizeof(*calls));
	while (c < calls + n && c->rc != P_PENDING)
		c++;
	if (c == calls + n)
		bail("a proxy does not suspend itself");
	peek(p->domid, n == 1 ? P_SCRATCH : P_BUFFERS + (uint64_t)(c - calls) * P_BUFFER, words,
	     sizeof(words));
	printf("# hypercall %llu (%#llx, %#llx, %#llx, %#llx):", (unsigned long long)c->nr,
	       (unsigned long long)c->arg[0], (unsigned long long)c->arg[1],
	       (unsigned long long)c->arg[2], (unsigned long long)c->arg[3]);
	for (unsigned i = 0; i < sizeof(words) / sizeof(*words); i++)
		printf(" %x", words[i]);
	printf("\n");
	bail("a proxy hangs");
}

/* Make these hypercalls. */
static void proxy_calls(struct proxy *p, struct call *calls, size_t n)
{
	uint64_t count = n;

	poke(p->domid, P_CALLS, calls, n * sizeof(*calls));
	poke(p->domid, P_COUNT, &count, sizeof(count));
	if (domctl(XEN_DOMCTL_resumedomain, p->domid))
		bail("resumedomain");
	if (!proxy_wait(p))
		proxy_hangs(p, calls, n);
	peek(p->domid, P_CALLS, calls, n * sizeof(*calls));
}

/* One of them: 0, or a positive result, or -errno. */
static long proxy_call(struct proxy *p, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct call call = { .nr = nr, .arg = { a, b, c }, .rc = P_PENDING };

	proxy_calls(p, &call, 1);
	return (long)call.rc;
}

/* The same with a structure, which is copied there and back. */
static long proxy_struct(struct proxy *p, uint64_t nr, uint64_t cmd, void *data, size_t len)
{
	long rc;

	poke(p->domid, P_SCRATCH, data, len);
	rc = proxy_call(p, nr, cmd, P_SCRATCH, 1);
	peek(p->domid, P_SCRATCH, data, len);
	return rc;
}

static struct xen_domctl pctl;

/* The domctl in `pctl`, whose arguments it leaves as the hypervisor did. */
static long proxy_domctl(struct proxy *p, uint32_t cmd, uint32_t domid)
{
	long rc;

	pctl.cmd = cmd;
	pctl.domain = (domid_t)domid;
	pctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	poke(p->domid, P_SCRATCH, &pctl, sizeof(pctl));
	rc = proxy_call(p, __HYPERVISOR_domctl, P_SCRATCH, 0, 0);
	peek(p->domid, P_SCRATCH, &pctl, sizeof(pctl));
	return rc;
}

/* Without arguments. */
static long proxy_plain_domctl(struct proxy *p, uint32_t cmd, uint32_t domid)
{
	memset(&pctl.u, 0, sizeof(pctl.u));
	return proxy_domctl(p, cmd, domid);
}

/* With `len` bytes at `data` in the proxy's memory as its data buffer, if there are any. */
static long proxy_dm_op(struct proxy *p, uint32_t domid, struct xen_dm_op *op, uint64_t data,
			uint64_t len)
{
	uint64_t bufs[4] = { P_SCRATCH + PAGE, sizeof(*op), data, len };
	long rc;

	poke(p->domid, P_SCRATCH, bufs, sizeof(bufs));
	poke(p->domid, P_SCRATCH + PAGE, op, sizeof(*op));
	rc = proxy_call(p, __HYPERVISOR_dm_op, domid, len ? 2 : 1, P_SCRATCH);
	peek(p->domid, P_SCRATCH + PAGE, op, sizeof(*op));
	return rc;
}

/* populate_physmap of pages from `gfn` on: how many, or -errno. */
static long proxy_populate(struct proxy *p, uint32_t domid, uint64_t gfn, unsigned n)
{
	static xen_pfn_t frames[4096];
	struct xen_memory_reservation r = { .nr_extents = n, .domid = (domid_t)domid };

	for (unsigned i = 0; i < n; i++)
		frames[i] = gfn + i;
	poke(p->domid, P_SCRATCH + PAGE, frames, n * sizeof(*frames));
	set_xen_guest_handle_raw(r.extent_start, (void *)(uintptr_t)(P_SCRATCH + PAGE));
	return proxy_struct(p, __HYPERVISOR_memory_op, XENMEM_populate_physmap, &r, sizeof(r));
}

/* Map `gfn` of `domid` at `at` in `into`, which is DOMID_SELF or one of its own. */
static long proxy_map(struct proxy *p, uint32_t into, uint32_t domid, uint64_t gfn, uint64_t at)
{
	struct xen_add_to_physmap_batch b = {
		.domid = (domid_t)into,
		.space = XENMAPSPACE_gmfn_foreign,
		.size = 1,
		.u.foreign_domid = (domid_t)domid,
	};
	struct {
		uint64_t from, to;
		int32_t err;
	} list = { gfn, at, 0 };
	long rc;

	poke(p->domid, P_SCRATCH + PAGE, &list, sizeof(list));
	set_xen_guest_handle_raw(b.idxs, (void *)(uintptr_t)(P_SCRATCH + PAGE));
	set_xen_guest_handle_raw(b.gpfns, (void *)(uintptr_t)(P_SCRATCH + PAGE + 8));
	set_xen_guest_handle_raw(b.errs, (void *)(uintptr_t)(P_SCRATCH + PAGE + 16));
	rc = proxy_struct(p, __HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, &b,
			  sizeof(b));
	peek(p->domid, P_SCRATCH + PAGE, &list, sizeof(list));
	return rc ? rc : list.err;
}

/* Take what is at `at` away again. */
static long proxy_unmap(struct proxy *p, uint64_t at)
{
	struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = at };

	return proxy_struct(p, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &r,
			    sizeof(r));
}

#endif
