/* SPDX-License-Identifier: Apache-2.0 */
/* The privileged half: see keeper.h. */
#include "vmm/hv/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/lib/config.h"
#include "vmm/lib/exit.h"
#include "vmm/lib/layout.h"
#include "vmm/lib/log.h"

/* How long the monitor may take to end after it was asked to. */
#define GRACE_MS 1000

enum state {
	STATE_SHELL,
	STATE_SHAPED,
	STATE_PAGED, /* shaped, and asked for register pages */
	STATE_RUNNING,
	STATE_PAUSED,
	STATES
};

struct keeper {
	const struct keeper_ops *ops;
	void *ctx;
	int sock, signals;
	pid_t monitor;
	enum state state;
	uint64_t deadline; /* clock_ms: when a monitor that should end is ended; 0: never */
	bool lost; /* the domain: then the monitor was ended at once */
	bool reaped;
	int status; /* of the monitor, when reaped */
};

typedef int (*request_handler)(struct keeper *k, const struct keeper_request *q,
			       struct keeper_answer *a);

/*
 * The monitor's handles reach whoever has our domid, which nobody keeps for us while
 * there is no domain.
 */
static void end_if_lost(struct keeper *k, const char *why)
{
	struct keeper_info info = { 0 };

	k->ops->info(k->ctx, &info);
	if (!info.lost)
		return;
	k->lost = true;
	kill(k->monitor, SIGKILL);
	log_error("keeper", "the domain is lost: %s", why);
}

static int do_shape(struct keeper *k, const struct keeper_request *q, struct keeper_answer *a)
{
	int rc;

	if (q->vcpus < 1 || q->vcpus > CONFIG_VCPUS_MAX)
		return err_set(&a->e, -EINVAL, "keeper: %u vCPUs are out of range", q->vcpus);
	if (q->ram == 0 || q->ram % MIB)
		return err_set(&a->e, -EINVAL, "keeper: RAM size %#llx is no multiple of 1 MiB",
			       (unsigned long long)q->ram);
	rc = k->ops->shape(k->ctx, q->vcpus, q->ram, &a->e);
	k->state = rc == 0 ? STATE_SHAPED : STATE_SHELL;
	if (rc < 0)
		end_if_lost(k, a->e.text);
	return rc;
}

static int do_pages(struct keeper *k, const struct keeper_request *q, struct keeper_answer *a)
{
	const uint64_t room = LAYOUT_VIRTIO_MAX * LAYOUT_VIRTIO_WINDOW;
	uint64_t bytes = q->pages * PAGE_BYTES;

	if (bytes == 0 || bytes > room || q->at % PAGE_BYTES || q->at < LAYOUT_VIRTIO ||
	    q->at - LAYOUT_VIRTIO > room - bytes)
		return err_set(&a->e, -EINVAL, "keeper: %u pages at %#llx are out of range",
			       q->pages, (unsigned long long)q->at);
	/* Not again, however it goes: some of them may be there. */
	k->state = STATE_PAGED;
	return k->ops->pages(k->ctx, q->at, q->pages, &a->e);
}

static int do_start(struct keeper *k, const struct keeper_request *q, struct keeper_answer *a)
{
	int rc = k->ops->start(k->ctx, q->ip, q->start_info, &a->e);

	if (rc == 0)
		k->state = STATE_RUNNING;
	return rc;
}

static int do_pause(struct keeper *k, const struct keeper_request *q, struct keeper_answer *a)
{
	int rc = k->ops->pause(k->ctx, &a->e);

	(void)q;
	if (rc == 0)
		k->state = STATE_PAUSED;
	return rc;
}

static int do_resume(struct keeper *k, const struct keeper_request *q, struct keeper_answer *a)
{
	int rc = k->ops->resume(k->ctx, &a->e);

	(void)q;
	if (rc == 0)
		k->state = STATE_RUNNING;
	return rc;
}

static int do_state(struct keeper *k, const struct keeper_request *q, struct keeper_answer *a)
{
	bool shut_down = false;
	int rc = k->ops->state(k->ctx, &shut_down, &a->reason, &a->e);

	(void)q;
	a->shut_down = shut_down;
	return rc;
}

/* What the monitor may ask for, and when. */
static const struct permit {
	const char *name;
	unsigned states; /* bits of enum state */
	request_handler handle;
} permits[KEEPER_REQUESTS] = {
	[KEEPER_SHAPE] = { "shape", 1u << STATE_SHELL | 1u << STATE_SHAPED | 1u << STATE_PAGED,
			   do_shape },
	[KEEPER_PAGES] = { "pages", 1u << STATE_SHAPED, do_pages },
	[KEEPER_START] = { "start", 1u << STATE_SHAPED | 1u << STATE_PAGED, do_start },
	[KEEPER_PAUSE] = { "pause", 1u << STATE_RUNNING, do_pause },
	[KEEPER_RESUME] = { "resume", 1u << STATE_PAUSED, do_resume },
	[KEEPER_STATE] = { "state", 1u << STATE_RUNNING | 1u << STATE_PAUSED, do_state },
};

