/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of metrics on files that are full, FIFOs without room, and the end. What is in them
 * is tests/api/test_metrics.py's.
 */
#include "vmm/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/fake/hv_fake.h"
#include "vmm/vm.h"
#include "vmm/vm_outputs.h"

static struct {
	struct loop *loop;
	struct vm *vm;
	struct api_counts api;
	char path[64];
	char text[1 << 20]; /* what was written */
} w;

static int set_up(void **state)
{
	const struct hv_fake_options o = { .ram_mib = 64 };
	const struct vm_params params = {
		.id = "m-1", .serial_in = -1, .serial_out = -1, .api_counts = &w.api
	};
	struct hv *hv;
	struct err e;

	alarm(30);
	log_set_level(LOG_OFF);
	memset(&w, 0, sizeof(w));
	strcpy(w.path, "/tmp/test_metrics.XXXXXX");
	close(mkstemp(w.path));
	assert_int_equal(loop_create(&w.loop, 16), 0);
	assert_int_equal(hv_fake_create(&hv, &o, &e), 0);
	return vm_create(&w.vm, w.loop, hv, &params, &e);
}

static int tear_down(void **state)
{
	if (w.vm)
		vm_destroy(w.vm);
	loop_destroy(w.loop);
	unlink(w.path);
	alarm(0);
	return 0;
}

static void open_metrics(const char *path)
{
	struct metrics_config c = { .emit_id = true };
	struct err e;

	strcpy(c.path, path);
	assert_int_equal(vm_set_metrics(w.vm, &c, &e), 0);
}

static void count_one(void)
{
	w.api.invalid++;
}

/* Bytes in the file, or -1. */
static off_t size(void)
{
	struct stat st;

	return stat(w.path, &st) == 0 ? st.st_size : -1;
}

static void read_fd(int fd)
{
	ssize_t n = read(fd, w.text, sizeof(w.text) - 1);

	w.text[n > 0 ? n : 0] = '\0';
}

static void read_file(void)
{
	int fd = open(w.path, O_RDONLY | O_CLOEXEC);

	read_fd(fd);
	close(fd);
}

/* The n-th line of the text. */
static const char *line(unsigned n)
{
	const char *at = w.text;

	while (n-- && at)
		at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL;
	return at;
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *c = w.text; *c; c++)
		n += *c == '\n';
	return n;
}

/* A number of a line, by its name. */
static unsigned long number(const char *at, const char *name)
{
	char key[64];

	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(at, key);
	assert_non_null(at);
	return strtoul(at + strlen(key), NULL, 10);
}

static void without_a_place_nothing_is_written(void **state)
{
	metrics_start(w.vm->metrics);
	metrics_write(w.vm->metrics);
	metrics_finish(w.vm->metrics);
	assert_int_equal(size(), 0);
}

static void a_counter_is_told_as_what_it_has_grown_by(void **state)
{
	open_metrics(w.path);
	w.api.invalid = 5;
	metrics_write(w.vm->metrics);
	metrics_write(w.vm->metrics);
	count_one();
	metrics_write(w.vm->metrics);
	read_file();
	assert_int_equal(lines(), 3);
	assert_int_equal(number(line(0), "invalid_requests_count"), 5);
	assert_int_equal(number(line(1), "invalid_requests_count"), 0);
	assert_int_equal(number(line(2), "invalid_requests_count"), 1);
	assert_non_null(strstr(line(1), ",\"id\":\"m-1\","));
}

/* The file may be so long and no longer; RLIM_INFINITY: there is no limit. */
static void limit_file(rlim_t bytes)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
	r.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void no_done(struct loop_op *op, int res)
{
}

/* Let the loop do what it has to do. */
static void turn_a_while(void)
{
	static struct loop_timer timer = { .op.done = no_done };

	loop_timeout(w.loop, &timer, 20);
	while (timer.op.busy)
		assert_int_equal(loop_turn(w.loop), 0);
}

