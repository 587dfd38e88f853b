/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Xen as the monitor sees it: the keeper's client, plus handles restricted to the one
 * domain.
 */
#ifndef VMM_HV_HV_XEN_H
#define VMM_HV_HV_XEN_H

#include "vmm/hv/hv.h"

/*
 * Wait for the keeper behind `sock` (taken over) to have made the shell, open the
 * handles and restrict them. Nothing untrusted may have been read before. 0 or -errno
 * with a reason.
 */
MUST_CHECK int hv_xen_open(struct hv **out, int sock, struct err *e);

#endif
