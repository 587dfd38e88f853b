/* SPDX-License-Identifier: Apache-2.0 */
/* Drives and interfaces to actions: see json_devices.h. Input from clients: all of it. */
#include "api/json_devices.h"

#include <ctype.h>
#include <errno.h>

/* How much of a client's text an error message repeats. */
#define ECHO_MAX 64

#define MTU_MIN 68

#define DRIVE_FAULT "Drive config error: Unable to create the virtio block device: "
#define FILE_FAULT "Virtio backend error: Error manipulating the backing file: "
#define NET_FAULT "Network config error: Could not create the network device: "

/* ---- ids ---- */

int json_device_id(struct text id, struct err *e)
{
	if (id.len == 0)
		return err_set(e, -EINVAL, "The ID cannot be empty.");
	for (size_t i = 0; i < id.len; i++)
		if (!isascii(id.at[i]) ||
		    (!isalnum((unsigned char)id.at[i]) && id.at[i] != '_'))
			return err_set(e, -EINVAL,
				       "API Resource IDs can only contain alphanumeric "
				       "characters and underscores.");
	if (id.len > CONFIG_ID_MAX)
		return err_set(e, -EINVAL, "API Resource IDs have at most %d characters.",
			       CONFIG_ID_MAX);
	return 0;
}

static int take_id(char out[CONFIG_ID_MAX + 1], const struct value *v, struct err *e)
{
	size_t len = strlen(v->u.string);
	int rc = json_device_id(text(v->u.string, len), e);

	if (rc == 0)
		memcpy(out, v->u.string, len + 1);
	return rc;
}

/* ---- rate limiters ---- */

enum { BUCKET_SIZE, ONE_TIME_BURST, REFILL_TIME, BUCKET_FIELDS };

static const struct field bucket_fields[] = {
	[BUCKET_SIZE] = { "size", FIELD_U64, .required = true },
	[ONE_TIME_BURST] = { "one_time_burst", FIELD_U64, .nullable = true },
	[REFILL_TIME] = { "refill_time", FIELD_U64, .required = true },
	{ 0 },
};

int json_bucket(struct token_bucket_config *out, const struct value *bucket, struct err *e)
{
	struct value v[BUCKET_FIELDS];
	int rc;

	if (!bucket->given)
		return 0;
	/* The one object of the API in which Firecracker ignores what it does not know. */
	rc = json_bind_known(&bucket->u.object, "struct TokenBucketConfig", bucket_fields, v,
			     e);
	if (rc < 0)
		return rc;
	*out = (struct token_bucket_config){
		.present = true,
		.has_one_time_burst = v[ONE_TIME_BURST].given,
		.size = v[BUCKET_SIZE].u.number,
		.refill_time_ms = v[REFILL_TIME].u.number,
	};
	if (out->has_one_time_burst)
		out->one_time_burst = v[ONE_TIME_BURST].u.number;
	return 0;
}

enum { BANDWIDTH, OPS, LIMITER_FIELDS };

static const struct field limiter_fields[] = {
	[BANDWIDTH] = { "bandwidth", FIELD_OBJECT, .nullable = true },
	[OPS] = { "ops", FIELD_OBJECT, .nullable = true },
	{ 0 },
};

static int take_limiter(struct rate_limiter_config *out, const struct value *limiter,
			struct err *e)
{
	struct value v[LIMITER_FIELDS];
	int rc;

	if (!limiter->given)
		return 0;
	rc = json_bind(&limiter->u.object, "struct RateLimiterConfig", limiter_fields, v, e);
	if (rc == 0)
		rc = json_bucket(&out->bandwidth, &v[BANDWIDTH], e);
	if (rc == 0)
		rc = json_bucket(&out->ops, &v[OPS], e);
	out->present = rc == 0;
	return rc;
}

/* ---- /drives ---- */

enum {
	DRIVE_ID,
	PARTUUID,
	IS_ROOT_DEVICE,
	CACHE_TYPE,
	IS_READ_ONLY,
	PATH_ON_HOST,
	RATE_LIMITER,
	IO_ENGINE,
	SOCKET,
	DIRECT,
	DRIVE_FIELDS
};

static const char *const caches[] = {
	[CACHE_UNSAFE] = "Unsafe", [CACHE_WRITEBACK] = "Writeback", NULL
};
static const char *const engines[] = { [ENGINE_SYNC] = "Sync", [ENGINE_ASYNC] = "Async", NULL };

