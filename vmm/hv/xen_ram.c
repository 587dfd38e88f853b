/* SPDX-License-Identifier: Apache-2.0 */
/* A domain's RAM: see xen_ram.h. */
#include "vmm/hv/xen_ram.h"

#include <errno.h>

#include "vmm/lib/gmem.h"
#include "vmm/lib/layout.h"

#define EXTENT_ORDER_2M 9
/* Beyond RAM: what the guest kernel may ask to have mapped for itself, register pages. */
#define EXTRA_KIB (256 + LAYOUT_VIRTIO_MAX * LAYOUT_VIRTIO_WINDOW / KIB)

/* Reserve the pages first, so that a guest that does not fit takes none away. */
static int claim(struct xen_calls *c, uint32_t domid, uint64_t pages, uint64_t ram,
		 struct err *e)
{
	long rc;

	xen_calls_reservation(c, domid)->nr_extents = pages;
	rc = xen_calls_memory_op(c, XENMEM_claim_pages);
	/* Only a control domain may claim. */
	if (rc == -EPERM || rc == -ENOSYS)
		return 0;
	if (rc < 0)
		return err_set(e, -ENOMEM, "the host has not enough free memory for %llu MiB",
			       (unsigned long long)(ram / MIB));
	return 0;
}

/* `n` extents of one order from `gfn` on; how many there are now, or -errno. */
static long populate_some(struct xen_calls *c, uint32_t domid, uint64_t gfn, unsigned n,
			  unsigned order)
{
	struct xen_memory_reservation *r = xen_calls_reservation(c, domid);

	for (unsigned i = 0; i < n; i++)
		c->extents[i] = gfn + ((uint64_t)i << order);
	set_xen_guest_handle(r->extent_start, c->extents);
	r->nr_extents = n;
	r->extent_order = order;
	return xen_calls_memory_op(c, XENMEM_populate_physmap);
}

static int populate_pages(struct xen_calls *c, uint32_t domid, uint64_t gfn, uint64_t n)
{
	long done = populate_some(c, domid, gfn, (unsigned)n, 0);

	if (done < 0)
		return (int)done;
	return (uint64_t)done == n ? 0 : -ENOMEM;
}

/* RAM from `gfn` on: 2 MiB extents, or single pages where there are none left. */
static int populate_range(struct xen_calls *c, uint32_t domid, uint64_t gfn, uint64_t pages)
{
	const uint64_t chunk = UINT64_C(1) << EXTENT_ORDER_2M;

	while (pages >= chunk) {
		unsigned n = (unsigned)min_size(pages / chunk, XEN_CALLS_EXTENTS_MAX);
		long done = populate_some(c, domid, gfn, n, EXTENT_ORDER_2M);

		if (done == (long)n) {
			gfn += n * chunk;
			pages -= n * chunk;
			continue;
		}
		if (done < 0)
			return (int)done;
		gfn += (uint64_t)done * chunk;
		pages -= (uint64_t)done * chunk;
		done = populate_pages(c, domid, gfn, chunk);
		if (done < 0)
			return (int)done;
		gfn += chunk;
		pages -= chunk;
	}
	return pages ? populate_pages(c, domid, gfn, pages) : 0;
}

int xen_ram_populate(struct xen_calls *c, uint32_t domid, uint64_t ram, struct err *e)
{
	struct gmem layout;
	int rc;

	gmem_init(&layout, ram, NULL, NULL);
	xen_calls_domctl(c, domid)->u.max_mem.max_memkb = ram / KIB + EXTRA_KIB;
	rc = xen_calls_do(c, XEN_DOMCTL_max_mem, "max_mem", e);
	if (rc == -ENOSPC)
		return err_set(e, rc,
			       "the quota of this driver domain has no room for %llu MiB",
			       (unsigned long long)(ram / MIB));
	if (rc == 0)
		rc = claim(c, domid, ram / PAGE_BYTES, ram, e);
	if (rc < 0)
		return rc;
	rc = populate_range(c, domid, 0, layout.low / PAGE_BYTES);
	if (rc == 0)
		rc = populate_range(c, domid, GMEM_HOLE_END / PAGE_BYTES,
				    layout.high / PAGE_BYTES);
	if (rc < 0)
		return err_set(e, rc, "the host has not enough free memory for %llu MiB (%s)",
			       (unsigned long long)(ram / MIB), strerror(-rc));
	return 0;
}

int xen_ram_add(struct xen_calls *c, uint32_t domid, uint64_t at, unsigned n, struct err *e)
{
	int rc = populate_pages(c, domid, at / PAGE_BYTES, n);

	if (rc < 0)
		return err_set(e, rc, "domain %u: %u pages at %#llx: %s", domid, n,
			       (unsigned long long)at, strerror(-rc));
	return 0;
}
