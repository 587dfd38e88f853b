/* SPDX-License-Identifier: Apache-2.0 */
/* api/ctl: the command line, and what --disk and --net stand for. */
#include "api/ctl/cli.h"
#include "api/ctl/spec.h"
#include "api/ctl/spec_device.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

typedef int (*parser)(cJSON **out, const char *text, struct err *e);

static int disk(cJSON **out, const char *text, struct err *e)
{
	return spec_disk(out, text, 3, true, e);
}

static int net(cJSON **out, const char *text, struct err *e)
{
	return spec_net(out, text, 3, e);
}

static const struct {
	parser parse;
	const char *text, *json; /* NULL: refused */
} devices[] = {
	{ disk, "/a",
	  "{\"drive_id\":\"disk3\",\"path_on_host\":\"/a\",\"is_root_device\":true}" },
	{ disk, "/a,data,ro,direct,writeback",
	  "{\"drive_id\":\"disk3\",\"path_on_host\":\"/a\",\"is_read_only\":true,\"direct\":true,"
	  "\"cache_type\":\"Writeback\",\"is_root_device\":false}" },
	{ disk, "/a,id=x",
	  "{\"path_on_host\":\"/a\",\"drive_id\":\"x\",\"is_root_device\":true}" },
	{ disk, "/a,bps=1,iops=2K",
	  "{\"drive_id\":\"disk3\",\"path_on_host\":\"/a\",\"rate_limiter\":{"
	  "\"bandwidth\":{\"size\":1,\"refill_time\":1000},"
	  "\"ops\":{\"size\":2048,\"refill_time\":1000}},\"is_root_device\":true}" },
	{ disk, "", NULL },
	{ disk, ",ro", NULL },
	{ disk, "/a,", NULL },
	{ disk, "/a,,ro", NULL },
	{ disk, "/a,ro=1", NULL },
	{ disk, "/a,r", NULL },
	{ disk, "/a,roo", NULL },
	{ disk, "/a,id", NULL },
	{ disk, "/a,bps=", NULL },
	{ disk, "/a,bps=-1", NULL },
	{ disk, "/a,bps=1T", NULL },
	{ disk, "/a,bps=1KK", NULL },
	{ disk, "/a,bps=18446744073709551616", NULL },
	{ disk, "/a,bps=1099511627776G", NULL },
	{ disk, "/a,pps=1", NULL },
	{ disk, "/a,mac=1", NULL },
	{ net, "tap0", "{\"iface_id\":\"eth3\",\"host_dev_name\":\"tap0\"}" },
	{ net, "tap0,mac=06:00:00:00:00:01,mtu=1400,id=lan",
	  "{\"host_dev_name\":\"tap0\",\"guest_mac\":\"06:00:00:00:00:01\",\"mtu\":1400,"
	  "\"iface_id\":\"lan\"}" },
	{ net, "tap0,pps=1",
	  "{\"iface_id\":\"eth3\",\"host_dev_name\":\"tap0\","
	  "\"rx_rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":1000}},"
	  "\"tx_rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":1000}}}" },
	{ net, "", NULL },
	{ net, "tap0,mtu=big", NULL },
	{ net, "tap0,iops=1", NULL },
	{ net, "tap0,ro", NULL },
};

static void devices_become_objects_of_the_api(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		struct err e = { "" };
		cJSON *out = NULL;
		int rc = devices[i].parse(&out, devices[i].text, &e);
		char *text;

		if (!devices[i].json) {
			assert_int_equal(rc, -EINVAL);
			assert_null(out);
			assert_true(*e.text);
			continue;
		}
		assert_int_equal(rc, 0);
		text = cJSON_PrintUnformatted(out);
		assert_string_equal(text, devices[i].json);
		cJSON_free(text);
		cJSON_Delete(out);
	}
}

static void paths_become_absolute(void **state)
{
	char *path = spec_absolute("/a/b");

	assert_string_equal(path, "/a/b");
	free(path);
	path = spec_absolute("b");
	assert_true(*path == '/' && strcmp(strrchr(path, '/'), "/b") == 0);
	free(path);
}

/* ---- the command line ---------------------------------------------------------- */

#define WORDS 8

static void values_follow_in_every_way(void **state)
{
	static const struct {
		const char *argv[WORDS];
		int rc;
		unsigned words;
		bool json;
	} cases[] = {
		{ { "ctl", "config", "web", "--json" }, 0, 1, true },
		{ { "ctl", "--json", "config" }, 0, 0, true },
		{ { "ctl", "config", "--set=x" }, 0, 0, false },
		{ { "ctl", "config", "--set", "--json" }, 0, 0, false },
		{ { "ctl", "config", "--", "--json" }, 0, 1, false },
		{ { "ctl", "config", "-" }, 0, 1, false },
		{ { "ctl", "config", "--set" }, -EINVAL, 0, false },
		{ { "ctl", "config", "--json=1" }, -EINVAL, 0, false },
		{ { "ctl", "config", "--jso" }, -EINVAL, 0, false },
		{ { "ctl", "config", "a", "b" }, -EINVAL, 0, false },
		{ { "ctl", "nothing" }, -EINVAL, 0, false },
		{ { "ctl", "kill" }, -EINVAL, 0, false },
		{ { "ctl", "kill", "--help" }, 0, 0, false },
		{ { "ctl" }, 0, 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[WORDS] = { 0 };
		struct cli cli;
		struct err e;
		int argc = 0;

		for (; cases[i].argv[argc]; argc++)
			argv[argc] = strdup(cases[i].argv[argc]);
		assert_int_equal(cli_parse(&cli, argc, argv, &e), cases[i].rc);
		if (cases[i].rc == 0) {
			assert_int_equal(cli.n_words, cases[i].words);
			assert_int_equal(cli.ctl.out.json, cases[i].json);
			assert_non_null(cli.ctl.run_dir);
		}
		cli_free(&cli);
		while (argc--)
			free(argv[argc]);
	}
}

/* Two that a parser could take for one another, or a line of help that is too long. */
static void tables_make_sense(void **state)
{
	for (const struct command *const *c = ctl_commands; *c; c++) {
		assert_ptr_equal(ctl_find((*c)->name), *c);
		assert_true((*c)->words_min <= (*c)->words_max);
		assert_true(strlen((*c)->help) <= 66);
		assert_int_equal((*c)->options != NULL, (*c)->options_size > 0);
		for (const struct option *o = (*c)->options; o && o->name; o++) {
			assert_memory_equal(o->name, "--", 2);
			assert_int_equal(o->kind == OPTION_FLAG, o->value == NULL);
			assert_true(o->at < (*c)->options_size);
			for (const struct option *p = o + 1; p->name; p++) {
				assert_string_not_equal(o->name, p->name);
				assert_true(!o->letter || o->letter != p->letter);
			}
			for (const struct option *p = ctl_options; p->name; p++) {
				assert_string_not_equal(o->name, p->name);
				assert_true(!o->letter || o->letter != p->letter);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_become_objects_of_the_api),
		cmocka_unit_test(paths_become_absolute),
		cmocka_unit_test(values_follow_in_every_way),
		cmocka_unit_test(tables_make_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
