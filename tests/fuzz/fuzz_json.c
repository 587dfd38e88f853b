/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of requests and the configuration file. The first byte chooses what the rest
 * is. What is accepted by the check must be accepted by cJSON, nothing is refused without
 * a reason in UTF-8, and a configuration that is printed reads as what it was.
 */
#include "api/json.h"
#include "api/json_scan.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_reason(const struct err *e)
{
	struct reply r = { .kind = REPLY_FAULT, .fault = *e };
	char *out;

	if (e->text[0] == '\0')
		abort();
	out = json_reply(&r);
	if (!out || json_scan_check(text(out, strlen(out)), &r.fault) < 0)
		abort();
	free(out);
}

static void check_scan(struct text t)
{
	struct err e;
	cJSON *tree;

	if (json_scan_check(t, &e) < 0)
		return;
	tree = cJSON_ParseWithLengthOpts(t.at, t.len, NULL, false);
	if (!tree)
		abort();
	cJSON_Delete(tree);
}

/* What there is to configure without a VM; false when a rule forbids it. */
static bool apply(struct vm_config *c, const struct action *a)
{
	struct err e = { "" };

	if (a->kind == ACTION_PUT_MACHINE_CONFIG)
		return config_set_machine(&c->machine, &a->u.machine, true, &e) == 0;
	if (a->kind == ACTION_PUT_DRIVE)
		return config_put_drive(c, &a->u.drive, &e) >= 0;
	if (a->kind == ACTION_PUT_NET)
		return config_put_net(c, &a->u.net, &e) >= 0;
	if (a->kind == ACTION_PUT_BOOT_SOURCE)
		c->boot = a->u.boot;
	return true;
}

/* The configuration that the actions make, printed; NULL when a rule forbids it. */
static char *print(const struct action *actions, int n)
{
	static struct vm_config c;
	struct reply r = { .kind = REPLY_VM_CONFIG, .config = &c };
	bool good = true;
	char *out = NULL;

	config_init(&c);
	for (int i = 0; good && i < n; i++)
		good = apply(&c, &actions[i]);
	if (good)
		out = json_reply(&r);
	config_free(&c);
	return out;
}

static void check_round_trip(const struct action *actions, int n)
{
	static struct action again[JSON_CONFIG_ACTIONS];
	char *first = print(actions, n), *second;
	struct err e = { "" };

	if (!first)
		return;
	n = json_parse_config(first, strlen(first), again, ARRAY_SIZE(again), &e);
	second = n < 0 ? NULL : print(again, n);
	if (!second || strcmp(first, second) != 0)
		abort();
	free(first);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct action actions[JSON_CONFIG_ACTIONS];
	unsigned kind;
	struct err e = { "" };
	struct text t;
	int rc;

	if (len < 2)
		return 0;
	t = text((const char *)data + 1, len - 1);
	check_scan(t);
	kind = data[0] % (JSON_BODIES + 1);
	if (kind == JSON_BODIES)
		rc = json_parse_config(t.at, t.len, actions, ARRAY_SIZE(actions), &e);
	else
		rc = json_parse_body((enum json_body)kind, t, actions, &e);
	if (rc < 0)
		check_reason(&e);
	else if (kind == JSON_BODIES)
		check_round_trip(actions, rc);
	return 0;
}
