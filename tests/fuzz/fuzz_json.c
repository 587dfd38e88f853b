/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of requests and the configuration file. The first byte chooses what the rest
 * is. What is accepted by the check must be accepted by cJSON, and nothing is refused
 * without a reason in UTF-8.
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct action actions[JSON_CONFIG_ACTIONS];
	struct err e = { "" };
	struct text t;
	int rc;

	if (len < 2)
		return 0;
	t = text((const char *)data + 1, len - 1);
	check_scan(t);
	if (data[0] % 6 == 5)
		rc = json_parse_config(t.at, t.len, actions, ARRAY_SIZE(actions), &e);
	else
		rc = json_parse_body((enum json_body)(data[0] % 6), t, actions, &e);
	if (rc < 0)
		check_reason(&e);
	return 0;
}
