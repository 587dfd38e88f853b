/* SPDX-License-Identifier: Apache-2.0 */
/* api/routes: which method and path does what. */
#include "api/routes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static int route(enum http_method method, const char *path, const char *body, struct action *a,
		 struct err *e)
{
	struct http_item item = {
		.kind = HTTP_REQUEST,
		.method = method,
		.path = text(path, strlen(path)),
		.body = text(body, strlen(body)),
	};

	return route_request(&item, a, e);
}

#define DRIVE(id) "{\"drive_id\":\"" id "\",\"is_root_device\":false,\"path_on_host\":\"/d\"}"
#define NET(id) "{\"iface_id\":\"" id "\",\"host_dev_name\":\"tap\"}"

struct route_case {
	enum http_method method;
	const char *path, *body;
	enum action_kind kind;
};

static void paths_lead_to_actions(void **state)
{
	static const struct route_case cases[] = {
		{ HTTP_GET, "/", "", ACTION_GET_INSTANCE },
		{ HTTP_GET, "", "", ACTION_GET_INSTANCE },
		{ HTTP_GET, "///", "", ACTION_GET_INSTANCE },
		{ HTTP_GET, "/version", "", ACTION_GET_VERSION },
		{ HTTP_GET, "//version/", "", ACTION_GET_VERSION },
		{ HTTP_GET, "/version/zzz", "", ACTION_GET_VERSION },
		{ HTTP_GET, "/machine-config", "", ACTION_GET_MACHINE_CONFIG },
		{ HTTP_PUT, "/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1}",
		  ACTION_PUT_MACHINE_CONFIG },
		{ HTTP_PATCH, "/machine-config", "{\"vcpu_count\":1}",
		  ACTION_PATCH_MACHINE_CONFIG },
		{ HTTP_PUT, "/boot-source", "{\"kernel_image_path\":\"k\"}",
		  ACTION_PUT_BOOT_SOURCE },
		{ HTTP_PUT, "/actions", "{\"action_type\":\"InstanceStart\"}",
		  ACTION_INSTANCE_START },
		{ HTTP_PUT, "/drives/a_1", DRIVE("a_1"), ACTION_PUT_DRIVE },
		{ HTTP_PUT, "/drives/a/b", DRIVE("a"), ACTION_PUT_DRIVE },
		{ HTTP_PATCH, "/drives/a/", "{\"drive_id\":\"a\"}", ACTION_PATCH_DRIVE },
		{ HTTP_DELETE, "/drives/a", "", ACTION_DELETE_DEVICE },
		{ HTTP_PUT, "/network-interfaces/a", NET("a"), ACTION_PUT_NET },
		{ HTTP_PATCH, "/network-interfaces/a", "{\"iface_id\":\"a\"}",
		  ACTION_PATCH_NET },
		{ HTTP_DELETE, "/network-interfaces/a", "", ACTION_DELETE_DEVICE },
		{ HTTP_PUT, "/logger", "{}", ACTION_PUT_LOGGER },
		{ HTTP_PUT, "/metrics", "{\"metrics_path\":\"m\"}", ACTION_PUT_METRICS },
		{ HTTP_PUT, "/serial/x", "{}", ACTION_PUT_SERIAL },
		{ HTTP_PATCH, "/vm", "{\"state\":\"Paused\"}", ACTION_PAUSE },
		{ HTTP_PATCH, "/vm/x", "{\"state\":\"Resumed\"}", ACTION_RESUME },
		{ HTTP_GET, "/vm/config", "", ACTION_GET_VM_CONFIG },
		{ HTTP_GET, "/vm/config/x", "", ACTION_GET_VM_CONFIG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct action a;
		struct err e = { "" };

		assert_int_equal(route(cases[i].method, cases[i].path, cases[i].body, &a, &e),
				 0);
		assert_int_equal(a.kind, cases[i].kind);
	}
}

struct fault_case {
	enum http_method method;
	const char *path, *body, *fault;
};

static void assert_faults(const struct fault_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct action a;
		struct err e = { "" };

		assert_int_equal(route(cases[i].method, cases[i].path, cases[i].body, &a, &e),
				 -EINVAL);
		assert_string_equal(e.text, cases[i].fault);
	}
}

