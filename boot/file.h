/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a kernel or an initrd: only what pread copies into private memory, never a
 * mapping, so that a file that changes or shrinks meanwhile is an error and no signal.
 */
#ifndef BOOT_FILE_H
#define BOOT_FILE_H

#include "vmm/lib/err.h"

/* The size of the regular file behind `fd`. -EINVAL for anything that is none. */
MUST_CHECK int file_size(int fd, uint64_t *size, struct err *e);

/*
 * Read all of [at, at + len) into `dst`. 0, -EIO when the file ends before (it shrank
 * since its size was asked), or what pread says.
 */
MUST_CHECK int file_read(int fd, uint64_t at, void *dst, size_t len, struct err *e);

#endif
