/* SPDX-License-Identifier: Apache-2.0 */
/* What a domain leaves when it goes: a part of hvabi.c. */
#ifndef TESTS_SYSTEM_HVMEMORY_TESTS_H
#define TESTS_SYSTEM_HVMEMORY_TESTS_H

#include "tests/system/tools/hvcall.h"

static void make_and_destroy(unsigned vcpus, unsigned times)
{
	uint32_t domid;

	for (unsigned i = 0; i < times; i++) {
		if (create_for(vcpus, &domid, XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC))
			bail("createdomain");
		memset(&ctl->u, 0, sizeof(ctl->u));
		ctl->u.max_vcpus.max = vcpus;
		if (domctl(XEN_DOMCTL_max_vcpus, domid))
			bail("max_vcpus");
		destroy(domid);
		if (gone_after(domid, 10000) < 0)
			bail("a domain does not go away");
	}
}

/*
 * Two scheduling units of each domain, of 300 bytes, would be 10 pages in all. The first
 * domains leave the hypervisor's heap with what it needs at a time.
 */
static void test_vcpus_are_freed(void)
{
	long before;

	make_and_destroy(4, 4);
	before = settled_pages();
	make_and_destroy(4, 64);
	IS(before - settled_pages() <= 1, 1, "memory: that of four vCPUs comes back");
}

#endif
