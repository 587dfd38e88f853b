/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hypervisor itself says of its domains: a line each, `domid flags pages vcpus`,
 * and last the free memory, so that a test can tell whether anything was left behind.
 * A domain with the right to create domains is told of itself only: its own line, one
 * `owned` for each domain that it has, and the pages that are left of its quota.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <xen/xen.h>

#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xencall.h>

#define DOMAINS_MAX 64

static int sysctl(xencall_handle *call, struct xen_sysctl *s, uint32_t cmd)
{
	s->cmd = cmd;
	s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	return xencall1(call, __HYPERVISOR_sysctl, (uint64_t)(uintptr_t)s);
}

static int print_owned(xencall_handle *call)
{
	struct xen_domctl *d = xencall_alloc_buffer(call, sizeof(*d));
	const struct xen_domctl_xenolith_owner *o = &d->u.xenolith_owner;
	const unsigned pages = XENOLITH_QUOTA_pages;

	/* Nobody tells a domain its number; of others it may not ask. */
	for (domid_t self = 1; self < DOMID_FIRST_RESERVED; self++) {
		memset(d, 0, sizeof(*d));
		d->cmd = XEN_DOMCTL_xenolith_get_owner;
		d->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
		d->domain = self;
		if (xencall1(call, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)d) < 0)
			continue;
		printf("%u 0 0 0\n", self);
		for (uint64_t i = 0; i < o->used[XENOLITH_QUOTA_domains]; i++)
			printf("owned\n");
		printf("free %llu\n", (unsigned long long)(o->quota[pages] - o->used[pages]));
		return 0;
	}
	fprintf(stderr, "neither a control domain nor one that may create domains\n");
	return 1;
}

int main(void)
{
	xencall_handle *call = xencall_open(NULL, 0);
	struct xen_domctl_getdomaininfo *info;
	struct xen_sysctl *s;

	if (!call) {
		fprintf(stderr, "xencall_open: %s\n", strerror(errno));
		return 1;
	}
	s = xencall_alloc_buffer(call, sizeof(*s));
	info = xencall_alloc_buffer(call, DOMAINS_MAX * sizeof(*info));
	memset(s, 0, sizeof(*s));
	s->u.getdomaininfolist.max_domains = DOMAINS_MAX;
	set_xen_guest_handle(s->u.getdomaininfolist.buffer, info);
	if (sysctl(call, s, XEN_SYSCTL_getdomaininfolist) < 0) {
		if (errno == EPERM)
			return print_owned(call);
		fprintf(stderr, "getdomaininfolist: %s\n", strerror(errno));
		return 1;
	}
	for (uint32_t i = 0; i < s->u.getdomaininfolist.num_domains; i++)
		printf("%u %#x %llu %u\n", info[i].domain, info[i].flags,
		       (unsigned long long)info[i].tot_pages, info[i].nr_online_vcpus);
	memset(s, 0, sizeof(*s));
	if (sysctl(call, s, XEN_SYSCTL_physinfo) < 0) {
		fprintf(stderr, "physinfo: %s\n", strerror(errno));
		return 1;
	}
	printf("free %llu\n",
	       (unsigned long long)(s->u.physinfo.free_pages + s->u.physinfo.scrub_pages));
	return 0;
}
