/* SPDX-License-Identifier: Apache-2.0 */
/* Reasons of errors: what fits, what is cut, and that the number is passed on. */
#include "vmm/lib/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void set_formats_and_returns_the_number(void **state)
{
	struct err e;

	assert_int_equal(err_set(&e, -EINVAL, "kernel %s: %d", "x", 3), -EINVAL);
	assert_string_equal(e.text, "kernel x: 3");
}

static void set_without_a_place_returns_the_number(void **state)
{
	assert_int_equal(err_set(NULL, -EIO, "nobody reads %s", "this"), -EIO);
	assert_int_equal(err_prefix(NULL, -EIO, "nor this"), -EIO);
}

static void text_that_does_not_fit_is_cut(void **state)
{
	struct {
		struct err e;
		char after[8];
	} box = { .after = "intact" };
	char text[2 * ERR_TEXT_MAX];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_set(&box.e, -EINVAL, "%s", text);
	assert_int_equal(strlen(box.e.text), ERR_TEXT_MAX - 1);
	err_prefix(&box.e, -EINVAL, "%s", text);
	assert_int_equal(strlen(box.e.text), ERR_TEXT_MAX - 1);
	assert_string_equal(box.after, "intact");
}

static void prefix_comes_before_the_reason(void **state)
{
	struct err e;

	err_set(&e, -ENOENT, "no such file");
	assert_int_equal(err_prefix(&e, -ENOENT, "segment %u", 2u), -ENOENT);
	assert_int_equal(err_prefix(&e, -ENOENT, "kernel"), -ENOENT);
	assert_string_equal(e.text, "kernel: segment 2: no such file");
}

/* The end is what is lost, not the prefix, which names the object. */
static void prefix_of_a_full_text_cuts_its_end(void **state)
{
	struct err e;

	memset(e.text, 'x', sizeof(e.text) - 1);
	e.text[sizeof(e.text) - 1] = '\0';
	err_prefix(&e, -EINVAL, "initrd");
	assert_int_equal(strlen(e.text), ERR_TEXT_MAX - 1);
	assert_memory_equal(e.text, "initrd: xxx", 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_formats_and_returns_the_number),
		cmocka_unit_test(set_without_a_place_returns_the_number),
		cmocka_unit_test(text_that_does_not_fit_is_cut),
		cmocka_unit_test(prefix_comes_before_the_reason),
		cmocka_unit_test(prefix_of_a_full_text_cuts_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
