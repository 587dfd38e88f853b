/* SPDX-License-Identifier: Apache-2.0 */
/* A console in this terminal: see session.h. */
#include "api/ctl/session.h"

#include "api/ctl/escape.h"
#include "vmm/lib/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CHUNK 4096 /* a pipe that polls as writable takes as much without blocking */

enum { CONSOLE, INPUT, OUTPUT, SIGNALS, FDS };

struct pump {
	struct session *s;
	struct escape escape;
	struct pollfd fds[FDS];
	char typed[CHUNK];
	size_t n_typed, typed_sent;
	char *kept; /* output that was not written yet */
	size_t n_kept, kept_written, room;
	bool no_input; /* its end was seen */
	bool ended;
	enum session_end end;
};

int session_connect(const char *path, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(e, -ENAMETOOLONG, "console %s: the path is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int rc = -errno;

		if (fd >= 0)
			close(fd);
		return err_set(e, rc, "console %s: %s", path, strerror(-rc));
	}
	return fd;
}

static void finish(struct pump *p, enum session_end end)
{
	if (!p->ended)
		p->end = end;
	p->ended = true;
}

/* ---- from the guest ------------------------------------------------------------ */

/* Room for a chunk, and what a mark held back. */
static bool make_room(struct pump *p)
{
	size_t need = CHUNK + sizeof(((struct guest_output *)NULL)->held);
	char *more;

	if (p->kept_written > p->n_kept / 2) {
		p->n_kept -= p->kept_written;
		memmove(p->kept, p->kept + p->kept_written, p->n_kept);
		p->kept_written = 0;
	}
	if (p->room - p->n_kept >= need)
		return true;
	more = realloc(p->kept, p->room ? p->room * 2 : 4 * need);
	if (!more)
		return false;
	p->kept = more;
	p->room = p->room ? p->room * 2 : 4 * need;
	return true;
}

static void read_console(struct pump *p)
{
	struct guest_output *g = p->s->command;
	char bytes[CHUNK];
	ssize_t n;

	if (!make_room(p))
		return;
	n = recv(p->s->console_fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		finish(p, SESSION_CLOSED);
		return;
	}
	if (g) {
		p->n_kept += guest_output_feed(g, bytes, (size_t)n, p->kept + p->n_kept);
		if (g->stage == GUEST_DONE)
			finish(p, SESSION_COMMAND);
	} else {
		memcpy(p->kept + p->n_kept, bytes, (size_t)n);
		p->n_kept += (size_t)n;
	}
}

static void write_output(struct pump *p)
{
	size_t n = min_size(p->n_kept - p->kept_written, CHUNK);
	ssize_t done = write(p->s->out_fd, p->kept + p->kept_written, n);

	if (done > 0)
		p->kept_written += (size_t)done;
	else if (done < 0 && errno != EAGAIN && errno != EINTR) {
		p->kept_written = p->n_kept;
		finish(p, SESSION_NO_OUTPUT);
	}
}

/* ---- to the guest -------------------------------------------------------------- */

static void read_input(struct pump *p)
{
	ssize_t n = read(p->s->in_fd, p->typed, sizeof(p->typed));
	enum escape_action action = ESCAPE_NONE;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* no more of it; the guest runs on */
		p->no_input = true;
		return;
	}
	p->n_typed = (size_t)n;
	p->typed_sent = 0;
	if (p->s->terminal)
		action = escape_feed(&p->escape, p->typed, (size_t)n, &p->n_typed);
	if (action == ESCAPE_DETACH)
		finish(p, SESSION_DETACHED);
	else if (action == ESCAPE_QUIT)
		finish(p, SESSION_QUIT);
}

static void send_typed(struct pump *p)
{
	ssize_t n = send(p->s->console_fd, p->typed + p->typed_sent, p->n_typed - p->typed_sent,
			 MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		p->typed_sent += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		p->typed_sent = p->n_typed; /* reading tells that it is closed */
}

/* ---- both ---------------------------------------------------------------------- */

static void read_signal(struct pump *p)
{
	struct signalfd_siginfo info;

	if (read(p->s->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	p->s->signal = (int)info.ssi_signo;
	finish(p, SESSION_SIGNAL);
}

static void set_events(struct pump *p)
{
	bool typed = p->typed_sent < p->n_typed;
	bool output = p->kept_written < p->n_kept;

	p->fds[CONSOLE].events = typed ? POLLOUT : 0;
	if (p->n_kept - p->kept_written < SESSION_KEEP_MAX)
		p->fds[CONSOLE].events |= POLLIN;
	p->fds[INPUT].fd = typed || p->no_input ? -1 : p->s->in_fd;
	p->fds[INPUT].events = POLLIN;
	p->fds[OUTPUT].fd = output ? p->s->out_fd : -1;
	p->fds[OUTPUT].events = POLLOUT;
	p->fds[SIGNALS].events = POLLIN;
}

static int time_left(const struct pump *p)
{
	uint64_t now = clock_ms(), end = p->s->deadline_ms;

	if (!end)
		return -1;
	return now >= end ? 0 : (int)min_size(end - now, INT32_MAX);
}

static void turn(struct pump *p)
{
	int n;

	set_events(p);
	n = poll(p->fds, FDS, time_left(p));
	if (n == 0 && time_left(p) == 0)
		finish(p, SESSION_TIMEOUT);
	if (n <= 0)
		return;
	if (p->fds[SIGNALS].revents)
		read_signal(p);
	if (p->fds[OUTPUT].revents)
		write_output(p);
	if (p->fds[CONSOLE].revents & POLLOUT)
		send_typed(p);
	if (p->fds[CONSOLE].revents & (POLLIN | POLLHUP | POLLERR))
		read_console(p);
	/* A terminal that hung up or an end of file: read tells. */
	if (p->fds[INPUT].revents)
		read_input(p);
}

/* What was printed before the end; a reader that is slow is waited for, unless it is told. */
static void flush_output(struct pump *p)
{
	while (p->kept_written < p->n_kept && p->end != SESSION_NO_OUTPUT) {
		struct pollfd fds[] = { { .fd = p->s->out_fd, .events = POLLOUT },
					{ .fd = p->s->signal_fd, .events = POLLIN } };

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[1].revents)
			return;
		if (fds[0].revents)
			write_output(p);
	}
}

enum session_end session_run(struct session *s)
{
	struct pump p = { .s = s };
	enum session_end end;

	p.fds[CONSOLE].fd = s->console_fd;
	p.fds[SIGNALS].fd = s->signal_fd;
	while (!p.ended)
		turn(&p);
	flush_output(&p);
	end = p.end;
	free(p.kept);
	return end;
}

int session_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}
