/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Becoming a monitor and its keeper. Two implementations: launch_xen.c (two processes)
 * and tests/fake (one process, no Xen).
 */
#ifndef VMM_HV_LAUNCH_H
#define VMM_HV_LAUNCH_H

#include "vmm/hv/hv.h"
#include "vmm/lib/quotas.h"

/*
 * Split, and run `monitor(ctx, hv)` in the unprivileged half; `hv` is the monitor's to
 * close. Returns in the privileged half, after both the monitor and the domain are
 * gone, with the exit status for the program; or -errno with a reason when it could not
 * even begin. Signals that end a process must be blocked. `builder`: what the VM may
 * create domains with; with no domains it gets no such right.
 */
int launch(int (*monitor)(void *ctx, struct hv *hv), void *ctx, const struct quotas *builder,
	   struct err *e);

#endif
