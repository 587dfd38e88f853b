/* SPDX-License-Identifier: Apache-2.0 */
/* api/ctl/procstat: what the kernel says about processes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "api/ctl/procstat.h"

/* What follows user and system time in most rows: to the start, and to the end of the line. */
#define MORE " 0 0 20 0 1 0 "
#define TAIL " 18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n"

static const struct stat_row {
	const char *name, *text;
	struct procstat want;
} stat_rows[] = {
	{ "plain",
	  "7 (xenolith) S 3 7 7 0 -1 4194560 9 9 9 9 12 30" MORE "500 8192 77" TAIL,
	  { 7, 3, 'S', 42, 500, 77 } },
	{ "blanks_in_the_name",
	  "7 (a b  c) R 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6 7" TAIL,
	  { 7, 3, 'R', 3, 5, 7 } },
	{ "name_that_looks_like_the_rest",
	  "7 (x) R 1 1 1 (y) Z 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6 7" TAIL,
	  { 7, 3, 'Z', 3, 5, 7 } },
	{ "parentheses_in_the_name",
	  "7 ())(() S 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6 7" TAIL,
	  { 7, 3, 'S', 3, 5, 7 } },
	{ "line_feed_in_the_name",
	  "7 (a\nb) S 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6 7" TAIL,
	  { 7, 3, 'S', 3, 5, 7 } },
	{ "empty_name",
	  "7 () S 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6 7" TAIL,
	  { 7, 3, 'S', 3, 5, 7 } },
	{ "largest_numbers",
	  "2147483647 (a) S 2147483647 7 7 0 -1 1 9 9 9 9 18446744073709551614 1" MORE
	  "18446744073709551615 6 18446744073709551615" TAIL,
	  { INT32_MAX, INT32_MAX, 'S', UINT64_MAX, UINT64_MAX, UINT64_MAX } },
	{ "of_the_kernel",
	  "2 (kthreadd) S 0 0 0 0 -1 1 0 0 0 0 0 0" MORE "5 0 0" TAIL,
	  { 2, 0, 'S', 0, 5, 0 } },
};

static const struct bad_row {
	const char *name, *text;
} bad_rows[] = {
	{ "sum_that_wraps",
	  "7 (a) S 3 7 7 0 -1 1 9 9 9 9 18446744073709551615 1" MORE "5 6 7" TAIL },
	{ "number_that_does_not_fit",
	  "7 (a) S 3 7 7 0 -1 1 9 9 9 9 18446744073709551616 1" MORE "5 6 7" TAIL },
	{ "pid_that_does_not_fit",
	  "2147483648 (a) S 3 7 7 0 -1 1 9 9 9 9 1 1" MORE "5 6 7" TAIL },
	{ "parent_that_does_not_fit",
	  "7 (a) S 2147483648 7 7 0 -1 1 9 9 9 9 1 1" MORE "5 6 7" TAIL },
	{ "negative_time", "7 (a) S 3 7 7 0 -1 1 9 9 9 9 -1 1" MORE "5 6 7" TAIL },
	{ "no_name", "7 S 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6 7" TAIL },
	{ "name_without_an_end", "7 (a S 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6 7" TAIL },
	{ "nothing_behind_the_name", "7 (a)" },
	{ "no_state", "7 (a) 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6 7" TAIL },
	{ "ends_at_the_state", "7 (a) S" },
	{ "ends_at_the_times", "7 (a) S 3 7 7 0 -1 1 9 9 9 9 1" },
	{ "ends_at_the_start", "7 (a) S 3 7 7 0 -1 1 9 9 9 9 1 2" MORE },
	{ "ends_at_the_size", "7 (a) S 3 7 7 0 -1 1 9 9 9 9 1 2" MORE "5 6" },
	{ "no_pid", "(a) S 3" },
	{ "empty", "" },
};

static void parses_stat(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(stat_rows); i++) {
		const struct stat_row *r = &stat_rows[i];
		struct procstat p = { .pid = -1 };

		if (procstat_parse(r->text, &p) < 0)
			fail_msg("%s: refused", r->name);
		assert_int_equal(p.pid, r->want.pid);
		assert_int_equal(p.parent, r->want.parent);
		assert_int_equal(p.state, r->want.state);
		assert_int_equal(p.cpu_ticks, r->want.cpu_ticks);
		assert_int_equal(p.start_ticks, r->want.start_ticks);
		assert_int_equal(p.rss_pages, r->want.rss_pages);
	}
}

