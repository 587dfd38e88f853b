/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compromised monitor and keeper: run as root in a driver domain, this program makes
 * hypercalls of every kind (hvgen.h), by all ways that Linux gives a process, on dom0, on
 * Xen's special domids, on the domains that it is told, and on its own.
 *
 *	hvinside CALLS SEED [DOMID...]
 *
 * Output is TAP; whether the domains of others are as they were is for dom0 to say
 * (hvstate.c). Left out is what harms only the kernel it runs on, as nothing would be seen
 * after that: hypercalls on this domain's own memory, vCPUs, timers, event channels, upcalls
 * and end; and what it maps comes to where there was nothing.
 */
#include "tests/system/tools/hvself.h"

#include "tests/system/tools/hvowns.h"

#include <xen/sys/evtchn.h>

#define HOLE 0x1000000 /* frames from 64 GiB on: nothing is there */

enum way {
	WAY_HYPERCALL,
	WAY_DM_OP,
	WAY_MMAPBATCH,
	WAY_MMAPBATCH_V2,
	WAY_RESOURCE,
	WAY_EVTCHN,
	WAY_NR
};

static unsigned long ways[WAY_NR];
static unsigned long errors[256]; /* of hypercalls, by number */

/* ---- other ways to the hypervisor ---- */

/* The arguments of dm_op as the ioctl of the device model: 0, or more, or -errno. */
static long by_dm_op(struct attack *a)
{
	uint8_t *buf = a->bufs[0];
	struct privcmd_dm_op_buf bufs[2] = { { buf + 64, 96 }, { buf + 160, 96 } };
	struct privcmd_dm_op arg = { .num = 2, .ubufs = bufs };

	draw_dm_op(a, 0, a->about[0].domid);
	arg.dom = (domid_t)a->about[0].domid;
	return ioctl(privcmd, IOCTL_PRIVCMD_DM_OP, &arg) < 0 ? -errno : 0;
}

/* Map frames of the domain: how many could be. */
static long by_mmapbatch(struct attack *a, bool first_version)
{
	xen_pfn_t frames[4], given[4];
	int errs[4] = { 0 };
	long mapped = 0;
	privcmd_mmapbatch_t v1 = { .num = 4, .arr = given };
	privcmd_mmapbatch_v2_t v2 = { .num = 4, .arr = frames, .err = errs };
	void *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, privcmd, 0);

	if (at == MAP_FAILED)
		bail("mmap of privcmd");
	/* The first version tells errors by bits of the frame. */
	for (unsigned i = 0; i < 4; i++)
		frames[i] = first_version || draw_below(a, 2) ? draw_below(a, 1 << 20) :
								draw_value(a);
	memcpy(given, frames, sizeof(given));
	v1.dom = v2.dom = (domid_t)a->about[0].domid;
	v1.addr = v2.addr = (uintptr_t)at;
	if (first_version) {
		if (ioctl(privcmd, IOCTL_PRIVCMD_MMAPBATCH, &v1) >= 0)
			for (unsigned i = 0; i < 4; i++)
				mapped += given[i] == frames[i];
	} else if (ioctl(privcmd, IOCTL_PRIVCMD_MMAPBATCH_V2, &v2) >= 0 || errno == ENOENT) {
		for (unsigned i = 0; i < 4; i++)
			mapped += errs[i] >= 0;
	}
	munmap(at, 4 * PAGE);
	return mapped ? mapped : -EPERM;
}

static long by_resource(struct attack *a)
{
	privcmd_mmap_resource_t r = {
		.dom = (domid_t)a->about[0].domid,
		.type = (uint32_t)draw_below(a, 4),
		.id = (uint32_t)(draw_below(a, 2) ? draw_below(a, 4) : draw_value(a)),
		.idx = (uint32_t)(draw_below(a, 2) ? draw_below(a, 4) : draw_value(a)),
		.num = 1 + draw_below(a, 4),
	};
	/* Of the same size: Linux 6.1 stumbles when it takes away a larger one. */
	void *at = mmap(NULL, r.num * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, privcmd, 0);
	long rc;

	if (at == MAP_FAILED)
		bail("mmap of privcmd");
	r.addr = (uintptr_t)at;
	rc = ioctl(privcmd, IOCTL_PRIVCMD_MMAP_RESOURCE, &r) < 0 ? -errno : 0;
	munmap(at, r.num * PAGE);
	return rc;
}

