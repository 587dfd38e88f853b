/* SPDX-License-Identifier: Apache-2.0 */
/* api/json: bodies and the configuration file in, replies out. */
#include "api/json.h"
#include "api/json_scan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define D "An error occurred when deserializing the json body of a request: "
#define MACHINE_FIELDS                                                          \
	"expected one of `vcpu_count`, `mem_size_mib`, `smt`, `cpu_template`, " \
	"`track_dirty_pages`, `huge_pages`"

static int parse(enum json_body body, const char *in, struct action *a, struct err *e)
{
	size_t len = strlen(in);
	/* A copy without a NUL, so that AddressSanitizer sees a byte too far. */
	char *copy = malloc(len ? len : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, in, len);
	rc = json_parse_body(body, text(copy, len), a, e);
	free(copy);
	return rc;
}

struct refusal {
	const char *in;
	const char *fault;
};

/* "Drive config error: ..." comes after the state was asked, what is wrong with JSON before. */
static bool is_about_values(const char *fault)
{
	return strstr(fault, " error: ");
}

static void assert_refused(enum json_body body, const struct refusal *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct action a;
		struct err e = { "" };

		assert_int_equal(parse(body, cases[i].in, &a, &e),
				 is_about_values(cases[i].fault) ? -EDOM : -EINVAL);
		assert_string_equal(e.text, cases[i].fault);
	}
}

/* ---- what is JSON ---- */

static void check_accepts_json(void **state)
{
	static const char *const good[] = {
		"null",
		" true ",
		"\t\r\n{ }",
		"[]",
		"[[],{}]",
		"0",
		"-0",
		"-12.5e+3",
		"1E-2",
		"\"\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\ude00\"",
		"{\"a\":[1,{\"b\":null}],\"c\":false}",
		"[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
		"\"\xc3\xa9\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err e = { "" };
		int rc = json_scan_check(text(good[i], strlen(good[i])), &e);

		if (rc < 0)
			print_message("%s: %s\n", good[i], e.text);
		assert_int_equal(rc, 0);
	}
}