static int dispatch(struct keeper *k, const struct keeper_request *q, struct keeper_answer *a)
{
	const struct permit *p;

	if (q->type >= KEEPER_REQUESTS)
		return err_set(&a->e, -ENOSYS, "keeper: no request %u", q->type);
	p = &permits[q->type];
	if (!(p->states & 1u << k->state))
		return err_set(&a->e, -EPERM, "keeper: %s is not permitted now", p->name);
	return p->handle(k, q, a);
}

static bool send_answer(struct keeper *k, struct keeper_answer *a)
{
	struct keeper_info info = { 0 };

	k->ops->info(k->ctx, &info);
	a->domid = info.domid;
	a->profile = info.profile;
	a->version = info.version;
	a->hypercalls = info.hypercalls;
	a->start_ns = info.start_ns;
	/* Not waiting: a monitor that reads no answers would make us deaf to signals. */
	return send(k->sock, a, sizeof(*a), MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(*a);
}

/* One request; false when the monitor is gone or does not speak our language. */
static bool serve_one(struct keeper *k)
{
	struct keeper_request q;
	struct keeper_answer a = { 0 };
	ssize_t n = recv(k->sock, &q, sizeof(q), MSG_TRUNC);

	if (n == 0 || (n < 0 && errno != EINTR))
		return false;
	if (n < 0)
		return true;
	if (n != (ssize_t)sizeof(q)) {
		log_error("keeper", "request of %zd bytes instead of %zu", n, sizeof(q));
		return false;
	}
	a.rc = dispatch(k, &q, &a);
	return send_answer(k, &a);
}

static void reap(struct keeper *k, int flags)
{
	if (!k->reaped && waitpid(k->monitor, &k->status, flags) == k->monitor)
		k->reaped = true;
}

/* No guest runs without its devices, however long the monitor takes to end. */
static void stop_guest(struct keeper *k)
{
	struct err e;

	if (k->state != STATE_RUNNING)
		return;
	if (k->ops->pause(k->ctx, &e) < 0)
		log_error("keeper", "%s", e.text);
	k->state = STATE_PAUSED;
}

/* The monitor has so long from now on, however often it is told to end. */
static void end_soon(struct keeper *k)
{
	if (!k->deadline)
		k->deadline = clock_ms() + GRACE_MS;
}

static void take_signal(struct keeper *k)
{
	struct signalfd_siginfo s;

	if (read(k->signals, &s, sizeof(s)) != (ssize_t)sizeof(s))
		return;
	if (s.ssi_signo != SIGCHLD) {
		stop_guest(k);
		kill(k->monitor, (int)s.ssi_signo);
		end_soon(k);
	}
	reap(k, WNOHANG);
}

/* For poll: milliseconds that the monitor has left, or -1. */
static int time_left(const struct keeper *k)
{
	uint64_t now = clock_ms();

	if (!k->deadline)
		return -1;
	return now < k->deadline ? (int)(k->deadline - now) : 0;
}

/*
 * Until the monitor has ended. Requests are answered to the last: a monitor that is
 * ending may be waiting for one.
 */
static void serve(struct keeper *k)
{
	struct pollfd fds[] = {
		/* Without a domain there is nothing to ask for. */
		{ .fd = k->deadline ? -1 : k->sock, .events = POLLIN },
		{ .fd = k->signals, .events = POLLIN },
	};

	while (!k->reaped) {
		int n = poll(fds, ARRAY_SIZE(fds), time_left(k));

		if (n == 0)
			break;
		if (n < 0)
			continue;
		if (fds[1].revents)
			take_signal(k);
		if (fds[0].revents && !serve_one(k)) {
			fds[0].fd = -1;
			end_soon(k);
		}
	}
	if (!k->reaped) {
		kill(k->monitor, SIGKILL);
		reap(k, 0);
	}
}

static int exit_status(const struct keeper *k)
{
	if (!k->reaped || k->lost)
		return EXIT_HOST_ERROR;
	if (WIFSIGNALED(k->status)) {
		log_error("keeper", "the monitor was ended by signal %d", WTERMSIG(k->status));
		return EXIT_SIGNALLED + WTERMSIG(k->status);
	}
	return WEXITSTATUS(k->status);
}

int keeper_run(const struct keeper_ops *ops, void *ctx, int sock, int monitor)
{
	struct keeper k = { .ops = ops, .ctx = ctx, .sock = sock, .monitor = monitor };
	struct keeper_answer hello = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	k.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);

	hello.rc = k.signals < 0 ?
			   err_set(&hello.e, -errno, "keeper: signalfd: %s", strerror(errno)) :
			   ops->create(ctx, &hello.e);
	if (!send_answer(&k, &hello) || hello.rc < 0)
		end_soon(&k);
	/* A monitor that saw its domain vanish would report that as its end. */
	serve(&k);
	ops->destroy(ctx);
	close(k.signals);
	return exit_status(&k);
}
