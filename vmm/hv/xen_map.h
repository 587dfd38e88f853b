/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory by foreign mapping (IOCTL_PRIVCMD_MMAPBATCH_V2). A mapping holds a
 * reference to every page of it: while one is left, a destroyed domain stays a zombie.
 * libxenforeignmemory keeps nothing of a mapping, so that munmap, or mapping something
 * else in its place, undoes it; as a whole, never a part of it (see map_pieces).
 *
 * A page that cannot be mapped is no failure of the others: the guest may have put one
 * of the hypervisor's in its place, or given it back.
 */
#ifndef VMM_HV_XEN_MAP_H
#define VMM_HV_XEN_MAP_H

#include "vmm/lib/gmem.h"

/* After <stdint.h>, which Xen's headers need and do not include. */
#include <xen/xen.h>

#include <xenforeignmemory.h>

struct xen_map {
	domid_t domid;
	xenforeignmemory_handle *fmem;
	uint64_t pages_mapped;
};

/* Open the handle; it is not restricted yet. 0 or -errno. */
MUST_CHECK int xen_map_open(struct xen_map *m, uint32_t domid);

/* Allowed on zeroes. Mappings stay. */
void xen_map_close(struct xen_map *m);

/* As gmem_ops.map. After -errno nothing is accessible at `host`. */
MUST_CHECK int xen_map_at(struct xen_map *m, gpa_t at, void *host, unsigned pages, bool *there);

/* Map `pages` (> 0) wherever there is room. All of them, or -errno. */
MUST_CHECK int xen_map_anywhere(struct xen_map *m, gpa_t at, unsigned pages, void **out);

/* What xen_map_anywhere mapped. */
void xen_map_undo(struct xen_map *m, void *at, unsigned pages);

/* Copy by mapping, for hypervisors without guest_copy. The range lies in RAM. */
MUST_CHECK int xen_map_copy_to(struct xen_map *m, gpa_t to, const void *src, size_t len);
MUST_CHECK int xen_map_copy_from(struct xen_map *m, void *dst, gpa_t from, size_t len);

#endif
