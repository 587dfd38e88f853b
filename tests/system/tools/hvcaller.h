/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a domain asks the hypervisor for, and domains of its own that it makes. The domain is
 * a guest that a program in dom0 directs (hvproxy.h) or the one in which the program runs
 * (hvself.h): one of them is to be included before. Both have proxy_call(), and memory for
 * arguments: proxy_at(), proxy_put(), proxy_get().
 */
#ifndef TESTS_SYSTEM_HVCALLER_H
#define TESTS_SYSTEM_HVCALLER_H

#include "tests/system/tools/hvcall.h"

#define VM_PAGES 1024
#define VM_EXTRA 64 /* pages that max_mem is more than that */

/* The same with a structure, which is copied there and back. */
static long proxy_struct(struct proxy *p, uint64_t nr, uint64_t cmd, void *data, size_t len)
{
	long rc;

	proxy_put(p, 0, data, len);
	rc = proxy_call(p, nr, cmd, proxy_at(p, 0), 1);
	proxy_get(p, 0, data, len);
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
	proxy_put(p, 0, &pctl, sizeof(pctl));
	rc = proxy_call(p, __HYPERVISOR_domctl, proxy_at(p, 0), 0, 0);
	proxy_get(p, 0, &pctl, sizeof(pctl));
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
	uint64_t bufs[4] = { proxy_at(p, PAGE), sizeof(*op), data, len };
	long rc;

	proxy_put(p, 0, bufs, sizeof(bufs));
	proxy_put(p, PAGE, op, sizeof(*op));
	rc = proxy_call(p, __HYPERVISOR_dm_op, domid, len ? 2 : 1, proxy_at(p, 0));
	proxy_get(p, PAGE, op, sizeof(*op));
	return rc;
}

/* populate_physmap of pages from `gfn` on: how many, or -errno. */
static long proxy_populate(struct proxy *p, uint32_t domid, uint64_t gfn, unsigned n)
{
	static xen_pfn_t frames[4096];
	struct xen_memory_reservation r = { .nr_extents = n, .domid = (domid_t)domid };

	for (unsigned i = 0; i < n; i++)
		frames[i] = gfn + i;
	proxy_put(p, PAGE, frames, n * sizeof(*frames));
	set_xen_guest_handle_raw(r.extent_start, (void *)(uintptr_t)proxy_at(p, PAGE));
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

	proxy_put(p, PAGE, &list, sizeof(list));
	set_xen_guest_handle_raw(b.idxs, (void *)(uintptr_t)proxy_at(p, PAGE));
	set_xen_guest_handle_raw(b.gpfns, (void *)(uintptr_t)proxy_at(p, PAGE + 8));
	set_xen_guest_handle_raw(b.errs, (void *)(uintptr_t)proxy_at(p, PAGE + 16));
	rc = proxy_struct(p, __HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, &b,
			  sizeof(b));
	proxy_get(p, PAGE, &list, sizeof(list));
	return rc ? rc : list.err;
}

/* Take what is at `at` away again. */
static long proxy_unmap(struct proxy *p, uint64_t at)
{
	struct xen_remove_from_physmap r = { .domid = DOMID_SELF, .gpfn = at };

	return proxy_struct(p, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &r,
			    sizeof(r));
}

/* ---- domains of a proxy ---- */

/* In `pctl`: the arguments that createdomain takes from who owns domains. */
static void vm_config(void)
{
	struct xen_domctl_createdomain *c = &pctl.u.createdomain;

	memset(&pctl.u, 0, sizeof(pctl.u));
	c->flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap | XEN_DOMCTL_CDF_oos_off;
	c->max_vcpus = 1;
	c->max_evtchn_port = 31;
	c->max_grant_frames = 4;
	c->grant_opts = XEN_DOMCTL_GRANT_version(1);
	c->arch.emulation_flags = XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC;
}

static long vm_max_mem(struct proxy *p, uint32_t vm, uint64_t pages)
{
	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.max_mem.max_memkb = pages * 4;
	return proxy_domctl(p, XEN_DOMCTL_max_mem, vm);
}

/* An empty domain. */
static uint32_t vm_create(struct proxy *p)
{
	vm_config();
	errno = (int)-proxy_domctl(p, XEN_DOMCTL_createdomain, 0);
	if (errno)
		bail("createdomain by a proxy");
	return pctl.domain;
}

/* A domain with a vCPU and so much memory. */
static uint32_t vm_make(struct proxy *p, unsigned pages)
{
	uint32_t vm = vm_create(p);

	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.max_vcpus.max = 1;
	if (proxy_domctl(p, XEN_DOMCTL_max_vcpus, vm))
		bail("max_vcpus by a proxy");
	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.tsc_info.tsc_mode = 2;
	if (proxy_domctl(p, XEN_DOMCTL_settscinfo, vm))
		bail("settscinfo by a proxy");
	if (vm_max_mem(p, vm, pages + VM_EXTRA))
		bail("max_mem by a proxy");
	if (proxy_populate(p, vm, 0, pages) != (long)pages)
		bail("populate by a proxy");
	return vm;
}

static void vm_end(struct proxy *p, uint32_t vm)
{
	if (proxy_plain_domctl(p, XEN_DOMCTL_destroydomain, vm))
		bail("destroydomain by a proxy");
}

/* sethvmcontext with what is in the memory for arguments at PAGE. */
static long vm_load_context(struct proxy *p, uint32_t vm, uint32_t size)
{
	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.hvmcontext.size = size;
	set_xen_guest_handle_raw(pctl.u.hvmcontext.buffer,
				 (void *)(uintptr_t)proxy_at(p, PAGE));
	return proxy_domctl(p, XEN_DOMCTL_sethvmcontext, vm);
}

/* A domain with something in it, or one that has just been created. */
static uint32_t vm_any(struct proxy *p, bool bare)
{
	return bare ? vm_create(p) : vm_make(p, 64);
}

/* ---- what it is charged for ---- */

/* Pages that these domains have or may have, whichever is more. */
static uint64_t pages_of(const uint32_t *domid, unsigned n)
{
	const struct xen_domctl_getdomaininfo *info = &ctl->u.getdomaininfo;
	uint64_t pages = 0;

	for (unsigned i = 0; i < n; i++) {
		memset(&ctl->u, 0, sizeof(ctl->u));
		if (domctl(XEN_DOMCTL_getdomaininfo, domid[i]) == 0 && info->domain == domid[i])
			pages += info->tot_pages > info->max_pages ? info->tot_pages :
								     info->max_pages;
	}
	return pages;
}

#endif
