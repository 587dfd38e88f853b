/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A domain that owns domains: what it may do, and what not, tried on a running hypervisor.
 *
 * A stand-alone program for dom0. It makes small domains, gives them the right to create
 * others, and has them make hypercalls (hvproxy.h). Output is TAP. Arguments: how many
 * hypercalls a compromised one makes, and a seed for them. `quotas DOMID` prints those of a
 * domain instead, each with how much of it is in use.
 */
#include "tests/system/tools/hvattack.h"

#define NO_POOL 77 /* there is no such cpupool */

/* Of each proxy; the tests know them. */
static const uint64_t quotas[XENOLITH_QUOTA_NR] = {
	[XENOLITH_QUOTA_domains] = 2,
	[XENOLITH_QUOTA_vcpus] = 3,
	[XENOLITH_QUOTA_evtchns] = 96,
	[XENOLITH_QUOTA_grant_frames] = 10,
	[XENOLITH_QUOTA_pages] = VM_PAGES + 1024,
	[XENOLITH_QUOTA_paging_pages] = 600,
};

static int set_owner(uint32_t domid)
{
	memset(&ctl->u, 0, sizeof(ctl->u));
	memcpy(ctl->u.xenolith_owner.quota, quotas, sizeof(quotas));
	return domctl(XEN_DOMCTL_xenolith_set_owner, domid);
}

/* How much of a quota is in use, or -errno. */
static long used(uint32_t domid, unsigned kind)
{
	int rc;

	memset(&ctl->u, 0, sizeof(ctl->u));
	rc = domctl(XEN_DOMCTL_xenolith_get_owner, domid);
	return rc ? rc : (long)ctl->u.xenolith_owner.used[kind];
}

/* Whether all of it has come back, within a second: RCU may take some time. */
static bool all_returned(uint32_t domid)
{
	long sum = 1;

	for (unsigned i = 0; i < 500 && sum; i++) {
		sum = 0;
		for (unsigned kind = 0; kind < XENOLITH_QUOTA_NR; kind++)
			sum += used(domid, kind);
		if (sum)
			usleep(2000);
	}
	return !sum;
}

/* A proxy that may create domains. */
static void make_builder(struct proxy *p)
{
	uint32_t domid = make_domain(P_PAGES);

	if (set_owner(domid))
		bail("set_owner");
	proxy_load(domid);
	proxy_start(p, domid);
}

#include "tests/system/tools/hvconfig_tests.h"

/* ---- who may have the right ---- */

static void test_right(void)
{
	uint32_t domid = make_domain(P_PAGES);
	struct proxy p;

	IS(used(domid, 0), -ENODATA, "right: a domain has none");
	IS(set_owner(0), -EINVAL, "right: not for oneself, nor a control domain");
	IS(set_owner(domid), 0, "right: can be given");
	IS(set_owner(domid), 0, "right: and changed");
	IS(used(domid, XENOLITH_QUOTA_domains), 0, "right: nothing is in use");
	IS(memcmp(ctl->u.xenolith_owner.quota, quotas, sizeof(quotas)), 0,
	   "right: the quotas are those given");
	proxy_load(domid);
	proxy_start(&p, domid);
	IS(set_owner(domid), -EINVAL, "right: not once the domain has run");
	memset(&pctl, 0, sizeof(pctl));
	IS(proxy_domctl(&p, XEN_DOMCTL_xenolith_get_owner, domid), 0,
	   "right: the domain may ask for its quotas");
	IS(memcmp(pctl.u.xenolith_owner.quota, quotas, sizeof(quotas)), 0,
	   "right: and is told them");
	IS(proxy_domctl(&p, XEN_DOMCTL_xenolith_set_owner, domid), -EPERM,
	   "right: but not set them");
	proxy_end(&p);

	domid = make_domain(P_PAGES);
	proxy_load(domid);
	proxy_start(&p, domid);
	vm_config();
	IS(proxy_domctl(&p, XEN_DOMCTL_createdomain, 0), -EPERM,
	   "right: without it no domain is created");
	IS(proxy_plain_domctl(&p, XEN_DOMCTL_xenolith_get_owner, domid), -EPERM,
	   "right: nor are there quotas to ask for");
	proxy_end(&p);
}

/* ---- what it gives ---- */

