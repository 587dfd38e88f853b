/* SPDX-License-Identifier: Apache-2.0 */
/* Disks, on files and devices of this machine. */
#include "devices/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/lib/log.h"

static char dir[] = "build/test-disk-XXXXXX";
static char path[256];

static const struct disk_options plain, read_only = { .read_only = true },
					direct = { .direct = true };

static const char *at(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make(const char *name, off_t bytes)
{
	int fd = open(at(name), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", bytes > 0, 0), bytes > 0);
	assert_int_equal(ftruncate(fd, bytes), 0);
	close(fd);
}

static struct disk *opened(const char *name, const struct disk_options *o)
{
	struct disk *d = NULL;
	struct err e = { "" };
	int rc = disk_open(&d, at(name), o, &e);

	if (rc)
		print_error("%s\n", e.text);
	assert_int_equal(rc, 0);
	return d;
}

static void a_file_is_a_disk(void **state)
{
	static const struct {
		off_t bytes;
		bool read_only;
	} cases[] = {
		{ 0, false },  { 0, true },	{ 1, false },
		{ 511, true }, { 4096, false }, { 1000000, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct disk_options o = { .read_only = cases[i].read_only };
		struct disk *d;
		int flags;

		make("file", cases[i].bytes);
		d = opened("file", &o);
		assert_int_equal(d->bytes, cases[i].bytes);
		assert_int_equal(d->read_only, cases[i].read_only);
		assert_int_equal(d->block_size, DISK_SECTOR);
		assert_true(d->physical_block_size >= d->block_size);
		assert_false(d->block_device);
		assert_false(d->direct);
		assert_int_equal(d->file.slot, -1);
		flags = fcntl(d->fd, F_GETFL);
		assert_int_equal(flags & O_ACCMODE, cases[i].read_only ? O_RDONLY : O_RDWR);
		assert_int_equal(flags & (O_NONBLOCK | O_DIRECT | O_APPEND), 0);
		assert_int_equal(fcntl(d->fd, F_GETFD), FD_CLOEXEC);
		if (cases[i].read_only)
			assert_false(d->can_discard || d->can_write_zeroes);
		disk_close(d);
	}
	disk_close(NULL);
}

static void opening_changes_nothing(void **state)
{
	struct stat before, after;
	struct disk *d;

	make("file", 10000);
	assert_int_equal(stat(at("file"), &before), 0);
	usleep(20000); /* longer than what a file system's clock resolves */
	d = opened("file", &plain);
	assert_true(d->can_discard); /* or there is nothing to see here */
	disk_close(d);
	assert_int_equal(stat(at("file"), &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_int_equal(before.st_blocks, after.st_blocks);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
}

static void a_file_that_takes_no_holes_says_so(void **state)
{
	struct disk *d = NULL;
	int fd = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char name[64];

	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	assert_int_equal(disk_open(&d, name, &plain, NULL), 0);
	assert_false(d->can_discard || d->can_write_zeroes);
	disk_close(d);
	close(fd);
}

static void assert_refused(const char *where, const struct disk_options *o, int error,
			   const char *more)
{
	char expected[512];
	struct disk *d = NULL;
	struct err e = { "" };

	snprintf(expected, sizeof(expected), "%s (os error %d) %s%s", strerror(error), error,
		 where, more);
	assert_int_equal(disk_open(&d, where, o, &e), -error);
	assert_string_equal(e.text, expected);
	assert_null(d);
}

/* None of them may keep us waiting. */
static void what_is_no_disk_is_refused(void **state)
{
	static const char no_disk[] = ": neither a regular file nor a block device";
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	alarm(20);
	assert_refused(at("missing"), &plain, ENOENT, "");
	assert_refused("", &plain, ENOENT, "");
	assert_refused(dir, &plain, EISDIR, "");
	assert_refused(dir, &read_only, EISDIR, "");
	assert_refused("/dev/null", &plain, EINVAL, no_disk);
	assert_refused("/dev/tty", &read_only, EINVAL, no_disk);
	assert_int_equal(mkfifo(at("fifo"), 0600), 0);
	assert_refused(path, &plain, EINVAL, no_disk);
	assert_refused(path, &read_only, EINVAL, no_disk);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/socket", dir);
	assert_int_equal(bind(s, (const struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_refused(at("socket"), &plain, EINVAL, no_disk);
	close(s);
	alarm(0);
}

static void what_may_not_be_written_is_refused_for_writing(void **state)
{
	struct disk *d;

	/* Nobody writes to a program that runs, not even root. */
	assert_refused("/proc/self/exe", &plain, ETXTBSY, "");
	assert_int_equal(disk_open(&d, "/proc/self/exe", &read_only, NULL), 0);
	disk_close(d);
}

static void a_rescan_sees_the_size(void **state)
{
	struct disk *d;

	make("file", 4096);
	d = opened("file", &plain);
	assert_int_equal(truncate(at("file"), 1 << 20), 0);
	assert_int_equal(d->bytes, 4096);
	assert_int_equal(disk_rescan(d), 0);
	assert_int_equal(d->bytes, 1 << 20);
	assert_int_equal(truncate(at("file"), 100), 0);
	assert_int_equal(disk_rescan(d), 0);
	assert_int_equal(d->bytes, 100);
	close(d->fd);
	assert_int_equal(disk_rescan(d), -EBADF);
	assert_int_equal(d->bytes, 100);
	d->fd = -1;
	disk_close(d);
}

static void a_direct_file_tells_its_alignment(void **state)
{
	struct disk *d;
	void *buffer = NULL;

	make("file", 1 << 20);
	d = opened("file", &direct);
	assert_true(d->direct);
	assert_true(fcntl(d->fd, F_GETFL) & O_DIRECT);
	assert_in_range(d->direct_align, DISK_SECTOR, 4096);
	assert_true(d->block_size >= d->direct_align);
	assert_int_equal(posix_memalign(&buffer, d->direct_align, d->direct_align), 0);
	assert_int_equal(pread(d->fd, buffer, d->direct_align, d->direct_align),
			 d->direct_align);
	free(buffer);
	disk_close(d);
	make("empty", 0);
	d = opened("empty", &direct);
	assert_int_equal(d->bytes, 0);
	disk_close(d);
}

/* Where the kernel does not tell: tmpfs, or before Linux 6.1. */
int __wrap_statx(int fd, const char *name, int flags, unsigned mask, struct statx *x);
int __real_statx(int fd, const char *name, int flags, unsigned mask, struct statx *x);

static struct {
	bool on;
	unsigned mask, offset_align, mem_align;
} statx_says;

int __wrap_statx(int fd, const char *name, int flags, unsigned mask, struct statx *x)
{
	int rc = __real_statx(fd, name, flags, mask, x);

	if (statx_says.on) {
		x->stx_mask = statx_says.mask;
		x->stx_dio_offset_align = statx_says.offset_align;
		x->stx_dio_mem_align = statx_says.mem_align;
	}
	return rc;
}

static void alignments_are_what_the_kernel_says(void **state)
{
	static const struct {
		unsigned mask, offset_align, mem_align;
		off_t bytes;
		uint32_t block; /* 0: refused */
		const char *why;
	} cases[] = {
		{ STATX_DIOALIGN, 4096, 512, 8192, 4096, NULL },
		{ STATX_DIOALIGN, 512, 4096, 8192, 4096, NULL },
		{ STATX_DIOALIGN, 512, 4, 8192, 512, NULL },
		{ STATX_DIOALIGN, 1, 1, 8192, 512, NULL },
		{ STATX_DIOALIGN, 512, 512, 8192 + 100, 512, NULL }, /* as without */
		{ STATX_DIOALIGN, 4096, 512, 8192 + 512, 0,
		  ": O_DIRECT needs a size that is a multiple of its block size" },
		{ STATX_DIOALIGN, 0, 0, 8192, 0, ": O_DIRECT is not possible there" },
		{ STATX_DIOALIGN, 8192, 512, 8192, 0, ": asks too much alignment of O_DIRECT" },
		{ STATX_DIOALIGN, 1536, 512, 8192, 0, ": asks too much alignment of O_DIRECT" },
		{ 0, 0, 0, 8192, 512, NULL }, /* found out; this machine's disk takes 512 */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make("file", cases[i].bytes);
		statx_says.on = true;
		statx_says.mask = cases[i].mask;
		statx_says.offset_align = cases[i].offset_align;
		statx_says.mem_align = cases[i].mem_align;
		if (cases[i].block) {
			struct disk *d = opened("file", &direct);

			assert_int_equal(d->block_size, cases[i].block);
			assert_true(d->physical_block_size >= d->block_size);
			disk_close(d);
		} else {
			assert_refused(at("file"), &direct, EINVAL, cases[i].why);
		}
		statx_says.on = false;
	}
}

/* It would not fit its blocks any more. */
static void a_direct_file_is_rescanned_to_whole_blocks_only(void **state)
{
	struct disk *d;

	make("file", 8192);
	statx_says.on = true;
	statx_says.mask = STATX_DIOALIGN;
	statx_says.offset_align = statx_says.mem_align = 4096;
	d = opened("file", &direct);
	statx_says.on = false;
	assert_int_equal(truncate(at("file"), 12288 + 512), 0);
	assert_int_equal(disk_rescan(d), -EINVAL);
	assert_int_equal(d->bytes, 8192);
	assert_int_equal(truncate(at("file"), 12288), 0);
	assert_int_equal(disk_rescan(d), 0);
	assert_int_equal(d->bytes, 12288);
	disk_close(d);
}

/* ---- block devices --------------------------------------------------------------- */

/* A loop device on `name`, or -1 where we may make none. */
static int attach(const char *name, unsigned block_size, char *device, size_t len)
{
	struct loop_config c = { .block_size = block_size };
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
	int file = open(at(name), O_RDWR | O_CLOEXEC);
	int fd;

	if (control >= 0)
		close(control);
	snprintf(device, len, "/dev/loop%d", n);
	fd = n < 0 ? -1 : open(device, O_RDWR | O_CLOEXEC);
	c.fd = (unsigned)file;
	if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &c) != 0) {
		close(fd);
		fd = -1;
	}
	close(file);
	return fd;
}

static void a_block_device_tells_its_blocks(void **state)
{
	static const unsigned sizes[] = { 512, 4096 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct disk_options *o[] = { &plain, &direct, &read_only };
		char device[64];
		int fd;

		make("file", 3 << 20);
		fd = attach("file", sizes[i], device, sizeof(device));
		if (fd < 0) {
			skip(); /* it takes root, and a kernel with loop devices */
			return;
		}
		for (size_t n = 0; n < ARRAY_SIZE(o); n++) {
			struct disk *d = NULL;

			assert_int_equal(disk_open(&d, device, o[n], NULL), 0);
			assert_true(d->block_device);
			assert_int_equal(d->bytes, 3 << 20);
			assert_int_equal(d->block_size, sizes[i]);
			assert_true(d->physical_block_size >= d->block_size);
			assert_int_equal(d->can_discard, !o[n]->read_only);
			assert_int_equal(d->can_write_zeroes, !o[n]->read_only);
			if (d->direct)
				assert_int_equal(d->direct_align, sizes[i]);
			assert_int_equal(truncate(at("file"), 2 << 20), 0);
			assert_int_equal(ioctl(fd, LOOP_SET_CAPACITY), 0);
			assert_int_equal(disk_rescan(d), 0);
			assert_int_equal(d->bytes, 2 << 20);
			assert_int_equal(truncate(at("file"), 3 << 20), 0);
			assert_int_equal(ioctl(fd, LOOP_SET_CAPACITY), 0);
			disk_close(d);
		}
		assert_int_equal(ioctl(fd, LOOP_CLR_FD), 0);
		close(fd);
	}
}

static int make_dir(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "file", "empty", "fifo", "socket" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlink(at(names[i]));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_a_disk),
		cmocka_unit_test(opening_changes_nothing),
		cmocka_unit_test(a_file_that_takes_no_holes_says_so),
		cmocka_unit_test(what_is_no_disk_is_refused),
		cmocka_unit_test(what_may_not_be_written_is_refused_for_writing),
		cmocka_unit_test(a_rescan_sees_the_size),
		cmocka_unit_test(a_direct_file_tells_its_alignment),
		cmocka_unit_test(alignments_are_what_the_kernel_says),
		cmocka_unit_test(a_direct_file_is_rescanned_to_whole_blocks_only),
		cmocka_unit_test(a_block_device_tells_its_blocks),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
