/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's command line; words as Linux's lib/cmdline.c next_arg() cuts them.
 *
 * Input from a client: the boot arguments.
 */
#include "boot/cmdline.h"

#include <errno.h>

_Static_assert(CMDLINE_LEN_MAX < LAYOUT_CMDLINE_MAX, "command line has no room");

/* What is added, and the word that says that the client wants it otherwise. */
static const struct {
	const char *key, *arg;
} our_args[] = {
	/* There is no PCI bus: do not look for one. */
	{ "pci", "pci=off" },
};

static int check_args(const char *args, struct err *e)
{
	const size_t len = strlen(args);

	if (len > CMDLINE_LEN_MAX)
		return err_set(e, -EINVAL, "boot_args: %zu bytes, more than %u", len,
			       CMDLINE_LEN_MAX);
	for (size_t i = 0; i < len; i++)
		if (args[i] < ' ' || args[i] > '~')
			return err_set(e, -EINVAL,
				       "boot_args: byte %zu (%#04x) is not printable ASCII", i,
				       (unsigned char)args[i]);
	return 0;
}

/* The length of the word at `s`; a double quote makes spaces part of it. */
static size_t word_length(const char *s)
{
	bool quoted = false;
	size_t n;

	for (n = 0; s[n] != '\0' && (quoted || s[n] != ' '); n++)
		if (s[n] == '"')
			quoted = !quoted;
	return n;
}

/* Whether one of the words before "--" is `key` or starts with `key=`. */
static bool has_key(const char *args, const char *key)
{
	const size_t key_len = strlen(key);
	size_t len;

	for (;; args += len) {
		args += strspn(args, " ");
		len = word_length(args);
		if (len == 0 || (len == 2 && memcmp(args, "--", 2) == 0))
			return false;
		if (len < key_len || memcmp(args, key, key_len) != 0)
			continue;
		if (len == key_len || args[key_len] == '=')
			return true;
	}
}

int cmdline_build(struct cmdline *out, const char *boot_args, bool ours, struct err *e)
{
	const char *args = boot_args != NULL ? boot_args : CMDLINE_DEFAULT;
	const size_t args_len = strlen(args);
	size_t at = 0, len;
	int rc;

	rc = check_args(args, e);
	if (rc != 0)
		return rc;
	for (size_t i = 0; ours && i < ARRAY_SIZE(our_args); i++) {
		len = strlen(our_args[i].arg);
		if (has_key(args, our_args[i].key) || at + len + 1 + args_len > CMDLINE_LEN_MAX)
			continue;
		memcpy(out->text + at, our_args[i].arg, len);
		at += len;
		out->text[at++] = ' ';
	}
	if (args_len == 0 && at > 0)
		at--;
	memcpy(out->text + at, args, args_len + 1);
	return 0;
}
