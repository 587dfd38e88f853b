/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device (virtio 1.2 §5.2) on a disk.h. One queue a vCPU, up to BLK_QUEUES_MAX;
 * at most BLK_IN_FLIGHT_MAX requests are in flight a device, the rest waits in the rings.
 *
 * Input from the guest: descriptor chains; request headers and discard ranges are copied
 * once.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "devices/disk.h"
#include "devices/rate_limiter.h"
#include "devices/virtio.h"
#include "vmm/lib/latency.h"

#define BLK_QUEUES_MAX 4
#define BLK_IN_FLIGHT_MAX 128

struct virtio_blk;

struct blk_counts {
	uint64_t reads, writes, flushes,
		discards; /* requests completed; discards and write-zeroes together */
	uint64_t read_bytes, write_bytes;
	uint64_t errors; /* answered with IOERR or UNSUPP */
	uint64_t invalid; /* of these, what the driver asked for cannot be */
	uint64_t throttled; /* times that the rate limiter made the device wait */
	uint64_t updates; /* of the disk, while the guest runs */
	/* From being taken to being given back, of those that succeeded; turns of the loop. */
	struct latency read_latency, write_latency, flush_latency;
};

struct blk_setup {
	const char *id; /* drive_id: name, and what GET_ID gives (20 bytes of it); copied */
	const struct dev_env *env;
	unsigned gsi;
	unsigned queues; /* 1..BLK_QUEUES_MAX */
	struct disk *disk; /* taken over */
	/* cache_type Writeback: FLUSH is offered and done; else it is not offered */
	bool writeback;
	const struct rate_limiter_config *limit; /* copied */
};

/* 0 or -ENOMEM; `disk` is the caller's then. */
MUST_CHECK int virtio_blk_create(struct virtio_blk **out, const struct blk_setup *s);

/* To be attached to a transport. */
struct virtio_dev *virtio_blk_dev(struct virtio_blk *b);

/*
 * Replace the disk (NULL: the same one, whose size is to be looked at again), live:
 * requests in flight end on the old one, which is flushed and closed after them. The
 * capacity changes, with a configuration interrupt when it did. `disk` is taken over, and is
 * O_DIRECT when the old one is.
 */
void virtio_blk_set_disk(struct virtio_blk *b, struct disk *disk);
void virtio_blk_set_limit(struct virtio_blk *b, const struct rate_limiter_config *limit);

/* What was counted so far. */
struct blk_counts virtio_blk_counts(const struct virtio_blk *b);

/* Nothing is in flight: the device is idle (virtio_dev.run), or the loop turns no more. */
void virtio_blk_destroy(struct virtio_blk *b);

#endif
