/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address decoding. Every check of a guest's access against the range it hits is here,
 * so that a device sees only offsets and sizes that lie in its own range.
 */
#include "devices/bus.h"

#include <assert.h>
#include <errno.h>

static uint64_t all_ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * size)) - 1;
}

/* Whether the access lies in the range as a whole, without wrapping around 2^64. */
static bool hits(const struct bus_range *r, enum bus_space space, uint64_t addr, unsigned size)
{
	return r->space == space && addr >= r->first && addr <= r->last && size >= 1 &&
	       size <= 8 && size - 1 <= r->last - addr;
}

static int find(const struct bus *b, enum bus_space space, uint64_t addr, unsigned size)
{
	for (unsigned i = 0; i < b->n; i++)
		if (hits(&b->ranges[i], space, addr, size))
			return (int)i;
	return -1;
}

int bus_add(struct bus *b, const struct bus_range *r)
{
	assert(r->first <= r->last && r->read && r->write);

	if (b->n == BUS_RANGES_MAX)
		return -ENOSPC;
	for (unsigned i = 0; i < b->n; i++) {
		const struct bus_range *o = &b->ranges[i];

		if (o->space == r->space && o->first <= r->last && r->first <= o->last)
			return -EEXIST;
	}
	b->counts[b->n] = (struct bus_count){ 0 };
	b->ranges[b->n++] = *r;
	return 0;
}

uint64_t bus_read(struct bus *b, enum bus_space space, uint64_t addr, unsigned size)
{
	int i = find(b, space, addr, size);
	const struct bus_range *r;

	if (i < 0)
		return all_ones(size);
	r = &b->ranges[i];
	b->counts[i].reads++;
	return r->read(r->dev, addr - r->first, size) & all_ones(size);
}

void bus_write(struct bus *b, enum bus_space space, uint64_t addr, unsigned size,
	       uint64_t value)
{
	int i = find(b, space, addr, size);
	const struct bus_range *r;

	if (i < 0)
		return;
	r = &b->ranges[i];
	b->counts[i].writes++;
	r->write(r->dev, addr - r->first, size, value & all_ones(size));
}
