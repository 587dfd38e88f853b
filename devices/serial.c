/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's side of the serial port. Two operations at most are in flight, one for each
 * direction; each is either waiting for its descriptor or moving bytes.
 *
 *   input    poll -> read into `in` -> (the guest takes them) -> poll ...
 *   output   write from the ring -> write ..., with a poll between when it would block
 *
 * A write in flight owns its bytes: they leave the ring when its result is known, and
 * by that result. So a write that is cancelled prints no byte twice and loses none.
 *
 * Input from the guest: register accesses. Input from the host: bytes on in_fd.
 */
#include "devices/serial.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "devices/uart.h"
#include "vmm/lib/log.h"

/* One write's size: what a pipe takes as a whole. */
#define WRITE_MAX 4096
/* A line that is not complete is written after this time, or when it is this long. */
#define LINE_MS 5
#define LINE_MAX_BYTES 1024

static const struct serial_backend no_backend = { .in_fd = -1, .out_fd = -1 };

struct serial {
	struct uart uart;
	struct dev_env env;
	unsigned gsi;
	struct serial_counts counts;
	struct log_guest log_limit;
	struct rate_limiter limit; /* of output; its bandwidth only */

	struct serial_backend backend;
	struct serial_backend next; /* takes over when nothing is in flight */
	bool replacing;

	struct loop_op in_op;
	size_t in_taken, in_len; /* how much of `in` the guest has, and there is */
	uint8_t in[64];

	struct loop_op out_op;
	struct loop_timer line_timer;
	struct loop_timer deadline; /* of serial_flush */
	bool stalled; /* the last write would have blocked */
	bool overflowing;
	uint32_t head, tail; /* of the ring: where bytes go in and out, modulo its size */
	uint8_t ring[SERIAL_OUT_BYTES];
};

static void start_read(struct serial *s);
static void start_write(struct serial *s);

/* ---- backend ------------------------------------------------------------------- */

static void take_over(struct serial *s)
{
	struct serial_backend old = s->backend;

	s->replacing = false;
	s->backend = s->next;
	if (old.released)
		old.released(old.ctx);
	start_write(s);
	start_read(s);
}

/* After each completion: whether the next backend can take over now. */
static void settle(struct serial *s)
{
	if (s->replacing && !s->in_op.busy && !s->out_op.busy)
		take_over(s);
}

void serial_set_backend(struct serial *s, const struct serial_backend *backend)
{
	struct serial_backend unused = s->replacing ? s->next : no_backend;

	s->next = *backend;
	s->replacing = true;
	loop_cancel(s->env.loop, &s->in_op);
	loop_cancel(s->env.loop, &s->out_op);
	if (unused.released)
		unused.released(unused.ctx);
	settle(s);
}

/* One direction is at its end; when both are, the backend is let go. */
static void end_direction(struct serial *s, int *fd, const char *name, int error)
{
	if (error)
		log_info("serial", "%s ends: %s", name, strerror(error));
	*fd = -1;
	if (!s->replacing && s->backend.in_fd < 0 && s->backend.out_fd < 0)
		serial_set_backend(s, &no_backend);
}

/* ---- output -------------------------------------------------------------------- */

static uint32_t buffered(const struct serial *s)
{
	return s->head - s->tail;
}

static void drop_oldest(struct serial *s, uint32_t n)
{
	s->tail += n;
	s->counts.out_dropped += n;
}

static void out_writable(struct loop_op *op, int res)
{
	struct serial *s = CONTAINER_OF(op, struct serial, out_op);

	if (res < 0 && res != -ECANCELED)
		end_direction(s, &s->backend.out_fd, "output", -res);
	start_write(s);
	settle(s);
}

static void line_time_up(struct loop_op *op, int res)
{
	(void)res;
	start_write(CONTAINER_OF(op, struct serial, line_timer.op));
}

static void start_line_timer(struct serial *s)
{
	if (!s->line_timer.op.busy)
		loop_timeout(s->env.loop, &s->line_timer, LINE_MS);
}

/*
 * The descriptor would block. A terminal may say that it is writable and then have too
 * little room, so every other time it is the clock that is asked.
 */
