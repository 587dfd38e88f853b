/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of PUT /logger, /metrics and /serial. */
#include "api/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define D "An error occurred when deserializing the json body of a request: "
#define BAD_INPUT "Metrics error: Cannot initialize the metrics system due to bad user input: "

static struct action a;

static int parse(enum json_body body, const char *in, struct err *e)
{
	memset(&a, 0xaa, sizeof(a));
	return json_parse_body(body, text(in, strlen(in)), &a, e);
}

static void parsed(enum json_body body, const char *in)
{
	struct err e = { "" };

	if (parse(body, in, &e) < 0)
		fail_msg("%s: %s", in, e.text);
}

static void nothing_given_is_nothing_set(void **state)
{
	static const char *const bodies[] = {
		"{}",
		"{\"log_path\":null,\"level\":null,\"show_level\":null,"
		"\"show_log_origin\":null,\"module\":null}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		const struct logger_config *l = &a.u.logger;

		parsed(JSON_LOGGER, bodies[i]);
		assert_int_equal(a.kind, ACTION_PUT_LOGGER);
		assert_false(l->has_path || l->has_level || l->has_show_level ||
			     l->has_show_origin || l->has_module);
	}
	parsed(JSON_SERIAL, "{\"serial_out_path\":null,\"rate_limiter\":null}");
	assert_int_equal(a.kind, ACTION_PUT_SERIAL);
	assert_false(a.u.serial.has_path || a.u.serial.limit.present);
	parsed(JSON_METRICS, "{\"metrics_path\":\"/m\",\"properties\":null}");
	assert_int_equal(a.kind, ACTION_PUT_METRICS);
	assert_false(a.u.metrics.emit_id);
	assert_string_equal(a.u.metrics.properties, "");
}

static void all_fields_are_taken(void **state)
{
	const struct logger_config *l = &a.u.logger;
	const struct metrics_config *m = &a.u.metrics;
	const struct serial_config *s = &a.u.serial;

	parsed(JSON_LOGGER, "{\"log_path\":\"/l\",\"level\":\"Error\",\"show_level\":true,"
			    "\"show_log_origin\":false,\"module\":\"blk\"}");
	assert_string_equal(l->path, "/l");
	assert_string_equal(l->module, "blk");
	assert_true(l->has_level && l->level == LOG_ERROR);
	assert_true(l->has_show_level && l->show_level);
	assert_true(l->has_show_origin && !l->show_origin);
	parsed(JSON_METRICS, "{\"metrics_path\":\"/m\",\"emit_id\":true,\"more\":[1],"
			     "\"properties\":{\"b\": \"1\\n\" , \"a\":\"\\u00e9\"}}");
	assert_string_equal(m->path, "/m");
	assert_true(m->emit_id);
	assert_string_equal(m->properties, "{\"b\":\"1\\n\",\"a\":\"\xc3\xa9\"}");
	parsed(JSON_SERIAL, "{\"serial_out_path\":\"/s\",\"rate_limiter\":{\"size\":1,"
			    "\"refill_time\":2,\"one_time_burst\":3,\"more\":4}}");
	assert_string_equal(s->path, "/s");
	assert_true(s->has_path && s->limit.present && s->limit.has_one_time_burst);
	assert_int_equal(s->limit.size, 1);
	assert_int_equal(s->limit.refill_time_ms, 2);
	assert_int_equal(s->limit.one_time_burst, 3);
}

static void levels_are_known_in_any_case(void **state)
{
	static const struct {
		const char *name;
		enum log_level level;
	} names[] = {
		{ "Off", LOG_OFF },	{ "oFF", LOG_OFF },	 { "ERROR", LOG_ERROR },
		{ "warn", LOG_WARN },	{ "Warning", LOG_WARN }, { "Info", LOG_INFO },
		{ "debug", LOG_DEBUG }, { "TRACE", LOG_DEBUG },
	};
	char body[64];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(body, sizeof(body), "{\"level\":\"%s\"}", names[i].name);
		parsed(JSON_LOGGER, body);
		assert_int_equal(a.u.logger.level, names[i].level);
	}
}

