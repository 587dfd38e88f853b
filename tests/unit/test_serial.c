/* SPDX-License-Identifier: Apache-2.0 */
/* The serial port between a guest that is played here and real descriptors. */
#include "devices/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>

#include <linux/serial_reg.h>

#include "vmm/lib/layout.h"
#include "vmm/lib/log.h"

#define NONE                              \
	{                                 \
		.in_fd = -1, .out_fd = -1 \
	}
#define FIFO 16

struct port {
	struct loop *loop;
	struct bus bus;
	struct serial *serial;
	unsigned pulses;
	unsigned released;
};

static void on_pulse(void *ctx, unsigned gsi)
{
	assert_int_equal(gsi, LAYOUT_SERIAL_GSI);
	((struct port *)ctx)->pulses++;
}

static void on_released(void *ctx)
{
	((struct port *)ctx)->released++;
}

static void start(struct port *p, int in_fd, int out_fd)
{
	const struct serial_backend backend = { in_fd, out_fd, on_released, p };
	struct dev_env env = { .pulse = on_pulse, .ctx = p };
	struct bus_range range;

	*p = (struct port){ 0 };
	assert_int_equal(loop_create(&p->loop, 16), 0);
	env.loop = p->loop;
	assert_int_equal(serial_create(&p->serial, &env, LAYOUT_SERIAL_GSI, &backend), 0);
	range = serial_range(p->serial, LAYOUT_SERIAL);
	assert_int_equal(bus_add(&p->bus, &range), 0);
}

static void stop(struct port *p)
{
	serial_flush(p->serial);
	loop_destroy(p->loop);
	serial_destroy(p->serial);
}

/* ---- the guest ------------------------------------------------------------------- */

static uint8_t in(struct port *p, unsigned reg)
{
	return (uint8_t)bus_read(&p->bus, BUS_PIO, LAYOUT_SERIAL + reg, 1);
}

static void out(struct port *p, unsigned reg, uint8_t value)
{
	bus_write(&p->bus, BUS_PIO, LAYOUT_SERIAL + reg, 1, value);
}

