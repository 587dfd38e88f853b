/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal as one screen that is drawn again and again: keys come one by one, signals
 * as events. Whatever ends the program but SIGKILL, the terminal is as it was.
 */
#ifndef API_CTL_SCREEN_H
#define API_CTL_SCREEN_H

#include <signal.h>
#include <stdio.h>
#include <termios.h>

#include "vmm/lib/err.h"

enum screen_event {
	SCREEN_TIME, /* nothing happened */
	SCREEN_KEY, /* see `key` */
	SCREEN_REDRAW, /* the size has changed, or the program was stopped */
	SCREEN_END, /* see `signal` */
};

struct screen {
	size_t lines, columns;
	char key;
	int signal; /* that asked for the end; 0: the terminal is gone */
	/* Its own. */
	int in, out, signals; /* in: -1 when that is no terminal */
	struct termios saved;
	sigset_t mask;
};

/* Whether `out` is a terminal that can do this. */
bool screen_possible(int out);

/*
 * Take over the terminal `out`, and the keys of `in` when that is one, too. Blocks the
 * signals that end or stop a program until screen_close. 0 or -errno with a reason.
 */
MUST_CHECK int screen_open(struct screen *s, int in, int out, struct err *e);

/* Give it back. A signal that asked for the end is raised: this may not return. */
void screen_close(struct screen *s);

/* Wait for at most `timeout_ms`. After SCREEN_END only screen_close may follow. */
enum screen_event screen_wait(struct screen *s, int timeout_ms);

/*
 * Show the lines of `text`, each ended by "\n", as many as there is room for; they are no
 * longer than `columns`. -errno when the terminal does not take them.
 */
MUST_CHECK int screen_draw(struct screen *s, const char *text);

#endif