static void bodies_are_refused_with_a_reason(void **state)
{
	static const struct {
		enum json_body body;
		const char *in, *fault;
	} cases[] = {
		{ JSON_LOGGER, "{\"x\":1}",
		  D "unknown field `x`, expected one of `log_path`, `level`, `show_level`, "
		    "`show_log_origin`, `module` at line 1 column 4." },
		{ JSON_LOGGER, "{\"level\":\"loud\"}",
		  D "unknown variant `loud`, expected one of `Off`, `Error`, `Warn`, `Info`, "
		    "`Debug`, `Trace`, `Warning` at line 1 column 15." },
		{ JSON_LOGGER, "{\"show_level\":1}",
		  D "invalid type: integer `1`, expected a boolean at line 1 column 15." },
		{ JSON_METRICS, "{}", D "missing field `metrics_path` at line 1 column 2." },
		{ JSON_METRICS, "{\"metrics_path\":\"/m\",\"properties\":[]}",
		  D "invalid type of `properties`, expected a map at line 1 column 36." },
		{ JSON_METRICS,
		  "{\"metrics_path\":\"/m\",\"properties\":{\"a\":\"b\",\"c\":1}}",
		  D "invalid type in `properties`, expected a string at line 1 column 48." },
		{ JSON_SERIAL, "{\"y\":1}",
		  D "unknown field `y`, expected `serial_out_path` or `rate_limiter` at "
		    "line 1 column 4." },
		{ JSON_SERIAL, "{\"rate_limiter\":{\"size\":1}}",
		  D "missing field `refill_time` at line 1 column 26." },
		{ JSON_SERIAL, "{\"rate_limiter\":[]}",
		  D "invalid type: sequence, expected struct TokenBucketConfig at line 1 "
		    "column 17." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { "" };

		assert_int_equal(parse(cases[i].body, cases[i].in, &e), -EINVAL);
		assert_string_equal(e.text, cases[i].fault);
	}
}

/* A body whose string `%s` has so many letters. */
static int parse_long(enum json_body body, const char *format, size_t len, struct err *e)
{
	char *letters = malloc(len + 1), *in = NULL;
	int rc;

	assert_non_null(letters);
	memset(letters, 'x', len);
	letters[len] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	assert_true(asprintf(&in, format, letters) > 0);
#pragma GCC diagnostic pop
	rc = parse(body, in, e);
	free(letters);
	free(in);
	return rc;
}

/* Such values are refused when the state allows the request. */
static void strings_are_bounded(void **state)
{
	static const struct {
		enum json_body body;
		const char *format;
		size_t max;
		const char *fault;
	} cases[] = {
		{ JSON_LOGGER, "{\"log_path\":\"%s\"}", CONFIG_PATH_MAX - 1,
		  "Logger error: Failed to open target file: File name too long (os error 36)" },
		{ JSON_LOGGER, "{\"module\":\"%s\"}", LOG_NAME_MAX,
		  "Logger error: module is longer than 64 bytes." },
		{ JSON_METRICS, "{\"metrics_path\":\"%s\"}", CONFIG_PATH_MAX - 1,
		  BAD_INPUT "File name too long (os error 36)" },
		{ JSON_METRICS, "{\"metrics_path\":\"\",\"properties\":{\"\":\"%s\"}}",
		  CONFIG_PROPERTIES_MAX - sizeof("{\"\":\"\"}"),
		  BAD_INPUT "properties are longer than 4095 bytes." },
		{ JSON_SERIAL, "{\"serial_out_path\":\"%s\"}", CONFIG_PATH_MAX - 1,
		  "Serial error: Failed to open target file: File name too long (os error 36)" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { "" };

		assert_int_equal(parse_long(cases[i].body, cases[i].format, cases[i].max, &e),
				 0);
		assert_int_equal(parse_long(cases[i].body, cases[i].format, cases[i].max + 1,
					    &e),
				 -EDOM);
		assert_string_equal(e.text, cases[i].fault);
	}
}

static void a_configuration_has_them_first(void **state)
{
	static const char in[] =
		"{\"boot-source\":{\"kernel_image_path\":\"k\"},\"serial\":{},"
		"\"metrics\":{\"metrics_path\":\"m\"},\"logger\":{\"level\":\"Off\"}}";
	static const enum action_kind kinds[] = { ACTION_PUT_LOGGER, ACTION_PUT_METRICS,
						  ACTION_PUT_SERIAL, ACTION_PUT_BOOT_SOURCE };
	static struct action actions[JSON_CONFIG_ACTIONS];
	struct err e = { "" };

	assert_int_equal(json_parse_config(in, strlen(in), actions, ARRAY_SIZE(actions), &e),
			 ARRAY_SIZE(kinds));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		assert_int_equal(actions[i].kind, kinds[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_is_nothing_set),
		cmocka_unit_test(all_fields_are_taken),
		cmocka_unit_test(levels_are_known_in_any_case),
		cmocka_unit_test(bodies_are_refused_with_a_reason),
		cmocka_unit_test(strings_are_bounded),
		cmocka_unit_test(a_configuration_has_them_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