static void refuses_bad_stat(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_rows); i++) {
		struct procstat p = { .pid = -1 };

		if (procstat_parse(bad_rows[i].text, &p) != -EBADMSG || p.pid != -1)
			fail_msg("%s: accepted", bad_rows[i].name);
	}
}

static const struct number_row {
	const char *text, *key;
	int rc;
	uint64_t want;
} number_rows[] = {
	{ "Rss:  12 kB\nPss:                 823 kB\nPss_Dirty: 1 kB\n", "Pss", 0, 823 },
	{ "Pss_Dirty: 1 kB\nPss:\t7", "Pss", 0, 7 },
	{ "SwapPss: 3 kB\nxPss: 4\n", "Pss", -ENOENT, 0 },
	{ "read_bytes: 18446744073709551615\n", "read_bytes", 0, UINT64_MAX },
	{ "read_bytes: 18446744073709551616\n", "read_bytes", -EBADMSG, 0 },
	{ "read_bytes: -1\n", "read_bytes", -EBADMSG, 0 },
	{ "read_bytes:", "read_bytes", -EBADMSG, 0 },
	{ "read_bytes:\nwrite_bytes: 1\n", "read_bytes", -EBADMSG, 0 },
	{ "", "Pss", -ENOENT, 0 },
};

static void finds_numbers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(number_rows); i++) {
		const struct number_row *r = &number_rows[i];
		uint64_t got = 0;

		if (procstat_number(r->text, r->key, &got) != r->rc || got != r->want)
			fail_msg("row %zu: %s", i, r->text);
	}
}

/* ---- a /proc of files ---- */

struct fake_proc {
	char root[64];
};

static void put(const struct fake_proc *f, const char *pid, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	assert_true(snprintf(path, sizeof(path), "%s/%s", f->root, pid) > 0);
	(void)mkdir(path, 0700);
	assert_true(snprintf(path, sizeof(path), "%s/%s/%s", f->root, pid, name) > 0);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void put_process(const struct fake_proc *f, const char *pid, const char *parent,
			const char *state, bool readable)
{
	char text[512];

	assert_true(snprintf(text, sizeof(text),
			     "%s (x) y) %s %s 7 7 0 -1 1 9 9 9 9 %s00 50" MORE "300 6 2" TAIL,
			     pid, state, parent, pid) > 0);
	put(f, pid, "stat", text);
	if (!readable)
		return;
	put(f, pid, "smaps_rollup", "0-1 ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: 5 kB\n");
	put(f, pid, "io", "rchar: 1\nread_bytes: 1000\nwrite_bytes: 2000\n");
}

static int make_root(void **state)
{
	static struct fake_proc f;

	strcpy(f.root, "/tmp/xenolith-proc.XXXXXX");
	if (!mkdtemp(f.root))
		return -1;
	*state = &f;
	return 0;
}

static int remove_root(void **state)
{
	const struct fake_proc *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", f->root);
	return system(command) == 0 ? 0 : -1;
}

/* 10 has the child 20, which has the child 5; 30 is somebody else's. */
static void put_tree(const struct fake_proc *f)
{
	put_process(f, "5", "20", "R", true);
	put_process(f, "10", "1", "S", true);
	put_process(f, "20", "10", "D", true);
	put_process(f, "30", "1", "S", false);
	put_process(f, "31", "10", "Z", false);
	put(f, "40", "stat", "no process");
	put(f, "50", "other", "");
	put(f, "self", "stat", "10 (x) S");
}

static void adds_up_a_family(void **state)
{
	const struct fake_proc *f = *state;
	uint64_t tick_ns = UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK);
	struct proctable t;
	struct procfamily p;

	put_tree(f);
	assert_int_equal(proctable_read(&t, f->root), 0);
	assert_int_equal(t.n, 5);
	assert_int_equal(procfamily_read(&t, 10, f->root, &p), 0);
	assert_int_equal(p.processes, 3);
	assert_int_equal(p.cpu_ns, (500 + 1000 + 2000 + 3 * 50) * tick_ns);
	assert_int_equal(p.start_ns, 300 * tick_ns);
	assert_int_equal(p.rss_bytes, 3 * 2 * (uint64_t)sysconf(_SC_PAGESIZE));
	assert_true(p.has_pss && p.has_io);
	assert_int_equal(p.pss_bytes, 3 * 5 * KIB);
	assert_int_equal(p.read_bytes, 3000);
	assert_int_equal(p.write_bytes, 6000);
	proctable_free(&t);
}

