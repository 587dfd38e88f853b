/* SPDX-License-Identifier: Apache-2.0 */
/* A guest with a block device: see blk_guest.h. */
#include "tests/fake/blk_guest.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GSI 16
#define STATUS_AT 4000 /* in a request's page */
#define NO_STATUS 0xee

static void pulse(void *ctx, unsigned gsi)
{
	assert(gsi == GSI);
	((struct blk_guest *)ctx)->pulses++;
}

uint8_t blk_guest_pattern(uint64_t at)
{
	return (uint8_t)(at + (at >> 8) * 7 + (at >> 16) * 13);
}

static void fill(int fd, uint64_t bytes)
{
	uint8_t buf[4096];

	assert(ftruncate(fd, (off_t)bytes) == 0);
	for (uint64_t at = 0; at < bytes; at += sizeof(buf)) {
		size_t n = min_size(sizeof(buf), bytes - at);

		for (size_t i = 0; i < n; i++)
			buf[i] = blk_guest_pattern(at + i);
		assert(pwrite(fd, buf, n, (off_t)at) == (ssize_t)n);
	}
}

struct disk *blk_guest_disk(const struct blk_guest_options *o, int *fd)
{
	const struct disk_options options = { o->read_only, o->direct };
	char name[] = "build/blk-guest-XXXXXX";
	const char *path = o->path;
	struct disk *d = NULL;
	struct err e = { "" };
	int rc;

	if (path) {
		*fd = open(path, O_RDWR | O_CLOEXEC);
	} else {
		path = name;
		*fd = mkostemp(name, O_CLOEXEC);
		fill(*fd, o->bytes);
	}
	assert(*fd >= 0);
	rc = disk_open(&d, path, &options, &e);
	if (rc)
		(void)fprintf(stderr, "%s\n", e.text);
	assert(rc == 0);
	if (!o->path)
		(void)unlink(name);
	return d;
}

void blk_guest_start(struct blk_guest *g, const struct blk_guest_options *o)
{
	static const struct rate_limiter_config none;
	unsigned queues = o->queues ? o->queues : 1;
	struct dev_env env = { .pulse = pulse, .ctx = g };
	struct blk_setup s = { .id = o->id ? o->id : "rootfs",
			       .env = &env,
			       .gsi = GSI,
			       .queues = queues,
			       .writeback = !o->unsafe,
			       .limit = o->limit ? o->limit : &none };

	memset(g, 0, sizeof(*g));
	assert(loop_create(&g->loop, 64) == 0);
	ram_fake_init(&g->ram, BLK_GUEST_RAM);
	env.loop = g->loop;
	env.gmem = &g->ram.gmem;
	s.disk = blk_guest_disk(o, &g->fd);
	assert(virtio_blk_create(&g->blk, &s) == 0);
	virtio_mmio_init(&g->mmio, virtio_blk_dev(g->blk));
	virtio_driver_init(&g->driver, &g->mmio, &g->ram, PAGE_BYTES);
	virtio_driver_start(&g->driver, ~o->decline, queues, BLK_GUEST_QUEUE);
}

void blk_guest_reset(struct blk_guest *g)
{
	virtio_driver_reset(&g->driver);
	while (virtio_driver_read(&g->driver, VIRTIO_MMIO_STATUS))
		assert(loop_turn(g->loop) == 0);
}

void blk_guest_stop(struct blk_guest *g)
{
	blk_guest_reset(g);
	blk_guest_run(g, 0); /* what was to be done at the end of a turn */
	virtio_blk_destroy(g->blk);
	loop_destroy(g->loop);
	gmem_fini(&g->ram.gmem); /* asserts that no view is in use */
	ram_fake_free(&g->ram);
	(void)close(g->fd);
}

/* ---- requests -------------------------------------------------------------------- */

static uint64_t page_at(unsigned page)
{
	return BLK_GUEST_PAGES + page * PAGE_BYTES;
}

uint8_t *blk_guest_status(struct blk_guest *g, unsigned page)
{
	return g->ram.bytes + page_at(page) + STATUS_AT;
}

uint64_t blk_guest_header(struct blk_guest *g, const struct blk_guest_req *r)
{
	const struct virtio_blk_outhdr h = { .type = r->type, .sector = r->sector };

	memcpy(g->ram.bytes + page_at(r->page), &h, sizeof(h));
	*blk_guest_status(g, r->page) = NO_STATUS;
	return page_at(r->page) + STATUS_AT;
}

int blk_guest_add(struct blk_guest *g, const struct blk_guest_req *r)
{
	bool in = r->type == VIRTIO_BLK_T_IN || r->type == VIRTIO_BLK_T_GET_ID;
	uint64_t status = blk_guest_header(g, r);
	const struct vring_seg segs[] = {
		{ page_at(r->page), sizeof(struct virtio_blk_outhdr), false },
		{ r->data ? r->data : BLK_GUEST_DATA + r->page * 64 * KIB, r->len, in },
		{ status, 1, true },
	};
	const struct vring_seg without[] = { segs[0], segs[2] };

	return r->len ? vring_add(&g->driver.queues[r->queue], segs, 3) :
			vring_add(&g->driver.queues[r->queue], without, 2);
}

void blk_guest_kick(struct blk_guest *g, unsigned queue)
{
	(void)virtio_driver_kick(&g->driver, queue);
}

bool blk_guest_reap(struct blk_guest *g, unsigned queue)
{
	return vring_reap(&g->driver.queues[queue], &g->used_head, &g->used_len);
}

void blk_guest_wait(struct blk_guest *g, unsigned queue, unsigned n)
{
	while (n > 0) {
		if (blk_guest_reap(g, queue))
			n--;
		else
			assert(loop_turn(g->loop) == 0);
	}
	vring_want_interrupt(&g->driver.queues[queue], true);
	(void)virtio_driver_acknowledge(&g->driver);
}

static void time_up(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

void blk_guest_run(struct blk_guest *g, uint64_t ms)
{
	struct loop_timer t = { .op.done = time_up };

	loop_timeout(g->loop, &t, ms);
	while (t.op.busy)
		assert(loop_turn(g->loop) == 0);
}

uint8_t blk_guest_do(struct blk_guest *g, const struct blk_guest_req *r)
{
	int head = blk_guest_add(g, r);

	assert(head >= 0);
	blk_guest_kick(g, r->queue);
	blk_guest_wait(g, r->queue, 1);
	assert(g->used_head == (uint32_t)head);
	return *blk_guest_status(g, r->page);
}
