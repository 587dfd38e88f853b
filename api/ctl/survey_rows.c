/* SPDX-License-Identifier: Apache-2.0 */
/* A survey as JSON, and its values as people read them: see survey_rows.h. */
#include "api/ctl/survey_rows.h"

#include <stdlib.h>

#include "api/ctl/table.h"

#define NS_PER_S UINT64_C(1000000000)

/* ---- rows ---- */

static const char *state_of(const struct survey_vm *vm)
{
	if (!vm->instance.alive)
		return "Dead";
	if (!*vm->instance.api)
		return "No API";
	return *vm->state ? vm->state : "No answer";
}

/* The same process in an earlier survey. */
static const struct survey_vm *earlier(const struct survey *before, const struct survey_vm *vm)
{
	for (size_t i = 0; before && i < before->n; i++) {
		const struct survey_vm *b = &before->vms[i];

		if (strcmp(b->instance.name, vm->instance.name) == 0 && b->has_family &&
		    b->family.start_ns == vm->family.start_ns)
			return b;
	}
	return NULL;
}

/* `n` a second; a counter that went back (a process that ended) counts as still. */
static void add_rate(cJSON *row, const char *key, uint64_t now, uint64_t then, double seconds)
{
	cJSON_AddNumberToObject(row, key, now > then ? (double)(now - then) / seconds : 0);
}

static void add_rates(cJSON *row, const struct survey_vm *now, const struct survey_vm *then,
		      double seconds)
{
	const struct procfamily *f = &now->family, *g = &then->family;

	add_rate(row, "cpu_percent", f->cpu_ns, g->cpu_ns, seconds * (double)NS_PER_S / 100);
	if (f->has_io && g->has_io) {
		add_rate(row, "disk_read_bytes_per_s", f->read_bytes, g->read_bytes, seconds);
		add_rate(row, "disk_write_bytes_per_s", f->write_bytes, g->write_bytes,
			 seconds);
	}
	if (now->has_net && then->has_net) {
		add_rate(row, "net_in_bytes_per_s", now->net_in_bytes, then->net_in_bytes,
			 seconds);
		add_rate(row, "net_out_bytes_per_s", now->net_out_bytes, then->net_out_bytes,
			 seconds);
	}
}

static void add_family(cJSON *row, const struct survey *s, const struct survey_vm *vm)
{
	const struct procfamily *f = &vm->family;
	uint64_t age_ns = s->at_ns > f->start_ns ? s->at_ns - f->start_ns : 0;

	cJSON_AddNumberToObject(row, "age_s", (double)age_ns / (double)NS_PER_S);
	cJSON_AddNumberToObject(row, "cpu_s", (double)f->cpu_ns / (double)NS_PER_S);
	cJSON_AddNumberToObject(row, "processes", f->processes);
	cJSON_AddNumberToObject(row, "rss_bytes", (double)f->rss_bytes);
	if (f->has_pss)
		cJSON_AddNumberToObject(row, "pss_bytes", (double)f->pss_bytes);
}

static cJSON *make_row(const struct survey *s, const struct survey_vm *vm,
		       const struct survey *before)
{
	const struct survey_vm *then = vm->has_family ? earlier(before, vm) : NULL;
	cJSON *row = cJSON_CreateObject();

	if (!row)
		return NULL;
	cJSON_AddStringToObject(row, "name", vm->instance.name);
	cJSON_AddStringToObject(row, "id", vm->instance.id);
	cJSON_AddStringToObject(row, "state", state_of(vm));
	if (*vm->silence.text)
		cJSON_AddStringToObject(row, "error", vm->silence.text);
	if (*vm->state) {
		cJSON_AddNumberToObject(row, "vcpus", (double)vm->vcpus);
		cJSON_AddNumberToObject(row, "memory_mib", (double)vm->memory_mib);
	}
	if (vm->has_family)
		add_family(row, s, vm);
	if (then && s->at_ns > before->at_ns)
		add_rates(row, vm, then, (double)(s->at_ns - before->at_ns) / (double)NS_PER_S);
	if (vm->instance.pid > 0)
		cJSON_AddNumberToObject(row, "pid", vm->instance.pid);
	if (*vm->instance.api)
		cJSON_AddStringToObject(row, "api", vm->instance.api);
	return row;
}

static int by_cpu(const void *a, const void *b)
{
	const cJSON *x = *(const cJSON *const *)a, *y = *(const cJSON *const *)b;
	const cJSON *p = cJSON_GetObjectItemCaseSensitive(x, "cpu_percent");
	const cJSON *q = cJSON_GetObjectItemCaseSensitive(y, "cpu_percent");
	/* Those that are not known come last. */
	double m = p ? p->valuedouble : -1, n = q ? q->valuedouble : -1;

	if (m < n || m > n)
		return m < n ? 1 : -1;
	return strcmp(cJSON_GetObjectItemCaseSensitive(x, "name")->valuestring,
		      cJSON_GetObjectItemCaseSensitive(y, "name")->valuestring);
}

static int make_rows(cJSON **rows, const struct survey *s, const struct survey *before)
{
	for (size_t i = 0; i < s->n; i++) {
		rows[i] = make_row(s, &s->vms[i], before);
		if (!rows[i])
			return -1;
	}
	if (before && s->n)
		qsort(rows, s->n, sizeof(cJSON *), by_cpu);
	return 0;
}

cJSON *survey_rows(const struct survey *s, const struct survey *before)
{
	cJSON **rows = calloc(s->n + 1, sizeof(cJSON *)), *list = cJSON_CreateArray();
	bool good = rows && list && make_rows(rows, s, before) == 0;

	for (size_t i = 0; rows && rows[i]; i++)
		if (good)
			cJSON_AddItemToArray(list, rows[i]);
		else
			cJSON_Delete(rows[i]);
	free(rows);
	if (good)
		return list;
	cJSON_Delete(list);
	return NULL;
}

/* ---- values ---- */

/* "-" when there is no number, else what `units` makes of it. */
static void show(const cJSON *value, double scale, char text[OUT_CELL_MAX],
		 const char *(*units)(char text[UNITS_TEXT_MAX], uint64_t n))
{
	char number[UNITS_TEXT_MAX];
	double n = cJSON_IsNumber(value) ? value->valuedouble * scale : -1;

	(void)snprintf(text, OUT_CELL_MAX, "%s",
		       n < 0			    ? "-" :
		       n < (double)(UINT64_MAX / 2) ? units(number, (uint64_t)n) :
						      "?");
}

void column_bytes(const cJSON *value, char text[OUT_CELL_MAX])
{
	show(value, 1, text, units_bytes);
}

void column_mib(const cJSON *value, char text[OUT_CELL_MAX])
{
	show(value, (double)MIB, text, units_bytes);
}

void column_span(const cJSON *value, char text[OUT_CELL_MAX])
{
	show(value, (double)NS_PER_S, text, units_span);
}

void column_cpu_time(const cJSON *value, char text[OUT_CELL_MAX])
{
	show(value, (double)NS_PER_S, text, units_cpu_time);
}

void column_percent(const cJSON *value, char text[OUT_CELL_MAX])
{
	if (cJSON_IsNumber(value))
		(void)snprintf(text, OUT_CELL_MAX, "%.1f", value->valuedouble);
	else
		(void)snprintf(text, OUT_CELL_MAX, "-");
}
