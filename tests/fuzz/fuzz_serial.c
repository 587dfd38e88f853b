/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port under a script of register accesses, host input, readers that read or
 * do not, and backends that change. Besides what the sanitizers see, it checks that no
 * byte of output is lost uncounted or written twice, and that no more input is taken
 * than came.
 *
 * Input: operations of two bytes, `op | argument << 3` and a value.
 */
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "devices/serial.h"
#include "vmm/lib/log.h"

#define OPS_MAX 512
#define BACKENDS 2
/* Holds all that the port buffers, in pieces of any size. */
#define PIPE_BYTES (1 << 20)

enum op { READ, WRITE, WIDE_READ, WIDE_WRITE, SEND, TURN, DRAIN, CHANGE };

struct backend {
	int in[2], out[2]; /* pipes */
	bool used;
};

struct world {
	struct loop *loop;
	struct bus bus;
	struct serial *serial;
	struct backend backends[BACKENDS];
	uint64_t pulses, sent, received;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pulse(void *ctx, unsigned gsi)
{
	(void)gsi;
	((struct world *)ctx)->pulses++;
}

static void released(void *ctx)
{
	struct backend *b = ctx;

	assert(b->used);
	b->used = false;
}

static void turned(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

/* What is queued is submitted, and what is complete is told. */
static void turn(struct world *w)
{
	struct loop_op nop = { .done = turned };

	loop_defer(w->loop, &nop);
	while (nop.busy)
		assert(loop_turn(w->loop) == 0);
}

static void send_input(struct world *w, unsigned which, unsigned n)
{
	static const uint8_t bytes[256];
	ssize_t done = write(w->backends[which % BACKENDS].in[1], bytes, n + 1);

	if (done > 0)
		w->sent += (uint64_t)done;
}

static void drain(struct world *w)
{
	char buf[4096];
	ssize_t n;

	for (unsigned i = 0; i < BACKENDS; i++)
		while ((n = read(w->backends[i].out[0], buf, sizeof(buf))) > 0)
			w->received += (uint64_t)n;
}

/* Attach a backend that the port does not have, or none. */
static void change(struct world *w, unsigned which)
{
	struct backend *b = &w->backends[which % BACKENDS];
	struct serial_backend to = { -1, -1, NULL, NULL };

	if (which / BACKENDS % 2 && !b->used) {
		to = (struct serial_backend){ b->in[0], b->out[1], released, b };
		b->used = true;
	}
	serial_set_backend(w->serial, &to);
}

static void step(struct world *w, uint8_t first, uint8_t value)
{
	unsigned arg = first >> 3;
	static const unsigned sizes[] = { 1, 2, 4, 8 };

	switch ((enum op)(first & 7)) {
	case READ:
		(void)bus_read(&w->bus, BUS_PIO, arg & 7, 1);
		break;
	case WRITE:
		bus_write(&w->bus, BUS_PIO, arg & 7, 1, value);
		break;
	case WIDE_READ:
		(void)bus_read(&w->bus, BUS_PIO, arg & 7, sizes[arg >> 3]);
		break;
	case WIDE_WRITE:
		for (unsigned i = 0; i <= value; i++)
			bus_write(&w->bus, BUS_PIO, arg & 7, sizes[arg >> 3],
				  UINT64_C(0x0101010101010101) * value);
		break;
	case SEND:
		send_input(w, arg, value);
		break;
	case TURN:
		turn(w);
		break;
	case DRAIN:
		drain(w);
		break;
	case CHANGE:
		change(w, arg);
		break;
	}
}

static void open_backends(struct world *w)
{
	for (unsigned i = 0; i < BACKENDS; i++) {
		assert(pipe2(w->backends[i].in, O_NONBLOCK) == 0);
		assert(pipe2(w->backends[i].out, 0) == 0);
		assert(fcntl(w->backends[i].out[0], F_SETFL, O_NONBLOCK) == 0);
	}
	assert(fcntl(w->backends[0].out[1], F_SETPIPE_SZ, PIPE_BYTES) > 0);
	assert(fcntl(w->backends[1].out[1], F_SETPIPE_SZ, 4096) > 0);
}

static void close_backends(struct world *w)
{
	for (unsigned i = 0; i < BACKENDS; i++) {
		(void)close(w->backends[i].in[0]);
		(void)close(w->backends[i].in[1]);
		(void)close(w->backends[i].out[0]);
		(void)close(w->backends[i].out[1]);
	}
}

/* All that is left goes to a reader with room for it. */
static void finish(struct world *w)
{
	static const struct serial_backend nobody = { -1, -1, NULL, NULL };
	struct serial_counts c;

	serial_set_backend(w->serial, &nobody);
	while (w->backends[0].used || w->backends[1].used)
		turn(w);
	drain(w);
	change(w, BACKENDS);
	serial_flush(w->serial);
	drain(w);
	c = serial_counts(w->serial);
	assert(c.out_bytes == c.out_dropped + w->received);
	assert(c.in_bytes <= w->sent);
	assert(c.interrupts == w->pulses);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct world w = { 0 };
	struct dev_env env = { .pulse = pulse, .ctx = &w };
	struct serial_backend to;
	struct bus_range range;

	if (!loop) {
		(void)signal(SIGPIPE, SIG_IGN);
		log_set_level(LOG_OFF);
		assert(loop_create(&loop, 16) == 0);
	}
	w.loop = env.loop = loop;
	open_backends(&w);
	to = (struct serial_backend){ w.backends[0].in[0], w.backends[0].out[1], released,
				      &w.backends[0] };
	w.backends[0].used = true;
	assert(serial_create(&w.serial, &env, 4, &to) == 0);
	range = serial_range(w.serial, 0);
	assert(bus_add(&w.bus, &range) == 0);
	for (size_t i = 0; i + 1 < size && i < 2 * OPS_MAX; i += 2)
		step(&w, data[i], data[i + 1]);
	finish(&w);
	serial_destroy(w.serial);
	close_backends(&w);
	return 0;
}
