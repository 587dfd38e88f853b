/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the block device share: virtio_blk.c is the device (features,
 * configuration, start, stop, live changes), blk_queue.c takes requests from the queues
 * and gives them back, blk_gather.c says when, blk_check.c refuses some, blk_io.c carries one
 * out.
 *
 *   pump: pop -> check -> limit -> a struct blk_req -> blk_io_start
 *   completion: blk_io's steps -> blk_finish -> at the turn's end: publish, pump again
 */
#ifndef DEVICES_BLK_PRIV_H
#define DEVICES_BLK_PRIV_H

#include <linux/virtio_blk.h>

#include "devices/blk_bounce.h"
#include "devices/virtio_blk.h"
#include "vmm/lib/config.h"

#define BLK_HEADER sizeof(struct virtio_blk_outhdr)
/* Segments of data that a request holds itself; longer lists come from a pool. */
#define BLK_SEGS_INLINE 16
#define BLK_LONG_LISTS 16
/* Ranges in one discard or write-zeroes request, and sectors in one range. */
#define BLK_RANGES_MAX 16
#define BLK_DISCARD_SECTORS_MAX (GIB / DISK_SECTOR)
#define BLK_ZEROES_SECTORS_MAX (256 * MIB / DISK_SECTOR)

/* A request that was taken from a queue; what the driver wrote was copied once. */
struct blk_req {
	struct loop_op op;
	struct virtio_blk *blk;
	struct blk_req *next; /* among those that are free, or wait for bounce memory */
	bool active;
	bool sync; /* fdatasync before it is complete */
	bool syncing; /* op is that */
	uint8_t queue, retries;
	uint16_t head;
	uint32_t type, in_len;
	struct gmem_view *view;
	uint8_t *status; /* where the status byte goes */
	struct disk *disk;

	uint64_t start_ns; /* of the turn in which it was taken */
	uint64_t off; /* where the data that is left goes, bytes */
	uint32_t len, left; /* of the data */
	struct iovec *iov; /* what is left of it */
	unsigned n_iov;
	int long_list; /* iov lies in this one; -1: in segs */
	struct blk_run run; /* bounce memory */
	struct iovec bounced; /* what op moves, when that is not registered */
	unsigned range, n_ranges;
	union {
		struct iovec segs[BLK_SEGS_INLINE];
		struct virtio_blk_discard_write_zeroes ranges[BLK_RANGES_MAX];
	};
};

struct blk_queue {
	/* The chain was taken, and waits for a free request, memory or the rate limiter. */
	bool waiting;
	uint32_t type; /* its header */
	uint64_t sector;
	struct virtq_chain chain;
};

struct blk_gather {
	struct loop_timer timer; /* busy: more requests may come before any is taken */
	unsigned notified; /* times, to try it at some of them */
	bool worth; /* the last time brought several */
};

struct virtio_blk {
	struct virtio_dev dev;
	char name[sizeof("drive ") + CONFIG_ID_MAX];
	char id[VIRTIO_BLK_ID_BYTES];
	struct disk *disk;
	struct disk *retired; /* replaced ones, which are being flushed */
	struct blk_counts counts;

	struct rate_limiter limit;
	struct loop_timer timer; /* busy: throttled */

	struct blk_gather gather;
	struct loop_late late; /* publishes, pumps */
	unsigned used; /* queues with something to publish, a bit each */
	bool starved; /* a queue waits for what a completion brings */
	unsigned first; /* the queue that is pumped first, in turn */
	struct loop_op again; /* pumps in the next turn */

	unsigned in_flight;
	unsigned fresh; /* requests from here on were never used, and cost no memory yet */
	struct blk_req *free;
	struct blk_bounce bounce;
	struct blk_req *bounce_wait, **bounce_wait_end;

	uint32_t long_lists; /* in use, a bit each */
	struct blk_queue queues[BLK_QUEUES_MAX];
	struct blk_req reqs[BLK_IN_FLIGHT_MAX];
	struct iovec lists[BLK_LONG_LISTS][VIRTQ_SEGS_MAX];
};

static inline bool blk_moves_data(const struct blk_queue *bq)
{
	return bq->type == VIRTIO_BLK_T_IN || bq->type == VIRTIO_BLK_T_OUT;
}

/* Bytes between header and status, in the part of the chain that the type has data in. */
static inline uint32_t blk_data_len(const struct blk_queue *bq)
{
	return bq->type == VIRTIO_BLK_T_IN || bq->type == VIRTIO_BLK_T_GET_ID ?
		       bq->chain.in_len - 1 :
		       bq->chain.out_len - (uint32_t)BLK_HEADER;
}

/* ---- blk_check.c ---- */

/* The status that all but the data asks for: OK when the request is to be done. */
MUST_CHECK uint8_t blk_check(const struct virtio_blk *b, const struct blk_queue *bq);

/* Copy the ranges into the request, and check them: none is begun unless all are good. */
MUST_CHECK uint8_t blk_set_ranges(struct blk_req *r, const struct blk_queue *bq);

/* ---- blk_queue.c ---- */

/* Set up the callbacks of timer, late and again. */
void blk_queue_init(struct virtio_blk *b);

/* Take what there is in the queue, or in all queues, as far as it can be begun. */
void blk_pump(struct virtio_blk *b, unsigned q);
void blk_pump_all(struct virtio_blk *b);

/*
 * The request is complete: tell the driver, or drop it when the device does not run any
 * more, and let others have what it held.
 */
void blk_finish(struct blk_req *r, uint8_t status);

/* Let go what waits in the queues, cancel what is in flight. */
void blk_cancel_all(struct virtio_blk *b);

/* The loop turns no more: give back memory and disks. */
void blk_abandon(struct virtio_blk *b);

/* Answer `stop` when nothing is in flight any more. */
void blk_settle(struct virtio_blk *b);

/* ---- blk_gather.c ---- */

/* The driver has notified: pump, now or in a moment. */
void blk_notified(struct virtio_blk *b, unsigned q);
void blk_gather_init(struct virtio_blk *b);

/* ---- blk_io.c ---- */

/* Set its data up: `off`, `len` and the segments. False when no long list is free. */
MUST_CHECK bool blk_io_set_data(struct blk_req *r, const struct iovec *iov, unsigned n,
				size_t skip);

/* Begin; blk_finish follows, at once or later. */
void blk_io_start(struct blk_req *r);

/* Give back its list and its bounce memory, with which others go on. */
void blk_io_release(struct blk_req *r);

/* ---- virtio_blk.c ---- */

/* A request on this disk has ended: when it was the last, and the disk was replaced, let it go. */
void blk_put_disk(struct virtio_blk *b, struct disk *d);

#endif