static const struct field drive_fields[] = {
	[DRIVE_ID] = { "drive_id", FIELD_STRING, .required = true },
	[PARTUUID] = { "partuuid", FIELD_STRING, .nullable = true },
	[IS_ROOT_DEVICE] = { "is_root_device", FIELD_BOOL, .required = true },
	[CACHE_TYPE] = { "cache_type", FIELD_VARIANT, .variants = caches },
	[IS_READ_ONLY] = { "is_read_only", FIELD_BOOL, .nullable = true },
	[PATH_ON_HOST] = { "path_on_host", FIELD_STRING, .nullable = true },
	[RATE_LIMITER] = { "rate_limiter", FIELD_OBJECT, .nullable = true },
	[IO_ENGINE] = { "io_engine", FIELD_VARIANT, .nullable = true, .variants = engines },
	[SOCKET] = { "socket", FIELD_STRING, .nullable = true },
	/* Ours. */
	[DIRECT] = { "direct", FIELD_BOOL, .unlisted = true },
	{ 0 },
};

/* It becomes one word of the kernel's command line. */
static bool is_word(const char *s)
{
	for (; *s; s++)
		if (!isascii(*s) || !isgraph((unsigned char)*s) || *s == '"')
			return false;
	return true;
}

static int take_partuuid(struct drive_config *d, const struct value *v, struct err *e)
{
	if (!v->given)
		return 0;
	d->has_partuuid = true;
	if (!json_copy_string(d->partuuid, sizeof(d->partuuid), v))
		return err_set(e, -EDOM,
			       "Drive config error: partuuid is longer than %d bytes.",
			       CONFIG_PARTUUID_MAX);
	if (!is_word(d->partuuid) || !d->partuuid[0])
		return err_set(e, -EDOM,
			       "Drive config error: partuuid is not one word of printable "
			       "ASCII without quotes.");
	return 0;
}

static int take_path(char out[CONFIG_PATH_MAX], const struct value *v, const char *prefix,
		     struct err *e)
{
	struct text cut;

	if (json_copy_string(out, CONFIG_PATH_MAX, v))
		return 0;
	cut = text_cut(text(v->u.string, strlen(v->u.string)), ECHO_MAX);
	return err_set(e, -EDOM, "%s" FILE_FAULT "File name too long (os error 36) %.*s",
		       prefix, TEXT_ARGS(cut));
}

static int finish_drive(struct drive_config *d, const struct value *v, struct err *e)
{
	int rc = take_id(d->id, &v[DRIVE_ID], e);

	if (rc < 0)
		return rc;
	if (v[SOCKET].given)
		return err_set(e, -EDOM,
			       DRIVE_FAULT "a vhost-user backend (socket) is not supported.");
	if (!v[PATH_ON_HOST].given)
		return err_set(e, -EDOM, DRIVE_FAULT "Invalid block config: no path_on_host.");
	rc = take_partuuid(d, &v[PARTUUID], e);
	if (rc == 0)
		rc = take_path(d->path, &v[PATH_ON_HOST], DRIVE_FAULT, e);
	return rc;
}

int json_drive(const struct json_object *o, struct action *out, struct err *e)
{
	struct drive_config *d = &out->u.drive;
	struct value v[DRIVE_FIELDS];
	int rc = json_bind(o, "struct BlockDeviceConfig", drive_fields, v, e);

	if (rc == 0)
		rc = take_limiter(&d->limit, &v[RATE_LIMITER], e);
	if (rc < 0)
		return rc;
	out->kind = ACTION_PUT_DRIVE;
	d->is_root_device = v[IS_ROOT_DEVICE].u.flag;
	d->is_read_only = v[IS_READ_ONLY].given && v[IS_READ_ONLY].u.flag;
	d->direct = v[DIRECT].given && v[DIRECT].u.flag;
	if (v[CACHE_TYPE].given)
		d->cache = (enum drive_cache)v[CACHE_TYPE].u.variant;
	if (v[IO_ENGINE].given)
		d->engine = (enum drive_engine)v[IO_ENGINE].u.variant;
	return finish_drive(d, v, e);
}

enum { PATCH_ID, PATCH_PATH, PATCH_LIMITER, DRIVE_PATCH_FIELDS };

static const struct field drive_patch_fields[] = {
	[PATCH_ID] = { "drive_id", FIELD_STRING, .required = true },
	[PATCH_PATH] = { "path_on_host", FIELD_STRING, .nullable = true },
	[PATCH_LIMITER] = { "rate_limiter", FIELD_OBJECT, .nullable = true },
	{ 0 },
};

