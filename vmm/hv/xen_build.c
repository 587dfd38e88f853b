/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's half of Xen: see xen_build.h. */
#include "vmm/hv/xen_build.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <xen/xen.h>

#include <xen/domctl.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/version.h>
#include <xencall.h>
#include <xenevtchn.h>

#include "vmm/hv/xen_dmop.h"
#include "vmm/hv/xen_vcpu.h"
#include "vmm/lib/gmem.h"
#include "vmm/lib/log.h"

#define EXTENT_ORDER_2M 9
/* Extents a hypercall: a page of frame numbers. */
#define EXTENTS_MAX 512
/* Beyond RAM: what the guest kernel may ask to have mapped for itself. */
#define EXTRA_KIB 256
/* Event channels: per vCPU an ioreq port of ours and the guest's timer and IPIs. */
#define EVTCHNS_BASE 64
#define EVTCHNS_PER_VCPU 16

struct xen_builder {
	xencall_handle *call;
	xenevtchn_handle *evtchn; /* its death is the domain's: the lifeline */
	struct xen_dmop dmop;
	/* In memory that the hypervisor can reach. */
	struct xen_domctl *domctl;
	struct xen_vcpu_context *vcpu;
	xen_pfn_t *extents;
	struct xen_memory_reservation *reservation;
	struct xen_hvm_param *param;

	bool exists;
	bool populated;
	unsigned vcpus;
	struct keeper_info info;
};

/* ---- hypercalls ---- */

static struct xen_domctl *begin(struct xen_builder *b)
{
	memset(b->domctl, 0, sizeof(*b->domctl));
	b->domctl->domain = (domid_t)b->info.domid;
	return b->domctl;
}

static int domctl(struct xen_builder *b, uint32_t cmd, const char *name, struct err *e)
{
	int rc;

	b->domctl->cmd = cmd;
	b->domctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	b->info.hypercalls++;
	rc = xencall1(b->call, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)b->domctl);
	if (rc >= 0)
		return 0;
	rc = -errno;
	return err_set(e, rc, "domain %u: %s: %s", b->info.domid, name, strerror(-rc));
}

static long memory_op(struct xen_builder *b, unsigned op)
{
	long rc;

	b->info.hypercalls++;
	rc = xencall2L(b->call, __HYPERVISOR_memory_op, op,
		       (uint64_t)(uintptr_t)b->reservation);
	return rc < 0 ? -errno : rc;
}

/* ---- creating ---- */

static int create_domain(struct xen_builder *b, uint32_t emulation, struct err *e)
{
	struct xen_domctl_createdomain *c = &begin(b)->u.createdomain;
	int rc;

	c->flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap | XEN_DOMCTL_CDF_oos_off;
	c->max_vcpus = b->vcpus;
	c->max_evtchn_port = EVTCHNS_BASE + EVTCHNS_PER_VCPU * b->vcpus;
	/* With one frame Linux' gnttab_init takes a NULL pointer; it wants two or more. */
	c->max_grant_frames = 4;
	c->grant_opts = XEN_DOMCTL_GRANT_version(1);
	c->arch.emulation_flags = emulation;
	rc = domctl(b, XEN_DOMCTL_createdomain, "create", e);
	if (rc == 0) {
		b->info.domid = b->domctl->domain;
		b->exists = true;
	}
	return rc;
}

/*
 * The micro profile first; an unpatched hypervisor refuses it, and gets a domain with
 * all of its emulation, because virtio-mmio interrupts need an IOAPIC.
 */
static int create_profile(struct xen_builder *b, struct err *e)
{
	static const uint32_t emulation[] = {
		[KEEPER_MICRO] = XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC,
		[KEEPER_FULL_HVM] = XEN_X86_EMU_ALL &
				    ~(XEN_X86_EMU_VPCI | XEN_X86_EMU_USE_PIRQ),
	};
	int rc = create_domain(b, emulation[b->info.profile], e);

	if (b->info.profile == KEEPER_MICRO && (rc == -EINVAL || rc == -EOPNOTSUPP)) {
		struct err full;

		if (create_domain(b, emulation[KEEPER_FULL_HVM], &full) == 0) {
			b->info.profile = KEEPER_FULL_HVM;
			rc = 0;
		}
	}
	return rc;
}

