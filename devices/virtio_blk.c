/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device: see virtio_blk.h, and blk_priv.h for how its files share the work.
 *
 * Cache modes. Writeback: FLUSH and CONFIG_WCE are offered; with the driver's writeback = 0,
 * or when it takes neither, fdatasync follows each write before it is complete. Unsafe: not
 * offered, and a FLUSH that comes anyway is UNSUPP, so that nobody takes it for done.
 *
 * Input from the guest: the writeback byte of the configuration space. The rest is
 * blk_queue.c's.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>

#include "devices/blk_priv.h"

#define CONFIG_LEN offsetof(struct virtio_blk_config, max_secure_erase_sectors)
#define WCE offsetof(struct virtio_blk_config, wce)
/* What a queue's chain can hold beside header and status. */
#define SEG_MAX (VIRTQ_SEGS_MAX - 2)

_Static_assert(CONFIG_LEN == 60 && CONFIG_LEN <= VIRTIO_CONFIG_MAX, "virtio 1.2 §5.2.4");

static struct virtio_blk *from(struct virtio_dev *d)
{
	return CONTAINER_OF(d, struct virtio_blk, dev);
}

/* ---- features and configuration -------------------------------------------------- */

static uint64_t features(const struct blk_setup *s)
{
	const struct disk *d = s->disk;
	uint64_t f = UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX |
		     UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE |
		     UINT64_C(1) << VIRTIO_BLK_F_TOPOLOGY;

	if (s->writeback)
		f |= UINT64_C(1) << VIRTIO_BLK_F_FLUSH | UINT64_C(1) << VIRTIO_BLK_F_CONFIG_WCE;
	if (s->queues > 1)
		f |= UINT64_C(1) << VIRTIO_BLK_F_MQ;
	if (d->read_only)
		return f | UINT64_C(1) << VIRTIO_BLK_F_RO;
	if (d->can_discard)
		f |= UINT64_C(1) << VIRTIO_BLK_F_DISCARD;
	if (d->can_write_zeroes)
		f |= UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES;
	return f;
}

static uint64_t capacity(const struct disk *d)
{
	return htole64(d->bytes / DISK_SECTOR);
}

/* Fields of features that are not offered mean nothing, and are 0. */
static struct virtio_blk_config configuration(const struct blk_setup *s)
{
	const struct disk *d = s->disk;
	uint32_t blocks = d->physical_block_size / d->block_size;
	uint64_t offered = features(s);
	struct virtio_blk_config c = {
		.capacity = capacity(d),
		.seg_max = htole32(SEG_MAX),
		.blk_size = htole32(d->block_size),
		.physical_block_exp = (uint8_t)__builtin_ctz(blocks),
		.min_io_size = htole16((uint16_t)blocks),
		.wce = s->writeback,
	};

	if (s->queues > 1)
		c.num_queues = htole16((uint16_t)s->queues);
	if (offered >> VIRTIO_BLK_F_DISCARD & 1) {
		c.max_discard_sectors = htole32(BLK_DISCARD_SECTORS_MAX);
		c.max_discard_seg = htole32(BLK_RANGES_MAX);
		c.discard_sector_alignment = htole32(d->physical_block_size / DISK_SECTOR);
	}
	if (offered >> VIRTIO_BLK_F_WRITE_ZEROES & 1) {
		c.max_write_zeroes_sectors = htole32(BLK_ZEROES_SECTORS_MAX);
		c.max_write_zeroes_seg = htole32(BLK_RANGES_MAX);
		c.write_zeroes_may_unmap = d->can_discard;
	}
	return c;
}

