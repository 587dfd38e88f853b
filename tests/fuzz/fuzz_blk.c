/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block device under a script of requests, raw descriptors, memory that changes while it
 * is looked at, resets, disks that change or shrink, and rate limits. Besides what the
 * sanitizers see, it checks that the device becomes idle, gives every view of memory
 * back, never uses more chains than there were, and writes nothing to a read-only disk.
 *
 * Input: a byte of options, then operations: a byte, and what they take.
 */
#include <assert.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/virtio_blk.h"
#include "tests/fake/virtio_driver.h"
#include "vmm/lib/log.h"

#define RAM MIB
#define AREAS PAGE_BYTES
#define HEADERS (128 * KIB)
#define DATA (256 * KIB)
#define DISK (64 * KIB)
#define NUM 64
#define OPS_MAX 256
#define SEGS_MAX 24

enum op { ADD, RAW, AVAILABLE, POKE, KICK, TURN, RESET, CACHE, SET_DISK, SHRINK, LIMIT, OPS };

enum option {
	READ_ONLY = 1,
	UNSAFE = 2,
	TWO_QUEUES = 4,
	PLAIN_RING = 8,
	WILD = 16,
	SLOW = 32,
	DIRECT = 64 /* where a memfd takes that: Linux 6.6 */
};

struct input {
	const uint8_t *data;
	size_t left;
};

