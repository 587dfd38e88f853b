/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop on io_uring: see loop.h. */
#include "vmm/lib/loop.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "vmm/lib/log.h"

/* Completions taken out of a full ring before their turn. */
#define BACKLOG 256

struct completion {
	struct loop_op *op;
	int res;
};

struct loop {
	struct io_uring ring;
	struct loop_stats stats;

	bool files, buffers; /* their tables are registered */
	bool no_files;
	unsigned on_files; /* operations in flight that name registered files */
	uint64_t file_slots[LOOP_FILES_MAX / 64], buffer_slots; /* in use, a bit each */

	uint64_t turn;
	uint64_t now_ns, now_turn; /* the time in that turn; 0: not asked for yet */
	bool ending;
	struct loop_late *late, **late_end; /* of this turn */
	struct loop_late *next, **next_end; /* of the next one */

	unsigned backlog_first, backlog_n;
	struct completion backlog[BACKLOG];
};

int loop_create(struct loop **out, unsigned entries)
{
	struct io_uring_params params = {
		/* Completions wait for us to ask: no interruptions, fewer switches. */
		.flags = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
		.cq_entries = LOOP_IN_FLIGHT_MAX,
	};
	struct loop *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return -ENOMEM;
	rc = io_uring_queue_init_params(entries, &l->ring, &params);
	if (rc == -EINVAL) {
		/* Before Linux 6.1. */
		params = (struct io_uring_params){ .flags = IORING_SETUP_CQSIZE,
						   .cq_entries = LOOP_IN_FLIGHT_MAX };
		rc = io_uring_queue_init_params(entries, &l->ring, &params);
	}
	if (rc < 0) {
		free(l);
		return rc;
	}
	l->late_end = &l->late;
	l->next_end = &l->next;
	*out = l;
	return 0;
}

void loop_destroy(struct loop *l)
{
	if (!l)
		return;
	/* The kernel takes rings apart in its own time, and would keep files open till then. */
	if (l->files && l->on_files == 0)
		io_uring_unregister_files(&l->ring);
	io_uring_queue_exit(&l->ring);
	free(l);
}

/*
 * The kernel takes no more before completions are taken from it. They cannot be handled
 * here, in the middle of somebody's work: `done` would come back to the same somebody.
 */
static void make_room(struct loop *l)
{
	struct io_uring_cqe *cqe;

	while (l->backlog_n < BACKLOG && io_uring_peek_cqe(&l->ring, &cqe) == 0) {
		unsigned at = (l->backlog_first + l->backlog_n++) % BACKLOG;

		l->backlog[at] = (struct completion){ io_uring_cqe_get_data(cqe), cqe->res };
		io_uring_cqe_seen(&l->ring, cqe);
	}
}

