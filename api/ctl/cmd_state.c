/* SPDX-License-Identifier: Apache-2.0 */
/* start, pause, resume, kill: one request or signal to an instance. */
#include "api/ctl/client.h"
#include "api/ctl/cmd.h"
#include "api/ctl/instances.h"

#include <errno.h>
#include <signal.h>

/* What is done to a running instance by one request. */
struct change {
	const char *method, *path, *key, *value, *done;
};

static const struct change starting = { "PUT", "/actions", "action_type", "InstanceStart",
					"started" };
static const struct change pausing = { "PATCH", "/vm", "state", "Paused", "paused" };
static const struct change resuming = { "PATCH", "/vm", "state", "Resumed", "resumed" };

static int change(const struct ctl *ctl, const char *name, const struct change *c)
{
	struct instance i;
	struct err e;
	cJSON *body;
	int rc;

	if (instances_find(&i, ctl->run_dir, name, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	if (!*i.api)
		return out_error(&ctl->out, CTL_FAILED, "%s has no API", i.name);
	body = cJSON_CreateObject();
	cJSON_AddStringToObject(body, c->key, c->value);
	rc = client_once(i.api, c->method, c->path, body, NULL, &e);
	cJSON_Delete(body);
	if (rc < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s: %s", i.name, e.text);
	out_say(&ctl->out, "%s: %s", i.name, c->done);
	return CTL_OK;
}

static int run_start(const struct ctl *ctl, const void *options, unsigned n,
		     const char *const *words)
{
	(void)options;
	return change(ctl, n ? words[0] : NULL, &starting);
}

static int run_pause(const struct ctl *ctl, const void *options, unsigned n,
		     const char *const *words)
{
	(void)options;
	return change(ctl, n ? words[0] : NULL, &pausing);
}

static int run_resume(const struct ctl *ctl, const void *options, unsigned n,
		      const char *const *words)
{
	(void)options;
	return change(ctl, n ? words[0] : NULL, &resuming);
}

#define NAME_MAY_BE_LEFT_OUT "NAME may be left out when only one instance is running.\n"

const struct command cmd_start = {
	.name = "start",
	.words = "[NAME]",
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "start the guest of an instance made by create",
	.text = NAME_MAY_BE_LEFT_OUT,
	.run = run_start,
};

const struct command cmd_pause = {
	.name = "pause",
	.words = "[NAME]",
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "stop a guest's CPUs until it is resumed",
	.text = NAME_MAY_BE_LEFT_OUT,
	.run = run_pause,
};

const struct command cmd_resume = {
	.name = "resume",
	.words = "[NAME]",
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "let a paused guest run on",
	.text = NAME_MAY_BE_LEFT_OUT,
	.run = run_resume,
};
