/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: their form, what is left out, and that writing never waits. */
#include "vmm/lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char path[] = "/tmp/test_log.XXXXXX";
static char text[1u << 20];

/* A fresh, empty log file, and all that lasts as it is at the start. */
static int open_log(void **state)
{
	log_set_level(LOG_INFO);
	log_set_module("");
	log_set_id("anonymous-instance");
	log_set_thread("xenolith");
	log_show_level(false);
	log_show_origin(false);
	if (log_open(path) < 0)
		return -1;
	log_info("t", "tells what an earlier test has lost");
	unlink(path);
	return log_open(path);
}

/* What was logged so far. */
static const char *logged(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static unsigned lines(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += *s == '\n';
	return n;
}

/* Of the first line, in ns since 1970. */
static uint64_t time_of(const char *line)
{
	struct tm tm = { 0 };
	const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S.", &tm);

	assert_non_null(rest);
	assert_int_equal(strspn(rest, "0123456789"), 9);
	return (uint64_t)timegm(&tm) * 1000000000 + strtoull(rest, NULL, 10);
}

static uint64_t real_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void a_line_has_time_instance_thread_module_and_text(void **state)
{
	uint64_t before = real_ns();

	log_warn("vm", "GSI %u: %s", 4u, "stuck");
	assert_in_range(time_of(logged()), before, real_ns());
	assert_string_equal(text + strlen("2026-11-22T10:00:00.123456789"),
			    " [anonymous-instance:xenolith] vm GSI 4: stuck\n");
}

static void instance_and_thread_can_be_set(void **state)
{
	log_set_id("web-7");
	log_set_thread("monitor");
	log_info("vm", "x");
	assert_non_null(strstr(logged(), " [web-7:monitor] vm x\n"));
}

static void what_is_shown_can_be_chosen(void **state)
{
	char expected[128];
	int line = __LINE__ + 5;

	log_show_level(true);
	log_error("vm", "a");
	log_show_origin(true);
	log_info("vm", "b");
	log_show_level(false);
	log_info("vm", "c");
	assert_non_null(strstr(logged(), "[anonymous-instance:xenolith:ERROR] vm a\n"));
	snprintf(expected, sizeof(expected), ":xenolith:INFO:%s:%d] vm b\n", __FILE__, line);
	assert_non_null(strstr(text, expected));
	snprintf(expected, sizeof(expected), ":xenolith:%s:%d] vm c\n", __FILE__, line + 2);
	assert_non_null(strstr(text, expected));
}

/* Every day of 800 years would take long: some around each end of a month. */
static void the_time_is_utc(void **state)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} times[] = {
		{ 0, "1970-01-01T00:00:00" },	       { 951782399, "2000-02-28T23:59:59" },
		{ 951782400, "2000-02-29T00:00:00" },  { 951868800, "2000-03-01T00:00:00" },
		{ 978307199, "2000-12-31T23:59:59" },  { 1709164800, "2024-02-29T00:00:00" },
		{ 1795341600, "2026-11-22T10:00:00" }, { 4107542399, "2100-02-28T23:59:59" },
		{ 4107542400, "2100-03-01T00:00:00" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		char out[LOG_TIME_BYTES];

		log_time(out, times[i].seconds * 1000000000 + 7);
		assert_memory_equal(out, times[i].text, strlen(times[i].text));
		assert_string_equal(out + strlen(times[i].text), ".000000007");
	}
}

static void a_module_can_be_picked(void **state)
{
	struct log_guest limit = { 0 };

	log_set_module("ke");
	log_info("keeper", "a");
	log_info("ke", "b");
	log_info("k", "c");
	log_error("vm", "d");
	log_guest(&limit, "blk", "e");
	assert_int_equal(lines(logged()), 2);
	assert_non_null(strstr(text, "] keeper a\n"));
	assert_non_null(strstr(text, "] ke b\n"));
	assert_int_equal(limit.used, 0);
	log_set_module("");
	log_info("vm", "f");
	assert_int_equal(lines(logged()), 3);
}

