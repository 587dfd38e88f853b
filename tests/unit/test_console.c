/* SPDX-License-Identifier: Apache-2.0 */
/* Terminals and the console's socket, with clients that come, go and take over. */
#include "devices/console.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>

#include <linux/serial_reg.h>

#include "vmm/lib/log.h"

/* ---- copies of descriptors ------------------------------------------------------- */

static void a_terminals_copy_does_not_block_and_the_original_still_does(void **state)
{
	static char text[100000];
	int host, tty, copy;
	struct termios t;
	char c = 0;

	assert_int_equal(openpty(&host, &tty, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(tty, &t), 0);
	cfmakeraw(&t);
	assert_int_equal(tcsetattr(tty, TCSANOW, &t), 0);
	copy = console_copy(tty, O_WRONLY);
	assert_true(copy >= 0);
	assert_true(fcntl(copy, F_GETFL) & O_NONBLOCK);
	assert_false(fcntl(tty, F_GETFL) & O_NONBLOCK);
	assert_int_equal(write(copy, "x", 1), 1);
	assert_int_equal(read(host, &c, 1), 1);
	assert_int_equal(c, 'x');
	assert_in_range(write(copy, text, sizeof(text)), 1, sizeof(text) - 1);
	(void)close(copy);
	(void)close(tty);
	(void)close(host);
}

/* The other half of a terminal cannot be opened twice: that would be a new terminal. */
static void a_pty_masters_copy_is_the_same_terminal(void **state)
{
	int host, tty, copy;
	char c = 0;

	assert_int_equal(openpty(&host, &tty, NULL, NULL, NULL), 0);
	copy = console_copy(host, O_WRONLY);
	assert_true(copy >= 0);
	assert_true(fcntl(copy, F_GETFL) & O_NONBLOCK);
	assert_int_equal(write(copy, "\n", 1), 1);
	assert_int_equal(read(tty, &c, 1), 1);
	assert_int_equal(c, '\n');
	(void)close(copy);
	(void)close(tty);
	(void)close(host);
}

static void other_descriptors_are_copied_as_they_are(void **state)
{
	int fd[2], copy;

	assert_int_equal(pipe(fd), 0);
	copy = console_copy(fd[0], O_RDONLY);
	assert_true(copy >= 0 && copy != fd[0]);
	assert_false(fcntl(copy, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(copy, F_GETFD) & FD_CLOEXEC);
	(void)close(copy);
	(void)close(fd[0]);
	(void)close(fd[1]);
	assert_int_equal(console_copy(fd[0], O_RDONLY), -EBADF);
}

/* ---- the socket ------------------------------------------------------------------ */

struct machine {
	struct loop *loop;
	struct bus bus;
	struct serial *serial;
	struct console *console;
	char dir[32];
	char path[64];
};

static void no_pulse(void *ctx, unsigned gsi)
{
	(void)ctx;
	(void)gsi;
}

static void start(struct machine *m)
{
	static const struct serial_backend nobody = { .in_fd = -1, .out_fd = -1 };
	struct dev_env env = { .pulse = no_pulse };
	struct bus_range range;
	struct err e;
	int fd;

	*m = (struct machine){ .dir = "/tmp/console.XXXXXX" };
	assert_non_null(mkdtemp(m->dir));
	(void)snprintf(m->path, sizeof(m->path), "%s/sock", m->dir);
	fd = console_listen(m->path, &e);
	assert_true(fd >= 0);
	assert_int_equal(loop_create(&m->loop, 16), 0);
	env.loop = m->loop;
	assert_int_equal(serial_create(&m->serial, &env, 4, &nobody), 0);
	range = serial_range(m->serial, 0);
	assert_int_equal(bus_add(&m->bus, &range), 0);
	assert_int_equal(console_create(&m->console, m->loop, fd, m->serial), 0);
	bus_write(&m->bus, BUS_PIO, UART_MCR, 1, UART_MCR_RTS);
	bus_write(&m->bus, BUS_PIO, UART_FCR, 1, UART_FCR_ENABLE_FIFO);
}

static void stop(struct machine *m)
{
	serial_flush(m->serial);
	console_destroy(m->console);
	loop_destroy(m->loop);
	serial_destroy(m->serial);
	(void)unlink(m->path);
	(void)rmdir(m->dir);
}

static void time_up(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

static void run(struct machine *m, uint64_t ms)
{
	struct loop_timer t = { .op.done = time_up };

	loop_timeout(m->loop, &t, ms);
	while (t.op.busy)
		assert_int_equal(loop_turn(m->loop), 0);
}

static int dial(const struct machine *m)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", m->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void print(struct machine *m, const char *text)
{
	for (; *text; text++)
		bus_write(&m->bus, BUS_PIO, UART_TX, 1, (uint8_t)*text);
}

static void assert_reads(int fd, const char *text)
{
	char buf[256] = { 0 };
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	assert_int_equal(n, strlen(text));
	assert_string_equal(buf, text);
}

static void the_socket_is_its_owners_alone(void **state)
{
	struct machine m;
	struct stat st;

	start(&m);
	assert_int_equal(stat(m.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	stop(&m);
}

static void paths_that_cannot_be_listened_on_are_reported(void **state)
{
	static const struct {
		const char *path;
		int rc;
	} cases[] = {
		{ "", -ENOENT },
		{ "/nonexistent/sock", -ENOENT },
		{ "/tmp", -EADDRINUSE },
		{ "/tmp/0123456789012345678901234567890123456789012345678901234567890"
		  "123456789012345678901234567890123456789012345",
		  -ENAMETOOLONG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = { "" };

		assert_int_equal(console_listen(cases[i].path, &e), cases[i].rc);
		assert_non_null(strstr(e.text, "serial socket"));
	}
}

static void a_late_client_sees_what_was_printed_before(void **state)
{
	struct machine m;
	int fd;

	start(&m);
	print(&m, "booting\n");
	run(&m, 10);
	fd = dial(&m);
	run(&m, 10);
	assert_reads(fd, "booting\n");
	print(&m, "login: ");
	run(&m, 20);
	assert_reads(fd, "login: ");
	assert_int_equal(write(fd, "root", 4), 4);
	run(&m, 10);
	assert_int_equal(bus_read(&m.bus, BUS_PIO, UART_RX, 1), 'r');
	(void)close(fd);
	stop(&m);
}

static void a_client_that_only_sends_is_heard(void **state)
{
	struct machine m;
	int fd;

	start(&m);
	fd = dial(&m);
	assert_int_equal(write(fd, "hi", 2), 2);
	(void)close(fd);
	run(&m, 20);
	assert_int_equal(bus_read(&m.bus, BUS_PIO, UART_RX, 1), 'h');
	assert_int_equal(bus_read(&m.bus, BUS_PIO, UART_RX, 1), 'i');
	stop(&m);
}

/* As `echo reboot | nc -N` does. */
static void a_client_that_ended_its_input_still_sees_output(void **state)
{
	struct machine m;
	int fd;

	start(&m);
	fd = dial(&m);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	run(&m, 20);
	print(&m, "still here\n");
	run(&m, 10);
	assert_reads(fd, "still here\n");
	(void)close(fd);
	stop(&m);
}

static void output_waits_when_the_client_has_gone(void **state)
{
	struct machine m;
	int fd;

	start(&m);
	fd = dial(&m);
	run(&m, 10);
	(void)close(fd);
	run(&m, 10);
	print(&m, "one\n");
	run(&m, 10);
	print(&m, "two\n");
	run(&m, 10);
	fd = dial(&m);
	run(&m, 10);
	assert_reads(fd, "one\ntwo\n");
	(void)close(fd);
	stop(&m);
}

static void a_new_client_takes_over(void **state)
{
	struct machine m;
	int fd[8];
	char c;

	start(&m);
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = dial(&m);
		run(&m, i % 3);
	}
	run(&m, 20);
	print(&m, "hello\n");
	run(&m, 10);
	for (unsigned i = 0; i < ARRAY_SIZE(fd) - 1; i++)
		assert_int_equal(read(fd[i], &c, 1), 0); /* hung up */
	assert_reads(fd[ARRAY_SIZE(fd) - 1], "hello\n");
	for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
		(void)close(fd[i]);
	stop(&m);
}

/* One that does not read cannot keep the others out. */
static void a_client_that_hangs_is_replaced(void **state)
{
	struct machine m;
	char buf[4096];
	int fd, next;
	ssize_t n;

	start(&m);
	fd = dial(&m);
	run(&m, 10);
	for (unsigned i = 0; i < 100; i++) {
		for (unsigned k = 0; k < 400; k++)
			print(&m, "0123456\n");
		run(&m, 1);
	}
	next = dial(&m);
	run(&m, 10);
	n = read(next, buf, sizeof(buf));
	assert_true(n > 0);
	(void)close(fd);
	(void)close(next);
	stop(&m);
}

static void many_clients_leave_no_descriptor_behind(void **state)
{
	struct machine m;
	int first, last;

	start(&m);
	first = dial(&m);
	(void)close(first);
	run(&m, 10);
	for (unsigned i = 0; i < 200; i++) {
		int fd = dial(&m);

		run(&m, 1);
		print(&m, "x\n");
		(void)close(fd);
	}
	run(&m, 10);
	last = dial(&m);
	assert_in_range(last, 0, first + 3);
	(void)close(last);
	stop(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_terminals_copy_does_not_block_and_the_original_still_does),
		cmocka_unit_test(a_pty_masters_copy_is_the_same_terminal),
		cmocka_unit_test(other_descriptors_are_copied_as_they_are),
		cmocka_unit_test(the_socket_is_its_owners_alone),
		cmocka_unit_test(paths_that_cannot_be_listened_on_are_reported),
		cmocka_unit_test(a_late_client_sees_what_was_printed_before),
		cmocka_unit_test(a_client_that_only_sends_is_heard),
		cmocka_unit_test(a_client_that_ended_its_input_still_sees_output),
		cmocka_unit_test(output_waits_when_the_client_has_gone),
		cmocka_unit_test(a_new_client_takes_over),
		cmocka_unit_test(a_client_that_hangs_is_replaced),
		cmocka_unit_test(many_clients_leave_no_descriptor_behind),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
