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
		if (max_vcpus(domid, vcpus))
			bail("max_vcpus");
		destroy(domid);
		if (gone_after(domid, 10000) < 0)
			bail("a domain does not go away");
	}
}

/*
 * Two scheduling units of each domain, of 300 bytes, would be 10 pages in all, each time. The
 * first domains leave the hypervisor's heap with what it needs at a time; with two processors
 * that may still become more, as one frees what the other has destroyed.
 */
static void test_vcpus_are_freed(void)
{
	long before, lost = 2;

	make_and_destroy(4, 4);
	for (unsigned i = 0; i < 3 && lost > 1; i++) {
		before = settled_pages();
		make_and_destroy(4, 64);
		lost = before - settled_pages();
	}
	IS(lost <= 1, 1, "memory: that of four vCPUs comes back");
}

#endif
