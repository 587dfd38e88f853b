/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables for people: a line of titles and a line a row, columns as wide as what is in them.
 * Where the line is shorter than that, columns are left out in the order that they name,
 * then lines are cut. Bytes that would do something to a terminal are shown as `?`.
 */
#ifndef API_CTL_TABLE_H
#define API_CTL_TABLE_H

#include <stdio.h>

#include "vmm/lib/bytes.h"

#define TABLE_COLUMNS_MAX 16

struct table_column {
	const char *title;
	bool right; /* numbers */
	unsigned leave; /* larger ones are left out first; 0: never */
};

struct table {
	const struct table_column *columns;
	unsigned n_columns;
	char **cells; /* of all rows; NULL: that one did not get memory */
	size_t n_cells, room;
	bool failed;
};

/* An empty table of 1 to TABLE_COLUMNS_MAX columns; `columns` is borrowed. */
void table_init(struct table *t, const struct table_column *columns, unsigned n_columns);
void table_free(struct table *t);

/* Fill the next cell, row by row from the left. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * Print it in lines of at most `width` characters (0: any), at most `rows` of them (0: all),
 * each ended by `end`. -ENOMEM when a cell could not be kept: nothing was printed.
 */
MUST_CHECK int table_print(const struct table *t, FILE *out, size_t width, size_t rows,
			   const char *end);

/* Replace bytes that are no printable character of UTF-8 by `?`. */
void table_tame(char *text);

/* ---- numbers as people read them, in at most 6 characters ---- */

#define UNITS_TEXT_MAX 24

/* 0, 999, 1.5K, 128M, 4.0G. Returns `text`. */
const char *units_bytes(char text[UNITS_TEXT_MAX], uint64_t bytes);

/* A span of time: 0s, 59s, 1m05s, 2h10m, 5d03h, 400d. Returns `text`. */
const char *units_span(char text[UNITS_TEXT_MAX], uint64_t ns);

/* Time of a processor: 0.00s, 59.99s, 1m05s and as above. Returns `text`. */
const char *units_cpu_time(char text[UNITS_TEXT_MAX], uint64_t ns);

#endif
