/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a kernel or an initrd.
 *
 * Input from files: their bytes, which go to the caller unseen.
 */
#include "boot/file.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

int file_size(int fd, uint64_t *size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return err_set(e, -errno, "cannot be examined: %s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EINVAL, "not a regular file");
	*size = (uint64_t)st.st_size;
	return 0;
}

int file_read(int fd, uint64_t at, void *dst, size_t len, struct err *e)
{
	uint8_t *to = dst;
	ssize_t n;

	while (len > 0) {
		n = pread(fd, to, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, -errno, "reading at %#" PRIx64 ": %s", at,
				       strerror(errno));
		if (n == 0)
			return err_set(e, -EIO, "ends at %#" PRIx64 " now: it shrank", at);
		to += n;
		at += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}
