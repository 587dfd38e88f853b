/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Block requests that are wrong in themselves, in chains that are right (virtio 1.2 §5.2.6):
 * they get an error, and the device goes on.
 */
#include "tests/system/hostile/hostile.h"

#include <string.h>

#define ERR VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP
#define ANY (-2)

static bool answered(int want, int got)
{
	return want == ANY ? got >= 0 && got <= UNSUPP : got == want;
}

/* A sector of END + n is n sectors behind the last one, or before when negative. */
#define END (1ull << 62)

static const struct {
	const char *name;
	uint32_t type;
	uint64_t sector;
	uint32_t len;
	bool writable;
	int want;
} requests[] = {
	{ "read the last sector", VIRTIO_BLK_T_IN, END - 1, 512, true, VIRTIO_BLK_S_OK },
	{ "read behind the end", VIRTIO_BLK_T_IN, END, 512, true, ERR },
	{ "read across the end", VIRTIO_BLK_T_IN, END - 1, 1024, true, ERR },
	{ "write behind the end", VIRTIO_BLK_T_OUT, END, 512, false, ERR },
	{ "write across the end", VIRTIO_BLK_T_OUT, END - 1, 1024, false, ERR },
	{ "read far behind", VIRTIO_BLK_T_IN, 1ull << 40, 512, true, ERR },
	{ "read where bytes wrap", VIRTIO_BLK_T_IN, 1ull << 55, 512, true, ERR },
	{ "write where bytes wrap", VIRTIO_BLK_T_OUT, (1ull << 55) + 8, 512, false, ERR },
	{ "read the last number", VIRTIO_BLK_T_IN, ~0ull, 512, true, ERR },
	{ "write the last number", VIRTIO_BLK_T_OUT, ~0ull, 4096, false, ERR },
	{ "read part of a sector", VIRTIO_BLK_T_IN, 0, 100, true, ERR },
	{ "write part of a sector", VIRTIO_BLK_T_OUT, 8, 513, false, ERR },
	{ "read nothing", VIRTIO_BLK_T_IN, 0, 0, true, ANY },
	{ "write nothing", VIRTIO_BLK_T_OUT, 0, 0, false, ANY },
	{ "read into what is readable", VIRTIO_BLK_T_IN, 0, 512, false, ANY },
	{ "write from what is writable", VIRTIO_BLK_T_OUT, 8, 512, true, ANY },
	{ "type 2", 2, 0, 0, true, UNSUPP },
	{ "type 3", 3, 0, 512, true, UNSUPP },
	{ "type 9", 9, 0, 512, false, UNSUPP },
	{ "secure erase", 14, 0, 16, false, UNSUPP },
	{ "type 0x80000000", 0x80000000, 0, 512, true, UNSUPP },
	{ "type 0xffffffff", 0xffffffff, ~0ull, 512, false, UNSUPP },
	{ "flush with data", VIRTIO_BLK_T_FLUSH, 0, 512, false, ANY },
	{ "flush of a sector", VIRTIO_BLK_T_FLUSH, ~0ull, 0, false, ANY },
	{ "id into one byte", VIRTIO_BLK_T_GET_ID, 0, 1, true, ANY },
	{ "id into nothing", VIRTIO_BLK_T_GET_ID, 0, 0, true, ANY },
	{ "id into much", VIRTIO_BLK_T_GET_ID, 0, 65536, true, ANY },
};

static const char *bad_requests(struct dev *d)
{
	if (!dev_start(d, RING_NUM, 0))
		return "it does not start";
	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		uint64_t sector = requests[i].sector;
		int got;

		if (sector >= END - 1 && sector <= END)
			sector = sector - END + d->capacity;
		memset(page_at(d, AT_DATA), 0, 4096);
		got = blk_request(d, requests[i].type, sector, requests[i].len,
				  requests[i].writable);
		if (!answered(requests[i].want, got) || faulted(d))
			return requests[i].name;
	}
	return NULL;
}

/* ---- discard, write zeroes ---- */

static const struct {
	const char *name;
	uint64_t sector;
	uint32_t num_sectors, flags;
	uint32_t len; /* of the ranges, bytes */
	int want;
} ranges[] = {
	{ "behind the end", END, 8, 0, 16, ERR },
	{ "across the end", END - 1, 8, 0, 16, ERR },
	{ "where bytes wrap", (1ull << 55) + 8, 8, 0, 16, ERR },
	{ "sector and length wrap", ~0ull, 2, 0, 16, ERR },
	{ "4 G sectors", 0, 0xffffffff, 0, 16, ERR },
	{ "no sector", 8, 0, 0, 16, ANY },
	{ "unknown flags", 8, 8, 0xfffffffe, 16, UNSUPP },
	{ "no range", 8, 8, 0, 0, ERR },
	{ "part of a range", 8, 8, 0, 15, ERR },
	{ "a range and a byte", 8, 8, 0, 17, ERR },
	{ "many ranges", 8, 1, 0, 16 * 4096, ERR },
};

