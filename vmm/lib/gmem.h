/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory. The only place where a guest-physical address is turned into
 * something that the monitor can read or write. A gpa_t is a struct, so that it is
 * never mixed up with a host number or pointer.
 *
 * RAM starts at 0 and is flat up to GMEM_HOLE_START; what does not fit below goes on
 * at GMEM_HOLE_END (4 GiB). The hole holds virtio-mmio windows, IOAPIC and LAPIC.
 *
 * Input from the guest: addresses. Each access is checked against RAM as a whole
 * before a byte moves; data is copied, once, into private memory.
 */
#ifndef VMM_LIB_GMEM_H
#define VMM_LIB_GMEM_H

#include "vmm/lib/bytes.h"

#define GMEM_HOLE_START (3 * GIB)
#define GMEM_HOLE_END (4 * GIB)

typedef struct {
	uint64_t v;
} gpa_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){ v };
}

struct gmem_ops {
	/* Copy; the range lies in RAM. 0 or -errno. */
	int (*read)(void *ctx, gpa_t at, void *dst, size_t len);
	int (*write)(void *ctx, gpa_t at, const void *src, size_t len);
};

struct gmem {
	uint64_t low; /* bytes of RAM from 0; at most GMEM_HOLE_START */
	uint64_t high; /* bytes of RAM from GMEM_HOLE_END */
	const struct gmem_ops *ops;
	void *ctx;
};

/* Lay out `size` bytes of RAM, backed by `ops` (borrowed, with `ctx`). */
void gmem_init(struct gmem *m, uint64_t size, const struct gmem_ops *ops, void *ctx);

/* Whether [at, at + len) lies in RAM, in one piece, without wrapping around 2^64. */
bool gmem_contains(const struct gmem *m, gpa_t at, uint64_t len);

/*
 * Copy out of or into guest memory. -EFAULT when the range is not RAM as a whole;
 * otherwise what the backend says.
 */
MUST_CHECK int gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len);
MUST_CHECK int gmem_write(const struct gmem *m, gpa_t at, const void *src, size_t len);

#endif
