/* SPDX-License-Identifier: Apache-2.0 */
/* xenolithctl logs: what an instance logs. */
#include "api/ctl/cmd.h"
#include "api/ctl/instances.h"
#include "api/ctl/lines.h"
#include "api/ctl/table.h"

#include <stdlib.h>

struct logs_options {
	uint64_t lines;
	bool follow;
};

static const struct logs_options defaults = { .lines = UINT64_MAX };

static const struct option options[] = {
	{ .name = "--follow",
	  .letter = 'f',
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct logs_options, follow),
	  .help = "go on with what comes, until the instance ends" },
	{ .name = "--lines",
	  .letter = 'n',
	  .kind = OPTION_NUMBER,
	  .value = "N",
	  .at = offsetof(struct logs_options, lines),
	  .help = "begin with the last N lines [all of them]" },
	{ 0 },
};

/* A line, made harmless to terminals; as JSON an object, which can get more members. */
static void print_line(const struct out *o, const char *line)
{
	char *text = strdup(line);
	cJSON *object = NULL;

	if (text)
		table_tame(text);
	if (o->json && text && (object = cJSON_CreateObject())) {
		cJSON_AddStringToObject(object, "line", text);
		out_value(o, object);
	} else {
		fprintf(o->to, "%s\n", text ? text : "");
	}
	cJSON_Delete(object);
	free(text);
}

static int print(const struct ctl *ctl, struct lines *l, const struct logs_options *o,
		 struct err *e)
{
	const char *line;
	int rc = o->lines == UINT64_MAX ? 0 : lines_seek_last(l, o->lines);

	while (rc == 0 && !ferror(ctl->out.to)) {
		rc = lines_next(l, &line);
		if (rc == 0 && o->follow) {
			fflush(ctl->out.to);
			rc = lines_wait(l, &line);
		}
		if (rc <= 0)
			break;
		print_line(&ctl->out, line);
		rc = 0;
	}
	if (rc == 0 && lines_rest(l, &line))
		print_line(&ctl->out, line);
	return rc < 0 ? err_set(e, rc, "log %s: %s", l->path, strerror(-rc)) : 0;
}

static int logs(const struct ctl *ctl, const void *given, unsigned n, const char *const *words)
{
	struct instance i;
	struct lines l;
	struct err e;
	int rc = instances_find_any(&i, ctl->run_dir, n ? words[0] : NULL, &e);

	if (rc < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	if (!*i.log)
		return out_error(&ctl->out, CTL_FAILED,
				 "%s: its log is not known here; it goes to standard error, or "
				 "where PUT /logger says. Start it with --run-log or "
				 "--log-path FILE",
				 i.name);
	rc = lines_open(&l, i.log, &i, "log", &e);
	if (rc == 0)
		rc = print(ctl, &l, given, &e);
	lines_close(&l);
	return rc < 0 ? out_error(&ctl->out, CTL_FAILED, "%s", e.text) : CTL_OK;
}

const struct command cmd_logs = {
	.name = "logs",
	.words = "[NAME]",
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "show what an instance has logged",
	.text = "NAME may be left out when only one instance is running. That of a dead one is\n"
		"shown, too, if its log was in the run directory (--run-log).\n",
	.options = options,
	.options_size = sizeof(struct logs_options),
	.defaults = &defaults,
	.run = logs,
};
