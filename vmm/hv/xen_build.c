/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's half of Xen: see xen_build.h. */
#include "vmm/hv/xen_build.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <xen/xen.h>

#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>
#include <xenevtchn.h>

#include "vmm/hv/xen_calls.h"
#include "vmm/hv/xen_doorbell.h"
#include "vmm/hv/xen_ram.h"
#include "vmm/hv/xen_vcpu.h"
#include "vmm/lib/log.h"

/*
 * Event channels: doorbells, interrupts and a few more of ours; per vCPU an ioreq port of ours and the
 * guest's timer and IPIs. Xen takes no memory for those that nobody has opened.
 */
#define EVTCHNS_BASE (64 + HV_DOORBELLS_MAX + XEN_LINES_MAX)
#define EVTCHNS_PER_VCPU 16

/*
 * For a domain that creates others: ports of all of theirs that its monitors bind, and
 * page tables for what it maps of them.
 */
#define OWNER_EVTCHNS 4095
#define OWNER_GRANT_FRAMES 64
#define OWNER_PAGING_BYTES (16 * MIB)

struct xen_builder {
	struct xen_calls calls;
	xenevtchn_handle *evtchn; /* its death is the domain's: the lifeline */
	struct xen_dmop dmop;
	/* In memory that the hypervisor can reach. */
	struct xen_vcpu_context *vcpu;
	struct xen_hvm_param *param;

	bool exists;
	bool populated;
	unsigned vcpus;
	struct quotas right; /* that the domain is given */
	struct keeper_info info;
};

/* ---- hypercalls ---- */

/* A domctl on our domain, to be filled in. */
static struct xen_domctl *begin(struct xen_builder *b)
{
	return xen_calls_domctl(&b->calls, b->info.domid);
}