/* What a driver does when its port is opened. */
static void open_port(struct port *p)
{
	out(p, UART_IER, UART_IER_RDI | UART_IER_RLSI);
	out(p, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(p, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
}

static void print(struct port *p, const char *text)
{
	for (; *text; text++)
		out(p, UART_TX, (uint8_t)*text);
}

/* `n` bytes of a pattern in which a lost or doubled byte shows. */
static uint8_t pattern(size_t i)
{
	return (uint8_t)(i + i / 251);
}

static void print_pattern(struct port *p, size_t from, size_t n)
{
	for (size_t i = from; i < from + n; i++)
		out(p, UART_TX, pattern(i));
}

/* ---- the host -------------------------------------------------------------------- */

static void time_up(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

/* Turn the loop for so many milliseconds. */
static void run(struct port *p, uint64_t ms)
{
	struct loop_timer t = { .op.done = time_up };

	loop_timeout(p->loop, &t, ms);
	while (t.op.busy)
		assert_int_equal(loop_turn(p->loop), 0);
}

static void make_pipe(int fd[2])
{
	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
}

static void make_nonblocking_pipe(int fd[2])
{
	assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
}

static void close_pipe(const int fd[2])
{
	(void)close(fd[0]);
	(void)close(fd[1]);
}

/* Whatever can be read now. */
static size_t drain(int fd, void *buf, size_t max)
{
	size_t n = 0;
	ssize_t got;
	int flags = fcntl(fd, F_GETFL);

	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (n < max && (got = read(fd, (char *)buf + n, max - n)) > 0)
		n += (size_t)got;
	assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
	return n;
}

static void assert_reads(int fd, const char *text)
{
	char buf[256] = { 0 };
	size_t n = drain(fd, buf, sizeof(buf) - 1);

	assert_string_equal(buf, text);
	assert_int_equal(n, strlen(text));
}

/* ---- output ---------------------------------------------------------------------- */

static void lines_are_written_at_once_and_the_rest_soon(void **state)
{
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	print(&p, "Linux version\r\n");
	assert_int_equal(loop_turn(p.loop), 0);
	assert_reads(fd[0], "Linux version\r\n");
	print(&p, "login: ");
	run(&p, 50);
	assert_reads(fd[0], "login: ");
	stop(&p);
	close_pipe(fd);
}

/* One write a line: each costs a system call and a turn of the loop. */
static void a_line_is_one_write(void **state)
{
	struct port p;
	uint64_t before;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	run(&p, 20);
	before = loop_stats(p.loop).ops;
	for (unsigned i = 0; i < 10; i++) {
		print(&p, "0123456789012345678901234567890123456789\n");
		assert_int_equal(loop_turn(p.loop), 0);
	}
	run(&p, 20); /* one for its timer, one or two for the port's */
	assert_in_range(loop_stats(p.loop).ops - before, 10, 14);
	stop(&p);
	close_pipe(fd);
}

static void long_output_keeps_its_order(void **state)
{
	enum { TOTAL = 1000000, STEP = 3000 };
	uint8_t *got = malloc(TOTAL);
	size_t n = 0;
	struct port p;
	int fd[2];

	assert_non_null(got);
	make_pipe(fd);
	start(&p, -1, fd[1]);
	for (size_t i = 0; i < TOTAL; i += STEP) {
		print_pattern(&p, i, min_size(STEP, TOTAL - i));
		run(&p, 1);
		n += drain(fd[0], got + n, TOTAL - n);
	}
	run(&p, 20);
	n += drain(fd[0], got + n, TOTAL - n);
	assert_int_equal(n, TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		assert_int_equal(got[i], pattern(i));
	assert_int_equal(serial_counts(p.serial).out_bytes, TOTAL);
	assert_int_equal(serial_counts(p.serial).out_dropped, 0);
	stop(&p);
	close_pipe(fd);
	free(got);
}

/* The guest goes on; what comes later than the buffers hold is dropped and counted. */
static void a_reader_that_does_not_read_loses_output(void **state)
{
	enum { TOTAL = 400000 };
	uint8_t *got = malloc(TOTAL);
	struct serial_counts c;
	struct port p;
	int fd[2];
	size_t n;

	assert_non_null(got);
	make_pipe(fd);
	start(&p, -1, fd[1]);
	for (size_t i = 0; i < TOTAL; i += 1000) {
		print_pattern(&p, i, 1000);
		if (i % 10000 == 0)
			run(&p, 1);
	}
	c = serial_counts(p.serial);
	assert_int_equal(c.out_bytes, TOTAL);
	assert_in_range(c.out_dropped, TOTAL - 2 * SERIAL_OUT_BYTES, TOTAL - SERIAL_OUT_BYTES);
	/* The reader comes back: all that was kept arrives, once and in order. */
	for (n = 0; n < TOTAL - c.out_dropped; run(&p, 1)) {
		size_t more = drain(fd[0], got + n, TOTAL - n);

		assert_true(more || poll(&(struct pollfd){ fd[0], POLLIN, 0 }, 1, 0) == 0);
		n += more;
	}
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i], pattern(i));
	run(&p, 10);
	assert_int_equal(drain(fd[0], got, TOTAL), 0);
	/* And new output flows again. */
	print(&p, "again\n");
	run(&p, 10);
	assert_reads(fd[0], "again\n");
	stop(&p);
	close_pipe(fd);
	free(got);
}

static void a_closed_reader_ends_output(void **state)
{
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	(void)close(fd[0]);
	print(&p, "nobody\n");
	run(&p, 10);
	assert_int_equal(p.released, 1);
	print(&p, "nobody\n");
	run(&p, 10);
	assert_int_equal(p.released, 1);
	stop(&p);
	(void)close(fd[1]);
}

static void a_full_disk_loses_output_and_not_the_descriptor(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct port p;

	if (fd < 0)
		skip();
	start(&p, -1, fd);
	print(&p, "lost\n");
	run(&p, 10);
	assert_int_equal(serial_counts(p.serial).out_dropped, 5);
	assert_int_equal(p.released, 0);
	stop(&p);
	(void)close(fd);
}

/* ---- interrupts ------------------------------------------------------------------ */

/* The transmit half of a driver's interrupt handler: 16 bytes for each THRE. */
static void handle_interrupt(struct port *p, size_t *sent, size_t total)
{
	while (!(in(p, UART_IIR) & UART_IIR_NO_INT)) {
		assert_true(in(p, UART_LSR) & UART_LSR_THRE);
		for (unsigned i = 0; i < FIFO && *sent < total; i++)
			out(p, UART_TX, pattern((*sent)++));
		if (*sent == total)
			out(p, UART_IER, UART_IER_RDI | UART_IER_RLSI);
	}
}

static void a_thousand_bytes_take_one_interrupt_for_sixteen(void **state)
{
	enum { TOTAL = 1000 };
	uint8_t got[TOTAL + 1];
	size_t sent = 0;
	unsigned handled = 0;
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	open_port(&p);
	out(&p, UART_IER, UART_IER_RDI | UART_IER_RLSI | UART_IER_THRI);
	for (; handled < p.pulses; handled++)
		handle_interrupt(&p, &sent, TOTAL);
	run(&p, 20);
	assert_int_equal(sent, TOTAL);
	assert_int_equal(drain(fd[0], got, sizeof(got)), TOTAL);
	assert_in_range(p.pulses, 1, TOTAL / FIFO + 2);
	assert_int_equal(serial_counts(p.serial).interrupts, p.pulses);
	stop(&p);
	close_pipe(fd);
}

static void polled_output_raises_no_interrupt(void **state)
{
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	open_port(&p);
	out(&p, UART_IER, 0);
	print(&p, "printk\n");
	assert_int_equal(p.pulses, 0);
	stop(&p);
	close_pipe(fd);
}

/* ---- input ----------------------------------------------------------------------- */

static void input_raises_an_interrupt_and_is_read(void **state)
{
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, fd[0], -1);
	open_port(&p);
	assert_int_equal(write(fd[1], "ls\n", 3), 3);
	run(&p, 10);
	assert_int_equal(p.pulses, 1);
	assert_int_equal(in(&p, UART_RX), 'l');
	assert_int_equal(in(&p, UART_RX), 's');
	assert_true(in(&p, UART_LSR) & UART_LSR_DR);
	assert_int_equal(in(&p, UART_RX), '\n');
	assert_false(in(&p, UART_LSR) & UART_LSR_DR);
	assert_int_equal(serial_counts(p.serial).in_bytes, 3);
	stop(&p);
	close_pipe(fd);
}

/* A script that is piped in before the guest has booted reaches it from its first byte. */
static void early_input_survives_the_drivers_setup(void **state)
{
	static const char script[] = "echo 0123456789 0123456789 0123456789\n";
	char got[sizeof(script)] = { 0 };
	struct port p;
	int fd[2];

	make_pipe(fd);
	assert_int_equal(write(fd[1], script, sizeof(script) - 1), sizeof(script) - 1);
	(void)close(fd[1]);
	start(&p, fd[0], -1);
	run(&p, 10);
	out(&p, UART_FCR, UART_FCR_ENABLE_FIFO);
	out(&p, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR | UART_FCR_CLEAR_XMIT);
	out(&p, UART_FCR, 0);
	(void)in(&p, UART_LSR);
	(void)in(&p, UART_RX);
	out(&p, UART_MCR, UART_MCR_DTR | UART_MCR_OUT2);
	(void)in(&p, UART_RX);
	open_port(&p);
	for (size_t i = 0; i < sizeof(script) - 1; i++) {
		assert_true(in(&p, UART_LSR) & UART_LSR_DR);
		got[i] = (char)in(&p, UART_RX);
	}
	assert_string_equal(got, script);
	stop(&p);
	(void)close(fd[0]);
}

/* Write until the pipe has been full for two looks at it. */
static size_t push_input(struct port *p, int fd, size_t total)
{
	static const char block[65536];
	unsigned full = 0;
	size_t sent = 0;

	while (sent < total && full < 2) {
		ssize_t n = write(fd, block, min_size(sizeof(block), total - sent));

		if (n > 0)
			sent += (size_t)n;
		full = n > 0 ? 0 : full + 1;
		run(p, 2);
	}
	return sent;
}

/* A guest that does not read must not make the monitor read: its memory would grow. */
static void input_that_the_guest_does_not_read_stays_outside(void **state)
{
	size_t pipe_size, taken;
	struct port p;
	int fd[2];

	make_pipe(fd);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	pipe_size = (size_t)fcntl(fd[1], F_GETPIPE_SZ);
	start(&p, fd[0], -1);
	open_port(&p);
	taken = push_input(&p, fd[1], 100 * MIB);
	assert_in_range(taken, FIFO, pipe_size + 256);
	assert_int_equal(serial_counts(p.serial).in_bytes, FIFO);
	stop(&p);
	close_pipe(fd);
}

static void much_input_arrives_whole(void **state)
{
	enum { TOTAL = 300000 };
	size_t sent = 0, got = 0;
	struct port p;
	int fd[2];

	make_pipe(fd);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	start(&p, fd[0], -1);
	open_port(&p);
	while (got < TOTAL) {
		uint8_t b = pattern(sent);

		while (sent < TOTAL && write(fd[1], &b, 1) == 1)
			b = pattern(++sent);
		assert_int_equal(loop_turn(p.loop), 0);
		while (in(&p, UART_LSR) & UART_LSR_DR)
			assert_int_equal(in(&p, UART_RX), pattern(got++));
	}
	assert_int_equal(serial_counts(p.serial).in_bytes, TOTAL);
	stop(&p);
	close_pipe(fd);
}

/* Reading at the end of a file returns at once, for ever: it must be done once. */
static void end_of_input_ends_reading(void **state)
{
	static const char *const paths[] = { "/dev/null", "/proc/self/comm", NULL };

	for (unsigned i = 0; i < ARRAY_SIZE(paths); i++) {
		uint64_t before;
		struct port p;
		int fd[2];

		make_pipe(fd);
		if (paths[i]) {
			(void)close(fd[0]);
			fd[0] = open(paths[i], O_RDONLY | O_CLOEXEC);
			assert_true(fd[0] >= 0);
		}
		(void)close(fd[1]);
		start(&p, fd[0], STDERR_FILENO);
		open_port(&p);
		run(&p, 20);
		while (in(&p, UART_LSR) & UART_LSR_DR)
			(void)in(&p, UART_RX);
		run(&p, 20);
		before = loop_stats(p.loop).ops;
		run(&p, 50);
		assert_int_equal(loop_stats(p.loop).ops - before, 1); /* run's timer */
		assert_int_equal(p.released, 0); /* output goes on */
		stop(&p);
		(void)close(fd[0]);
	}
}

static void a_descriptor_that_is_none_ends_quietly(void **state)
{
	struct port p;

	start(&p, 999, 998);
	open_port(&p);
	print(&p, "x\n");
	run(&p, 20);
	assert_int_equal(p.released, 1);
	stop(&p);
}

/* ---- kernels on which a write would block ---------------------------------------- */

/*
 * Before Linux 6.10 a write to a non-blocking descriptor fails where newer ones wait:
 * so many of the next writes do.
 */
static unsigned writes_to_fail;
static void (*real_done)(struct loop_op *op, int res);

void __real_loop_write(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len);
void __wrap_loop_write(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len);

static void would_block(struct loop_op *op, int res)
{
	(void)res;
	op->done = real_done;
	op->done(op, -EAGAIN);
}

void __wrap_loop_write(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len)
{
	if (!writes_to_fail) {
		__real_loop_write(l, op, fd, buf, len);
		return;
	}
	writes_to_fail--;
	real_done = op->done;
	op->done = would_block;
	loop_defer(l, op);
}

static void a_write_that_would_block_is_tried_again(void **state)
{
	for (unsigned n = 1; n < 5; n++) {
		struct port p;
		int fd[2];

		make_pipe(fd);
		start(&p, -1, fd[1]);
		writes_to_fail = n;
		print(&p, "one\n");
		run(&p, 50);
		assert_reads(fd[0], "one\n");
		assert_int_equal(writes_to_fail, 0);
		stop(&p);
		close_pipe(fd);
	}
}

/* However often it says that it is writable. */
static void a_descriptor_that_never_takes_anything_costs_little(void **state)
{
	struct port p;
	uint64_t before;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	writes_to_fail = UINT32_MAX;
	print(&p, "one\n");
	before = loop_stats(p.loop).ops;
	run(&p, 100);
	assert_in_range(loop_stats(p.loop).ops - before, 10, 100);
	serial_flush(p.serial);
	writes_to_fail = 0;
	assert_int_equal(p.released, 1);
	stop(&p);
	close_pipe(fd);
}

/* While the port waits for room, another backend takes over. */
static void a_wait_for_room_ends_when_the_backend_changes(void **state)
{
	const struct serial_backend none = { .in_fd = -1, .out_fd = -1 };
	char fill[4096] = { 0 };
	struct port p;
	int fd[2];

	make_nonblocking_pipe(fd);
	while (write(fd[1], fill, sizeof(fill)) > 0)
		;
	start(&p, -1, fd[1]);
	writes_to_fail = 1;
	print(&p, "one\n");
	run(&p, 20);
	assert_int_equal(p.released, 0);
	serial_set_backend(p.serial, &none);
	run(&p, 20);
	assert_int_equal(p.released, 1);
	assert_int_equal(serial_counts(p.serial).out_dropped, 0);
	stop(&p);
	close_pipe(fd);
}

/* ---- kinds of descriptors -------------------------------------------------------- */

/*
 * Our end does not block: as serial.h says, a write to a terminal that has some room,
 * but too little, would block the loop.
 */
static void make_tty(int fd[2])
{
	struct termios t;

	assert_int_equal(openpty(&fd[0], &fd[1], NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(fd[1], &t), 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(fd[1], TCSANOW, &t), 0);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
}

static void make_socket(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
}

static void make_nonblocking_socket(int fd[2])
{
	make_socket(fd);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
}

static void both_directions_work(int host, int port)
{
	struct port p;

	start(&p, port, port);
	open_port(&p);
	run(&p, 5);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(write(host, "in", 2), 2);
		run(&p, 10);
		assert_int_equal(in(&p, UART_RX), 'i');
		assert_int_equal(in(&p, UART_RX), 'n');
		print(&p, "out");
		run(&p, 30);
		assert_reads(host, "out");
	}
	/* Fill it up, then read it empty. */
	print_pattern(&p, 0, 600000);
	run(&p, 10);
	assert_true(serial_counts(p.serial).out_dropped > 0);
	for (unsigned i = 0; i < 200; i++) {
		char buf[4096];

		(void)drain(host, buf, sizeof(buf));
		run(&p, 1);
	}
	print(&p, "end");
	run(&p, 30);
	assert_reads(host, "end");
	stop(&p);
	assert_int_equal(p.released, 1);
}

static void terminals_and_sockets_work(void **state)
{
	static void (*const make[])(int fd[2]) = { make_tty, make_socket,
						   make_nonblocking_socket };

	for (unsigned m = 0; m < ARRAY_SIZE(make); m++) {
		int fd[2];

		make[m](fd);
		both_directions_work(fd[0], fd[1]);
		close_pipe(fd);
	}
}

static void a_terminal_that_hangs_up_ends_both_directions(void **state)
{
	struct port p;
	int fd[2];

	make_tty(fd);
	start(&p, fd[1], fd[1]);
	run(&p, 5);
	(void)close(fd[0]);
	run(&p, 10);
	print(&p, "nobody\n");
	run(&p, 10);
	assert_int_equal(p.released, 1);
	stop(&p);
	(void)close(fd[1]);
}

static void files_take_output(void **state)
{
	FILE *f = tmpfile();
	char buf[16] = { 0 };
	struct port p;

	assert_non_null(f);
	start(&p, -1, fileno(f));
	print(&p, "one\ntwo\n");
	stop(&p);
	assert_int_equal(pread(fileno(f), buf, sizeof(buf), 0), 8);
	assert_string_equal(buf, "one\ntwo\n");
	(void)fclose(f);
}

/* ---- changing the backend -------------------------------------------------------- */

static void set_out(struct port *p, int fd)
{
	const struct serial_backend b = { -1, fd, on_released, p };

	serial_set_backend(p->serial, &b);
}

static void output_of_nobody_is_kept_for_the_next_backend(void **state)
{
	enum { TOTAL = 200000 };
	const size_t kept = SERIAL_OUT_BYTES;
	uint8_t *got = malloc(TOTAL);
	struct port p;
	int fd[2];
	size_t n = 0;

	assert_non_null(got);
	make_pipe(fd);
	start(&p, -1, -1);
	print_pattern(&p, 0, TOTAL);
	assert_int_equal(serial_counts(p.serial).out_dropped, TOTAL - kept);
	set_out(&p, fd[1]);
	for (unsigned i = 0; i < 20; i++) {
		run(&p, 1);
		n += drain(fd[0], got + n, TOTAL - n);
	}
	assert_int_equal(n, kept);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i], pattern(TOTAL - kept + i));
	stop(&p);
	close_pipe(fd);
	free(got);
}

