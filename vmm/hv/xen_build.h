/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's half of Xen: one domain, made and ended by domctls
 * (xen/include/public/domctl.h, memory.h, hvm/hvm_op.h). Nothing here reads what a
 * guest wrote.
 */
#ifndef VMM_HV_XEN_BUILD_H
#define VMM_HV_XEN_BUILD_H

#include "vmm/hv/keeper.h"
#include "vmm/lib/quotas.h"

struct xen_builder;

extern const struct keeper_ops xen_builder_ops; /* ctx: the struct xen_builder */

/*
 * Open the privileged interfaces and check that the hypervisor is one whose domctls
 * we speak, and that this domain may give `right`, if that is for any domains. 0 or
 * -errno with a reason that says what to do.
 */
MUST_CHECK int xen_builder_open(struct xen_builder **out, const struct quotas *right,
				struct err *e);

/* Destroys the domain, if there is one. */
void xen_builder_close(struct xen_builder *b);

#endif
