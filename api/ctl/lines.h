/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a file that an instance writes: those that are there, the last few, and those
 * that come. A file that is moved away or emptied (rotated) is taken up again from its start.
 *
 * Input from others: the file.
 */
#ifndef API_CTL_LINES_H
#define API_CTL_LINES_H

#include <sys/types.h>

#include "api/ctl/instances.h"

/* Longer lines come in pieces, of which each but the last loses its last byte. */
#define LINES_LENGTH_MAX (1u << 20)

struct lines {
	char path[RUNDIR_PATH_MAX];
	const struct instance *instance; /* NULL: none that could end */
	/* Its own. */
	int fd;
	char *buffer;
	size_t start, end, room; /* what has been read and not been given is between */
};

/*
 * Open the regular file at `path`, which `instance` (borrowed, may be NULL) writes; `what` is
 * how messages call it. 0, or -errno with a reason. To be closed with lines_close.
 */
MUST_CHECK int lines_open(struct lines *l, const char *path, const struct instance *instance,
			  const char *what, struct err *e);
void lines_close(struct lines *l);

/*
 * Go to the n-th line from the end (1: the last one; a line that is being written counts); to
 * the start when there are not that many. 0 or -errno.
 */
MUST_CHECK int lines_seek_last(struct lines *l, uint64_t n);

/*
 * The next line, without its end, valid until the next call. 1; 0: there is none (yet), or
 * -errno.
 */
MUST_CHECK int lines_next(struct lines *l, const char **line);

/* The same, and wait for it: 0 when the instance has ended and all has been read. */
MUST_CHECK int lines_wait(struct lines *l, const char **line);

/* What is left at the end of the file, without a line feed. 1 or 0. */
MUST_CHECK int lines_rest(struct lines *l, const char **line);

#endif
