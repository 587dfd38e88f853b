/* SPDX-License-Identifier: Apache-2.0 */
/* api/ctl: what goes to a guest's console and what comes from it. */
#include "api/ctl/escape.h"
#include "api/ctl/guest_command.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOKEN "0123456789abcdef"
#define BEGIN "\036" TOKEN "-B\n"
#define BEGIN_TTY "\036" TOKEN "-B\r\n"

/* ---- keys ---------------------------------------------------------------------- */

static void keys_are_commands_behind_the_escape(void **state)
{
	static const struct {
		const char *typed, *sent;
		enum escape_action action;
	} cases[] = {
		{ "abc", "abc", ESCAPE_NONE },	     { "\035d", "", ESCAPE_DETACH },
		{ "a\035q", "a", ESCAPE_QUIT },	     { "a\035qb", "a", ESCAPE_QUIT },
		{ "\035\035", "\035", ESCAPE_NONE }, { "\035\035d", "\035d", ESCAPE_NONE },
		{ "\035x", "", ESCAPE_UNKNOWN },     { "dq", "dq", ESCAPE_NONE },
		{ "a\035", "a", ESCAPE_NONE },	     { "", "", ESCAPE_NONE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct escape s = { 0 };
		char bytes[16];
		size_t keep = 99, n = strlen(cases[i].typed);

		memcpy(bytes, cases[i].typed, n);
		assert_int_equal(escape_feed(&s, bytes, n, &keep), cases[i].action);
		assert_int_equal(keep, strlen(cases[i].sent));
		assert_memory_equal(bytes, cases[i].sent, keep);
	}
}

static void escape_may_come_byte_by_byte(void **state)
{
	struct escape s = { 0 };
	size_t keep;
	char escape = ESCAPE_KEY, key = 'd';

	assert_int_equal(escape_feed(&s, &escape, 1, &keep), ESCAPE_NONE);
	assert_int_equal(keep, 0);
	assert_int_equal(escape_feed(&s, &key, 1, &keep), ESCAPE_DETACH);
	assert_int_equal(keep, 0);
	assert_int_equal(escape_feed(&s, &key, 1, &keep), ESCAPE_NONE);
	assert_int_equal(keep, 1);
}

/* ---- output -------------------------------------------------------------------- */

struct expected {
	const char *console, *out;
	enum guest_stage stage;
	int status;
};

static const struct expected outputs[] = {
	{ "boot\n" BEGIN "hi\n\036" TOKEN "-E0\n", "hi\n", GUEST_DONE, 0 },
	{ BEGIN "\036" TOKEN "-E255\n", "", GUEST_DONE, 255 },
	{ BEGIN "no newline\036" TOKEN "-E1\n", "no newline", GUEST_DONE, 1 },
	{ BEGIN "a\036" TOKEN "-E7\nnot this", "a", GUEST_DONE, 7 },
	{ BEGIN_TTY "a\r\nb\r\n\036" TOKEN "-E3\r\n", "a\nb\n", GUEST_DONE, 3 },
	{ BEGIN "a\r\n", "a\r\n", GUEST_COMMAND, 0 },
	/* What only looks like a mark is output. */
	{ BEGIN "\036\036" TOKEN "-E2\n", "\036", GUEST_DONE, 2 },
	{ BEGIN "\0360123\036" TOKEN "-E2\n", "\0360123", GUEST_DONE, 2 },
	{ BEGIN "\036" TOKEN "-X2\nz", "\036" TOKEN "-X2\nz", GUEST_COMMAND, 0 },
	{ BEGIN "\036" TOKEN "-E\nz", "\036" TOKEN "-E\nz", GUEST_COMMAND, 0 },
	{ BEGIN "\036" TOKEN "-E256\n", "\036" TOKEN "-E256\n", GUEST_COMMAND, 0 },
	{ BEGIN "\036" TOKEN "-E-1\n", "\036" TOKEN "-E-1\n", GUEST_COMMAND, 0 },
	{ BEGIN "\036" TOKEN "+E1\n", "\036" TOKEN "+E1\n", GUEST_COMMAND, 0 },
	{ BEGIN "\036" TOKEN "\nz", "\036" TOKEN "\nz", GUEST_COMMAND, 0 },
	{ BEGIN "\036" TOKEN "-E1111111111111111111111111111111111\n",
	  "\036" TOKEN "-E1111111111111111111111111111111111\n", GUEST_COMMAND, 0 },
	{ BEGIN "\036fedcba9876543210-E0\n", "\036fedcba9876543210-E0\n", GUEST_COMMAND, 0 },
	{ BEGIN BEGIN "x", "\036" TOKEN "-B\nx", GUEST_COMMAND, 0 },
	/* An end without a beginning, and nothing at all. */
	{ "\036" TOKEN "-E0\n", "", GUEST_BOOTING, 0 },
	{ "boot", "", GUEST_BOOTING, 0 },
	{ "", "", GUEST_BOOTING, 0 },
};

/* However it is cut into pieces. */
static void output_is_what_is_between_the_marks(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(outputs); i++) {
		const struct expected *x = &outputs[i];
		size_t len = strlen(x->console);

		for (size_t piece = 1; piece <= len + 1; piece++) {
			struct guest_output g = { .token = TOKEN };
			char out[256];
			size_t n = 0;

			for (size_t at = 0; at < len; at += piece)
				n += guest_output_feed(&g, x->console + at,
						       min_size(piece, len - at), out + n);
			assert_int_equal(n, strlen(x->out));
			assert_memory_equal(out, x->out, n);
			assert_int_equal(g.stage, x->stage);
			assert_int_equal(g.status, x->status);
		}
	}
}

