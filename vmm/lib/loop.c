/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop on io_uring: see loop.h. */
#include "vmm/lib/loop.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/socket.h>

struct loop {
	struct io_uring ring;
	struct loop_stats stats;
};

int loop_create(struct loop **out, unsigned entries)
{
	struct io_uring_params params = {
		/* Completions wait for us to ask: no interruptions, fewer switches. */
		.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
	};
	struct loop *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	rc = io_uring_queue_init_params(entries, &l->ring, &params);
	if (rc == -EINVAL) {
		/* Before Linux 6.1. */
		params = (struct io_uring_params){ 0 };
		rc = io_uring_queue_init_params(entries, &l->ring, &params);
	}
	if (rc < 0) {
		free(l);
		return rc;
	}
	*out = l;
	return 0;
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	io_uring_queue_exit(&l->ring);
	free(l);
}

/* A free submission entry; when there is none, what is queued is submitted first. */
static struct io_uring_sqe *take_sqe(struct loop *l)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);

	while (!sqe) {
		int rc = io_uring_submit(&l->ring);

		l->stats.enters++;
		assert(rc > 0 || rc == -EBUSY || rc == -EAGAIN || rc == -EINTR);
		sqe = io_uring_get_sqe(&l->ring);
	}
	return sqe;
}

static struct io_uring_sqe *begin(struct loop *l, struct loop_op *op)
{
	assert(!op->busy);
	op->busy = true;
	return take_sqe(l);
}

void loop_read(struct loop *l, struct loop_op *op, int fd, void *buf, size_t len)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_read(sqe, fd, buf, (unsigned)len, (uint64_t)-1);
	io_uring_sqe_set_data(sqe, op);
}

void loop_write(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_write(sqe, fd, buf, (unsigned)len, (uint64_t)-1);
	io_uring_sqe_set_data(sqe, op);
}

void loop_accept(struct loop *l, struct loop_op *op, int fd)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	io_uring_sqe_set_data(sqe, op);
}

void loop_recv(struct loop *l, struct loop_op *op, int fd, void *buf, size_t len)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_recv(sqe, fd, buf, len, 0);
	io_uring_sqe_set_data(sqe, op);
}

void loop_send(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_send(sqe, fd, buf, len, MSG_NOSIGNAL | MSG_WAITALL);
	io_uring_sqe_set_data(sqe, op);
}

void loop_poll(struct loop *l, struct loop_op *op, int fd, unsigned events)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data(sqe, op);
}

void loop_timeout(struct loop *l, struct loop_timer *t, uint64_t ms)
{
	struct io_uring_sqe *sqe = begin(l, &t->op);

	t->ts.tv_sec = (long long)(ms / 1000);
	t->ts.tv_nsec = (long long)(ms % 1000 * 1000000);
	/* liburing's own type has the same layout as the kernel's. */
	io_uring_prep_timeout(sqe, (struct __kernel_timespec *)&t->ts, 0, 0);
	io_uring_sqe_set_data(sqe, &t->op);
}

void loop_defer(struct loop *l, struct loop_op *op)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, op);
}

void loop_cancel(struct loop *l, struct loop_op *op)
{
	struct io_uring_sqe *sqe;

	if (!op->busy)
		return;
	sqe = take_sqe(l);
	io_uring_prep_cancel(sqe, op, 0);
	/* Its own completion interests nobody. */
	io_uring_sqe_set_data(sqe, NULL);
}

static void complete(struct loop *l, const struct io_uring_cqe *cqe)
{
	struct loop_op *op = io_uring_cqe_get_data(cqe);

	if (!op)
		return;
	l->stats.ops++;
	op->busy = false;
	op->done(op, cqe->res);
}

int loop_turn(struct loop *l)
{
	struct io_uring_cqe *cqe;
	int rc = io_uring_submit_and_wait(&l->ring, 1);

	l->stats.enters++;
	if (rc < 0 && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN)
		return rc;
	while (io_uring_peek_cqe(&l->ring, &cqe) == 0) {
		struct io_uring_cqe copy = { .user_data = cqe->user_data, .res = cqe->res };

		/* Seen first: `done` may fill the submission queue and need the room. */
		io_uring_cqe_seen(&l->ring, cqe);
		complete(l, &copy);
	}
	return 0;
}

struct loop_stats loop_stats(const struct loop *l)
{
	return l->stats;
}
