/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop, on real descriptors. */
#include "vmm/lib/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/lib/log.h"

#define ENTRIES 8
#define NOT_CALLED 12345

static struct loop *loop;

/* An operation that notes how it ended, and when among others. */
struct probe {
	struct loop_timer timer; /* its op serves for everything else, too */
	int res;
	unsigned calls, order;
};

static unsigned completed;

static void note(struct loop_op *op, int res)
{
	struct probe *p = CONTAINER_OF(op, struct probe, timer.op);

	assert_false(op->busy);
	p->res = res;
	p->calls++;
	p->order = completed++;
}

static struct probe probe(void)
{
	return (struct probe){ .timer.op.done = note, .res = NOT_CALLED };
}

static int set_up(void **state)
{
	completed = 0;
	alarm(20); /* a turn that never ends */
	return loop_create(&loop, ENTRIES);
}

static int tear_down(void **state)
{
	loop_destroy(loop);
	loop = NULL;
	alarm(0);
	return 0;
}

/* Turn until `n` operations have ended in all. */
static void turn_until(unsigned n)
{
	while (completed < n)
		assert_int_equal(loop_turn(loop), 0);
}

static void write_and_read_a_pipe(void **state)
{
	struct probe r = probe(), w = probe();
	char buffer[16] = "";
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	loop_read(loop, &r.timer.op, fds[0], buffer, sizeof(buffer));
	assert_true(r.timer.op.busy);
	loop_write(loop, &w.timer.op, fds[1], "hello", 5);
	turn_until(2);
	assert_int_equal(w.res, 5);
	assert_int_equal(r.res, 5);
	assert_string_equal(buffer, "hello");
	close(fds[1]);
	loop_read(loop, &r.timer.op, fds[0], buffer, sizeof(buffer));
	turn_until(3);
	assert_int_equal(r.res, 0); /* end of file */
	close(fds[0]);
}

/* A regular file goes on where the last operation ended, also when appending. */
static void files_have_a_position(void **state)
{
	struct probe a = probe(), b = probe();
	char name[] = "/tmp/test_loop.XXXXXX", buffer[8] = "";
	int fd = mkstemp(name);

	loop_write(loop, &a.timer.op, fd, "one", 3);
	turn_until(1);
	loop_write(loop, &b.timer.op, fd, "two", 3);
	turn_until(2);
	assert_int_equal(pread(fd, buffer, sizeof(buffer), 0), 6);
	assert_string_equal(buffer, "onetwo");
	unlink(name);
	close(fd);
}

static void errors_arrive_in_done(void **state)
{
	struct probe r = probe(), w = probe(), a = probe(), s = probe();
	char c = 0;

	loop_read(loop, &r.timer.op, -1, &c, 1);
	loop_write(loop, &w.timer.op, -1, &c, 1);
	loop_accept(loop, &a.timer.op, 0);
	loop_send(loop, &s.timer.op, -1, &c, 1);
	turn_until(4);
	assert_int_equal(r.res, -EBADF);
	assert_int_equal(w.res, -EBADF);
	assert_int_equal(a.res, -ENOTSOCK);
	assert_int_equal(s.res, -EBADF);
}

