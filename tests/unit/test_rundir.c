/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/lib/rundir: names, locks, and what is removed when. */
#include "vmm/lib/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void knows_names(void **state)
{
	static const struct {
		const char *name;
		bool valid;
	} cases[] = {
		{ "web", true },      { "a-1", true },
		{ "web.1", true },    { "web.1234567890", true },
		{ "", false },	      { ".", false },
		{ "..", false },      { ".1", false },
		{ "web.", false },    { "web.x", false },
		{ "web.1.2", false }, { "a_b", false },
		{ "a/b", false },     { "web.12345678901", false },
		{ "web.-1", false },  { "a b", false },
		{ ".new", false },
	};
	char longest[CONFIG_ID_MAX + 3];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(rundir_name_valid(cases[i].name), cases[i].valid);
	memset(longest, 'x', sizeof(longest));
	longest[CONFIG_ID_MAX] = '\0';
	assert_true(rundir_name_valid(longest));
	longest[CONFIG_ID_MAX] = 'x';
	longest[CONFIG_ID_MAX + 1] = '\0';
	assert_false(rundir_name_valid(longest));
}

static void the_base_is_given_or_from_the_environment(void **state)
{
	setenv(RUNDIR_BASE_ENV, "/env", 1);
	assert_string_equal(rundir_base("/given"), "/given");
	assert_string_equal(rundir_base(NULL), "/env");
	setenv(RUNDIR_BASE_ENV, "", 1);
	assert_string_equal(rundir_base(NULL), RUNDIR_BASE_DEFAULT);
	unsetenv(RUNDIR_BASE_ENV);
	assert_string_equal(rundir_base(NULL), RUNDIR_BASE_DEFAULT);
}

static void paths_that_are_too_long_are_refused(void **state)
{
	char out[RUNDIR_PATH_MAX], base[RUNDIR_PATH_MAX];
	struct err e;

	assert_int_equal(rundir_path(out, "/base", "web", "pid", &e), 0);
	assert_string_equal(out, "/base/web/pid");
	assert_int_equal(rundir_path(out, "/base", "web", NULL, &e), 0);
	assert_string_equal(out, "/base/web");
	memset(base, 'x', sizeof(base));
	base[sizeof(base) - 1] = '\0';
	assert_int_equal(rundir_path(out, base, "web", NULL, &e), -ENAMETOOLONG);
}

/* A directory with a pid file and another one. */
struct dir {
	char path[64], pid[80], other[80];
	int fd;
};

static int make_dir(void **state)
{
	struct dir *d = calloc(1, sizeof(*d));

	if (!d)
		return -1;
	*state = d;
	(void)snprintf(d->path, sizeof(d->path), "/tmp/rundir.XXXXXX");
	if (!mkdtemp(d->path))
		return -1;
	(void)snprintf(d->pid, sizeof(d->pid), "%s/pid", d->path);
	(void)snprintf(d->other, sizeof(d->other), "%s/log", d->path);
	close(open(d->other, O_CREAT | O_WRONLY, 0600));
	d->fd = open(d->pid, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return d->fd < 0 ? -1 : 0;
}

static int free_dir(void **state)
{
	struct dir *d = *state;

	if (d->fd >= 0)
		close(d->fd);
	rundir_remove(d->path);
	free(d);
	return 0;
}

static void a_lock_is_seen_by_others_and_lives_in_copies(void **state)
{
	struct dir *d = *state;
	int other = open(d->pid, O_RDWR | O_CLOEXEC);
	pid_t child;
	int pipes[2];

	assert_false(rundir_locked(other));
	assert_int_equal(rundir_lock(d->fd), 0);
	assert_true(rundir_locked(other));
	assert_false(rundir_locked(d->fd)); /* it is ours */
	assert_int_equal(rundir_lock(other), -EAGAIN);
	/* As keeper and monitor: the lock goes with the last of them. */
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		close(pipes[1]);
		(void)!read(pipes[0], &(char){ 0 }, 1);
		_exit(0);
	}
	close(pipes[0]);
	close(d->fd);
	d->fd = -1;
	assert_true(rundir_locked(other));
	close(pipes[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_false(rundir_locked(other));
	close(other);
}

static void a_lock_of_a_removed_file_is_none(void **state)
{
	struct dir *d = *state;

	unlink(d->pid);
	assert_int_equal(rundir_lock(d->fd), -ESTALE);
}

static void reads_the_process(void **state)
{
	static const struct {
		const char *text;
		int pid;
	} cases[] = {
		{ "1\n", 1 },	 { "4194304\n", 4194304 },
		{ "", -1 },	 { "12", -1 },
		{ "x\n", -1 },	 { "0\n", -1 },
		{ "-5\n", -1 },	 { "99999999999\n", -1 },
		{ "1 2\n", -1 },
	};
	struct dir *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = strlen(cases[i].text);

		assert_int_equal(ftruncate(d->fd, 0), 0);
		assert_int_equal(pwrite(d->fd, cases[i].text, n, 0), n);
		assert_int_equal(rundir_pid(d->fd), cases[i].pid);
	}
}

static void only_what_is_dead_is_removed(void **state)
{
	struct dir *d = *state;

	assert_int_equal(rundir_lock(d->fd), 0);
	assert_int_equal(rundir_remove_stale(d->path), 0);
	assert_int_equal(access(d->other, F_OK), 0);
	close(d->fd);
	d->fd = -1;
	assert_int_equal(rundir_remove_stale(d->path), 1);
	assert_int_equal(access(d->path, F_OK), -1);
	assert_int_equal(rundir_remove_stale(d->path), 0);
}

static void a_directory_without_a_pid_file_is_dead(void **state)
{
	struct dir *d = *state;

	unlink(d->pid);
	assert_int_equal(rundir_remove_stale(d->path), 1);
	assert_int_equal(access(d->path, F_OK), -1);
}

static void links_are_not_followed(void **state)
{
	struct dir *d = *state;
	char link[80];

	(void)snprintf(link, sizeof(link), "%s.link", d->path);
	assert_int_equal(symlink(d->path, link), 0);
	assert_true(rundir_remove(link) < 0);
	assert_true(rundir_remove_stale(link) < 0);
	rundir_remove_files(link);
	assert_int_equal(access(d->other, F_OK), 0);
	unlink(link);
	/* Nor inside: the link goes, what it points to stays. */
	assert_int_equal(symlink("/etc/passwd", link), 0);
	assert_int_equal(rename(link, d->other), 0);
	rundir_remove_files(d->path);
	assert_int_equal(access("/etc/passwd", F_OK), 0);
	assert_int_equal(access(d->pid, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_names),
		cmocka_unit_test(the_base_is_given_or_from_the_environment),
		cmocka_unit_test(paths_that_are_too_long_are_refused),
		cmocka_unit_test_setup_teardown(a_lock_is_seen_by_others_and_lives_in_copies,
						make_dir, free_dir),
		cmocka_unit_test_setup_teardown(a_lock_of_a_removed_file_is_none, make_dir,
						free_dir),
		cmocka_unit_test_setup_teardown(reads_the_process, make_dir, free_dir),
		cmocka_unit_test_setup_teardown(only_what_is_dead_is_removed, make_dir,
						free_dir),
		cmocka_unit_test_setup_teardown(a_directory_without_a_pid_file_is_dead,
						make_dir, free_dir),
		cmocka_unit_test_setup_teardown(links_are_not_followed, make_dir, free_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