static void wait_writable(struct serial *s)
{
	s->stalled = !s->stalled;
	if (s->replacing)
		return;
	if (!s->stalled) {
		start_line_timer(s);
		return;
	}
	s->out_op.done = out_writable;
	loop_poll(s->env.loop, &s->out_op, s->backend.out_fd, POLLOUT);
}

/* True when the next write has to wait for something. */
static bool write_failed(struct serial *s, int error)
{
	if (error != EAGAIN && error != ECANCELED && error != EINTR)
		s->counts.out_errors++;
	switch (error) {
	case EAGAIN:
		wait_writable(s);
		return true;
	case ECANCELED:
	case EINTR:
		break;
	case ENOSPC: /* may pass */
	case EDQUOT:
		log_guest(&s->log_limit, "serial", "output lost: %s", strerror(error));
		drop_oldest(s, buffered(s));
		break;
	default:
		end_direction(s, &s->backend.out_fd, "output", error);
		break;
	}
	return false;
}

static void out_written(struct loop_op *op, int res)
{
	struct serial *s = CONTAINER_OF(op, struct serial, out_op);

	bool waiting = false;

	if (res > 0) {
		s->tail += (uint32_t)res;
		s->stalled = false;
	} else {
		waiting = write_failed(s, res ? -res : EIO);
	}
	if (buffered(s) <= SERIAL_OUT_BYTES / 2)
		s->overflowing = false;
	if (!waiting)
		start_write(s);
	settle(s);
}

static void start_write(struct serial *s)
{
	uint32_t at = s->tail % SERIAL_OUT_BYTES;
	size_t len = min_size(min_size(buffered(s), SERIAL_OUT_BYTES - at), WRITE_MAX);

	if (!len || s->out_op.busy || s->replacing || s->backend.out_fd < 0)
		return;
	s->out_op.done = out_written;
	loop_write(s->env.loop, &s->out_op, s->backend.out_fd, s->ring + at, len);
}

/* Make room for a byte, or say that there is none. */
static bool make_room(struct serial *s)
{
	if (buffered(s) < SERIAL_OUT_BYTES)
		return true;
	if (s->backend.out_fd < 0 && !s->out_op.busy) {
		drop_oldest(s, 1);
		return true;
	}
	s->counts.out_dropped++;
	if (!s->overflowing)
		log_guest(&s->log_limit, "serial", "nobody reads the output: dropped=%llu",
			  (unsigned long long)s->counts.out_dropped);
	s->overflowing = true;
	return false;
}

/* As Firecracker, which lets the guest run on: what is too much is lost. */
static bool let_through(struct serial *s)
{
	if (!s->limit.bandwidth.size)
		return true;
	return rate_limiter_take(&s->limit, 1, clock_ns()) == 0;
}

static void put(struct serial *s, uint8_t byte)
{
	s->counts.out_bytes++;
	if (!let_through(s)) {
		s->counts.out_limited++;
		return;
	}
	if (!make_room(s))
		return;
	s->ring[s->head++ % SERIAL_OUT_BYTES] = byte;
	if (byte == '\n' || buffered(s) >= LINE_MAX_BYTES)
		start_write(s);
	else if (s->backend.out_fd >= 0 && !s->out_op.busy)
		start_line_timer(s);
}

/* ---- input --------------------------------------------------------------------- */

static void signal_edges(struct serial *s)
{
	if (!uart_raised(&s->uart))
		return;
	s->counts.interrupts++;
	s->env.pulse(s->env.ctx, s->gsi);
}

/* Hand over as much input as the guest's FIFO takes; when all is gone, read more. */
static void feed(struct serial *s)
{
	if (s->in_taken == s->in_len)
		return;
	while (s->in_taken < s->in_len && uart_room(&s->uart)) {
		uart_receive(&s->uart, s->in[s->in_taken++]);
		s->counts.in_bytes++;
	}
	start_read(s);
}

