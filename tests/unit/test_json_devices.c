/* SPDX-License-Identifier: Apache-2.0 */
/* api/json_devices: drives, network interfaces and rate limiters, in and out. */
#include "api/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#define D "An error occurred when deserializing the json body of a request: "
#define DRIVE_FIELDS                                                               \
	"expected one of `drive_id`, `partuuid`, `is_root_device`, `cache_type`, " \
	"`is_read_only`, `path_on_host`, `rate_limiter`, `io_engine`, `socket`"
#define CREATE "Drive config error: Unable to create the virtio block device: "
#define NET "Network config error: Could not create the network device: "
#define BAD_ID "API Resource IDs can only contain alphanumeric characters and underscores."

/* A drive and an interface with what they need, and more behind it. */
#define DRIVE(more) \
	"{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"/a\"" more "}"
#define IFACE(more) "{\"iface_id\":\"e\",\"host_dev_name\":\"tap0\"" more "}"

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

static void parse_good(enum json_body body, const char *in, struct action *a)
{
	struct err e = { "" };
	int rc = parse(body, in, a, &e);

	if (rc < 0)
		fail_msg("%s: %s", in, e.text);
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

/* ---- drives ---- */

static void a_drive_takes_every_field(void **state)
{
	struct action a;
	const struct drive_config *d = &a.u.drive;

	parse_good(
		JSON_DRIVE,
		"{\"drive_id\":\"root_1\",\"partuuid\":\"0eaa91a0-01\",\"is_root_device\":true,"
		"\"cache_type\":\"Writeback\",\"is_read_only\":true,\"path_on_host\":\"/d\","
		"\"rate_limiter\":{\"bandwidth\":{\"size\":1,\"one_time_burst\":2,"
		"\"refill_time\":3},\"ops\":{\"refill_time\":18446744073709551615,"
		"\"size\":5}},\"io_engine\":\"Async\",\"socket\":null,\"direct\":true}",
		&a);
	assert_int_equal(a.kind, ACTION_PUT_DRIVE);
	assert_string_equal(d->id, "root_1");
	assert_string_equal(d->path, "/d");
	assert_true(d->has_partuuid);
	assert_string_equal(d->partuuid, "0eaa91a0-01");
	assert_true(d->is_root_device && d->is_read_only && d->direct);
	assert_int_equal(d->cache, CACHE_WRITEBACK);
	assert_int_equal(d->engine, ENGINE_ASYNC);
	assert_true(d->limit.present && d->limit.bandwidth.present && d->limit.ops.present);
	assert_int_equal(d->limit.bandwidth.size, 1);
	assert_true(d->limit.bandwidth.has_one_time_burst);
	assert_int_equal(d->limit.bandwidth.one_time_burst, 2);
	assert_int_equal(d->limit.bandwidth.refill_time_ms, 3);
	assert_int_equal(d->limit.ops.size, 5);
	assert_false(d->limit.ops.has_one_time_burst);
	assert_true(d->limit.ops.refill_time_ms == UINT64_MAX);
}

static void a_drive_has_defaults(void **state)
{
	static const char *const same[] = {
		DRIVE(""),
		DRIVE(",\"partuuid\":null,\"is_read_only\":null,\"rate_limiter\":null,"
		      "\"io_engine\":null,\"socket\":null"),
		DRIVE(",\"is_read_only\":false,\"cache_type\":\"Unsafe\",\"io_engine\":\"Sync\","
		      "\"direct\":false"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		struct action a;
		const struct drive_config *d = &a.u.drive;

		memset(&a, 0xff, sizeof(a));
		parse_good(JSON_DRIVE, same[i], &a);
		assert_false(d->has_partuuid || d->is_root_device || d->is_read_only ||
			     d->direct || d->limit.present);
		assert_int_equal(d->cache, CACHE_UNSAFE);
		assert_int_equal(d->engine, ENGINE_SYNC);
	}
}

static void a_drive_refuses(void **state)
{
	static const struct refusal cases[] = {
		{ "{}", D "missing field `drive_id` at line 1 column 2." },
		{ "{\"drive_id\":\"a\"}",
		  D "missing field `is_root_device` at line 1 column 16." },
		{ DRIVE(",\"x\":1"),
		  D "unknown field `x`, " DRIVE_FIELDS " at line 1 column 62." },
		{ DRIVE(",\"direct\":1"), D "invalid type: integer `1`, expected a boolean "
					    "at line 1 column 69." },
		{ DRIVE(",\"cache_type\":null"), D "expected value at line 1 column 73." },
		{ DRIVE(",\"cache_type\":\"writeback\""),
		  D "unknown variant `writeback`, expected `Unsafe` or `Writeback` "
		    "at line 1 column 83." },
		{ DRIVE(",\"io_engine\":\"Uring\""),
		  D "unknown variant `Uring`, expected `Sync` or `Async` "
		    "at line 1 column 78." },
		{ DRIVE(",\"rate_limiter\":5"),
		  D "invalid type: integer `5`, expected struct RateLimiterConfig "
		    "at line 1 column 75." },
		{ DRIVE(",\"socket\":\"/s\""),
		  CREATE "a vhost-user backend (socket) is not supported." },
		{ "{\"drive_id\":\"a\",\"is_root_device\":false,\"socket\":\"/s\"}",
		  CREATE "a vhost-user backend (socket) is not supported." },
		{ "{\"drive_id\":\"a\",\"is_root_device\":false}",
		  CREATE "Invalid block config: no path_on_host." },
		{ "{\"drive_id\":\"a-b\",\"is_root_device\":true,\"path_on_host\":\"\"}",
		  BAD_ID },
		{ "{\"drive_id\":\"\",\"is_root_device\":true,\"path_on_host\":\"\"}",
		  "The ID cannot be empty." },
		{ DRIVE(",\"partuuid\":\"\""),
		  "Drive config error: partuuid is not one word of printable ASCII without "
		  "quotes." },
		{ DRIVE(",\"partuuid\":\"a b\""),
		  "Drive config error: partuuid is not one word of printable ASCII without "
		  "quotes." },
		{ DRIVE(",\"partuuid\":\"a\\\"\""),
		  "Drive config error: partuuid is not one word of printable ASCII without "
		  "quotes." },
		{ DRIVE(",\"partuuid\":\"\\u00e9\""),
		  "Drive config error: partuuid is not one word of printable ASCII without "
		  "quotes." },
	};

	assert_refused(JSON_DRIVE, cases, ARRAY_SIZE(cases));
}

/* A text with `len` characters where the format has "%0*d". */
static int parse_long(enum json_body body, const char *head, size_t len, struct action *a,
		      struct err *e)
{
	char *in = NULL;
	int rc;

	assert_true(asprintf(&in, "%s%0*d\"}", head, (int)len, 0) > 0);
	rc = parse(body, in, a, e);
	free(in);
	return rc;
}

#define PATH_0 "0000000000000000000000000000000000000000000000000000000000000000"

static void strings_are_bounded(void **state)
{
	static const struct {
		enum json_body body;
		const char *head;
		size_t max;
		const char *fault;
	} cases[] = {
		{ JSON_DRIVE, "{\"drive_id\":\"a\",\"is_root_device\":true,\"path_on_host\":\"",
		  CONFIG_PATH_MAX - 1,
		  CREATE "Virtio backend error: Error manipulating the backing file: "
			 "File name too long (os error 36) " PATH_0 },
		{ JSON_DRIVE, "{\"is_root_device\":true,\"path_on_host\":\"d\",\"drive_id\":\"",
		  CONFIG_ID_MAX, "API Resource IDs have at most 64 characters." },
		{ JSON_DRIVE,
		  "{\"drive_id\":\"a\",\"is_root_device\":true,\"path_on_host\":\"d\","
		  "\"partuuid\":\"",
		  CONFIG_PARTUUID_MAX,
		  "Drive config error: partuuid is longer than 64 bytes." },
		{ JSON_DRIVE_PATCH, "{\"drive_id\":\"a\",\"path_on_host\":\"",
		  CONFIG_PATH_MAX - 1,
		  "Drive config error: Unable to patch the block device: Block: Virtio backend "
		  "error: Error manipulating the backing file: File name too long "
		  "(os error 36) " PATH_0 },
		{ JSON_DRIVE_PATCH, "{\"drive_id\":\"", CONFIG_ID_MAX,
		  "API Resource IDs have at most 64 characters." },
		{ JSON_NET, "{\"host_dev_name\":\"t\",\"iface_id\":\"", CONFIG_ID_MAX,
		  "API Resource IDs have at most 64 characters." },
		{ JSON_NET, "{\"iface_id\":\"a\",\"host_dev_name\":\"", CONFIG_IFNAME_MAX,
		  NET "Open tap device failed: no name of an interface: 0000000000000000" },
		{ JSON_NET_PATCH, "{\"iface_id\":\"", CONFIG_ID_MAX,
		  "API Resource IDs have at most 64 characters." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct action a;
		struct err e = { "" };

		assert_int_equal(parse_long(cases[i].body, cases[i].head, cases[i].max, &a, &e),
				 0);
		assert_int_equal(parse_long(cases[i].body, cases[i].head, cases[i].max + 1, &a,
					    &e),
				 is_about_values(cases[i].fault) ? -EDOM : -EINVAL);
		assert_string_equal(e.text, cases[i].fault);
	}
}

static void a_drive_is_patched(void **state)
{
	struct action a;
	const struct drive_update *u = &a.u.drive_update;

	parse_good(JSON_DRIVE_PATCH, "{\"drive_id\":\"a\"}", &a);
	assert_int_equal(a.kind, ACTION_PATCH_DRIVE);
	assert_string_equal(u->id, "a");
	assert_false(u->has_path || u->limit.present);
	parse_good(JSON_DRIVE_PATCH,
		   "{\"drive_id\":\"a\",\"path_on_host\":\"/b\",\"rate_limiter\":{}}", &a);
	assert_true(u->has_path && u->limit.present);
	assert_string_equal(u->path, "/b");
	assert_false(u->limit.bandwidth.present || u->limit.ops.present);
	parse_good(JSON_DRIVE_PATCH,
		   "{\"drive_id\":\"a\",\"path_on_host\":null,\"rate_limiter\":{\"ops\":null,"
		   "\"bandwidth\":{\"size\":0,\"refill_time\":0}}}",
		   &a);
	assert_false(u->has_path);
	assert_true(u->limit.bandwidth.present);
	assert_false(u->limit.ops.present);
}

static void a_drive_patch_refuses(void **state)
{
#define PATCHABLE "expected one of `drive_id`, `path_on_host`, `rate_limiter`"
	static const struct refusal cases[] = {
		{ "{}", D "missing field `drive_id` at line 1 column 2." },
		{ "{\"drive_id\":null}",
		  D "invalid type: null, expected a string at line 1 column 16." },
		{ "{\"is_read_only\":true}",
		  D "unknown field `is_read_only`, " PATCHABLE " at line 1 column 15." },
		{ "{\"io_engine\":\"Sync\"}",
		  D "unknown field `io_engine`, " PATCHABLE " at line 1 column 12." },
		{ "{\"is_root_device\":true}",
		  D "unknown field `is_root_device`, " PATCHABLE " at line 1 column 17." },
		{ "{\"direct\":true}",
		  D "unknown field `direct`, " PATCHABLE " at line 1 column 9." },
		{ "{\"drive_id\":\"a.b\"}", BAD_ID },
	};

	assert_refused(JSON_DRIVE_PATCH, cases, ARRAY_SIZE(cases));
}

/* ---- rate limiters ---- */

static void limiters_refuse(void **state)
{
#define L(limiter) "{\"rate_limiter\":" limiter ",\"drive_id\":\"a\"}"
	static const struct refusal cases[] = {
		{ L("[]"), D "invalid type: sequence, expected struct RateLimiterConfig "
			     "at line 1 column 17." },
		{ L("{\"bytes\":{}}"), D "unknown field `bytes`, expected `bandwidth` or `ops` "
					 "at line 1 column 24." },
		{ L("{\"ops\":{},\"ops\":{}}"),
		  D "duplicate field `ops` at line 1 column 31." },
		{ L("{\"ops\":7}"), D "invalid type: integer `7`, expected struct "
				      "TokenBucketConfig at line 1 column 24." },
		{ L("{\"ops\":{}}"), D "missing field `size` at line 1 column 25." },
		{ L("{\"bandwidth\":{\"size\":1}}"),
		  D "missing field `refill_time` at line 1 column 39." },
		{ L("{\"ops\":{\"size\":-1}}"),
		  D "invalid value: integer `-1`, expected u64 at line 1 column 33." },
		{ L("{\"ops\":{\"size\":1.5}}"),
		  D "invalid type: floating point `1.5`, expected u64 at line 1 column 34." },
		{ L("{\"ops\":{\"refill_time\":18446744073709551616}}"),
		  D "invalid type: floating point `18446744073709551616`, expected u64 "
		    "at line 1 column 58." },
		{ L("{\"ops\":{\"one_time_burst\":\"1\"}}"),
		  D "invalid type: string \"1\", expected u64 at line 1 column 44." },
		{ L("{\"ops\":{\"size\":1,\"size\":1,\"refill_time\":1}}"),
		  D "duplicate field `size` at line 1 column 39." },
	};

	assert_refused(JSON_DRIVE_PATCH, cases, ARRAY_SIZE(cases));
}

static void buckets_ignore_what_they_do_not_know(void **state)
{
	struct action a;
	const struct token_bucket_config *b = &a.u.drive_update.limit.ops;

	parse_good(JSON_DRIVE_PATCH,
		   L("{\"ops\":{\"x\":{},\"size\":7,\"x\":[1],\"one_time_burst\":null,"
		     "\"refill_time\":8,\"\":0}}"),
		   &a);
	assert_int_equal(b->size, 7);
	assert_int_equal(b->refill_time_ms, 8);
	assert_false(b->has_one_time_burst);
}

/* ---- interfaces ---- */

static void an_interface_takes_every_field(void **state)
{
	static const uint8_t mac[6] = { 0x06, 0x00, 0xac, 0x10, 0x0f, 0xfe };
	struct action a;
	const struct net_config *n = &a.u.net;

	parse_good(JSON_NET,
		   "{\"iface_id\":\"eth0\",\"host_dev_name\":\"tap-0.123456789\","
		   "\"guest_mac\":\"06:00:aC:10:0F:fe\",\"mtu\":65535,"
		   "\"rx_rate_limiter\":{\"ops\":{\"size\":1,\"refill_time\":2}},"
		   "\"tx_rate_limiter\":{\"bandwidth\":{\"size\":3,\"refill_time\":4}}}",
		   &a);
	assert_int_equal(a.kind, ACTION_PUT_NET);
	assert_string_equal(n->id, "eth0");
	assert_string_equal(n->host_dev_name, "tap-0.123456789");
	assert_true(n->has_mac);
	assert_memory_equal(n->mac, mac, 6);
	assert_int_equal(n->mtu, 65535);
	assert_int_equal(n->rx_limit.ops.size, 1);
	assert_false(n->rx_limit.bandwidth.present || n->tx_limit.ops.present);
	assert_int_equal(n->tx_limit.bandwidth.refill_time_ms, 4);
}

static void an_interface_has_defaults(void **state)
{
	struct action a;
	const struct net_config *n = &a.u.net;

	parse_good(JSON_NET,
		   IFACE(",\"guest_mac\":null,\"mtu\":null,\"rx_rate_limiter\":null,"
			 "\"tx_rate_limiter\":null"),
		   &a);
	assert_false(n->has_mac || n->rx_limit.present || n->tx_limit.present);
	assert_int_equal(n->mtu, 0);
}

static void an_interface_refuses(void **state)
{
#define MAC_FAULT(column) D "The provided MAC address is invalid. at line 1 column " column "."
	static const struct refusal cases[] = {
		{ "{}", D "missing field `iface_id` at line 1 column 2." },
		{ "{\"iface_id\":\"e\"}",
		  D "missing field `host_dev_name` at line 1 column 16." },
		{ IFACE(",\"x\":1"),
		  D "unknown field `x`, expected one of `iface_id`, `host_dev_name`, "
		    "`guest_mac`, `mtu`, `rx_rate_limiter`, `tx_rate_limiter` "
		    "at line 1 column 42." },
		{ IFACE(",\"guest_mac\":1"),
		  D "invalid type: integer `1`, expected a string at line 1 column 52." },
		{ IFACE(",\"guest_mac\":\"\""), MAC_FAULT("53") },
		{ IFACE(",\"guest_mac\":\"06:00:00:00:00\""), MAC_FAULT("67") },
		{ IFACE(",\"guest_mac\":\"06:00:00:00:00:0\""), MAC_FAULT("69") },
		{ IFACE(",\"guest_mac\":\"06:00:00:00:00:001\""), MAC_FAULT("71") },
		{ IFACE(",\"guest_mac\":\"06:00:00:00:00:01:\""), MAC_FAULT("71") },
		{ IFACE(",\"guest_mac\":\"06:00:00:00:00:0g\""), MAC_FAULT("70") },
		{ IFACE(",\"guest_mac\":\"06:00:00:00:00: 1\""), MAC_FAULT("70") },
		{ IFACE(",\"guest_mac\":\"06:00:00:00:+0:01\""), MAC_FAULT("70") },
		{ IFACE(",\"guest_mac\":\"06-00-00-00-00-01\""), MAC_FAULT("70") },
		{ IFACE(",\"guest_mac\":\"060:0:00:00:00:01\""), MAC_FAULT("70") },
		{ IFACE(",\"mtu\":65536"),
		  D "invalid value: integer `65536`, expected u16 at line 1 column 50." },
		{ IFACE(",\"mtu\":67"), NET "MTU 67 is out of range [68, 65535]" },
		{ IFACE(",\"mtu\":10"), NET "MTU 10 is out of range [68, 65535]" },
		{ IFACE(",\"mtu\":0"), NET "MTU 0 is out of range [68, 65535]" },
		{ "{\"iface_id\":\"e-0\",\"host_dev_name\":\"t\"}", BAD_ID },
	};

	assert_refused(JSON_NET, cases, ARRAY_SIZE(cases));
}

static void interface_names_are_those_of_linux(void **state)
{
	static const char *const bad[] = { "",	  ".",	 ".. ", "..",	"a/b",
					   "a:b", "a b", "a%d", "a\\n", "a\\t" };
	static const char *const good[] = { "...", "a", "tap_0-x.y@z", "\\u00e9" };
	char in[128];
	struct action a;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err e = { "" };

		snprintf(in, sizeof(in), "{\"iface_id\":\"e\",\"host_dev_name\":\"%s\"}",
			 bad[i]);
		assert_int_equal(parse(JSON_NET, in, &a, &e), -EDOM);
		assert_non_null(strstr(e.text, NET "Open tap device failed: no name"));
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(in, sizeof(in), "{\"iface_id\":\"e\",\"host_dev_name\":\"%s\"}",
			 good[i]);
		parse_good(JSON_NET, in, &a);
	}
}

static void an_interface_is_patched(void **state)
{
	static const struct refusal cases[] = {
		{ "{\"iface_id\":\"e\",\"guest_mac\":null}",
		  D "unknown field `guest_mac`, expected one of `iface_id`, `rx_rate_limiter`, "
		    "`tx_rate_limiter` at line 1 column 27." },
		{ "{\"iface_id\":\"e\",\"tx_rate_limiter\":{\"bytes\":null}}",
		  D "unknown field `bytes`, expected `bandwidth` or `ops` "
		    "at line 1 column 42." },
		{ "{\"rx_rate_limiter\":{}}",
		  D "missing field `iface_id` at line 1 column 22." },
	};
	struct action a;

	parse_good(JSON_NET_PATCH,
		   "{\"iface_id\":\"e\",\"rx_rate_limiter\":null,\"tx_rate_limiter\":"
		   "{\"ops\":{\"size\":1,\"refill_time\":2}}}",
		   &a);
	assert_int_equal(a.kind, ACTION_PATCH_NET);
	assert_string_equal(a.u.net_update.id, "e");
	assert_false(a.u.net_update.rx_limit.present);
	assert_int_equal(a.u.net_update.tx_limit.ops.size, 1);
	assert_refused(JSON_NET_PATCH, cases, ARRAY_SIZE(cases));
}

/* ---- the configuration, out and in ---- */

static struct action actions[JSON_CONFIG_ACTIONS];

static int parse_config(const char *in, struct err *e)
{
	return json_parse_config(in, strlen(in), actions, ARRAY_SIZE(actions), e);
}

/* What GET /vm/config says of the drives and interfaces. */
static char *print(const struct vm_config *c)
{
	return json_reply(&(struct reply){ .kind = REPLY_VM_CONFIG, .config = c });
}

static void put_all(struct vm_config *c, int n)
{
	struct err e;

	for (int i = 0; i < n; i++) {
		if (actions[i].kind == ACTION_PUT_DRIVE)
			assert_true(config_put_drive(c, &actions[i].u.drive, &e) >= 0);
		if (actions[i].kind == ACTION_PUT_NET)
			assert_true(config_put_net(c, &actions[i].u.net, &e) >= 0);
	}
}

#define BOOT "\"boot-source\":{\"kernel_image_path\":\"k\"}"

static void devices_are_printed_with_all_their_keys(void **state)
{
	static const char in[] = "{" BOOT ",\"network-interfaces\":[" IFACE(
		"") ","
		    "{\"iface_id\":\"f\",\"host_dev_name\":\"t\",\"guest_mac\":\"0A:0b:00:00:00:01\","
		    "\"mtu\":68,\"rx_rate_limiter\":{},\"tx_rate_limiter\":{\"ops\":{\"size\":"
		    "18446744073709551615,\"refill_time\":1,\"one_time_burst\":0}}}],"
		    "\"drives\":[" DRIVE(
			    "") ",{\"drive_id\":\"r\",\"is_root_device\":true,"
				"\"path_on_host\":\"/\\\"r\",\"is_read_only\":true,\"cache_type\":\"Writeback\","
				"\"io_engine\":\"Async\",\"direct\":true,\"partuuid\":\"u\",\"rate_limiter\":"
				"{\"ops\":{\"size\":0,\"refill_time\":1},\"bandwidth\":{\"size\":1,"
				"\"one_time_burst\":2,\"refill_time\":3}}}]}";
	static const char *const parts[] = {
		"\"drives\":[{\"drive_id\":\"r\",\"partuuid\":\"u\",\"is_root_device\":true,"
		"\"cache_type\":\"Writeback\",\"is_read_only\":true,\"path_on_host\":\"/\\\"r\","
		"\"rate_limiter\":{\"bandwidth\":{\"size\":1,\"one_time_burst\":2,"
		"\"refill_time\":3},\"ops\":null},\"io_engine\":\"Async\",\"socket\":null,"
		"\"direct\":true},{\"drive_id\":\"a\",\"partuuid\":null,"
		"\"is_root_device\":false,\"cache_type\":\"Unsafe\",\"is_read_only\":false,"
		"\"path_on_host\":\"/a\",\"rate_limiter\":null,\"io_engine\":\"Sync\","
		"\"socket\":null}],",
		"\"network-interfaces\":[{\"iface_id\":\"e\",\"host_dev_name\":\"tap0\","
		"\"guest_mac\":null,\"mtu\":null,\"rx_rate_limiter\":null,"
		"\"tx_rate_limiter\":null},{\"iface_id\":\"f\",\"host_dev_name\":\"t\","
		"\"guest_mac\":\"0a:0b:00:00:00:01\",\"mtu\":68,\"rx_rate_limiter\":null,"
		"\"tx_rate_limiter\":{\"bandwidth\":null,\"ops\":{\"size\":"
		"18446744073709551615,\"one_time_burst\":null,\"refill_time\":1}}}],",
	};
	struct vm_config c, again;
	struct err e;
	char *first, *second;

	config_init(&c);
	config_init(&again);
	assert_int_equal(parse_config(in, &e), 5);
	put_all(&c, 5);
	c.boot = again.boot = actions[0].u.boot;
	first = print(&c);
	assert_non_null(first);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strstr(first, parts[i]))
			fail_msg("no %s in %s", parts[i], first);
	assert_int_equal(parse_config(first, &e), 6);
	put_all(&again, 6);
	second = print(&again);
	assert_non_null(second);
	assert_string_equal(first, second);
	free(first);
	free(second);
	config_free(&c);
	config_free(&again);
}

static void devices_come_after_machine_and_boot_source(void **state)
{
	static const enum action_kind kinds[] = { ACTION_PUT_MACHINE_CONFIG,
						  ACTION_PUT_BOOT_SOURCE, ACTION_PUT_DRIVE,
						  ACTION_PUT_DRIVE, ACTION_PUT_NET };
	struct err e;

	assert_int_equal(
		parse_config("{\"network-interfaces\":[" IFACE("") "],\"drives\":[" DRIVE(
				     "") ", " DRIVE("") "]," BOOT
							",\"machine-config\":{\"vcpu_count\":1,"
							"\"mem_size_mib\":1}}",
			     &e),
		5);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		assert_int_equal(actions[i].kind, kinds[i]);
}

static void config_refuses_devices(void **state)
{
	static const struct refusal cases[] = {
		{ "{\"drives\":{}," BOOT "}", "Invalid JSON: invalid type: map, expected a "
					      "sequence at line 1 column 11." },
		{ "{" BOOT ",\"network-interfaces\":7}",
		  "Invalid JSON: invalid type: integer `7`, expected a sequence "
		  "at line 1 column 63." },
		{ "{\"drives\":[1]," BOOT "}",
		  "Invalid JSON: invalid type: integer `1`, expected struct "
		  "BlockDeviceConfig at line 1 column 12." },
		{ "{\"drives\":[" DRIVE("") ",\n{\"x\":1}]," BOOT "}",
		  "Invalid JSON: unknown field `x`, " DRIVE_FIELDS " at line 2 column 4." },
		{ "{\"network-interfaces\":[" IFACE(",\"mtu\":1") "]," BOOT "}",
		  NET "MTU 1 is out of range [68, 65535]" },
		{ "{\"drives\":[{\"drive_id\":\"a/b\",\"is_root_device\":true,"
		  "\"path_on_host\":\"\"}]," BOOT "}",
		  BAD_ID },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { "" };

		assert_int_equal(parse_config(cases[i].in, &e), -EINVAL);
		assert_string_equal(e.text, cases[i].fault);
	}
}

static void config_bounds_the_number_of_devices(void **state)
{
	char *in = malloc(100000);
	struct err e = { "" };

	assert_non_null(in);
	strcpy(in, "{" BOOT ",\"network-interfaces\":[" IFACE("") "],\"drives\":[" DRIVE(""));
	for (int i = 2; i < CONFIG_DEVICES_MAX; i++)
		strcat(in, "," DRIVE(""));
	strcat(in, "]}");
	/* Whether the ids are different is not asked here. */
	assert_int_equal(parse_config(in, &e), 1 + CONFIG_DEVICES_MAX);
	in[strlen(in) - 2] = '\0';
	strcat(in, "," DRIVE("") "]}");
	assert_int_equal(parse_config(in, &e), -EINVAL);
	assert_string_equal(e.text,
			    "More than 32 drives and network interfaces are not supported.");
	free(in);
}

/* ---- memory ---- */

static unsigned allocations_left;

static void *short_malloc(size_t size)
{
	return allocations_left == 0 ? NULL : (allocations_left--, malloc(size));
}

/* Fail the first allocation, the second, and so on until none fails. */
static void memory_may_be_short_at_any_time(void **state)
{
	static const char in[] =
		"{" BOOT ",\"network-interfaces\":[" IFACE("") "],\"drives\":[" DRIVE(
			",\"partuuid\":\"u\",\"rate_limiter\":{\"ops\":{\"size\":1,"
			"\"refill_time\":2}}") "]}";
	cJSON_Hooks hooks = { short_malloc, free };
	struct vm_config c;
	unsigned n = 0;
	struct err e;
	char *out = NULL;
	int rc;

	config_init(&c);
	cJSON_InitHooks(&hooks);
	for (rc = -ENOMEM; rc == -ENOMEM && n < 1000; n++) {
		allocations_left = n;
		rc = parse_config(in, &e);
	}
	assert_int_equal(rc, 3);
	assert_true(n > 30);
	put_all(&c, 3);
	for (n = 0; !out && n < 1000; n++) {
		allocations_left = n;
		out = print(&c);
	}
	cJSON_InitHooks(NULL);
	assert_non_null(out);
	assert_true(n > 30);
	assert_non_null(strstr(out, "\"ops\":{\"size\":1,"));
	free(out);
	config_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_drive_takes_every_field),
		cmocka_unit_test(a_drive_has_defaults),
		cmocka_unit_test(a_drive_refuses),
		cmocka_unit_test(strings_are_bounded),
		cmocka_unit_test(a_drive_is_patched),
		cmocka_unit_test(a_drive_patch_refuses),
		cmocka_unit_test(limiters_refuse),
		cmocka_unit_test(buckets_ignore_what_they_do_not_know),
		cmocka_unit_test(an_interface_takes_every_field),
		cmocka_unit_test(an_interface_has_defaults),
		cmocka_unit_test(an_interface_refuses),
		cmocka_unit_test(interface_names_are_those_of_linux),
		cmocka_unit_test(an_interface_is_patched),
		cmocka_unit_test(devices_are_printed_with_all_their_keys),
		cmocka_unit_test(devices_come_after_machine_and_boot_source),
		cmocka_unit_test(config_refuses_devices),
		cmocka_unit_test(config_bounds_the_number_of_devices),
		cmocka_unit_test(memory_may_be_short_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
