/* SPDX-License-Identifier: Apache-2.0 */
/* Replies as JSON: see json.h. The order of the keys is Firecracker's. */
#include "api/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * cJSON's functions for adding take NULL and fail by returning NULL, and an object
 * that lacks a member must not be sent: `short_of_memory` remembers.
 */
struct out {
	cJSON *object;
	bool short_of_memory;
};

static struct out out_begin(void)
{
	struct out o = { .object = cJSON_CreateObject() };

	o.short_of_memory = !o.object;
	return o;
}

static void note(struct out *o, const void *added)
{
	if (!added)
		o->short_of_memory = true;
}

static void add_string(struct out *o, const char *key, const char *value)
{
	note(o, cJSON_AddStringToObject(o->object, key, value));
}

static void add_bool(struct out *o, const char *key, bool value)
{
	note(o, cJSON_AddBoolToObject(o->object, key, value));
}

/* As text: a double would round above 2^53. */
static void add_number(struct out *o, const char *key, uint64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, value);
	note(o, cJSON_AddRawToObject(o->object, key, digits));
}

static void add_null(struct out *o, const char *key)
{
	note(o, cJSON_AddNullToObject(o->object, key));
}

static void add_optional(struct out *o, const char *key, bool given, const char *value)
{
	if (given)
		add_string(o, key, value);
	else
		add_null(o, key);
}

static cJSON *add_list(struct out *o, const char *key)
{
	cJSON *list = cJSON_AddArrayToObject(o->object, key);

	note(o, list);
	return list;
}

/* Put `part` into `o`, which it belongs to from then on. */
static void add_part(struct out *o, const char *key, struct out part)
{
	if (part.short_of_memory || !cJSON_AddItemToObject(o->object, key, part.object)) {
		cJSON_Delete(part.object);
		o->short_of_memory = true;
	}
}

/* Put `part` at the end of a list of `o`, as above. */
static void add_item(struct out *o, cJSON *list, struct out part)
{
	if (part.short_of_memory || !cJSON_AddItemToArray(list, part.object)) {
		cJSON_Delete(part.object);
		o->short_of_memory = true;
	}
}

/* The text of the object, which is freed. */
static char *out_end(struct out *o)
{
	char *text = o->short_of_memory ? NULL : cJSON_PrintUnformatted(o->object);

	cJSON_Delete(o->object);
	return text;
}

static const char *state_name(enum instance_state state)
{
	switch (state) {
	case INSTANCE_NOT_STARTED:
		return "Not started";
	case INSTANCE_RUNNING:
		return "Running";
	case INSTANCE_PAUSED:
		return "Paused";
	}
	return "";
}

static struct out instance_object(const struct reply *r)
{
	struct out o = out_begin();

	add_string(&o, "id", r->id);
	add_string(&o, "state", state_name(r->state));
	add_string(&o, "vmm_version", r->version);
	/* The name of the API that is served, which some clients look at. */
	add_string(&o, "app_name", "Firecracker");
	return o;
}

static struct out machine_object(const struct machine_config *m)
{
	struct out o = out_begin();

	add_number(&o, "vcpu_count", m->vcpu_count);
	add_number(&o, "mem_size_mib", m->mem_size_mib);
	add_bool(&o, "smt", m->smt);
	add_bool(&o, "track_dirty_pages", m->track_dirty_pages);
	add_string(&o, "huge_pages", "None");
	return o;
}

static struct out boot_object(const struct boot_source *b)
{
	struct out o = out_begin();

	add_string(&o, "kernel_image_path", b->kernel_image_path);
	add_optional(&o, "initrd_path", b->has_initrd, b->initrd_path);
	add_optional(&o, "boot_args", b->has_boot_args, b->boot_args);
	return o;
}

/* As Firecracker, which prints what is in force: a bucket that does not limit is none. */
static bool limits(const struct token_bucket_config *b)
{
	return b->present && b->size > 0 && b->refill_time_ms > 0;
}

static void add_bucket(struct out *o, const char *key, const struct token_bucket_config *b)
{
	struct out bucket;

	if (!limits(b)) {
		add_null(o, key);
		return;
	}
	bucket = out_begin();
	add_number(&bucket, "size", b->size);
	if (b->has_one_time_burst && b->one_time_burst > 0)
		add_number(&bucket, "one_time_burst", b->one_time_burst);
	else
		add_null(&bucket, "one_time_burst");
	add_number(&bucket, "refill_time", b->refill_time_ms);
	add_part(o, key, bucket);
}

static void add_limiter(struct out *o, const char *key, const struct rate_limiter_config *l)
{
	struct out limiter;

	if (!limits(&l->bandwidth) && !limits(&l->ops)) {
		add_null(o, key);
		return;
	}
	limiter = out_begin();
	add_bucket(&limiter, "bandwidth", &l->bandwidth);
	add_bucket(&limiter, "ops", &l->ops);
	add_part(o, key, limiter);
}

