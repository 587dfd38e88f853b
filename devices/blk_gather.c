/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a block device takes what a driver has notified it of: at once, or in a moment.
 *
 * A driver that submits one by one notifies for each request. Where it shares a processor with
 * us, the request is complete before it goes on, so that each one costs an access and an
 * interrupt, however many the driver could have in flight. Left alone for a moment it
 * adds the others, without notifying. Whether several come is found out by trying now and
 * then; who has one at a time is hardly kept waiting.
 */
#include "devices/blk_priv.h"

/* How long, how many must come for it to be worth it, how often it is tried. */
#define GATHER_US 10
#define WORTH 4
#define TRY_EVERY 64

static uint64_t taken(const struct virtio_blk *b)
{
	uint64_t sum = 0;

	for (unsigned q = 0; q < b->dev.n_queues; q++)
		sum += b->dev.queues[q].counts.chains;
	return sum;
}

static void time_up(struct loop_op *op, int res)
{
	struct virtio_blk *b = CONTAINER_OF(op, struct virtio_blk, gather.timer.op);
	uint64_t before = taken(b);

	(void)res;
	blk_pump_all(b);
	b->gather.worth = taken(b) - before >= WORTH;
	blk_settle(b);
}

void blk_gather_init(struct virtio_blk *b)
{
	b->gather.timer.op.done = time_up;
}

/* Not when several are there already. */
static bool wants_more(struct virtio_blk *b, unsigned q)
{
	if (virtqueue_waiting(&b->dev.queues[q]) >= WORTH)
		return false;
	return b->gather.worth || ++b->gather.notified % TRY_EVERY == 0;
}

void blk_notified(struct virtio_blk *b, unsigned q)
{
	if (!b->gather.timer.op.busy) {
		if (!wants_more(b, q)) {
			blk_pump(b, q);
			return;
		}
		loop_timeout_us(b->dev.env.loop, &b->gather.timer, GATHER_US);
	}
	virtqueue_notify_off(&b->dev.queues[q]);
}
