/* SPDX-License-Identifier: Apache-2.0 */
/* api/counts: which request is counted where; vmm/lib/latency. */
#include "api/counts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

static struct http_item item(enum http_method method, const char *path)
{
	return (struct http_item){ .kind = HTTP_REQUEST,
				   .method = method,
				   .path = text(path, strlen(path)) };
}

/* Which call a request is; NULL: none. Only one is counted. */
static const struct api_call *counted(enum http_method method, const char *path, bool failed)
{
	struct api_counts c = { .invalid = 0 };
	struct http_item i = item(method, path);
	const struct api_call *found = NULL, *call;
	uint64_t calls = 0;

	api_counts_add(&c, &i, failed, 1000);
	for (unsigned n = 0; (call = api_call(n)); n++) {
		calls += c.calls[n].calls;
		assert_int_equal(c.calls[n].fails, failed ? c.calls[n].calls : 0);
		if (c.calls[n].calls)
			found = call;
	}
	assert_int_equal(calls + c.invalid, 1);
	assert_int_equal(c.latency[method].n, 1);
	return found;
}

static void requests_are_counted_by_method_and_path(void **state)
{
	static const struct {
		enum http_method method;
		const char *path, *name;
	} cases[] = {
		{ HTTP_GET, "/", "instance_info" },
		{ HTTP_GET, "", "instance_info" },
		{ HTTP_GET, "/version", "vmm_version" },
		{ HTTP_GET, "//version/x", "vmm_version" },
		{ HTTP_GET, "/vm/config", "vm_config" },
		{ HTTP_PUT, "/drives/a", "drive" },
		{ HTTP_PUT, "/network-interfaces/a", "network" },
		{ HTTP_PUT, "/logger", "logger" },
		{ HTTP_PUT, "/serial", "serial" },
		{ HTTP_PATCH, "/drives/a", "drive" },
		{ HTTP_PATCH, "/vm", "vm_state" },
		{ HTTP_DELETE, "/drives/a", "drive" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct api_call *c = counted(cases[i].method, cases[i].path, i % 2);

		assert_non_null(c);
		assert_string_equal(c->name, cases[i].name);
		assert_int_equal(c->method, cases[i].method);
	}
}

static void what_there_is_not_is_invalid(void **state)
{
	assert_null(counted(HTTP_GET, "/logger", true));
	assert_null(counted(HTTP_PUT, "/", true));
	assert_null(counted(HTTP_PUT, "/drivesx", true));
	assert_null(counted(HTTP_GET, "/%2e", true));
}

static void latencies_are_gathered(void **state)
{
	struct latency a = { 0 }, b = { 0 }, none = { 0 };

	latency_add(&a, 30);
	latency_add(&a, 10);
	latency_add(&a, 20);
	assert_int_equal(a.n, 3);
	assert_int_equal(a.min_ns, 10);
	assert_int_equal(a.max_ns, 30);
	assert_int_equal(a.sum_ns, 60);
	latency_add(&b, 0);
	latency_add(&b, 5);
	assert_int_equal(b.min_ns, 0);
	latency_merge(&none, &a);
	assert_memory_equal(&none, &a, sizeof(a));
	latency_merge(&a, &b);
	assert_int_equal(a.min_ns, 0);
	assert_int_equal(a.max_ns, 30);
	assert_int_equal(a.sum_ns, 65);
	assert_int_equal(a.n, 5);
	b = (struct latency){ 0 };
	latency_merge(&a, &b);
	assert_int_equal(a.min_ns, 0);
	latency_merge(&none, &b);
	assert_int_equal(none.min_ns, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_counted_by_method_and_path),
		cmocka_unit_test(what_there_is_not_is_invalid),
		cmocka_unit_test(latencies_are_gathered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