static long by_evtchn(struct attack *a, int evtchn)
{
	struct ioctl_evtchn_bind_interdomain b = {
		.remote_domain = a->about[0].domid,
		.remote_port =
			(unsigned)(draw_below(a, 4) ? draw_below(a, 256) : draw_value(a)),
	};
	long port = ioctl(evtchn, IOCTL_EVTCHN_BIND_INTERDOMAIN, &b);

	return port < 0 ? -errno : port;
}

/* One try by a way that is not a plain hypercall, and which. */
static long by_another_way(struct attack *a, int evtchn, enum way *way)
{
	draw_buffer(a, a->bufs[0]);
	memset(&a->about[0], 0, sizeof(a->about[0]));
	a->about[0].domid = a->targets[draw_below(a, a->nr_targets)];
	*way = (enum way)(1 + draw_below(a, WAY_NR - 1));
	switch (*way) {
	case WAY_DM_OP:
		return by_dm_op(a);
	case WAY_MMAPBATCH:
		return by_mmapbatch(a, true);
	case WAY_MMAPBATCH_V2:
		return by_mmapbatch(a, false);
	case WAY_RESOURCE:
		return by_resource(a);
	default:
		return by_evtchn(a, evtchn);
	}
}

/* ---- on others ---- */

static void count_error(int64_t rc)
{
	if (rc < 0 && rc > -256)
		errors[-rc]++;
}

static void tell_errors(void)
{
	printf("# errors of hypercalls:");
	for (unsigned i = 0; i < 256; i++)
		if (errors[i])
			printf(" %lu times %s", errors[i], strerrorname_np((int)i));
	printf("\n");
}

static void attack_others(struct proxy *self, unsigned long n, char **domids, int nr)
{
	static const uint32_t special[] = { 0, 0, 0, SPECIAL_DOMIDS };
	unsigned nr_special = sizeof(special) / sizeof(*special);
	uint32_t targets[64];
	int evtchn = open("/dev/xen/evtchn", O_RDWR | O_CLOEXEC);
	unsigned long bad = 0;
	struct call made;
	enum way way;

	memcpy(targets, special, sizeof(special));
	attack.nr_targets = nr_special;
	for (int i = 0; i < 3 * nr; i++)
		targets[attack.nr_targets++] = (uint32_t)strtoul(domids[i % nr], NULL, 0);
	attack.targets = targets;
	attack.self = self->domid;
	attack.owned = vm_make(self, 16);
	for (unsigned long done = 0; done < n; done++) {
		if (draw_below(&attack, 16) == 0) {
			long rc = by_another_way(&attack, evtchn, &way);

			ways[way]++;
			if (rc >= 0 && bad++ < 10)
				printf("# domain %u by way %d: %ld\n", attack.about[0].domid,
				       (int)way, rc);
			continue;
		}
		draw_call(&attack, 0);
		self_call(&attack.calls[0]);
		ways[WAY_HYPERCALL]++;
		count_error(answer(&attack, 0, &made));
		if (!refused(&attack, 0) && bad++ < 10)
			tell(&attack, 0);
	}
	close(evtchn);
	vm_end(self, attack.owned);
	printf("# on the domains of others: %lu hypercalls, %lu ioctls for dm_ops, %lu and %lu "
	       "for mapping memory, %lu for resources, %lu for event channels\n",
	       ways[WAY_HYPERCALL], ways[WAY_DM_OP], ways[WAY_MMAPBATCH],
	       ways[WAY_MMAPBATCH_V2], ways[WAY_RESOURCE], ways[WAY_EVTCHN]);
	tell_errors();
	IS(bad, 0, "others: is refused");
}

/* ---- quotas ---- */

/* The caller's: how much there is, and how much is in use. */
static struct xen_domctl_xenolith_owner owner(struct proxy *p)
{
	memset(&pctl.u, 0, sizeof(pctl.u));
	if (proxy_domctl(p, XEN_DOMCTL_xenolith_get_owner, p->domid))
		bail("get_owner");
	return pctl.u.xenolith_owner;
}

/* How much is in use, once nothing changes: RCU may take some time. */
static struct xen_domctl_xenolith_owner settled(struct proxy *p)
{
	struct xen_domctl_xenolith_owner last, now = owner(p);

	do {
		last = now;
		usleep(100000);
		now = owner(p);
	} while (memcmp(&last, &now, sizeof(now)));
	return now;
}

static bool same_use(struct proxy *p, const struct xen_domctl_xenolith_owner *was)
{
	struct xen_domctl_xenolith_owner now = settled(p);

	for (unsigned i = 0; i < XENOLITH_QUOTA_NR; i++)
		if (now.used[i] != was->used[i])
			printf("# of quota %u %llu are in use, %llu were\n", i,
			       (unsigned long long)now.used[i],
			       (unsigned long long)was->used[i]);
	return memcmp(&now, was, sizeof(now)) == 0;
}