/* With a write in flight that the old reader does not take. */
static void a_change_of_backend_loses_and_doubles_nothing(void **state)
{
	enum { TOTAL = 100000 };
	uint8_t *got = malloc(TOTAL + 1);
	int old[2], new[2];
	struct port p;
	size_t n;

	assert_non_null(got);
	make_pipe(old);
	make_pipe(new);
	start(&p, -1, old[1]);
	for (size_t i = 0; i < TOTAL; i += 5000) {
		print_pattern(&p, i, 5000);
		run(&p, 1);
	}
	assert_int_equal(p.released, 0);
	set_out(&p, new[1]);
	run(&p, 20);
	assert_int_equal(p.released, 1);
	n = drain(old[0], got, TOTAL);
	assert_in_range(n, 1, TOTAL - 1);
	n += drain(new[0], got + n, TOTAL + 1 - n);
	assert_int_equal(n, TOTAL);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i], pattern(i));
	stop(&p);
	assert_int_equal(p.released, 2);
	close_pipe(old);
	close_pipe(new);
	free(got);
}

/* Backends that never came into use are released too, each once. */
static void quick_changes_release_every_backend(void **state)
{
	int fd[2];
	struct port p;

	make_pipe(fd);
	start(&p, fd[0], -1);
	run(&p, 5);
	for (unsigned i = 0; i < 4; i++)
		set_out(&p, fd[1]);
	run(&p, 10);
	assert_int_equal(p.released, 4);
	print(&p, "x\n");
	stop(&p);
	assert_int_equal(p.released, 5);
	assert_reads(fd[0], "x\n");
	close_pipe(fd);
}

