/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small domains for hvabi.c and hvowner.c, straight from hypercalls: nothing of the
 * monitor is used. All of it is in this header because each is one stand-alone program.
 */
#ifndef TESTS_SYSTEM_HVCALL_H
#define TESTS_SYSTEM_HVCALL_H

#define __XEN_TOOLS__ 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/ioreq.h>
#include <xen/hvm/params.h>
#include <xen/hvm/save.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/sys/privcmd.h>
#include <xen/sysctl.h>

#include <xencall.h>
#include <xenevtchn.h>
#include <xenforeignmemory.h>

#define PAGE 4096u
#define BUFS 16u /* Linux's default, and what Xen takes */

static xencall_handle *xc;
static xenforeignmemory_handle *fmem;
static int privcmd;
static struct xen_domctl *ctl;
static void *scratch; /* a hypercall buffer of 4 pages */
static unsigned nr_tests, nr_failed;

/* One line of TAP. */
static void result(bool ok, const char *what)
{
	nr_tests++;
	nr_failed += !ok;
	printf("%sok %u - %s\n", ok ? "" : "not ", nr_tests, what);
}

/* One test: an expression and what it should be. */
#define IS(expr, want, what)                                                                 \
	do {                                                                                 \
		long got_ = (long)(expr), want_ = (long)(want);                              \
		result(got_ == want_, what);                                                 \
		if (got_ != want_)                                                           \
			printf("# line %d: got %ld (0x%lx), expected %ld\n", __LINE__, got_, \
			       (unsigned long)got_, want_);                                  \
	} while (0)

/* Give up: the test itself could not go on. */
static void bail(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Milliseconds, monotonic. */
static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* The domctl in *ctl: 0 or -errno. */
static int domctl(uint32_t cmd, uint32_t domid)
{
	ctl->cmd = cmd;
	ctl->domain = (domid_t)domid;
	ctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	return xencall1(xc, __HYPERVISOR_domctl, (uintptr_t)ctl) < 0 ? -errno : 0;
}

/* A dm_op through @fd with data buffers bufs[1..n-1] from the caller. */
static int dm_op_fd(int fd, uint32_t domid, struct xen_dm_op *op,
		    struct privcmd_dm_op_buf *bufs, unsigned n)
{
	struct privcmd_dm_op arg = {
		.dom = (domid_t)domid,
		.num = (uint16_t)n,
		.ubufs = bufs,
	};

	bufs[0].uptr = op;
	bufs[0].size = sizeof(*op);
	return ioctl(fd, IOCTL_PRIVCMD_DM_OP, &arg) < 0 ? -errno : 0;
}

/* A dm_op without data buffers. */
static int dm_op(uint32_t domid, struct xen_dm_op *op)
{
	struct privcmd_dm_op_buf buf;

	return dm_op_fd(privcmd, domid, op, &buf, 1);
}

/* For createdomain: room for so many vCPUs, with these XEN_X86_EMU_*. */
static void config_for(unsigned vcpus, uint32_t emulation)
{
	memset(ctl, 0, sizeof(*ctl));
	ctl->u.createdomain.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap |
				    XEN_DOMCTL_CDF_oos_off;
	ctl->u.createdomain.max_vcpus = vcpus;
	ctl->u.createdomain.max_evtchn_port = 31;
	ctl->u.createdomain.max_grant_frames = 4;
	ctl->u.createdomain.max_maptrack_frames = 1;
	ctl->u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(1);
	ctl->u.createdomain.arch.emulation_flags = emulation;
}

/* An empty domain of this kind: 0 or -errno. */
static int create_for(unsigned vcpus, uint32_t *domid, uint32_t emulation)
{
	int rc;

	config_for(vcpus, emulation);
	rc = domctl(XEN_DOMCTL_createdomain, 0);
	*domid = ctl->domain;
	return rc;
}

static int create(uint32_t *domid, uint32_t emulation)
{
	return create_for(1, domid, emulation);
}

/* Destroy it by domctl. */
static void destroy(uint32_t domid)
{
	while (domctl(XEN_DOMCTL_destroydomain, domid) == -EAGAIN)
		;
}

/* Make its vCPUs: 0 or -errno. */
static int max_vcpus(uint32_t domid, uint32_t n)
{
	memset(&ctl->u, 0, sizeof(ctl->u));
	ctl->u.max_vcpus.max = n;
	return domctl(XEN_DOMCTL_max_vcpus, domid);
}

/* A domain with one vCPU and @pages pages of RAM from 0 on. */
static uint32_t make_domain(unsigned pages)
{
	struct xen_memory_reservation *res = scratch;
	xen_pfn_t *frame = (xen_pfn_t *)((char *)scratch + PAGE);
	uint32_t domid;

	if (create(&domid, XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC))
		bail("createdomain");
	if (max_vcpus(domid, 1))
		bail("max_vcpus");
	memset(&ctl->u, 0, sizeof(ctl->u));
	ctl->u.max_mem.max_memkb = pages * 4 + 1024;
	if (domctl(XEN_DOMCTL_max_mem, domid))
		bail("max_mem");
	for (unsigned done = 0; done < pages;) {
		unsigned n = pages - done < 1024 ? pages - done : 1024;

		for (unsigned i = 0; i < n; i++)
			frame[i] = done + i;
		memset(res, 0, sizeof(*res));
		res->nr_extents = n;
		res->domid = (domid_t)domid;
		set_xen_guest_handle_raw(res->extent_start, frame);
		if (xencall2(xc, __HYPERVISOR_memory_op, XENMEM_populate_physmap,
			     (uintptr_t)res) != (int)n)
			bail("populate_physmap");
		done += n;
	}
	return domid;
}

/*
 * guest_copy of @len bytes of @data, in buffers of a page each; sets *@done if it is given.
 */
static int copy(uint32_t domid, uint64_t gpa, uint32_t flags, void *data, size_t len,
		uint32_t *done)
{
	struct privcmd_dm_op_buf bufs[BUFS];
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_guest_copy };
	unsigned n = 1;
	int rc;

	op.u.xenolith_guest_copy.gpa = gpa;
	op.u.xenolith_guest_copy.flags = flags;
	for (size_t at = 0; at < len && n < BUFS; n++) {
		bufs[n].uptr = (char *)data + at;
		bufs[n].size = len - at < PAGE ? len - at : PAGE;
		at += bufs[n].size;
	}
	rc = dm_op_fd(privcmd, domid, &op, bufs, n);
	if (done)
		*done = op.u.xenolith_guest_copy.done;
	return rc;
}

