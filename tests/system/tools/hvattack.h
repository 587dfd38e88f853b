/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For hvowner.c: domains that a proxy owns, and a proxy that makes hypercalls of all
 * kinds, with plain, boundary and random arguments, on domains that are not its own.
 */
#ifndef TESTS_SYSTEM_HVATTACK_H
#define TESTS_SYSTEM_HVATTACK_H

#include "tests/system/tools/hvproxy.h"

#include <xen/hvm/params.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sysctl.h>

#define VM_PAGES 1024
#define VM_EXTRA 64 /* pages that max_mem is more than that */

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

/* A domain with a vCPU and so much memory. */
static uint32_t vm_make(struct proxy *p, unsigned pages)
{
	uint32_t vm;

	vm_config();
	if (proxy_domctl(p, XEN_DOMCTL_createdomain, 0))
		bail("createdomain by a proxy");
	vm = pctl.domain;
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

/* sethvmcontext with what is in the proxy's memory at P_SCRATCH + PAGE. */
static long vm_load_context(struct proxy *p, uint32_t vm, uint32_t size)
{
	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.hvmcontext.size = size;
	set_xen_guest_handle_raw(pctl.u.hvmcontext.buffer,
				 (void *)(uintptr_t)(P_SCRATCH + PAGE));
	return proxy_domctl(p, XEN_DOMCTL_sethvmcontext, vm);
}

/* ---- what must stay as it is ---- */

static long free_pages(void)
{
	struct xen_sysctl *s = scratch;

	memset(s, 0, sizeof(*s));
	s->cmd = XEN_SYSCTL_physinfo;
	s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	if (xencall1(xc, __HYPERVISOR_sysctl, (uintptr_t)s) < 0)
		bail("physinfo");
	return (long)(s->u.physinfo.free_pages + s->u.physinfo.scrub_pages);
}

#define STATE_FLAGS                                                                          \
	(XEN_DOMINF_dying | XEN_DOMINF_hvm_guest | XEN_DOMINF_shutdown | XEN_DOMINF_paused | \
	 XEN_DOMINF_debugged | XEN_DOMINF_xs_domain)

/* A number for the state of a domain, and of the first pages of its memory if it is HVM. */
static uint64_t state(uint32_t domid)
{
	static uint8_t page[PAGE];
	const struct xen_domctl_getdomaininfo *info = &ctl->u.getdomaininfo;
	uint64_t sum = domid;

	memset(&ctl->u, 0, sizeof(ctl->u));
	if (domctl(XEN_DOMCTL_getdomaininfo, domid) || info->domain != domid)
		return 0;
	sum = sum * 31 + (info->flags & STATE_FLAGS);
	sum = sum * 31 + info->tot_pages;
	sum = sum * 31 + info->max_pages;
	sum = sum * 31 + info->outstanding_pages;
	sum = sum * 31 + info->nr_online_vcpus;
	sum = sum * 31 + info->max_vcpu_id;
	sum = sum * 31 + info->cpupool;
	for (unsigned i = 0; domid && i < 16; i++) {
		if (i == P_COUNT / PAGE || i == P_COUNT / PAGE + 2) /* and the stack */
			continue;
		peek(domid, i * PAGE, page, PAGE);
		for (unsigned j = 0; j < PAGE; j++)
			sum = sum * 31 + page[j];
	}
	return sum;
}

/* ---- hypercalls of all kinds ---- */

struct attack {
	uint64_t seed;
	const uint32_t *targets;
	unsigned nr_targets;
	struct call calls[P_CALLS_MAX];
	uint8_t bufs[P_CALLS_MAX][P_BUFFER];
	uint32_t domid[P_CALLS_MAX];
};

static uint64_t draw(struct attack *a)
{
	a->seed ^= a->seed << 13;
	a->seed ^= a->seed >> 7;
	a->seed ^= a->seed << 17;
	return a->seed * 0x2545f4914f6cdd1d;
}

static uint64_t draw_below(struct attack *a, uint64_t n)
{
	return draw(a) % n;
}

/* A number that somebody may have forgotten, or one like any other. */
static uint64_t draw_value(struct attack *a)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		3,
		0x10,
		0xff,
		0x1000,
		0x7ff0,
		0xffff,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		~0ull,
		P_SCRATCH,
		P_BUFFERS,
	};
	unsigned n = sizeof(values) / sizeof(*values);
	uint64_t i = draw_below(a, 2 * n);

	return i < n ? values[i] : draw(a) >> draw_below(a, 64);
}