static void test_memory(struct proxy *p, uint32_t vm)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_guest_copy };
	uint64_t magic = 0x1122334455667788, got = 0;
	struct xen_remove_from_physmap gone = { .domid = (domid_t)vm, .gpfn = 7 };

	poke(p->domid, P_SCRATCH + 2 * PAGE, &magic, sizeof(magic));
	op.u.xenolith_guest_copy.gpa = 0x5008;
	op.u.xenolith_guest_copy.flags = XENOLITH_COPY_to_guest;
	IS(proxy_dm_op(p, vm, &op, P_SCRATCH + 2 * PAGE, sizeof(magic)), 0,
	   "own: guest_copy to it");
	IS(proxy_map(p, DOMID_SELF, vm, 5, P_HOLE), 0, "own: its memory can be mapped");
	op.u.xenolith_guest_copy.gpa = 0x6000;
	op.u.xenolith_guest_copy.done = 0;
	IS(proxy_dm_op(p, vm, &op, P_HOLE * PAGE + 8, sizeof(got)), 0,
	   "own: and read from there");
	peek(vm, 0x6000, &got, sizeof(got));
	IS(got == magic, 1, "own: and is what was copied there");
	IS(proxy_unmap(p, P_HOLE), 0, "own: and unmapped");
	IS(proxy_struct(p, __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, &gone,
			sizeof(gone)),
	   0, "own: a page can be taken away");
	IS(proxy_populate(p, vm, 7, 1), 1, "own: and put back");
	IS(proxy_populate(p, vm, 1ul << 63 | 7, 1), 0, "own: none where no table reaches");
}

/* An IOREQ server, its page, a range, and ports. */
static void test_device_model(struct proxy *p, uint32_t vm)
{
	struct xen_dm_op op = { .op = XEN_DMOP_create_ioreq_server };
	struct xen_mem_acquire_resource r = { .domid = (domid_t)vm,
					      .type = XENMEM_resource_ioreq_server,
					      .frame = 1,
					      .nr_frames = 1 };
	uint64_t frame = P_HOLE;
	struct evtchn_bind_interdomain bind = { .remote_dom = (domid_t)vm };

	IS(proxy_dm_op(p, vm, &op, 0, 0), 0, "own: an IOREQ server");
	r.id = op.u.create_ioreq_server.id;
	poke(p->domid, P_SCRATCH + PAGE, &frame, sizeof(frame));
	set_xen_guest_handle_raw(r.frame_list, (void *)(uintptr_t)(P_SCRATCH + PAGE));
	IS(proxy_struct(p, __HYPERVISOR_memory_op, XENMEM_acquire_resource, &r, sizeof(r)), 0,
	   "own: its page can be mapped");
	IS(proxy_unmap(p, P_HOLE), 0, "own: and unmapped");
	memset(&op, 0, sizeof(op));
	op.op = XEN_DMOP_xenolith_pulse;
	op.u.xenolith_pulse.gsi = 5;
	IS(proxy_dm_op(p, vm, &op, 0, 0), 0, "own: pulse");
	memset(&op, 0, sizeof(op));
	op.op = XEN_DMOP_xenolith_lifecycle;
	IS(proxy_dm_op(p, vm, &op, 0, 0), 0, "own: lifecycle");
	bind.remote_port = op.u.xenolith_lifecycle.port;
	IS(proxy_struct(p, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, &bind,
			sizeof(bind)),
	   0, "own: its port can be bound");
	memset(&op, 0, sizeof(op));
	op.op = XEN_DMOP_xenolith_lifeline;
	IS(proxy_dm_op(p, vm, &op, 0, 0), 0, "own: lifeline");
	bind.remote_port = op.u.xenolith_lifeline.port;
	IS(proxy_struct(p, __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, &bind,
			sizeof(bind)),
	   0, "own: can be bound, too");
}

