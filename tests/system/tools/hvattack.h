/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For hvowner.c: a proxy that makes hypercalls of all kinds (hvgen.h) on domains that are not
 * its own, and on its own.
 */
#ifndef TESTS_SYSTEM_HVATTACK_H
#define TESTS_SYSTEM_HVATTACK_H

#include "tests/system/tools/hvproxy.h"

#include "tests/system/tools/hvowns.h"

/* ---- what must stay as it is ---- */

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

/* Draw and make `n` calls. */
static void attack_batch(struct proxy *p, struct attack *a, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		draw_call(a, i);
	poke(p->domid, P_BUFFERS, a->bufs, n * P_BUFFER);
	proxy_calls(p, a->calls, n);
	peek(p->domid, P_BUFFERS, a->bufs, n * P_BUFFER);
}

/* By `a` on everything that is not its own: nothing but refusals, and nothing changes. */
static void attack_others(struct proxy *a, struct proxy *b, unsigned long n, uint64_t seed)
{
	uint32_t of_b = vm_make(b, 16);
	const uint32_t targets[] = { 0,	   b->domid, of_b,     0,    b->domid,
				     of_b, 0,	     b->domid, of_b, SPECIAL_DOMIDS };
	uint64_t was[3] = { state(0), state(b->domid), state(of_b) };
	unsigned long done = 0, bad = 0;
	struct gnttab_map_grant_ref map = { .host_addr = P_HOLE * PAGE,
					    .flags = GNTMAP_host_map };
	long before;

	attack.seed = seed * 2 + 1;
	attack.base = P_BUFFERS;
	attack.hole = P_HOLE;
	attack.self = a->domid;
	attack.owned = vm_make(a, 16);
	attack.targets = targets;
	attack.nr_targets = sizeof(targets) / sizeof(*targets);
	/* A page to note in what it maps, its own to have, is there from the first try on. */
	proxy_struct(a, __HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, &map, sizeof(map));
	before = free_pages();
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
	vm_end(a, attack.owned);
	vm_end(b, of_b);
}

static uint64_t pages_charged(uint32_t builder)
{
	memset(&ctl->u, 0, sizeof(ctl->u));
	if (domctl(XEN_DOMCTL_xenolith_get_owner, builder))
		bail("get_owner");
	return ctl->u.xenolith_owner.used[XENOLITH_QUOTA_pages];
}

/* Is that what @builder is charged for? It is until RCU is done with a domain that has gone. */
static bool is_charged(uint32_t builder, const uint32_t *domid, unsigned n)
{
	for (unsigned i = 0; i < 100; i++) {
		if (pages_of(domid, n) == pages_charged(builder))
			return true;
		usleep(10000);
	}
	return false;
}

