/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queues of a block device: chains are taken here, and given back.
 *
 * Input from the guest: descriptor chains; their headers are copied once.
 */
#include <assert.h>
#include <endian.h>
#include <linux/virtio_config.h>

#include "devices/blk_priv.h"
#include "devices/iov.h"

/* A driver on another CPU can add as fast as we take: others have their turn after these. */
#define PUMP_MAX (2 * VIRTQ_SIZE_MAX)

enum step { TAKEN, NONE, BLOCKED };

static bool running(const struct virtio_blk *b)
{
	return b->dev.run == VIRTIO_RUNNING;
}

/* Several requests at a time are told as one. */
static void used(struct virtio_blk *b, unsigned q)
{
	b->used |= 1U << q;
	loop_at_end(b->dev.env.loop, &b->late);
}

/* ---- giving back ----------------------------------------------------------------- */

static uint8_t *status_at(const struct virtq_chain *c)
{
	const struct iovec *last = &c->iov[c->n_out + c->n_in - 1];

	return (uint8_t *)last->iov_base + last->iov_len - 1;
}

/*
 * Of the device-writable part, `data` bytes were written, and the status at its end. The driver
 * may rely on what lies before the used length only (§2.7.8.2).
 */
static uint32_t written(uint32_t in_len, uint32_t data)
{
	return data == in_len - 1 ? in_len : data;
}

/* Answer at once a chain that needs no request. */
static void answer(struct virtio_blk *b, unsigned q, uint8_t status)
{
	const struct virtq_chain *c = &b->queues[q].chain;
	uint32_t data = 0;

	if (status != VIRTIO_BLK_S_OK) {
		b->counts.errors++;
		b->counts.invalid++;
	} else if (b->queues[q].type == VIRTIO_BLK_T_GET_ID) {
		data = (uint32_t)iov_write(c->iov + c->n_out, c->n_in, 0, b->id,
					   VIRTIO_BLK_ID_BYTES);
	}
	*status_at(c) = status;
	virtqueue_push(&b->dev.queues[q], c->head, c->view, written(c->in_len, data));
	used(b, q);
}

static void release(struct blk_req *r)
{
	struct virtio_blk *b = r->blk;

	blk_io_release(r);
	blk_put_disk(b, r->disk);
	r->active = false;
	r->next = b->free;
	b->free = r;
	b->in_flight--;
}

/* The driver is not told any more. */
static void forget(struct blk_req *r)
{
	gmem_put(r->blk->dev.env.gmem, r->view);
	release(r);
}

static void count(struct virtio_blk *b, const struct blk_req *r, uint8_t status)
{
	struct blk_counts *c = &b->counts;
	uint64_t took;

	if (status != VIRTIO_BLK_S_OK) {
		c->errors++;
		return;
	}
	took = loop_now(b->dev.env.loop) - r->start_ns;
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
		c->reads++;
		c->read_bytes += r->len;
		latency_add(&c->read_latency, took);
		break;
	case VIRTIO_BLK_T_OUT:
		c->writes++;
		c->write_bytes += r->len;
		latency_add(&c->write_latency, took);
		break;
	case VIRTIO_BLK_T_FLUSH:
		c->flushes++;
		latency_add(&c->flush_latency, took);
		break;
	default:
		c->discards++;
		break;
	}
}

void blk_finish(struct blk_req *r, uint8_t status)
{
	struct virtio_blk *b = r->blk;
	uint32_t data = r->type == VIRTIO_BLK_T_IN ? r->len - r->left : 0;

	if (!running(b)) {
		forget(r);
		blk_settle(b);
		return;
	}
	count(b, r, status);
	*r->status = status;
	virtqueue_push(&b->dev.queues[r->queue], r->head, r->view, written(r->in_len, data));
	used(b, r->queue);
	release(r);
}

/* ---- beginning ------------------------------------------------------------------- */

/* A request of the chain that waits; NULL: all are in use. */
static struct blk_req *new_request(struct virtio_blk *b, unsigned q)
{
	const struct blk_queue *bq = &b->queues[q];
	struct blk_req *r = b->free;