static uint64_t left(const struct xen_domctl_xenolith_owner *o, unsigned kind)
{
	return o->quota[kind] - o->used[kind];
}

/* createdomain with one field at what is left, or one more: a domain, or -errno. */
static long create_with(struct proxy *p, unsigned kind, uint64_t amount)
{
	struct xen_domctl_createdomain *c = &pctl.u.createdomain;
	long rc;

	vm_config();
	if (kind == XENOLITH_QUOTA_vcpus)
		c->max_vcpus = (uint32_t)amount;
	if (kind == XENOLITH_QUOTA_evtchns)
		c->max_evtchn_port = (uint32_t)amount - 1;
	if (kind == XENOLITH_QUOTA_grant_frames)
		c->max_maptrack_frames = (int32_t)amount - c->max_grant_frames;
	rc = proxy_domctl(p, XEN_DOMCTL_createdomain, 0);
	return rc ? rc : pctl.domain;
}

/* What is charged when a domain is created: all that there is, and no more. */
static void test_creation(struct proxy *p)
{
	static const struct {
		unsigned kind;
		const char *what;
	} kinds[] = {
		{ XENOLITH_QUOTA_vcpus, "quota: vCPUs" },
		{ XENOLITH_QUOTA_evtchns, "quota: event channels" },
		{ XENOLITH_QUOTA_grant_frames, "quota: grant frames" },
	};
	char what[96];

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct xen_domctl_xenolith_owner was = settled(p);
		uint64_t n = left(&was, kinds[i].kind);
		long vm;

		snprintf(what, sizeof(what), "%s: not one more than are left", kinds[i].what);
		IS(create_with(p, kinds[i].kind, n + 1), -ENOSPC, what);
		/* A domain has at most 128. */
		if (kinds[i].kind == XENOLITH_QUOTA_vcpus && n > 128)
			continue;
		vm = create_with(p, kinds[i].kind, n);
		snprintf(what, sizeof(what), "%s: all that are left", kinds[i].what);
		IS(vm > 0, 1, what);
		IS(left(&(struct xen_domctl_xenolith_owner[]){ owner(p) }[0], kinds[i].kind), 0,
		   kinds[i].what);
		if (vm > 0)
			vm_end(p, (uint32_t)vm);
		snprintf(what, sizeof(what), "%s: are returned", kinds[i].what);
		IS(same_use(p, &was), 1, what);
	}
}

/* As many domains as there may be, and their memory and page tables. */
static void test_full(struct proxy *p)
{
	struct xen_domctl_xenolith_owner was = settled(p), now;
	uint64_t room = left(&was, XENOLITH_QUOTA_domains), n = 0, pages, pool;
	uint32_t vm[256];
	long rc = 0;

	while (n < 256 && (rc = create_with(p, XENOLITH_QUOTA_NR, 0)) > 0)
		vm[n++] = (uint32_t)rc;
	now = owner(p);
	IS(rc, -ENOSPC, "quota: there is an end to domains");
	IS(n > 0 && (n == room || left(&now, XENOLITH_QUOTA_grant_frames) < 4 ||
		     left(&now, XENOLITH_QUOTA_paging_pages) < 256 ||
		     left(&now, XENOLITH_QUOTA_evtchns) < 32 ||
		     left(&now, XENOLITH_QUOTA_vcpus) < 1),
	   1, "quota: at one of the quotas");
	pages = left(&now, XENOLITH_QUOTA_pages);
	IS(vm_max_mem(p, vm[0], pages + 1), -ENOSPC, "quota: memory: not a page more");
	IS(vm_max_mem(p, vm[0], pages), 0, "quota: memory: all of it");
	IS(vm_max_mem(p, vm[n - 1], n > 1 ? 1 : pages + 1), -ENOSPC,
	   "quota: memory: nor for another domain");
	IS(vm_max_mem(p, vm[0], 16), 0, "quota: memory: given back");
	IS(proxy_populate(p, vm[0], 0, 64), 16, "quota: memory: not more than was asked for");
	pool = 256 + left(&now, XENOLITH_QUOTA_paging_pages);
	memset(&pctl.u, 0, sizeof(pctl.u));
	pctl.u.paging_mempool.size = (pool + 1) * PAGE;
	IS(proxy_domctl(p, XEN_DOMCTL_set_paging_mempool_size, vm[0]), -ENOSPC,
	   "quota: page tables: not a page more");
	IS(left(&(struct xen_domctl_xenolith_owner[]){ owner(p) }[0],
		XENOLITH_QUOTA_paging_pages),
	   0, "quota: page tables: all of them");
	while (n)
		vm_end(p, vm[--n]);
	IS(same_use(p, &was), 1, "quota: everything is returned");
}

