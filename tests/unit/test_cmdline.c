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
	{ "noapic_is_dropped", "a noapic b", true, "pci=off a b", NULL },
	{ "noapic_alone", "noapic", true, "pci=off", NULL },
	{ "noapic_at_the_ends", "noapic  pci=off  noapic", true, "pci=off  ", NULL },
	{ "noapic_stays_without_ours", "noapic a", false, "noapic a", NULL },
	{ "noapic_of_init_stays", "a -- noapic", true, "pci=off a -- noapic", NULL },
	{ "noapictimer_is_another", "noapictimer xnoapic", true, "pci=off noapictimer xnoapic",
	  NULL },
	{ "noapic_within_quotes_stays", "a=\"b noapic\"", true, "pci=off a=\"b noapic\"",
	  NULL },
	{ "ends_of_printable_ascii", " ~", false, " ~", NULL },
	{ "refuses_newline", "a\nb", true, NULL,
	  "boot_args: byte 1 (0x0a) is not printable ASCII" },
	{ "refuses_tab", "\t", true, NULL, "boot_args: byte 0 (0x09) is not printable ASCII" },
	{ "refuses_delete", "a\x7f", true, NULL,
	  "boot_args: byte 1 (0x7f) is not printable ASCII" },
	{ "refuses_non_ascii", "\xc3\xa4", false, NULL,
	  "boot_args: byte 0 (0xc3) is not printable ASCII" },
};

static void build(const struct row *r, const struct drive_config *root)
{
	struct cmdline out = { "untouched" };
	struct err e;

	if (r->text == NULL) {
		assert_int_equal(cmdline_build(&out, r->args, r->ours, root, &e), -EINVAL);
		assert_string_equal(e.text, r->reason);
		assert_string_equal(out.text, "untouched");
		return;
	}
	assert_int_equal(cmdline_build(&out, r->args, r->ours, root, &e), 0);
	assert_string_equal(out.text, r->text);
}

static void builds(void **state)
{
	build(*state, NULL);
}

static const struct drive_config rw = { .is_root_device = true };
static const struct drive_config ro = { .is_root_device = true, .is_read_only = true };
static const struct drive_config part = { .is_root_device = true,
					  .has_partuuid = true,
					  .partuuid = "0eaa91a0-01" };

/* With a root drive. */
static struct root_row {
	struct row row;
	const struct drive_config *root;
} root_rows[] = {
	{ { "root_comes_last", "a b", false, "a b root=/dev/vda rw", NULL }, &rw },
	{ { "root_with_defaults", NULL, false, CMDLINE_DEFAULT " root=/dev/vda ro", NULL },
	  &ro },
	{ { "root_alone", "", false, "root=/dev/vda rw", NULL }, &rw },
	{ { "root_and_ours", "", true, "pci=off root=/dev/vda rw", NULL }, &rw },
	{ { "root_behind_what_is_left", "noapic ro", true, "pci=off ro root=/dev/vda rw",
	    NULL },
	  &rw },
	{ { "root_by_partition", "a", true, "pci=off a root=PARTUUID=0eaa91a0-01 rw", NULL },
	  &part },
	{ { "root_before_dashes", "a -- b", false, "a root=/dev/vda ro -- b", NULL }, &ro },
	{ { "root_before_first_dashes", "-- b -- c", true, "pci=off root=/dev/vda rw -- b -- c",
	    NULL },
	  &rw },
	{ { "root_before_dashes_alone", "--", false, "root=/dev/vda rw --", NULL }, &rw },
	{ { "root_before_blanks", " a  ", false, " a root=/dev/vda rw  ", NULL }, &rw },
	{ { "root_behind_quoted_dashes", "a=\"b -- c\" d", false,
	    "a=\"b -- c\" d root=/dev/vda rw", NULL },
	  &rw },
	{ { "clients_root_stays", "root=/dev/vda2 ro", false, "root=/dev/vda2 ro", NULL },
	  &rw },
	{ { "clients_root_stays_with_ours", "root=LABEL=x", true, "pci=off root=LABEL=x",
	    NULL },
	  &part },
	{ { "root_of_init_is_not_the_kernels", "-- root=x", false, "root=/dev/vda rw -- root=x",
	    NULL },
	  &rw },
	{ { "rootwait_is_not_root", "rootwait ro", false, "rootwait ro root=/dev/vda rw",
	    NULL },
	  &rw },
	{ { "refuses_root_within_quotes", "a=\"b", false, NULL,
	    "boot_args: a quote is not closed, and root= comes behind it" },
	  &rw },
	{ { "open_quote_behind_dashes", "a -- \"b", false, "a root=/dev/vda rw -- \"b", NULL },
	  &rw },
};