static void levels_below_the_one_set_are_left_out(void **state)
{
	static const char *const words[] = { "", "E", "W", "I", "D" };
	char expected[8];

	for (enum log_level set = LOG_OFF; set <= LOG_DEBUG; set++) {
		open_log(NULL);
		log_set_level(set);
		log_error("t", "line E");
		log_warn("t", "line W");
		log_info("t", "line I");
		log_debug("t", "line D");
		assert_int_equal(lines(logged()), set);
		for (unsigned i = 1; i <= LOG_DEBUG; i++) {
			snprintf(expected, sizeof(expected), "line %s", words[i]);
			assert_int_equal(strstr(text, expected) != NULL, i <= set);
		}
	}
}

static void level_names_are_firecrackers(void **state)
{
	static const struct {
		const char *name;
		enum log_level level;
	} good[] = {
		{ "Off", LOG_OFF },	 { "Error", LOG_ERROR }, { "Warn", LOG_WARN },
		{ "Warning", LOG_WARN }, { "Info", LOG_INFO },	 { "Debug", LOG_DEBUG },
		{ "Trace", LOG_DEBUG },	 { "iNFO", LOG_INFO },	 { "OFF", LOG_OFF },
	};
	static const char *const bad[] = { "", "Inf", "Infos", " Info", "3", "verbose" };
	enum log_level level;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		level = LOG_OFF;
		assert_int_equal(log_level_parse(good[i].name, &level), 0);
		assert_int_equal(level, good[i].level);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(log_level_parse(bad[i], &level), -EINVAL);
}

/* Else a guest could forge lines, or speak to the terminal. */
static void control_characters_become_question_marks(void **state)
{
	log_info("t", "a%sb", "\n1.0 error vm forged\r\033[2J\x7f\t");
	assert_non_null(strstr(logged(), "a?1.0 error vm forged??[2J??b\n"));
	assert_int_equal(lines(text), 1);
}

static void a_long_line_is_cut_and_still_ends(void **state)
{
	char *huge = malloc(100000);

	memset(huge, 'x', 99999);
	huge[99999] = '\0';
	log_info("t", "%s", huge);
	log_info("t", "after");
	free(huge);
	assert_int_equal(lines(logged()), 2);
	assert_in_range(strcspn(text, "\n"), 900, 1024);
	assert_non_null(strstr(text, "t after\n"));
}

static void errno_survives(void **state)
{
	assert_int_equal(log_open("/dev/full"), 0);
	errno = EXDEV;
	log_info("t", "x");
	assert_int_equal(errno, EXDEV);
}

static void the_file_is_appended_to(void **state)
{
	log_info("t", "first");
	assert_int_equal(log_open(path), 0);
	log_info("t", "second");
	assert_int_equal(lines(logged()), 2);
}

static void a_log_that_cannot_be_opened_is_an_error(void **state)
{
	assert_int_equal(log_open("/nonexistent/log"), -ENOENT);
	assert_int_equal(log_open("/tmp"), -EISDIR);
	log_info("t", "still goes where it went");
	assert_int_equal(lines(logged()), 1);
}

/* How many lines the log itself says were lost, in the `len` bytes of `text`. */
static uint64_t lost_lines(size_t len)
{
	static const char mark[] = "] log lines lost: ";
	uint64_t n = 0;

	text[len] = '\0';
	for (const char *at = text; (at = strstr(at, mark)); at++)
		n += strtoull(at + strlen(mark), NULL, 10);
	return n;
}

/* Nobody reads the FIFO: it fills up, and then lines are dropped and counted. */
static void a_full_fifo_drops_lines_and_never_waits(void **state)
{
	char fifo[] = "/tmp/test_log_fifo.XXXXXX";
	uint64_t before = log_counts().dropped;
	uint64_t told = 0;
	ssize_t n;
	int fd;

	close(mkstemp(fifo));
	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(log_open(fifo), 0);
	log_info("t", "nothing is lost while there is room");
	assert_int_equal(log_counts().dropped, before);
	alarm(10);
	for (unsigned i = 0; i < 5000; i++)
		log_info("t", "line %u that fills the pipe, which holds 64 KiB", i);
	alarm(0);
	assert_true(log_counts().dropped > before);
	fd = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	while ((n = read(fd, text, sizeof(text) - 1)) > 0)
		told += lost_lines((size_t)n);
	/* There is room again: who reads learns what is missing. */
	log_info("t", "after");
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n > 0);
	told += lost_lines((size_t)n);
	assert_non_null(strstr(text, "] t after\n"));
	assert_int_equal(told, log_counts().dropped - before);
	close(fd);
	unlink(fifo);
}