/* The records of a domain that has not run, for sethvmcontext. */
struct context {
	struct hvm_save_descriptor hd;
	HVM_SAVE_TYPE(HEADER) h;
	struct hvm_save_descriptor cd;
	HVM_SAVE_TYPE(CPU) c;
	struct hvm_save_descriptor ed;
	HVM_SAVE_TYPE(END) e;
} __attribute__((packed));

/* vCPU 0 at address 0 in flat 32-bit mode, with interrupts off. */
static void context_init(struct context *ctx)
{
	memset(ctx, 0, sizeof(*ctx));
	ctx->hd.typecode = HVM_SAVE_CODE(HEADER);
	ctx->hd.length = sizeof(ctx->h);
	ctx->h.magic = HVM_FILE_MAGIC;
	ctx->h.version = HVM_FILE_VERSION;
	ctx->cd.typecode = HVM_SAVE_CODE(CPU);
	ctx->cd.length = sizeof(ctx->c);
	ctx->c.cr0 = 0x11;
	ctx->c.rflags = 2;
	ctx->c.dr6 = 0xffff0ff0;
	ctx->c.dr7 = 0x400;
	ctx->c.cs_limit = ctx->c.ds_limit = ctx->c.es_limit = ~0u;
	ctx->c.ss_limit = ctx->c.fs_limit = ctx->c.gs_limit = ~0u;
	ctx->c.tr_limit = 0x67;
	ctx->c.cs_arbytes = 0xc9b;
	ctx->c.ds_arbytes = ctx->c.es_arbytes = ctx->c.ss_arbytes = 0xc93;
	ctx->c.fs_arbytes = ctx->c.gs_arbytes = 0xc93;
	ctx->c.tr_arbytes = 0x8b;
	ctx->ed.typecode = HVM_SAVE_CODE(END);
}

