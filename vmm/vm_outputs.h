/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the VM's log, metrics and serial output go, as clients configure it before the
 * start. Each is opened at once, so that who names it learns of a mistake.
 */
#ifndef VMM_VM_OUTPUTS_H
#define VMM_VM_OUTPUTS_H

#include "vmm/lib/config.h"

struct vm;

/* What is given takes effect from the next line on. 0 or -errno with a reason. */
MUST_CHECK int vm_set_logger(const struct logger_config *c, struct err *e);

/* Once. 0 or -errno with a reason: what cannot be opened, or that there are metrics already. */
MUST_CHECK int vm_set_metrics(struct vm *vm, const struct metrics_config *c, struct err *e);

/*
 * Replaces what was configured so far: without a path the output goes where --serial says,
 * without a limit there is none. Input comes from where --serial says in any case. 0 or
 * -errno with a reason, and nothing has changed.
 */
MUST_CHECK int vm_set_serial(struct vm *vm, const struct serial_config *c, struct err *e);

#endif
