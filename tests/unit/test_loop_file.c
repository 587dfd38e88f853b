/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's operations on files, and what it does at the end of a turn. */
#include "vmm/lib/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static struct loop *loop;
static int fd;

struct probe {
	struct loop_op op;
	int res;
};

static void note(struct loop_op *op, int res)
{
	CONTAINER_OF(op, struct probe, op)->res = res;
}

static int wait_for(struct probe *p)
{
	while (p->op.busy)
		assert_int_equal(loop_turn(loop), 0);
	return p->res;
}

static int set_up(void **state)
{
	alarm(20);
	fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 65536), 0);
	return loop_create(&loop, 8);
}

static int tear_down(void **state)
{
	loop_destroy(loop);
	close(fd);
	alarm(0);
	return 0;
}

static void vectors_reach_a_registered_file(void **state)
{
	loop_file_t f = loop_file_add(loop, fd);
	char a[] = "Hello, ", b[] = "world", back[16] = "";
	const struct iovec out[] = { { a, 7 }, { b, 5 } };
	const struct iovec in[] = { { back, 3 }, { back + 3, 9 } };
	struct probe p = { .op.done = note };

	assert_true(f.slot >= 0);
	loop_writev(loop, &p.op, f, out, 2, 100, 0);
	assert_int_equal(wait_for(&p), 12);
	loop_readv(loop, &p.op, f, in, 2, 100, 0);
	assert_int_equal(wait_for(&p), 12);
	assert_string_equal(back, "Hello, world");
	loop_fsync(loop, &p.op, f);
	assert_int_equal(wait_for(&p), 0);
	loop_file_remove(loop, &f);
	loop_readv(loop, &p.op, f, in, 2, 100, 0);
	assert_int_equal(wait_for(&p), -EBADF);
}

