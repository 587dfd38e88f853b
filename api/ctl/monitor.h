/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting monitors, and ending them. A monitor has a session of its own, so that keys
 * and a terminal that goes away concern only us.
 */
#ifndef API_CTL_MONITOR_H
#define API_CTL_MONITOR_H

#include "api/ctl/instances.h"
#include "api/ctl/tty.h"

#include <sys/types.h>

#define MONITOR_ENV "XENOLITH"

/* One that we have started; MONITOR_NONE before that. */
#define MONITOR_NONE \
	((struct monitor){ .pid_fd = -1, .err_fd = -1, .log_fd = -1, .guard_fd = -1 })

struct monitor {
	pid_t pid; /* 0: none, or it has been waited for */
	int pid_fd; /* -1: none */
	int err_fd; /* what it says before it has a log; -1: none */
	int log_fd; /* its log, once it has one, which may be removed by now; -1: none */
	int guard_fd; /* -1: no guard */
	pid_t guard;
	int status; /* once it has been waited for: as a shell tells it */
	struct instance instance; /* once it is ready */
};

/*
 * Start the program `binary` (NULL: $XENOLITH, `xenolith` beside us, or that of PATH) as
 * the instance `id` below `run_dir`, and wait until it answers. Gives up when
 * `cancel_fd` becomes readable (-1: never). 0, or -errno with a reason that says what to
 * do; `m` is to be given to monitor_end or monitor_release in any case.
 */
MUST_CHECK int monitor_start(struct monitor *m, const char *binary, const char *run_dir,
			     const char *id, int cancel_fd, struct err *e);

/*
 * End it if it lives: SIGTERM, after a while SIGKILL; wait for it, and remove what it
 * left. Returns its exit status as a shell tells it.
 */
int monitor_end(struct monitor *m);

/* Wait at most `ms` for its own end; false when it lives on. Sets `status`. */
bool monitor_wait(struct monitor *m, unsigned ms);

/* Let it live on by itself. */
void monitor_release(struct monitor *m);

/* The text of the last error in its log, or false when there is none. */
bool monitor_last_error(const struct monitor *m, char *text, size_t size);

/* Why it ended when it should not have, and what to do: -errno, with the reason in `e`. */
int monitor_explain(const struct monitor *m, struct err *e);

/*
 * Start a process that ends the monitor and restores the terminal when ours dies without
 * having called monitor_unguard. 0 or -errno.
 */
MUST_CHECK int monitor_guard(struct monitor *m, const struct tty *tty);

/* The guard, if there is one, is no longer needed. */
void monitor_unguard(struct monitor *m);

/*
 * End an instance that somebody started: SIGTERM, SIGKILL after `ms`; remove what is
 * left. 0 or -errno with a reason.
 */
MUST_CHECK int instance_kill(const struct instance *i, unsigned ms, struct err *e);

/* Whether its API answers, soon: one that is ending does not. */
bool instance_answers(const struct instance *i);

/*
 * The process of a living instance as a pidfd, or -errno: -ESRCH when only its monitor
 * is left, which ends by itself. Nobody else who has its number by now is meant.
 */
MUST_CHECK int instance_pid_fd(const struct instance *i);

#endif
