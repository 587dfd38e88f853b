/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop's operations on files, intercepted for tests of the block device: held back, or
 * given results. A program that includes this is linked with --wrap for each of them.
 */
#ifndef TESTS_UNIT_BLK_INTERCEPT_H
#define TESTS_UNIT_BLK_INTERCEPT_H

#include "tests/fake/blk_guest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define DISK (4 * MIB)
#define REAL INT32_MIN /* a result: the operation is done as it was asked for */
#define SHORT(n) (INT32_MIN + (n)) /* of n bytes only */
#define CALLS_MAX 512
#define SMALL (INT32_MIN + 100000)

#define REQ(t, s, l)                             \
	{                                        \
		.type = t, .sector = s, .len = l \
	}

static const struct blk_guest_options plain = { .bytes = DISK };

/* ---- the loop in between --------------------------------------------------------- */

enum kind { READV, WRITEV, FSYNC, FALLOCATE };

struct call {
	enum kind kind;
	struct loop_op *op;
	loop_file_t file;
	const struct iovec *iov;
	unsigned n;
	uint64_t off, len;
	int mode;
	/* a result that we made */
	struct loop_op nop;
	int res;
};

static struct {
	bool hold;
	struct call calls[CALLS_MAX];
	unsigned n_calls, released; /* of those held */
	const int *results; /* for the operations to come; NULL: real ones */
	unsigned n_results, n_taken;
	unsigned of_kind[4];
	struct iovec cut[VIRTQ_SEGS_MAX];
} io;

void __real_loop_readv(struct loop *l, struct loop_op *op, loop_file_t f,
		       const struct iovec *iov, unsigned n, uint64_t off, int flags);
void __real_loop_writev(struct loop *l, struct loop_op *op, loop_file_t f,
			const struct iovec *iov, unsigned n, uint64_t off, int flags);
void __real_loop_fsync(struct loop *l, struct loop_op *op, loop_file_t f);
void __real_loop_fallocate(struct loop *l, struct loop_op *op, loop_file_t f, int mode,
			   uint64_t off, uint64_t len);
void __real_loop_cancel(struct loop *l, struct loop_op *op);
void __wrap_loop_readv(struct loop *l, struct loop_op *op, loop_file_t f,
		       const struct iovec *iov, unsigned n, uint64_t off, int flags);
void __wrap_loop_writev(struct loop *l, struct loop_op *op, loop_file_t f,
			const struct iovec *iov, unsigned n, uint64_t off, int flags);
void __wrap_loop_fsync(struct loop *l, struct loop_op *op, loop_file_t f);
void __wrap_loop_fallocate(struct loop *l, struct loop_op *op, loop_file_t f, int mode,
			   uint64_t off, uint64_t len);
void __wrap_loop_cancel(struct loop *l, struct loop_op *op);

static void really(struct loop *l, const struct call *c)
{
	switch (c->kind) {
	case READV:
		__real_loop_readv(l, c->op, c->file, c->iov, c->n, c->off, 0);
		break;
	case WRITEV:
		__real_loop_writev(l, c->op, c->file, c->iov, c->n, c->off, 0);
		break;
	case FSYNC:
		__real_loop_fsync(l, c->op, c->file);
		break;
	case FALLOCATE:
		__real_loop_fallocate(l, c->op, c->file, c->mode, c->off, c->len);
		break;
	}
}

static void made(struct loop_op *nop, int res)
{
	struct call *c = CONTAINER_OF(nop, struct call, nop);

	(void)res;
	c->op->busy = false;
	c->op->done(c->op, c->res);
}

static void make_result(struct loop *l, struct call *c, int res)
{
	c->op->busy = true;
	c->res = res;
	c->nop.done = made;
	loop_defer(l, &c->nop);
}

static void cut_short(struct call *c, size_t len)
{
	unsigned n = 0;

	while (len > 0) {
		io.cut[n] = c->iov[n];
		io.cut[n].iov_len = min_size(io.cut[n].iov_len, len);
		len -= io.cut[n++].iov_len;
	}
	c->iov = io.cut;
	c->n = n;
}

