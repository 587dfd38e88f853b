/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client may ask for, and when: a table of action x state. An action either
 * happens as a whole or changes nothing and says why.
 */
#ifndef VMM_CONTROL_H
#define VMM_CONTROL_H

#include "api/action.h"
#include "vmm/vm.h"

/* Carry out `a`; `ctx` is the struct vm. An action_handler. */
void control_apply(void *ctx, const struct action *a, struct reply *r);

/*
 * Configure from the text of a configuration file and start. 0 or -EINVAL with a
 * reason.
 */
MUST_CHECK int control_apply_file(struct vm *vm, const char *path, struct err *e);

#endif
