/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for O_DIRECT: see blk_bounce.h. */
#include "devices/blk_bounce.h"

#include <errno.h>
#include <sys/mman.h>

#include "vmm/lib/log.h"

#define BYTES (BLK_BOUNCE_PIECES * BLK_BOUNCE_PIECE)

_Static_assert(BLK_BOUNCE_PIECES == 64, "blk_bounce.free has a bit for each");

int blk_bounce_create(struct blk_bounce *p, struct loop *l)
{
	void *base =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	p->base = base;
	p->free = UINT64_MAX;
	p->index = loop_buffer_add(l, base, BYTES);
	if (p->index < 0) {
		/* Most likely RLIMIT_MEMLOCK. It costs time only. */
		log_info("blk", "bounce buffer not registered: %s", strerror(-p->index));
		p->index = -1;
	}
	return 0;
}

void blk_bounce_destroy(struct blk_bounce *p, struct loop *l)
{
	if (!p->base)
		return;
	if (p->index >= 0)
		loop_buffer_remove(l, p->index);
	(void)munmap(p->base, BYTES);
	*p = (struct blk_bounce){ 0 };
}

static uint64_t mask(struct blk_run run)
{
	return ((UINT64_C(1) << run.n) - 1) << run.first;
}

struct blk_run blk_bounce_take(struct blk_bounce *p, size_t len)
{
	size_t want = (len + BLK_BOUNCE_PIECE - 1) / BLK_BOUNCE_PIECE;
	unsigned most = (unsigned)min_size(want, BLK_BOUNCE_RUN_MAX);
	struct blk_run run = { 0 };
	uint64_t starts = p->free;

	/* Bit i of `starts`: run.n + 1 pieces are free from i on. */
	while (starts && run.n < most) {
		run.n++;
		run.first = (unsigned)__builtin_ctzll(starts);
		starts &= p->free >> run.n;
	}
	p->free &= ~mask(run);
	return run;
}

void blk_bounce_give(struct blk_bounce *p, struct blk_run *run)
{
	p->free |= mask(*run);
	*run = (struct blk_run){ 0 };
}
