/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a file that grows: see lines.h. */
#include "api/ctl/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often to look for more. */
#define LOOK_MS 200

#define BLOCK 4096

static int open_file(const char *path, const char *what, struct err *e)
{
	/* Opening must not wait for a FIFO's writer. */
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return err_set(e, -errno, "%s %s: %s", what, path, strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return err_set(e, -EINVAL,
		       "%s %s: not a regular file; what goes there can only be seen there",
		       what, path);
}

int lines_open(struct lines *l, const char *path, const struct instance *instance,
	       const char *what, struct err *e)
{
	*l = (struct lines){ .instance = instance, .fd = -1 };
	if (snprintf(l->path, sizeof(l->path), "%s", path) >= (int)sizeof(l->path))
		return err_set(e, -ENAMETOOLONG, "%s %s: the path is too long", what, path);
	l->fd = open_file(path, what, e);
	return l->fd < 0 ? l->fd : 0;
}

void lines_close(struct lines *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->buffer);
	*l = (struct lines){ .fd = -1 };
}

/* ---- the end of the file ---- */

int lines_seek_last(struct lines *l, uint64_t n)
{
	off_t at = lseek(l->fd, 0, SEEK_END), end = at;
	char block[BLOCK];

	if (at < 0)
		return -errno;
	while (at > 0 && n > 0) {
		size_t len = min_size(BLOCK, (size_t)at);

		at -= (off_t)len;
		if (pread(l->fd, block, len, at) != (ssize_t)len)
			return -EIO;
		while (len > 0) {
			off_t after = at + (off_t)len;

			/* The line feed at the end of the file ends the last line. */
			if (block[--len] == '\n' && after != end && --n == 0)
				return lseek(l->fd, after, SEEK_SET) < 0 ? -errno : 0;
		}
	}
	return lseek(l->fd, n ? 0 : end, SEEK_SET) < 0 ? -errno : 0;
}

/* ---- lines ---- */

/* The line that is in the buffer, if a whole one is, or more than one may have. */
static bool take(struct lines *l, const char **line)
{
	size_t len = min_size(l->end - l->start, LINES_LENGTH_MAX);
	char *text = l->buffer + l->start;
	char *feed = len ? memchr(text, '\n', len) : NULL;

	if (!feed && len < LINES_LENGTH_MAX)
		return false;
	if (!feed)
		feed = text + len - 1;
	*feed = '\0';
	*line = text;
	l->start = (size_t)(feed - l->buffer) + 1;
	return true;
}

/* Read on; the bytes that came, 0 at the end of the file. */
static ssize_t fill(struct lines *l)
{
	ssize_t n;

	if (l->start) {
		memmove(l->buffer, l->buffer + l->start, l->end - l->start);
		l->end -= l->start;
		l->start = 0;
	}
	if (l->room - l->end < BLOCK) {
		size_t room = l->room ? l->room * 2 : (size_t)BLOCK * 2;
		char *more = realloc(l->buffer, room);

		if (!more)
			return -ENOMEM;
		l->buffer = more;
		l->room = room;
	}
	n = read(l->fd, l->buffer + l->end, l->room - l->end - 1);
	if (n < 0)
		return -errno;
	l->end += (size_t)n;
	return n;
}

int lines_next(struct lines *l, const char **line)
{
	while (!take(l, line)) {
		ssize_t n = fill(l);

		if (n <= 0)
			return (int)n;
	}
	return 1;
}

int lines_rest(struct lines *l, const char **line)
{
	if (l->start == l->end)
		return 0;
	l->buffer[l->end] = '\0';
	*line = l->buffer + l->start;
	l->start = l->end;
	return 1;
}

/* ---- what comes ---- */

/* Take up a file that has been emptied, or that another one has replaced. */
static void look_again(struct lines *l)
{
	struct stat ours, theirs;
	int fd;

	if (fstat(l->fd, &ours) < 0)
		return;
	if (ours.st_size < lseek(l->fd, 0, SEEK_CUR)) {
		(void)lseek(l->fd, 0, SEEK_SET);
		l->start = l->end = 0;
	}
	if (stat(l->path, &theirs) < 0 ||
	    (ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev))
		return;
	fd = open_file(l->path, "", NULL);
	if (fd < 0)
		return;
	close(l->fd);
	l->fd = fd;
	l->start = l->end = 0;
}

static bool ended(const struct lines *l)
{
	struct instance now;
	char base[RUNDIR_PATH_MAX];
	const struct instance *i = l->instance;

	if (!i)
		return false;
	/* DIR is BASE/NAME. */
	(void)snprintf(base, sizeof(base), "%.*s", (int)(strlen(i->dir) - strlen(i->name) - 1),
		       i->dir);
	return !instances_read(&now, base, i->name) || !now.alive || now.pid != i->pid;
}

int lines_wait(struct lines *l, const char **line)
{
	bool last = false;

	for (;;) {
		int rc = lines_next(l, line);

		if (rc != 0 || last)
			return rc;
		look_again(l);
		/* What it wrote before it ended is still to be read. */
		last = ended(l);
		if (!last)
			(void)poll(NULL, 0, LOOK_MS);
	}
}