static void config_write(struct virtio_dev *d, unsigned off, const void *src, unsigned len)
{
	uint8_t writeback = *(const uint8_t *)src;

	/* All else is read-only. */
	if (off != WCE || len != 1 || writeback > 1 || !virtio_has(d, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	virtio_set_config(d, WCE, &writeback, 1);
}

/* ---- start and stop -------------------------------------------------------------- */

static void start(struct virtio_dev *d)
{
	uint8_t writethrough = 0;

	/* A driver that never flushes has to be taken for writethrough (§5.2.5.2). */
	if (virtio_has(d, VIRTIO_BLK_F_CONFIG_WCE) && !virtio_has(d, VIRTIO_BLK_F_FLUSH))
		virtio_set_config(d, WCE, &writethrough, 1);
}

static void notify(struct virtio_dev *d, unsigned q)
{
	blk_notified(from(d), q);
}

static void stop(struct virtio_dev *d)
{
	blk_cancel_all(from(d));
	blk_settle(from(d));
}

static const struct virtio_ops ops = {
	.id = VIRTIO_ID_BLOCK,
	.start = start,
	.notify = notify,
	.stop = stop,
	.config_write = config_write,
};

struct virtio_dev *virtio_blk_dev(struct virtio_blk *b)
{
	return &b->dev;
}

/* ---- life ------------------------------------------------------------------------ */

int virtio_blk_create(struct virtio_blk **out, const struct blk_setup *s)
{
	struct virtio_blk_config c = configuration(s);
	struct virtio_blk *b = calloc(1, sizeof(*b));

	assert(s->queues >= 1 && s->queues <= BLK_QUEUES_MAX);
	if (!b)
		return -ENOMEM;
	if (s->disk->direct && blk_bounce_create(&b->bounce, s->env->loop) < 0) {
		free(b);
		return -ENOMEM;
	}
	snprintf(b->name, sizeof(b->name), "drive %s", s->id);
	memcpy(b->id, s->id, min_size(strlen(s->id), sizeof(b->id)));
	virtio_init(&b->dev, &(struct virtio_setup){ .ops = &ops,
						     .name = b->name,
						     .env = s->env,
						     .gsi = s->gsi,
						     .features = features(s),
						     .n_queues = s->queues,
						     .config = &c,
						     .config_len = CONFIG_LEN });
	rate_limiter_init(&b->limit, s->limit, clock_ns());
	blk_queue_init(b);
	blk_gather_init(b);
	b->disk = s->disk;
	b->disk->file = loop_file_add(s->env->loop, b->disk->fd);
	*out = b;
	return 0;
}

static void close_disk(struct virtio_blk *b, struct disk *d)
{
	loop_file_remove(b->dev.env.loop, &d->file);
	disk_close(d);
}

static void forget_disk(struct virtio_blk *b, struct disk *d)
{
	struct disk **at = &b->retired;

	while (*at != d)
		at = &(*at)->next;
	*at = d->next;
	close_disk(b, d);
}

void virtio_blk_destroy(struct virtio_blk *b)
{
	b->dev.run = VIRTIO_IDLE; /* nothing is begun any more */
	blk_abandon(b);
	while (b->retired)
		forget_disk(b, b->retired);
	close_disk(b, b->disk);
	blk_bounce_destroy(&b->bounce, b->dev.env.loop);
	free(b);
}

struct blk_counts virtio_blk_counts(const struct virtio_blk *b)
{
	return b->counts;
}

/* ---- live changes ---------------------------------------------------------------- */

static void flushed(struct loop_op *op, int res)
{
	struct disk *d = CONTAINER_OF(op, struct disk, last);
	struct virtio_blk *b = d->owner;

	if (res < 0 && res != -ECANCELED)
		log_warn("blk", "%s: flush of the old disk: %s", b->name, strerror(-res));
	forget_disk(b, d);
	blk_settle(b);
}

/*
 * Nobody uses it any more. Closing a block device waits until all that was written is on
 * it, for which others must not wait: it is flushed before, by the loop.
 */
static void retire(struct virtio_blk *b, struct disk *d)
{
	if (d->read_only || b->dev.run == VIRTIO_IDLE) {
		close_disk(b, d);
		return;
	}
	d->last.done = flushed;
	d->owner = b;
	d->next = b->retired;
	b->retired = d;
	loop_fsync(b->dev.env.loop, &d->last, d->file);
}

void blk_put_disk(struct virtio_blk *b, struct disk *d)
{
	if (--d->in_flight == 0 && d != b->disk)
		retire(b, d);
}

static void replace_disk(struct virtio_blk *b, struct disk *d)
{
	struct disk *old = b->disk;

	assert(d->direct == old->direct);
	d->file = loop_file_add(b->dev.env.loop, d->fd);
	b->disk = d;
	if (!old->in_flight)
		retire(b, old);
}

void virtio_blk_set_disk(struct virtio_blk *b, struct disk *disk)
{
	uint64_t before = capacity(b->disk), after;
	int rc;

	b->counts.updates++;
	if (disk) {
		replace_disk(b, disk);
	} else {
		rc = disk_rescan(b->disk);
		if (rc < 0)
			log_warn("blk", "%s: its size cannot be used: %s", b->name,
				 strerror(-rc));
	}
	after = capacity(b->disk);
	if (after == before)
		return;
	virtio_set_config(&b->dev, offsetof(struct virtio_blk_config, capacity), &after,
			  sizeof(after));
	virtio_config_interrupt(&b->dev);
}

void virtio_blk_set_limit(struct virtio_blk *b, const struct rate_limiter_config *limit)
{
	rate_limiter_update(&b->limit, limit, clock_ns());
	/* Who waits asks again. */
	loop_cancel(b->dev.env.loop, &b->timer.op);
}
