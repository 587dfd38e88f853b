/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of requests and the configuration file: see json.h. Input from clients: all of it. */
#include "api/json.h"

#include "api/json_body.h"
#include "api/json_scan.h"

#include <errno.h>
#include <stdio.h>

/* Put `prefix` before what is wrong with the text; refused values speak for themselves. */
static int complete_error(int rc, const char *prefix, struct err *e)
{
	struct err reason;

	if (rc != -EBADMSG)
		return rc;
	reason = *e;
	return err_set(e, -EINVAL, "%s: %s.", prefix, reason.text);
}

int json_parse_body(enum json_body body, struct text text, struct action *out, struct err *e)
{
	struct json_doc doc = { 0 };
	int rc = json_open(&doc, text, e);

	if (rc == 0) {
		struct json_object top = json_top(&doc);

		rc = json_body(body, &top, out, e);
	}
	json_close(&doc);
	return complete_error(rc,
			      "An error occurred when deserializing the json body of a request",
			      e);
}

/* ---- the configuration file ---- */

enum {
	SECTION_LOGGER,
	SECTION_METRICS,
	SECTION_SERIAL,
	SECTION_MACHINE,
	SECTION_BOOT,
	SECTION_DRIVES,
	SECTION_NETS,
	SECTIONS_SERVED
};

static const char *const section_names[] = {
	[SECTION_LOGGER] = "logger",
	[SECTION_METRICS] = "metrics",
	[SECTION_SERIAL] = "serial",
	[SECTION_MACHINE] = "machine-config",
	[SECTION_BOOT] = "boot-source",
	[SECTION_DRIVES] = "drives",
	[SECTION_NETS] = "network-interfaces",
	/* Those that may be there as long as they ask for nothing. */
	"balloon",
	"cpu-config",
	"mmds-config",
	"vsock",
	"entropy",
	"pmem",
	"memory-hotplug",
};

struct section {
	bool seen, given;
	unsigned n; /* which member of the top object it is */
};

struct config {
	struct json_object top;
	struct section sections[ARRAY_SIZE(section_names)];
};

static int find_section(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(section_names); i++)
		if (strcmp(name, section_names[i]) == 0)
			return (int)i;
	return -1;
}

static int duplicate(const struct config *c, unsigned n, const char *name, struct err *e)
{
	struct text text = c->top.doc->text;
	char what[64];

	snprintf(what, sizeof(what), "duplicate field `%s`", name);
	return json_scan_error(e, text, json_scan_member(text, c->top.at, n).name_end, what);
}

static int add_section(struct config *c, unsigned n, const cJSON *member, struct err *e)
{
	int i = find_section(member->string);
	bool given = !cJSON_IsNull(member);
	bool empty = cJSON_IsArray(member) && !member->child;

	if (i < 0)
		return 0;
	if (c->sections[i].seen)
		return duplicate(c, n, section_names[i], e);
	if (i >= SECTIONS_SERVED && given && !empty)
		return err_set(e, -EINVAL, "The section `%s` is not served by this version.",
			       section_names[i]);
	c->sections[i] = (struct section){ .seen = true, .given = given, .n = n };
	return 0;
}

static int find_sections(struct config *c, struct err *e)
{
	struct text text = c->top.doc->text;
	unsigned n = 0;

	if (!cJSON_IsObject(c->top.tree))
		return json_scan_error(e, text, c->top.at + 1,
				       "invalid type, expected struct VmmConfig");
	for (const cJSON *m = c->top.tree->child; m; m = m->next) {
		int rc = add_section(c, n++, m, e);

		if (rc < 0)
			return rc;
	}
	if (!c->sections[SECTION_BOOT].given)
		return json_scan_error(e, text, json_scan_end(text, c->top.at),
				       "missing field `boot-source`");
	return 0;
}

/* What a configuration stands for, so far. */
struct actions {
	struct action *at;
	unsigned n, devices;
};

static int take_section(const struct config *c, unsigned section, enum json_body body,
			struct actions *out, struct err *e)
{
	struct json_object o = json_member_object(&c->top, c->sections[section].n);

	if (!c->sections[section].given)
		return 0;
	return json_body(body, &o, &out->at[out->n++], e);
}

static int take_list(const struct config *c, unsigned section, enum json_body body,
		     struct actions *out, struct err *e)
{
	struct json_object list = json_member_object(&c->top, c->sections[section].n);
	int size, rc = 0;

	if (!c->sections[section].given)
		return 0;
	size = json_list_size(&list, e);
	if (size < 0)
		return size;
	if ((unsigned)size > CONFIG_DEVICES_MAX - out->devices)
		return err_set(e, -EINVAL,
			       "More than %d drives and network interfaces are not supported.",
			       CONFIG_DEVICES_MAX);
	out->devices += (unsigned)size;
	for (unsigned i = 0; rc == 0 && i < (unsigned)size; i++) {
		struct json_object o = json_element(&list, i);

		rc = json_body(body, &o, &out->at[out->n++], e);
	}
	return rc;
}

/* Returns how many actions it made. */
static int take_sections(const struct config *c, struct action *at, struct err *e)
{
	struct actions out = { .at = at };
	int rc = take_section(c, SECTION_LOGGER, JSON_LOGGER, &out, e);

	if (rc == 0)
		rc = take_section(c, SECTION_METRICS, JSON_METRICS, &out, e);
	if (rc == 0)
		rc = take_section(c, SECTION_SERIAL, JSON_SERIAL, &out, e);
	if (rc == 0)
		rc = take_section(c, SECTION_MACHINE, JSON_MACHINE_CONFIG, &out, e);
	if (rc == 0)
		rc = take_section(c, SECTION_BOOT, JSON_BOOT_SOURCE, &out, e);
	if (rc == 0)
		rc = take_list(c, SECTION_DRIVES, JSON_DRIVE, &out, e);
	if (rc == 0)
		rc = take_list(c, SECTION_NETS, JSON_NET, &out, e);
	return rc < 0 ? rc : (int)out.n;
}

int json_parse_config(const char *at, size_t len, struct action *out, unsigned max,
		      struct err *e)
{
	struct json_doc doc = { 0 };
	struct config c = { 0 };
	int rc;

	if (max < JSON_CONFIG_ACTIONS)
		return err_set(e, -EINVAL, "no room for the actions of a configuration");
	rc = json_open(&doc, text(at, len), e);
	if (rc == 0) {
		c.top = json_top(&doc);
		rc = find_sections(&c, e);
	}
	if (rc == 0)
		rc = take_sections(&c, out, e);
	json_close(&doc);
	return complete_error(rc == -EDOM ? -EINVAL : rc, "Invalid JSON", e);
}
