/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command prints. It makes JSON of what it knows; with --json that is printed, and
 * without it the same as a table or as lines for people. So both always agree.
 */
#ifndef API_CTL_OUT_H
#define API_CTL_OUT_H

#include "vmm/lib/bytes.h"

#include <cjson/cJSON.h>
#include <stdio.h>

struct out {
	FILE *to, *err;
	bool json;
};

#define OUT_CELL_MAX 256

/* A column of a table: what becomes of one member of each object. */
struct out_column {
	const char *key; /* of the object */
	const char *heading;
	bool right; /* aligned; for numbers */
	/* How to show the value (NULL when it is missing); NULL: as it is, "-" when missing. */
	void (*format)(const cJSON *value, char text[OUT_CELL_MAX]);
	unsigned leave; /* where lines are too long: larger ones first; 0: never */
};

/*
 * Print an array of objects: as JSON all of it, as a table the `n` columns. Text of
 * others (ids, paths) is shown without control characters.
 */
void out_table(const struct out *o, const cJSON *rows, const struct out_column *columns,
	       size_t n);

/*
 * The same table in lines of at most `width` characters (0: any) and at most `lines` rows (0:
 * all). 0 or -ENOMEM.
 */
MUST_CHECK int out_lines(FILE *to, const cJSON *rows, const struct out_column *columns,
			 size_t n, size_t width, size_t lines);

/* Print one value: as one line of JSON, or for people as `key: value` lines. */
void out_value(const struct out *o, const cJSON *value);

/* Say that something was done, or is being done; nothing with --json. */
void out_say(const struct out *o, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Where to tell of progress: standard error if that is a terminal, and there is no --json. */
FILE *out_progress(const struct out *o);

/*
 * Say on standard error why a command fails, as `{"error": "..."}` with --json; returns
 * `status`, so that a failing command reads `return out_error(&ctl->out, CTL_FAILED, ...)`.
 */
int out_error(const struct out *o, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A copy of `text` in which what a terminal would act on is replaced by '?'. */
void out_plain(char *to, size_t size, const char *text);

#endif
