/* SPDX-License-Identifier: Apache-2.0 */
/* api/ctl/lines: the lines of a file that grows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "api/ctl/lines.h"

static char path[64], other[80];

static int make_file(void **state)
{
	int fd;

	strcpy(path, "/tmp/xenolith-lines.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	snprintf(other, sizeof(other), "%s.other", path);
	return close(fd);
}

static int remove_file(void **state)
{
	(void)unlink(other);
	return unlink(path);
}

static void put(const char *file, const char *mode, const char *text)
{
	FILE *f = fopen(file, mode);

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void open_lines(struct lines *l)
{
	struct err e;

	assert_int_equal(lines_open(l, path, NULL, "log", &e), 0);
}

static void expect(struct lines *l, const char *want)
{
	const char *line = NULL;

	assert_int_equal(lines_next(l, &line), want ? 1 : 0);
	if (want)
		assert_string_equal(line, want);
}

static const struct seek_row {
	const char *text;
	uint64_t n;
	const char *next; /* line; NULL: none */
	const char *rest; /* what is left when there is no line */
} seek_rows[] = {
	{ "a\nb\nc\n", 0, NULL, NULL }, { "a\nb\nc\n", 1, "c", NULL },
	{ "a\nb\nc\n", 2, "b", NULL },	{ "a\nb\nc\n", 3, "a", NULL },
	{ "a\nb\nc\n", 4, "a", NULL },	{ "a\nb\nc\n", UINT64_MAX, "a", NULL },
	{ "a\nb", 1, NULL, "b" },	{ "a\nb", 2, "a", NULL },
	{ "\n\n\n", 1, "", NULL },	{ "\n", 1, "", NULL },
	{ "a", 1, NULL, "a" },		{ "", 1, NULL, NULL },
};

static void seeks_from_the_end(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(seek_rows); i++) {
		const struct seek_row *r = &seek_rows[i];
		const char *line = NULL;
		struct lines l;

		put(path, "w", r->text);
		open_lines(&l);
		assert_int_equal(lines_seek_last(&l, r->n), 0);
		expect(&l, r->next);
		if (!r->next) {
			assert_int_equal(lines_rest(&l, &line), r->rest != NULL);
			if (r->rest)
				assert_string_equal(line, r->rest);
		}
		lines_close(&l);
	}
}

/* More than is read at once, in either direction. */
static void seeks_over_blocks(void **state)
{
	char text[32];
	struct lines l;
	FILE *f = fopen(path, "w");

	for (unsigned i = 0; i < 10000; i++)
		fprintf(f, "line %u\n", i);
	fclose(f);
	open_lines(&l);
	for (unsigned n = 1; n <= 10000; n += 777) {
		snprintf(text, sizeof(text), "line %u", 10000 - n);
		assert_int_equal(lines_seek_last(&l, n), 0);
		expect(&l, text);
		lines_close(&l);
		open_lines(&l);
	}
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "line %u", i);
		expect(&l, text);
	}
	expect(&l, NULL);
	lines_close(&l);
}

static void lines_come_when_they_are_whole(void **state)
{
	struct lines l;

	open_lines(&l);
	expect(&l, NULL);
	put(path, "a", "one");
	expect(&l, NULL);
	put(path, "a", " two\nthree\nfo");
	expect(&l, "one two");
	expect(&l, "three");
	expect(&l, NULL);
	put(path, "a", "ur\n");
	expect(&l, "four");
	lines_close(&l);
}

static void long_lines_come_in_pieces(void **state)
{
	const char *line;
	struct lines l;
	size_t total = 0;
	FILE *f = fopen(path, "w");

	for (unsigned i = 0; i < 2 * LINES_LENGTH_MAX + 5; i++)
		fputc('x', f);
	fputs("\nnext\n", f);
	fclose(f);
	open_lines(&l);
	while (lines_next(&l, &line) == 1 && *line == 'x') {
		assert_true(strlen(line) <= LINES_LENGTH_MAX);
		total += strlen(line);
	}
	assert_string_equal(line, "next");
	/* Where it is cut a byte is lost. */
	assert_in_range(total, 2 * LINES_LENGTH_MAX, 2 * LINES_LENGTH_MAX + 5);
	lines_close(&l);
}

static void a_file_that_was_emptied_begins_anew(void **state)
{
	const char *line;
	struct lines l;

	put(path, "w", "long line\n");
	open_lines(&l);
	expect(&l, "long line");
	put(path, "w", "new\n");
	assert_int_equal(lines_wait(&l, &line), 1);
	assert_string_equal(line, "new");
	lines_close(&l);
}

static void a_file_that_was_replaced_begins_anew(void **state)
{
	const char *line;
	struct lines l;

	put(path, "w", "old\n");
	open_lines(&l);
	expect(&l, "old");
	put(path, "a", "last\n");
	put(other, "w", "new\n");
	assert_int_equal(rename(other, path), 0);
	assert_int_equal(lines_wait(&l, &line), 1);
	assert_string_equal(line, "last");
	assert_int_equal(lines_wait(&l, &line), 1);
	assert_string_equal(line, "new");
	lines_close(&l);
}

static void waiting_ends_with_the_instance(void **state)
{
	struct instance dead = { .name = "x", .dir = "/nonexistent/x", .pid = 1 };
	const char *line;
	struct lines l;
	struct err e;

	put(path, "w", "one\ntwo\n");
	assert_int_equal(lines_open(&l, path, &dead, "log", &e), 0);
	assert_int_equal(lines_wait(&l, &line), 1);
	assert_int_equal(lines_wait(&l, &line), 1);
	assert_string_equal(line, "two");
	assert_int_equal(lines_wait(&l, &line), 0);
	lines_close(&l);
}

static void refuses_what_is_no_file(void **state)
{
	struct lines l;
	struct err e;

	assert_int_equal(lines_open(&l, "/nonexistent", NULL, "log", &e), -ENOENT);
	assert_string_equal(e.text, "log /nonexistent: No such file or directory");
	lines_close(&l);
	assert_int_equal(lines_open(&l, "/", NULL, "log", &e), -EINVAL);
	lines_close(&l);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(lines_open(&l, other, NULL, "log", &e), -EINVAL);
	assert_non_null(strstr(e.text, "not a regular file"));
	lines_close(&l);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_file, remove_file)
	const struct CMUnitTest tests[] = {
		TEST(seeks_from_the_end),
		TEST(seeks_over_blocks),
		TEST(lines_come_when_they_are_whole),
		TEST(long_lines_come_in_pieces),
		TEST(a_file_that_was_emptied_begins_anew),
		TEST(a_file_that_was_replaced_begins_anew),
		TEST(waiting_ends_with_the_instance),
		TEST(refuses_what_is_no_file),
	};

	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
