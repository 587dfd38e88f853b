/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's hypercalls, through libxencall: their buffers, which must lie in memory
 * that the hypervisor can reach, and how many were made.
 */
#ifndef VMM_HV_XEN_CALLS_H
#define VMM_HV_XEN_CALLS_H

#include "vmm/lib/err.h"

/* After <stdint.h>, which Xen's headers need and do not include. */
#include <xen/xen.h>

#include <xen/domctl.h>
#include <xen/memory.h>
#include <xencall.h>

/* Extents a memory operation: a page of frame numbers. */
#define XEN_CALLS_EXTENTS_MAX 512

struct xen_calls {
	xencall_handle *handle;
	struct xen_domctl *domctl;
	struct xen_memory_reservation *reservation;
	xen_pfn_t *extents; /* XEN_CALLS_EXTENTS_MAX of them */
	uint64_t made;
};

/* 0 or -errno; -ENOENT and the like when this is no Xen domain. */
MUST_CHECK int xen_calls_open(struct xen_calls *c);

/* Allowed after a failed xen_calls_open, and on zeroes. */
void xen_calls_close(struct xen_calls *c);

/* The domctl buffer, cleared, for `domid`; to be filled in and then given to _do. */
struct xen_domctl *xen_calls_domctl(struct xen_calls *c, uint32_t domid);

/* Make the domctl; `name` is what the reason calls it. 0 or -errno. */
MUST_CHECK int xen_calls_do(struct xen_calls *c, uint32_t cmd, const char *name, struct err *e);

/* The reservation buffer, cleared, for `domid`. */
struct xen_memory_reservation *xen_calls_reservation(struct xen_calls *c, uint32_t domid);

/* Make a memory operation on it; what it returns, or -errno. */
long xen_calls_memory_op(struct xen_calls *c, unsigned op);

/* `arg` is a buffer of xencall's. 0 or -errno. */
MUST_CHECK int xen_calls_hvm_op(struct xen_calls *c, unsigned op, void *arg);

/* The hypervisor's version, major << 16 | minor, or -errno. */
int xen_calls_version(struct xen_calls *c);

#endif
