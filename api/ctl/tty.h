/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal that a console is shown on. */
#ifndef API_CTL_TTY_H
#define API_CTL_TTY_H

#include "vmm/lib/bytes.h"

#include <termios.h>

struct tty {
	int fd;
	bool raw; /* it was changed */
	struct termios before;
};

/* Hand every key to us, if `fd` is a terminal; false when it is none. */
bool tty_raw(struct tty *t, int fd);

/* As it was; may be called when nothing was changed. */
void tty_restore(struct tty *t);

#endif