static const char *bad_ranges(struct dev *d, uint32_t type, unsigned feature)
{
	struct virtio_blk_discard_write_zeroes *range = page_at(d, AT_DATA);

	if (!dev_start(d, RING_NUM, 0))
		return "it does not start";
	for (unsigned i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		const bool offered = d->offered >> feature & 1;
		int got;

		for (unsigned n = 0; n < 4096; n++) {
			range[n].sector = ranges[i].sector;
			if (ranges[i].sector >= END - 1 && ranges[i].sector <= END)
				range[n].sector = ranges[i].sector - END + d->capacity;
			range[n].num_sectors = ranges[i].num_sectors;
			range[n].flags = ranges[i].flags;
		}
		got = blk_request(d, type, 0, ranges[i].len, false);
		if (!answered(offered ? ranges[i].want : UNSUPP, got) || faulted(d))
			return ranges[i].name;
	}
	return NULL;
}

static const char *bad_discards(struct dev *d)
{
	return bad_ranges(d, VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_F_DISCARD);
}

static const char *bad_zeroes(struct dev *d)
{
	return bad_ranges(d, VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_F_WRITE_ZEROES);
}

/* ---- framing ---- */

/* Whether it came to an end, in one way or the other. */
static bool ended(struct dev *d)
{
	for (unsigned i = 0; i < 5000; i++) {
		if (ring_used(d, 0, 1) || faulted(d))
			return true;
	}
	return false;
}

/* Lengths of three segments; those from `writable` on are device-writable. */
static const struct {
	const char *name;
	uint32_t len[3];
	unsigned writable;
} frames[] = {
	{ "header of 8 bytes", { 8, 512, 1 }, 1 },
	{ "header of 15 bytes", { 15, 512, 1 }, 1 },
	{ "no status byte", { 16, 512, 512 }, 3 },
	{ "no header", { 16, 512, 1 }, 0 },
	{ "header of 1 byte, no more", { 1, 1, 1 }, 2 },
	{ "a status byte alone", { 1, 1, 1 }, 0 },
	{ "all in one segment's worth", { 16, 1, 1 }, 1 },
	{ "status in a segment of data", { 16, 512, 513 }, 1 },
};

static const char *bad_frames(struct dev *d)
{
	for (unsigned i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		if (!dev_start(d, RING_NUM, 0))
			return "it does not start";
		valid_chain(d);
		for (unsigned s = 0; s < 3; s++) {
			struct vring_desc *desc = &d->ring[0].desc[s];

			desc->len = frames[i].len[s];
			desc->flags =
				(uint16_t)((s < 2 ? VRING_DESC_F_NEXT : 0) |
					   (s >= frames[i].writable ? VRING_DESC_F_WRITE : 0));
		}
		ring_offer(&d->ring[0], 0);
		ring_kick(d, 0);
		if (!ended(d))
			return frames[i].name;
	}
	return NULL;
}

/* The header in pieces, which is allowed (§2.7.4), and data in pieces of one byte. */
static const char *odd_frames(struct dev *d)
{
	const struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN };
	volatile uint8_t *status = (uint8_t *)page_at(d, AT_HEADER) + 64;
	struct ring *r = &d->ring[0];
	unsigned n;

	if (!dev_start(d, 256, 0))
		return "it does not start";
	memcpy(page_at(d, AT_HEADER), &header, sizeof(header));
	*status = 0xff;
	for (n = 0; n < 16; n++)
		desc_set(r, n, page_gpa(d, AT_HEADER) + n, 1, VRING_DESC_F_NEXT,
			 (uint16_t)(n + 1));
	for (; n < 16 + 128; n++)
		desc_set(r, n, page_gpa(d, AT_DATA) + 4 * (n - 16), 4,
			 VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, (uint16_t)(n + 1));
	desc_set(r, n, page_gpa(d, AT_HEADER) + 64, 1, VRING_DESC_F_WRITE, 0);
	ring_offer(r, 0);
	ring_kick(d, 0);
	if (!ring_used(d, 0, 20000))
		return "no answer";
	/* More segments than SEG_MAX are an error; the device may also do it. */
	return *status == VIRTIO_BLK_S_OK || *status == ERR ? NULL : "no status";
}

const struct attack blk_attacks[] = {
	{ "block requests", VIRTIO_ID_BLOCK, bad_requests },
	{ "discards", VIRTIO_ID_BLOCK, bad_discards },
	{ "write zeroes", VIRTIO_ID_BLOCK, bad_zeroes },
	{ "block frames", VIRTIO_ID_BLOCK, bad_frames },
	{ "headers in pieces", VIRTIO_ID_BLOCK, odd_frames },
	{ NULL, 0, NULL },
};