/* By `a` on its own: it may do what it likes, the others and the quotas stay. */
static void attack_own(struct proxy *a, struct proxy *b, unsigned long n, uint64_t seed)
{
	uint32_t of_b = vm_make(b, 16), own[2] = { vm_any(a, false), vm_any(a, true) };
	uint64_t was[3] = { state(0), state(b->domid), state(of_b) };
	unsigned long done = 0, ok = 0, made = 2, wrong = 0, ran = 0;
	struct call made_by;

	attack.seed = seed * 2 + 1;
	attack.own = true;
	attack.targets = own;
	attack.nr_targets = 2;
	while (done < n) {
		ran += vm_start_anyhow(a, &attack, own[0]);
		attack_batch(a, &attack, P_CALLS_MAX / 8);
		for (unsigned i = 0; i < P_CALLS_MAX / 8; i++)
			ok += answer(&attack, i, &made_by) >= 0;
		done += P_CALLS_MAX / 8;
		wrong += !is_charged(a->domid, own, 2);
		for (unsigned i = 0; i < 2; i++) {
			proxy_plain_domctl(a, XEN_DOMCTL_destroydomain, own[i]);
			if (gone_after(own[i], 10000) < 0)
				bail("a domain does not go away");
		}
		/* Not before both are gone: one may have had what quotas leave. */
		for (unsigned i = 0; i < 2; i++)
			own[i] = vm_any(a, made++ % 3 == 0);
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

/* ---- on itself ---- */

/* What hvgen.h leaves out: hypercalls of all kinds on whoever makes them. */
static void draw_on_self(struct attack *a, unsigned i)
{
	static const uint8_t numbers[] = {
		__HYPERVISOR_memory_op,	       __HYPERVISOR_set_timer_op,
		__HYPERVISOR_xen_version,      __HYPERVISOR_grant_table_op,
		__HYPERVISOR_vm_assist,	       __HYPERVISOR_vcpu_op,
		__HYPERVISOR_mmuext_op,	       __HYPERVISOR_sched_op,
		__HYPERVISOR_event_channel_op, __HYPERVISOR_hvm_op,
	};
	struct call *c = &a->calls[i];

	memset(c, 0, sizeof(*c));
	memset(&a->about[i], 0, sizeof(a->about[i]));
	draw_buffer(a, a->bufs[i]);
	c->rc = P_PENDING;
	if (draw_below(a, 3) == 0) {
		draw_named(a, i, draw_below(a, 2) ? a->self : DOMID_SELF);
		return;
	}
	c->nr = numbers[draw_below(a, sizeof(numbers))];
	c->arg[0] = draw_below(a, 8) ? draw_below(a, 32) : draw_value(a);
	c->arg[1] = c->nr == __HYPERVISOR_vcpu_op ? draw_below(a, 2) : a->base + i * P_BUFFER;
	c->arg[2] = c->nr == __HYPERVISOR_vcpu_op ? a->base + i * P_BUFFER : draw_below(a, 8);
	c->arg[3] = DOMID_SELF;
	if (draw_below(a, 2))
		put16(a->bufs[i], DOMID_SELF);
}

/* Make `n` of them: whether the proxy is still there, with its memory, to make more. */
static bool batch_on_self(struct proxy *p, struct attack *a, unsigned n)
{
	struct xen_dm_op_xenolith_lifecycle l = { 0 };
	uint64_t count = n;

	for (unsigned i = 0; i < n; i++)
		draw_on_self(a, i);
	if (copy(p->domid, P_BUFFERS, XENOLITH_COPY_to_guest, a->bufs, n * P_BUFFER, NULL) ||
	    copy(p->domid, P_CALLS, XENOLITH_COPY_to_guest, a->calls, n * sizeof(*a->calls),
		 NULL) ||
	    copy(p->domid, P_COUNT, XENOLITH_COPY_to_guest, &count, sizeof(count), NULL))
		return false;
	if (domctl(XEN_DOMCTL_resumedomain, p->domid))
		bail("resumedomain");
	for (unsigned i = 0; i < 2 && !(l.flags & XENOLITH_LIFECYCLE_shutdown); i++) {
		take_event(p->stopped, 100);
		if (lifecycle(p->domid, &l))
			bail("lifecycle of a proxy");
	}
	if (copy(p->domid, P_CALLS, XENOLITH_COPY_from_guest, a->calls, n * sizeof(*a->calls),
		 NULL))
		return false;
	return l.flags & XENOLITH_LIFECYCLE_shutdown && l.reason == SHUTDOWN_suspend &&
	       a->calls[n - 1].rc != P_PENDING;
}

/* By builders that do not survive it: others do, and what they had comes back. */
static void attack_self(struct proxy *b, unsigned long n, uint64_t seed,
			void (*make)(struct proxy *))
{
	uint32_t of_b = vm_make(b, 16);
	uint64_t was[3] = { state(0), state(b->domid), state(of_b) };
	unsigned long done = 0, proxies = 0;
	long before = free_pages();
	struct proxy p;

	attack.seed = seed * 2 + 1;
	attack.base = P_BUFFERS;
	while (done < n) {
		make(&p);
		vm_make(&p, 16);
		attack.self = p.domid;
		proxies++;
		for (unsigned i = 0; i < 50; i++) {
			bool alive = batch_on_self(&p, &attack, 16);

			done += 16;
			if (!alive)
				break;
		}
		proxy_end(&p);
	}
	printf("# %lu hypercalls of %lu domains on themselves\n", done, proxies);
	IS(was[0] == state(0), 1, "attack: dom0 is as it was");
	IS(was[1] == state(b->domid), 1, "attack: the other builder, too");
	IS(was[2] == state(of_b), 1, "attack: and its domain");
	for (unsigned i = 0; i < 50 && free_pages() != before; i++)
		usleep(100000);
	IS(free_pages(), before, "attack: no memory is gone");
	vm_end(b, of_b);
}

#endif
