/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of text that need no terminating NUL: what requests are taken apart into.
 * They borrow the bytes; nothing here allocates or writes.
 */
#ifndef API_TEXT_H
#define API_TEXT_H

#include "vmm/lib/bytes.h"

struct text {
	const char *at;
	size_t len;
};

/* For a printf format of "%.*s". */
#define TEXT_ARGS(t) (int)(t).len, (t).at

static inline struct text text(const char *at, size_t len)
{
	return (struct text){ at, len };
}

/* Without the blanks and tabs around it. */
struct text text_trim(struct text t);

/* At most `max` bytes of it, in whole UTF-8 characters: for echoing in errors. */
struct text text_cut(struct text t, size_t max);

/* The part of `rest` before the first `by`, which `rest` then starts after; the whole when absent. */
struct text text_split(struct text *rest, char by);

/* Equal to a string, byte for byte or with ASCII letters in either case. */
bool text_is(struct text t, const char *s);
bool text_is_nocase(struct text t, const char *s);

/* Whether it begins with a string. */
bool text_starts(struct text t, const char *prefix);

/*
 * How many bytes of it are UTF-8 (RFC 3629: no overlong forms, no surrogates) before
 * the first that are not, or before the end.
 */
size_t text_utf8_len(struct text t);

#endif