/* What the device model of a PVH domain has no use for. */
static void test_not_for_owners(struct proxy *p, uint32_t vm)
{
	static const uint32_t ops[] = {
		XEN_DMOP_track_dirty_vram,    XEN_DMOP_set_pci_link_route,
		XEN_DMOP_modified_memory,     XEN_DMOP_inject_event,
		XEN_DMOP_inject_msi,	      XEN_DMOP_relocate_memory,
		XEN_DMOP_pin_memory_cacheattr
	};
	static const uint32_t params[] = { HVM_PARAM_IOREQ_PFN,
					   HVM_PARAM_IOREQ_SERVER_PFN,
					   HVM_PARAM_NR_IOREQ_SERVER_PAGES,
					   HVM_PARAM_VIRIDIAN,
					   HVM_PARAM_IDENT_PT,
					   HVM_PARAM_ACPI_S_STATE };
	struct xen_hvm_param param = { .domid = (domid_t)vm, .value = 1 };
	struct xen_dm_op op = { 0 };
	unsigned bad = 0;

	for (unsigned i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		op.op = ops[i];
		bad += proxy_dm_op(p, vm, &op, 0, 0) != -EPERM;
	}
	IS(bad, 0, "own: operations of device models for others");
	for (unsigned i = 0; i < sizeof(params) / sizeof(*params); i++) {
		param.index = params[i];
		bad += proxy_struct(p, __HYPERVISOR_hvm_op, HVMOP_set_param, &param,
				    sizeof(param)) != -EPERM;
	}
	IS(bad, 0, "own: parameters of toolstacks");
	param.index = HVM_PARAM_TRIPLE_FAULT_REASON;
	IS(proxy_struct(p, __HYPERVISOR_hvm_op, HVMOP_set_param, &param, sizeof(param)), 0,
	   "own: what a triple fault is");
}

static void test_own(struct proxy *p)
{
	static const uint8_t loop[] = { 0xeb, 0xfe }; /* jmp . */
	struct evtchn_close close;
	uint32_t vm;

	vm = vm_make(p, VM_PAGES);
	IS(used(p->domid, XENOLITH_QUOTA_domains), 1, "own: a domain is charged for");
	IS(used(p->domid, XENOLITH_QUOTA_pages), VM_PAGES + 64, "own: its memory");
	IS(used(p->domid, XENOLITH_QUOTA_paging_pages), 256, "own: its page tables");
	IS(used(p->domid, XENOLITH_QUOTA_evtchns), 32, "own: its event channels");
	test_memory(p, vm);
	test_device_model(p, vm);
	test_not_for_owners(p, vm);
	poke(vm, 0, loop, sizeof(loop));
	context_init(scratch);
	poke(p->domid, P_SCRATCH + PAGE, scratch, sizeof(struct context));
	IS(vm_load_context(p, vm, sizeof(struct context)), 0, "own: sethvmcontext");
	IS(proxy_plain_domctl(p, XEN_DOMCTL_unpausedomain, vm), 0, "own: runs");
	IS(vm_load_context(p, vm, sizeof(struct context)), -EBUSY,
	   "own: a state to start with is for the start");
	IS(proxy_plain_domctl(p, XEN_DOMCTL_pausedomain, vm), 0, "own: is paused");
	IS(proxy_plain_domctl(p, XEN_DOMCTL_getdomaininfo, vm), 0, "own: can be asked about");
	/* With the page that was taken away, but not given back, and the one without a place. */
	IS(pctl.u.getdomaininfo.tot_pages, VM_PAGES + 2, "own: and has its memory");
	IS(proxy_plain_domctl(p, XEN_DOMCTL_resumedomain, vm), -EPERM,
	   "own: what is not on the list is refused");
	/* Those that it bound are among these. */
	for (unsigned port = 1; port < 8; port++) {
		close.port = port;
		proxy_struct(p, __HYPERVISOR_event_channel_op, EVTCHNOP_close, &close,
			     sizeof(close));
	}
	IS(gone_after(vm, 10000) >= 0, 1, "own: the end of its lifeline is its end");
	IS(all_returned(p->domid), 1, "own: everything is returned");
}

/* ---- quotas ---- */