/* From now on the domain dies with this process, however that dies. */
static int take_lifeline(struct xen_builder *b, struct err *e)
{
	uint32_t port;
	int rc = xen_dmop_lifeline(&b->dmop, b->info.domid, &port);

	if (rc == -EOPNOTSUPP)
		return 0;
	if (rc < 0)
		return err_set(e, rc, "domain %u: lifeline: %s", b->info.domid, strerror(-rc));
	rc = xenevtchn_bind_interdomain(b->evtchn, b->info.domid, port);
	if (rc < 0)
		return err_set(e, -errno, "domain %u: binding its lifeline: %s", b->info.domid,
			       strerror(errno));
	return 0;
}

static int open_lifeline(struct xen_builder *b, struct err *e)
{
	/* A new one for each domain: closing it is what the lifeline watches. */
	b->evtchn = xenevtchn_open(NULL, 0);
	if (!b->evtchn)
		return err_set(e, -errno, "/dev/xen/evtchn: %s", strerror(errno));
	return 0;
}

static int make_shell(struct xen_builder *b, struct err *e)
{
	struct xen_domctl *d;
	int rc = create_profile(b, e);

	if (rc < 0)
		return rc;
	rc = open_lifeline(b, e);
	if (rc == 0)
		rc = take_lifeline(b, e);
	if (rc < 0)
		return rc;
	begin(b)->u.max_vcpus.max = b->vcpus;
	rc = domctl(b, XEN_DOMCTL_max_vcpus, "max_vcpus", e);
	if (rc < 0)
		return rc;
	/* The default traps RDTSC on hosts whose TSC is not known to be reliable. */
	d = begin(b);
	d->u.tsc_info.tsc_mode = 2;
	rc = domctl(b, XEN_DOMCTL_settscinfo, "settscinfo", e);
	if (rc < 0)
		return rc;
	/* Else a triple fault is told as a reboot. No Linux uses Xen's watchdog code. */
	b->param->domid = (domid_t)b->info.domid;
	b->param->index = HVM_PARAM_TRIPLE_FAULT_REASON;
	b->param->value = SHUTDOWN_watchdog;
	b->info.hypercalls++;
	rc = xencall2(b->call, __HYPERVISOR_hvm_op, HVMOP_set_param,
		      (uint64_t)(uintptr_t)b->param);
	if (rc < 0)
		return err_set(e, -errno, "domain %u: setting the triple fault reason: %s",
			       b->info.domid, strerror(errno));
	return 0;
}

/* ---- ending ---- */

static void destroy_domain(struct xen_builder *b)
{
	struct err e;
	int rc;

	if (!b->exists)
		return;
	do {
		begin(b);
		rc = domctl(b, XEN_DOMCTL_destroydomain, "destroy", &e);
	} while (rc == -EAGAIN || rc == -EBUSY);
	if (rc < 0 && rc != -ESRCH)
		log_error("keeper", "%s", e.text);
	b->exists = false;
	b->populated = false;
	if (b->evtchn)
		xenevtchn_close(b->evtchn);
	b->evtchn = NULL;
}

/*
 * Memory and vCPUs can only be given once, so another shape is another domain. It
 * keeps its domid: the monitor's handles are restricted to that.
 */
static int remake(struct xen_builder *b, unsigned vcpus, struct err *e)
{
	uint32_t domid = b->info.domid;
	int rc;

	destroy_domain(b);
	b->vcpus = vcpus;
	b->info.domid = domid;
	rc = make_shell(b, e);
	if (rc < 0)
		destroy_domain(b);
	else if (b->info.domid != domid)
		return err_set(e, -EBUSY, "domain %u came back as %u", domid, b->info.domid);
	return rc;
}

/* ---- memory ---- */

/* Reserve the pages first, so that a guest that does not fit takes none away. */
static int claim(struct xen_builder *b, uint64_t pages, uint64_t ram, struct err *e)
{
	long rc;

	memset(b->reservation, 0, sizeof(*b->reservation));
	b->reservation->nr_extents = pages;
	b->reservation->domid = (domid_t)b->info.domid;
	rc = memory_op(b, XENMEM_claim_pages);
	/* Only a control domain may claim. */
	if (rc == -EPERM || rc == -ENOSYS)
		return 0;
	if (rc < 0)
		return err_set(e, -ENOMEM, "the host has not enough free memory for %llu MiB",
			       (unsigned long long)(ram / MIB));
	return 0;
}

/* `n` extents of one order from `gfn` on; how many there are now, or -errno. */
static long populate_some(struct xen_builder *b, uint64_t gfn, unsigned n, unsigned order)
{
	for (unsigned i = 0; i < n; i++)
		b->extents[i] = gfn + ((uint64_t)i << order);
	memset(b->reservation, 0, sizeof(*b->reservation));
	set_xen_guest_handle(b->reservation->extent_start, b->extents);
	b->reservation->nr_extents = n;
	b->reservation->extent_order = order;
	b->reservation->domid = (domid_t)b->info.domid;
	return memory_op(b, XENMEM_populate_physmap);
}

