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
#include <sys/uio.h>

#include "vmm/lib/bytes.h"

struct loop;

struct loop_op {
	/* `res`: what the system call would return, errors as -errno. */
	void (*done)(struct loop_op *op, int res);
	bool busy;
	bool registered; /* it is on a registered file; of loop.c */
};

struct loop_timer {
	struct loop_op op; /* op.done gets -ETIME when the time is up */
	struct __kernel_timespec ts;
};

/* A file that operations name by what loop_file_add returned. */
typedef struct {
	int fd;
	int slot; /* in the ring's table of registered files; -1: not in it */
} loop_file_t;

/* Something to do once at the end of the turn. `run` may queue operations, and itself. */
struct loop_late {
	void (*run)(struct loop_late *late);
	bool queued;
	uint64_t turn; /* in which it ran last */
	struct loop_late *next;
};

/* How many files can be registered; further ones are used as plain descriptors. */
#define LOOP_FILES_MAX 128
/* Buffers for O_DIRECT that can be registered. */
#define LOOP_BUFFERS_MAX 64

struct loop_stats {
	uint64_t enters; /* io_uring_enter system calls */
	uint64_t ops; /* operations completed */
};

/*
 * `entries`: how many operations fit into one submission; more are submitted in parts.
 * Completions of up to LOOP_IN_FLIGHT_MAX operations have room, those of more cost the
 * kernel memory. 0 or -errno.
 */
#define LOOP_IN_FLIGHT_MAX 4096
MUST_CHECK int loop_create(struct loop **out, unsigned entries);

/* Frees the ring; the kernel cancels what was in flight (no `done` is called). */
void loop_destroy(struct loop *l);

/* Queue an operation. They cannot fail: errors arrive in `done`. */
void loop_read(struct loop *l, struct loop_op *op, int fd, void *buf, size_t len);
void loop_write(struct loop *l, struct loop_op *op, int fd, const void *buf, size_t len);
/*
 * A write that never blocks and whose outcome interests nobody: no completion, so that the
 * loop is not woken for it. It is done when what is queued after it begins; `buf` must stay
 * until then.
 */
void loop_write_quietly(struct loop *l, int fd, const void *buf, size_t len);
void loop_accept(struct loop *l, struct loop_op *op, int fd); /* SOCK_CLOEXEC */
void loop_recv(struct loop *l, struct loop_op *op, int fd, void *buf, size_t len);
void loop_send(struct loop *l, struct loop_op *op, int fd, const void *buf,
	       size_t len); /* MSG_NOSIGNAL | MSG_WAITALL */
void loop_poll(struct loop *l, struct loop_op *op, int fd, unsigned events);
void loop_timeout(struct loop *l, struct loop_timer *t, uint64_t ms);
void loop_timeout_us(struct loop *l, struct loop_timer *t, uint64_t us);

/*
 * Register a descriptor, which stays the caller's and must stay open until it was
 * removed. Removing does not disturb operations in flight, and the kernel may keep the file
 * open for a second more; so what must be free as soon as it is closed is to be named by
 * loop_file_plain.
 */
loop_file_t loop_file_add(struct loop *l, int fd);
void loop_file_remove(struct loop *l, loop_file_t *f);

/* The descriptor itself, not registered; may be given to loop_file_remove. */
static inline loop_file_t loop_file_plain(int fd)
{
	return (loop_file_t){ .fd = fd, .slot = -1 };
}

/*
 * Register memory for loop_read_fixed and loop_write_fixed; returns its index, or
 * -errno. Removing it must wait until nothing in flight uses it.
 */
MUST_CHECK int loop_buffer_add(struct loop *l, void *base, size_t len);
void loop_buffer_remove(struct loop *l, int index);

/*
 * On files. `off` is in bytes; LOOP_NO_OFFSET where there is none (tap). `flags`: RWF_* of
 * preadv2(2). The iovec array must stay until the turn ends, the memory until `done`.
 */
#define LOOP_NO_OFFSET UINT64_MAX
void loop_readv(struct loop *l, struct loop_op *op, loop_file_t f, const struct iovec *iov,
		unsigned n, uint64_t off, int flags);
void loop_writev(struct loop *l, struct loop_op *op, loop_file_t f, const struct iovec *iov,
		 unsigned n, uint64_t off, int flags);
void loop_read_fixed(struct loop *l, struct loop_op *op, loop_file_t f, int buffer, void *at,
		     size_t len, uint64_t off);
void loop_write_fixed(struct loop *l, struct loop_op *op, loop_file_t f, int buffer,
		      const void *at, size_t len, uint64_t off);
void loop_fsync(struct loop *l, struct loop_op *op, loop_file_t f); /* fdatasync(2) */
void loop_fallocate(struct loop *l, struct loop_op *op, loop_file_t f, int mode, uint64_t off,
		    uint64_t len);

/*
 * Call late->run at the end of this turn (outside of one: of the next, which does not
 * wait then); once, however often it was asked for, in the order of asking. One that asks
 * for itself, while or after it ran, runs in the next turn.
 */
void loop_at_end(struct loop *l, struct loop_late *late);

/* Call `done(op, 0)` in the next turn, after what is queued already was submitted. */
void loop_defer(struct loop *l, struct loop_op *op);

/* Ask the kernel to end a busy op soon; its `done` gets -ECANCELED or its result. */
void loop_cancel(struct loop *l, struct loop_op *op);

/*
 * One turn: submit, wait for at least one completion, call `done` for all there are.
 * 0, or -errno when the ring itself fails (-EINTR never).
 */
MUST_CHECK int loop_turn(struct loop *l);

/*
 * CLOCK_MONOTONIC, ns, asked once a turn, when it is first wanted: for what happens so often
 * that each asking would count.
 */
uint64_t loop_now(struct loop *l);

/* Since loop_create. */
struct loop_stats loop_stats(const struct loop *l);

#endif