	if (!r && b->fresh == BLK_IN_FLIGHT_MAX)
		return NULL;
	if (r)
		b->free = r->next;
	else
		r = &b->reqs[b->fresh++];
	r->blk = b;
	r->active = true;
	r->queue = (uint8_t)q;
	r->head = bq->chain.head;
	r->type = bq->type;
	r->in_len = bq->chain.in_len;
	r->view = bq->chain.view;
	r->status = status_at(&bq->chain);
	r->disk = b->disk;
	r->disk->in_flight++;
	r->sync = r->syncing = false;
	r->retries = 0;
	r->start_ns = loop_now(b->dev.env.loop);
	r->off = blk_moves_data(bq) ? bq->sector * DISK_SECTOR : 0;
	r->len = r->left = blk_moves_data(bq) ? blk_data_len(bq) : 0;
	r->range = r->n_ranges = 0;
	r->n_iov = 0;
	r->long_list = -1;
	b->in_flight++;
	return r;
}

/* Writes are stable when they are complete, in these cases of §5.2.6.2. */
static bool writes_through(const struct virtio_blk *b)
{
	const struct virtio_dev *d = &b->dev;

	if (virtio_has(d, VIRTIO_BLK_F_CONFIG_WCE))
		return !d->config[offsetof(struct virtio_blk_config, wce)];
	return d->offered >> VIRTIO_BLK_F_FLUSH & 1 && !virtio_has(d, VIRTIO_BLK_F_FLUSH);
}

/* True: it has to wait, and a timer runs. Not before all else that it needs is there. */
static bool throttled(struct virtio_blk *b, const struct blk_queue *bq)
{
	uint64_t ns;

	if (!b->limit.bandwidth.size && !b->limit.ops.size)
		return false;
	ns = rate_limiter_take(&b->limit, blk_moves_data(bq) ? blk_data_len(bq) : 0,
			       clock_ns());
	if (!ns)
		return false;
	b->counts.throttled++;
	loop_timeout(b->dev.env.loop, &b->timer, ns / 1000000 + (ns % 1000000 > 0));
	return true;
}

/* Begin the request of the chain that waits. False: not now. */
static bool begin(struct virtio_blk *b, unsigned q)
{
	struct blk_queue *bq = &b->queues[q];
	const struct virtq_chain *c = &bq->chain;
	bool in = bq->type == VIRTIO_BLK_T_IN;
	uint8_t status = blk_check(b, bq);
	struct blk_req *r;

	if (status != VIRTIO_BLK_S_OK || bq->type == VIRTIO_BLK_T_GET_ID) {
		answer(b, q, status);
		return true;
	}
	r = new_request(b, q);
	if (!r) {
		b->starved = true;
		return false;
	}
	if (r->len && !blk_io_set_data(r, c->iov + (in ? c->n_out : 0), in ? c->n_in : c->n_out,
				       in ? 0 : BLK_HEADER)) {
		b->starved = true;
		release(r);
		return false;
	}
	if (throttled(b, bq)) {
		release(r);
		return false;
	}
	if (r->type == VIRTIO_BLK_T_DISCARD || r->type == VIRTIO_BLK_T_WRITE_ZEROES)
		status = blk_set_ranges(r, bq);
	r->sync = r->type != VIRTIO_BLK_T_IN && writes_through(b);
	if (status != VIRTIO_BLK_S_OK) {
		b->counts.invalid++;
		blk_finish(r, status);
	} else {
		blk_io_start(r);
	}
	return true;
}

/* ---- taking ---------------------------------------------------------------------- */

/* Copy the header of a chain that was popped. */
static bool read_header(struct blk_queue *bq)
{
	const struct virtq_chain *c = &bq->chain;
	struct virtio_blk_outhdr h;

	if (c->in_len < 1 || iov_read(c->iov, c->n_out, 0, &h, BLK_HEADER) < BLK_HEADER)
		return false;
	bq->type = le32toh(h.type);
	bq->sector = le64toh(h.sector);
	return true;
}

static enum step step(struct virtio_blk *b, unsigned q)
{
	struct blk_queue *bq = &b->queues[q];
	struct virtqueue *vq = &b->dev.queues[q];