static void builds_with_root(void **state)
{
	const struct root_row *r = *state;

	build(&r->row, r->root);
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

	assert_int_equal(cmdline_build(&out, long_args(args, 2048), true, NULL, &e), -EINVAL);
	assert_string_equal(e.text, "boot_args: 2048 bytes, more than 2047");
	assert_int_equal(cmdline_build(&out, long_args(args, 2047), true, NULL, &e), 0);
	assert_string_equal(out.text, args);
}

static void leaves_out_what_does_not_fit(void **state)
{
	char args[CMDLINE_LEN_MAX + 1];
	struct cmdline out;
	struct err e;

	assert_int_equal(cmdline_build(&out, long_args(args, 2047 - 7), true, NULL, &e), 0);
	assert_string_equal(out.text, args);
	assert_int_equal(cmdline_build(&out, long_args(args, 2047 - 8), true, NULL, &e), 0);
	assert_int_equal(strlen(out.text), 2047);
	assert_memory_equal(out.text, "pci=off a", 9);
}

static void root_must_fit(void **state)
{
	const size_t len = strlen(" root=/dev/vda rw");
	char args[CMDLINE_LEN_MAX + 1];
	struct cmdline out = { "untouched" };
	struct err e;

	assert_int_equal(cmdline_build(&out, long_args(args, 2047 - len + 1), true, &rw, &e),
			 -EINVAL);
	assert_string_equal(e.text,
			    "boot_args: 2031 bytes, more than 2030, with root=/dev/vda rw");
	assert_string_equal(out.text, "untouched");
	/* It is more important than ours. */
	assert_int_equal(cmdline_build(&out, long_args(args, 2047 - len), true, &rw, &e), 0);
	assert_int_equal(strlen(out.text), 2047);
	assert_string_equal(out.text + 2047 - len, " root=/dev/vda rw");
	assert_int_equal(cmdline_build(&out, long_args(args, 2047 - len - 8), true, &rw, &e),
			 0);
	assert_int_equal(strlen(out.text), 2047);
	assert_memory_equal(out.text, "pci=off a", 9);
}

static void the_longest_partuuid_fits(void **state)
{
	struct drive_config d = part;
	struct cmdline out;
	struct err e;

	memset(d.partuuid, 'f', CONFIG_PARTUUID_MAX);
	assert_int_equal(cmdline_build(&out, "a -- b", false, &d, &e), 0);
	assert_int_equal(strlen(out.text),
			 strlen("a root=PARTUUID= rw -- b") + CONFIG_PARTUUID_MAX);
	assert_string_equal(out.text + strlen(out.text) - 9, "f rw -- b");
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(refuses_more_than_linux_reads),
		cmocka_unit_test(leaves_out_what_does_not_fit),
		cmocka_unit_test(root_must_fit),
		cmocka_unit_test(the_longest_partuuid_fits),
	};
	struct CMUnitTest
		tests[ARRAY_SIZE(rows) + ARRAY_SIZE(root_rows) + ARRAY_SIZE(others)] = { 0 };
	struct CMUnitTest *t = tests;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		*t++ = (struct CMUnitTest){ rows[i].name, builds, NULL, NULL, &rows[i] };
	for (size_t i = 0; i < ARRAY_SIZE(root_rows); i++)
		*t++ = (struct CMUnitTest){ root_rows[i].row.name, builds_with_root, NULL, NULL,
					    &root_rows[i] };
	memcpy(t, others, sizeof(others));
	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