/* A free submission entry; when there is none, what is queued is submitted first. */
static struct io_uring_sqe *take_sqe(struct loop *l)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&l->ring);

	while (!sqe) {
		int rc = io_uring_submit(&l->ring);

		l->stats.enters++;
		assert(rc > 0 || rc == -EBUSY || rc == -EAGAIN || rc == -EINTR);
		if (rc == -EBUSY)
			make_room(l);
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

void loop_write_quietly(struct loop *l, int fd, const void *buf, size_t len)
{
	struct io_uring_sqe *sqe = take_sqe(l);

	io_uring_prep_write(sqe, fd, buf, (unsigned)len, (uint64_t)-1);
	io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
	io_uring_sqe_set_data(sqe, NULL);
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

static void start_timer(struct loop *l, struct loop_timer *t)
{
	struct io_uring_sqe *sqe = begin(l, &t->op);

	/* liburing's own type has the same layout as the kernel's. */
	io_uring_prep_timeout(sqe, (struct __kernel_timespec *)&t->ts, 0, 0);
	io_uring_sqe_set_data(sqe, &t->op);
}

void loop_timeout(struct loop *l, struct loop_timer *t, uint64_t ms)
{
	t->ts.tv_sec = (long long)(ms / 1000);
	t->ts.tv_nsec = (long long)(ms % 1000 * 1000000);
	start_timer(l, t);
}

void loop_timeout_us(struct loop *l, struct loop_timer *t, uint64_t us)
{
	t->ts.tv_sec = (long long)(us / 1000000);
	t->ts.tv_nsec = (long long)(us % 1000000 * 1000);
	start_timer(l, t);
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

/* ---- files and registered buffers ---- */

/* A free slot below `n`, taken; -1 when there is none. */
static int take_slot(uint64_t *slots, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (slots[i / 64] >> i % 64 & 1)
			continue;
		slots[i / 64] |= UINT64_C(1) << i % 64;
		return (int)i;
	}
	return -1;
}

static void free_slot(uint64_t *slots, int i)
{
	slots[i / 64] &= ~(UINT64_C(1) << i % 64);
}

loop_file_t loop_file_add(struct loop *l, int fd)
{
	loop_file_t f = loop_file_plain(fd);

	if (!l->files && !l->no_files) {
		l->files = io_uring_register_files_sparse(&l->ring, LOOP_FILES_MAX) == 0;
		l->no_files = !l->files;
	}
	if (!l->files)
		return f;
	f.slot = take_slot(l->file_slots, LOOP_FILES_MAX);
	if (f.slot >= 0 &&
	    io_uring_register_files_update(&l->ring, (unsigned)f.slot, &fd, 1) != 1) {
		free_slot(l->file_slots, f.slot);
		f.slot = -1;
	}
	return f;
}

void loop_file_remove(struct loop *l, loop_file_t *f)
{
	int none = -1;

	if (f->slot >= 0) {
		io_uring_register_files_update(&l->ring, (unsigned)f->slot, &none, 1);
		free_slot(l->file_slots, f->slot);
	}
	*f = loop_file_plain(-1);
}

static int set_buffer(struct loop *l, int slot, void *base, size_t len)
{
	const struct iovec iov = { .iov_base = base, .iov_len = len };
	const __u64 tag = 0;
	int rc = io_uring_register_buffers_update_tag(&l->ring, (unsigned)slot, &iov, &tag, 1);

	return rc < 0 ? rc : 0;
}

int loop_buffer_add(struct loop *l, void *base, size_t len)
{
	int rc, slot;

	if (!l->buffers) {
		rc = io_uring_register_buffers_sparse(&l->ring, LOOP_BUFFERS_MAX);
		if (rc < 0)
			return rc;
		l->buffers = true;
	}
	slot = take_slot(&l->buffer_slots, LOOP_BUFFERS_MAX);
	if (slot < 0)
		return -ENOSPC;
	rc = set_buffer(l, slot, base, len);
	if (rc < 0) {
		free_slot(&l->buffer_slots, slot);
		return rc;
	}
	return slot;
}

void loop_buffer_remove(struct loop *l, int index)
{
	(void)!set_buffer(l, index, NULL, 0);
	free_slot(&l->buffer_slots, index);
}

/* What to give to a prep function, which does not know of slots. */
static int file_number(loop_file_t f)
{
	return f.slot >= 0 ? f.slot : f.fd;
}

static void end_file(struct loop *l, struct io_uring_sqe *sqe, struct loop_op *op,
		     loop_file_t f)
{
	op->registered = f.slot >= 0;
	l->on_files += op->registered;
	if (op->registered)
		io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data(sqe, op);
}

void loop_readv(struct loop *l, struct loop_op *op, loop_file_t f, const struct iovec *iov,
		unsigned n, uint64_t off, int flags)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_readv2(sqe, file_number(f), iov, n, off, flags);
	end_file(l, sqe, op, f);
}

void loop_writev(struct loop *l, struct loop_op *op, loop_file_t f, const struct iovec *iov,
		 unsigned n, uint64_t off, int flags)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_writev2(sqe, file_number(f), iov, n, off, flags);
	end_file(l, sqe, op, f);
}

