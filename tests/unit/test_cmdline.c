/* SPDX-License-Identifier: Apache-2.0 */
/* boot/cmdline: the client's arguments, and what is added to them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "boot/cmdline.h"

struct row {
	const char *name;
	const char *args;
	bool ours;
	const char *text; /* NULL: refused */
	const char *reason;
};

static struct row rows[] = {
	{ "default_is_firecrackers", NULL, false, CMDLINE_DEFAULT, NULL },
	{ "default_with_ours", NULL, true, "pci=off " CMDLINE_DEFAULT, NULL },
	{ "empty_stays_empty", "", false, "", NULL },
	{ "empty_with_ours", "", true, "pci=off", NULL },
	{ "clients_alone", "quiet root=/dev/vda", false, "quiet root=/dev/vda", NULL },
	{ "ours_come_first", "quiet -- -s", true, "pci=off quiet -- -s", NULL },
	{ "clients_choice_stays", "pci=nomsi", true, "pci=nomsi", NULL },
	{ "clients_choice_after_others", "a  b=c pci=on d", true, "a  b=c pci=on d", NULL },
	{ "choice_without_value", "quiet pci", true, "quiet pci", NULL },
	{ "longer_key_is_another", "pcie_aspm=off", true, "pci=off pcie_aspm=off", NULL },
	{ "key_behind_dashes_is_for_init", "a -- pci=on", true, "pci=off a -- pci=on", NULL },
	{ "key_behind_other_dashes_counts", "--- -a pci=on", true, "--- -a pci=on", NULL },
	{ "key_within_quotes_is_no_key", "a=\"b pci=on\"", true, "pci=off a=\"b pci=on\"",
	  NULL },
	{ "key_after_quotes_counts", "a=\"b c\" pci=on", true, "a=\"b c\" pci=on", NULL },
	{ "shorter_word_is_no_key", "pc", true, "pci=off pc", NULL },
	{ "other_keys_of_same_length", "abc bcd=1", true, "pci=off abc bcd=1", NULL },
	{ "ends_of_printable_ascii", " ~", false, " ~", NULL },
	{ "refuses_newline", "a\nb", true, NULL,
	  "boot_args: byte 1 (0x0a) is not printable ASCII" },
	{ "refuses_tab", "\t", true, NULL, "boot_args: byte 0 (0x09) is not printable ASCII" },
	{ "refuses_delete", "a\x7f", true, NULL,
	  "boot_args: byte 1 (0x7f) is not printable ASCII" },
	{ "refuses_non_ascii", "\xc3\xa4", false, NULL,
	  "boot_args: byte 0 (0xc3) is not printable ASCII" },
};

static void builds(void **state)
{
	const struct row *r = *state;
	struct cmdline out = { "untouched" };
	struct err e;

	if (r->text == NULL) {
		assert_int_equal(cmdline_build(&out, r->args, r->ours, &e), -EINVAL);
		assert_string_equal(e.text, r->reason);
		assert_string_equal(out.text, "untouched");
		return;
	}
	assert_int_equal(cmdline_build(&out, r->args, r->ours, &e), 0);
	assert_string_equal(out.text, r->text);
}

/* A command line of `len` bytes. */
static const char *long_args(char *buf, size_t len)
{
	memset(buf, 'a', len);
	buf[len] = '\0';
	return buf;
}

static void refuses_more_than_linux_reads(void **state)
{
	char args[CMDLINE_LEN_MAX + 2];
	struct cmdline out;
	struct err e;

	assert_int_equal(cmdline_build(&out, long_args(args, 2048), true, &e), -EINVAL);
	assert_string_equal(e.text, "boot_args: 2048 bytes, more than 2047");
	assert_int_equal(cmdline_build(&out, long_args(args, 2047), true, &e), 0);
	assert_string_equal(out.text, args);
}

static void leaves_out_what_does_not_fit(void **state)
{
	char args[CMDLINE_LEN_MAX + 1];
	struct cmdline out;
	struct err e;

	assert_int_equal(cmdline_build(&out, long_args(args, 2047 - 7), true, &e), 0);
	assert_string_equal(out.text, args);
	assert_int_equal(cmdline_build(&out, long_args(args, 2047 - 8), true, &e), 0);
	assert_int_equal(strlen(out.text), 2047);
	assert_memory_equal(out.text, "pci=off a", 9);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(refuses_more_than_linux_reads),
		cmocka_unit_test(leaves_out_what_does_not_fit),
	};
	struct CMUnitTest tests[ARRAY_SIZE(rows) + ARRAY_SIZE(others)] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, builds, NULL, NULL, &rows[i] };
	memcpy(tests + ARRAY_SIZE(rows), others, sizeof(others));
	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
