/* SPDX-License-Identifier: Apache-2.0 */
/* Log, metrics and serial port to actions: see json_outputs.h. Input from clients: all of it. */
#include "api/json_outputs.h"

#include "api/json_devices.h"
#include "api/json_scan.h"

#include <errno.h>
#include <stdlib.h>

#define TOO_LONG "File name too long (os error 36)"

/* ---- /logger ---- */

enum { LOG_PATH, LEVEL, SHOW_LEVEL, SHOW_LOG_ORIGIN, MODULE, LOGGER_FIELDS };

static const char *const levels[] = { "Off",   "Error", "Warn",	   "Info",
				      "Debug", "Trace", "Warning", NULL };

static const struct field logger_fields[] = {
	[LOG_PATH] = { "log_path", FIELD_STRING, .nullable = true },
	[LEVEL] = { "level", FIELD_VARIANT, .nullable = true, .any_case = true,
		    .variants = levels },
	[SHOW_LEVEL] = { "show_level", FIELD_BOOL, .nullable = true },
	[SHOW_LOG_ORIGIN] = { "show_log_origin", FIELD_BOOL, .nullable = true },
	[MODULE] = { "module", FIELD_STRING, .nullable = true },
	{ 0 },
};

int json_logger(const struct json_object *o, struct action *out, struct err *e)
{
	struct logger_config *l = &out->u.logger;
	struct value v[LOGGER_FIELDS];
	int rc = json_bind(o, "struct LoggerConfig", logger_fields, v, e);

	if (rc < 0)
		return rc;
	out->kind = ACTION_PUT_LOGGER;
	l->has_path = v[LOG_PATH].given;
	l->has_level = v[LEVEL].given;
	l->has_show_level = v[SHOW_LEVEL].given;
	l->has_show_origin = v[SHOW_LOG_ORIGIN].given;
	l->has_module = v[MODULE].given;
	l->show_level = l->has_show_level && v[SHOW_LEVEL].u.flag;
	l->show_origin = l->has_show_origin && v[SHOW_LOG_ORIGIN].u.flag;
	if (l->has_level && log_level_parse(levels[v[LEVEL].u.variant], &l->level) < 0)
		return err_set(e, -EDOM, "Logger error: level"); /* cannot be */
	if (!json_copy_string(l->module, sizeof(l->module), &v[MODULE]))
		return err_set(e, -EDOM, "Logger error: module is longer than %d bytes.",
			       LOG_NAME_MAX);
	if (!json_copy_string(l->path, sizeof(l->path), &v[LOG_PATH]))
		return err_set(e, -EDOM, "Logger error: Failed to open target file: " TOO_LONG);
	return 0;
}

/* ---- /metrics ---- */

enum { METRICS_PATH, EMIT_ID, PROPERTIES, METRICS_FIELDS };

static const struct field metrics_fields[] = {
	[METRICS_PATH] = { "metrics_path", FIELD_STRING, .required = true },
	[EMIT_ID] = { "emit_id", FIELD_BOOL, .required = false },
	[PROPERTIES] = { "properties", FIELD_OBJECT, .nullable = true },
	{ 0 },
};

#define METRICS_FAULT \
	"Metrics error: Cannot initialize the metrics system due to bad user input: "

static int check_properties(const struct json_object *o, struct err *e)
{
	unsigned n = 0;

	if (!cJSON_IsObject(o->tree))
		return json_scan_error(e, o->doc->text, json_scan_end(o->doc->text, o->at),
				       "invalid type of `properties`, expected a map");
	for (const cJSON *m = o->tree->child; m; m = m->next, n++) {
		struct json_object v;

		if (cJSON_IsString(m))
			continue;
		v = json_member_object(o, n);
		return json_scan_error(e, o->doc->text, json_scan_end(o->doc->text, v.at),
				       "invalid type in `properties`, expected a string");
	}
	return 0;
}

/* They are printed as they are into each line: once is enough. */
static int take_properties(struct metrics_config *m, const struct value *v, struct err *e)
{
	int rc = v->given ? check_properties(&v->u.object, e) : 0;
	char *printed;
	size_t len;

	if (rc < 0 || !v->given)
		return rc;
	printed = cJSON_PrintUnformatted(v->u.object.tree);
	if (!printed)
		return err_set(e, -ENOMEM, "out of memory");
	len = strlen(printed);
	if (len < sizeof(m->properties))
		memcpy(m->properties, printed, len + 1);
	else
		rc = err_set(e, -EDOM, METRICS_FAULT "properties are longer than %d bytes.",
			     CONFIG_PROPERTIES_MAX - 1);
	free(printed);
	return rc;
}

int json_metrics(const struct json_object *o, struct action *out, struct err *e)
{
	struct metrics_config *m = &out->u.metrics;
	struct value v[METRICS_FIELDS];
	/* Firecracker ignores what it does not know here. */
	int rc = json_bind_known(o, "struct MetricsConfig", metrics_fields, v, e);

	out->kind = ACTION_PUT_METRICS;
	if (rc == 0)
		rc = take_properties(m, &v[PROPERTIES], e);
	if (rc < 0)
		return rc;
	m->emit_id = v[EMIT_ID].given && v[EMIT_ID].u.flag;
	if (!json_copy_string(m->path, sizeof(m->path), &v[METRICS_PATH]))
		return err_set(e, -EDOM, METRICS_FAULT TOO_LONG);
	return 0;
}

/* ---- /serial ---- */

enum { SERIAL_OUT_PATH, RATE_LIMITER, SERIAL_FIELDS };

static const struct field serial_fields[] = {
	[SERIAL_OUT_PATH] = { "serial_out_path", FIELD_STRING, .nullable = true },
	[RATE_LIMITER] = { "rate_limiter", FIELD_OBJECT, .nullable = true },
	{ 0 },
};

int json_serial(const struct json_object *o, struct action *out, struct err *e)
{
	struct serial_config *s = &out->u.serial;
	struct value v[SERIAL_FIELDS];
	int rc = json_bind(o, "struct SerialConfig", serial_fields, v, e);

	if (rc == 0)
		rc = json_bucket(&s->limit, &v[RATE_LIMITER], e);
	if (rc < 0)
		return rc;
	out->kind = ACTION_PUT_SERIAL;
	s->has_path = v[SERIAL_OUT_PATH].given;
	if (!json_copy_string(s->path, sizeof(s->path), &v[SERIAL_OUT_PATH]))
		return err_set(e, -EDOM, "Serial error: Failed to open target file: " TOO_LONG);
	return 0;
}