static void unknown_paths_and_methods_are_named(void **state)
{
	static const struct fault_case cases[] = {
		{ HTTP_GET, "/foo", "", "Invalid request method and/or path: GET foo." },
		{ HTTP_GET, "/foo/bar", "", "Invalid request method and/or path: GET foo." },
		{ HTTP_GET, "/version?x", "",
		  "Invalid request method and/or path: GET version?x." },
		{ HTTP_GET, "/Version", "",
		  "Invalid request method and/or path: GET Version." },
		{ HTTP_GET, "/vm", "", "Invalid request method and/or path: GET vm." },
		{ HTTP_GET, "/vm//config", "", "Invalid request method and/or path: GET vm." },
		{ HTTP_GET, "/actions", "",
		  "Invalid request method and/or path: GET actions." },
		{ HTTP_PUT, "/vm", "{}", "Invalid request method and/or path: PUT vm." },
		{ HTTP_PUT, "/", "{}", "Invalid request method and/or path: PUT ." },
		{ HTTP_PATCH, "/actions", "{}",
		  "Invalid request method and/or path: PATCH actions." },
		{ HTTP_DELETE, "/foo", "", "Invalid request method and/or path: DELETE foo." },
		{ HTTP_GET, "/hotplug", "",
		  "Invalid request method and/or path: GET hotplug." },
	};

	assert_faults(cases, ARRAY_SIZE(cases));
}

static void bodies_belong_to_methods(void **state)
{
	static const struct fault_case cases[] = {
		{ HTTP_GET, "/", "{}", "GET request cannot have a body." },
		{ HTTP_GET, "/foo", "{}", "GET request cannot have a body." },
		{ HTTP_PUT, "/machine-config", "", "Empty PUT request." },
		{ HTTP_PUT, "/foo", "", "Empty PUT request." },
		{ HTTP_PATCH, "/vm", "", "Empty PATCH request." },
		{ HTTP_DELETE, "/foo", "{}", "Empty Delete request." },
	};

	assert_faults(cases, ARRAY_SIZE(cases));
}

#define EMPTY_ID "The ID cannot be empty."
#define BAD_ID "API Resource IDs can only contain alphanumeric characters and underscores."
#define ID_64 "0123456789012345678901234567890123456789012345678901234567890123"

static void ids_in_paths_are_checked(void **state)
{
	static const struct fault_case cases[] = {
		{ HTTP_PUT, "/drives", "{}", EMPTY_ID },
		{ HTTP_PUT, "/drives/", "x", EMPTY_ID },
		{ HTTP_PUT, "/drives//a", DRIVE("a"), EMPTY_ID },
		{ HTTP_PUT, "/drives", "", "Empty PUT request." },
		{ HTTP_PATCH, "/drives", "{}", EMPTY_ID },
		{ HTTP_DELETE, "/drives", "", EMPTY_ID },
		{ HTTP_DELETE, "/drives/a", "{}", "Empty Delete request." },
		{ HTTP_GET, "/drives/a", "",
		  "Invalid request method and/or path: GET drives." },
		{ HTTP_PUT, "/network-interfaces", "{}", EMPTY_ID },
		{ HTTP_PATCH, "/network-interfaces", "{}", EMPTY_ID },
		{ HTTP_DELETE, "/network-interfaces", "", EMPTY_ID },
		{ HTTP_PUT, "/drives/a-b", DRIVE("a-b"), BAD_ID },
		{ HTTP_PUT, "/drives/a%20", DRIVE("a"), BAD_ID },
		{ HTTP_PUT, "/drives/..", DRIVE(".."), BAD_ID },
		{ HTTP_PUT, "/drives/\xc3\xa9", DRIVE("\xc3\xa9"), BAD_ID },
		{ HTTP_DELETE, "/network-interfaces/a.b", "", BAD_ID },
		{ HTTP_DELETE, "/drives/" ID_64 "4", "",
		  "API Resource IDs have at most 64 characters." },
	};
	struct action a;
	struct err e;

	assert_faults(cases, ARRAY_SIZE(cases));
	assert_int_equal(route(HTTP_PUT, "/drives/" ID_64, DRIVE(ID_64), &a, &e), 0);
	assert_string_equal(a.u.drive.id, ID_64);
}

