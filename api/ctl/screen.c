/* SPDX-License-Identifier: Apache-2.0 */
/* One screen, drawn in place: see screen.h. */
#include "api/ctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* Control sequences that all terminals of today know (xterm, tmux, the Linux console). */
#define ENTER "\033[?1049h\033[?25l\033[2J" /* the other screen, no cursor, empty */
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"

/* Of terminals that do not tell their size. */
#define LINES_DEFAULT 24
#define COLUMNS_DEFAULT 80

bool screen_possible(int out)
{
	const char *term = getenv("TERM");

	return isatty(out) && term && *term && strcmp(term, "dumb") != 0;
}

static int put(const struct screen *s, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(s->out, text, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = s->out, .events = POLLOUT };

			if (poll(&p, 1, 1000) == 1)
				continue;
		}
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static void get_size(struct screen *s)
{
	struct winsize size;

	s->lines = LINES_DEFAULT;
	s->columns = COLUMNS_DEFAULT;
	if (ioctl(s->out, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		s->lines = size.ws_row;
		s->columns = size.ws_col;
	}
}

/* Keys at once and unseen; those that make signals do so. */
static int enter(struct screen *s)
{
	struct termios raw = s->saved;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (s->in >= 0 && tcsetattr(s->in, TCSADRAIN, &raw) < 0)
		return -errno;
	get_size(s);
	return put(s, ENTER, sizeof(ENTER) - 1);
}

static void leave(const struct screen *s)
{
	/* Nothing can be done when these fail: the terminal is gone. */
	(void)put(s, LEAVE, sizeof(LEAVE) - 1);
	if (s->in >= 0)
		(void)tcsetattr(s->in, TCSAFLUSH, &s->saved);
}

int screen_open(struct screen *s, int in, int out, struct err *e)
{
	sigset_t set;
	int rc;

	*s = (struct screen){ .in = isatty(in) ? in : -1, .out = out, .signals = -1 };
	if (s->in >= 0 && tcgetattr(s->in, &s->saved) < 0)
		return err_set(e, -errno, "the terminal: %s", strerror(errno));
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGPIPE);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, &s->mask);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	rc = s->signals < 0 ? -errno : enter(s);
	if (rc < 0) {
		screen_close(s);
		return err_set(e, rc, "the terminal: %s", strerror(-rc));
	}
	return 0;
}

void screen_close(struct screen *s)
{
	leave(s);
	if (s->signals >= 0)
		close(s->signals);
	if (s->signal)
		(void)raise(s->signal);
	sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

/* ---- events ---- */

/* Stop as everybody does, with the terminal as it was; returns when told to go on. */
static enum screen_event stop(struct screen *s)
{
	sigset_t set;

	leave(s);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	(void)raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return enter(s) < 0 ? SCREEN_END : SCREEN_REDRAW;
}

static enum screen_event on_signal(struct screen *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return SCREEN_TIME;
	switch (info.ssi_signo) {
	case SIGWINCH:
		get_size(s);
		return SCREEN_REDRAW;
	case SIGTSTP:
		return stop(s);
	default:
		s->signal = (int)info.ssi_signo;
		return SCREEN_END;
	}
}

static enum screen_event on_key(struct screen *s)
{
	char keys[64];
	ssize_t n = read(s->in, keys, sizeof(keys));

	if (n <= 0)
		return n < 0 && errno == EINTR ? SCREEN_TIME : SCREEN_END;
	if (keys[0] == '\033') /* an arrow or the like */
		return SCREEN_TIME;
	s->key = keys[0];
	return SCREEN_KEY;
}

enum screen_event screen_wait(struct screen *s, int timeout_ms)
{
	struct pollfd p[] = { { .fd = s->signals, .events = POLLIN },
			      { .fd = s->in, .events = POLLIN } };
	int n = poll(p, ARRAY_SIZE(p), timeout_ms);

	if (n <= 0)
		return SCREEN_TIME;
	return p[0].revents ? on_signal(s) : on_key(s);
}

int screen_draw(struct screen *s, const char *text)
{
	char *drawn;
	size_t len, line = 0;
	FILE *f = open_memstream(&drawn, &len);
	int rc;

	if (!f)
		return -ENOMEM;
	fputs(HOME, f);
	while (*text && line < s->lines) {
		const char *end = strchrnul(text, '\n');

		/* Behind a line that fills its row, the cursor would still be on its last place. */
		fprintf(f, "%s" CLEAR_LINE "%.*s", line++ ? "\r\n" : "", (int)(end - text),
			text);
		text = *end ? end + 1 : end;
	}
	if (line < s->lines)
		fputs(line ? "\r\n" CLEAR_BELOW : CLEAR_BELOW, f);
	rc = fclose(f) == 0 ? put(s, drawn, len) : -ENOMEM;
	free(drawn);
	return rc;
}
