/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, lines and JSON: see out.h. */
#include "api/ctl/out.h"

#include "api/ctl/table.h"

#include <assert.h>
#include <stdarg.h>
#include <unistd.h>

void out_plain(char *to, size_t size, const char *text)
{
	(void)snprintf(to, size, "%s", text);
	table_tame(to);
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
	if (value && cJSON_IsString(value))
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

int out_lines(FILE *to, const cJSON *rows, const struct out_column *columns, size_t n,
	      size_t width, size_t lines)
{
	struct table_column titles[TABLE_COLUMNS_MAX];
	char text[OUT_CELL_MAX];
	struct table t;
	const cJSON *row;
	int rc;

	assert(n <= TABLE_COLUMNS_MAX);
	for (size_t i = 0; i < n; i++)
		titles[i] = (struct table_column){ columns[i].heading, columns[i].right,
						   columns[i].leave };
	table_init(&t, titles, (unsigned)n);
	cJSON_ArrayForEach(row, rows)
	{
		for (size_t i = 0; i < n; i++) {
			cell(&columns[i], row, text);
			table_cell(&t, "%s", text);
		}
	}
	rc = table_print(&t, to, width, lines, "\n");
	table_free(&t);
	return rc;
}

void out_table(const struct out *o, const cJSON *rows, const struct out_column *columns,
	       size_t n)
{
	if (o->json || out_lines(o->to, rows, columns, n, 0, 0) < 0)
		print_json(o, rows);
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

FILE *out_progress(const struct out *o)
{
	return !o->json && isatty(fileno(o->err)) ? o->err : NULL;
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