static void intercept(struct loop *l, struct call call)
{
	struct call *c = &io.calls[io.n_calls++];
	int res = REAL;

	assert_true(io.n_calls <= CALLS_MAX);
	*c = call;
	io.of_kind[c->kind]++;
	if (io.hold) {
		c->op->busy = true;
		return;
	}
	io.released = io.n_calls;
	if (io.n_taken < io.n_results)
		res = io.results[io.n_taken++];
	if (res > SMALL) {
		make_result(l, c, res);
		return;
	}
	if (res != REAL)
		cut_short(c, (size_t)(res - INT32_MIN));
	really(l, c);
}

void __wrap_loop_readv(struct loop *l, struct loop_op *op, loop_file_t f,
		       const struct iovec *iov, unsigned n, uint64_t off, int flags)
{
	(void)flags;
	intercept(l,
		  (struct call){
			  .kind = READV, .op = op, .file = f, .iov = iov, .n = n, .off = off });
}

void __wrap_loop_writev(struct loop *l, struct loop_op *op, loop_file_t f,
			const struct iovec *iov, unsigned n, uint64_t off, int flags)
{
	(void)flags;
	intercept(l,
		  (struct call){
			  .kind = WRITEV, .op = op, .file = f, .iov = iov, .n = n, .off = off });
}

void __wrap_loop_fsync(struct loop *l, struct loop_op *op, loop_file_t f)
{
	intercept(l, (struct call){ .kind = FSYNC, .op = op, .file = f });
}

void __wrap_loop_fallocate(struct loop *l, struct loop_op *op, loop_file_t f, int mode,
			   uint64_t off, uint64_t len)
{
	intercept(l, (struct call){ .kind = FALLOCATE,
				    .op = op,
				    .file = f,
				    .off = off,
				    .len = len,
				    .mode = mode });
}

/* What is held ends by being cancelled. */
void __wrap_loop_cancel(struct loop *l, struct loop_op *op)
{
	for (unsigned i = io.released; i < io.n_calls; i++) {
		if (io.calls[i].op == op && op->busy && !io.calls[i].nop.done) {
			make_result(l, &io.calls[i], -ECANCELED);
			return;
		}
	}
	__real_loop_cancel(l, op);
}

/* Let `n` more of the held operations go on. */
static inline void let_go(struct blk_guest *g, unsigned n)
{
	for (; n > 0 && io.released < io.n_calls; n--) {
		struct call *c = &io.calls[io.released++];

		c->op->busy = false;
		really(g->loop, c);
	}
}

static inline void start(struct blk_guest *g, const struct blk_guest_options *o)
{
	memset(&io, 0, sizeof(io));
	blk_guest_start(g, o);
}

static inline void expect_results(const int *results, unsigned n)
{
	io.results = results;
	io.n_results = n;
	io.n_taken = 0;
}

static inline uint8_t *ram(struct blk_guest *g, uint64_t at)
{
	return g->ram.bytes + at;
}

/* Reads of a sector each; how many there was room for. */
static inline unsigned add(struct blk_guest *g, uint32_t type, unsigned first, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct blk_guest_req r = { type, (first + i) % 64, 0, 512, first + i, 0 };

		r.data = BLK_GUEST_DATA + (first + i) * 512;
		if (blk_guest_add(g, &r) < 0)
			return i;
	}
	return n;
}

/* Indirect chains, so that the queue takes more than can be in flight. */
static inline void add_indirect(struct blk_guest *g, unsigned page, unsigned segs)
{
	struct blk_guest_req r = { VIRTIO_BLK_T_IN, page % 64, 0, 0, page, 0 };
	uint64_t status = blk_guest_header(g, &r);
	struct vring_seg s[VIRTQ_SEGS_MAX];

	s[0] = (struct vring_seg){ status - 4000, 16, false };
	for (unsigned i = 1; i <= segs; i++)
		s[i] = (struct vring_seg){ BLK_GUEST_DATA + i * 1024, 512, true };
	s[segs + 1] = (struct vring_seg){ status, 1, true };
	assert_true(vring_add_indirect(&g->driver.queues[0], s, segs + 2,
				       BLK_GUEST_DATA + MIB + page * 4096) >= 0);
}

#endif