int json_drive_patch(const struct json_object *o, struct action *out, struct err *e)
{
	struct drive_update *u = &out->u.drive_update;
	struct value v[DRIVE_PATCH_FIELDS];
	int rc = json_bind(o, "struct BlockDeviceUpdateConfig", drive_patch_fields, v, e);

	if (rc == 0)
		rc = take_limiter(&u->limit, &v[PATCH_LIMITER], e);
	if (rc == 0)
		rc = take_id(u->id, &v[PATCH_ID], e);
	if (rc < 0)
		return rc;
	out->kind = ACTION_PATCH_DRIVE;
	u->has_path = v[PATCH_PATH].given;
	return take_path(u->path, &v[PATCH_PATH],
			 "Drive config error: Unable to patch the block device: Block: ", e);
}

/* ---- /network-interfaces ---- */

enum { IFACE_ID, HOST_DEV_NAME, GUEST_MAC, MTU, RX_LIMITER, TX_LIMITER, NET_FIELDS };

static const struct field net_fields[] = {
	[IFACE_ID] = { "iface_id", FIELD_STRING, .required = true },
	[HOST_DEV_NAME] = { "host_dev_name", FIELD_STRING, .required = true },
	[GUEST_MAC] = { "guest_mac", FIELD_MAC, .nullable = true },
	[MTU] = { "mtu", FIELD_U16, .nullable = true },
	[RX_LIMITER] = { "rx_rate_limiter", FIELD_OBJECT, .nullable = true },
	[TX_LIMITER] = { "tx_rate_limiter", FIELD_OBJECT, .nullable = true },
	{ 0 },
};

/* What Linux takes for the name of an interface (dev_valid_name()), and no pattern. */
static bool is_interface_name(const char *s)
{
	if (!*s || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	for (; *s; s++)
		if (*s == '/' || *s == ':' || *s == '%' || isspace((unsigned char)*s))
			return false;
	return true;
}

static int take_host_dev(struct net_config *n, const struct value *v, struct err *e)
{
	struct text cut = text_cut(text(v->u.string, strlen(v->u.string)), ECHO_MAX);

	if (json_copy_string(n->host_dev_name, sizeof(n->host_dev_name), v) &&
	    is_interface_name(n->host_dev_name))
		return 0;
	return err_set(e, -EDOM,
		       NET_FAULT "Open tap device failed: no name of an interface: %.*s",
		       TEXT_ARGS(cut));
}

static int finish_net(struct net_config *n, const struct value *v, struct err *e)
{
	int rc = take_id(n->id, &v[IFACE_ID], e);

	if (rc == 0)
		rc = take_host_dev(n, &v[HOST_DEV_NAME], e);
	if (rc < 0)
		return rc;
	n->has_mac = v[GUEST_MAC].given;
	if (n->has_mac)
		memcpy(n->mac, v[GUEST_MAC].u.mac, sizeof(n->mac));
	if (v[MTU].given && v[MTU].u.number < MTU_MIN)
		return err_set(e, -EDOM, NET_FAULT "MTU %u is out of range [%d, %d]",
			       (unsigned)v[MTU].u.number, MTU_MIN, UINT16_MAX);
	if (v[MTU].given)
		n->mtu = (uint16_t)v[MTU].u.number;
	return 0;
}

int json_net(const struct json_object *o, struct action *out, struct err *e)
{
	struct net_config *n = &out->u.net;
	struct value v[NET_FIELDS];
	int rc = json_bind(o, "struct NetworkInterfaceConfig", net_fields, v, e);

	if (rc == 0)
		rc = take_limiter(&n->rx_limit, &v[RX_LIMITER], e);
	if (rc == 0)
		rc = take_limiter(&n->tx_limit, &v[TX_LIMITER], e);
	if (rc < 0)
		return rc;
	out->kind = ACTION_PUT_NET;
	return finish_net(n, v, e);
}

enum { NET_PATCH_ID, NET_PATCH_RX, NET_PATCH_TX, NET_PATCH_FIELDS };

static const struct field net_patch_fields[] = {
	[NET_PATCH_ID] = { "iface_id", FIELD_STRING, .required = true },
	[NET_PATCH_RX] = { "rx_rate_limiter", FIELD_OBJECT, .nullable = true },
	[NET_PATCH_TX] = { "tx_rate_limiter", FIELD_OBJECT, .nullable = true },
	{ 0 },
};

int json_net_patch(const struct json_object *o, struct action *out, struct err *e)
{
	struct net_update *u = &out->u.net_update;
	struct value v[NET_PATCH_FIELDS];
	int rc = json_bind(o, "struct NetworkInterfaceUpdateConfig", net_patch_fields, v, e);

	if (rc == 0)
		rc = take_limiter(&u->rx_limit, &v[NET_PATCH_RX], e);
	if (rc == 0)
		rc = take_limiter(&u->tx_limit, &v[NET_PATCH_TX], e);
	if (rc < 0)
		return rc;
	out->kind = ACTION_PATCH_NET;
	return take_id(u->id, &v[NET_PATCH_ID], e);
}