static void accept_receive_and_send(void **state)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct probe a = probe(), r = probe(), s = probe();
	int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char buffer[8] = "";

	/* An abstract name, which leaves no file. */
	snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "test_loop.%d", getpid());
	assert_int_equal(bind(listening, (struct sockaddr *)&name, sizeof(name)), 0);
	assert_int_equal(listen(listening, 1), 0);
	loop_accept(loop, &a.timer.op, listening);
	assert_int_equal(connect(client, (struct sockaddr *)&name, sizeof(name)), 0);
	turn_until(1);
	assert_true(a.res >= 0);
	assert_true(fcntl(a.res, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(send(client, "ping", 4, 0), 4);
	loop_recv(loop, &r.timer.op, a.res, buffer, sizeof(buffer));
	turn_until(2);
	assert_int_equal(r.res, 4);
	assert_string_equal(buffer, "ping");
	close(client);
	/* MSG_NOSIGNAL: the test would die of SIGPIPE. */
	loop_send(loop, &s.timer.op, a.res, "pong", 4);
	turn_until(3);
	assert_int_equal(s.res, -EPIPE);
	close(a.res);
	close(listening);
}

/* More than the socket holds at once: all of it is sent, or an error is told. */
static void send_waits_for_all(void **state)
{
	static char data[1u << 20], back[1u << 20];
	struct probe s = probe();
	size_t got = 0;
	int fds[2];

	memset(data, 0x7e, sizeof(data));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	loop_send(loop, &s.timer.op, fds[0], data, sizeof(data));
	while (completed == 0) {
		struct probe again = probe();
		ssize_t n;

		/* A nop, so that the turn does not wait for the send alone. */
		loop_defer(loop, &again.timer.op);
		assert_int_equal(loop_turn(loop), 0);
		completed -= again.calls;
		n = recv(fds[1], back + got, sizeof(back) - got, MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(s.res, sizeof(data));
	while (got < sizeof(back))
		got += (size_t)recv(fds[1], back + got, sizeof(back) - got, 0);
	assert_memory_equal(data, back, sizeof(data));
	close(fds[0]);
	close(fds[1]);
}

static void poll_tells_what_is_ready(void **state)
{
	struct probe p = probe();
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	loop_poll(loop, &p.timer.op, fds[0], POLLIN);
	assert_int_equal(write(fds[1], "x", 1), 1);
	turn_until(1);
	assert_true(p.res & POLLIN);
	close(fds[0]);
	close(fds[1]);
}

static void timers_end_in_the_order_of_their_times(void **state)
{
	struct probe late = probe(), soon = probe(), at_once = probe();
	uint64_t start = clock_ms();

	loop_timeout(loop, &late.timer, 1100); /* more than a second: tv_sec and tv_nsec */
	loop_timeout(loop, &soon.timer, 30);
	loop_timeout(loop, &at_once.timer, 0);
	turn_until(2);
	assert_in_range(clock_ms() - start, 30, 1000);
	assert_int_equal(at_once.order, 0);
	assert_int_equal(soon.order, 1);
	turn_until(3);
	assert_in_range(clock_ms() - start, 1100, 5000);
	assert_int_equal(late.res, -ETIME);
	assert_int_equal(soon.res, -ETIME);
	assert_int_equal(at_once.res, -ETIME);
}

static void timers_take_microseconds(void **state)
{
	struct probe late = probe(), soon = probe();
	uint64_t start = clock_ns();

	loop_timeout_us(loop, &late.timer, 1100000);
	loop_timeout_us(loop, &soon.timer, 1500);
	turn_until(1);
	assert_in_range(clock_ns() - start, 1500000, 900000000);
	assert_int_equal(soon.res, -ETIME);
	turn_until(2);
	assert_true(clock_ns() - start >= UINT64_C(1100000000));
	assert_int_equal(late.res, -ETIME);
}

/* A timer that ends does not end others that were set with it. */
static void other_completions_do_not_end_a_timer(void **state)
{
	struct probe timer = probe(), nop[20];
	uint64_t start = clock_ms();

	loop_timeout(loop, &timer.timer, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(nop); i++) {
		nop[i] = probe();
		loop_defer(loop, &nop[i].timer.op);
	}
	turn_until(ARRAY_SIZE(nop) + 1);
	assert_true(clock_ms() - start >= 100);
	assert_int_equal(timer.order, ARRAY_SIZE(nop));
}

static void deferred_calls_keep_their_order(void **state)
{
	struct probe p[3 * ENTRIES];

	/* More than the ring holds: it submits by itself in between. */
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = probe();
		loop_defer(loop, &p[i].timer.op);
	}
	turn_until(ARRAY_SIZE(p));
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		assert_int_equal(p[i].res, 0);
		assert_int_equal(p[i].calls, 1);
		assert_int_equal(p[i].order, i);
	}
}

/* Many at once, each of which takes a while: none is lost. */
static void more_operations_in_flight_than_entries(void **state)
{
	struct probe p[10 * ENTRIES];
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = probe();
		loop_poll(loop, &p[i].timer.op, fds[0], POLLIN);
	}
	assert_int_equal(write(fds[1], "x", 1), 1);
	turn_until(ARRAY_SIZE(p));
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		assert_int_equal(p[i].calls, 1);
	close(fds[0]);
	close(fds[1]);
}

struct chain {
	struct loop_op op;
	unsigned left;
};

static void queue_again(struct loop_op *op, int res)
{
	struct chain *c = CONTAINER_OF(op, struct chain, op);

	completed++;
	if (--c->left)
		loop_defer(loop, op);
}

static void done_may_queue_the_same_operation(void **state)
{
	struct chain c = { .op.done = queue_again, .left = 100 };

	loop_defer(loop, &c.op);
	turn_until(100);
	assert_false(c.op.busy);
}