static void a_guest_gets_a_burst_of_lines(void **state)
{
	uint64_t before = log_counts().limited;
	struct log_guest limit = { 0 };

	for (unsigned i = 0; i < 100; i++)
		log_guest(&limit, "serial", "guest line %u", i);
	assert_int_equal(lines(logged()), LOG_GUEST_BURST);
	assert_non_null(strstr(text, "guest line 4\n"));
	assert_null(strstr(text, "guest line 5\n"));
	assert_int_equal(limit.suppressed, 100 - LOG_GUEST_BURST);
	assert_int_equal(log_counts().limited - before, 100 - LOG_GUEST_BURST);
}

/* Time passes by moving the last refill into the past. */
static void a_line_comes_back_each_second(void **state)
{
	struct log_guest limit = { 0 };

	for (unsigned i = 0; i < 8; i++)
		log_guest(&limit, "serial", "early");
	limit.refill_ms -= 2000;
	for (unsigned i = 0; i < 8; i++)
		log_guest(&limit, "serial", "late");
	/* 5 early, what was left out, 2 late. */
	assert_int_equal(lines(logged()), LOG_GUEST_BURST + 3);
	assert_non_null(strstr(text, "serial 3 lines left out\n"));
	assert_int_equal(limit.suppressed, 6);
}

static void a_long_pause_gives_no_more_than_a_burst(void **state)
{
	struct log_guest limit = { 0 };

	for (unsigned i = 0; i < LOG_GUEST_BURST; i++)
		log_guest(&limit, "serial", "early");
	limit.refill_ms -= limit.refill_ms > 1000000 ? 1000000 : limit.refill_ms - 1;
	for (unsigned i = 0; i < 100; i++)
		log_guest(&limit, "serial", "late");
	assert_int_equal(lines(logged()), 2 * LOG_GUEST_BURST);
}

static void devices_do_not_share_their_burst(void **state)
{
	struct log_guest a = { 0 }, b = { 0 };

	for (unsigned i = 0; i < 10; i++)
		log_guest(&a, "serial", "x");
	log_guest(&b, "block", "y");
	assert_non_null(strstr(logged(), "block y\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_line_has_time_instance_thread_module_and_text,
				       open_log),
		cmocka_unit_test_setup(instance_and_thread_can_be_set, open_log),
		cmocka_unit_test_setup(what_is_shown_can_be_chosen, open_log),
		cmocka_unit_test(the_time_is_utc),
		cmocka_unit_test_setup(a_module_can_be_picked, open_log),
		cmocka_unit_test_setup(levels_below_the_one_set_are_left_out, open_log),
		cmocka_unit_test(level_names_are_firecrackers),
		cmocka_unit_test_setup(control_characters_become_question_marks, open_log),
		cmocka_unit_test_setup(a_long_line_is_cut_and_still_ends, open_log),
		cmocka_unit_test_setup(errno_survives, open_log),
		cmocka_unit_test_setup(the_file_is_appended_to, open_log),
		cmocka_unit_test_setup(a_log_that_cannot_be_opened_is_an_error, open_log),
		cmocka_unit_test_setup(a_full_fifo_drops_lines_and_never_waits, open_log),
		cmocka_unit_test_setup(a_guest_gets_a_burst_of_lines, open_log),
		cmocka_unit_test_setup(a_line_comes_back_each_second, open_log),
		cmocka_unit_test_setup(a_long_pause_gives_no_more_than_a_burst, open_log),
		cmocka_unit_test_setup(devices_do_not_share_their_burst, open_log),
	};
	int failed;

	close(mkstemp(path));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