static void in_read(struct loop_op *op, int res)
{
	struct serial *s = CONTAINER_OF(op, struct serial, in_op);

	if (res > 0) {
		s->in_taken = 0;
		s->in_len = (size_t)res;
		feed(s);
		signal_edges(s);
	} else if (res == 0 || (res != -EAGAIN && res != -EINTR && res != -ECANCELED)) {
		end_direction(s, &s->backend.in_fd, "input", -res);
	}
	start_read(s);
	settle(s);
}

static void in_readable(struct loop_op *op, int res)
{
	struct serial *s = CONTAINER_OF(op, struct serial, in_op);

	if (res >= 0 && !s->replacing) {
		s->in_op.done = in_read;
		loop_read(s->env.loop, &s->in_op, s->backend.in_fd, s->in, sizeof(s->in));
		return;
	}
	if (res < 0 && res != -ECANCELED)
		end_direction(s, &s->backend.in_fd, "input", -res);
	settle(s);
}

/*
 * Waiting comes first, so that a read, which owns its buffer, is in flight only for a
 * moment, and no thread of the kernel blocks in one.
 */
static void start_read(struct serial *s)
{
	if (s->in_taken < s->in_len || s->in_op.busy || s->replacing || s->backend.in_fd < 0)
		return;
	s->in_op.done = in_readable;
	loop_poll(s->env.loop, &s->in_op, s->backend.in_fd, POLLIN);
}

/* ---- registers ----------------------------------------------------------------- */

/* The registers are bytes: a wider access is its bytes one after the other. */
static uint64_t serial_read(void *dev, uint64_t off, unsigned size)
{
	struct serial *s = dev;
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)uart_read(&s->uart, (unsigned)off + i) << (8 * i);
	feed(s);
	signal_edges(s);
	return value;
}

static void serial_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct serial *s = dev;

	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * i));

		if (uart_write(&s->uart, (unsigned)off + i, byte))
			put(s, byte);
	}
	feed(s);
	signal_edges(s);
}

struct bus_range serial_range(struct serial *s, uint64_t base)
{
	return (struct bus_range){
		.space = BUS_PIO,
		.first = base,
		.last = base + UART_REGISTERS - 1,
		.name = "serial",
		.dev = s,
		.read = serial_read,
		.write = serial_write,
	};
}

/* ---- life ---------------------------------------------------------------------- */

static void deadline_passed(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

int serial_create(struct serial **out, const struct dev_env *env, unsigned gsi,
		  const struct serial_backend *backend)
{
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	uart_reset(&s->uart);
	s->env = *env;
	s->gsi = gsi;
	s->backend = *backend;
	s->line_timer.op.done = line_time_up;
	s->deadline.op.done = deadline_passed;
	start_read(s);
	*out = s;
	return 0;
}

void serial_set_limit(struct serial *s, const struct token_bucket_config *limit)
{
	const struct rate_limiter_config c = { .present = true, .bandwidth = *limit };

	rate_limiter_init(&s->limit, &c, clock_ns());
}

struct serial_counts serial_counts(const struct serial *s)
{
	return s->counts;
}

static bool writing(const struct serial *s)
{
	return buffered(s) && s->backend.out_fd >= 0;
}

static bool in_flight(const struct serial *s)
{
	return s->in_op.busy || s->out_op.busy || s->line_timer.op.busy;
}

/* Turn the loop while `condition` holds, but not longer than SERIAL_FLUSH_MS. */
static void turn_while(struct serial *s, bool (*condition)(const struct serial *))
{
	struct loop *l = s->env.loop;

	if (!condition(s) || s->deadline.op.busy) /* busy: the loop has failed before */
		return;
	loop_timeout(l, &s->deadline, SERIAL_FLUSH_MS);
	while (s->deadline.op.busy && condition(s))
		if (loop_turn(l))
			return;
	loop_cancel(l, &s->deadline.op);
	while (s->deadline.op.busy)
		if (loop_turn(l))
			return;
}

void serial_flush(struct serial *s)
{
	if (s->deadline.op.busy) /* called by a completion of a turn below */
		return;
	start_write(s);
	turn_while(s, writing);
	serial_set_backend(s, &no_backend);
	loop_cancel(s->env.loop, &s->line_timer.op);
	turn_while(s, in_flight);
}

void serial_destroy(struct serial *s)
{
	free(s);
}
