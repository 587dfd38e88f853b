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
#define P_BUFFER 320
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
	context_long(ctx, P_TABLES, P_BASE);
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

/* Begin to make these hypercalls, up to P_CALLS_MAX. */
static void proxy_begin(struct proxy *p, const struct call *calls, size_t n)
{
	uint64_t count = n;

	poke(p->domid, P_CALLS, calls, n * sizeof(*calls));
	poke(p->domid, P_COUNT, &count, sizeof(count));
	if (domctl(XEN_DOMCTL_resumedomain, p->domid))
		bail("resumedomain");
}

/* Come to the end of them. */
static void proxy_finish(struct proxy *p, struct call *calls, size_t n)
{
	if (!proxy_wait(p))
		proxy_hangs(p, calls, n);
	peek(p->domid, P_CALLS, calls, n * sizeof(*calls));
}

static void proxy_calls(struct proxy *p, struct call *calls, size_t n)
{
	proxy_begin(p, calls, n);
	proxy_finish(p, calls, n);
}

/* One of them: 0, or a positive result, or -errno. */
static long proxy_call(struct proxy *p, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct call call = { .nr = nr, .arg = { a, b, c }, .rc = P_PENDING };

	proxy_calls(p, &call, 1);
	return (long)call.rc;
}

/* Arguments of such a call, `at` bytes into the memory for them: where that is, to and fro. */
static uint64_t proxy_at(const struct proxy *p, uint64_t at)
{
	(void)p;
	return P_SCRATCH + at;
}

static void proxy_put(struct proxy *p, uint64_t at, const void *data, size_t len)
{
	poke(p->domid, P_SCRATCH + at, data, len);
}

static void proxy_get(struct proxy *p, uint64_t at, void *data, size_t len)
{
	peek(p->domid, P_SCRATCH + at, data, len);
}

#endif