/* vCPU 0 in 64-bit mode. */
static void context_long(struct context *ctx, uint64_t cr3, uint64_t rip)
{
	context_init(ctx);
	ctx->c.cr0 |= 0x80000000;
	ctx->c.cr3 = cr3;
	ctx->c.cr4 = 0x20;
	ctx->c.msr_efer = 0x500;
	ctx->c.cs_arbytes = 0xa9b;
	ctx->c.rip = rip;
}

/* Let it start with what is in `scratch`. */
static void run_context(uint32_t domid)
{
	memset(&ctl->u, 0, sizeof(ctl->u));
	ctl->u.hvmcontext.size = sizeof(struct context);
	set_xen_guest_handle_raw(ctl->u.hvmcontext.buffer, scratch);
	if (domctl(XEN_DOMCTL_sethvmcontext, domid))
		bail("sethvmcontext");
	if (domctl(XEN_DOMCTL_unpausedomain, domid))
		bail("unpausedomain");
}

/* Let vCPU 0 start at address 0 in flat 32-bit mode, with interrupts off. */
static void run(uint32_t domid, const void *code, size_t len)
{
	char *buf = aligned_alloc(PAGE, PAGE);

	memset(buf, 0x90, PAGE);
	memcpy(buf, code, len);
	if (copy(domid, 0, XENOLITH_COPY_to_guest, buf, PAGE, NULL))
		bail("guest_copy of code");
	free(buf);
	context_init(scratch);
	run_context(domid);
}

/* The handles and buffers that all of the above use. */
static void open_all(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	xc = xencall_open(NULL, 0);
	fmem = xenforeignmemory_open(NULL, 0);
	privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
	if (!xc || !fmem || privcmd < 0)
		bail("open /dev/xen/privcmd");
	ctl = xencall_alloc_buffer_pages(xc, 1);
	scratch = xencall_alloc_buffer_pages(xc, 4);
	if (!ctl || !scratch)
		bail("hypercall buffers");
	memset(scratch, 0, 4 * PAGE);
}

/* Ask for the state of the domain and its port. */
static int lifecycle(uint32_t domid, struct xen_dm_op_xenolith_lifecycle *l)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_lifecycle };
	int rc = dm_op(domid, &op);

	*l = op.u.xenolith_lifecycle;
	return rc;
}

/* Ask for the lifeline's port. */
static int lifeline(uint32_t domid, uint32_t *port)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_lifeline };
	int rc = dm_op(domid, &op);

	*port = op.u.xenolith_lifeline.port;
	return rc;
}

/* Wait up to @ms for an event on @xe and take it: 1 or 0. */
static int take_event(xenevtchn_handle *xe, int ms)
{
	struct pollfd p = { .fd = xenevtchn_fd(xe), .events = POLLIN };
	xenevtchn_port_or_error_t port;

	if (poll(&p, 1, ms) != 1)
		return 0;
	port = xenevtchn_pending(xe);
	if (port < 0)
		bail("xenevtchn_pending");
	xenevtchn_unmask(xe, (evtchn_port_t)port);
	return 1;
}

/* The one in `scratch`: 0 or -errno. */
static int do_sysctl(struct xen_sysctl *s, uint32_t cmd)
{
	s->cmd = cmd;
	s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	return xencall1(xc, __HYPERVISOR_sysctl, (uintptr_t)s) < 0 ? -errno : 0;
}

/* Memory that is free or soon will be, in pages. */
static long free_pages(void)
{
	struct xen_sysctl *s = scratch;

	memset(s, 0, sizeof(*s));
	if (do_sysctl(s, XEN_SYSCTL_physinfo))
		bail("physinfo");
	return (long)(s->u.physinfo.free_pages + s->u.physinfo.scrub_pages);
}

/* Free memory, once it is the same for a while. */
static long settled_pages(void)
{
	long last = 0, now = free_pages();

	for (unsigned i = 0; i < 50 && now != last; i++) {
		last = now;
		usleep(200000);
		now = free_pages();
	}
	return now;
}

/* Wait until there is no such domain: for how many milliseconds, or -1. */
static long gone_after(uint32_t domid, int limit_ms)
{
	double start = now_ms();

	do {
		ctl->u.getdomaininfo.domain = 0;
		if (domctl(XEN_DOMCTL_getdomaininfo, domid) == -ESRCH ||
		    ctl->u.getdomaininfo.domain != domid)
			return (long)(now_ms() - start);
		usleep(2000);
	} while (now_ms() - start < limit_ms);
	return -1;
}

#endif
