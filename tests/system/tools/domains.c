/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hypervisor itself says of its domains: a line each, `domid flags pages vcpus`,
 * and last the free memory, so that a test can tell whether anything was left behind.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <xen/xen.h>

#include <xen/sysctl.h>
#include <xencall.h>

#define DOMAINS_MAX 64

static int sysctl(xencall_handle *call, struct xen_sysctl *s, uint32_t cmd)
{
	s->cmd = cmd;
	s->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
	return xencall1(call, __HYPERVISOR_sysctl, (uint64_t)(uintptr_t)s);
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
