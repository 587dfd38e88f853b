/* SPDX-License-Identifier: Apache-2.0 */
/* run: a VM from its start to its end, in one command. */
#include "api/ctl/cmd.h"
#include "api/ctl/monitor.h"
#include "api/ctl/session.h"
#include "api/ctl/spec.h"
#include "vmm/lib/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Of --command, when no status of the command is known. */
#define NO_STATUS 125
/* As timeout(1). */
#define TIMED_OUT 124
/* How long the end of a VM may take after its console was closed. */
#define END_MS 30000

struct run_options {
	struct spec_options spec;
	const char *name, *command, *monitor;
	uint64_t timeout_s; /* 0: none */
	bool no_input;
};

/* What there is to clean up. */
struct run {
	const struct ctl *ctl;
	const struct run_options *o;
	cJSON *config;
	struct monitor monitor;
	struct client client;
	struct tty tty;
	struct guest_output command;
	struct session session;
};

/* ---- preparation --------------------------------------------------------------- */

static int make_token(char token[GUEST_TOKEN_MAX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char random[8];

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return -errno;
	for (size_t i = 0; i < sizeof(random); i++) {
		*token++ = digits[random[i] >> 4];
		*token++ = digits[random[i] & 15];
	}
	*token = '\0';
	return 0;
}

/* The kernel starts the shell of the image, from the initramfs when there is no disk. */
static int command_args(struct run *r, char *out, size_t size, struct err *e)
{
	const struct spec_options *spec = &r->o->spec;
	bool ram = spec->initrd && spec->disks.n == 0;
	int n = snprintf(out, size, "loglevel=1 %s=/bin/sh ", ram ? "rdinit" : "init");
	int rc = make_token(r->command.token);

	if (rc < 0)
		return err_set(e, rc, "random numbers: %s", strerror(-rc));
	rc = guest_command_args(out + n, size - (size_t)n, r->o->command, r->command.token,
				r->session.terminal);
	if (rc < 0)
		return err_set(e, rc, "--command: too long; put it into the image as a script");
	return 0;
}

static int prepare(struct run *r, struct err *e)
{
	char args[4096];
	int rc = 0;

	if (r->o->command)
		rc = command_args(r, args, sizeof(args), e);
	if (rc == 0)
		rc = spec_build(&r->config, &r->o->spec, r->o->command ? args : NULL, e);
	return rc;
}

/* ---- the start ----------------------------------------------------------------- */

static int start_guest(struct run *r, struct err *e)
{
	cJSON *body = cJSON_CreateObject();
	int rc;

	cJSON_AddStringToObject(body, "action_type", "InstanceStart");
	rc = client_call(&r->client, "PUT", "/actions", body, NULL, e);
	cJSON_Delete(body);
	return rc < 0 ? rc : 0;
}

/* Monitor, guard, configuration, console, guest: in this order. */
static int bring_up(struct run *r, const char *name, struct err *e)
{
	int rc = monitor_start(&r->monitor, r->o->monitor, r->ctl->run_dir, name,
			       r->session.signal_fd, e);

	if (rc < 0)
		return rc;
	rc = monitor_guard(&r->monitor, &r->tty);
	if (rc < 0)
		return err_set(e, rc, "starting the guard: %s", strerror(-rc));
	rc = client_open(&r->client, r->monitor.instance.api, e);
	r->client.cancel_fd = r->session.signal_fd;
	r->client.progress = out_progress(&r->ctl->out);
	if (rc == 0)
		rc = spec_apply(&r->client, r->config, e);
	if (rc < 0)
		return rc;
	rc = session_connect(r->monitor.instance.console, e);
	if (rc < 0)
		return rc;
	r->session.console_fd = rc;
	return start_guest(r, e);
}

/* ---- the end ------------------------------------------------------------------- */

/* What a status of the monitor means, as docs/exit-status.md has it. */
static const char *meaning(int status)
{
	switch (status) {
	case EXIT_GUEST_REBOOT:
		return "the guest rebooted";
	case EXIT_GUEST_POWEROFF:
		return "the guest powered off";
	case EXIT_GUEST_HALT:
		return "the guest halted";
	case EXIT_GUEST_CRASH:
		return "the guest crashed";
	case EXIT_GUEST_TRIPLE_FAULT:
		return "the guest took a triple fault";
	case EXIT_GUEST_OTHER:
		return "the guest shut down in another way";
	case EXIT_KEEPER_LOST:
		return "the keeper process or the domain was ended from outside";
	case EXIT_HOST_ERROR:
		return "the monitor failed";
	default:
		return status > EXIT_SIGNALLED ? "the monitor was ended by a signal" :
						 "the monitor ended";
	}
}

static int report(const struct run *r, int status, const char *how)
{
	const struct out *o = &r->ctl->out;
	cJSON *end;

	if (!o->json)
		return status;
	end = cJSON_CreateObject();
	cJSON_AddStringToObject(end, "name", r->monitor.instance.name);
	cJSON_AddNumberToObject(end, "status", status);
	cJSON_AddStringToObject(end, "end", how);
	out_value(&(struct out){ .to = o->err, .json = true }, end);
	cJSON_Delete(end);
	return status;
}

/* The VM has ended by itself. */
static int ended(struct run *r)
{
	const struct out *o = &r->ctl->out;
	char why[ERR_TEXT_MAX] = "";
	int status = r->monitor.status;

	if (!r->o->command) {
		if (status == EXIT_HOST_ERROR || status == EXIT_KEEPER_LOST ||
		    status > EXIT_SIGNALLED) {
			bool said = monitor_last_error(&r->monitor, why, sizeof(why));

			return out_error(o, status, "%s%s%s", meaning(status), said ? ": " : "",
					 why);
		}
		return report(r, status, meaning(status));
	}
	if (r->command.stage == GUEST_BOOTING && r->command.n_tail && !o->json)
		fprintf(o->err, "%.*s\n", (int)r->command.n_tail, r->command.tail);
	return out_error(o, NO_STATUS, "%s (status %d) before the command %s", meaning(status),
			 status, r->command.stage == GUEST_BOOTING ? "began" : "had ended");
}

/* The console was closed: the VM has ended, or somebody else has the console. */
static int closed(struct run *r)
{
	uint64_t end = clock_ms() + END_MS;

	while (!monitor_wait(&r->monitor, 100)) {
		/* One that is ending does not answer. */
		if (instance_answers(&r->monitor.instance) || clock_ms() >= end)
			return out_error(
				&r->ctl->out, CTL_FAILED,
				"another client has taken the console of %s; it is ended",
				r->monitor.instance.name);
	}
	return ended(r);
}

static int conclude(struct run *r, enum session_end end)
{
	const struct out *o = &r->ctl->out;
	const char *name = r->monitor.instance.name;

	switch (end) {
	case SESSION_CLOSED:
		return closed(r);
	case SESSION_DETACHED:
		monitor_unguard(&r->monitor);
		monitor_release(&r->monitor);
		out_say(o, "\n%s runs on; xenolithctl console %s attaches again", name, name);
		return report(r, CTL_OK, "detached");
	case SESSION_QUIT:
		out_say(o, "\n%s: ended", name);
		return report(r, CTL_OK, "ended by Ctrl-] q");
	case SESSION_SIGNAL:
		return report(r, EXIT_SIGNALLED + r->session.signal, "ended by a signal");
	case SESSION_COMMAND:
		return report(r, r->command.status, "the command has ended");
	case SESSION_TIMEOUT:
		return out_error(o, TIMED_OUT, "%s: ended after %llu s (--timeout)", name,
				 (unsigned long long)r->o->timeout_s);
	case SESSION_NO_OUTPUT:
		break;
	}
	return out_error(o, EXIT_SIGNALLED + SIGPIPE, "%s: nobody reads the output", name);
}

static void clean_up(struct run *r)
{
	tty_restore(&r->tty);
	client_close(&r->client);
	if (r->session.console_fd >= 0)
		close(r->session.console_fd);
	(void)monitor_end(&r->monitor);
	monitor_unguard(&r->monitor);
	cJSON_Delete(r->config);
}

/* ---- the command --------------------------------------------------------------- */

static int go(struct run *r, const char *name)
{
	enum session_end end;
	struct err e;
	int rc = prepare(r, &e);

	if (rc < 0)
		return out_error(&r->ctl->out, CTL_FAILED, "%s", e.text);
	rc = bring_up(r, name, &e);
	if (rc == -ECANCELED) {
		struct signalfd_siginfo info;

		if (read(r->session.signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
			r->session.signal = (int)info.ssi_signo;
		return conclude(r, SESSION_SIGNAL);
	}
	/* When it has gone, that says more than the call that it did not answer. */
	if (rc < 0 && r->monitor.pid > 0 && rc != -EREMOTEIO && monitor_wait(&r->monitor, 500))
		rc = monitor_explain(&r->monitor, &e);
	if (rc < 0)
		return out_error(&r->ctl->out, CTL_FAILED, "%s", e.text);
	if (r->session.terminal) {
		tty_raw(&r->tty, STDIN_FILENO);
		out_say(&r->ctl->out, "%s: Ctrl-] q ends it, Ctrl-] d detaches\r", name);
	}
	if (r->o->timeout_s)
		r->session.deadline_ms = clock_ms() + r->o->timeout_s * 1000;
	end = session_run(&r->session);
	tty_restore(&r->tty);
	return conclude(r, end);
}

static int run_run(const struct ctl *ctl, const void *options, unsigned n,
		   const char *const *words)
{
	const struct run_options *o = options;
	struct run r = { .ctl = ctl, .o = o, .client = { .fd = -1 }, .monitor = MONITOR_NONE };
	char name[32];
	int status;

	(void)n;
	(void)words;
	(void)snprintf(name, sizeof(name), "run-%d", (int)getpid());
	r.session.console_fd = -1;
	r.session.in_fd = o->no_input ? -1 : STDIN_FILENO;
	r.session.out_fd = STDOUT_FILENO;
	r.session.signal_fd = session_signals();
	r.session.terminal = r.session.in_fd >= 0 && isatty(STDIN_FILENO);
	if (r.session.terminal && tcgetattr(STDIN_FILENO, &r.tty.before) == 0)
		r.tty = (struct tty){ .fd = STDIN_FILENO, .raw = true, .before = r.tty.before };
	if (o->command)
		r.session.command = &r.command;
	(void)instances_clean(ctl->run_dir);
	status = go(&r, o->name ? o->name : name);
	clean_up(&r);
	return status;
}

static const struct option options[] = {
	SPEC_OPTION_ROWS(struct run_options, spec),
	{ .name = "--command",
	  .letter = 'c',
	  .kind = OPTION_TEXT,
	  .value = "TEXT",
	  .at = offsetof(struct run_options, command),
	  .help = "run this with /bin/sh in the guest instead of its init" },
	{ .name = "--timeout",
	  .kind = OPTION_NUMBER,
	  .value = "SECONDS",
	  .at = offsetof(struct run_options, timeout_s),
	  .max = 1000000000,
	  .help = "end it after so long, with status 124" },
	{ .name = "--no-input",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct run_options, no_input),
	  .help = "leave standard input alone" },
	{ .name = "--name",
	  .kind = OPTION_TEXT,
	  .value = "NAME",
	  .at = offsetof(struct run_options, name),
	  .help = "of the instance [run- and a number]" },
	{ .name = "--monitor",
	  .kind = OPTION_TEXT,
	  .value = "PROGRAM",
	  .at = offsetof(struct run_options, monitor),
	  .completes = COMPLETE_FILE,
	  .help = "[$" MONITOR_ENV ", or xenolith beside this program, or of PATH]" },
	{ 0 },
};

const struct command cmd_run = {
	.name = "run",
	.words = "",
	.help = "run a VM here until it ends",
	.text = "The guest's console is this terminal: Ctrl-] d detaches, Ctrl-] q ends the VM,\n"
		"Ctrl-] Ctrl-] is sent as Ctrl-]. Without a terminal it is standard input and\n"
		"output. When this program ends, however it does, so does the VM.\n\n"
		"Exit status: how the VM ended (0 reboot, 2 power off, 3 halt, 4 crash, ...: see\n"
		"exit-status.md), 1 when it could not be started. With --command: that of the\n"
		"command, whose output is the only output; 125 when the VM ended before it did.\n"
		"124 after --timeout, 128 + N after signal N.\n\n" SPEC_TEXT,
	.options = options,
	.options_size = sizeof(struct run_options),
	.run = run_run,
};
