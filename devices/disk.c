/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of a drive: see disk.h.
 *
 * Input from the client: the path, and with it any file at all.
 */
#include "devices/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "vmm/lib/log.h"

/* What is assumed of O_DIRECT where the kernel does not tell: tried up to this. */
#define DIRECT_ALIGN_MAX 4096

/* "No such file or directory (os error 2) PATH", and what else there is to say. */
static int fail(struct err *e, int error, const char *path, const char *more)
{
	return err_set(e, -error, "%s (os error %d) %s%s", strerror(error), error, path, more);
}

static bool is_disk(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
}

/*
 * Opening some files has effects (a terminal, a watchdog) or waits (a FIFO), so its type is
 * looked at before, and once more when it is open.
 */
static int open_file(const char *path, const struct disk_options *o, struct stat *st,
		     struct err *e)
{
	int flags = (o->read_only ? O_RDONLY : O_RDWR) | (o->direct ? O_DIRECT : 0);
	int fd;

	if (stat(path, st) != 0)
		return fail(e, errno, path, "");
	if (S_ISDIR(st->st_mode))
		return fail(e, EISDIR, path, "");
	if (!is_disk(st))
		return fail(e, EINVAL, path, ": neither a regular file nor a block device");
	fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return fail(e, errno, path,
			    errno == EINVAL && o->direct ? ": cannot be opened with O_DIRECT" :
							   "");
	/* With O_NONBLOCK left set, io_uring would answer EAGAIN where it should wait. */
	if (fstat(fd, st) == 0 && is_disk(st) && fcntl(fd, F_SETFL, flags) == 0)
		return fd;
	close(fd);
	return fail(e, EINVAL, path, ": has changed while it was opened");
}

static int size_of(const struct disk *d, uint64_t *bytes)
{
	struct stat st;

	if (d->block_device)
		return ioctl(d->fd, BLKGETSIZE64, bytes) == 0 ? 0 : -errno;
	if (fstat(d->fd, &st) != 0)
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static bool power_of_two(uint64_t v)
{
	return v && (v & (v - 1)) == 0;
}

/* ---- what can be done there ------------------------------------------------------ */

/* Where nobody tells, a read tells; an empty file takes anything. */
static uint32_t try_alignments(const struct disk *d)
{
	uint32_t align = DISK_SECTOR;
	void *buffer;

	if (posix_memalign(&buffer, DIRECT_ALIGN_MAX, DIRECT_ALIGN_MAX))
		return DIRECT_ALIGN_MAX;
	while (align < DIRECT_ALIGN_MAX && pread(d->fd, buffer, align, 0) < 0)
		align *= 2;
	free(buffer);
	return align;
}

static uint32_t direct_alignment(const struct disk *d)
{
	struct statx x = { 0 };
	uint32_t align;

	if (statx(d->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &x) != 0 ||
	    !(x.stx_mask & STATX_DIOALIGN))
		return try_alignments(d);
	/* 0: not possible here */
	if (!x.stx_dio_offset_align || !x.stx_dio_mem_align)
		return 0;
	align = x.stx_dio_offset_align > x.stx_dio_mem_align ? x.stx_dio_offset_align :
							       x.stx_dio_mem_align;
	return align > DISK_SECTOR ? align : DISK_SECTOR;
}

/*
 * Punching a hole behind the end changes neither data nor size, but the time of the last
 * change, which is put back. Whether ranges can be zeroed without punching cannot be found
 * out in this way: the first request will tell.
 */
static void try_file(struct disk *d, const struct stat *st)
{
	const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, st->st_mtim };
	uint64_t end = align_up((uint64_t)st->st_size, PAGE_BYTES);

	if (end > INT64_MAX - PAGE_BYTES)
		return;
	d->can_discard = fallocate(d->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				   (off_t)end, (off_t)PAGE_BYTES) == 0;
	d->can_write_zeroes = d->can_discard;
	if (d->can_discard && futimens(d->fd, times) != 0)
		log_debug("disk", "time of change not restored: %s", strerror(errno));
}

/*
 * A device punches holes when it can zero blocks by itself; sysfs tells, where there is one.
 * Zeroing ranges always works, if need be by writing.
 */