static void removing_a_file_leaves_what_is_in_flight_alone(void **state)
{
	struct probe p = { .op.done = note };
	char byte;
	const struct iovec in = { &byte, 1 };
	loop_file_t f;
	int pipe_fds[2];

	assert_int_equal(pipe(pipe_fds), 0);
	f = loop_file_add(loop, pipe_fds[0]);
	loop_readv(loop, &p.op, f, &in, 1, LOOP_NO_OFFSET, 0);
	assert_int_equal(write(fd, "", 1), 1);
	/* Submits it. */
	struct probe other = { .op.done = note };
	loop_defer(loop, &other.op);
	wait_for(&other);
	loop_file_remove(loop, &f);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	assert_int_equal(wait_for(&p), 1);
	assert_int_equal(byte, 'x');
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void files_beyond_the_table_are_plain_descriptors(void **state)
{
	loop_file_t files[LOOP_FILES_MAX + 2];
	struct probe p = { .op.done = note };
	char byte = 'z';
	const struct iovec out = { &byte, 1 };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		files[i] = loop_file_add(loop, fd);
	assert_int_equal(files[LOOP_FILES_MAX - 1].slot, LOOP_FILES_MAX - 1);
	assert_int_equal(files[LOOP_FILES_MAX].slot, -1);
	loop_writev(loop, &p.op, files[LOOP_FILES_MAX], &out, 1, 0, 0);
	assert_int_equal(wait_for(&p), 1);
	/* A slot that came free is used again. */
	loop_file_remove(loop, &files[5]);
	files[5] = loop_file_add(loop, fd);
	assert_int_equal(files[5].slot, 5);
}

static void registered_buffer_is_read_and_written(void **state)
{
	loop_file_t f = loop_file_add(loop, fd);
	struct probe p = { .op.done = note };
	char *buffer = aligned_alloc(4096, 8192);
	int first, index;

	first = loop_buffer_add(loop, buffer + 4096, 4096);
	index = loop_buffer_add(loop, buffer, 4096);
	assert_int_equal(first, 0);
	assert_int_equal(index, 1);
	memset(buffer, 'q', 4096);
	loop_write_fixed(loop, &p.op, f, index, buffer, 4096, 8192);
	assert_int_equal(wait_for(&p), 4096);
	memset(buffer, 0, 4096);
	loop_read_fixed(loop, &p.op, f, index, buffer + 512, 1024, 8192);
	assert_int_equal(wait_for(&p), 1024);
	assert_int_equal(buffer[511], 0);
	assert_int_equal(buffer[512], 'q');
	/* Outside of what was registered. */
	loop_read_fixed(loop, &p.op, f, index, buffer + 4096, 512, 0);
	assert_int_equal(wait_for(&p), -EFAULT);
	loop_buffer_remove(loop, index);
	loop_read_fixed(loop, &p.op, f, index, buffer, 512, 0);
	assert_int_equal(wait_for(&p), -EFAULT);
	assert_int_equal(loop_buffer_add(loop, buffer, 4096), 1);
	free(buffer);
}

static void fallocate_punches_a_hole(void **state)
{
	loop_file_t f = loop_file_add(loop, fd);
	struct probe p = { .op.done = note };
	struct stat before, after;
	char bytes[8192];

	memset(bytes, 1, sizeof(bytes));
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	fstat(fd, &before);
	loop_fallocate(loop, &p.op, f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096);
	assert_int_equal(wait_for(&p), 0);
	fstat(fd, &after);
	assert_int_equal(before.st_blocks - after.st_blocks, 8);
}

static void quiet_write_is_done_in_order_and_wakes_nobody(void **state)
{
	struct probe p = { .op.done = note };
	char back[4] = "";
	int pipe_fds[2];

	assert_int_equal(pipe(pipe_fds), 0);
	loop_write_quietly(loop, pipe_fds[1], "abc", 3);
	loop_read(loop, &p.op, pipe_fds[0], back, 3);
	/* One turn: had the write a completion, it would end with that. */
	assert_int_equal(loop_turn(loop), 0);
	assert_false(p.op.busy);
	assert_int_equal(p.res, 3);
	assert_string_equal(back, "abc");
	assert_int_equal(loop_stats(loop).ops, 1);
	/* An error is nobody's either. */
	loop_write_quietly(loop, -1, "x", 1);
	loop_defer(loop, &p.op);
	assert_int_equal(wait_for(&p), 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* Many more than there is room for: the kernel keeps the rest until we look. */
static void every_completion_of_a_flood_arrives(void **state)
{
	const size_t n = 3 * LOOP_IN_FLIGHT_MAX;
	struct probe *probes = calloc(n, sizeof(*probes));

	for (size_t i = 0; i < n; i++) {
		probes[i].op.done = note;
		probes[i].res = 1;
		loop_defer(loop, &probes[i].op);
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(wait_for(&probes[i]), 0);
	free(probes);
}

/* ---- the end of a turn ---- */

static struct {
	struct loop_late late[3];
	char order[16];
	unsigned n;
	bool again;
} at_end;

static void run(struct loop_late *late)
{
	at_end.order[at_end.n++] = (char)('a' + (late - at_end.late));
	if (late == &at_end.late[0] && at_end.again) {
		loop_at_end(loop, &at_end.late[2]);
		loop_at_end(loop, late);
	}
}

static void turn_ends_with_what_was_asked_for_once_and_in_order(void **state)
{
	memset(&at_end, 0, sizeof(at_end));
	for (unsigned i = 0; i < 3; i++)
		at_end.late[i].run = run;
	loop_at_end(loop, &at_end.late[1]);
	loop_at_end(loop, &at_end.late[0]);
	loop_at_end(loop, &at_end.late[1]);
	/* Does not wait, though nothing is in flight. */
	assert_int_equal(loop_turn(loop), 0);
	assert_string_equal(at_end.order, "ba");
	loop_at_end(loop, &at_end.late[0]);
	assert_int_equal(loop_turn(loop), 0);
	assert_string_equal(at_end.order, "baa");
}

static void asking_at_the_end_of_a_turn_is_for_it_or_for_the_next(void **state)
{
	memset(&at_end, 0, sizeof(at_end));
	for (unsigned i = 0; i < 3; i++)
		at_end.late[i].run = run;
	at_end.again = true;
	loop_at_end(loop, &at_end.late[0]);
	assert_int_equal(loop_turn(loop), 0);
	assert_string_equal(at_end.order, "ac");
	at_end.again = false;
	assert_int_equal(loop_turn(loop), 0);
	assert_string_equal(at_end.order, "aca");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(vectors_reach_a_registered_file),
		T(removing_a_file_leaves_what_is_in_flight_alone),
		T(files_beyond_the_table_are_plain_descriptors),
		T(registered_buffer_is_read_and_written),
		T(fallocate_punches_a_hole),
		T(quiet_write_is_done_in_order_and_wakes_nobody),
		T(every_completion_of_a_flood_arrives),
		T(turn_ends_with_what_was_asked_for_once_and_in_order),
		T(asking_at_the_end_of_a_turn_is_for_it_or_for_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