/* ---- the end --------------------------------------------------------------------- */

static void flush_writes_what_is_buffered(void **state)
{
	enum { TOTAL = 60000 };
	uint8_t got[TOTAL + 1];
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	print_pattern(&p, 0, TOTAL);
	stop(&p);
	assert_int_equal(drain(fd[0], got, sizeof(got)), TOTAL);
	for (size_t i = 0; i < TOTAL; i++)
		assert_int_equal(got[i], pattern(i));
	close_pipe(fd);
}

static void flush_does_not_wait_for_a_reader_that_does_not_read(void **state)
{
	static void (*const make[])(int fd[2]) = { make_pipe, make_nonblocking_pipe, make_tty,
						   make_socket, make_nonblocking_socket };

	for (unsigned m = 0; m < ARRAY_SIZE(make); m++) {
		uint64_t before;
		struct port p;
		int fd[2];

		make[m](fd);
		start(&p, -1, fd[1]);
		for (size_t i = 0; i < 300000; i += 3000) {
			print_pattern(&p, i, 3000);
			run(&p, 1);
		}
		before = clock_ms();
		serial_flush(p.serial);
		assert_in_range(clock_ms() - before, SERIAL_FLUSH_MS, SERIAL_FLUSH_MS * 5 / 2);
		assert_int_equal(p.released, 1);
		serial_flush(p.serial); /* nothing is left to do */
		loop_destroy(p.loop);
		serial_destroy(p.serial);
		close_pipe(fd);
	}
}