static void ask_device(struct disk *d, dev_t dev)
{
	/* A partition's queue is that of the whole device. */
	static const char *const below[] = { "", "../" };
	char path[128], text[32] = "1";
	FILE *f = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(below) && !f; i++) {
		snprintf(path, sizeof(path),
			 "/sys/dev/block/%u:%u/%squeue/write_zeroes_max_bytes", major(dev),
			 minor(dev), below[i]);
		f = fopen(path, "re");
	}
	if (f) {
		(void)!fgets(text, sizeof(text), f);
		fclose(f);
	}
	d->can_discard = strtoull(text, NULL, 10) > 0;
	d->can_write_zeroes = true;
}

static int learn_blocks(struct disk *d, const struct stat *st, const char *path, struct err *e)
{
	int logical = DISK_SECTOR;
	unsigned physical = (unsigned)st->st_blksize;

	if (d->block_device && (ioctl(d->fd, BLKSSZGET, &logical) != 0 ||
				ioctl(d->fd, BLKPBSZGET, &physical) != 0))
		return fail(e, errno, path, "");
	if (!power_of_two((unsigned)logical) || logical < DISK_SECTOR)
		return fail(e, EINVAL, path, ": its block size cannot be used");
	d->block_size = (uint32_t)logical;
	if (!power_of_two(physical) || physical < d->block_size || physical > 16 * PAGE_BYTES)
		physical = d->block_size;
	d->physical_block_size = physical;
	return 0;
}

/* O_DIRECT: what it asks for is the block size, and the size must be made of it. */
static int learn_direct(struct disk *d, const char *path, struct err *e)
{
	d->direct_align = direct_alignment(d);
	if (!d->direct_align)
		return fail(e, EINVAL, path, ": O_DIRECT is not possible there");
	if (!power_of_two(d->direct_align) || d->direct_align > DIRECT_ALIGN_MAX)
		return fail(e, EINVAL, path, ": asks too much alignment of O_DIRECT");
	if (d->direct_align > d->block_size)
		d->block_size = d->direct_align;
	if (d->physical_block_size < d->block_size)
		d->physical_block_size = d->block_size;
	if (d->block_size > DISK_SECTOR && d->bytes % d->block_size)
		return fail(e, EINVAL, path,
			    ": O_DIRECT needs a size that is a multiple of its block size");
	return 0;
}

static void warn_of_rest(const struct disk *d, const char *path)
{
	if (d->bytes % DISK_SECTOR)
		log_warn("disk", "%s: size=%" PRIu64 " is no multiple of %d, the rest is lost",
			 path, d->bytes, DISK_SECTOR);
}

static int learn(struct disk *d, const struct stat *st, const char *path, struct err *e)
{
	int rc = size_of(d, &d->bytes);

	if (rc < 0)
		return fail(e, -rc, path, "");
	rc = learn_blocks(d, st, path, e);
	if (rc == 0 && d->direct)
		rc = learn_direct(d, path, e);
	if (rc < 0)
		return rc;
	warn_of_rest(d, path);
	if (d->read_only)
		return 0;
	if (d->block_device)
		ask_device(d, st->st_rdev);
	else
		try_file(d, st);
	return 0;
}

/* ---- life ------------------------------------------------------------------------ */

int disk_open(struct disk **out, const char *path, const struct disk_options *o, struct err *e)
{
	struct disk *d = calloc(1, sizeof(*d));
	struct stat st;
	int rc;

	if (!d)
		return fail(e, ENOMEM, path, "");
	d->read_only = o->read_only;
	d->direct = o->direct;
	d->file.slot = -1;
	d->fd = open_file(path, o, &st, e);
	rc = d->fd;
	if (rc >= 0) {
		d->block_device = S_ISBLK(st.st_mode);
		rc = learn(d, &st, path, e);
	}
	if (rc < 0) {
		disk_close(d);
		return rc;
	}
	*out = d;
	return 0;
}

int disk_rescan(struct disk *d)
{
	uint64_t bytes = 0;
	int rc = size_of(d, &bytes);

	if (rc < 0)
		return rc;
	if (d->direct && d->block_size > DISK_SECTOR && bytes % d->block_size)
		return -EINVAL;
	if (bytes != d->bytes && bytes % DISK_SECTOR)
		log_warn("disk", "size=%" PRIu64 " is no multiple of %d, the rest is lost",
			 bytes, DISK_SECTOR);
	d->bytes = bytes;
	return 0;
}

void disk_close(struct disk *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		close(d->fd);
	free(d);
}