static void what_a_full_disk_has_lost_is_told_when_it_is_not(void **state)
{
	off_t whole;

	open_metrics(w.path);
	metrics_write(w.vm->metrics);
	whole = size();
	/* The first that does not fit is cut off, further ones have no byte. */
	limit_file((rlim_t)whole + 100);
	for (unsigned i = 0; i < 3; i++) {
		count_one();
		metrics_write(w.vm->metrics);
		turn_a_while();
	}
	assert_int_equal(size(), whole + 100);
	limit_file(RLIM_INFINITY);
	count_one();
	metrics_write(w.vm->metrics);
	read_file();
	assert_int_equal(lines(), 3);
	assert_int_equal(line(2) - line(1), 100 + 1);
	assert_int_equal(number(line(2), "invalid_requests_count"), 4);
	assert_int_equal(number(line(2), "missed_metrics_count"), 3);
	metrics_write(w.vm->metrics);
	read_file();
	assert_int_equal(lines(), 4);
	assert_int_equal(number(line(3), "missed_metrics_count"), 0);
}

/* Write until the FIFO has no room, and further: how many lines were asked for. */
static unsigned fill(void)
{
	enum { LINES = 60 };

	for (unsigned i = 0; i < LINES; i++) {
		count_one();
		metrics_write(w.vm->metrics);
	}
	return LINES;
}

/* Whether lines are the same but for their numbers: not a byte of one is missing. */
static bool same_form(const char *a, const char *b)
{
	static const char digits[] = "0123456789";

	for (;; a++, b++) {
		a += strspn(a, digits);
		b += strspn(b, digits);
		if (*a != *b)
			return false;
		if (*a == '\n' || !*a)
			return *a == '\n';
	}
}

static void the_rest_of_a_line_follows_when_there_is_room(void **state)
{
	char *first, *cut, *whole = NULL;
	unsigned asked, got, sum = 0;
	int fd;

	unlink(w.path);
	assert_int_equal(mkfifo(w.path, 0600), 0);
	open_metrics(w.path);
	asked = fill();
	turn_a_while(); /* waits for room, and turns no circles */
	fd = open(w.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	read_fd(fd);
	got = lines();
	assert_in_range(got, 1, asked - 2);
	for (unsigned i = 0; i < got; i++)
		sum += (unsigned)number(line(i), "invalid_requests_count");
	assert_int_equal(sum, got);
	first = strdup(w.text);
	cut = strdup(line(got));
	turn_a_while();
	read_fd(fd);
	assert_int_equal(lines(), 1);
	assert_int_equal(w.text[strlen(w.text) - 1], '\n');
	assert_true(asprintf(&whole, "%s%s", cut, w.text) > 0);
	assert_true(same_form(first, whole));
	free(first);
	free(cut);
	free(whole);
	metrics_write(w.vm->metrics);
	read_fd(fd);
	assert_int_equal(lines(), 1);
	assert_int_equal(number(w.text, "missed_metrics_count"), asked - got - 1);
	assert_int_equal(number(w.text, "invalid_requests_count"), asked - got - 1);
	close(fd);
}

static void the_end_waits_for_a_reader_but_not_for_long(void **state)
{
	uint64_t begin;

	unlink(w.path);
	assert_int_equal(mkfifo(w.path, 0600), 0);
	open_metrics(w.path);
	fill();
	begin = clock_ms();
	metrics_finish(w.vm->metrics);
	assert_in_range(clock_ms() - begin, METRICS_FINISH_MS, 20 * METRICS_FINISH_MS);
}

static void the_end_tells_all(void **state)
{
	open_metrics(w.path);
	count_one();
	metrics_finish(w.vm->metrics);
	read_file();
	assert_int_equal(lines(), 1);
	assert_int_equal(number(w.text, "invalid_requests_count"), 1);
}

static void a_second_place_is_refused(void **state)
{
	struct metrics_config c = { .path = "/dev/null" };
	struct err e;

	open_metrics(w.path);
	assert_int_equal(vm_set_metrics(w.vm, &c, &e), -EEXIST);
	assert_string_equal(e.text, "Reinitialization of metrics not allowed.");
	metrics_write(w.vm->metrics);
	assert_true(size() > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_a_place_nothing_is_written, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_counter_is_told_as_what_it_has_grown_by,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_a_full_disk_has_lost_is_told_when_it_is_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_rest_of_a_line_follows_when_there_is_room,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_waits_for_a_reader_but_not_for_long,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_end_tells_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_second_place_is_refused, set_up, tear_down),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