static void a_port_can_go_without_a_flush(void **state)
{
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, fd[0], fd[1]);
	print(&p, "x\n");
	loop_destroy(p.loop);
	serial_destroy(p.serial);
	close_pipe(fd);
}

/* ---- accesses -------------------------------------------------------------------- */

static void a_wide_access_is_its_bytes(void **state)
{
	struct port p;

	start(&p, -1, -1);
	bus_write(&p.bus, BUS_PIO, LAYOUT_SERIAL + UART_LCR, 2,
		  UART_LCR_WLEN8 | UART_MCR_DTR << 8);
	assert_int_equal(in(&p, UART_LCR), UART_LCR_WLEN8);
	assert_int_equal(in(&p, UART_MCR), UART_MCR_DTR);
	bus_write(&p.bus, BUS_PIO, LAYOUT_SERIAL + UART_SCR, 1, 0x55);
	assert_int_equal(bus_read(&p.bus, BUS_PIO, LAYOUT_SERIAL + UART_LCR, 4),
			 UINT32_C(0xb0600103));
	assert_int_equal(bus_read(&p.bus, BUS_PIO, LAYOUT_SERIAL, 8) >> 56, 0x55);
	stop(&p);
}

/* ---- the rate limiter ------------------------------------------------------------ */

static void output_without_tokens_is_lost_and_counted(void **state)
{
	const struct token_bucket_config limit = { .present = true,
						   .has_one_time_burst = true,
						   .size = 3,
						   .one_time_burst = 2,
						   .refill_time_ms = 3600000 };
	struct serial_counts c;
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	serial_set_limit(p.serial, &limit);
	print(&p, "abcdefgh\n");
	run(&p, 20);
	assert_reads(fd[0], "abcde");
	c = serial_counts(p.serial);
	assert_int_equal(c.out_bytes, 9);
	assert_int_equal(c.out_limited, 4);
	assert_int_equal(c.out_dropped, 0);
	/* Another one starts full; none lets all through. */
	serial_set_limit(p.serial, &limit);
	print(&p, "12");
	serial_set_limit(p.serial, &(struct token_bucket_config){ .present = false });
	print(&p, "3456789\n");
	run(&p, 20);
	assert_reads(fd[0], "123456789\n");
	stop(&p);
	close_pipe(fd);
}

