/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A console in this terminal, or in a pipe: what is typed goes to the guest, what the
 * guest prints comes out, until something ends it. Output that is not taken is kept, up to
 * SESSION_KEEP_MAX bytes; then the console is no longer read.
 *
 * Input from others: the guest's output, and what is typed.
 */
#ifndef API_CTL_SESSION_H
#define API_CTL_SESSION_H

#include "api/ctl/guest_command.h"

#define SESSION_KEEP_MAX (64 * MIB)

enum session_end {
	SESSION_CLOSED, /* the console's other end was closed */
	SESSION_DETACHED, /* Ctrl-] d */
	SESSION_QUIT, /* Ctrl-] q */
	SESSION_SIGNAL, /* see `signal` */
	SESSION_COMMAND, /* the guest's command has ended, see `command->status` */
	SESSION_TIMEOUT,
	SESSION_NO_OUTPUT, /* nobody takes it any more */
};

struct session {
	int console_fd; /* connected */
	int in_fd, out_fd; /* in_fd -1: none */
	int signal_fd; /* a signalfd; -1: none */
	bool terminal; /* in_fd is a raw terminal: the escape key counts */
	struct guest_output *command; /* NULL: the console as it is */
	uint64_t deadline_ms; /* of clock_ms; 0: none */
	int signal; /* out: which one */
};

/* Carry bytes until one of the ends; what the guest has printed by then is written out. */
enum session_end session_run(struct session *s);

/*
 * Block the signals that end a program from outside, for a session to tell: a signalfd for
 * them, or -1.
 */
MUST_CHECK int session_signals(void);

/* Connect to a console's socket: the descriptor, or -errno with a reason. */
MUST_CHECK int session_connect(const char *path, struct err *e);

#endif
