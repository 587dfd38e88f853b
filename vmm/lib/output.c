/* SPDX-License-Identifier: Apache-2.0 */
/* Files and FIFOs to write: see output.h. */
#include "vmm/lib/output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FLAGS (O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)

int output_open(const char *path)
{
	/* A FIFO without a reader refuses O_WRONLY (ENXIO), and breaks when its reader goes. */
	int fd = open(path, O_RDWR | FLAGS, 0600);
	struct stat st;

	if (fd < 0 && errno == EACCES) /* it may be that we must not read it */
		fd = open(path, O_WRONLY | FLAGS, 0600);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		(void)fcntl(fd, F_SETFL, O_APPEND);
	return fd;
}
