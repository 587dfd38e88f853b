/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generator of hypercalls on domains: every kind there is, with plain, boundary and random
 * arguments, for a guest that a program in dom0 directs (hvattack.h) and for the domain that
 * the program itself runs in (hvinside.c). Include hvproxy.h or hvself.h before.
 *
 * Left out is what has no other domain for a target, but succeeds on the caller: its own
 * timers, vCPUs, event channels, upcalls, and shutting down.
 */
#ifndef TESTS_SYSTEM_HVGEN_H
#define TESTS_SYSTEM_HVGEN_H

#include "tests/system/tools/hvcaller.h"

#include <xen/hvm/params.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/sysctl.h>

#define G_MULTICALL 256 /* in a buffer: a struct multicall_entry, behind all arguments */
#define G_HOLES 16 /* frames of the caller with nothing in them */
#define G_EXTENT_SHIFT 6 /* where a memory operation tells how far it has come */
#define G_NOWHERE 240 /* where nobody looks for a domid */

/* What is no domain, or not one like others. */
#define SPECIAL_DOMIDS                                                                    \
	0x1234, DOMID_IO, DOMID_XEN, DOMID_COW, DOMID_INVALID, DOMID_INVALID + 1, 0x7ffe, \
		DOMID_IDLE, 0x8000, 0xffff

/* What is known of a call beside its arguments, which the hypervisor may have changed. */
struct about {
	uint32_t domid, cmd;
	uint16_t status; /* where one is in the arguments, 0: nowhere */
	bool multi; /* it is a multicall of one, and this: */
	struct call inner;
};

struct attack {
	uint64_t seed;
	uint64_t base; /* the first buffer as the caller sees it */
	/*
	 * If the caller's memory is not to be replaced by what it maps: a list of G_HOLES
	 * frames for that, as the caller sees it, and the first of them.
	 */
	uint64_t holes, hole;
	const uint32_t *targets;
	unsigned nr_targets;
	uint32_t self; /* the caller: its own domid is nothing for domctls and dm_ops */
	uint32_t owned; /* a domain of its own beside the targets, or 0 */
	bool own; /* the targets are the caller's: it may do what it likes */
	struct call calls[P_CALLS_MAX];
	struct about about[P_CALLS_MAX];
	uint8_t bufs[P_CALLS_MAX][P_BUFFER];
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
	static const uint64_t values[] = { 0,
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
					   ~0ull };
	unsigned n = sizeof(values) / sizeof(*values);
	uint64_t i = draw_below(a, 2 * n + 4);

	if (i < n)
		return values[i];
	if (i < n + 2) /* memory of the caller's */
		return a->base + (i - n) * P_BUFFER;
	return draw(a) >> draw_below(a, 64);
}

