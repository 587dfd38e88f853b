/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's command line: the user's arguments and ours.
 */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include "vmm/lib/layout.h"
#include "vmm/lib/err.h"

struct cmdline {
	char text[LAYOUT_CMDLINE_MAX];
};

/*
 * Join the client's boot arguments (NULL: the defaults of the API) and what this
 * machine adds (unless `ours` is false). -EINVAL with a reason when the result is too
 * long or holds a byte that no command line can.
 */
MUST_CHECK int cmdline_build(struct cmdline *out, const char *boot_args, bool ours,
			     struct err *e);

#endif
