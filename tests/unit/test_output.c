/* SPDX-License-Identifier: Apache-2.0 */
/* Files and FIFOs that are opened to be written. */
#include "vmm/lib/output.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[] = "/tmp/test_output.XXXXXX";
static char path[64];

static int set_up(void **state)
{
	snprintf(path, sizeof(path), "%s/out", dir);
	unlink(path);
	return 0;
}

static int flags(int fd)
{
	return fcntl(fd, F_GETFL) & (O_APPEND | O_NONBLOCK | O_ACCMODE);
}

static void a_file_is_made_and_appended_to(void **state)
{
	mode_t old = umask(0);
	struct stat st;

	for (unsigned i = 1; i <= 2; i++) {
		int fd = output_open(path);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, "x", 1), 1);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, i);
		assert_int_equal(st.st_mode & 0777, 0600);
		/* Else io_uring would not wait for the disk, but fail. */
		assert_int_equal(flags(fd), O_RDWR | O_APPEND);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	}
	umask(old);
}

static void a_fifo_needs_no_reader_and_does_not_block(void **state)
{
	char block[4096] = "";
	int fd, reader;

	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(10);
	fd = output_open(path);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) == sizeof(block))
		;
	assert_int_equal(errno, EAGAIN);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(read(reader, block, sizeof(block)), sizeof(block));
	close(reader);
	/* It is not broken when the reader goes. */
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	alarm(0);
	close(fd);
}

#define NOBODY 65534

/* Root may read everything: nobody it is. */
static void what_may_only_be_written_is_opened_too(void **state)
{
	bool root = geteuid() == 0;
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0200);

	assert_true(fd >= 0);
	close(fd);
	if (root) {
		assert_int_equal(chown(path, NOBODY, NOBODY), 0);
		assert_int_equal(chmod(dir, 0755), 0);
		assert_int_equal(seteuid(NOBODY), 0);
	}
	fd = output_open(path);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_true(fd >= 0);
	assert_int_equal(flags(fd), O_WRONLY | O_APPEND);
	close(fd);
}

static void what_cannot_be_opened_says_why(void **state)
{
	assert_int_equal(output_open("/nonexistent/x"), -ENOENT);
	assert_int_equal(output_open(""), -ENOENT);
	assert_int_equal(output_open(dir), -EISDIR);
	assert_int_equal(output_open("/etc/passwd/x"), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_file_is_made_and_appended_to, set_up),
		cmocka_unit_test_setup(a_fifo_needs_no_reader_and_does_not_block, set_up),
		cmocka_unit_test_setup(what_may_only_be_written_is_opened_too, set_up),
		cmocka_unit_test_setup(what_cannot_be_opened_says_why, set_up),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return failed;
}