struct world {
	struct loop *loop;
	struct ram_fake ram;
	struct virtio_blk *blk;
	struct virtio_mmio mmio;
	struct virtio_driver driver;
	unsigned options, queues;
	int fd; /* of the first disk */
	uint16_t added[2];
	bool broken; /* the driver cannot tell its chains from others any more */
	struct input in;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t byte(struct world *w)
{
	if (!w->in.left)
		return 0;
	w->in.left--;
	return *w->in.data++;
}

static unsigned word(struct world *w)
{
	unsigned low = byte(w);

	return low | (unsigned)byte(w) << 8;
}

static void pulse(void *ctx, unsigned gsi)
{
	(void)ctx;
	(void)gsi;
}

static void turned(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

static void turn(struct world *w)
{
	struct loop_op nop = { .done = turned };

	loop_defer(w->loop, &nop);
	while (nop.busy)
		assert(loop_turn(w->loop) == 0);
}

static struct disk *new_disk(struct world *w, int *fd)
{
	struct disk_options o = { .read_only = w->options & READ_ONLY,
				  .direct = w->options & DIRECT };
	struct disk *d;
	char path[64];
	int rc;

	*fd = memfd_create("disk", MFD_CLOEXEC);
	assert(*fd >= 0 && ftruncate(*fd, DISK) == 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", *fd);
	rc = disk_open(&d, path, &o, NULL);
	if (rc && o.direct) {
		w->options &= ~(unsigned)DIRECT;
		o.direct = false;
		rc = disk_open(&d, path, &o, NULL);
	}
	assert(rc == 0);
	return d;
}

static void bring_up(struct world *w)
{
	uint64_t wanted = w->options & PLAIN_RING ? 0 : UINT64_MAX;

	w->driver.at = AREAS;
	w->added[0] = w->added[1] = 0;
	w->broken = w->options & WILD;
	virtio_driver_start(&w->driver, wanted, w->queues, NUM);
}

/* ---- operations -------------------------------------------------------------------- */

/* A request that may be well-formed: header, some data, status, cut somewhere. */
static void add(struct world *w)
{
	static const uint8_t types[] = { VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
					 VIRTIO_BLK_T_FLUSH,   VIRTIO_BLK_T_GET_ID,
					 VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
					 VIRTIO_BLK_T_IN,      99 };
	unsigned how = byte(w), queue = (how & 1) % w->queues, n_out = 0, n = 0;
	struct virtio_blk_outhdr h = { .type = types[how >> 1 & 7] };
	unsigned sector = byte(w), page = byte(w) % 64, out = byte(w) % 12, in = byte(w) % 12;
	uint64_t at = HEADERS + page * KIB;
	struct vring_seg segs[SEGS_MAX];
	int rc;

	h.sector = sector < 250 ? sector : UINT64_MAX - sector;
	memcpy(w->ram.bytes + at, &h, sizeof(h));
	for (; n_out < out; n_out++, at += segs[n_out - 1].len)
		segs[n_out] = (struct vring_seg){ at, n_out ? byte(w) * 16U + 16 : 16, false };
	for (; n < in; n++)
		segs[n_out + n] = (struct vring_seg){ DATA + word(w) * 4,
						      n + 1 < in ? byte(w) * 64U + 64 : 1,
						      true };
	if (n_out + n == 0)
		return;
	if (how & 16)
		rc = vring_add_indirect(&w->driver.queues[queue], segs, n_out + n,
					HEADERS + 96 * KIB + page * 384);
	else
		rc = vring_add(&w->driver.queues[queue], segs, n_out + n);
	w->added[queue] = (uint16_t)(w->added[queue] + (rc >= 0));
}

/* Any descriptor at all; only a wild guest gives its rings away as data. */
static void raw(struct world *w)
{
	struct vring_driver *v = &w->driver.queues[byte(w) % w->queues];
	unsigned i = byte(w) % NUM, at = word(w), len = word(w), flags = byte(w);
	uint64_t base = w->options & WILD ? 0 : HEADERS;

	w->broken = true;
	vring_set_desc(&v->desc[i], base + at * 12, len, (uint16_t)(flags & 7), byte(w) % 80);
}

static void available(struct world *w)
{
	unsigned q = byte(w) % w->queues;

	w->broken = true;
	vring_make_available(&w->driver.queues[q], byte(w) % 80);
	w->added[q]++;
}

static void check_used(struct world *w)
{
	for (unsigned q = 0; q < w->queues && !(w->options & WILD); q++) {
		struct vring_driver *v = &w->driver.queues[q];
		uint16_t used = __atomic_load_n(&v->used->idx, __ATOMIC_ACQUIRE);

		assert((uint16_t)(w->added[q] - used) <= w->added[q]);
	}
}

static void reap(struct world *w)
{
	uint32_t head, written;

	for (unsigned q = 0; q < w->queues && !w->broken; q++)
		while (vring_reap(&w->driver.queues[q], &head, &written))
			;
}

static void reset(struct world *w)
{
	virtio_driver_reset(&w->driver);
	while (virtio_driver_read(&w->driver, VIRTIO_MMIO_STATUS))
		assert(loop_turn(w->loop) == 0);
}

static void set_disk(struct world *w, bool other)
{
	int fd;

	virtio_blk_set_disk(w->blk, other ? new_disk(w, &fd) : NULL);
	if (other)
		(void)close(fd);
}

static void set_limit(struct world *w)
{
	struct rate_limiter_config c = { .present = true };

	c.ops = (struct token_bucket_config){ .present = true,
					      .size = byte(w) % 4,
					      .refill_time_ms = byte(w) };
	virtio_blk_set_limit(w->blk, &c);
}

static void step(struct world *w)
{
	unsigned at, q;

	switch ((enum op)(byte(w) % OPS)) {
	case ADD:
		add(w);
		break;
	case RAW:
		raw(w);
		break;
	case AVAILABLE:
		available(w);
		break;
	case POKE:
		at = word(w);
		w->ram.bytes[(w->options & WILD ? 0 : HEADERS) + at] = byte(w);
		break;
	case KICK:
		q = byte(w);
		virtio_driver_write(&w->driver, VIRTIO_MMIO_QUEUE_NOTIFY, q % (w->queues + 1));
		break;
	case TURN:
		turn(w);
		reap(w);
		break;
	case RESET:
		reset(w);
		bring_up(w);
		break;
	case CACHE:
		at = (unsigned)offsetof(struct virtio_blk_config, wce);
		w->driver.mmio.write(w->driver.mmio.dev, VIRTIO_MMIO_CONFIG + at, 1, byte(w));
		break;
	case SET_DISK:
		set_disk(w, byte(w) & 1);
		break;
	case SHRINK:
		assert(ftruncate(w->fd, word(w)) == 0);
		break;
	case LIMIT:
		set_limit(w);
		break;
	case OPS:
		break;
	}
	check_used(w);
}

/* ---- life -------------------------------------------------------------------------- */

static void create(struct world *w)
{
	static const struct rate_limiter_config none,
		slow = { .present = true,
			 .ops = { .present = true, .size = 3, .refill_time_ms = 2 } };
	struct dev_env env = { .loop = w->loop, .gmem = &w->ram.gmem, .pulse = pulse };
	struct blk_setup s = { .id = "fuzz",
			       .env = &env,
			       .gsi = 16,
			       .queues = w->queues,
			       .writeback = !(w->options & UNSAFE),
			       .limit = w->options & SLOW ? &slow : &none };

	s.disk = new_disk(w, &w->fd);
	assert(virtio_blk_create(&w->blk, &s) == 0);
	virtio_mmio_init(&w->mmio, virtio_blk_dev(w->blk));
	virtio_driver_init(&w->driver, &w->mmio, &w->ram, AREAS);
	bring_up(w);
}

static void finish(struct world *w)
{
	uint8_t all[DISK] = { 0 }, zeroes[DISK] = { 0 };

	reset(w);
	turn(w);
	assert(virtio_blk_dev(w->blk)->run == VIRTIO_IDLE);
	if (w->options & READ_ONLY)
		assert(pread(w->fd, all, DISK, 0) >= 0 && !memcmp(all, zeroes, DISK));
	virtio_blk_destroy(w->blk);
	(void)close(w->fd);
	gmem_fini(&w->ram.gmem); /* asserts that no view is in use */
	ram_fake_free(&w->ram);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct world w = { .in = { data, size } };

	if (!loop) {
		log_set_level(LOG_OFF);
		assert(loop_create(&loop, 64) == 0);
	}
	w.loop = loop;
	w.options = byte(&w);
	w.queues = w.options & TWO_QUEUES ? 2 : 1;
	ram_fake_init(&w.ram, RAM);
	create(&w);
	for (unsigned i = 0; i < OPS_MAX && w.in.left; i++)
		step(&w);
	finish(&w);
	return 0;
}
