/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address decoding: finds the device behind a guest's port or memory address. The
 * ranges are few and fixed, so they are an array that is searched in order.
 *
 * Input from the guest: space, address, size and value of every access.
 */
#ifndef DEVICES_BUS_H
#define DEVICES_BUS_H

#include "vmm/lib/bytes.h"

#define BUS_RANGES_MAX 64

enum bus_space { BUS_PIO, BUS_MMIO };

struct bus_range {
	enum bus_space space;
	uint64_t first, last; /* inclusive */
	const char *name;
	void *dev;
	/* `off` is from `first`; `size` is 1, 2, 4 or 8. The access lies in the range. */
	uint64_t (*read)(void *dev, uint64_t off, unsigned size);
	void (*write)(void *dev, uint64_t off, unsigned size, uint64_t value);
};

struct bus_count {
	uint64_t reads, writes;
};

struct bus {
	unsigned n;
	struct bus_range ranges[BUS_RANGES_MAX];
	struct bus_count counts[BUS_RANGES_MAX];
};

/* Add a range (copied). 0, -ENOSPC, or -EEXIST when it overlaps another one. */
MUST_CHECK int bus_add(struct bus *b, const struct bus_range *r);

/*
 * Do one access. A read of an address that no device has gives all ones, a write to
 * one is dropped, as on hardware; so does an access that straddles a range's end.
 */
uint64_t bus_read(struct bus *b, enum bus_space space, uint64_t addr, unsigned size);
void bus_write(struct bus *b, enum bus_space space, uint64_t addr, unsigned size,
	       uint64_t value);

#endif
