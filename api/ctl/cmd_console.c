/* SPDX-License-Identifier: Apache-2.0 */
/* console: an instance's serial port in this terminal. */
#include "api/ctl/cmd.h"
#include "api/ctl/monitor.h"
#include "api/ctl/session.h"
#include "vmm/lib/log.h"

#include <signal.h>
#include <unistd.h>

struct console_options {
	bool no_input;
};

/* How long a monitor takes to be gone after it closed its console. */
#define GONE_MS 30000

static bool still_alive(const struct ctl *ctl, const char *name)
{
	uint64_t end = clock_ms() + GONE_MS;
	struct instance i;

	while (instances_read(&i, ctl->run_dir, name) && i.alive) {
		if (instance_answers(&i) || clock_ms() >= end)
			return true;
		usleep(10000);
	}
	return false;
}

static int conclude(const struct ctl *ctl, const char *name, const struct session *s,
		    enum session_end end)
{
	if (end == SESSION_SIGNAL)
		return EXIT_SIGNALLED + s->signal;
	if (end == SESSION_NO_OUTPUT)
		return EXIT_SIGNALLED + SIGPIPE;
	if (end == SESSION_DETACHED || end == SESSION_QUIT) {
		out_say(&ctl->out, "\ndetached; %s runs on", name);
		return CTL_OK;
	}
	if (still_alive(ctl, name))
		return out_error(&ctl->out, CTL_FAILED,
				 "%s: another client has the console now", name);
	out_say(&ctl->out, "\n%s has ended", name);
	return CTL_OK;
}

static int run_console(const struct ctl *ctl, const void *options, unsigned n,
		       const char *const *words)
{
	const struct console_options *o = options;
	struct session s = { .in_fd = o->no_input ? -1 : STDIN_FILENO,
			     .out_fd = STDOUT_FILENO };
	struct tty tty = { 0 };
	enum session_end end;
	struct instance i;
	struct err e;

	if (instances_find(&i, ctl->run_dir, n ? words[0] : NULL, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	if (!*i.console)
		return out_error(&ctl->out, CTL_FAILED,
				 "%s has no console socket; start monitors with --serial socket",
				 i.name);
	s.console_fd = session_connect(i.console, &e);
	if (s.console_fd < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s: %s", i.name, e.text);
	s.signal_fd = session_signals();
	s.terminal = s.in_fd >= 0 && isatty(s.in_fd);
	if (s.terminal) {
		/* What is typed once this can be read is the guest's, Ctrl-C as well. */
		tty_raw(&tty, s.in_fd);
		out_say(&ctl->out, "%s: Ctrl-] d detaches\r", i.name);
	}
	end = session_run(&s);
	tty_restore(&tty);
	close(s.console_fd);
	return conclude(ctl, i.name, &s, end);
}

static const struct option options[] = {
	{ .name = "--no-input",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct console_options, no_input),
	  .help = "leave standard input alone" },
	{ 0 },
};

const struct command cmd_console = {
	.name = "console",
	.words = "[NAME]",
	.words_max = 1,
	.completes = COMPLETE_INSTANCE,
	.help = "attach to an instance's serial port",
	.text = "Ctrl-] d detaches, Ctrl-] Ctrl-] is sent as Ctrl-]. Without a terminal the console\n"
		"is standard input and output. A console has one client at a time: a new one takes\n"
		"over. NAME may be left out when only one instance is running.\n",
	.options = options,
	.options_size = sizeof(struct console_options),
	.run = run_console,
};
