/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request of a block device, carried out in steps, an operation of the loop each:
 *
 *   read, write      as often as it takes, short ones go on; [fdatasync]
 *   flush            fdatasync
 *   discard, zeroes  a fallocate for each range; [fdatasync]
 *
 * A flush covers the writes that were complete when it was submitted (§5.2.6.2): no more
 * order than that is needed, and none is made.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>

#include "devices/blk_priv.h"
#include "devices/iov.h"

/* Without progress. */
#define RETRIES_MAX 16

_Static_assert(BLK_LONG_LISTS < 32, "virtio_blk.long_lists has a bit for each");

static void next_step(struct blk_req *r);

/* ---- data ------------------------------------------------------------------------ */

bool blk_io_set_data(struct blk_req *r, const struct iovec *iov, unsigned n, size_t skip)
{
	struct virtio_blk *b = r->blk;
	int list;

	r->iov = r->segs;
	r->n_iov = iov_slice(iov, n, skip, r->len, r->segs, BLK_SEGS_INLINE);
	if (r->n_iov <= BLK_SEGS_INLINE)
		return true;
	list = __builtin_ctz(~b->long_lists);
	if (list >= BLK_LONG_LISTS)
		return false;
	r->long_list = list;
	b->long_lists |= 1U << list;
	r->iov = b->lists[list];
	r->n_iov = iov_slice(iov, n, skip, r->len, r->iov, VIRTQ_SEGS_MAX);
	return true;
}

static void move_directly(struct blk_req *r)
{
	struct loop *l = r->blk->dev.env.loop;

	if (r->type == VIRTIO_BLK_T_IN)
		loop_readv(l, &r->op, r->disk->file, r->iov, r->n_iov, r->off, 0);
	else
		loop_writev(l, &r->op, r->disk->file, r->iov, r->n_iov, r->off, 0);
}

/* ---- data, through bounce memory ------------------------------------------------- */

static void move_bounced(struct blk_req *r)
{
	struct loop *l = r->blk->dev.env.loop;
	int index = r->blk->bounce.index;
	uint8_t *at = blk_bounce_at(&r->blk->bounce, r->run);
	size_t len = min_size(r->left, blk_bounce_len(r->run));
	bool in = r->type == VIRTIO_BLK_T_IN;

	if (!in)
		iov_read(r->iov, r->n_iov, 0, at, len);
	r->bounced = (struct iovec){ at, len };
	if (index < 0 && in)
		loop_readv(l, &r->op, r->disk->file, &r->bounced, 1, r->off, 0);
	else if (index < 0)
		loop_writev(l, &r->op, r->disk->file, &r->bounced, 1, r->off, 0);
	else if (in)
		loop_read_fixed(l, &r->op, r->disk->file, index, at, len, r->off);
	else
		loop_write_fixed(l, &r->op, r->disk->file, index, at, len, r->off);
}

/* In order: who comes later does not get what somebody waits for. */
static void get_bounce(struct blk_req *r)
{
	struct virtio_blk *b = r->blk;

	if (!b->bounce_wait)
		r->run = blk_bounce_take(&b->bounce, r->left);
	if (r->run.n) {
		move_bounced(r);
		return;
	}
	if (!b->bounce_wait)
		b->bounce_wait_end = &b->bounce_wait;
	r->next = NULL;
	*b->bounce_wait_end = r;
	b->bounce_wait_end = &r->next;
}

void blk_io_release(struct blk_req *r)
{
	struct virtio_blk *b = r->blk;
	struct blk_req *first;

	if (r->long_list >= 0)
		b->long_lists &= ~(1U << r->long_list);
	if (!r->run.n)
		return;
	blk_bounce_give(&b->bounce, &r->run);
	while ((first = b->bounce_wait)) {
		first->run = blk_bounce_take(&b->bounce, first->left);
		if (!first->run.n)
			break;
		b->bounce_wait = first->next;
		move_bounced(first);
	}
}

/* ---- steps ----------------------------------------------------------------------- */

static int fallocate_mode(const struct blk_req *r)
{
	bool unmap = r->type == VIRTIO_BLK_T_DISCARD ||
		     le32toh(r->ranges[r->range].flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	if (unmap && (r->disk->can_discard || r->type == VIRTIO_BLK_T_DISCARD))
		return FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	return FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
}

/* True when an operation was begun. */
static bool next_range(struct blk_req *r)
{
	const struct virtio_blk_discard_write_zeroes *range;

	for (; r->range < r->n_ranges; r->range++) {
		range = &r->ranges[r->range];
		if (!range->num_sectors)
			continue;
		loop_fallocate(r->blk->dev.env.loop, &r->op, r->disk->file, fallocate_mode(r),
			       le64toh(range->sector) * DISK_SECTOR,
			       (uint64_t)le32toh(range->num_sectors) * DISK_SECTOR);
		return true;
	}
	return false;
}

static const char *verb(const struct blk_req *r)
{
	if (r->syncing)
		return "flush";
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
		return "read";
	case VIRTIO_BLK_T_OUT:
		return "write";
	case VIRTIO_BLK_T_DISCARD:
		return "discard";
	default:
		return "write zeroes";
	}
}

static void failed(struct blk_req *r, int error)
{
	struct virtio_blk *b = r->blk;
	uint64_t off = r->off;

	if (r->range < r->n_ranges)
		off = le64toh(r->ranges[r->range].sector) * DISK_SECTOR;
	log_guest(&b->dev.log, "blk", "%s: %s at %llu: %s", b->name, verb(r),
		  (unsigned long long)off, strerror(error));
	blk_finish(r, error == EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
}

/* The operation did something: whether the request can go on. */
static bool progressed(struct blk_req *r, int res)
{
	uint32_t n = (uint32_t)res;

	r->retries = 0;
	if (r->syncing) {
		r->sync = r->syncing = false;
		return true;
	}
	if (r->n_ranges) {
		r->range++;
		return true;
	}
	/* The file ends here, though it was longer; or what cannot be. */
	if (n == 0 || n > r->left)
		return false;
	if (r->run.n && r->type == VIRTIO_BLK_T_IN)
		iov_write(r->iov, r->n_iov, 0, blk_bounce_at(&r->blk->bounce, r->run), n);
	iov_advance(&r->iov, &r->n_iov, n);
	r->off += n;
	r->left -= n;
	return true;
}

static void step_done(struct loop_op *op, int res)
{
	struct blk_req *r = CONTAINER_OF(op, struct blk_req, op);
	bool again = (res == -EINTR || res == -EAGAIN) && r->retries++ < RETRIES_MAX;

	if (r->blk->dev.run != VIRTIO_RUNNING)
		blk_finish(r, VIRTIO_BLK_S_IOERR);
	else if (again || (res >= 0 && progressed(r, res)))
		next_step(r);
	else
		failed(r, res < 0 ? -res : EIO);
}

static void next_step(struct blk_req *r)
{
	if (r->left > 0) {
		if (!r->disk->direct)
			move_directly(r);
		else if (r->run.n)
			move_bounced(r);
		else
			get_bounce(r);
	} else if (!next_range(r)) {
		if (r->sync) {
			r->syncing = true;
			loop_fsync(r->blk->dev.env.loop, &r->op, r->disk->file);
		} else {
			blk_finish(r, VIRTIO_BLK_S_OK);
		}
	}
}

void blk_io_start(struct blk_req *r)
{
	r->op.done = step_done;
	if (r->type == VIRTIO_BLK_T_FLUSH)
		r->sync = true;
	next_step(r);
}