static void says_what_it_may_not_know(void **state)
{
	const struct fake_proc *f = *state;
	struct proctable t;
	struct procfamily p;

	put_tree(f);
	assert_int_equal(proctable_read(&t, f->root), 0);
	assert_int_equal(procfamily_read(&t, 30, f->root, &p), 0);
	assert_int_equal(p.processes, 1);
	assert_false(p.has_pss || p.has_io);
	proctable_free(&t);
}

static void the_ended_have_no_family(void **state)
{
	const struct fake_proc *f = *state;
	struct proctable t;
	struct procfamily p;

	put_tree(f);
	assert_int_equal(proctable_read(&t, f->root), 0);
	assert_int_equal(procfamily_read(&t, 31, f->root, &p), -ESRCH);
	assert_int_equal(procfamily_read(&t, 99, f->root, &p), -ESRCH);
	assert_int_equal(procfamily_read(&t, 0, f->root, &p), -ESRCH);
	proctable_free(&t);
}

static void many_processes_and_children(void **state)
{
	const struct fake_proc *f = *state;
	struct proctable t;
	struct procfamily p;

	put_process(f, "1", "0", "S", true);
	for (unsigned i = 100; i < 400; i++) {
		char pid[12];

		snprintf(pid, sizeof(pid), "%u", i);
		put_process(f, pid, "1", "S", true);
	}
	assert_int_equal(proctable_read(&t, f->root), 0);
	assert_int_equal(t.n, 301);
	assert_int_equal(procfamily_read(&t, 1, f->root, &p), 0);
	assert_in_range(p.processes, 2, 300); /* bounded, and no more than there is room */
	assert_int_equal(procfamily_read(&t, 399, f->root, &p), 0);
	assert_int_equal(p.processes, 1);
	proctable_free(&t);
}

static void a_proc_that_is_not_there(void **state)
{
	struct proctable t;

	assert_int_equal(proctable_read(&t, "/nonexistent"), -ENOENT);
}

/* ---- the kernel's own ---- */

static void reads_a_real_child(void **state)
{
	struct proctable t;
	struct procfamily p;
	struct timespec now;
	int fds[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		close(fds[1]);
		_exit(read(fds[0], &byte, 1) != 0);
	}
	assert_int_equal(proctable_read(&t, "/proc"), 0);
	assert_int_equal(procfamily_read(&t, getpid(), "/proc", &p), 0);
	assert_int_equal(p.processes, 2);
	assert_true(p.rss_bytes > 0);
	assert_true(p.has_pss && p.pss_bytes > 0);
	clock_gettime(CLOCK_BOOTTIME, &now);
	assert_in_range(p.start_ns / 1000000000, (uint64_t)now.tv_sec - 300,
			(uint64_t)now.tv_sec + 1);
	close(fds[1]);
	close(fds[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	proctable_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_stat),
		cmocka_unit_test(refuses_bad_stat),
		cmocka_unit_test(finds_numbers),
		cmocka_unit_test_setup_teardown(adds_up_a_family, make_root, remove_root),
		cmocka_unit_test_setup_teardown(says_what_it_may_not_know, make_root,
						remove_root),
		cmocka_unit_test_setup_teardown(the_ended_have_no_family, make_root,
						remove_root),
		cmocka_unit_test_setup_teardown(many_processes_and_children, make_root,
						remove_root),
		cmocka_unit_test(a_proc_that_is_not_there),
		cmocka_unit_test(reads_a_real_child),
	};

	return cmocka_run_group_tests_name("procstat", tests, NULL, NULL);
}