static void check_refuses_what_is_no_json(void **state)
{
	static const struct refusal bad[] = {
		{ "", "EOF while parsing a value at line 1 column 0" },
		{ " \n ", "EOF while parsing a value at line 2 column 1" },
		{ "{", "EOF while parsing an object at line 1 column 1" },
		{ "{\"a\"", "EOF while parsing an object at line 1 column 4" },
		{ "{\"a\":", "EOF while parsing a value at line 1 column 5" },
		{ "{\"a\":1", "EOF while parsing an object at line 1 column 6" },
		{ "{\"a\":1,", "EOF while parsing a value at line 1 column 7" },
		{ "[", "EOF while parsing a list at line 1 column 1" },
		{ "[1", "EOF while parsing a list at line 1 column 2" },
		{ "[1,", "EOF while parsing a value at line 1 column 3" },
		{ "\"a", "EOF while parsing a string at line 1 column 2" },
		{ "\"a\\", "EOF while parsing a string at line 1 column 3" },
		{ "\"\\u12", "EOF while parsing a string at line 1 column 5" },
		{ "tru", "EOF while parsing a value at line 1 column 3" },
		{ "-", "EOF while parsing a value at line 1 column 1" },
		{ "1.", "EOF while parsing a value at line 1 column 2" },
		{ "1e", "EOF while parsing a value at line 1 column 2" },
		{ "foo", "expected ident at line 1 column 2" },
		{ "nul1", "expected ident at line 1 column 4" },
		{ "x", "expected value at line 1 column 1" },
		{ "\xef\xbb\xbf{}", "expected value at line 1 column 1" },
		{ "\v1", "expected value at line 1 column 1" },
		{ "{a:1}", "key must be a string at line 1 column 2" },
		{ "{\"a\" 1}", "expected `:` at line 1 column 6" },
		{ "{\"a\":}", "expected value at line 1 column 6" },
		{ "{\"a\":1 \"b\":2}", "expected `,` or `}` at line 1 column 8" },
		{ "{\"a\":1]", "expected `,` or `}` at line 1 column 7" },
		{ "[1 2]", "expected `,` or `]` at line 1 column 4" },
		{ "[1}", "expected `,` or `]` at line 1 column 3" },
		{ "{\"a\":1,}", "trailing comma at line 1 column 8" },
		{ "[1,]", "trailing comma at line 1 column 4" },
		{ "]", "expected value at line 1 column 1" },
		{ "{} {}", "trailing characters at line 1 column 4" },
		{ "1\nx", "trailing characters at line 2 column 1" },
		{ "01", "invalid number at line 1 column 2" },
		{ "-00", "invalid number at line 1 column 3" },
		{ "+1", "expected value at line 1 column 1" },
		{ ".5", "expected value at line 1 column 1" },
		{ "1.x", "invalid number at line 1 column 3" },
		{ "1e+x", "invalid number at line 1 column 4" },
		{ "-x", "invalid number at line 1 column 2" },
		{ "1234567890123456789012345678901234567890123456789012345678901234",
		  "number out of range at line 1 column 64" },
		{ "\"a\nb\"",
		  "control character (\\u0000-\\u001F) found while parsing a string "
		  "at line 2 column 0" },
		{ "\"\\x\"", "invalid escape at line 1 column 3" },
		{ "\"\\u00g0\"", "invalid escape at line 1 column 6" },
		{ "\"\\u0000\"", "NUL character in a string at line 1 column 8" },
		{ "\"\\ud800\"", "lone surrogate in hex escape at line 1 column 8" },
		{ "\"\\udc00\\udc00\"", "lone surrogate in hex escape at line 1 column 8" },
		{ "\"\\ud800\\u0041\"", "lone surrogate in hex escape at line 1 column 14" },
		{ "\"\\ud800\\n\"", "lone surrogate in hex escape at line 1 column 8" },
		{ "\"\xff\"", "invalid unicode code point at line 1 column 3" },
		{ "[[[[[[[[[[[[[[[[[", "recursion limit exceeded at line 1 column 17" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { "" };

		assert_int_equal(json_scan_check(text(bad[i].in, strlen(bad[i].in)), &e),
				 -EBADMSG);
		assert_string_equal(e.text, bad[i].fault);
	}
}

static void check_refuses_nul(void **state)
{
	struct err e;

	assert_int_equal(json_scan_check(text("1\0", 2), &e), -EBADMSG);
	assert_int_equal(json_scan_check(text("\"\0\"", 3), &e), -EBADMSG);
}

static void members_are_found(void **state)
{
	static const char in[] =
		" { \"a\\\"\" : [1, {\"]\":\"}\"}] ,\"b\":12,\"c\" :\"x\\\\\" } ";
	static const char *const values[] = { "[1, {\"]\":\"}\"}]", "12", "\"x\\\\\"" };
	struct text t = text(in, strlen(in));

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		struct json_member m = json_scan_member(t, 1, i);

		assert_true(text_is(text(in + m.value, m.value_end - m.value), values[i]));
		assert_int_equal(in[m.name_end - 1], '"');
	}
	assert_int_equal(json_scan_end(t, 1), strlen(in) - 1);
}

static void elements_are_found(void **state)
{
	static const char in[] = " [ 1,[2,\"],\"] , {\"a\":[]}\n,\"x\" ] ";
	static const char *const values[] = { "1", "[2,\"],\"]", "{\"a\":[]}", "\"x\"" };
	struct text t = text(in, strlen(in));

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		size_t at = json_scan_element(t, 1, i);

		assert_true(text_is(text(in + at, json_scan_end(t, at) - at), values[i]));
	}
}

/* ---- bodies ---- */

