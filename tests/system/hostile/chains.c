/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every corruption of rings and descriptors (virtio 1.2 §2.7.5, §2.7.6). Each of them
 * breaks a rule of the specification, so that the device must ask for a reset.
 */
#include "tests/system/hostile/hostile.h"

#include <string.h>

/* The ring under attack, with a valid chain from descriptor 0. */
static struct ring *begin(struct dev *d, uint64_t without)
{
	struct ring *r = &d->ring[main_queue(d)];

	if (!dev_start(d, RING_NUM, without))
		return NULL;
	valid_chain(d);
	return r;
}

/* Offer descriptor 0, and what must come of it. */
static const char *finish(struct dev *d)
{
	ring_offer(&d->ring[main_queue(d)], 0);
	ring_kick(d, main_queue(d));
	return faulted_soon(d) ? NULL : "it was not noticed";
}

/* ---- indices ---- */

static const char *index_jumps(struct dev *d)
{
	static const uint16_t ahead[] = { RING_NUM + 1, 256, 0x7fff, 0x8000, 0xffff };
	struct ring *r;

	for (unsigned i = 0; i < sizeof(ahead) / sizeof(ahead[0]); i++) {
		r = begin(d, 0);
		if (r == NULL)
			return "it does not start";
		r->avail->idx = ahead[i];
		ring_kick(d, main_queue(d));
		if (!faulted_soon(d))
			return "it was not noticed";
	}
	return NULL;
}

static const char *heads(struct dev *d)
{
	static const uint16_t head[] = { RING_NUM, 255, 256, 0x8000, 0xffff };
	struct ring *r;

	for (unsigned i = 0; i < sizeof(head) / sizeof(head[0]); i++) {
		r = begin(d, 0);
		if (r == NULL)
			return "it does not start";
		ring_offer(r, head[i]);
		ring_kick(d, main_queue(d));
		if (!faulted_soon(d))
			return "it was not noticed";
	}
	return NULL;
}

static const char *head_in_flight(struct dev *d)
{
	struct ring *r = begin(d, 0);

	if (r == NULL)
		return "it does not start";
	/* All at once, so that the first cannot be done when the second is looked at. */
	for (unsigned i = 0; i < RING_NUM - 1; i++)
		ring_offer(r, 0);
	return finish(d);
}

/* ---- one descriptor ---- */

/* Each descriptor of the chain in turn, replaced. */
static const struct {
	const char *name;
	uint64_t addr;
	uint32_t len;
	enum { AS_IS, FROM_END, FROM_HOLE } base; /* what addr is from */
} segments[] = {
	{ "empty", 0x1000, 0, AS_IS },
	{ "above RAM", 0, 512, FROM_END },
	{ "across the end of RAM", (uint64_t)-256, 512, FROM_END },
	{ "one byte over the end of RAM", (uint64_t)-511, 512, FROM_END },
	{ "the windows", WINDOWS, 512, AS_IS },
	{ "hole", 0xc0000000, 512, AS_IS },
	{ "LAPIC", 0xfee00000, 512, AS_IS },
	{ "far above", 1ull << 52, 512, AS_IS },
	{ "around 2^64", (uint64_t)-256, 512, AS_IS },
	{ "last byte of all", (uint64_t)-1, 1, AS_IS },
	{ "given back", 0, 512, FROM_HOLE },
	{ "into what was given back", (uint64_t)-256, 512, FROM_HOLE },
	{ "4 GiB", 0x1000, 0xffffffff, AS_IS },
	{ "2 GiB", 0x1000, 0x80000000, AS_IS },
};

static const char *bad_segments(struct dev *d)
{
	const uint64_t base[] = { 0, d->h->arena_gpa + d->h->arena_len, d->h->hole };
	struct ring *r;

	for (unsigned i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
		if (segments[i].base == FROM_HOLE && d->h->hole == 0)
			continue;
		for (unsigned at = 0; at < 3; at++) {
			r = begin(d, 0);
			if (r == NULL)
				return "it does not start";
			r->desc[at].addr = segments[i].addr + base[segments[i].base];
			r->desc[at].len = segments[i].len;
			if (finish(d) != NULL)
				return segments[i].name;
		}
	}
	return NULL;
}

