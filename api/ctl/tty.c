/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal that a console is shown on: see tty.h. */
#include "api/ctl/tty.h"

#include <unistd.h>

bool tty_raw(struct tty *t, int fd)
{
	struct termios raw;

	t->fd = fd;
	t->raw = isatty(fd) && tcgetattr(fd, &t->before) == 0;
	if (!t->raw)
		return false;
	raw = t->before;
	cfmakeraw(&raw);
	tcsetattr(fd, TCSANOW, &raw);
	return true;
}

void tty_restore(struct tty *t)
{
	if (t->raw)
		tcsetattr(t->fd, TCSANOW, &t->before);
	t->raw = false;
}
