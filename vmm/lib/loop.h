/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one io_uring, one thread. An operation is a `struct loop_op`
 * embedded in the object that waits for it; its address is the completion's
 * user_data, so nothing is allocated a request. Submissions are batched: one
 * io_uring_enter a turn, and what is queued runs in the order it was queued.
 *
 * Rules: an op belongs to the kernel while `busy`; neither it nor its buffer may go
 * away until `done` was called. `done` may queue the same op again.
 */
#ifndef VMM_LIB_LOOP_H
#define VMM_LIB_LOOP_H

#include <linux/time_types.h>
#include <sys/types.h>

#include "vmm/lib/bytes.h"

struct loop;

struct loop_op {
	/* `res`: what the system call would return, errors as -errno. */
	void (*done)(struct loop_op *op, int res);
	bool busy;
};

struct loop_timer {
	struct loop_op op; /* op.done gets -ETIME when the time is up */
	struct __kernel_timespec ts;
};

struct loop_stats {
	uint64_t enters; /* io_uring_enter system calls */
	uint64_t ops; /* operations completed */
};

/* `entries`: how many operations fit into one submission. 0 or -errno. */
MUST_CHECK int loop_create(struct loop **out, unsigned entries);

/* Frees the ring; the kernel cancels what was in flight (no `done` is called). */
void loop_destroy(struct loop *l);

/* Queue an operation. They cannot fail: errors arrive in `done`. */
void loop_read(struct loop *l, struct loop_op *op, int fd, void *buf, size_t len);
void loop_write(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len);
void loop_accept(struct loop *l, struct loop_op *op, int fd); /* SOCK_CLOEXEC */
void loop_recv(struct loop *l, struct loop_op *op, int fd, void *buf, size_t len);
void loop_send(struct loop *l, struct loop_op *op, int fd, const void *buf,
	       size_t len); /* MSG_NOSIGNAL | MSG_WAITALL */
void loop_poll(struct loop *l, struct loop_op *op, int fd, unsigned events);
void loop_timeout(struct loop *l, struct loop_timer *t, uint64_t ms);

/* Call `done(op, 0)` in the next turn, after what is queued already was submitted. */
void loop_defer(struct loop *l, struct loop_op *op);

/* Ask the kernel to end a busy op soon; its `done` gets -ECANCELED or its result. */
void loop_cancel(struct loop *l, struct loop_op *op);

/*
 * One turn: submit, wait for at least one completion, call `done` for all there are.
 * 0, or -errno when the ring itself fails (-EINTR never).
 */
MUST_CHECK int loop_turn(struct loop *l);

/* Since loop_create. */
struct loop_stats loop_stats(const struct loop *l);

#endif