static void put_machine_takes_every_field(void **state)
{
	struct action a;
	struct err e;

	assert_int_equal(
		parse(JSON_MACHINE_CONFIG,
		      "{\"vcpu_count\":255,\"mem_size_mib\":18446744073709551615,"
		      "\"smt\":true,\"cpu_template\":\"None\",\"track_dirty_pages\":true,"
		      "\"huge_pages\":\"None\"}",
		      &a, &e),
		0);
	assert_int_equal(a.kind, ACTION_PUT_MACHINE_CONFIG);
	assert_true(a.u.machine.has_vcpu_count && a.u.machine.has_mem_size_mib);
	assert_int_equal(a.u.machine.vcpu_count, 255);
	assert_true(a.u.machine.mem_size_mib == UINT64_MAX);
	assert_true(a.u.machine.has_smt && a.u.machine.smt);
	assert_true(a.u.machine.has_track_dirty_pages && a.u.machine.track_dirty_pages);
	assert_true(a.u.machine.deprecated);
}

static void put_machine_leaves_out_what_is_not_given(void **state)
{
	struct action a;
	struct err e;

	assert_int_equal(
		parse(JSON_MACHINE_CONFIG,
		      "{\"mem_size_mib\":0,\"vcpu\\u005fcount\":0,\"cpu_template\":null}", &a,
		      &e),
		0);
	assert_int_equal(a.u.machine.vcpu_count, 0);
	assert_int_equal(a.u.machine.mem_size_mib, 0);
	assert_false(a.u.machine.has_smt || a.u.machine.has_track_dirty_pages);
	assert_false(a.u.machine.deprecated);
}

static void put_machine_refuses(void **state)
{
	static const struct refusal cases[] = {
		{ "", D "EOF while parsing a value at line 1 column 0." },
		{ "[]", D
		  "invalid type: sequence, expected struct MachineConfig at line 1 column 1." },
		{ " 5", D "invalid type: integer `5`, expected struct MachineConfig "
			  "at line 1 column 2." },
		{ "{\"mem_size_mib\": 128}",
		  D "missing field `vcpu_count` at line 1 column 21." },
		{ "{\"vcpu_count\": 1}",
		  D "missing field `mem_size_mib` at line 1 column 17." },
		{ "{\"x\":1}", D "unknown field `x`, " MACHINE_FIELDS " at line 1 column 4." },
		{ "{\"smt\":true,\n\"smt\":true}",
		  D "duplicate field `smt` at line 2 column 5." },
		{ "{\"vcpu_count\":256}",
		  D "invalid value: integer `256`, expected u8 at line 1 column 17." },
		{ "{\"vcpu_count\":-1}",
		  D "invalid value: integer `-1`, expected u8 at line 1 column 16." },
		{ "{\"vcpu_count\":1.0}",
		  D "invalid type: floating point `1.0`, expected u8 at line 1 column 17." },
		{ "{\"vcpu_count\":1e1}",
		  D "invalid type: floating point `1e1`, expected u8 at line 1 column 17." },
		{ "{\"vcpu_count\":\"1\"}",
		  D "invalid type: string \"1\", expected u8 at line 1 column 17." },
		{ "{\"vcpu_count\":null}",
		  D "invalid type: null, expected u8 at line 1 column 18." },
		{ "{\"vcpu_count\":{}}",
		  D "invalid type: map, expected u8 at line 1 column 15." },
		{ "{\"mem_size_mib\":18446744073709551616}",
		  D "invalid type: floating point `18446744073709551616`, expected usize "
		    "at line 1 column 36." },
		{ "{\"smt\":1}",
		  D "invalid type: integer `1`, expected a boolean at line 1 column 8." },
		{ "{\"mem_size_mib\":true}",
		  D "invalid type: boolean `true`, expected usize at line 1 column 20." },
		{ "{\"huge_pages\":\"7M\"}", D "unknown variant `7M`, expected one of `None`, "
					       "`Transparent`, `2M` at line 1 column 18." },
		{ "{\"huge_pages\":1}", D "expected value at line 1 column 15." },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":1,\"huge_pages\":\"2M\"}",
		  "Machine config error: huge pages are not supported "
		  "(huge_pages is `2M`, only `None` is)." },
		{ "{\"vcpu_count\":1,\"mem_size_mib\":1,\"cpu_template\":\"T2\"}",
		  "Machine config error: CPU templates are not supported "
		  "(cpu_template is `T2`, only `None` is)." },
	};

	assert_refused(JSON_MACHINE_CONFIG, cases, ARRAY_SIZE(cases));
}

