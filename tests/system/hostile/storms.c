/* SPDX-License-Identifier: Apache-2.0 */
/* Too much of everything: notifications, resets, random accesses. */
#include "tests/system/hostile/hostile.h"

#include <string.h>

#define NOTIFICATIONS 1000 /* a percent of h->scale */
#define RESETS 20
#define RANDOM_MS 100

static const char *notifications(struct dev *d)
{
	if (!dev_start(d, RING_NUM, 0))
		return "it does not start";
	for (unsigned i = 0; i < NOTIFICATIONS * d->h->scale; i++)
		ring_kick(d, i % d->n_rings);
	return faulted(d) ? "it asks for a reset without reason" : NULL;
}

static const char *notified_queues(struct dev *d)
{
	static const uint32_t numbers[] = { 0x100,   0x7fff,	 0x8000,     0xffff,
					    0x10000, 0x7fffffff, 0x80000000, 0xffffffff };

	for (uint32_t i = 0; i < 40; i++) {
		if (!dev_start(d, RING_NUM, 0))
			return "it does not start";
		set(d, VIRTIO_MMIO_QUEUE_NOTIFY, i < 32 ? i : numbers[i - 32]);
		if (i >= 16 && !faulted_soon(d))
			return "a queue that cannot be was notified";
	}
	return NULL;
}

/* Some requests that take time: reads of 64 KiB, packets. */
static void many_requests(struct dev *d)
{
	const unsigned q = main_queue(d);
	struct ring *r = &d->ring[q];
	const bool blk = d->id == VIRTIO_ID_BLOCK;

	valid_chain(d);
	for (uint16_t head = 3; head + 3 <= (int)r->num; head = (uint16_t)(head + 3)) {
		for (uint16_t i = 0; i < 3; i++) {
			r->desc[head + i] = r->desc[i];
			r->desc[head + i].next = (uint16_t)(head + i + 1);
		}
		if (blk) {
			r->desc[head + 1].addr = page_gpa(d, AT_DATA + 16u * (head / 3u % 4));
			r->desc[head + 1].len = 16 * PAGE;
		}
		ring_offer(r, head);
	}
	ring_kick(d, q);
}

/* What the device writes after a reset was reported done hits memory that is ours again. */
static const char *resets(struct dev *d)
{
	uint8_t *data = page_at(d, AT_DATA);

	for (unsigned i = 0; i < RESETS * d->h->scale; i++) {
		if (!dev_start(d, 64, 0))
			return "it does not start";
		many_requests(d);
		if (i % 3 == 1)
			d->h->wait(d->h->ctx);
		if (!dev_reset(d))
			return "a reset does not end";
		if (i % 16 != 0)
			continue;
		memset(data, 0x5a, DATA_PAGES * (size_t)PAGE);
		for (unsigned ms = 0; ms < 10; ms++)
			d->h->wait(d->h->ctx);
		for (size_t at = 0; at < DATA_PAGES * (size_t)PAGE; at += 64) {
			if (data[at] != 0x5a)
				return "memory was written after the reset";
		}
	}
	return NULL;
}

/* DRIVER_OK, FAILED, 0 in turn without any pause, with requests there. */
static const char *status_storm(struct dev *d)
{
	for (unsigned i = 0; i < 2 * d->h->scale; i++) {
		if (!dev_start(d, 64, 0))
			return "it does not start";
		many_requests(d);
		for (uint32_t s = 1; s <= 0xff; s = s * 2 + 1)
			set(d, VIRTIO_MMIO_STATUS, s);
		for (unsigned n = 0; n < 4; n++)
			set(d, VIRTIO_MMIO_STATUS, 0);
	}
	return NULL;
}

static void random_access(struct dev *d)
{
	static const uint16_t registers[] = {
		VIRTIO_MMIO_DEVICE_FEATURES_SEL, VIRTIO_MMIO_DRIVER_FEATURES,
		VIRTIO_MMIO_DRIVER_FEATURES_SEL, VIRTIO_MMIO_QUEUE_SEL,
		VIRTIO_MMIO_QUEUE_NUM,		 VIRTIO_MMIO_QUEUE_READY,
		VIRTIO_MMIO_QUEUE_NOTIFY,	 VIRTIO_MMIO_QUEUE_NOTIFY,
		VIRTIO_MMIO_INTERRUPT_ACK,	 VIRTIO_MMIO_STATUS,
		VIRTIO_MMIO_QUEUE_DESC_LOW,	 VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		VIRTIO_MMIO_QUEUE_USED_LOW,	 VIRTIO_MMIO_CONFIG,
	};
	const uint64_t r = random64(d);
	uint32_t value = (uint32_t)(r >> 32);

	switch (r % 8) {
	case 0: /* anything */
		d->h->write(d->h->ctx, d->base + (r >> 8) % PAGE, 1u << (r >> 4) % 4, r);
		return;
	case 1:
		d->h->read(d->h->ctx, d->base + (r >> 8) % PAGE, 1u << (r >> 4) % 4);
		return;
	case 2: /* a valid request among all this */
		ring_offer(&d->ring[main_queue(d)], (uint16_t)((r >> 8) % 10));
		ring_kick(d, main_queue(d));
		return;
	case 3: /* a bit of a ring or of a descriptor */
		d->h->arena[(r >> 8) % ((AT_HEADER + 1) * PAGE)] ^=
			(uint8_t)(1u << (r >> 4) % 8);
		return;
	default:
		if (r >> 8 & 1)
			value = value % 20;
		set(d, registers[(r >> 12) % (sizeof(registers) / sizeof(registers[0]))],
		    value);
	}
}

/*
 * A script without sense, the same each time; every now and then from a good start, or the
 * device would be in want of a reset for most of it. No request writes to the disk by
 * chance: that takes a type of 1 in a header of zeroes.
 */
static const char *random_script(struct dev *d)
{
	const unsigned start = d->h->now_ms(d->h->ctx);

	while (d->h->now_ms(d->h->ctx) - start < 500 + RANDOM_MS * d->h->scale) {
		if (!dev_start(d, RING_NUM, 0))
			return "it does not start";
		many_requests(d);
		for (unsigned i = 0; i < 100; i++)
			random_access(d);
	}
	return NULL;
}

const struct attack storm_attacks[] = {
	{ "notifications", 0, notifications },
	{ "notifications of every number", 0, notified_queues },
	{ "resets in the middle of requests", 0, resets },
	{ "status written in every order", 0, status_storm },
	{ "random accesses", 0, random_script },
	{ NULL, 0, NULL },
};
