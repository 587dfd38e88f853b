/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's command line; words as Linux's lib/cmdline.c next_arg() cuts them.
 *
 * Input from a client: the boot arguments.
 */
#include "boot/cmdline.h"

#include <errno.h>
#include <stdio.h>

_Static_assert(CMDLINE_LEN_MAX < LAYOUT_CMDLINE_MAX, "command line has no room");

/* What is added, and the word that says that the client wants it otherwise. */
static const struct {
	const char *key, *arg;
} our_args[] = {
	/* There is no PCI bus: do not look for one. */
	{ "pci", "pci=off" },
};

/*
 * What clients write for Firecracker's machine and would leave this one without interrupts:
 * the IOAPIC is the only controller. It is among the defaults of firectl.
 */
#define HARMFUL_ARG "noapic"

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

/*
 * The first word at or after `s`; its length is 0 behind the last one, and at a "--", which
 * hands the rest to init.
 */
static const char *next_word(const char *s, size_t *len)
{
	s += strspn(s, " ");
	*len = word_length(s);
	if (*len == 2 && memcmp(s, "--", 2) == 0)
		*len = 0;
	return s;
}

/* The first of the words for the kernel that is `key` or starts with `key=`; or NULL. */
static const char *find_key(const char *args, const char *key)
{
	const size_t key_len = strlen(key);
	size_t len;

	for (;; args += len) {
		args = next_word(args, &len);
		if (len == 0)
			return NULL;
		if (len < key_len || memcmp(args, key, key_len) != 0)
			continue;
		if (len == key_len || args[key_len] == '=')
			return args;
	}
}

static bool has_key(const char *args, const char *key)
{
	return find_key(args, key) != NULL;
}

/* Take the word out, and the blanks behind it, however often it is there. */
static void drop_harmful(struct cmdline *c)
{
	for (;;) {
		const char *word = find_key(c->text, HARMFUL_ARG);
		size_t at, len;

		if (word == NULL)
			return;
		at = (size_t)(word - c->text);
		len = word_length(word);
		len += strspn(word + len, " ");
		memmove(c->text + at, word + len, strlen(word + len) + 1);
	}
}

/* How much of the arguments is for the kernel, without blanks at its end. */
static size_t kernel_part(const char *args)
{
	const char *word = args;
	size_t end, len;

	do {
		end = (size_t)(word - args);
		word = next_word(word, &len);
		word += len;
	} while (len > 0);
	return end;
}

/* A double quote that is not closed makes all that follows part of its word. */
static bool quotes_match(const char *args, size_t len)
{
	bool quoted = false;

	for (size_t i = 0; i < len; i++)
		if (args[i] == '"')
			quoted = !quoted;
	return !quoted;
}

/* Put where the root file system is behind what is for the kernel. */
static int add_root(struct cmdline *c, const struct drive_config *root, struct err *e)
{
	char words[32 + CONFIG_PARTUUID_MAX];
	char *args = c->text;
	size_t head = kernel_part(args);
	size_t tail = strlen(args + head);
	size_t len;

	snprintf(words, sizeof(words), "%sroot=%s%s %s%s", head > 0 ? " " : "",
		 root->has_partuuid ? "PARTUUID=" : "/dev/vda", root->partuuid,
		 root->is_read_only ? "ro" : "rw", tail > 0 && args[head] != ' ' ? " " : "");
	len = strlen(words);
	if (!quotes_match(args, head))
		return err_set(e, -EINVAL,
			       "boot_args: a quote is not closed, and root= comes behind it");
	if (head + len + tail > CMDLINE_LEN_MAX)
		return err_set(e, -EINVAL, "boot_args: %zu bytes, more than %zu, with%s",
			       head + tail, CMDLINE_LEN_MAX - len, words);
	memmove(args + head + len, args + head, tail + 1);
	memcpy(args + head, words, len);
	return 0;
}

/* Put what is ours before everything. */
static void add_ours(struct cmdline *c)
{
	char ours[CMDLINE_LEN_MAX + 1];
	size_t at = 0, args_len = strlen(c->text);

	for (size_t i = 0; i < ARRAY_SIZE(our_args); i++) {
		size_t len = strlen(our_args[i].arg);

		if (has_key(c->text, our_args[i].key) ||
		    at + len + 1 + args_len > CMDLINE_LEN_MAX)
			continue;
		memcpy(ours + at, our_args[i].arg, len);
		at += len;
		ours[at++] = ' ';
	}
	if (args_len == 0 && at > 0)
		at--;
	memmove(c->text + at, c->text, args_len + 1);
	memcpy(c->text, ours, at);
}

int cmdline_build(struct cmdline *out, const char *boot_args, bool ours,
		  const struct drive_config *root, struct err *e)
{
	const char *args = boot_args != NULL ? boot_args : CMDLINE_DEFAULT;
	struct cmdline c;
	int rc;

	rc = check_args(args, e);
	if (rc != 0)
		return rc;
	memcpy(c.text, args, strlen(args) + 1);
	if (ours)
		drop_harmful(&c);
	if (root != NULL && !has_key(args, "root"))
		rc = add_root(&c, root, e);
	if (rc != 0)
		return rc;
	if (ours)
		add_ours(&c);
	*out = c;
	return 0;
}
