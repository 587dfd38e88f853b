/* SPDX-License-Identifier: Apache-2.0 */
/* api/text: taking text apart, and what is UTF-8. */
#include "api/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct text string(const char *s)
{
	return text(s, strlen(s));
}

static void trim_removes_blanks_and_tabs(void **state)
{
	assert_true(text_is(text_trim(string(" \ta b\t ")), "a b"));
	assert_true(text_is(text_trim(string(" \t")), ""));
	assert_true(text_is(text_trim(string("\na")), "\na"));
}

static void split_goes_through_all_parts(void **state)
{
	struct text rest = string("a//b");

	assert_true(text_is(text_split(&rest, '/'), "a"));
	assert_true(text_is(text_split(&rest, '/'), ""));
	assert_true(text_is(text_split(&rest, '/'), "b"));
	assert_true(text_is(text_split(&rest, '/'), ""));
	assert_int_equal(rest.len, 0);
}

static void compares_whole_and_prefix(void **state)
{
	assert_true(text_is(string("ab"), "ab"));
	assert_false(text_is(string("ab"), "a"));
	assert_false(text_is(string("ab"), "abc"));
	assert_false(text_is(string("ab"), "AB"));
	assert_true(text_is_nocase(string("aB"), "Ab"));
	assert_false(text_is_nocase(string("a"), "b"));
	assert_true(text_starts(string("ab"), "a"));
	assert_false(text_starts(string("a"), "ab"));
	assert_false(text_starts(string("ba"), "a"));
}

static void cut_keeps_characters_whole(void **state)
{
	assert_true(text_is(text_cut(string("a\xc3\xa9"), 3), "a\xc3\xa9"));
	assert_true(text_is(text_cut(string("a\xc3\xa9"), 2), "a"));
	assert_true(text_is(text_cut(string("abc"), 9), "abc"));
}

static void knows_utf8(void **state)
{
	static const struct {
		const char *in;
		size_t good; /* bytes */
	} cases[] = {
		{ "a\x7f", 2 },
		{ "\xc2\x80\xdf\xbf", 4 },
		{ "\xe0\xa0\x80\xec\xbf\xbf\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 15 },
		{ "\xf0\x90\x80\x80\xf3\xbf\xbf\xbf\xf4\x8f\xbf\xbf", 12 },
		{ "a\x80", 1 }, /* continuation without a start */
		{ "a\xc3", 1 }, /* start without continuation */
		{ "a\xe2\x82", 1 },
		{ "a\xe2\x82z", 1 },
		{ "a\xc3z", 1 },
		{ "\xc0\x80", 0 }, /* overlong */
		{ "\xc1\xbf", 0 },
		{ "\xe0\x9f\xbf", 0 },
		{ "\xf0\x8f\xbf\xbf", 0 },
		{ "\xed\xa0\x80", 0 }, /* surrogate */
		{ "\xf4\x90\x80\x80", 0 }, /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xff", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(text_utf8_len(string(cases[i].in)), cases[i].good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trim_removes_blanks_and_tabs),
		cmocka_unit_test(split_goes_through_all_parts),
		cmocka_unit_test(compares_whole_and_prefix),
		cmocka_unit_test(cut_keeps_characters_whole),
		cmocka_unit_test(knows_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