static void test_quotas(struct proxy *p)
{
	uint32_t vm[2], again;

	vm[0] = vm_make(p, 16);
	vm[1] = vm_make(p, 16);
	vm_config();
	IS(proxy_domctl(p, XEN_DOMCTL_createdomain, 0), -ENOSPC, "quota: of domains");
	IS(vm_max_mem(p, vm[0], VM_PAGES + 1024 - 80), 0, "quota: memory up to it");
	IS(vm_max_mem(p, vm[0], VM_PAGES + 1024 - 79), -ENOSPC, "quota: and no more");
	IS(vm_max_mem(p, vm[1], 81), -ENOSPC, "quota: whichever domain asks");
	IS(vm_max_mem(p, vm[1], ~0ul >> 3), -ENOSPC, "quota: nor all there is");
	IS(vm_max_mem(p, vm[1], 15), -EBUSY, "quota: what is in use cannot be given back");
	IS(vm_max_mem(p, vm[1], 16), 0, "quota: what is not can");
	IS(vm_max_mem(p, vm[0], VM_PAGES + 1024 - 16), 0, "quota: and taken elsewhere");
	IS(proxy_populate(p, vm[1], 16, 1), 0, "quota: no memory beyond it");
	IS(used(p->domid, XENOLITH_QUOTA_pages), VM_PAGES + 1024, "quota: is what is in use");
	IS(vm_max_mem(p, vm[0], 80), 0, "quota: given back");

	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.paging_mempool.size = 344 * PAGE;
	IS(proxy_domctl(p, XEN_DOMCTL_set_paging_mempool_size, vm[0]), 0,
	   "quota: page tables up to it");
	pctl.u.paging_mempool.size = 345 * PAGE;
	IS(proxy_domctl(p, XEN_DOMCTL_set_paging_mempool_size, vm[0]), -ENOSPC,
	   "quota: and no more");
	IS(used(p->domid, XENOLITH_QUOTA_paging_pages), 600, "quota: is what is in use");
	pctl.u.paging_mempool.size = 256 * PAGE;
	IS(proxy_domctl(p, XEN_DOMCTL_set_paging_mempool_size, vm[0]), 0,
	   "quota: and can be given back");
	IS(used(p->domid, XENOLITH_QUOTA_paging_pages), 512, "quota: is less then");

	/* At the limit, at once: what is being returned is waited for. */
	for (unsigned i = 0; i < 20; i++) {
		proxy_plain_domctl(p, XEN_DOMCTL_destroydomain, vm[1]);
		vm_config();
		again = vm[1];
		if (proxy_domctl(p, XEN_DOMCTL_createdomain, again) || pctl.domain != again) {
			IS(i, 20, "quota: a domid that it had, again");
			break;
		}
	}
	IS(used(p->domid, XENOLITH_QUOTA_domains), 2, "quota: one goes, one comes");
	vm_end(p, vm[0]);
	vm_end(p, vm[1]);
	IS(all_returned(p->domid), 1, "quota: everything is returned");
}

/* Memory that is mapped is not free. */
static void test_zombie(struct proxy *p)
{
	uint32_t vm = vm_make(p, 16);

	proxy_map(p, DOMID_SELF, vm, 3, P_HOLE);
	proxy_plain_domctl(p, XEN_DOMCTL_destroydomain, vm);
	usleep(100000);
	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.paging_mempool.size = 300 * PAGE;
	IS(proxy_domctl(p, XEN_DOMCTL_set_paging_mempool_size, vm), -ESRCH,
	   "zombie: gets no more page tables");
	IS(used(p->domid, XENOLITH_QUOTA_domains), 1, "zombie: is charged for");
	IS(used(p->domid, XENOLITH_QUOTA_pages), 80, "zombie: and its memory");
	IS(proxy_unmap(p, P_HOLE), 0, "zombie: unmapped");
	IS(all_returned(p->domid), 1, "zombie: then everything is returned");
}

/*
 * Pages of @vm that were written, for dom0: the beginning of a record takes four pages, and
 * all that there can be of it a second to be looked through. Meanwhile its owner makes these
 * calls.
 */
static int look_at_log(struct proxy *p, uint32_t vm, const struct call *calls, size_t n)
{
	struct xen_dm_op op = { .op = XEN_DMOP_modified_memory };
	struct xen_dm_op_modified_memory_extent extent = { .nr = 1 };
	struct privcmd_dm_op_buf bufs[2] = {
		[1] = { .uptr = &extent, .size = sizeof(extent) },
	};

	memset(&ctl->u, 0, sizeof(ctl->u));
	ctl->u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY;
	op.u.modified_memory.nr_extents = 1;
	if (domctl(XEN_DOMCTL_shadow_op, vm) || dm_op_fd(privcmd, vm, &op, bufs, 2))
		bail("log-dirty");
	memset(&ctl->u, 0, sizeof(ctl->u));
	ctl->u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_PEEK;
	ctl->u.shadow_op.pages = 1ul << 42;
	proxy_begin(p, calls, n);
	return domctl(XEN_DOMCTL_shadow_op, vm);
}

