/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When lines of metrics are written, and how: see metrics.h.
 *
 * A line that is due by the clock is written by the loop, so that a slow disk keeps nobody
 * waiting; one that a client asks for is written at once, so that it is there when the client
 * has its answer. What a FIFO does not take is written by the loop when there is room.
 */
#include "vmm/metrics.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "vmm/lib/output.h"
#include "vmm/metrics_line.h"
#include "vmm/vm.h"

/* The first line: when the client has its answer. */
#define FIRST_MS 1

struct metrics {
	struct vm *vm;
	int fd; /* -1: there is no place to write to */
	struct metrics_own own;
	char properties[CONFIG_PROPERTIES_MAX];

	struct loop_timer timer;
	bool due; /* but the guest is paused */
	bool told; /* that a line was lost by an error, and by which */

	struct metrics_line line;
	size_t sent; /* of the line; all of it: nothing is being written */
	struct loop_op op;
	struct loop_timer deadline; /* of metrics_finish */
	struct metrics_values values[2];
};

static void go_on(struct metrics *m);
static void on_polled(struct loop_op *op, int res);

/* ---- writing ---- */

static bool writing(const struct metrics *m)
{
	return m->sent < m->line.len;
}

/* All of it is written: what comes next is told from here. */
static void done(struct metrics *m)
{
	struct metrics_values *last = m->line.now;

	m->line.now = last == &m->values[0] ? &m->values[1] : &m->values[0];
	m->line.last = last;
	m->own.broken = false;
}

static void lose(struct metrics *m, int error)
{
	m->own.missed++;
	if (!m->told)
		log_warn("metrics", "a line is lost: %s", strerror(error));
	m->told = true;
	m->own.broken = m->own.broken || m->sent > 0;
	m->sent = m->line.len;
}

/* What a write has come to: true when it would have had to wait. */
static bool written(struct metrics *m, ssize_t n)
{
	if (n == -EAGAIN)
		return true;
	if (n > 0) {
		m->sent += (size_t)n;
		if (!writing(m))
			done(m);
	} else if (n != -EINTR) {
		lose(m, n ? (int)-n : EIO);
	}
	return false;
}

static void on_written(struct loop_op *op, int res)
{
	struct metrics *m = CONTAINER_OF(op, struct metrics, op);

	if (res == -ECANCELED)
		return;
	if (written(m, res)) {
		op->done = on_polled;
		loop_poll(m->vm->loop, op, m->fd, POLLOUT);
	} else {
		go_on(m);
	}
}

static void on_polled(struct loop_op *op, int res)
{
	struct metrics *m = CONTAINER_OF(op, struct metrics, op);

	if (res < 0 && res != -ECANCELED && writing(m))
		lose(m, -res);
	else if (res >= 0)
		go_on(m);
}

/* Let the loop write the rest. */
static void go_on(struct metrics *m)
{
	if (!writing(m))
		return;
	m->op.done = on_written;
	loop_write(m->vm->loop, &m->op, m->fd, m->line.text + m->sent, m->line.len - m->sent);
}

/* Make a line to be written: false when there is none. */
static bool make_line(struct metrics *m)
{
	struct metrics_line *l = &m->line;

	if (m->fd < 0)
		return false;
	if (writing(m)) {
		m->own.missed++;
		return false;
	}
	l->len = m->sent = 0;
	l->n = 0;
	l->failed = false;
	if (metrics_line_make(l, m->vm, &m->own) == 0)
		return true;
	l->len = 0;
	lose(m, ENOMEM);
	return false;
}

void metrics_write(struct metrics *m)
{
	ssize_t n;

	if (!make_line(m))
		return;
	n = write(m->fd, m->line.text, m->line.len);
	(void)written(m, n < 0 ? -errno : n);
	go_on(m);
}

/* ---- when ---- */

static uint64_t period(const struct metrics *m)
{
	uint64_t ms = m->vm->params.metrics_period_ms;

	return ms ? ms : METRICS_PERIOD_MS;
}

static void time_up(struct loop_op *op, int res)
{
	struct metrics *m = CONTAINER_OF(op, struct metrics, timer.op);

	(void)res;
	if (m->vm->ended)
		return;
	m->due = m->vm->state == INSTANCE_PAUSED;
	if (m->due)
		return;
	if (make_line(m))
		go_on(m);
	loop_timeout(m->vm->loop, &m->timer, period(m));
}

void metrics_start(struct metrics *m)
{
	if (m->fd >= 0)
		loop_timeout(m->vm->loop, &m->timer, FIRST_MS);
}

void metrics_resume(struct metrics *m)
{
	if (m->due)
		loop_timeout(m->vm->loop, &m->timer, 0);
	m->due = false;
}

void metrics_took(struct metrics *m, enum metrics_call call, uint64_t ns)
{
	m->own.took_us[call] = ns / 1000;
}

/* ---- life ---- */

static void deadline_passed(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

int metrics_create(struct metrics **out, struct vm *vm)
{
	struct metrics *m = calloc(1, sizeof(*m));
	struct timespec cpu;

	if (!m)
		return -ENOMEM;
	m->vm = vm;
	m->fd = -1;
	m->own.properties = m->properties;
	m->line.now = &m->values[0];
	m->line.last = &m->values[1];
	m->timer.op.done = time_up;
	m->deadline.op.done = deadline_passed;
	m->own.startup_us = (clock_ns() - vm->params.process_start_ns) / 1000;
	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	m->own.startup_cpu_us = (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000;
	*out = m;
	return 0;
}

int metrics_open(struct metrics *m, const struct metrics_config *c, struct err *e)
{
	int fd;

	if (m->fd >= 0)
		return err_set(e, -EEXIST, "Reinitialization of metrics not allowed.");
	fd = output_open(c->path);
	if (fd < 0)
		return err_set(e, fd, "%s (os error %d)", strerror(-fd), -fd);
	m->fd = fd;
	m->own.emit_id = c->emit_id;
	memcpy(m->properties, c->properties, strlen(c->properties) + 1);
	return 0;
}

static bool busy(const struct metrics *m)
{
	return m->op.busy;
}

/* Turn the loop while `condition` holds, but not for long. */
static void turn_while(struct metrics *m, bool (*condition)(const struct metrics *))
{
	struct loop *l = m->vm->loop;

	if (!condition(m) || m->deadline.op.busy) /* busy: the loop has failed before */
		return;
	loop_timeout(l, &m->deadline, METRICS_FINISH_MS);
	while (m->deadline.op.busy && condition(m))
		if (loop_turn(l) < 0)
			return;
	loop_cancel(l, &m->deadline.op);
	while (m->deadline.op.busy)
		if (loop_turn(l) < 0)
			return;
}

void metrics_finish(struct metrics *m)
{
	turn_while(m, writing);
	metrics_write(m);
	turn_while(m, writing);
	if (writing(m)) {
		m->own.missed++;
		loop_cancel(m->vm->loop, &m->op);
		turn_while(m, busy);
	}
	if (m->own.missed)
		log_warn("metrics", "lines lost: %llu", (unsigned long long)m->own.missed);
}

void metrics_destroy(struct metrics *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		(void)close(m->fd);
	/* What a disk that hangs still writes is left to the kernel: it may read it yet. */
	if (m->op.busy)
		return;
	free(m->line.text);
	free(m);
}