static int populate_pages(struct xen_builder *b, uint64_t gfn, uint64_t n)
{
	long done = populate_some(b, gfn, (unsigned)n, 0);

	if (done < 0)
		return (int)done;
	return (uint64_t)done == n ? 0 : -ENOMEM;
}

/* RAM from `gfn` on: 2 MiB extents, or single pages where there are none left. */
static int populate_range(struct xen_builder *b, uint64_t gfn, uint64_t pages)
{
	const uint64_t chunk = UINT64_C(1) << EXTENT_ORDER_2M;

	while (pages >= chunk) {
		unsigned n = (unsigned)min_size(pages / chunk, EXTENTS_MAX);
		long done = populate_some(b, gfn, n, EXTENT_ORDER_2M);

		if (done == (long)n) {
			gfn += n * chunk;
			pages -= n * chunk;
			continue;
		}
		if (done < 0)
			return (int)done;
		gfn += (uint64_t)done * chunk;
		pages -= (uint64_t)done * chunk;
		done = populate_pages(b, gfn, chunk);
		if (done < 0)
			return (int)done;
		gfn += chunk;
		pages -= chunk;
	}
	return pages ? populate_pages(b, gfn, pages) : 0;
}

static int populate(struct xen_builder *b, uint64_t ram, struct err *e)
{
	struct gmem layout;
	int rc;

	gmem_init(&layout, ram, NULL, NULL);
	begin(b)->u.max_mem.max_memkb = ram / KIB + EXTRA_KIB;
	rc = domctl(b, XEN_DOMCTL_max_mem, "max_mem", e);
	if (rc == 0)
		rc = claim(b, ram / PAGE_BYTES, ram, e);
	if (rc < 0)
		return rc;
	rc = populate_range(b, 0, layout.low / PAGE_BYTES);
	if (rc == 0)
		rc = populate_range(b, GMEM_HOLE_END / PAGE_BYTES, layout.high / PAGE_BYTES);
	if (rc < 0)
		return err_set(e, rc, "the host has not enough free memory for %llu MiB (%s)",
			       (unsigned long long)(ram / MIB), strerror(-rc));
	return 0;
}

/* ---- the keeper's operations ---- */

static int builder_create(void *ctx, struct err *e)
{
	struct xen_builder *b = ctx;
	int rc;

	b->vcpus = 1;
	rc = make_shell(b, e);
	if (rc < 0)
		destroy_domain(b);
	return rc;
}

static int builder_shape(void *ctx, unsigned vcpus, uint64_t ram, struct err *e)
{
	struct xen_builder *b = ctx;
	struct err again;
	int rc = 0;

	if (!b->exists || b->populated || b->vcpus != vcpus)
		rc = remake(b, vcpus, e);
	if (rc < 0)
		return rc;
	b->populated = true;
	rc = populate(b, ram, e);
	if (rc < 0 && remake(b, vcpus, &again) < 0)
		log_error("keeper", "%s", again.text);
	return rc;
}

static int builder_start(void *ctx, uint32_t ip, uint32_t start_info, struct err *e)
{
	struct xen_builder *b = ctx;
	struct xen_domctl *d;
	int rc;

	xen_vcpu_context_init(b->vcpu, ip, start_info);
	d = begin(b);
	d->u.hvmcontext.size = sizeof(*b->vcpu);
	set_xen_guest_handle(d->u.hvmcontext.buffer, (uint8_t *)b->vcpu);
	rc = domctl(b, XEN_DOMCTL_sethvmcontext, "sethvmcontext", e);
	if (rc < 0)
		return rc;
	begin(b);
	b->info.start_ns = clock_ns();
	return domctl(b, XEN_DOMCTL_unpausedomain, "unpause", e);
}

static int builder_pause(void *ctx, struct err *e)
{
	struct xen_builder *b = ctx;

	begin(b);
	return domctl(b, XEN_DOMCTL_pausedomain, "pause", e);
}

static int builder_resume(void *ctx, struct err *e)
{
	struct xen_builder *b = ctx;

	begin(b);
	return domctl(b, XEN_DOMCTL_unpausedomain, "unpause", e);
}