	if (!bq->waiting) {
		int rc = virtqueue_pop(vq, &bq->chain);

		if (rc == 0)
			return NONE;
		if (rc < 0) {
			virtio_fault(&b->dev, "queue %u: %s", q, vq->fault);
			return BLOCKED;
		}
		if (!read_header(bq)) {
			gmem_put(b->dev.env.gmem, bq->chain.view);
			virtio_fault(&b->dev, "queue %u: no room for header or status", q);
			return BLOCKED;
		}
		bq->waiting = true;
	}
	if (!begin(b, q))
		return BLOCKED;
	bq->waiting = false;
	return TAKEN;
}

void blk_pump(struct virtio_blk *b, unsigned q)
{
	struct virtqueue *vq = &b->dev.queues[q];
	unsigned n = 0;
	enum step s;

	if (!running(b) || !virtqueue_ready(vq))
		return;
	do {
		virtqueue_notify_off(vq);
		if (b->timer.op.busy)
			return;
		while ((s = step(b, q)) == TAKEN && n++ < PUMP_MAX)
			;
		if (s == TAKEN && !b->again.busy)
			loop_defer(b->dev.env.loop, &b->again);
		/* Whatever has to be waited for, it comes back here. */
		if (s != NONE)
			return;
	} while (virtqueue_notify_on(vq));
}

void blk_pump_all(struct virtio_blk *b)
{
	unsigned n = b->dev.n_queues;

	for (unsigned i = 0; i < n; i++)
		blk_pump(b, (b->first + i) % n);
	if (++b->first >= n)
		b->first = 0;
}

/* ---- later ----------------------------------------------------------------------- */

static void end_of_turn(struct loop_late *late)
{
	struct virtio_blk *b = CONTAINER_OF(late, struct virtio_blk, late);
	unsigned told = b->used;

	b->used = 0;
	for (unsigned q = 0; told; q++, told >>= 1)
		if (told & 1)
			virtio_used(&b->dev, q);
	if (b->starved) {
		b->starved = false;
		blk_pump_all(b);
	}
}

static void time_up(struct loop_op *op, int res)
{
	struct virtio_blk *b = CONTAINER_OF(op, struct virtio_blk, timer.op);

	(void)res;
	blk_pump_all(b);
	blk_settle(b);
}

static void pump_again(struct loop_op *op, int res)
{
	struct virtio_blk *b = CONTAINER_OF(op, struct virtio_blk, again);

	(void)res;
	blk_pump_all(b);
	blk_settle(b);
}

void blk_queue_init(struct virtio_blk *b)
{
	b->timer.op.done = time_up;
	b->again.done = pump_again;
	b->late.run = end_of_turn;
}

/* ---- the end --------------------------------------------------------------------- */

static void forget_waiting(struct virtio_blk *b)
{
	for (unsigned q = 0; q < b->dev.n_queues; q++) {
		if (b->queues[q].waiting)
			gmem_put(b->dev.env.gmem, b->queues[q].chain.view);
		b->queues[q].waiting = false;
	}
	b->starved = false;
	b->used = 0;
	b->bounce_wait = NULL;
}

void blk_cancel_all(struct virtio_blk *b)
{
	struct loop *l = b->dev.env.loop;

	forget_waiting(b);
	for (unsigned i = 0; i < b->fresh; i++) {
		struct blk_req *r = &b->reqs[i];

		if (r->active && r->op.busy)
			loop_cancel(l, &r->op);
		else if (r->active) /* it waited for bounce memory */
			forget(r);
	}
	loop_cancel(l, &b->timer.op);
	loop_cancel(l, &b->gather.timer.op);
}

void blk_abandon(struct virtio_blk *b)
{
	forget_waiting(b);
	for (unsigned i = 0; i < b->fresh; i++)
		if (b->reqs[i].active)
			forget(&b->reqs[i]);
}

void blk_settle(struct virtio_blk *b)
{
	uint8_t writeback = 1;

	if (b->dev.run != VIRTIO_STOPPING || b->in_flight || b->retired || b->timer.op.busy ||
	    b->gather.timer.op.busy || b->again.busy)
		return;
	if (b->dev.offered >> VIRTIO_BLK_F_CONFIG_WCE & 1)
		virtio_set_config(&b->dev, offsetof(struct virtio_blk_config, wce), &writeback,
				  sizeof(writeback));
	virtio_stopped(&b->dev);
}
