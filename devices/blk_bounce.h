/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that a drive with O_DIRECT moves its data through: guest memory that Xen maps
 * cannot be pinned. Allocated once, in pieces, and registered with the loop.
 */
#ifndef DEVICES_BLK_BOUNCE_H
#define DEVICES_BLK_BOUNCE_H

#include "vmm/lib/loop.h"

#define BLK_BOUNCE_PIECE (16 * KIB)
#define BLK_BOUNCE_PIECES 64 /* bits of `free` */
/* One request has no more of them at a time. */
#define BLK_BOUNCE_RUN_MAX 32

struct blk_bounce {
	uint8_t *base;
	int index; /* of the registered buffer; -1: it could not be registered */
	uint64_t free; /* pieces, a bit each */
};

/* Pieces that lie one after the other. n == 0: none. */
struct blk_run {
	unsigned first, n;
};

/* 0 or -ENOMEM. */
MUST_CHECK int blk_bounce_create(struct blk_bounce *p, struct loop *l);

/* All is given back. Also on a zeroed one. */
void blk_bounce_destroy(struct blk_bounce *p, struct loop *l);

/* Pieces for `len` bytes, or as many as there are in a row. */
struct blk_run blk_bounce_take(struct blk_bounce *p, size_t len);
void blk_bounce_give(struct blk_bounce *p, struct blk_run *run);

static inline uint8_t *blk_bounce_at(const struct blk_bounce *p, struct blk_run run)
{
	return p->base + run.first * BLK_BOUNCE_PIECE;
}

static inline size_t blk_bounce_len(struct blk_run run)
{
	return run.n * BLK_BOUNCE_PIECE;
}

#endif