static void patch_machine_takes_one_field(void **state)
{
	struct action a;
	struct err e;

	assert_int_equal(parse(JSON_MACHINE_CONFIG_PATCH, "{\"smt\":false,\"vcpu_count\":null}",
			       &a, &e),
			 0);
	assert_int_equal(a.kind, ACTION_PATCH_MACHINE_CONFIG);
	assert_true(a.u.machine.has_smt);
	assert_false(a.u.machine.has_vcpu_count || a.u.machine.has_mem_size_mib);
}

static void patch_machine_refuses(void **state)
{
	static const struct refusal cases[] = {
		{ "{}", "Empty PATCH request." },
		{ "{\"smt\":null}", "Empty PATCH request." },
		{ "{\"y\":1}", D "unknown field `y`, " MACHINE_FIELDS " at line 1 column 4." },
		{ "{\"cpu_template\":\"T2\"}",
		  "Machine config error: CPU templates are not supported "
		  "(cpu_template is `T2`, only `None` is)." },
	};

	assert_refused(JSON_MACHINE_CONFIG_PATCH, cases, ARRAY_SIZE(cases));
}

static void boot_source_is_copied(void **state)
{
	struct action a;
	struct err e;

	assert_int_equal(parse(JSON_BOOT_SOURCE,
			       "{\"kernel_image_path\":\"/k\\u00e9\",\"initrd_path\":\"/i\","
			       "\"boot_args\":\"\"}",
			       &a, &e),
			 0);
	assert_int_equal(a.kind, ACTION_PUT_BOOT_SOURCE);
	assert_true(a.u.boot.present && a.u.boot.has_initrd && a.u.boot.has_boot_args);
	assert_string_equal(a.u.boot.kernel_image_path, "/k\xc3\xa9");
	assert_string_equal(a.u.boot.initrd_path, "/i");
	assert_string_equal(a.u.boot.boot_args, "");
	assert_int_equal(parse(JSON_BOOT_SOURCE,
			       "{\"kernel_image_path\":\"k\",\"initrd_path\":null}", &a, &e),
			 0);
	assert_false(a.u.boot.has_initrd || a.u.boot.has_boot_args);
}

/* A boot source whose field `name` has `len` characters. */
static int parse_long(const char *name, size_t len, struct action *a, struct err *e)
{
	bool kernel = strcmp(name, "kernel_image_path") == 0;
	char *in = NULL;
	int rc;

	assert_true(asprintf(&in, "{%s\"%s\":\"%0*d\"}",
			     kernel ? "" : "\"kernel_image_path\":\"k\",", name, (int)len,
			     0) > 0);
	rc = parse(JSON_BOOT_SOURCE, in, a, e);
	free(in);
	return rc;
}

