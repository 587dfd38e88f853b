/* SPDX-License-Identifier: Apache-2.0 */
/* api/routes: which method and path does what. */
#include "api/routes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

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

static void what_is_not_served_says_so(void **state)
{
#define NOT(what) what " is not served by this version of Xenolith."
	static const struct fault_case cases[] = {
		{ HTTP_PUT, "/pmem/1", "{}", NOT("PUT /pmem") },
		{ HTTP_PATCH, "/pmem/1", "{}", NOT("PATCH /pmem") },
		{ HTTP_DELETE, "/pmem/1", "", NOT("DELETE /pmem") },
		{ HTTP_GET, "/balloon", "", NOT("GET /balloon") },
		{ HTTP_GET, "/balloon/statistics", "", NOT("GET /balloon") },
		{ HTTP_PUT, "/balloon", "{}", NOT("PUT /balloon") },
		{ HTTP_PATCH, "/balloon/hinting/stop", "", NOT("PATCH /balloon") },
		{ HTTP_GET, "/mmds", "", NOT("GET /mmds") },
		{ HTTP_PUT, "/mmds/config", "{}", NOT("PUT /mmds") },
		{ HTTP_PATCH, "/mmds", "{}", NOT("PATCH /mmds") },
		{ HTTP_GET, "/hotplug/memory", "", NOT("GET /hotplug") },
		{ HTTP_PUT, "/hotplug/memory", "{}", NOT("PUT /hotplug") },
		{ HTTP_PATCH, "/hotplug/memory", "{}", NOT("PATCH /hotplug") },
		{ HTTP_PUT, "/snapshot/create", "{}", NOT("PUT /snapshot") },
		{ HTTP_PUT, "/snapshot/load", "{}", NOT("PUT /snapshot") },
		{ HTTP_PUT, "/cpu-config", "{}", NOT("PUT /cpu-config") },
		{ HTTP_PUT, "/entropy", "{}", NOT("PUT /entropy") },
		{ HTTP_PUT, "/logger", "{}", NOT("PUT /logger") },
		{ HTTP_PUT, "/metrics", "{}", NOT("PUT /metrics") },
		{ HTTP_PUT, "/serial", "{}", NOT("PUT /serial") },
		{ HTTP_PUT, "/vsock", "{}", NOT("PUT /vsock") },
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_lead_to_actions),
		cmocka_unit_test(unknown_paths_and_methods_are_named),
		cmocka_unit_test(bodies_belong_to_methods),
		cmocka_unit_test(ids_in_paths_are_checked),
		cmocka_unit_test(ids_in_bodies_are_those_in_paths),
		cmocka_unit_test(what_is_not_served_says_so),
		cmocka_unit_test(long_paths_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