/* An operation on a domain that its end interrupts, on another domain's account. */
static void test_end_of_log(struct proxy *p)
{
	struct call calls[21];
	const size_t n = sizeof(calls) / sizeof(*calls);
	long before = settled_pages();
	uint32_t vm = vm_make(p, 16);
	double start;
	int rc;

	/* dom0 comes first. */
	for (size_t i = 0; i < n; i++)
		calls[i] = (struct call){ .nr = __HYPERVISOR_sched_op,
					  .arg = { SCHEDOP_yield },
					  .rc = P_PENDING };
	memset(&pctl, 0, sizeof(pctl));
	pctl.cmd = XEN_DOMCTL_destroydomain;
	pctl.domain = (domid_t)vm;
	pctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	proxy_put(p, 0, &pctl, sizeof(pctl));
	calls[n - 1].nr = __HYPERVISOR_domctl;
	calls[n - 1].arg[0] = proxy_at(p, 0);

	start = now_ms();
	rc = look_at_log(p, vm, calls, n);
	IS(now_ms() - start > 2, 1, "log: dom0 has begun to look at it");
	IS(rc == -EINVAL || rc == -ESRCH, 1, "log: its domain ends while dom0 looks at it");
	proxy_finish(p, calls, n);
	IS(calls[n - 1].rc, 0, "log: by its owner");
	if (gone_after(vm, 10000) < 0)
		bail("a domain does not go away");
	IS(before - settled_pages(), 0, "log: its memory comes back");
}

/* ---- what it does not give ---- */

/* The calls that would do most, on a domain that is not the caller's. */
static void test_refused(struct proxy *p, uint32_t domid, const char *whose)
{
	static const uint32_t cmds[] = {
		XEN_DOMCTL_destroydomain,
		XEN_DOMCTL_pausedomain,
		XEN_DOMCTL_unpausedomain,
		XEN_DOMCTL_getdomaininfo,
		XEN_DOMCTL_max_vcpus,
		XEN_DOMCTL_max_mem,
		XEN_DOMCTL_settscinfo,
		XEN_DOMCTL_sethvmcontext,
		XEN_DOMCTL_get_paging_mempool_size,
		XEN_DOMCTL_set_paging_mempool_size,
		XEN_DOMCTL_xenolith_set_owner,
		XEN_DOMCTL_xenolith_get_owner,
		XEN_DOMCTL_gethvmcontext,
		XEN_DOMCTL_hypercall_init,
	};
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_guest_copy };
	char what[96];
	unsigned bad = 0;
	long rc;

	for (unsigned i = 0; i < sizeof(cmds) / sizeof(*cmds); i++) {
		memset(&pctl.u, 0, sizeof(pctl.u));
		rc = proxy_domctl(p, cmds[i], domid);
		if (rc != -EPERM && rc != -ESRCH) {
			printf("# domctl %u: %ld\n", cmds[i], rc);
			bad++;
		}
	}
	op.u.xenolith_guest_copy.flags = XENOLITH_COPY_from_guest;
	bad += proxy_dm_op(p, domid, &op, P_SCRATCH + 2 * PAGE, 8) >= 0;
	op.op = XEN_DMOP_create_ioreq_server;
	bad += proxy_dm_op(p, domid, &op, 0, 0) >= 0;
	bad += proxy_map(p, DOMID_SELF, domid, 0, P_HOLE) >= 0;
	bad += proxy_populate(p, domid, 0x3000, 1) > 0;
	snprintf(what, sizeof(what), "refused: %s", whose);
	IS(bad, 0, what);
}

