/* SPDX-License-Identifier: Apache-2.0 */
/* Tables and numbers for people: see table.h. */
#include "api/ctl/table.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

/* Between columns. */
#define GAP 2

#define NS_PER_S UINT64_C(1000000000)
#define MINUTE UINT64_C(60)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* ---- characters ---- */

/* Whether a byte begins a character of UTF-8, which takes one place. */
static bool begins(char c)
{
	return ((unsigned char)c & 0xc0) != 0x80;
}

static size_t places(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += begins(*text);
	return n;
}

/*
 * The length of the well-formed, printable character of UTF-8 at `text`, or 0. C1 control
 * characters (U+0080 to U+009F) are as good as an escape to some terminals.
 */
static size_t printable(const char *text)
{
	const unsigned char *u = (const unsigned char *)text;
	size_t len = u[0] < 0x80 ? 1 :
		     u[0] < 0xc2 ? 0 :
		     u[0] < 0xe0 ? 2 :
		     u[0] < 0xf0 ? 3 :
		     u[0] < 0xf5 ? 4 :
				   0;

	if (len == 1)
		return u[0] >= ' ' && u[0] != 0x7f;
	for (size_t i = 1; i < len; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	if (len == 2 && u[0] == 0xc2 && u[1] < 0xa0)
		return 0;
	return len;
}

/* Afterwards each character begins with a byte that `begins`. */
void table_tame(char *text)
{
	while (*text) {
		size_t len = printable(text);

		if (len == 0)
			*text = '?';
		text += len ? len : 1;
	}
}

/* At most `width` characters. */
static void print_text(FILE *out, const char *text, size_t width)
{
	size_t len = 0;

	for (size_t n = 0; text[len]; len++) {
		n += begins(text[len]);
		if (n > width)
			break;
	}
	fwrite(text, 1, len, out);
}

/* ---- cells ---- */

void table_init(struct table *t, const struct table_column *columns, unsigned n_columns)
{
	assert(n_columns >= 1 && n_columns <= TABLE_COLUMNS_MAX);
	*t = (struct table){ .columns = columns, .n_columns = n_columns };
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){ 0 };
}

void table_cell(struct table *t, const char *fmt, ...)
{
	char *text = NULL;
	va_list args;

	if (t->n_cells == t->room) {
		size_t room = t->room ? t->room * 2 : 64;
		char **more = reallocarray(t->cells, room, sizeof(*more));

		if (!more) {
			t->failed = true;
			return;
		}
		t->cells = more;
		t->room = room;
	}
	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0) {
		text = NULL;
		t->failed = true;
	}
	va_end(args);
	if (text)
		table_tame(text);
	t->cells[t->n_cells++] = text;
}

/* ---- layout ---- */

struct layout {
	size_t width[TABLE_COLUMNS_MAX];
	bool shown[TABLE_COLUMNS_MAX];
};

static size_t line_width(const struct layout *l, unsigned n)
{
	size_t sum = 0;

	for (unsigned c = 0; c < n; c++)
		if (l->shown[c])
			sum += l->width[c] + (sum ? GAP : 0);
	return sum;
}

/* Leave out the columns of the largest number; false when none may be. */
static bool leave_some(const struct table *t, struct layout *l)
{
	unsigned largest = 0;

	for (unsigned c = 0; c < t->n_columns; c++)
		if (l->shown[c] && t->columns[c].leave > largest)
			largest = t->columns[c].leave;
	for (unsigned c = 0; c < t->n_columns; c++)
		if (largest && t->columns[c].leave == largest)
			l->shown[c] = false;
	return largest != 0;
}

static void lay_out(const struct table *t, struct layout *l, size_t width)
{
	assert(t->n_columns);
	*l = (struct layout){ 0 };
	for (unsigned c = 0; c < t->n_columns; c++) {
		l->shown[c] = true;
		l->width[c] = places(t->columns[c].title);
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t n = places(t->cells[i]);

		if (n > l->width[i % t->n_columns])
			l->width[i % t->n_columns] = n;
	}
	while (width && line_width(l, t->n_columns) > width && leave_some(t, l))
		;
}

static void pad(FILE *out, size_t n)
{
	while (n--)
		fputc(' ', out);
}

/* The last shown column, behind which no blanks are needed. */
static unsigned last_shown(const struct table *t, const struct layout *l)
{
	unsigned last = 0;

	for (unsigned c = 0; c < t->n_columns; c++)
		if (l->shown[c])
			last = c;
	return last;
}

/* One line; `cells` NULL: the titles. */
static void print_line(const struct table *t, const struct layout *l, char *const *cells,
		       FILE *out, size_t width)
{
	unsigned last = last_shown(t, l);
	size_t at = 0;

	for (unsigned c = 0; c < t->n_columns; c++) {
		const char *text = cells ? cells[c] : t->columns[c].title;
		size_t gap = at ? GAP : 0, blanks = l->width[c] - places(text);

		if (!l->shown[c])
			continue;
		if (t->columns[c].right)
			gap += blanks;
		if (width && at + gap >= width)
			return;
		pad(out, gap);
		print_text(out, text, width ? width - at - gap : SIZE_MAX);
		at += gap + places(text);
		if (!t->columns[c].right && c != last) {
			if (width && at + blanks > width)
				return;
			pad(out, blanks);
			at += blanks;
		}
	}
}

int table_print(const struct table *t, FILE *out, size_t width, size_t rows, const char *end)
{
	struct layout l;
	size_t n;

	if (t->failed)
		return -ENOMEM;
	lay_out(t, &l, width);
	n = t->n_cells / t->n_columns;
	print_line(t, &l, NULL, out, width);
	fputs(end, out);
	for (size_t row = 0; row < n && (rows == 0 || row < rows); row++) {
		print_line(t, &l, t->cells + row * t->n_columns, out, width);
		fputs(end, out);
	}
	return 0;
}

/* ---- numbers ---- */

const char *units_bytes(char text[UNITS_TEXT_MAX], uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	uint64_t tenths;
	unsigned u = 0;

	if (bytes < 1000) {
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64, bytes);
		return text;
	}
	/* The unit in which it is below 1000. */
	while (bytes >= 1000 * KIB) {
		bytes /= KIB;
		u++;
	}
	u++;
	tenths = bytes * 10 / KIB;
	if (tenths < 100)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10,
			 tenths % 10, units[u]);
	else
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "%c", tenths / 10, units[u]);
	return text;
}

const char *units_span(char text[UNITS_TEXT_MAX], uint64_t ns)
{
	uint64_t s = ns / NS_PER_S;

	if (s < MINUTE)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "s", s);
	else if (s < HOUR)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "m%02" PRIu64 "s", s / MINUTE,
			 s % MINUTE);
	else if (s < DAY)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "h%02" PRIu64 "m", s / HOUR,
			 s % HOUR / MINUTE);
	else if (s < 100 * DAY)
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "d%02" PRIu64 "h", s / DAY,
			 s % DAY / HOUR);
	else
		snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 "d", s / DAY);
	return text;
}

const char *units_cpu_time(char text[UNITS_TEXT_MAX], uint64_t ns)
{
	if (ns >= MINUTE * NS_PER_S)
		return units_span(text, ns);
	snprintf(text, UNITS_TEXT_MAX, "%" PRIu64 ".%02" PRIu64 "s", ns / NS_PER_S,
		 ns % NS_PER_S / (NS_PER_S / 100));
	return text;
}