/* ---- on its own ---- */

/* What the call has put into this domain, taken away again. */
static void clean_up(struct proxy *p, struct attack *a)
{
	struct evtchn_bind_interdomain *bind = (void *)a->bufs[0];
	struct call made;
	struct evtchn_close close;

	if (answer(a, 0, &made) < 0)
		return;
	if (made.nr == __HYPERVISOR_event_channel_op &&
	    made.arg[0] == EVTCHNOP_bind_interdomain) {
		close.port = bind->local_port;
		proxy_struct(p, __HYPERVISOR_event_channel_op, EVTCHNOP_close, &close,
			     sizeof(close));
	}
	if (is_memory_op(&made, XENMEM_acquire_resource))
		for (unsigned i = 0; i < G_HOLES; i++)
			proxy_unmap(p, HOLE + i);
}

/*
 * Whether less is in use than there is, and the memory is that of its domains, once what is
 * returned has been: RCU may take some time.
 */
static bool within_quotas(struct proxy *p, const uint32_t *own, uint64_t others)
{
	struct xen_domctl_xenolith_owner o;

	for (unsigned tries = 0; tries < 500; tries++) {
		o = owner(p);
		for (unsigned i = 0; i < XENOLITH_QUOTA_NR; i++)
			if (o.used[i] > o.quota[i])
				return false;
		if (o.used[XENOLITH_QUOTA_pages] == others + pages_of(own, 2))
			return true;
		usleep(2000);
	}
	printf("# %llu pages are charged for, %llu and %llu are there\n",
	       (unsigned long long)o.used[XENOLITH_QUOTA_pages], (unsigned long long)others,
	       (unsigned long long)pages_of(own, 2));
	return false;
}

static void attack_own(struct proxy *p, unsigned long n)
{
	struct xen_domctl_xenolith_owner was = settled(p);
	uint32_t own[2] = { vm_any(p, false), vm_any(p, true) };
	unsigned long done = 0, ok = 0, made = 2, wrong = 0, ran = 0;
	struct call call;

	attack.own = true;
	attack.targets = own;
	attack.nr_targets = 2;
	while (done < n) {
		ran += vm_start_anyhow(p, &attack, own[0]);
		for (unsigned i = 0; i < P_CALLS_MAX / 8; i++, done++) {
			draw_call(&attack, 0);
			self_call(&attack.calls[0]);
			ok += answer(&attack, 0, &call) >= 0;
			clean_up(p, &attack);
		}
		wrong += !within_quotas(p, own, was.used[XENOLITH_QUOTA_pages]);
		for (unsigned i = 0; i < 2; i++) {
			proxy_plain_domctl(p, XEN_DOMCTL_destroydomain, own[i]);
			if (gone_after(own[i], 10000) < 0)
				bail("a domain does not go away");
		}
		/* Not before both are gone: one may have had what quotas leave. */
		for (unsigned i = 0; i < 2; i++)
			own[i] = vm_any(p, made++ % 3 == 0);
	}
	printf("# %lu hypercalls on %lu domains of its own, %lu of them done; %lu ran\n", done,
	       made, ok, ran);
	IS(ok > 0 && ran > 0, 1, "own: it succeeds");
	IS(wrong, 0, "own: what they have is what is charged for, within the quotas");
	vm_end(p, own[0]);
	vm_end(p, own[1]);
	IS(same_use(p, &was), 1, "own: everything is returned");
}

int main(int argc, char **argv)
{
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
	struct proxy self;
	uint64_t *holes;

	open_all();
	self_open(&self);
	/* The hypervisor reaches only what is there. */
	if (mlockall(MCL_CURRENT))
		bail("mlockall");
	attack.seed = 2 * (argc > 2 ? strtoull(argv[2], NULL, 0) : 1) + 1;
	attack.base = (uintptr_t)attack.bufs;
	attack.hole = HOLE;
	holes = (uint64_t *)(self.memory + (SELF_PAGES - 1) * PAGE);
	for (unsigned i = 0; i < G_HOLES; i++)
		holes[i] = HOLE + i;
	attack.holes = (uintptr_t)holes;
	test_creation(&self);
	test_full(&self);
	attack_others(&self, n, argv + 3, argc > 3 ? argc - 3 : 0);
	attack_own(&self, n);
	printf("1..%u\n", nr_tests);
	return nr_failed != 0;
}