static struct out drive_object(const struct drive_config *d)
{
	struct out o = out_begin();

	add_string(&o, "drive_id", d->id);
	add_optional(&o, "partuuid", d->has_partuuid, d->partuuid);
	add_bool(&o, "is_root_device", d->is_root_device);
	add_string(&o, "cache_type", d->cache == CACHE_WRITEBACK ? "Writeback" : "Unsafe");
	add_bool(&o, "is_read_only", d->is_read_only);
	add_string(&o, "path_on_host", d->path);
	add_limiter(&o, "rate_limiter", &d->limit);
	add_string(&o, "io_engine", d->engine == ENGINE_ASYNC ? "Async" : "Sync");
	add_null(&o, "socket");
	/* Firecracker does not know it: only those see it who use it. */
	if (d->direct)
		add_bool(&o, "direct", true);
	return o;
}

static struct out net_object(const struct net_config *n)
{
	struct out o = out_begin();
	const uint8_t *m = n->mac;
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
		 m[4], m[5]);
	add_string(&o, "iface_id", n->id);
	add_string(&o, "host_dev_name", n->host_dev_name);
	add_optional(&o, "guest_mac", n->has_mac, mac);
	if (n->mtu)
		add_number(&o, "mtu", n->mtu);
	else
		add_null(&o, "mtu");
	add_limiter(&o, "rx_rate_limiter", &n->rx_limit);
	add_limiter(&o, "tx_rate_limiter", &n->tx_limit);
	return o;
}

static void add_drives(struct out *o, const struct vm_config *c)
{
	cJSON *list = add_list(o, "drives");

	for (unsigned i = 0; i < c->n_drives; i++)
		add_item(o, list, drive_object(c->drives[i]));
}

static void add_nets(struct out *o, const struct vm_config *c)
{
	cJSON *list = add_list(o, "network-interfaces");

	for (unsigned i = 0; i < c->n_nets; i++)
		add_item(o, list, net_object(c->nets[i]));
}

static struct out config_object(const struct vm_config *c)
{
	struct out o = out_begin();

	add_null(&o, "balloon");
	add_drives(&o, c);
	if (c->boot.present)
		add_part(&o, "boot-source", boot_object(&c->boot));
	else
		add_null(&o, "boot-source");
	add_null(&o, "cpu-config");
	add_null(&o, "logger");
	add_part(&o, "machine-config", machine_object(&c->machine));
	add_null(&o, "metrics");
	add_null(&o, "mmds-config");
	add_nets(&o, c);
	add_null(&o, "vsock");
	add_null(&o, "entropy");
	add_list(&o, "pmem");
	add_null(&o, "memory-hotplug");
	return o;
}

static struct out fault_object(const struct err *fault)
{
	struct text t = text_cut(text(fault->text, strlen(fault->text)), ERR_TEXT_MAX);
	char message[ERR_TEXT_MAX + 1];
	struct out o = out_begin();

	/* What did not fit into the error may end within a character. */
	memcpy(message, t.at, t.len);
	message[t.len] = '\0';
	add_string(&o, "fault_message", message);
	return o;
}

static struct out reply_object(const struct reply *r)
{
	struct out o;

	switch (r->kind) {
	case REPLY_INSTANCE:
		return instance_object(r);
	case REPLY_VERSION:
		o = out_begin();
		add_string(&o, "firecracker_version", r->version);
		return o;
	case REPLY_MACHINE_CONFIG:
		return machine_object(&r->config->machine);
	case REPLY_VM_CONFIG:
		return config_object(r->config);
	case REPLY_FAULT:
	case REPLY_NO_CONTENT:
		break;
	}
	return fault_object(&r->fault);
}

char *json_reply(const struct reply *r)
{
	struct out o = reply_object(r);

	return out_end(&o);
}

char *json_http_error(const char *reason)
{
	struct text t = text_cut(text(reason, strlen(reason)), ERR_TEXT_MAX);
	char message[ERR_TEXT_MAX + 64];
	char *text = NULL, *quoted;
	cJSON *string;

	/* Firecracker sends this newline as it is, which no JSON parser accepts. */
	snprintf(message, sizeof(message),
		 "%.*s\nAll previous unanswered requests will be dropped.", TEXT_ARGS(t));
	string = cJSON_CreateString(message);
	quoted = cJSON_PrintUnformatted(string);
	if (quoted && asprintf(&text, "{ \"error\": %s }", quoted) < 0)
		text = NULL;
	free(quoted);
	cJSON_Delete(string);
	return text;
}