static void tokens_of_output_come_back(void **state)
{
	const struct token_bucket_config limit = { .present = true,
						   .size = 2,
						   .refill_time_ms = 40 };
	struct port p;
	int fd[2];

	make_pipe(fd);
	start(&p, -1, fd[1]);
	serial_set_limit(p.serial, &limit);
	print(&p, "abc");
	run(&p, 100);
	print(&p, "def");
	run(&p, 20);
	assert_reads(fd[0], "abde");
	stop(&p);
	close_pipe(fd);
}

static void writes_that_fail_are_counted(void **state)
{
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct port p;

	start(&p, -1, fd);
	print(&p, "a\n");
	run(&p, 20);
	print(&p, "b\n");
	run(&p, 20);
	assert_int_equal(serial_counts(p.serial).out_errors, 2);
	assert_int_equal(serial_counts(p.serial).out_dropped, 4);
	stop(&p);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_written_at_once_and_the_rest_soon),
		cmocka_unit_test(output_without_tokens_is_lost_and_counted),
		cmocka_unit_test(tokens_of_output_come_back),
		cmocka_unit_test(writes_that_fail_are_counted),
		cmocka_unit_test(a_line_is_one_write),
		cmocka_unit_test(long_output_keeps_its_order),
		cmocka_unit_test(a_reader_that_does_not_read_loses_output),
		cmocka_unit_test(a_closed_reader_ends_output),
		cmocka_unit_test(a_full_disk_loses_output_and_not_the_descriptor),
		cmocka_unit_test(a_thousand_bytes_take_one_interrupt_for_sixteen),
		cmocka_unit_test(polled_output_raises_no_interrupt),
		cmocka_unit_test(input_raises_an_interrupt_and_is_read),
		cmocka_unit_test(early_input_survives_the_drivers_setup),
		cmocka_unit_test(input_that_the_guest_does_not_read_stays_outside),
		cmocka_unit_test(much_input_arrives_whole),
		cmocka_unit_test(end_of_input_ends_reading),
		cmocka_unit_test(a_descriptor_that_is_none_ends_quietly),
		cmocka_unit_test(a_write_that_would_block_is_tried_again),
		cmocka_unit_test(a_descriptor_that_never_takes_anything_costs_little),
		cmocka_unit_test(a_wait_for_room_ends_when_the_backend_changes),
		cmocka_unit_test(terminals_and_sockets_work),
		cmocka_unit_test(a_terminal_that_hangs_up_ends_both_directions),
		cmocka_unit_test(files_take_output),
		cmocka_unit_test(output_of_nobody_is_kept_for_the_next_backend),
		cmocka_unit_test(a_change_of_backend_loses_and_doubles_nothing),
		cmocka_unit_test(quick_changes_release_every_backend),
		cmocka_unit_test(flush_writes_what_is_buffered),
		cmocka_unit_test(flush_does_not_wait_for_a_reader_that_does_not_read),
		cmocka_unit_test(a_port_can_go_without_a_flush),
		cmocka_unit_test(a_wide_access_is_its_bytes),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
