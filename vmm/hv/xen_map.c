/* SPDX-License-Identifier: Apache-2.0 */
/* Foreign mappings: see xen_map.h. */
#include "vmm/hv/xen_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int xen_map_open(struct xen_map *m, uint32_t domid)
{
	*m = (struct xen_map){ .domid = (domid_t)domid };
	m->fmem = xenforeignmemory_open(NULL, 0);
	return m->fmem ? 0 : -errno;
}

void xen_map_close(struct xen_map *m)
{
	if (m->fmem)
		xenforeignmemory_close(m->fmem);
	m->fmem = NULL;
}

/*
 * At `host` exactly, or anywhere when it is NULL. Where it went, with how many of the pages
 * are there in *good, and which in there[] unless that is NULL; NULL with errno when none is.
 */
static void *map(struct xen_map *m, gpa_t at, void *host, unsigned pages, bool *there,
		 unsigned *good)
{
	xen_pfn_t *frames;
	int *errors, rc = 0;
	void *got;

	assert(pages >= 1 && at.v % PAGE_BYTES == 0);
	frames = malloc(pages * (sizeof(*frames) + sizeof(*errors)));
	if (!frames)
		return NULL;
	errors = (int *)(frames + pages);
	for (unsigned i = 0; i < pages; i++)
		frames[i] = at.v / PAGE_BYTES + i;
	got = xenforeignmemory_map2(m->fmem, m->domid, host, PROT_READ | PROT_WRITE,
				    host ? MAP_FIXED : 0, pages, frames, errors);
	if (!got)
		rc = errno;
	*good = 0;
	for (unsigned i = 0; got && i < pages; i++) {
		if (there)
			there[i] = errors[i] == 0;
		if (errors[i] == 0)
			++*good;
		else if (rc == 0)
			rc = -errors[i];
	}
	if (got && *good == 0) {
		xenforeignmemory_unmap(m->fmem, got, pages);
		got = NULL;
	}
	free(frames);
	m->pages_mapped += *good;
	errno = rc;
	return got;
}

/* Nothing accessible there, and nobody else's mapping either. 0 or -errno. */
static int reserve(void *host, unsigned pages)
{
	return mmap(host, pages * PAGE_BYTES, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		    0) == MAP_FAILED ?
		       -errno :
		       0;
}

/*
 * Map again what is there, each piece by itself. Privcmd's mappings can only be undone as a
 * whole: it frees the pages of a PVH domain by where a mapping starts and how long it is, and
 * newer kernels refuse to split one (-ENOMEM). So the holes must not belong to one, should
 * they be filled later.
 */
static int map_pieces(struct xen_map *m, gpa_t at, uint8_t *host, unsigned pages, bool *there)
{
	bool any = false;
	int rc = reserve(host, pages);

	for (unsigned i = 0, n, good; rc == 0 && i < pages; i += n) {
		bool wanted = there[i];

		for (n = 1; i + n < pages && there[i + n] == wanted; n++)
			;
		if (!wanted)
			continue;
		if (map(m, gpa(at.v + i * PAGE_BYTES), host + i * PAGE_BYTES, n, NULL, &good) &&
		    good == n) {
			any = true;
		} else {
			memset(there + i, 0, n * sizeof(*there));
			rc = reserve(host + i * PAGE_BYTES, n);
		}
	}
	return rc == 0 && !any ? -EFAULT : rc;
}

int xen_map_at(struct xen_map *m, gpa_t at, void *host, unsigned pages, bool *there)
{
	unsigned good;
	int rc, again;

	if (!map(m, at, host, pages, there, &good)) {
		rc = -errno;
		/* A failure leaves a gap, which the next mmap of anybody might fill. */
		again = reserve(host, pages);
		return again < 0 ? again : rc;
	}
	return good == pages ? 0 : map_pieces(m, at, host, pages, there);
}

int xen_map_anywhere(struct xen_map *m, gpa_t at, unsigned pages, void **out)
{
	unsigned good;
	void *got = map(m, at, NULL, pages, NULL, &good);

	if (!got)
		return -errno;
	if (good != pages) {
		xenforeignmemory_unmap(m->fmem, got, pages);
		return -EFAULT;
	}
	*out = got;
	return 0;
}

void xen_map_undo(struct xen_map *m, void *at, unsigned pages)
{
	xenforeignmemory_unmap(m->fmem, at, pages);
}

/* ---- copies ---- */

#define COPY_BYTES (64 * PAGE_BYTES) /* mapped at a time */

static int map_copy(struct xen_map *m, gpa_t at, char *data, size_t len, bool to_guest)
{
	while (len > 0) {
		size_t off = at.v % PAGE_BYTES;
		size_t n = min_size(len, COPY_BYTES - off);
		unsigned pages = (unsigned)(align_up(off + n, PAGE_BYTES) / PAGE_BYTES);
		void *window;
		int rc = xen_map_anywhere(m, gpa(at.v - off), pages, &window);

		if (rc < 0)
			return rc;
		if (to_guest)
			memcpy((char *)window + off, data, n);
		else
			memcpy(data, (char *)window + off, n);
		xen_map_undo(m, window, pages);
		at.v += n;
		data += n;
		len -= n;
	}
	return 0;
}

int xen_map_copy_to(struct xen_map *m, gpa_t to, const void *src, size_t len)
{
	return map_copy(m, to, (char *)(uintptr_t)src, len, true);
}

int xen_map_copy_from(struct xen_map *m, void *dst, gpa_t from, size_t len)
{
	return map_copy(m, from, dst, len, false);
}