static const char *bad_next(struct dev *d)
{
	static const uint16_t next[] = { RING_NUM, 256, 0x8000, 0xffff, 0, 1 };
	struct ring *r;

	/* The last two are loops: to the head, and to itself. */
	for (unsigned i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
		r = begin(d, 0);
		if (r == NULL)
			return "it does not start";
		r->desc[1].next = next[i];
		if (finish(d) != NULL)
			return "it was not noticed";
	}
	return NULL;
}

static const char *full_loop(struct dev *d)
{
	struct ring *r = begin(d, 0);

	if (r == NULL)
		return "it does not start";
	for (unsigned i = 0; i < RING_NUM; i++)
		desc_set(r, i, page_gpa(d, AT_DATA), 16, VRING_DESC_F_NEXT,
			 (uint16_t)((i + 1) % RING_NUM));
	return finish(d);
}

static const char *directions(struct dev *d)
{
	struct ring *r = begin(d, 0);

	if (r == NULL)
		return "it does not start";
	r->desc[1].flags |= VRING_DESC_F_WRITE;
	r->desc[2].flags &= (uint16_t)~VRING_DESC_F_WRITE;
	return finish(d);
}

/* Segments that are RAM, each, and 4 GiB together. */
static const char *too_many_bytes(struct dev *d)
{
	const uint64_t from = d->h->hole != 0 ? d->h->hole + PAGE : 0x100000;
	const uint32_t len = (uint32_t)(d->h->arena_gpa - from);
	struct ring *r;
	unsigned i;

	if (!dev_start(d, 256, 0))
		return "it does not start";
	valid_chain(d);
	r = &d->ring[main_queue(d)];
	for (i = 1; i < 255; i++)
		desc_set(r, i, from, len, VRING_DESC_F_NEXT, (uint16_t)(i + 1));
	/* A write of a disk wants a byte for its status; else it is wrong in itself. */
	if (d->id == VIRTIO_ID_BLOCK)
		((struct virtio_blk_outhdr *)page_at(d, AT_HEADER))->type = VIRTIO_BLK_T_OUT;
	desc_set(r, i, page_gpa(d, AT_HEADER) + 64, 1,
		 d->id == VIRTIO_ID_BLOCK ? VRING_DESC_F_WRITE : 0, 0);
	return finish(d);
}

/* ---- indirect descriptors ---- */

static const struct {
	const char *name;
	uint32_t len; /* of the table, bytes */
	uint16_t flags; /* beside INDIRECT */
	uint16_t inner_next; /* of its entry 1 */
	uint64_t addr; /* of the table; 0: where it is */
	bool from_end;
} tables[] = {
	{ "empty table", 0, 0, 2, 0, false },
	{ "table of half an entry", 8, 0, 2, 0, false },
	{ "table of three entries and a byte", 49, 0, 2, 0, false },
	{ "table longer than the queue", (RING_NUM + 1) * 16, 0, 2, 0, false },
	{ "table of 64 KiB", 0x10000, 0, 2, 0, false },
	{ "table of 4 GiB", 0xfffffff0, 0, 2, 0, false },
	{ "NEXT beside INDIRECT", 48, VRING_DESC_F_NEXT, 2, 0, false },
	{ "next beyond the table", 48, 0, 3, 0, false },
	{ "next far beyond the table", 48, 0, 0xffff, 0, false },
	{ "loop in the table", 48, 0, 0, 0, false },
	{ "table above RAM", 48, 0, 2, 0, true },
	{ "table across the end of RAM", 48, 0, 2, (uint64_t)-16, true },
	{ "table in a window", 48, 0, 2, WINDOWS, false },
	{ "table around 2^64", 48, 0, 2, (uint64_t)-32, false },
};