void loop_read_fixed(struct loop *l, struct loop_op *op, loop_file_t f, int buffer, void *at,
		     size_t len, uint64_t off)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_read_fixed(sqe, file_number(f), at, (unsigned)len, off, buffer);
	end_file(l, sqe, op, f);
}

void loop_write_fixed(struct loop *l, struct loop_op *op, loop_file_t f, int buffer,
		      const void *at, size_t len, uint64_t off)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_write_fixed(sqe, file_number(f), at, (unsigned)len, off, buffer);
	end_file(l, sqe, op, f);
}

void loop_fsync(struct loop *l, struct loop_op *op, loop_file_t f)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_fsync(sqe, file_number(f), IORING_FSYNC_DATASYNC);
	end_file(l, sqe, op, f);
}

void loop_fallocate(struct loop *l, struct loop_op *op, loop_file_t f, int mode, uint64_t off,
		    uint64_t len)
{
	struct io_uring_sqe *sqe = begin(l, op);

	io_uring_prep_fallocate(sqe, file_number(f), mode, (off_t)off, (off_t)len);
	end_file(l, sqe, op, f);
}

/* ---- the end of a turn ---- */

void loop_at_end(struct loop *l, struct loop_late *late)
{
	bool ran = l->ending && late->turn == l->turn;
	struct loop_late ***end = ran ? &l->next_end : &l->late_end;

	if (late->queued)
		return;
	late->queued = true;
	late->next = NULL;
	**end = late;
	*end = &late->next;
}

static void run_late(struct loop *l)
{
	l->ending = true;
	while (l->late) {
		struct loop_late *late = l->late;

		l->late = late->next;
		if (!l->late)
			l->late_end = &l->late;
		late->queued = false;
		late->turn = l->turn;
		late->run(late);
	}
	l->ending = false;
	/* Those that have run are for the next turn. */
	l->late = l->next;
	l->late_end = l->next ? l->next_end : &l->late;
	l->next = NULL;
	l->next_end = &l->next;
}

/* ---- turns ---- */

static void complete(struct loop *l, struct completion c)
{
	if (!c.op)
		return;
	l->stats.ops++;
	c.op->busy = false;
	l->on_files -= c.op->registered;
	c.op->registered = false;
	c.op->done(c.op, c.res);
}

static bool next_completion(struct loop *l, struct completion *c)
{
	struct io_uring_cqe *cqe;

	if (l->backlog_n > 0) {
		*c = l->backlog[l->backlog_first];
		l->backlog_first = (l->backlog_first + 1) % BACKLOG;
		l->backlog_n--;
		return true;
	}
	if (io_uring_peek_cqe(&l->ring, &cqe) != 0)
		return false;
	*c = (struct completion){ io_uring_cqe_get_data(cqe), cqe->res };
	/* Seen before `done`, which may fill the submission queue and need the room. */
	io_uring_cqe_seen(&l->ring, cqe);
	return true;
}

int loop_turn(struct loop *l)
{
	unsigned wait = l->late || l->backlog_n ? 0 : 1;
	struct completion c;
	int rc = io_uring_submit_and_wait(&l->ring, wait);

	l->stats.enters++;
	if (rc < 0 && rc != -EINTR && rc != -EBUSY && rc != -EAGAIN)
		return rc;
	l->turn++;
	while (next_completion(l, &c))
		complete(l, c);
	run_late(l);
	return 0;
}

uint64_t loop_now(struct loop *l)
{
	if (l->now_ns == 0 || l->now_turn != l->turn) {
		l->now_ns = clock_ns();
		l->now_turn = l->turn;
	}
	return l->now_ns;
}

struct loop_stats loop_stats(const struct loop *l)
{
	return l->stats;
}
