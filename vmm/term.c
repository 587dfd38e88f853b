/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal as the guest's console: see term.h. */
#include "vmm/term.h"

#include <unistd.h>

void term_save(struct term *t)
{
	t->saved = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->before) == 0;
}

void term_raw(const struct term *t)
{
	struct termios raw = t->before;

	if (!t->saved)
		return;
	cfmakeraw(&raw);
	/* Our log shares the terminal: its lines need their carriage returns. */
	raw.c_oflag |= OPOST;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void term_restore(const struct term *t)
{
	if (t->saved)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->before);
}
