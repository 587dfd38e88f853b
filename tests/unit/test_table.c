/* SPDX-License-Identifier: Apache-2.0 */
/* api/ctl/table: tables, and numbers as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "api/ctl/table.h"

static const struct table_column columns[] = {
	{ "ID", false, 0 }, { "CPU", true, 0 }, { "AGE", true, 2 }, { "SOCKET", false, 1 }
};

/* What is printed of two rows. */
static char *print(size_t width, size_t rows, const char *end)
{
	struct table t;
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	table_init(&t, columns, ARRAY_SIZE(columns));
	table_cell(&t, "%s", "a");
	table_cell(&t, "%d.0", 7);
	table_cell(&t, "%s", "1m05s");
	table_cell(&t, "%s", "/run/a");
	table_cell(&t, "%s", "long-id");
	table_cell(&t, "%s", "100.0");
	table_cell(&t, "%s", "-");
	table_cell(&t, "%s", "/b");
	assert_int_equal(table_print(&t, out, width, rows, end), 0);
	table_free(&t);
	fclose(out);
	return text;
}

static const struct print_row {
	const char *name;
	size_t width, rows;
	const char *end, *want;
} print_rows[] = {
	{ "as_wide_as_the_content", 0, 0, "\n",
	  "ID         CPU    AGE  SOCKET\n"
	  "a          7.0  1m05s  /run/a\n"
	  "long-id  100.0      -  /b\n" },
	{ "fits", 29, 0, "\n",
	  "ID         CPU    AGE  SOCKET\n"
	  "a          7.0  1m05s  /run/a\n"
	  "long-id  100.0      -  /b\n" },
	{ "one_less_loses_a_column", 28, 0, "\n",
	  "ID         CPU  SOCKET\n"
	  "a          7.0  /run/a\n"
	  "long-id  100.0  /b\n" },
	{ "then_the_next", 21, 0, "\n",
	  "ID         CPU\n"
	  "a          7.0\n"
	  "long-id  100.0\n" },
	{ "then_lines_are_cut", 12, 0, "\n",
	  "ID         C\n"
	  "a          7\n"
	  "long-id  100\n" },
	{ "very_narrow", 4, 0, "\n", "ID\na\nlong\n" },
	{ "narrowest", 1, 0, "\n", "I\na\nl\n" },
	{ "first_row_only", 0, 1, "\r\n",
	  "ID         CPU    AGE  SOCKET\r\n"
	  "a          7.0  1m05s  /run/a\r\n" },
};

static void prints(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(print_rows); i++) {
		const struct print_row *r = &print_rows[i];
		char *text = print(r->width, r->rows, r->end);

		if (strcmp(text, r->want) != 0)
			fail_msg("%s:\n%s", r->name, text);
		free(text);
	}
}

static void columns_of_one_rank_leave_together(void **state)
{
	static const struct table_column three[] = { { "A", false, 0 },
						     { "B", false, 1 },
						     { "C", false, 1 } };
	struct table t;
	char text[64] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	table_init(&t, three, ARRAY_SIZE(three));
	assert_int_equal(table_print(&t, out, 6, 0, "\n"), 0);
	assert_int_equal(table_print(&t, out, 7, 0, "\n"), 0);
	fclose(out);
	assert_string_equal(text, "A\nA  B  C\n");
	table_free(&t);
}

static void prints_titles_without_rows(void **state)
{
	struct table t;
	char text[64];
	FILE *out = fmemopen(text, sizeof(text), "w");

	table_init(&t, columns, ARRAY_SIZE(columns));
	assert_int_equal(table_print(&t, out, 0, 0, "\n"), 0);
	fclose(out);
	assert_string_equal(text, "ID  CPU  AGE  SOCKET\n");
	table_free(&t);
}

