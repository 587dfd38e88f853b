/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving a new domain its RAM, laid out as vmm/lib/gmem.h says.
 */
#ifndef VMM_HV_XEN_RAM_H
#define VMM_HV_XEN_RAM_H

#include "vmm/hv/xen_calls.h"

/*
 * Populate `ram` bytes (a multiple of 1 MiB), in 2 MiB extents where they can be had. What
 * the host has not is noticed before anything is taken, where the hypervisor lets us
 * claim. 0, or -errno with a reason; then some of it may be there.
 */
MUST_CHECK int xen_ram_populate(struct xen_calls *c, uint32_t domid, uint64_t ram,
				struct err *e);

/*
 * `n` (at most XEN_CALLS_EXTENTS_MAX) more pages at `at`, for which xen_ram_populate left
 * room. 0, or -errno with a reason; then some of them may be there.
 */
MUST_CHECK int xen_ram_add(struct xen_calls *c, uint32_t domid, uint64_t at, unsigned n,
			   struct err *e);

#endif