/* One that is for ever queued again leaves the others their turns. */
static void nobody_starves(void **state)
{
	struct chain greedy = { .op.done = queue_again, .left = UINT32_MAX };
	struct probe timer = probe();

	loop_defer(loop, &greedy.op);
	loop_timeout(loop, &timer.timer, 20);
	while (timer.calls == 0)
		assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(timer.res, -ETIME);
}

static void cancelling_ends_what_waits(void **state)
{
	struct probe p = probe(), t = probe(), idle = probe();
	char c;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	loop_read(loop, &p.timer.op, fds[0], &c, 1);
	loop_timeout(loop, &t.timer, 60000);
	loop_cancel(loop, &idle.timer.op); /* not busy: nothing happens */
	loop_cancel(loop, &p.timer.op);
	loop_cancel(loop, &t.timer.op);
	turn_until(2);
	assert_int_equal(p.res, -ECANCELED);
	assert_int_equal(t.res, -ECANCELED);
	assert_int_equal(idle.calls, 0);
	close(fds[0]);
	close(fds[1]);
}

static void cancelling_what_has_ended_does_no_harm(void **state)
{
	struct probe p = probe(), after = probe();

	loop_defer(loop, &p.timer.op);
	loop_cancel(loop, &p.timer.op);
	turn_until(1);
	assert_int_equal(p.calls, 1);
	loop_cancel(loop, &p.timer.op);
	loop_defer(loop, &after.timer.op);
	turn_until(2);
	assert_int_equal(p.calls, 1);
}

/* Its buffer is not written to any more, and `done` is not called. */
static void destroying_ends_what_is_in_flight(void **state)
{
	struct probe r = probe(), t = probe(), unsubmitted = probe(), nop = probe();
	char c = 1;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	loop_read(loop, &r.timer.op, fds[0], &c, 1);
	loop_timeout(loop, &t.timer, 60000);
	loop_defer(loop, &nop.timer.op);
	turn_until(1);
	loop_defer(loop, &unsubmitted.timer.op);
	loop_destroy(loop);
	loop = NULL;
	assert_int_equal(write(fds[1], "x", 1), 1);
	usleep(10000);
	assert_int_equal(c, 1);
	assert_int_equal(r.calls + t.calls + unsubmitted.calls, 0);
	close(fds[0]);
	close(fds[1]);
}

static void a_batch_is_one_system_call(void **state)
{
	struct probe p[ENTRIES];

	for (unsigned i = 0; i < ENTRIES; i++) {
		p[i] = probe();
		loop_defer(loop, &p[i].timer.op);
	}
	assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(completed, ENTRIES);
	assert_int_equal(loop_stats(loop).enters, 1);
	assert_int_equal(loop_stats(loop).ops, ENTRIES);
}

static void a_ring_that_cannot_be_is_an_error(void **state)
{
	struct loop *l = NULL;

	assert_int_equal(loop_create(&l, 0), -EINVAL);
	assert_null(l);
	loop_destroy(NULL);
}

#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

/* Asked again in the same turn, it has not moved; in the next one it has. */
static void now_is_that_of_the_turn(void **state)
{
	uint64_t before = clock_ns(), first = loop_now(loop), second;
	struct probe p = probe();

	assert_in_range(first, before, clock_ns());
	loop_timeout(loop, &p.timer, 1);
	while (clock_ns() - first < 10000)
		;
	assert_true(loop_now(loop) == first);
	while (p.timer.op.busy)
		assert_int_equal(loop_turn(loop), 0);
	second = loop_now(loop);
	assert_in_range(second, first + 1000000, clock_ns());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(write_and_read_a_pipe),
		LOOP_TEST(files_have_a_position),
		LOOP_TEST(errors_arrive_in_done),
		LOOP_TEST(accept_receive_and_send),
		LOOP_TEST(send_waits_for_all),
		LOOP_TEST(poll_tells_what_is_ready),
		LOOP_TEST(timers_end_in_the_order_of_their_times),
		LOOP_TEST(timers_take_microseconds),
		LOOP_TEST(now_is_that_of_the_turn),
		LOOP_TEST(other_completions_do_not_end_a_timer),
		LOOP_TEST(deferred_calls_keep_their_order),
		LOOP_TEST(more_operations_in_flight_than_entries),
		LOOP_TEST(done_may_queue_the_same_operation),
		LOOP_TEST(nobody_starves),
		LOOP_TEST(cancelling_ends_what_waits),
		LOOP_TEST(cancelling_what_has_ended_does_no_harm),
		LOOP_TEST(destroying_ends_what_is_in_flight),
		LOOP_TEST(a_batch_is_one_system_call),
		cmocka_unit_test(a_ring_that_cannot_be_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
