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

static void add_empty_list(struct out *o, const char *key)
{
	note(o, cJSON_AddArrayToObject(o->object, key));
}

/* Put `part` into `o`, which it belongs to from then on. */
static void add_part(struct out *o, const char *key, struct out part)
{
	if (part.short_of_memory || !cJSON_AddItemToObject(o->object, key, part.object)) {
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

static struct out config_object(const struct vm_config *c)
{
	struct out o = out_begin();

	add_null(&o, "balloon");
	add_empty_list(&o, "drives");
	if (c->boot.present)
		add_part(&o, "boot-source", boot_object(&c->boot));
	else
		add_null(&o, "boot-source");
	add_null(&o, "cpu-config");
	add_null(&o, "logger");
	add_part(&o, "machine-config", machine_object(&c->machine));
	add_null(&o, "metrics");
	add_null(&o, "mmds-config");
	add_empty_list(&o, "network-interfaces");
	add_null(&o, "vsock");
	add_null(&o, "entropy");
	add_empty_list(&o, "pmem");
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