static const struct harmless_row {
	const char *text, *want;
} harmless_rows[] = {
	{ "plain ~", "plain ~|" },
	{ "\x1b[2J", "?[2J|" },
	{ "a\nb\tc\rd", "a?b?c?d|" },
	{ "\x7f", "?|" },
	{ "\xc3\xa4", "\xc3\xa4|" },
	{ "\xe2\x82\xac", "\xe2\x82\xac|" },
	{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80|" },
	{ "\xc2\x9b"
	  "2J",
	  "??2J|" }, /* CSI as one character */
	{ "\xc2\xa0", "\xc2\xa0|" },
	{ "\x80\x80", "??|" },
	{ "\xc0\xaf", "??|" },
	{ "\xff", "?|" },
	{ "a\xe2\x82", "a??|" },
	{ "\xe2\x82"
	  "b",
	  "??b|" },
};

static void terminals_are_not_harmed(void **state)
{
	static const struct table_column two[] = { { "A", false, 0 }, { "B", false, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(harmless_rows); i++) {
		const struct harmless_row *r = &harmless_rows[i];
		char text[64] = "", *line, *bar;
		struct table t;
		FILE *out = fmemopen(text, sizeof(text), "w");

		table_init(&t, two, ARRAY_SIZE(two));
		table_cell(&t, "%s", r->text);
		table_cell(&t, "|");
		assert_int_equal(table_print(&t, out, 0, 0, "\n"), 0);
		fclose(out);
		table_free(&t);
		/* The cell, with the blanks before the next one taken out. */
		line = strchr(text, '\n') + 1;
		bar = strchr(line, '|');
		assert_memory_equal(bar - 2, "  ", 2);
		memmove(bar - 2, bar, 2);
		if (strncmp(line, r->want, strlen(r->want)) != 0)
			fail_msg("row %zu: %s", i, line);
	}
}

static void characters_are_aligned_not_bytes(void **state)
{
	static const struct table_column two[] = { { "ID", false, 0 }, { "N", true, 0 } };
	struct table t;
	char text[64] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	table_init(&t, two, ARRAY_SIZE(two));
	table_cell(&t, "%s", "\xc3\xa4\xc3\xa4\xc3\xa4");
	table_cell(&t, "%d", 1);
	table_cell(&t, "%s", "abcd");
	table_cell(&t, "%d", 12);
	assert_int_equal(table_print(&t, out, 8, 0, "\n"), 0);
	fclose(out);
	assert_string_equal(text, "ID     N\n\xc3\xa4\xc3\xa4\xc3\xa4    1\nabcd  12\n");
	table_free(&t);
}

static const struct units_row {
	const char *(*format)(char text[UNITS_TEXT_MAX], uint64_t n);
	uint64_t n;
	const char *want;
} units_rows[] = {
	{ units_bytes, 0, "0" },
	{ units_bytes, 999, "999" },
	{ units_bytes, 1000, "0.9K" },
	{ units_bytes, 1024, "1.0K" },
	{ units_bytes, 1536, "1.5K" },
	{ units_bytes, 10 * KIB - 1, "9.9K" },
	{ units_bytes, 10 * KIB, "10K" },
	{ units_bytes, 1000 * KIB - 1, "999K" },
	{ units_bytes, 1000 * KIB, "0.9M" },
	{ units_bytes, 128 * MIB, "128M" },
	{ units_bytes, 4 * GIB, "4.0G" },
	{ units_bytes, UINT64_MAX, "15E" },
	{ units_span, 0, "0s" },
	{ units_span, 59999999999, "59s" },
	{ units_span, 60000000000, "1m00s" },
	{ units_span, 3599000000000, "59m59s" },
	{ units_span, 3600000000000, "1h00m" },
	{ units_span, 86399000000000, "23h59m" },
	{ units_span, 86400000000000, "1d00h" },
	{ units_span, 8639999000000000, "99d23h" },
	{ units_span, 8640000000000000, "100d" },
	{ units_span, UINT64_MAX, "213503d" },
	{ units_cpu_time, 0, "0.00s" },
	{ units_cpu_time, 9999999, "0.00s" },
	{ units_cpu_time, 10000000, "0.01s" },
	{ units_cpu_time, 59999999999, "59.99s" },
	{ units_cpu_time, 60000000000, "1m00s" },
};

static void numbers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(units_rows); i++) {
		const struct units_row *r = &units_rows[i];
		char text[UNITS_TEXT_MAX];

		assert_string_equal(r->format(text, r->n), r->want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints),
		cmocka_unit_test(columns_of_one_rank_leave_together),
		cmocka_unit_test(prints_titles_without_rows),
		cmocka_unit_test(terminals_are_not_harmed),
		cmocka_unit_test(characters_are_aligned_not_bytes),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
