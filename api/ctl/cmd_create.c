/* SPDX-License-Identifier: Apache-2.0 */
/* create: a VM that stays when this program ends. */
#include "api/ctl/cmd.h"
#include "api/ctl/monitor.h"
#include "api/ctl/spec.h"
#include "vmm/lib/config.h"

#include <errno.h>

struct create_options {
	struct spec_options spec;
	const char *monitor;
	bool start;
};

static int start_guest(struct client *c, struct err *e)
{
	cJSON *body = cJSON_CreateObject();
	int rc;

	cJSON_AddStringToObject(body, "action_type", "InstanceStart");
	rc = client_call(c, "PUT", "/actions", body, NULL, e);
	cJSON_Delete(body);
	return rc < 0 ? rc : 0;
}

static int configure(const struct ctl *ctl, const struct monitor *m, const cJSON *config,
		     bool start, struct err *e)
{
	struct client c;
	int rc = client_open(&c, m->instance.api, e);

	if (rc < 0)
		return rc;
	c.progress = out_progress(&ctl->out);
	rc = spec_apply(&c, config, e);
	if (rc == 0 && start)
		rc = start_guest(&c, e);
	client_close(&c);
	return rc;
}

static void tell(const struct ctl *ctl, const struct instance *i, bool started)
{
	cJSON *object;

	out_say(&ctl->out, "%s: %s", i->name,
		started ? "started" : "ready; xenolithctl start starts it");
	if (!ctl->out.json)
		return;
	object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "name", i->name);
	cJSON_AddNumberToObject(object, "pid", i->pid);
	cJSON_AddStringToObject(object, "api", i->api);
	cJSON_AddStringToObject(object, "console", i->console);
	cJSON_AddStringToObject(object, "log", i->log);
	cJSON_AddBoolToObject(object, "started", started);
	out_value(&ctl->out, object);
	cJSON_Delete(object);
}

static int run_create(const struct ctl *ctl, const void *options, unsigned n,
		      const char *const *words)
{
	const struct create_options *o = options;
	struct monitor m = MONITOR_NONE;
	cJSON *config = NULL;
	struct instance there;
	struct err e;
	int rc;

	(void)n;
	if (!config_id_valid(words[0]))
		return out_error(&ctl->out, CTL_BAD_ARGS,
				 "'%s' cannot be a name: 1 to %d letters, digits and '-'",
				 words[0], CONFIG_ID_MAX);
	if (instances_read(&there, ctl->run_dir, words[0]) && there.alive)
		return out_error(&ctl->out, CTL_FAILED,
				 "there is an instance '%s' already; xenolithctl kill ends it",
				 words[0]);
	rc = spec_build(&config, &o->spec, NULL, &e);
	if (rc < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	(void)instances_clean(ctl->run_dir);
	rc = monitor_start(&m, o->monitor, ctl->run_dir, words[0], -1, &e);
	if (rc == 0)
		rc = configure(ctl, &m, config, o->start, &e);
	cJSON_Delete(config);
	if (rc < 0) {
		if (m.pid > 0 && rc != -EREMOTEIO && monitor_wait(&m, 500))
			(void)monitor_explain(&m, &e);
		(void)monitor_end(&m);
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	}
	tell(ctl, &m.instance, o->start);
	monitor_release(&m);
	return CTL_OK;
}

static const struct option options[] = {
	SPEC_OPTION_ROWS(struct create_options, spec),
	{ .name = "--start",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct create_options, start),
	  .help = "start the guest, too" },
	{ .name = "--monitor",
	  .kind = OPTION_TEXT,
	  .value = "PROGRAM",
	  .at = offsetof(struct create_options, monitor),
	  .completes = COMPLETE_FILE,
	  .help = "[$" MONITOR_ENV ", or xenolith beside this program, or of PATH]" },
	{ 0 },
};

const struct command cmd_create = {
	.name = "create",
	.words = "NAME",
	.words_min = 1,
	.words_max = 1,
	.help = "make a VM that runs in the background",
	.text = "It is configured and not started. Its console waits for `console`, its log is in\n"
		"its run directory.\n\n" SPEC_TEXT,
	.options = options,
	.options_size = sizeof(struct create_options),
	.run = run_create,
};
