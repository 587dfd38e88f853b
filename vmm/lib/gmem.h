/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory. The only place where a guest-physical address is turned into
 * something that the monitor can read or write. A gpa_t is a struct, so that it is
 * never mixed up with a host number or pointer.
 *
 * RAM starts at 0 and is flat up to GMEM_HOLE_START; what does not fit below goes on
 * at GMEM_HOLE_END (4 GiB). The hole holds virtio-mmio windows, IOAPIC and LAPIC.
 *
 * Two ways to reach it. gmem_read and gmem_write copy. A view maps: RAM appears in one
 * reserved stretch of our address space, in which windows are mapped when they are first
 * asked for and then kept, so that what is contiguous for the guest is contiguous here. A
 * page that cannot be mapped (the guest put something else in its place) is an error of that
 * access only.
 *
 * Each window is a mapping for the kernel, which limits how many a process has (65530,
 * vm.max_map_count), and what is mapped and not used is for nothing: a page costs a driver
 * domain 27 us. So a window is as small as GMEM_WINDOWS_MAX of them allow.
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

#define GMEM_WINDOW_PAGES_MIN 16
#define GMEM_WINDOW_PAGES_MAX 0x40000 /* for 16 TiB: nobody has more, a client may say so */
#define GMEM_WINDOWS_MAX 16384 /* of a view, give or take one */

struct gmem_ops {
	/* Copy; the range lies in RAM. 0 or -errno. */
	int (*read)(void *ctx, gpa_t at, void *dst, size_t len);
	int (*write)(void *ctx, gpa_t at, const void *src, size_t len);
	/*
	 * Map `pages` (> 0) pages of RAM, from `at` (of a page) on, for reading and writing,
	 * in place of whatever is mapped at `host`. there[i] says whether page i is there; the
	 * others are never touched. 0, or -errno when none is, and there[] means nothing.
	 * NULL: views cannot be had (-EOPNOTSUPP).
	 */
	int (*map)(void *ctx, gpa_t at, void *host, unsigned pages, bool *there);
};

/* Mappings of guest memory, counted by those who use them. */
struct gmem_view;

struct gmem {
	uint64_t low; /* bytes of RAM from 0; at most GMEM_HOLE_START */
	uint64_t high; /* bytes of RAM from GMEM_HOLE_END */
	unsigned window_pages; /* that a view maps at a time; a power of two */
	const struct gmem_ops *ops;
	void *ctx;
	struct gmem_view *view; /* the latest; NULL: none yet */
	unsigned views; /* that exist */
	bool stale; /* the latest one is to be replaced */
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

/*
 * The latest view, with a reference that the caller gives back. NULL when memory is
 * short or the backend cannot map. Pointers into a view are good until it is put.
 */
MUST_CHECK struct gmem_view *gmem_get(struct gmem *m);
void gmem_put(struct gmem *m, struct gmem_view *view);

/*
 * Where [at, at + len) (len > 0) is in the view, mapping what is not mapped yet; NULL when
 * it is not RAM as a whole, or a page of it cannot be mapped. The memory changes under the
 * reader: what is read to be checked must be copied first, once.
 */
MUST_CHECK void *gmem_ptr(struct gmem *m, struct gmem_view *view, gpa_t at, size_t len);

/*
 * The guest gave pages back, or put others in their place: views made from now on map
 * afresh. Views in use stay as they are until they are put. At most GMEM_VIEWS_MAX
 * exist; while there are that many, the latest is used on.
 */
#define GMEM_VIEWS_MAX 64
void gmem_invalidate(struct gmem *m);

/* Unmap everything. No view is in use. `m` can be initialised again. */
void gmem_fini(struct gmem *m);

#endif