static int domctl(struct xen_builder *b, uint32_t cmd, const char *name, struct err *e)
{
	return xen_calls_do(&b->calls, cmd, name, e);
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
	if (b->right.domains) {
		c->max_evtchn_port = OWNER_EVTCHNS;
		c->max_grant_frames = OWNER_GRANT_FRAMES;
	}
	c->arch.emulation_flags = emulation;
	rc = domctl(b, XEN_DOMCTL_createdomain, "create", e);
	if (rc == 0) {
		b->info.domid = b->calls.domctl->domain;
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

/* ---- the right to create domains ---- */

static int check_right(struct xen_builder *b, struct err *e)
{
	struct err why;
	int rc;

	if (!b->right.domains)
		return 0;
	/* Of dom0's quotas, which are none, only a control domain may ask. */
	begin(b)->domain = 0;
	rc = domctl(b, XEN_DOMCTL_xenolith_get_owner, "get_owner", &why);
	if (rc == 0 || rc == -ENODATA)
		return 0;
	if (rc == -EPERM)
		return err_set(e, rc,
			       "--builder: only a control domain (dom0) may give the right to "
			       "create domains");
	return err_set(e, -EOPNOTSUPP,
		       "--builder: this hypervisor has no right to create domains: it lacks the "
		       "owner patches");
}

/* Before the domain first runs; it is not to be had later. */
static int give_right(struct xen_builder *b, struct err *e)
{
	const struct quotas *q = &b->right;
	const uint64_t spare = MIB * q->domains; /* beside their RAM: see xen_ram.c */
	uint64_t *quota = begin(b)->u.xenolith_owner.quota;
	int rc;

	if (!q->domains)
		return 0;
	quota[XENOLITH_QUOTA_domains] = q->domains;
	quota[XENOLITH_QUOTA_vcpus] = q->vcpus;
	quota[XENOLITH_QUOTA_evtchns] = q->event_channels;
	quota[XENOLITH_QUOTA_grant_frames] = q->grant_frames;
	quota[XENOLITH_QUOTA_pages] = (q->memory_mib * MIB + spare) / PAGE_BYTES;
	quota[XENOLITH_QUOTA_paging_pages] = q->paging_pages;
	rc = domctl(b, XEN_DOMCTL_xenolith_set_owner, "set_owner", e);
	if (rc < 0)
		return rc;
	begin(b)->u.paging_mempool.size = OWNER_PAGING_BYTES;
	return domctl(b, XEN_DOMCTL_set_paging_mempool_size, "paging pool", e);
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
	rc = give_right(b, e);
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
	rc = xen_calls_hvm_op(&b->calls, HVMOP_set_param, b->param);
	if (rc < 0)
		return err_set(e, rc, "domain %u: setting the triple fault reason: %s",
			       b->info.domid, strerror(-rc));
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
	int rc;

	destroy_domain(b);
	b->vcpus = vcpus;
	rc = make_shell(b, e);
	if (rc < 0)
		destroy_domain(b);
	return rc;
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
	rc = xen_ram_populate(&b->calls, b->info.domid, ram, e);
	if (rc < 0 && remake(b, vcpus, &again) < 0)
		log_error("keeper", "%s", again.text);
	return rc;
}

static int builder_pages(void *ctx, uint64_t at, unsigned n, struct err *e)
{
	struct xen_builder *b = ctx;

	return xen_ram_add(&b->calls, b->info.domid, at, n, e);
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
	*shut_down = b->calls.domctl->u.getdomaininfo.flags & XEN_DOMINF_shutdown;
	*reason = b->calls.domctl->u.getdomaininfo.flags >> XEN_DOMINF_shutdownshift &
		  XEN_DOMINF_shutdownmask;
	return 0;
}

static void builder_info(void *ctx, struct keeper_info *out)
{
	struct xen_builder *b = ctx;

	*out = b->info;
	out->hypercalls = b->calls.made;
	out->lost = !b->exists;
}

static void builder_destroy(void *ctx)
{
	destroy_domain(ctx);
}

const struct keeper_ops xen_builder_ops = {
	.create = builder_create,
	.shape = builder_shape,
	.pages = builder_pages,
	.start = builder_start,
	.pause = builder_pause,
	.resume = builder_resume,
	.state = builder_state,
	.info = builder_info,
	.destroy = builder_destroy,
};

/* ---- opening ---- */

static int open_failed(int rc, const char *path, struct err *e)
{
	if (rc == -ENOENT || rc == -ENXIO || rc == -ENODEV)
		return err_set(e, rc,
			       "%s: %s: this is not a Xen domain, or its driver is not "
			       "loaded (modprobe -a xen-privcmd xen-evtchn)",
			       path, strerror(-rc));
	if (rc == -EACCES || rc == -EPERM)
		return err_set(e, rc, "%s: %s: the monitor must be started as root", path,
			       strerror(-rc));
	return err_set(e, rc, "%s: %s", path, strerror(-rc));
}

/* A domctl that changes nothing tells whether we speak the hypervisor's language. */
static int check_version(struct xen_builder *b, struct err *e)
{
	int version = xen_calls_version(&b->calls);
	struct err why;
	int rc;

	if (version < 0)
		return err_set(e, version, "asking for Xen's version: %s", strerror(-version));
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
	b->vcpu = xencall_alloc_buffer(b->calls.handle, sizeof(*b->vcpu));
	b->param = xencall_alloc_buffer(b->calls.handle, sizeof(*b->param));
	if (!b->vcpu || !b->param)
		return err_set(e, -ENOMEM, "hypercall buffers: %s", strerror(ENOMEM));
	return 0;
}

int xen_builder_open(struct xen_builder **out, const struct quotas *right, struct err *e)
{
	struct xen_builder *b = calloc(1, sizeof(*b));
	int rc;

	if (!b)
		return err_set(e, -ENOMEM, "keeper: out of memory");
	b->right = *right;
	xen_dmop_init(&b->dmop);
	rc = xen_calls_open(&b->calls);
	if (rc == 0)
		rc = xen_dmop_open(&b->dmop);
	if (rc < 0) {
		rc = open_failed(rc, "/dev/xen/privcmd", e);
		goto out_close;
	}
	rc = alloc_buffers(b, e);
	if (rc == 0)
		rc = check_version(b, e);
	if (rc == 0)
		rc = check_right(b, e);
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
	if (b->calls.handle) {
		xencall_free_buffer(b->calls.handle, b->vcpu);
		xencall_free_buffer(b->calls.handle, b->param);
	}
	xen_calls_close(&b->calls);
	free(b);
}
