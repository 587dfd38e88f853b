/* SPDX-License-Identifier: Apache-2.0 */
/* Queue areas everywhere they must not be (virtio 1.2 §2.7). */
#include "tests/system/hostile/hostile.h"

#include <string.h>

enum { DESC, AVAIL, USED, AREAS };
static const char *const names[AREAS] = { "descriptors", "available ring", "used ring" };

/* The sizes of the areas of a queue of `num` (§2.7, the table there). */
static uint64_t area_size(unsigned area, unsigned num)
{
	return area == DESC ? 16 * num : area == AVAIL ? 6 + 2 * num : 6 + 8 * num;
}

/* Whether the device takes a queue like that; in a state in which a good one is taken. */
static bool taken(struct dev *d, unsigned num, const uint64_t at[AREAS])
{
	bool ready;

	if (!dev_reset(d) || !dev_negotiate(d, 0))
		return true;
	ring_place(d, 0, num, at[DESC], at[AVAIL], at[USED]);
	ready = get(d, VIRTIO_MMIO_QUEUE_READY) != 0;
	set(d, VIRTIO_MMIO_STATUS, get(d, VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
	ring_kick(d, 0);
	return ready && !faulted(d);
}

static void good(const struct dev *d, uint64_t at[AREAS])
{
	for (unsigned i = 0; i < AREAS; i++)
		at[i] = page_gpa(d, AT_SCRATCH + i);
}

static const char *elsewhere(struct dev *d)
{
	const uint64_t end = d->h->arena_gpa + d->h->arena_len;
	const uint64_t places[] = {
		end, /* above RAM */
		end + 0x100000,
		0xc0000000, /* the hole below 4 GiB: the boot timer */
		WINDOWS, /* the windows */
		d->base,
		0xfec00000, /* IOAPIC, LAPICs */
		0xfee00000,
		d->h->hole != 0 ? d->h->hole : end,
		1ull << 32,
		1ull << 40,
		1ull << 52,
		1ull << 63,
		0xfffffffffffff000, /* ends at 2^64, or beyond */
		0xfffffffffffffff0,
	};
	uint64_t at[AREAS];

	for (unsigned area = 0; area < AREAS; area++) {
		for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			good(d, at);
			at[area] = places[i];
			if (taken(d, RING_NUM, at) || taken(d, 256, at))
				return names[area];
		}
	}
	return NULL;
}

static const char *across_the_end(struct dev *d)
{
	const uint64_t end = d->h->arena_gpa + d->h->arena_len;
	static const unsigned num[] = { 1, 8, 256 };
	uint64_t at[AREAS];

	for (unsigned area = 0; area < AREAS; area++) {
		for (unsigned i = 0; i < 3; i++) {
			good(d, at);
			at[area] = (end - area_size(area, num[i]) + 16) & ~15ull;
			if (taken(d, num[i], at))
				return names[area];
			/* The last place where it does fit. */
			at[area] = (end - area_size(area, num[i])) & ~15ull;
			if (!taken(d, num[i], at))
				return "the last page of RAM is refused";
		}
	}
	return NULL;
}

static const char *misaligned(struct dev *d)
{
	static const unsigned align[AREAS] = { 16, 2, 4 };
	uint64_t at[AREAS];

	for (unsigned area = 0; area < AREAS; area++) {
		for (unsigned off = 1; off < align[area]; off++) {
			good(d, at);
			at[area] += off;
			if (taken(d, RING_NUM, at))
				return names[area];
		}
	}
	return NULL;
}

static const char *overlapping(struct dev *d)
{
	uint64_t at[AREAS];

	for (unsigned a = 0; a < AREAS; a++) {
		for (unsigned b = 0; b < AREAS; b++) {
			if (a == b)
				continue;
			good(d, at);
			at[b] = at[a];
			if (taken(d, RING_NUM, at))
				return names[b];
			/* The first byte of one is the last of the other. */
			at[b] = (at[a] + area_size(a, 256) - 1) & ~15ull;
			if (taken(d, 256, at))
				return names[b];
		}
	}
	return NULL;
}

static const char *sizes(struct dev *d)
{
	static const uint32_t num[] = { 0,   3,	   7,	  9,	 255,	     257,
					512, 1024, 32768, 65535, 0x80000000, 0xffffffff };
	uint64_t at[AREAS];

	good(d, at);
	for (unsigned i = 0; i < sizeof(num) / sizeof(num[0]); i++) {
		if (taken(d, num[i], at))
			return "a size that cannot be";
	}
	return NULL;
}

/* A queue that is ready is moved, resized, made ready again; the old one must serve on. */
static const char *moved(struct dev *d)
{
	if (!dev_start(d, RING_NUM, 0))
		return "it does not start";
	set(d, VIRTIO_MMIO_QUEUE_SEL, main_queue(d));
	set(d, VIRTIO_MMIO_QUEUE_NUM, 256);
	set(d, VIRTIO_MMIO_QUEUE_DESC_LOW, WINDOWS);
	set(d, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0xfffffff0);
	set(d, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0xffffffff);
	set(d, VIRTIO_MMIO_QUEUE_USED_LOW, 0);
	set(d, VIRTIO_MMIO_QUEUE_READY, 1);
	set(d, VIRTIO_MMIO_QUEUE_READY, 0);
	set(d, VIRTIO_MMIO_QUEUE_READY, 1);
	valid_chain(d);
	ring_offer(&d->ring[main_queue(d)], 0);
	ring_kick(d, main_queue(d));
	return NULL;
}

/* All three areas lie in the memory that requests are read into. */
static const char *written_over(struct dev *d)
{
	const unsigned q = main_queue(d);

	if (!dev_start(d, RING_NUM, 0))
		return "it does not start";
	for (unsigned i = 0; i < 40; i++) {
		valid_chain(d);
		d->ring[q].desc[1].addr = page_gpa(d, AT_RINGS + 3 * q);
		d->ring[q].desc[1].len = 3 * PAGE;
		ring_offer(&d->ring[q], 0);
		ring_kick(d, q);
		(void)ring_used(d, q, 5);
		if (faulted(d) && !dev_start(d, RING_NUM, 0))
			return "it does not start";
	}
	return NULL;
}

const struct attack area_attacks[] = {
	{ "queue areas where no RAM is", 0, elsewhere },
	{ "queue areas across the end of RAM", 0, across_the_end },
	{ "queue areas misaligned", 0, misaligned },
	{ "queue areas overlapping", 0, overlapping },
	{ "queue sizes", 0, sizes },
	{ "a queue moved while ready", 0, moved },
	{ "queue areas overwritten by requests", 0, written_over },
	{ NULL, 0, NULL },
};
