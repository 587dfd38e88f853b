/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal while it is the guest's console: raw, so that Ctrl-C and the like reach
 * the guest, and put back however the program ends.
 */
#ifndef VMM_TERM_H
#define VMM_TERM_H

#include <stdbool.h>
#include <termios.h>

struct term {
	bool saved;
	struct termios before;
};

/* Remember how standard input is set, if it is a terminal. */
void term_save(struct term *t);

/* Make it raw; does nothing when it is no terminal. */
void term_raw(const struct term *t);

/* As it was. May be called any number of times, by any process that shares it. */
void term_restore(const struct term *t);

#endif
