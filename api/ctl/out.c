/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, lines and JSON: see out.h. */
#include "api/ctl/out.h"

#include <stdarg.h>
#include <stdlib.h>

void out_plain(char *to, size_t size, const char *text)
{
	size_t i = 0;

	for (; text[i] && i + 1 < size; i++)
		to[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
	to[i] = '\0';
}

static void print_json(const struct out *o, const cJSON *value)
{
	char *text = cJSON_PrintUnformatted(value);

	fprintf(o->to, "%s\n", text ? text : "null");
	cJSON_free(text);
}

/* Strings as they are, everything else as JSON. */
static void show(const cJSON *value, char text[OUT_CELL_MAX])
{
	char *printed = NULL;

	if (value && !cJSON_IsNull(value) && !cJSON_IsString(value))
		printed = cJSON_PrintUnformatted(value);
	if (cJSON_IsString(value))
		out_plain(text, OUT_CELL_MAX, value->valuestring);
	else
		out_plain(text, OUT_CELL_MAX, printed ? printed : "-");
	cJSON_free(printed);
}

static void cell(const struct out_column *c, const cJSON *row, char text[OUT_CELL_MAX])
{
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, c->key);

	if (c->format)
		c->format(value, text);
	else
		show(value, text);
}

/* Columns of a terminal that a UTF-8 text takes, if each character takes one. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static size_t widest(const struct out_column *c, const cJSON *rows)
{
	size_t max = width(c->heading);
	char text[OUT_CELL_MAX];
	const cJSON *row;

	cJSON_ArrayForEach(row, rows)
	{
		cell(c, row, text);
		if (width(text) > max)
			max = width(text);
	}
	return max;
}

/* The last column is not padded: no line ends in blanks. */
static void print_cell(const struct out *o, const struct out_column *c, const char *text,
		       size_t wide, bool last)
{
	int pad = (int)(wide - width(text));

	fprintf(o->to, "%*s%s%*s%s", c->right ? pad : 0, "", text, c->right || last ? 0 : pad,
		"", last ? "\n" : "  ");
}

void out_table(const struct out *o, const cJSON *rows, const struct out_column *columns,
	       size_t n)
{
	size_t *wide = o->json ? NULL : calloc(n, sizeof(*wide));
	char text[OUT_CELL_MAX];
	const cJSON *row;

	if (!wide) {
		print_json(o, rows);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		wide[i] = widest(&columns[i], rows);
		print_cell(o, &columns[i], columns[i].heading, wide[i], i + 1 == n);
	}
	cJSON_ArrayForEach(row, rows)
	{
		for (size_t i = 0; i < n; i++) {
			cell(&columns[i], row, text);
			print_cell(o, &columns[i], text, wide[i], i + 1 == n);
		}
	}
	free(wide);
}

void out_value(const struct out *o, const cJSON *value)
{
	char text[OUT_CELL_MAX];
	const cJSON *item;

	if (o->json || !cJSON_IsObject(value)) {
		print_json(o, value);
		return;
	}
	cJSON_ArrayForEach(item, value)
	{
		show(item, text);
		fprintf(o->to, "%s: %s\n", item->string, text);
	}
}

void out_say(const struct out *o, const char *fmt, ...)
{
	va_list args;

	if (o->json)
		return;
	va_start(args, fmt);
	vfprintf(o->err, fmt, args);
	va_end(args);
	fputc('\n', o->err);
}

int out_error(const struct out *o, int status, const char *fmt, ...)
{
	char text[2048], *json;
	cJSON *object = NULL;
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (o->json)
		object = cJSON_CreateObject();
	if (object && cJSON_AddStringToObject(object, "error", text) &&
	    (json = cJSON_PrintUnformatted(object))) {
		fprintf(o->err, "%s\n", json);
		cJSON_free(json);
	} else {
		fprintf(o->err, "xenolithctl: %s\n", text);
	}
	cJSON_Delete(object);
	return status;
}