static void test_others(struct proxy *a, struct proxy *b)
{
	uint32_t of_a = vm_make(a, P_PAGES), of_b = vm_make(b, 16), reused;
	struct proxy vm;

	test_refused(a, 0, "dom0");
	test_refused(a, b->domid, "another builder");
	test_refused(a, of_b, "a domain of another builder");
	IS(proxy_plain_domctl(a, XEN_DOMCTL_destroydomain, a->domid), -EPERM,
	   "refused: its own end");
	IS(vm_max_mem(a, a->domid, 1 << 20), -EPERM, "refused: memory for itself");
	IS(set_owner(of_a), -EINVAL,
	   "inherit: a domain that is owned cannot be given the right");
	proxy_load(of_a);
	proxy_start(&vm, of_a);
	vm_config();
	IS(proxy_domctl(&vm, XEN_DOMCTL_createdomain, 0), -EPERM, "inherit: nor has it");
	test_refused(&vm, a->domid, "its owner");
	test_refused(&vm, of_b, "a domain like it");
	IS(proxy_map(a, of_a, of_b, 0, P_HOLE) < 0, 1, "others: memory not even for its own");
	IS(proxy_map(a, of_a, 0, 0, P_HOLE) < 0, 1, "others: nor that of dom0");

	/* The same domid, another domain. First one that there comes to be none of. */
	destroy(of_b);
	if (gone_after(of_b, 10000) < 0)
		bail("a domain does not go away");
	vm_config();
	memset(ctl, 0, sizeof(*ctl));
	ctl->u.createdomain = pctl.u.createdomain;
	ctl->u.createdomain.cpupool_id = NO_POOL;
	IS(domctl(XEN_DOMCTL_createdomain, of_b), -ESRCH, "domid: for a pool there is not");
	IS(proxy_domctl(b, XEN_DOMCTL_createdomain, of_b), 0, "domid: is still whose it was");
	vm_end(b, of_b);
	if (gone_after(of_b, 10000) < 0)
		bail("a domain does not go away");
	vm_config();
	memset(ctl, 0, sizeof(*ctl));
	ctl->u.createdomain = pctl.u.createdomain;
	if (domctl(XEN_DOMCTL_createdomain, of_b))
		bail("createdomain with a domid");
	reused = ctl->domain;
	IS(reused, of_b, "domid: can be used again");
	test_refused(b, reused, "one that has the domid of its own");
	vm_config();
	IS(proxy_domctl(b, XEN_DOMCTL_createdomain, of_b), -EPERM,
	   "domid: nor may it have that any more");
	destroy(reused);
	proxy_end(&vm);
	IS(all_returned(a->domid), 1, "others: dom0 may destroy, and all is returned");
}

/* ---- the end of an owner ---- */

static void test_death(void)
{
	static const uint8_t loop[] = { 0xeb, 0xfe }; /* jmp . */
	uint32_t running, empty, domid = make_domain(P_PAGES);
	long before;
	struct proxy p;

	proxy_load(domid);
	if (set_owner(domid))
		bail("set_owner");
	proxy_start(&p, domid);
	proxy_end(&p);
	before = settled_pages();

	make_builder(&p);
	running = vm_make(&p, VM_PAGES);
	poke(running, 0, loop, sizeof(loop));
	context_init(scratch);
	poke(p.domid, P_SCRATCH + PAGE, scratch, sizeof(struct context));
	vm_load_context(&p, running, sizeof(struct context));
	proxy_plain_domctl(&p, XEN_DOMCTL_unpausedomain, running);
	vm_config();
	if (proxy_domctl(&p, XEN_DOMCTL_createdomain, 0))
		bail("createdomain");
	empty = pctl.domain;
	proxy_map(&p, DOMID_SELF, running, 3, P_HOLE);
	destroy(p.domid);
	IS(gone_after(running, 20000) >= 0, 1, "death: a running domain dies with its owner");
	IS(gone_after(empty, 20000) >= 0, 1, "death: and one that is half built");
	xenevtchn_close(p.stopped);
	IS(gone_after(p.domid, 20000) >= 0, 1, "death: the owner is gone");
	IS(settled_pages(), before, "death: no page is lost");
}

static int print_quotas(uint32_t domid)
{
	const struct xen_domctl_xenolith_owner *o = &ctl->u.xenolith_owner;
	int rc;

	memset(&ctl->u, 0, sizeof(ctl->u));
	rc = domctl(XEN_DOMCTL_xenolith_get_owner, domid);
	if (rc)
		printf("error %d\n", -rc);
	for (unsigned kind = 0; !rc && kind < XENOLITH_QUOTA_NR; kind++)
		printf("%llu %llu\n", (unsigned long long)o->quota[kind],
		       (unsigned long long)o->used[kind]);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long attacks = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	struct proxy a, b;

	open_all();
	if (argc == 3 && strcmp(argv[1], "quotas") == 0)
		return print_quotas((uint32_t)strtoul(argv[2], NULL, 0));
	test_right();
	make_builder(&a);
	make_builder(&b);
	test_own(&a);
	test_bad_configs(&a);
	test_bad_contexts(&a);
	test_quotas(&a);
	test_zombie(&a);
	test_end_of_log(&a);
	test_others(&a, &b);
	test_death();
	attack_others(&a, &b, attacks, seed);
	IS(all_returned(a.domid), 1, "attack: it got nothing");
	attack_own(&a, &b, attacks, seed);
	IS(all_returned(a.domid), 1, "attack: on its own, everything is returned");
	proxy_end(&a);
	attack_self(&b, attacks / 10, seed, make_builder);
	proxy_end(&b);
	printf("1..%u\n", nr_tests);
	return nr_failed != 0;
}
