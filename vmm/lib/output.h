/* SPDX-License-Identifier: Apache-2.0 */
/* Files and FIFOs that others read while we write them. */
#ifndef VMM_LIB_OUTPUT_H
#define VMM_LIB_OUTPUT_H

#include "vmm/lib/bytes.h"

/*
 * Open for appending what `path` names, created (mode 0600) when missing. A FIFO needs no
 * reader: what is written waits in it. FIFOs and terminals are O_NONBLOCK; regular files are
 * not, because io_uring would never wait for them then. A descriptor or -errno.
 */
MUST_CHECK int output_open(const char *path);

#endif