/* Arguments, in one of four ways. */
static void draw_buffer(struct attack *a, uint8_t *buf)
{
	unsigned way = (unsigned)draw_below(a, 4);

	memset(buf, way == 1 ? 0xff : 0, P_BUFFER);
	for (unsigned i = 0; way > 1 && i < P_BUFFER; i += way == 2 ? 4 : 8) {
		uint64_t v = draw_value(a);

		memcpy(buf + i, &v, way == 2 ? 4 : 8);
	}
}

static void put16(uint8_t *at, uint32_t v)
{
	uint16_t domid = (uint16_t)v;

	memcpy(at, &domid, sizeof(domid));
}

static void put_word(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

/* Hypercalls whose structure names a domain: where. */
static const struct {
	uint8_t nr, cmd, domid;
} named[] = {
	{ __HYPERVISOR_memory_op, XENMEM_increase_reservation, 24 },
	{ __HYPERVISOR_memory_op, XENMEM_decrease_reservation, 24 },
	{ __HYPERVISOR_memory_op, XENMEM_populate_physmap, 24 },
	{ __HYPERVISOR_memory_op, XENMEM_exchange, 24 },
	{ __HYPERVISOR_memory_op, XENMEM_current_reservation, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_maximum_reservation, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_maximum_gpfn, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_add_to_physmap, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_add_to_physmap_batch, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_remove_from_physmap, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_set_memory_map, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_set_pod_target, 16 },
	{ __HYPERVISOR_memory_op, XENMEM_get_pod_target, 16 },
	{ __HYPERVISOR_memory_op, XENMEM_paging_op, 1 },
	{ __HYPERVISOR_memory_op, XENMEM_access_op, 2 },
	{ __HYPERVISOR_memory_op, XENMEM_sharing_op, 1 },
	{ __HYPERVISOR_memory_op, XENMEM_claim_pages, 24 },
	{ __HYPERVISOR_memory_op, XENMEM_get_vnumainfo, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_acquire_resource, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_set_param, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_get_param, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_get_mem_type, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_altp2m, 8 },
	{ __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, 0 },
	{ __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, 0 },
	{ __HYPERVISOR_event_channel_op, EVTCHNOP_status, 0 },
	{ __HYPERVISOR_event_channel_op, EVTCHNOP_reset, 0 },
	{ __HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, 0 },
	{ __HYPERVISOR_grant_table_op, GNTTABOP_get_version, 0 },
	{ __HYPERVISOR_physdev_op, PHYSDEVOP_map_pirq, 0 },
	{ __HYPERVISOR_physdev_op, PHYSDEVOP_unmap_pirq, 0 },
};

static void draw_named(struct attack *a, unsigned i, uint32_t domid)
{
	unsigned k = (unsigned)draw_below(a, sizeof(named) / sizeof(*named));
	struct call *c = &a->calls[i];

	c->nr = named[k].nr;
	c->arg[0] = named[k].cmd;
	c->arg[1] = P_BUFFERS + i * P_BUFFER;
	c->arg[2] = 1;
	put16(a->bufs[i] + named[k].domid, domid);
	/* Twice, and the same. */
	if (named[k].nr == __HYPERVISOR_memory_op && named[k].cmd == XENMEM_exchange)
		put16(a->bufs[i] + 56, domid);
}

/*
 * Some dm_ops go on for as long as they are told to, restarting themselves: hours, if the
 * domain has a page at a high address.
 */
static void draw_counts(struct attack *a, uint8_t *op, uint8_t *extents)
{
	uint32_t few = (uint32_t)draw_below(a, 4096), cmd;

	memcpy(&cmd, op, sizeof(cmd));
	if (cmd == XEN_DMOP_set_mem_type)
		put_word(op + 12, few);
	if (cmd == XEN_DMOP_relocate_memory)
		put_word(op + 8, few);
	for (unsigned i = 0; cmd == XEN_DMOP_modified_memory && i < 6; i++)
		put_word(extents + 16 * i + 8, few);
}

/* The kinds that name a domain by a rule of their own, and those for the host alone. */
static void draw_call(struct attack *a, unsigned i)
{
	static const uint16_t hosts[] = { __HYPERVISOR_sysctl, __HYPERVISOR_platform_op };
	struct call *c = &a->calls[i];
	uint8_t *buf = a->bufs[i];
	uint32_t domid = a->targets[draw_below(a, a->nr_targets)];
	uint64_t at = P_BUFFERS + i * P_BUFFER;

	memset(c, 0, sizeof(*c));
	draw_buffer(a, buf);
	a->domid[i] = domid;
	c->rc = P_PENDING;
	switch (draw_below(a, 8)) {
	case 0:
	case 1:
		c->nr = __HYPERVISOR_domctl;
		c->arg[0] = at;
		put_word(buf, (uint32_t)(draw_below(a, 8) ?
						 draw_below(a, 96) :
						 XEN_DOMCTL_xenolith_base + draw_below(a, 4)));
		put_word(buf + 4, XEN_DOMCTL_INTERFACE_VERSION);
		put16(buf + 8, domid);
		return;
	case 2:
	case 3:
		c->nr = __HYPERVISOR_dm_op;
		c->arg[0] = domid;
		c->arg[1] = 1 + draw_below(a, 2);
		c->arg[2] = at;
		memcpy(buf, (uint64_t[]){ at + 64, 96, at + 160, 96 }, 32);
		put_word(buf + 64, (uint32_t)(draw_below(a, 2) ? draw_below(a, 24) :
								 XEN_DMOP_xenolith_base +
									 draw_below(a, 12)));
		put_word(buf + 68, 0);
		draw_counts(a, buf + 64, buf + 160);
		return;
	case 4:
		c->nr = hosts[draw_below(a, 2)];
		c->arg[0] = at;
		put_word(buf, (uint32_t)draw_below(a, 72));
		put_word(buf + 4, c->nr == __HYPERVISOR_sysctl ? XEN_SYSCTL_INTERFACE_VERSION :
								 XENPF_INTERFACE_VERSION);
		return;
	case 5:
		c->nr = __HYPERVISOR_mmuext_op;
		c->arg[0] = at;
		c->arg[1] = 1;
		c->arg[3] = domid;
		put_word(buf, (uint32_t)draw_below(a, 24));
		return;
	default:
		draw_named(a, i, domid);
	}
}

/*
 * Whether a call on somebody else's domain was refused. What succeeds without a look at
 * whose domain it is: the version of vm_event, as ever. Memory operations on a list say
 * how much of it they did: none.
 */
static bool refused(const struct attack *a, unsigned i)
{
	const struct call *c = &a->calls[i];
	const uint8_t *buf = a->bufs[i];
	uint32_t cmd;

	if (c->rc < 0)
		return true;
	memcpy(&cmd, buf, sizeof(cmd));
	if (c->nr == __HYPERVISOR_domctl)
		return cmd == XEN_DOMCTL_vm_event_op;
	return c->rc == 0 && c->nr == __HYPERVISOR_memory_op &&
	       (c->arg[0] == XENMEM_increase_reservation ||
		c->arg[0] == XENMEM_decrease_reservation || c->arg[0] == XENMEM_exchange ||
		c->arg[0] == XENMEM_populate_physmap ||
		c->arg[0] == XENMEM_add_to_physmap_batch);
}

/* Draw and make `n` calls. */
static void attack_batch(struct proxy *p, struct attack *a, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		draw_call(a, i);
	poke(p->domid, P_BUFFERS, a->bufs, n * P_BUFFER);
	proxy_calls(p, a->calls, n);
}

static struct attack attack;

static void tell(const struct attack *a, unsigned i)
{
	const struct call *c = &a->calls[i];

	printf("# domain %u: hypercall %llu (%#llx, %#llx, %#llx, %#llx): %lld;", a->domid[i],
	       (unsigned long long)c->nr, (unsigned long long)c->arg[0],
	       (unsigned long long)c->arg[1], (unsigned long long)c->arg[2],
	       (unsigned long long)c->arg[3], (long long)c->rc);
	for (unsigned j = 0; j < 80; j += 4) {
		uint32_t v;

		memcpy(&v, a->bufs[i] + j, sizeof(v));
		printf(" %x", v);
	}
	printf("\n");
}

/* By `a` on everything that is not its own: nothing but refusals, and nothing changes. */
static void attack_others(struct proxy *a, struct proxy *b, unsigned long n, uint64_t seed)
{
	uint32_t of_b = vm_make(b, 16);
	const uint32_t targets[] = { 0,		b->domid,  of_b,       0x1234,	      DOMID_IO,
				     DOMID_XEN, DOMID_COW, DOMID_IDLE, DOMID_INVALID, 0,
				     b->domid,	of_b };
	uint64_t was[3] = { state(0), state(b->domid), state(of_b) };
	unsigned long done = 0, bad = 0;
	long before = free_pages();

	attack.seed = seed * 2 + 1;
	attack.targets = targets;
	attack.nr_targets = sizeof(targets) / sizeof(*targets);
	while (done < n) {
		attack_batch(a, &attack, P_CALLS_MAX);
		for (unsigned i = 0; i < P_CALLS_MAX; i++)
			if (!refused(&attack, i) && bad++ < 10)
				tell(&attack, i);
		done += P_CALLS_MAX;
	}
	printf("# %lu hypercalls on the domains of others\n", done);
	IS(bad, 0, "attack: is refused");
	IS(was[0] == state(0), 1, "attack: dom0 is as it was");
	IS(was[1] == state(b->domid), 1, "attack: the other builder, too");
	IS(was[2] == state(of_b), 1, "attack: and its domain");
	IS(free_pages(), before, "attack: no memory is gone");
	vm_end(b, of_b);
}

static uint64_t pages_charged(uint32_t builder)
{
	memset(&ctl->u, 0, sizeof(ctl->u));
	if (domctl(XEN_DOMCTL_xenolith_get_owner, builder))
		bail("get_owner");
	return ctl->u.xenolith_owner.used[XENOLITH_QUOTA_pages];
}

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

/* A domain with something in it, or one that has just been created. */
static uint32_t vm_any(struct proxy *p, bool bare)
{
	if (!bare)
		return vm_make(p, 64);
	vm_config();
	if (proxy_domctl(p, XEN_DOMCTL_createdomain, 0))
		bail("createdomain by a proxy");
	return pctl.domain;
}

/* Let a domain start with a context of which some is not as it should be: whether it did. */
static bool vm_start_anyhow(struct proxy *p, struct attack *a, uint32_t vm)
{
	struct context *c = scratch;
	unsigned n = (unsigned)draw_below(a, 5);

	context_init(c);
	if (draw_below(a, 2))
		proxy_context(c);
	for (unsigned i = 0; i < n; i++) {
		uint64_t v = draw_value(a), at = draw_below(a, sizeof(*c) - 4);

		memcpy((char *)c + at, &v, 4);
	}
	poke(p->domid, P_SCRATCH + PAGE, c, sizeof(*c));
	if (vm_load_context(p, vm, sizeof(*c)))
		return false;
	return proxy_plain_domctl(p, XEN_DOMCTL_unpausedomain, vm) == 0;
}

/* By `a` on its own: it may do what it likes, the others and the quotas stay. */
static void attack_own(struct proxy *a, struct proxy *b, unsigned long n, uint64_t seed)
{
	uint32_t of_b = vm_make(b, 16), own[2] = { vm_any(a, false), vm_any(a, true) };
	uint64_t was[3] = { state(0), state(b->domid), state(of_b) };
	unsigned long done = 0, ok = 0, made = 2, wrong = 0, ran = 0;

	attack.seed = seed * 2 + 1;
	attack.targets = own;
	attack.nr_targets = 2;
	while (done < n) {
		ran += vm_start_anyhow(a, &attack, own[0]);
		attack_batch(a, &attack, P_CALLS_MAX / 8);
		for (unsigned i = 0; i < P_CALLS_MAX / 8; i++)
			ok += attack.calls[i].rc >= 0;
		done += P_CALLS_MAX / 8;
		wrong += pages_of(own, 2) != pages_charged(a->domid);
		for (unsigned i = 0; i < 2; i++) {
			proxy_plain_domctl(a, XEN_DOMCTL_destroydomain, own[i]);
			if (gone_after(own[i], 10000) < 0)
				bail("a domain does not go away");
			own[i] = vm_any(a, made++ % 3 == 0);
		}
	}
	printf("# %lu hypercalls on %lu domains of its own, %lu of them done\n", done, made,
	       ok);
	IS(ok > 0, 1, "attack: on its own it succeeds");
	printf("# %lu of the domains ran\n", ran);
	IS(ran > 0, 1, "attack: they run");
	IS(wrong, 0, "attack: what they have is what is charged for");
	IS(was[0] == state(0), 1, "attack: dom0 is as it was");
	IS(was[1] == state(b->domid), 1, "attack: the other builder, too");
	IS(was[2] == state(of_b), 1, "attack: and its domain");
	vm_end(a, own[0]);
	vm_end(a, own[1]);
	vm_end(b, of_b);
}

#endif