static void ids_in_bodies_are_those_in_paths(void **state)
{
#define DIFFERS "The id from the path does not match the id from the body!"
#define DIFFER "The id from the path [a] does not match the id from the body [b]!"
	static const struct fault_case cases[] = {
		{ HTTP_PUT, "/drives/a", DRIVE("b"), DIFFERS },
		{ HTTP_PUT, "/drives/a", DRIVE("A"), DIFFERS },
		{ HTTP_PUT, "/drives/a", DRIVE(""), EMPTY_ID },
		{ HTTP_PUT, "/drives/a", DRIVE("a-"), BAD_ID },
		{ HTTP_PATCH, "/drives/a", "{\"drive_id\":\"aa\"}", DIFFERS },
		{ HTTP_PUT, "/network-interfaces/a", NET("b"), DIFFER },
		{ HTTP_PATCH, "/network-interfaces/a", "{\"iface_id\":\"b\"}", DIFFER },
	};

	assert_faults(cases, ARRAY_SIZE(cases));
}

/* Firecracker's paths that are not served: the action refuses, and names what there is not. */
static void what_is_absent_is_routed(void **state)
{
	static const struct {
		enum http_method method;
		const char *path, *body;
		enum action_kind kind;
		const char *what;
	} cases[] = {
		{ HTTP_PUT, "/pmem/1", "{}", ACTION_ABSENT_DEVICE, "pmem devices" },
		{ HTTP_PATCH, "/pmem/1", "{}", ACTION_ABSENT_POST, "pmem devices" },
		{ HTTP_GET, "/balloon", "", ACTION_ABSENT, "balloon device" },
		{ HTTP_GET, "/balloon/x", "", ACTION_ABSENT, "balloon device" },
		{ HTTP_GET, "/balloon/statistics", "", ACTION_ABSENT_POST, "balloon device" },
		{ HTTP_PUT, "/balloon", "no JSON", ACTION_ABSENT_PRE, "balloon device" },
		{ HTTP_PATCH, "/balloon", "{}", ACTION_ABSENT_POST, "balloon device" },
		{ HTTP_PATCH, "/balloon/statistics", "{}", ACTION_ABSENT_POST,
		  "balloon device" },
		{ HTTP_GET, "/balloon/hinting/status", "", ACTION_ABSENT_POST,
		  "balloon device" },
		{ HTTP_PATCH, "/balloon/hinting/start", "", ACTION_ABSENT_POST,
		  "balloon device" },
		{ HTTP_PATCH, "/balloon/hinting/stop", "{}", ACTION_ABSENT_POST,
		  "balloon device" },
		{ HTTP_GET, "/mmds", "", ACTION_ABSENT, "metadata service (MMDS)" },
		{ HTTP_PUT, "/mmds", "{}", ACTION_ABSENT, "metadata service (MMDS)" },
		{ HTTP_PATCH, "/mmds", "{}", ACTION_ABSENT, "metadata service (MMDS)" },
		{ HTTP_PUT, "/mmds/config", "{}", ACTION_ABSENT_PRE,
		  "metadata service (MMDS)" },
		{ HTTP_GET, "/hotplug/memory", "", ACTION_ABSENT_POST,
		  "memory that can be plugged in" },
		{ HTTP_PUT, "/hotplug/memory", "{}", ACTION_ABSENT_PRE,
		  "memory that can be plugged in" },
		{ HTTP_PATCH, "/hotplug/memory", "{}", ACTION_ABSENT_POST,
		  "memory that can be plugged in" },
		{ HTTP_PUT, "/snapshot/create", "{}", ACTION_ABSENT_POST, "snapshots" },
		{ HTTP_PUT, "/snapshot/load", "{}", ACTION_ABSENT_PRE, "snapshots" },
		{ HTTP_PUT, "/cpu-config", "{}", ACTION_ABSENT_PRE, "CPU templates" },
		{ HTTP_PUT, "/entropy", "{}", ACTION_ABSENT_PRE, "entropy device" },
		{ HTTP_PUT, "/vsock", "{}", ACTION_ABSENT_PRE, "vsock device" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct action a;
		struct err e = { "" };

		assert_int_equal(route(cases[i].method, cases[i].path, cases[i].body, &a, &e),
				 0);
		assert_int_equal(a.kind, cases[i].kind);
		assert_string_equal(a.u.absent, cases[i].what);
	}
}

static void what_is_absent_has_ids_and_bodies_too(void **state)
{
	static const struct fault_case cases[] = {
		{ HTTP_PUT, "/pmem", "{}", EMPTY_ID },
		{ HTTP_DELETE, "/pmem/a-b", "", BAD_ID },
		{ HTTP_PUT, "/vsock", "", "Empty PUT request." },
		{ HTTP_PATCH, "/mmds", "", "Empty PATCH request." },
		{ HTTP_PATCH, "/balloon", "", "Empty PATCH request." },
		{ HTTP_PATCH, "/balloon/statistics", "", "Empty PATCH request." },
		{ HTTP_GET, "/mmds", "{}", "GET request cannot have a body." },
		{ HTTP_PUT, "/snapshot", "{}",
		  "Invalid request method and/or path: PUT snapshot." },
		{ HTTP_PUT, "/hotplug/x", "{}",
		  "Invalid request method and/or path: PUT hotplug." },
	};

	assert_faults(cases, ARRAY_SIZE(cases));
}

static void long_paths_are_cut(void **state)
{
	struct action a;
	struct err e = { "" };
	char path[1000] = "/";

	memset(path + 1, 'a', sizeof(path) - 2);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(route(HTTP_GET, path, "", &a, &e), -EINVAL);
	assert_true(strlen(e.text) < sizeof(e.text) - 1);
	assert_int_equal(e.text[strlen(e.text) - 1], '.');
}

/* ---- api/openapi.yaml ---- */

struct documented {
	bool routes[64]; /* which rows of the table were found */
	unsigned operations;
};

static size_t find_row(enum http_method method, const char *path)
{
	struct route_info r;

	for (size_t i = 0; route_at(i, &r); i++) {
		char row[128] = "";

		for (unsigned t = 0; t < ARRAY_SIZE(r.tokens) && r.tokens[t]; t++)
			snprintf(row + strlen(row), sizeof(row) - strlen(row), "/%s",
				 r.tokens[t]);
		/* The name of the id is the file's affair. */
		if (r.method == method &&
		    (r.has_id ? strncmp(path, row, strlen(row)) == 0 &&
					strncmp(path + strlen(row), "/{", 2) == 0 :
				strcmp(path, row) == 0))
			return i;
	}
	print_message("%s %s is documented and not served\n", http_method_name(method), path);
	return SIZE_MAX;
}

/* A line of the file: "  /path:" or "    method:" below it. */
static void take_line(struct documented *d, const char *line, char path[256])
{
	static const char *const methods[] = { "get", "put", "patch", "delete" };
	char word[128];

	if (line[2] == '/' && sscanf(line, "  /%126[^:\n]:", word) == 1) {
		snprintf(path, 256, "/%s", word);
	} else if (strncmp(line, "  /:", 4) == 0) {
		strcpy(path, "/");
	} else if (strncmp(line, "components:", 11) == 0) {
		path[0] = '\0';
	} else if (path[0] && sscanf(line, "    %126[a-z]:", word) == 1 && line[4] != ' ') {
		for (unsigned m = 0; m < ARRAY_SIZE(methods); m++) {
			size_t row;

			if (strcmp(word, methods[m]) != 0)
				continue;
			row = find_row((enum http_method)m, path);
			assert_true(row < ARRAY_SIZE(d->routes));
			assert_false(d->routes[row]);
			d->routes[row] = true;
			d->operations++;
		}
	}
}

static void openapi_yaml_has_every_route_and_no_other(void **state)
{
	struct documented d = { .operations = 0 };
	struct route_info r;
	char line[256], path[256] = "";
	FILE *file = fopen("api/openapi.yaml", "r");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		take_line(&d, line, path);
	fclose(file);
	assert_true(d.operations > 10);
	for (size_t i = 0; route_at(i, &r); i++) {
		if (!d.routes[i])
			print_message("%s /%s is served and not documented\n",
				      http_method_name(r.method), r.tokens[0]);
		assert_true(d.routes[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_actions),
		cmocka_unit_test(unknown_paths_and_methods_are_named),
		cmocka_unit_test(bodies_belong_to_methods),
		cmocka_unit_test(ids_in_paths_are_checked),
		cmocka_unit_test(ids_in_bodies_are_those_in_paths),
		cmocka_unit_test(what_is_absent_is_routed),
		cmocka_unit_test(what_is_absent_has_ids_and_bodies_too),
		cmocka_unit_test(long_paths_are_cut),
		cmocka_unit_test(openapi_yaml_has_every_route_and_no_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
