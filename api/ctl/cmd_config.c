/* SPDX-License-Identifier: Apache-2.0 */
/* config: print an instance's configuration, or set it from a file. */
#include "api/ctl/cmd.h"
#include "api/ctl/instances.h"
#include "api/ctl/spec.h"

#include <errno.h>

struct config_options {
	const char *set;
	bool all;
};

static int set(const struct ctl *ctl, const struct instance *i, struct client *c,
	       const char *path)
{
	cJSON *config;
	struct err e;
	int rc = spec_read(&config, path, &e);

	if (rc < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	rc = spec_apply(c, config, &e);
	cJSON_Delete(config);
	if (rc < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s: %s", i->name, e.text);
	out_say(&ctl->out, "%s: configured", i->name);
	return CTL_OK;
}

/* What is not set says nothing. */
static void drop_nulls(cJSON *object)
{
	cJSON *item = object ? object->child : NULL;

	while (item) {
		cJSON *next = item->next;

		if (cJSON_IsNull(item))
			cJSON_Delete(cJSON_DetachItemViaPointer(object, item));
		else if (item->child)
			drop_nulls(item);
		item = next;
	}
}

static int print(const struct ctl *ctl, const struct instance *i, struct client *c, bool all)
{
	cJSON *answer = NULL;
	struct err e;
	char *text;

	if (client_call(c, "GET", "/vm/config", NULL, &answer, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s: %s", i->name, e.text);
	if (!all)
		drop_nulls(answer);
	text = ctl->out.json ? cJSON_PrintUnformatted(answer) : cJSON_Print(answer);
	fprintf(ctl->out.to, "%s\n", text ? text : "null");
	cJSON_free(text);
	cJSON_Delete(answer);
	return CTL_OK;
}

static int run_config(const struct ctl *ctl, const void *options, unsigned n,
		      const char *const *words)
{
	const struct config_options *o = options;
	struct instance i;
	struct client c;
	struct err e;
	int status;

	if (instances_find(&i, ctl->run_dir, n ? words[0] : NULL, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	if (!*i.api)
		return out_error(&ctl->out, CTL_FAILED, "%s has no API", i.name);
	if (client_open(&c, i.api, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s: %s", i.name, e.text);
	c.progress = out_progress(&ctl->out);
	status = o->set ? set(ctl, &i, &c, o->set) : print(ctl, &i, &c, o->all);
	client_close(&c);
	return status;
}

static const struct option options[] = {
	{ .name = "--set",
	  .kind = OPTION_TEXT,
	  .value = "FILE",
	  .at = offsetof(struct config_options, set),
	  .completes = COMPLETE_FILE,
	  .help = "configure it from this file; - is standard input" },
	{ .name = "--all",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct config_options, all),
	  .help = "print what is not set, too, as null" },
	{ 0 },
};

const struct command cmd_config = {
	.name = "config",
	.words = "[NAME]",
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "print an instance's configuration as JSON, or set it",
	.text = "What is printed can be given to --set, to --config of run and create, and to\n"
		"xenolith --config-file. NAME may be left out when only one instance is running.\n",
	.options = options,
	.options_size = sizeof(struct config_options),
	.run = run_config,
};