/* Move the valid chain to a table. */
static struct vring_desc *make_table(struct dev *d, struct ring *r)
{
	struct vring_desc *table = page_at(d, AT_TABLE);

	memset(table, 0, 2 * (size_t)PAGE);
	memcpy(table, r->desc, 3 * sizeof(*table));
	desc_set(r, 0, page_gpa(d, AT_TABLE), 48, VRING_DESC_F_INDIRECT, 1);
	return table;
}

static const char *bad_tables(struct dev *d)
{
	const uint64_t end = d->h->arena_gpa + d->h->arena_len;
	struct vring_desc *table;
	struct ring *r;

	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		r = begin(d, 0);
		if (r == NULL)
			return "it does not start";
		table = make_table(d, r);
		r->desc[0].len = tables[i].len;
		r->desc[0].flags |= tables[i].flags;
		table[1].next = tables[i].inner_next;
		if (tables[i].from_end || tables[i].addr != 0)
			r->desc[0].addr = tables[i].addr + (tables[i].from_end ? end : 0);
		if (finish(d) != NULL)
			return tables[i].name;
	}
	return NULL;
}

static const char *table_not_negotiated(struct dev *d)
{
	struct ring *r = begin(d, 1ull << VIRTIO_RING_F_INDIRECT_DESC);

	if (r == NULL)
		return "it does not start";
	make_table(d, r);
	return finish(d);
}

/* A good table, to which a table's only entry leads. */
static const char *nested(struct dev *d)
{
	struct ring *r = begin(d, 0);
	struct vring_desc *table;

	if (r == NULL)
		return "it does not start";
	table = make_table(d, r);
	table[16] = r->desc[0];
	r->desc[0].addr = page_gpa(d, AT_TABLE) + 16 * sizeof(*table);
	r->desc[0].len = sizeof(*table);
	return finish(d);
}

/* A table as long as the queue may be, behind one descriptor of the ring. */
static const char *longer_than_the_queue(struct dev *d)
{
	struct ring *r = begin(d, 0);
	struct vring_desc *table;

	if (r == NULL)
		return "it does not start";
	table = make_table(d, r);
	for (unsigned i = 0; i < RING_NUM; i++)
		table[i] =
			(struct vring_desc){ .addr = page_gpa(d, AT_DATA),
					     .len = 16,
					     .flags = i < RING_NUM - 1 ? VRING_DESC_F_NEXT : 0,
					     .next = (uint16_t)(i + 1) };
	r->desc[1] = r->desc[0];
	r->desc[1].len = RING_NUM * 16;
	desc_set(r, 0, page_gpa(d, AT_HEADER), 16, VRING_DESC_F_NEXT, 1);
	return finish(d);
}

/* ---- after a fault ---- */

static const char *deaf_after_fault(struct dev *d)
{
	const unsigned q = main_queue(d);
	struct ring *r = begin(d, 0);

	if (r == NULL)
		return "it does not start";
	ring_offer(r, 0xffff);
	ring_kick(d, q);
	if (!faulted_soon(d))
		return "it was not noticed";
	r->avail->ring[0] = 0;
	ring_offer(r, 0);
	ring_kick(d, q);
	return ring_used(d, q, 100) ? "it goes on without a reset" : NULL;
}

const struct attack chain_attacks[] = {
	{ "available index jumps", 0, index_jumps },
	{ "heads out of range", 0, heads },
	{ "a head in flight", 0, head_in_flight },
	{ "segments that are no RAM", 0, bad_segments },
	{ "next out of range, loops", 0, bad_next },
	{ "a loop through the whole ring", 0, full_loop },
	{ "readable after writable", 0, directions },
	{ "chain of more than 4 GiB", 0, too_many_bytes },
	{ "indirect tables", 0, bad_tables },
	{ "indirect but not negotiated", 0, table_not_negotiated },
	{ "a table in a table", 0, nested },
	{ "chain longer than the queue", 0, longer_than_the_queue },
	{ "requests after a fault", 0, deaf_after_fault },
	{ NULL, 0, NULL },
};