static void the_tail_of_the_boot_is_kept(void **state)
{
	struct guest_output g = { .token = TOKEN };
	char line[32], out[128];

	for (int i = 0; i < 1000; i++) {
		int n = snprintf(line, sizeof(line), "line %d\n", i);

		assert_int_equal(guest_output_feed(&g, line, (size_t)n, out), 0);
	}
	assert_in_range(g.n_tail, GUEST_TAIL_MAX / 2, GUEST_TAIL_MAX);
	assert_memory_equal(g.tail + g.n_tail - 9, "line 999\n", 9);
}

/* Whatever a guest prints, room for it and for what was held is enough. */
static void no_output_overflows(void **state)
{
	static const char bytes[] = "\036" TOKEN "-BE\n\r19";
	struct guest_output g = { .token = TOKEN };
	char in[64], *out = malloc(sizeof(in) + sizeof(g.held));

	srand(1);
	assert_non_null(out);
	for (int i = 0; i < 200000; i++) {
		size_t n = (size_t)rand() % sizeof(in) + 1;
		size_t from = (size_t)rand() % (sizeof(bytes) - 1);

		for (size_t k = 0; k < n; k++)
			in[k] = rand() % 8 ? bytes[(from + k) % (sizeof(bytes) - 1)] :
					     bytes[(size_t)rand() % (sizeof(bytes) - 1)];
		assert_true(guest_output_feed(&g, in, n, out) <= n + sizeof(g.held));
		assert_true(g.n_held < sizeof(g.held));
		if (g.stage == GUEST_DONE)
			g = (struct guest_output){ .token = TOKEN };
	}
	free(out);
}

/* ---- the command line ---------------------------------------------------------- */

static void arguments_are_one_quoted_word(void **state)
{
	char out[2048];
	int n = guest_command_args(out, sizeof(out), "a \"b\" 'c' \\d\n\xc3\xa9=", TOKEN,
				   false);
	const char *quote;

	assert_true(n > 0);
	assert_int_equal(n, strlen(out));
	assert_memory_equal(out, "-- -c \"", 7);
	quote = strchr(out + 7, '"');
	assert_ptr_equal(quote, out + n - 1);
	for (int i = 0; i < n; i++)
		assert_in_range(out[i], 0x20, 0x7e);
}

static void arguments_that_do_not_fit_are_refused(void **state)
{
	char out[2048];
	int n = guest_command_args(out, sizeof(out), "true", TOKEN, true);

	assert_int_equal(guest_command_args(out, (size_t)n + 1, "true", TOKEN, true), n);
	assert_int_equal(guest_command_args(out, (size_t)n, "true", TOKEN, true), -E2BIG);
	assert_int_equal(guest_command_args(out, 1, "true", TOKEN, true), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_commands_behind_the_escape),
		cmocka_unit_test(escape_may_come_byte_by_byte),
		cmocka_unit_test(output_is_what_is_between_the_marks),
		cmocka_unit_test(the_tail_of_the_boot_is_kept),
		cmocka_unit_test(no_output_overflows),
		cmocka_unit_test(arguments_are_one_quoted_word),
		cmocka_unit_test(arguments_that_do_not_fit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
