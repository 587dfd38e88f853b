/* SPDX-License-Identifier: Apache-2.0 */
/* stop and kill: the end of an instance, asked for or not. */
#include "api/ctl/client.h"
#include "api/ctl/cmd.h"
#include "api/ctl/monitor.h"
#include "vmm/lib/log.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define TIMEOUT_S 30
#define GRACE_MS 3000 /* of kill, from SIGTERM to SIGKILL */
#define PROGRESS_MS 1000

struct stop_options {
	uint64_t timeout_s;
	bool force;
};

static int kill_one(const struct ctl *ctl, const struct instance *i, const char *done)
{
	struct err e;

	if (instance_kill(i, GRACE_MS, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s: %s", i->name, e.text);
	out_say(&ctl->out, "%s: %s", i->name, done);
	return CTL_OK;
}

static int run_kill(const struct ctl *ctl, const void *options, unsigned n,
		    const char *const *words)
{
	struct instance i;
	struct err e;

	(void)options;
	(void)n;
	if (instances_find(&i, ctl->run_dir, words[0], &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	return kill_one(ctl, &i, "killed");
}

/* The state as GET / tells it, in `text`. */
static int get_state(const struct instance *i, char *text, size_t size, struct err *e)
{
	cJSON *answer = NULL;
	const cJSON *state;
	int rc = client_once(i->api, "GET", "/", NULL, &answer, e);

	if (rc < 0)
		return rc;
	state = cJSON_GetObjectItemCaseSensitive(answer, "state");
	(void)snprintf(text, size, "%s", cJSON_IsString(state) ? state->valuestring : "");
	cJSON_Delete(answer);
	return 0;
}

static int press_button(const struct instance *i, struct err *e)
{
	cJSON *body = cJSON_CreateObject();
	int rc;

	cJSON_AddStringToObject(body, "action_type", "SendCtrlAltDel");
	rc = client_once(i->api, "PUT", "/actions", body, NULL, e);
	cJSON_Delete(body);
	return rc;
}

/* Until the process of `fd` has ended; says on a terminal that it takes time. */
static bool wait_end(const struct ctl *ctl, int fd, uint64_t timeout_s)
{
	uint64_t start = clock_ms(), end = start + timeout_s * 1000, now = start;
	bool said = false, gone;
	FILE *progress = out_progress(&ctl->out);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (!(gone = poll(&p, 1, (int)min_size(end - now, PROGRESS_MS)) > 0)) {
		now = clock_ms();
		if (now >= end)
			break;
		if (progress) {
			fprintf(progress, "\rwaiting for the guest: %llu of %llu s ",
				(unsigned long long)(now - start) / 1000,
				(unsigned long long)timeout_s);
			fflush(progress);
			said = true;
		}
	}
	if (said)
		fputs("\r\033[K", progress);
	return gone;
}

static int not_stopped(const struct ctl *ctl, const struct instance *i,
		       const struct stop_options *o, const char *why)
{
	if (o->force)
		return kill_one(ctl, i, "killed");
	return out_error(&ctl->out, CTL_FAILED, "%s: %s; xenolithctl kill %s ends it", i->name,
			 why, i->name);
}

static int ask_and_wait(const struct ctl *ctl, const struct instance *i,
			const struct stop_options *o, int fd)
{
	char why[ERR_TEXT_MAX];
	struct err e;

	if (press_button(i, &e) < 0)
		return not_stopped(ctl, i, o, e.text);
	if (!wait_end(ctl, fd, o->timeout_s)) {
		(void)snprintf(why, sizeof(why), "the guest has not powered off within %llu s",
			       (unsigned long long)o->timeout_s);
		return not_stopped(ctl, i, o, why);
	}
	/* What a monitor leaves that was killed meanwhile. */
	rundir_remove_stale(i->dir);
	out_say(&ctl->out, "%s: stopped", i->name);
	return CTL_OK;
}

static int run_stop(const struct ctl *ctl, const void *options, unsigned n,
		    const char *const *words)
{
	const struct stop_options *o = options;
	struct instance i;
	char state[32];
	struct err e;
	int fd, status;

	if (instances_find(&i, ctl->run_dir, n ? words[0] : NULL, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	fd = instance_pid_fd(&i);
	if (fd < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s: its process is ending", i.name);
	if (!*i.api)
		status = not_stopped(ctl, &i, o, "it has no API");
	else if (get_state(&i, state, sizeof(state), &e) < 0)
		status = not_stopped(ctl, &i, o, e.text);
	else if (strcmp(state, "Not started") == 0)
		status = kill_one(ctl, &i, "ended; it had not been started");
	else if (strcmp(state, "Paused") == 0)
		status = not_stopped(ctl, &i, o,
				     "its guest is paused and cannot act; resume it first");
	else
		status = ask_and_wait(ctl, &i, o, fd);
	close(fd);
	return status;
}

static const struct option stop_options[] = {
	{ .name = "--timeout",
	  .letter = 't',
	  .kind = OPTION_NUMBER,
	  .value = "SECONDS",
	  .at = offsetof(struct stop_options, timeout_s),
	  .max = 1000000,
	  .help = "how long the guest may take [30]" },
	{ .name = "--force",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct stop_options, force),
	  .help = "then, or when it cannot be asked, end it as kill does" },
	{ 0 },
};

const struct command cmd_stop = {
	.name = "stop",
	.words = "[NAME]",
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "ask a guest to power off, and wait until it has",
	.text = "The guest sees its power button pressed. NAME may be left out when only one\n"
		"instance is running.\n",
	.options = stop_options,
	.options_size = sizeof(struct stop_options),
	.defaults = &(const struct stop_options){ .timeout_s = TIMEOUT_S },
	.run = run_stop,
};

const struct command cmd_kill = {
	.name = "kill",
	.words = "NAME",
	.words_min = 1,
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "end an instance at once",
	.text = "The guest is not asked: what it has not written to its disks is lost.\n",
	.run = run_kill,
};