static int builder_state(void *ctx, bool *shut_down, uint32_t *reason, struct err *e)
{
	struct xen_builder *b = ctx;
	int rc;

	begin(b);
	rc = domctl(b, XEN_DOMCTL_getdomaininfo, "getdomaininfo", e);
	if (rc < 0)
		return rc;
	*shut_down = b->domctl->u.getdomaininfo.flags & XEN_DOMINF_shutdown;
	*reason = b->domctl->u.getdomaininfo.flags >> XEN_DOMINF_shutdownshift &
		  XEN_DOMINF_shutdownmask;
	return 0;
}

static void builder_info(void *ctx, struct keeper_info *out)
{
	*out = ((struct xen_builder *)ctx)->info;
}

static void builder_destroy(void *ctx)
{
	destroy_domain(ctx);
}

const struct keeper_ops xen_builder_ops = {
	.create = builder_create,
	.shape = builder_shape,
	.start = builder_start,
	.pause = builder_pause,
	.resume = builder_resume,
	.state = builder_state,
	.info = builder_info,
	.destroy = builder_destroy,
};

/* ---- opening ---- */

static int open_failed(const char *path, struct err *e)
{
	int rc = -errno;

	if (rc == -ENOENT || rc == -ENXIO || rc == -ENODEV)
		return err_set(e, rc,
			       "%s: %s: this is not a Xen domain, or its driver is not "
			       "loaded (modprobe xen-privcmd xen-evtchn)",
			       path, strerror(-rc));
	if (rc == -EACCES || rc == -EPERM)
		return err_set(e, rc, "%s: %s: the monitor must be started as root", path,
			       strerror(-rc));
	return err_set(e, rc, "%s: %s", path, strerror(-rc));
}

/* A domctl that changes nothing tells whether we speak the hypervisor's language. */
static int check_version(struct xen_builder *b, struct err *e)
{
	int version = xencall2(b->call, __HYPERVISOR_xen_version, XENVER_version, 0);
	struct err why;
	int rc;

	b->info.hypercalls++;
	if (version < 0)
		return err_set(e, -errno, "asking for Xen's version: %s", strerror(errno));
	b->info.version = (uint32_t)version;
	begin(b)->domain = DOMID_SELF;
	rc = domctl(b, XEN_DOMCTL_getdomaininfo, "getdomaininfo", &why);
	if (rc == -EACCES)
		return err_set(e, rc,
			       "Xen %d.%d speaks another domctl interface than this "
			       "monitor's (%#x, that of Xen 4.20)",
			       version >> 16, version & 0xffff, XEN_DOMCTL_INTERFACE_VERSION);
	if (rc == -EPERM)
		return err_set(e, rc,
			       "this domain may not control others: run the monitor in "
			       "dom0 or in a domain that has the builder right");
	return 0;
}

static int alloc_buffers(struct xen_builder *b, struct err *e)
{
	b->domctl = xencall_alloc_buffer(b->call, sizeof(*b->domctl));
	b->vcpu = xencall_alloc_buffer(b->call, sizeof(*b->vcpu));
	b->extents = xencall_alloc_buffer(b->call, EXTENTS_MAX * sizeof(*b->extents));
	b->reservation = xencall_alloc_buffer(b->call, sizeof(*b->reservation));
	b->param = xencall_alloc_buffer(b->call, sizeof(*b->param));
	if (!b->domctl || !b->vcpu || !b->extents || !b->reservation || !b->param)
		return err_set(e, -ENOMEM, "hypercall buffers: %s", strerror(ENOMEM));
	return 0;
}

int xen_builder_open(struct xen_builder **out, struct err *e)
{
	struct xen_builder *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return err_set(e, -ENOMEM, "keeper: out of memory");
	xen_dmop_init(&b->dmop);
	b->call = xencall_open(NULL, 0);
	if (!b->call) {
		rc = open_failed("/dev/xen/privcmd", e);
		goto out_close;
	}
	rc = xen_dmop_open(&b->dmop);
	if (rc < 0) {
		errno = -rc;
		rc = open_failed("/dev/xen/privcmd", e);
		goto out_close;
	}
	rc = alloc_buffers(b, e);
	if (rc == 0)
		rc = check_version(b, e);
	if (rc < 0)
		goto out_close;
	*out = b;
	return 0;

out_close:
	xen_builder_close(b);
	return rc;
}

void xen_builder_close(struct xen_builder *b)
{
	destroy_domain(b);
	xen_dmop_close(&b->dmop);
	if (b->call) {
		xencall_free_buffer(b->call, b->domctl);
		xencall_free_buffer(b->call, b->vcpu);
		xencall_free_buffer(b->call, b->extents);
		xencall_free_buffer(b->call, b->reservation);
		xencall_free_buffer(b->call, b->param);
		xencall_close(b->call);
	}
	free(b);
}
