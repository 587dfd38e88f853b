/* SPDX-License-Identifier: Apache-2.0 */
/* xenolithctl metrics: what an instance has counted (docs/metrics.md). */
#include "api/ctl/client.h"
#include "api/ctl/cmd.h"
#include "api/ctl/instances.h"
#include "api/ctl/lines.h"
#include "api/ctl/table.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

/* How long metrics that have been asked for may take: a second. */
#define FLUSH_TRIES 50
#define FLUSH_TRY_MS 20

struct metrics_options {
	bool follow, all, flush;
};

static const struct option options[] = {
	{ .name = "--follow",
	  .letter = 'f',
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct metrics_options, follow),
	  .help = "then those that come, until the instance ends" },
	{ .name = "--flush",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct metrics_options, flush),
	  .help = "have the instance write them now" },
	{ .name = "--all",
	  .letter = 'a',
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct metrics_options, all),
	  .help = "also those that are 0" },
	{ 0 },
};

/* ---- for people: one line a counter ---- */

static bool is_zero(const cJSON *value)
{
	return cJSON_IsNumber(value) && !(value->valuedouble < 0) && !(value->valuedouble > 0);
}

/* `group.name  value`; what is nested deeper is JSON. */
static void print_value(const struct out *o, const char *group, const cJSON *value, bool all)
{
	char *text = cJSON_PrintUnformatted(value), name[OUT_CELL_MAX];

	if (text && (all || !is_zero(value))) {
		(void)snprintf(name, sizeof(name), "%s%s%s", group, *group ? "." : "",
			       value->string);
		table_tame(name);
		fprintf(o->to, "%-48s %s\n", name, text);
	}
	cJSON_free(text);
}

static void print_all(const struct out *o, const cJSON *metrics, bool all)
{
	const cJSON *group, *value;

	cJSON_ArrayForEach(group, metrics)
	{
		if (!cJSON_IsObject(group)) {
			print_value(o, "", group, all);
			continue;
		}
		cJSON_ArrayForEach(value, group)
		{
			print_value(o, group->string, value, all);
		}
	}
}

static int print_line(const struct out *o, const char *line, bool all)
{
	cJSON *metrics = cJSON_Parse(line);

	if (!cJSON_IsObject(metrics)) {
		cJSON_Delete(metrics);
		return -EBADMSG;
	}
	if (o->json)
		out_value(o, metrics);
	else
		print_all(o, metrics, all);
	cJSON_Delete(metrics);
	return 0;
}

/* ---- lines ---- */

/* A copy of the last whole line; NULL with 0: there is none. */
static int last_line(struct lines *l, char **out)
{
	const char *line;
	/* The last one may be being written. */
	int rc = lines_seek_last(l, 2);

	*out = NULL;
	while (rc == 0 && (rc = lines_next(l, &line)) > 0) {
		free(*out);
		*out = strdup(line);
		rc = *out ? 0 : -ENOMEM;
	}
	return rc;
}

static int print_last(const struct ctl *ctl, struct lines *l, const struct metrics_options *o,
		      struct err *e)
{
	char *line;
	int rc = last_line(l, &line);

	if (rc == 0 && !line && !o->follow)
		rc = err_set(e, -ENODATA,
			     "metrics %s: nothing has been written yet; --flush has it done",
			     l->path);
	else if (rc == 0 && line)
		rc = print_line(&ctl->out, line, o->all);
	free(line);
	return rc;
}

static int follow(const struct ctl *ctl, struct lines *l, bool all)
{
	const char *line;
	int rc;

	fflush(ctl->out.to);
	while ((rc = lines_wait(l, &line)) > 0 && !ferror(ctl->out.to)) {
		if (!ctl->out.json)
			fputc('\n', ctl->out.to);
		rc = print_line(&ctl->out, line, all);
		if (rc < 0)
			break;
		fflush(ctl->out.to);
	}
	return rc < 0 ? rc : 0;
}

static int flush(const struct instance *i, struct err *e)
{
	cJSON *body;
	int rc;

	if (!*i->api)
		return err_set(e, -ENOENT, "%s has no API", i->name);
	body = cJSON_CreateObject();
	cJSON_AddStringToObject(body, "action_type", "FlushMetrics");
	rc = client_once(i->api, "PUT", "/actions", body, NULL, e);
	cJSON_Delete(body);
	return rc < 0 ? err_prefix(e, rc, "%s", i->name) : 0;
}

/* It answers before it writes: wait until the file grows, or as long as it may take. */
static int flush_and_wait(const struct instance *i, struct err *e)
{
	struct stat before, now;
	int rc = stat(i->metrics, &before) < 0 ? 0 : flush(i, e);

	for (int n = 0; rc == 0 && n < FLUSH_TRIES; n++) {
		if (stat(i->metrics, &now) < 0 || now.st_size != before.st_size)
			break;
		(void)poll(NULL, 0, FLUSH_TRY_MS);
	}
	return rc;
}

static int show(const struct ctl *ctl, const struct instance *i,
		const struct metrics_options *o, struct err *e)
{
	struct lines l = { .fd = -1 };
	int rc = o->flush ? flush_and_wait(i, e) : 0;

	if (rc == 0)
		rc = lines_open(&l, i->metrics, i, "metrics", e);
	if (rc == 0)
		rc = print_last(ctl, &l, o, e);
	if (rc == 0 && o->follow)
		rc = follow(ctl, &l, o->all);
	if (rc < 0 && !*e->text)
		err_set(e, rc, "metrics %s: %s", i->metrics,
			rc == -EBADMSG ? "no JSON" : strerror(-rc));
	lines_close(&l);
	return rc;
}

static int metrics(const struct ctl *ctl, const void *given, unsigned n,
		   const char *const *words)
{
	struct instance i;
	struct err e = { "" };

	if (instances_find_any(&i, ctl->run_dir, n ? words[0] : NULL, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	if (!*i.metrics)
		return out_error(&ctl->out, CTL_FAILED,
				 "%s: its metrics are not known here; they go nowhere, or where "
				 "PUT /metrics says. Start it with --metrics-path FILE",
				 i.name);
	return show(ctl, &i, given, &e) < 0 ? out_error(&ctl->out, CTL_FAILED, "%s", e.text) :
					      CTL_OK;
}

const struct command cmd_metrics = {
	.name = "metrics",
	.words = "[NAME]",
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "show what an instance has counted",
	.text = "The latest metrics that it has written; it does so each minute. Numbers are what\n"
		"was added since the line before. NAME may be left out when only one instance is\n"
		"running.\n",
	.options = options,
	.options_size = sizeof(struct metrics_options),
	.run = metrics,
};
