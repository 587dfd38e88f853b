/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of text: see text.h. Input from clients: all of it. */
#include "api/text.h"

#include <strings.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

struct text text_trim(struct text t)
{
	while (t.len && blank(t.at[0])) {
		t.at++;
		t.len--;
	}
	while (t.len && blank(t.at[t.len - 1]))
		t.len--;
	return t;
}

struct text text_cut(struct text t, size_t max)
{
	t.len = min_size(t.len, max);
	t.len = text_utf8_len(t);
	return t;
}

struct text text_split(struct text *rest, char by)
{
	const char *end = rest->len ? memchr(rest->at, by, rest->len) : NULL;
	struct text first = *rest;

	if (!end) {
		*rest = text(rest->at + rest->len, 0);
		return first;
	}
	first.len = (size_t)(end - rest->at);
	*rest = text(end + 1, rest->len - first.len - 1);
	return first;
}

bool text_is(struct text t, const char *s)
{
	return t.len == strlen(s) && memcmp(t.at, s, t.len) == 0;
}

bool text_is_nocase(struct text t, const char *s)
{
	return t.len == strlen(s) && strncasecmp(t.at, s, t.len) == 0;
}

bool text_starts(struct text t, const char *prefix)
{
	size_t len = strlen(prefix);

	return t.len >= len && memcmp(t.at, prefix, len) == 0;
}

/* The first byte of a character tells its length and what the second may be. */
struct lead {
	uint8_t first, last; /* leading bytes that this is about */
	uint8_t len;
	uint8_t low, high; /* the second byte; those after it are 0x80..0xbf */
};

static const struct lead leads[] = {
	{ 0x00, 0x7f, 1, 0, 0 },       { 0xc2, 0xdf, 2, 0x80, 0xbf },
	{ 0xe0, 0xe0, 3, 0xa0, 0xbf }, { 0xe1, 0xec, 3, 0x80, 0xbf },
	{ 0xed, 0xed, 3, 0x80, 0x9f }, { 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf }, { 0xf1, 0xf3, 4, 0x80, 0xbf },
	{ 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static const struct lead *find_lead(uint8_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(leads); i++)
		if (c >= leads[i].first && c <= leads[i].last)
			return &leads[i];
	return NULL;
}

/* Length of the character at the start of `t`, 0 when it is none. */
static size_t char_len(struct text t)
{
	const struct lead *lead = find_lead((uint8_t)t.at[0]);

	if (!lead || lead->len > t.len)
		return 0;
	for (size_t i = 1; i < lead->len; i++) {
		uint8_t c = (uint8_t)t.at[i];
		uint8_t low = i == 1 ? lead->low : 0x80;
		uint8_t high = i == 1 ? lead->high : 0xbf;

		if (c < low || c > high)
			return 0;
	}
	return lead->len;
}

size_t text_utf8_len(struct text t)
{
	size_t done = 0;

	while (done < t.len) {
		size_t n = char_len(text(t.at + done, t.len - done));

		if (n == 0)
			break;
		done += n;
	}
	return done;
}