static void boot_source_bounds_its_strings(void **state)
{
	static const struct {
		const char *name;
		size_t max;
		const char *fault;
	} cases[] = {
		{ "kernel_image_path", CONFIG_PATH_MAX - 1,
		  "Boot source error: The kernel file cannot be opened: "
		  "File name too long (os error 36)" },
		{ "initrd_path", CONFIG_PATH_MAX - 1,
		  "Boot source error: The initrd file cannot be opened due to invalid path or "
		  "invalid permissions. File name too long (os error 36)" },
		{ "boot_args", CONFIG_BOOT_ARGS_MAX,
		  "Boot source error: The kernel command line is invalid: "
		  "boot_args is longer than 2048 bytes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct action a;
		struct err e = { "" };

		assert_int_equal(parse_long(cases[i].name, cases[i].max, &a, &e), 0);
		assert_int_equal(parse_long(cases[i].name, cases[i].max + 1, &a, &e), -EDOM);
		assert_string_equal(e.text, cases[i].fault);
	}
}

static void boot_source_refuses(void **state)
{
	static const struct refusal cases[] = {
		{ "{}", D "missing field `kernel_image_path` at line 1 column 2." },
		{ "{\"kernel_image_path\":null}",
		  D "invalid type: null, expected a string at line 1 column 25." },
		{ "{\"kernel_image_path\":\"a\\u0000b\"}",
		  D "NUL character in a string at line 1 column 30." },
		{ "{\"boot_args\":[]}",
		  D "invalid type: sequence, expected a string at line 1 column 14." },
		{ "{\"kernel\":\"\"}", D "unknown field `kernel`, expected one of "
					 "`kernel_image_path`, `initrd_path`, `boot_args` "
					 "at line 1 column 9." },
	};

	assert_refused(JSON_BOOT_SOURCE, cases, ARRAY_SIZE(cases));
}

static void actions_and_states_are_known(void **state)
{
	static const struct {
		enum json_body body;
		const char *in;
		enum action_kind kind;
	} cases[] = {
		{ JSON_ACTION, "{\"action_type\":\"InstanceStart\"}", ACTION_INSTANCE_START },
		{ JSON_ACTION, "{\"action_type\":\"FlushMetrics\"}", ACTION_FLUSH_METRICS },
		{ JSON_ACTION, "{\"action_type\":\"SendCtrlAltDel\"}",
		  ACTION_SEND_CTRL_ALT_DEL },
		{ JSON_VM_STATE, "{\"state\":\"Paused\"}", ACTION_PAUSE },
		{ JSON_VM_STATE, "{\"state\":\"Resumed\"}", ACTION_RESUME },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct action a;
		struct err e;

		assert_int_equal(parse(cases[i].body, cases[i].in, &a, &e), 0);
		assert_int_equal(a.kind, cases[i].kind);
	}
}

static void actions_and_states_refuse(void **state)
{
	static const struct refusal actions[] = {
		{ "{\"action_type\":\"instancestart\"}",
		  D "unknown variant `instancestart`, expected one of `FlushMetrics`, "
		    "`InstanceStart`, `SendCtrlAltDel` at line 1 column 30." },
		{ "{\"x\":1}",
		  D "unknown field `x`, expected `action_type` at line 1 column 4." },
		{ "{}", D "missing field `action_type` at line 1 column 2." },
	};
	static const struct refusal states[] = {
		{ "{\"state\":\"foo\"}",
		  D "unknown variant `foo`, expected `Paused` or `Resumed` "
		    "at line 1 column 14." },
	};

	assert_refused(JSON_ACTION, actions, ARRAY_SIZE(actions));
	assert_refused(JSON_VM_STATE, states, ARRAY_SIZE(states));
}

static void what_is_echoed_is_cut(void **state)
{
	struct action a;
	struct err e = { "" };
	char in[400] = "{\"";

	for (size_t i = 2; i + 2 < 300; i += 2)
		memcpy(in + i, "\xc3\xa9", 3);
	strcat(in, "\":1}");
	assert_int_equal(parse(JSON_MACHINE_CONFIG, in, &a, &e), -EINVAL);
	assert_true(strlen(e.text) < sizeof(e.text) - 1);
	assert_int_equal(text_utf8_len(text(e.text, strlen(e.text))), strlen(e.text));
}

/* ---- replies ---- */

static void assert_reply(const struct reply *r, const char *expected)
{
	char *out = json_reply(r);

	assert_non_null(out);
	assert_string_equal(out, expected);
	free(out);
}

#define MACHINE_128                                                                         \
	"{\"vcpu_count\":1,\"mem_size_mib\":128,\"smt\":false,\"track_dirty_pages\":false," \
	"\"huge_pages\":\"None\"}"

static void replies_are_exact(void **state)
{
	struct vm_config c;
	struct reply r = { .id = "my-vm", .version = "1.2", .config = &c };

	config_init(&c);
	r.kind = REPLY_INSTANCE;
	assert_reply(&r, "{\"id\":\"my-vm\",\"state\":\"Not started\",\"vmm_version\":\"1.2\","
			 "\"app_name\":\"Firecracker\"}");
	r.state = INSTANCE_RUNNING;
	assert_reply(&r, "{\"id\":\"my-vm\",\"state\":\"Running\",\"vmm_version\":\"1.2\","
			 "\"app_name\":\"Firecracker\"}");
	r.state = INSTANCE_PAUSED;
	assert_reply(&r, "{\"id\":\"my-vm\",\"state\":\"Paused\",\"vmm_version\":\"1.2\","
			 "\"app_name\":\"Firecracker\"}");
	r.kind = REPLY_VERSION;
	assert_reply(&r, "{\"firecracker_version\":\"1.2\"}");
	r.kind = REPLY_MACHINE_CONFIG;
	assert_reply(&r, MACHINE_128);
	c.machine.mem_size_mib = UINT64_MAX;
	assert_reply(&r,
		     "{\"vcpu_count\":1,\"mem_size_mib\":18446744073709551615,\"smt\":false,"
		     "\"track_dirty_pages\":false,\"huge_pages\":\"None\"}");
}

static void faults_are_escaped_and_whole(void **state)
{
	struct reply r = { .kind = REPLY_FAULT };

	strcpy(r.fault.text, "a\"\\\n\x01\x7f\xc3\xa9\xc3");
	assert_reply(&r, "{\"fault_message\":\"a\\\"\\\\\\n\\u0001\x7f\xc3\xa9\"}");
}

static void http_errors_are_json(void **state)
{
	char *out = json_http_error("Invalid \"x\".");

	assert_string_equal(out, "{ \"error\": \"Invalid \\\"x\\\".\\nAll previous unanswered "
				 "requests will be dropped.\" }");
	free(out);
}

#define CONFIG(boot)                                                                       \
	"{\"balloon\":null,\"drives\":[],\"boot-source\":" boot                            \
	",\"cpu-config\":null,\"logger\":null,\"machine-config\":" MACHINE_128             \
	",\"metrics\":null,\"mmds-config\":null,\"network-interfaces\":[],\"vsock\":null," \
	"\"entropy\":null,\"pmem\":[],\"memory-hotplug\":null}"

static void config_prints_every_section(void **state)
{
	struct vm_config c;
	struct reply r = { .kind = REPLY_VM_CONFIG, .config = &c };

	config_init(&c);
	assert_reply(&r, CONFIG("null"));
	c.boot.present = true;
	strcpy(c.boot.kernel_image_path, "/k");
	assert_reply(&r, CONFIG("{\"kernel_image_path\":\"/k\",\"initrd_path\":null,"
				"\"boot_args\":null}"));
	c.boot.has_initrd = c.boot.has_boot_args = true;
	strcpy(c.boot.initrd_path, "/i");
	assert_reply(&r, CONFIG("{\"kernel_image_path\":\"/k\",\"initrd_path\":\"/i\","
				"\"boot_args\":\"\"}"));
}

/* ---- the configuration file ---- */

static struct action actions[JSON_CONFIG_ACTIONS];

static int parse_config(const char *in, struct err *e)
{
	return json_parse_config(in, strlen(in), actions, ARRAY_SIZE(actions), e);
}

static void config_reads_what_it_prints(void **state)
{
	struct vm_config c;
	struct reply r = { .kind = REPLY_VM_CONFIG, .config = &c };
	struct err e;
	char *printed;

	config_init(&c);
	c.machine.vcpu_count = 3;
	c.boot.present = true;
	strcpy(c.boot.kernel_image_path, "/k");
	printed = json_reply(&r);
	assert_int_equal(parse_config(printed, &e), 2);
	free(printed);
	assert_int_equal(actions[0].kind, ACTION_PUT_MACHINE_CONFIG);
	assert_int_equal(actions[0].u.machine.vcpu_count, 3);
	assert_int_equal(actions[1].kind, ACTION_PUT_BOOT_SOURCE);
	assert_string_equal(actions[1].u.boot.kernel_image_path, "/k");
}

static void config_needs_a_boot_source_only(void **state)
{
	struct err e;

	assert_int_equal(
		parse_config("{\"unknown\":{},\"boot-source\":{\"kernel_image_path\":\"k\"}}",
			     &e),
		1);
	assert_int_equal(actions[0].kind, ACTION_PUT_BOOT_SOURCE);
}

static void config_refuses(void **state)
{
	static const struct refusal cases[] = {
		{ "", "Invalid JSON: EOF while parsing a value at line 1 column 0." },
		{ "[]",
		  "Invalid JSON: invalid type, expected struct VmmConfig at line 1 column 1." },
		{ "{}", "Invalid JSON: missing field `boot-source` at line 1 column 2." },
		{ "{\"boot-source\":null}",
		  "Invalid JSON: missing field `boot-source` at line 1 column 20." },
		{ "{\"boot-source\":1}",
		  "Invalid JSON: invalid type: integer `1`, expected struct "
		  "BootSourceConfig at line 1 column 16." },
		{ "{\"boot-source\":{\"kernel_image_path\":\"k\",\n\"x\":1}}",
		  "Invalid JSON: unknown field `x`, expected one of `kernel_image_path`, "
		  "`initrd_path`, `boot_args` at line 2 column 3." },
		{ "{\"drives\":[],\"drives\":[]}",
		  "Invalid JSON: duplicate field `drives` at line 1 column 21." },
		{ "{\"entropy\":{}}", "The section `entropy` is not served by this version." },
		{ "{\"machine-config\":{\"vcpu_count\":1},\"boot-source\":"
		  "{\"kernel_image_path\":\"k\"}}",
		  "Invalid JSON: missing field `mem_size_mib` at line 1 column 34." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { "" };

		assert_int_equal(parse_config(cases[i].in, &e), -EINVAL);
		assert_string_equal(e.text, cases[i].fault);
	}
}

static void config_needs_room(void **state)
{
	struct err e;

	assert_int_equal(json_parse_config("{}", 2, actions, 1, &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_accepts_json),
		cmocka_unit_test(check_refuses_what_is_no_json),
		cmocka_unit_test(check_refuses_nul),
		cmocka_unit_test(members_are_found),
		cmocka_unit_test(elements_are_found),
		cmocka_unit_test(put_machine_takes_every_field),
		cmocka_unit_test(put_machine_leaves_out_what_is_not_given),
		cmocka_unit_test(put_machine_refuses),
		cmocka_unit_test(patch_machine_takes_one_field),
		cmocka_unit_test(patch_machine_refuses),
		cmocka_unit_test(boot_source_is_copied),
		cmocka_unit_test(boot_source_bounds_its_strings),
		cmocka_unit_test(boot_source_refuses),
		cmocka_unit_test(actions_and_states_are_known),
		cmocka_unit_test(actions_and_states_refuse),
		cmocka_unit_test(what_is_echoed_is_cut),
		cmocka_unit_test(replies_are_exact),
		cmocka_unit_test(faults_are_escaped_and_whole),
		cmocka_unit_test(http_errors_are_json),
		cmocka_unit_test(config_prints_every_section),
		cmocka_unit_test(config_reads_what_it_prints),
		cmocka_unit_test(config_needs_a_boot_source_only),
		cmocka_unit_test(config_refuses),
		cmocka_unit_test(config_needs_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