/* Arguments, in one of four ways. */
static void draw_buffer(struct attack *a, uint8_t *buf)
{
	unsigned way = (unsigned)draw_below(a, 4);

	memset(buf, way == 1 ? 0xff : 0, P_BUFFER);
	for (unsigned i = 0; way > 1 && i < G_MULTICALL; i += way == 2 ? 4 : 8) {
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

/* Hypercalls whose structure names a domain, or two: where, and where they tell a status. */
static const struct {
	uint8_t nr, cmd, domid, other, status;
} named[] = {
#define MEMORY(op, type, field)                                    \
	{                                                          \
		.nr = __HYPERVISOR_memory_op, .cmd = XENMEM_##op,  \
		.domid = offsetof(struct type, field), .other = 0, \
	}
	MEMORY(increase_reservation, xen_memory_reservation, domid),
	MEMORY(decrease_reservation, xen_memory_reservation, domid),
	MEMORY(populate_physmap, xen_memory_reservation, domid),
	{ __HYPERVISOR_memory_op, XENMEM_exchange,
	  offsetof(struct xen_memory_exchange, in.domid),
	  offsetof(struct xen_memory_exchange, out.domid), 0 },
	{ __HYPERVISOR_memory_op, XENMEM_current_reservation, 0, 0, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_maximum_reservation, 0, 0, 0 },
	{ __HYPERVISOR_memory_op, XENMEM_maximum_gpfn, 0, 0, 0 },
	MEMORY(add_to_physmap, xen_add_to_physmap, domid),
	MEMORY(add_to_physmap_batch, xen_add_to_physmap_batch, domid),
	MEMORY(remove_from_physmap, xen_remove_from_physmap, domid),
	MEMORY(set_memory_map, xen_foreign_memory_map, domid),
	MEMORY(set_pod_target, xen_pod_target, domid),
	MEMORY(get_pod_target, xen_pod_target, domid),
	MEMORY(paging_op, xen_mem_paging_op, domain),
	MEMORY(access_op, xen_mem_access_op, domid),
	MEMORY(sharing_op, xen_mem_sharing_op, domain),
	MEMORY(claim_pages, xen_memory_reservation, domid),
	MEMORY(get_vnumainfo, xen_vnuma_topology_info, domid),
	MEMORY(acquire_resource, xen_mem_acquire_resource, domid),
	{ __HYPERVISOR_memory_op, XENMEM_machine_memory_map, G_NOWHERE, 0, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_set_param, 0, 0, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_get_param, 0, 0, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_pagetable_dying, 0, 0, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_get_mem_type, 0, 0, 0 },
	{ __HYPERVISOR_hvm_op, HVMOP_altp2m, offsetof(struct xen_hvm_altp2m_op, domain), 0, 0 },
	{ __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound, 0, 0, 0 },
	{ __HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, 0, 0, 0 },
	{ __HYPERVISOR_event_channel_op, EVTCHNOP_status, 0, 0, 0 },
	{ __HYPERVISOR_event_channel_op, EVTCHNOP_reset, 0, 0, 0 },
	{ __HYPERVISOR_sched_op, SCHEDOP_remote_shutdown, 0, 0, 0 },
#define GRANT(op, type, field)                                                               \
	{                                                                                    \
		__HYPERVISOR_grant_table_op, GNTTABOP_##op, offsetof(struct type, field), 0, \
			offsetof(struct type, status)                                        \
	}
	GRANT(map_grant_ref, gnttab_map_grant_ref, dom),
	GRANT(setup_table, gnttab_setup_table, dom),
	GRANT(transfer, gnttab_transfer, domid),
	GRANT(query_size, gnttab_query_size, dom),
	GRANT(get_status_frames, gnttab_get_status_frames, dom),
	{ __HYPERVISOR_grant_table_op, GNTTABOP_copy,
	  offsetof(struct gnttab_copy, source.domid), offsetof(struct gnttab_copy, dest.domid),
	  offsetof(struct gnttab_copy, status) },
	{ __HYPERVISOR_grant_table_op, GNTTABOP_get_version, 0, 0, 0 },
	{ __HYPERVISOR_physdev_op, PHYSDEVOP_map_pirq, 0, 0, 0 },
	{ __HYPERVISOR_physdev_op, PHYSDEVOP_unmap_pirq, 0, 0, 0 },
#undef MEMORY
#undef GRANT
};

static bool is_memory_op(const struct call *c, unsigned cmd)
{
	return c->nr == __HYPERVISOR_memory_op &&
	       (c->arg[0] & ((1u << G_EXTENT_SHIFT) - 1)) == cmd;
}

/* Where what succeeds would put something into the caller's memory, that is a hole. */
static void spare_caller(const struct attack *a, const struct call *c, uint8_t *buf)
{
	struct xen_mem_acquire_resource *r = (void *)buf;
	struct gnttab_map_grant_ref *g = (void *)buf;

	if (!a->holes)
		return;
	if (is_memory_op(c, XENMEM_acquire_resource)) {
		r->nr_frames %= G_HOLES + 1;
		memcpy(&r->frame_list, &a->holes, sizeof(a->holes));
	}
	if (c->nr == __HYPERVISOR_grant_table_op && c->arg[0] == GNTTABOP_map_grant_ref)
		g->host_addr = a->hole * PAGE;
}

static void draw_named(struct attack *a, unsigned i, uint32_t domid)
{
	unsigned k = (unsigned)draw_below(a, sizeof(named) / sizeof(*named));
	struct call *c = &a->calls[i];
	uint8_t *buf = a->bufs[i];

	c->nr = named[k].nr;
	c->arg[0] = named[k].cmd;
	c->arg[1] = a->base + i * P_BUFFER;
	c->arg[2] = 1;
	a->about[i].status = named[k].status;
	put16(buf + named[k].domid, domid);
	if (named[k].other)
		put16(buf + named[k].other, draw_below(a, 2) ? domid : DOMID_SELF);
	/* As if it went on. */
	if (c->nr == __HYPERVISOR_memory_op && !draw_below(a, 8))
		c->arg[0] |= draw_below(a, 64) << G_EXTENT_SHIFT;
	/* Twice, and the same. */
	if (is_memory_op(c, XENMEM_exchange))
		put16(buf + named[k].other, domid);
	/* Nothing is copied for everybody. */
	if (c->nr == __HYPERVISOR_grant_table_op && c->arg[0] == GNTTABOP_copy)
		((struct gnttab_copy *)(void *)buf)->len |= 1;
	if (c->nr == __HYPERVISOR_hvm_op && c->arg[0] == HVMOP_altp2m) {
		put_word(buf, HVMOP_ALTP2M_INTERFACE_VERSION);
		put_word(buf + 4, (uint32_t)draw_below(a, 20));
	}
	spare_caller(a, c, buf);
}

/* A frame of the target's into a hole of the caller's, or of a domain of its own. */
static void draw_foreign(struct attack *a, unsigned i, uint32_t domid)
{
	struct xen_add_to_physmap_batch *b = (void *)a->bufs[i];
	uint64_t at = a->base + i * P_BUFFER, gpfn = a->hole;

	a->calls[i].nr = __HYPERVISOR_memory_op;
	a->calls[i].arg[0] = XENMEM_add_to_physmap_batch;
	a->calls[i].arg[1] = at;
	memset(b, 0, sizeof(*b));
	b->domid = a->owned && draw_below(a, 2) ? (domid_t)a->owned : DOMID_SELF;
	b->space = XENMAPSPACE_gmfn_foreign;
	b->size = 1;
	b->u.foreign_domid = (domid_t)domid;
	memcpy(&b->idxs, (uint64_t[]){ at + 64 }, 8);
	memcpy(&b->gpfns, (uint64_t[]){ at + 72 }, 8);
	memcpy(&b->errs, (uint64_t[]){ at + 80 }, 8);
	memcpy(a->bufs[i] + 72, &gpfn, sizeof(gpfn));
	a->about[i].status = 80;
	put16(a->bufs[i] + 80, 0);
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

static void draw_dm_op(struct attack *a, unsigned i, uint32_t domid)
{
	struct call *c = &a->calls[i];
	uint8_t *buf = a->bufs[i];
	uint64_t at = a->base + i * P_BUFFER;

	c->nr = __HYPERVISOR_dm_op;
	c->arg[0] = domid;
	c->arg[1] = 1 + draw_below(a, 2);
	c->arg[2] = at;
	memcpy(buf, (uint64_t[]){ at + 64, 96, at + 160, 96 }, 32);
	put_word(buf + 64,
		 (uint32_t)(draw_below(a, 2) ? draw_below(a, 24) :
					       XEN_DMOP_xenolith_base + draw_below(a, 12)));
	put_word(buf + 68, 0);
	draw_counts(a, buf + 64, buf + 160);
}

/* Also the debugger's, and by the number that a long one of them goes on with. */
static void draw_domctl(struct attack *a, unsigned i, uint32_t domid)
{
	static const uint32_t apart[] = { XEN_DOMCTL_gdbsx_guestmemio,
					  XEN_DOMCTL_xenolith_base };
	struct call *c = &a->calls[i];
	uint8_t *buf = a->bufs[i];

	c->nr = __HYPERVISOR_domctl;
	c->arg[0] = a->base + i * P_BUFFER;
	put_word(buf,
		 (uint32_t)(draw_below(a, 8) ? draw_below(a, 96) :
					       apart[draw_below(a, 2)] + draw_below(a, 4)));
	put_word(buf + 4, XEN_DOMCTL_INTERFACE_VERSION);
	put16(buf + 8, domid);
	if (!draw_below(a, 16)) {
		c->nr = __HYPERVISOR_arch_1; /* paging_domctl_cont */
		put_word(buf, XEN_DOMCTL_shadow_op);
	}
	memcpy(&a->about[i].cmd, buf, sizeof(a->about[i].cmd));
}

/*
 * What is for the host alone, or for PV domains, or has been taken away: the numbers that
 * are left when those are taken out that work on a domain, or for the caller on itself.
 */
static void draw_host(struct attack *a, unsigned i)
{
	static const uint64_t not_these =
		1ull << __HYPERVISOR_memory_op | 1ull << __HYPERVISOR_multicall |
		1ull << __HYPERVISOR_set_timer_op | 1ull << __HYPERVISOR_xen_version |
		1ull << __HYPERVISOR_console_io | 1ull << __HYPERVISOR_grant_table_op |
		1ull << __HYPERVISOR_vm_assist | 1ull << __HYPERVISOR_vcpu_op |
		1ull << __HYPERVISOR_mmuext_op | 1ull << __HYPERVISOR_sched_op |
		1ull << __HYPERVISOR_event_channel_op | 1ull << __HYPERVISOR_hvm_op |
		1ull << __HYPERVISOR_domctl | 1ull << __HYPERVISOR_dm_op |
		1ull << __HYPERVISOR_arch_1 |
		1ull << __HYPERVISOR_iret; /* the hypercall page has none */
	struct call *c = &a->calls[i];
	uint8_t *buf = a->bufs[i];

	c->nr = draw_below(a, 2) ? __HYPERVISOR_sysctl : draw_below(a, 64);
	if (not_these >> c->nr & 1)
		c->nr = __HYPERVISOR_platform_op;
	if (c->nr == __HYPERVISOR_sysctl || c->nr == __HYPERVISOR_platform_op) {
		c->arg[0] = a->base + i * P_BUFFER;
		put_word(buf, (uint32_t)draw_below(a, 72));
		put_word(buf + 4, c->nr == __HYPERVISOR_sysctl ? XEN_SYSCTL_INTERFACE_VERSION :
								 XENPF_INTERFACE_VERSION);
		return;
	}
	c->arg[0] = draw_below(a, 2) ? draw_below(a, 48) : draw_value(a);
	c->arg[1] = a->base + i * P_BUFFER;
	for (unsigned j = 2; j < 5; j++)
		c->arg[j] = draw_value(a);
}

static void draw_mmuext(struct attack *a, unsigned i, uint32_t domid)
{
	struct call *c = &a->calls[i];

	c->nr = __HYPERVISOR_mmuext_op;
	c->arg[0] = a->base + i * P_BUFFER;
	c->arg[1] = 1;
	c->arg[3] = domid;
	put_word(a->bufs[i], (uint32_t)draw_below(a, 24));
}

/* The same by way of a multicall. */
static void draw_multicall(struct attack *a, unsigned i)
{
	struct call *c = &a->calls[i];
	struct multicall_entry *e = (void *)(a->bufs[i] + G_MULTICALL);

	memset(e, 0, sizeof(*e));
	e->op = c->nr;
	e->result = P_PENDING;
	memcpy(e->args, c->arg, sizeof(c->arg));
	a->about[i].multi = true;
	a->about[i].inner = *c;
	memset(c, 0, sizeof(*c));
	c->nr = __HYPERVISOR_multicall;
	c->arg[0] = a->base + i * P_BUFFER + G_MULTICALL;
	c->arg[1] = 1;
}

static void draw_call(struct attack *a, unsigned i)
{
	uint32_t domid = a->targets[draw_below(a, a->nr_targets)], any = domid;

	memset(&a->calls[i], 0, sizeof(a->calls[i]));
	memset(&a->about[i], 0, sizeof(a->about[i]));
	draw_buffer(a, a->bufs[i]);
	if (!a->own && !draw_below(a, 16))
		any = draw_below(a, 2) ? a->self : DOMID_SELF;
	a->about[i].domid = domid;
	switch (draw_below(a, 8)) {
	case 0:
	case 1:
		a->about[i].domid = any;
		draw_domctl(a, i, any);
		break;
	case 2:
	case 3:
		a->about[i].domid = any;
		draw_dm_op(a, i, any);
		break;
	case 4:
		draw_host(a, i);
		break;
	case 5:
		if (draw_below(a, 2) && !a->own)
			draw_foreign(a, i, domid);
		else
			draw_mmuext(a, i, domid);
		break;
	default:
		draw_named(a, i, domid);
	}
	if (!draw_below(a, 16))
		draw_multicall(a, i);
	a->calls[i].rc = P_PENDING;
}

/*
 * What came of a call, and which it was if a multicall made it, whose entry a debug build
 * overwrites.
 */
static int64_t answer(const struct attack *a, unsigned i, struct call *made)
{
	const struct multicall_entry *e = (const void *)(a->bufs[i] + G_MULTICALL);

	*made = a->calls[i];
	if (!a->about[i].multi || made->rc < 0)
		return made->rc;
	*made = a->about[i].inner;
	return (int64_t)e->result;
}

/*
 * Whether a call on somebody else's domain was refused. What succeeds without a look at
 * whose domain it is: the version of vm_event, as ever; and a domain may ask for its own
 * quotas. Memory operations on a list say how much of it they did: none.
 */
static bool refused(const struct attack *a, unsigned i)
{
	const struct about *about = &a->about[i];
	struct call made;
	int64_t rc = answer(a, i, &made);
	int16_t status;

	if (rc < 0)
		return true;
	if (about->status) {
		/* Of more bits, some of them: an errno is small. */
		memcpy(&status, a->bufs[i] + about->status, sizeof(status));
		return status < 0;
	}
	if (made.nr == __HYPERVISOR_domctl)
		return about->cmd == XEN_DOMCTL_vm_event_op ||
		       (about->cmd == XEN_DOMCTL_xenolith_get_owner && about->domid == a->self);
	/* So much had been done before, it was told. */
	return made.nr == __HYPERVISOR_memory_op &&
	       rc == (int64_t)(made.arg[0] >> G_EXTENT_SHIFT) &&
	       (is_memory_op(&made, XENMEM_increase_reservation) ||
		is_memory_op(&made, XENMEM_decrease_reservation) ||
		is_memory_op(&made, XENMEM_exchange) ||
		is_memory_op(&made, XENMEM_populate_physmap));
}

static void tell(const struct attack *a, unsigned i)
{
	struct call c;
	int64_t rc = answer(a, i, &c);

	printf("# domain %u: hypercall %llu (%#llx, %#llx, %#llx, %#llx): %lld;",
	       a->about[i].domid, (unsigned long long)c.nr, (unsigned long long)c.arg[0],
	       (unsigned long long)c.arg[1], (unsigned long long)c.arg[2],
	       (unsigned long long)c.arg[3], (long long)rc);
	for (unsigned j = 0; j < 80; j += 4) {
		uint32_t v;

		memcpy(&v, a->bufs[i] + j, sizeof(v));
		printf(" %x", v);
	}
	printf("\n");
}

static struct attack attack;

#endif
