/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An error with its reason. A function that can fail for a reason which a person
 * should read takes a `struct err *` as its last parameter, fills in one line that
 * names the object and what is wrong with it, and returns -errno. The text ends in
 * a client's `fault_message` or in one log line; the number decides what to do.
 */
#ifndef VMM_LIB_ERR_H
#define VMM_LIB_ERR_H

#include "vmm/lib/bytes.h"

#define ERR_TEXT_MAX 512

struct err {
	char text[ERR_TEXT_MAX];
};

/*
 * Write the reason and return `rc` (a negative errno), so that a failing function
 * reads `return err_set(e, -EINVAL, "kernel %s: not an ELF file", path);`.
 * Text that does not fit is cut. `e` may be NULL when the caller does not care.
 */
int err_set(struct err *e, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Put "<text>: " before the reason that `e` holds already; returns `rc`. */
int err_prefix(struct err *e, int rc, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
