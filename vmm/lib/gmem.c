/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory: see gmem.h. */
#include "vmm/lib/gmem.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* RAM below the hole, and RAM above it: each is one stretch here, too. */
struct stretch {
	uint64_t start, bytes;
	uint8_t *host; /* reserved; NULL: there is no such RAM */
	bool *mapped; /* each window */
	bool *there; /* each page of those that are mapped */
};

struct gmem_view {
	unsigned refs;
	struct stretch low, high;
};

void gmem_init(struct gmem *m, uint64_t size, const struct gmem_ops *ops, void *ctx)
{
	*m = (struct gmem){ .ops = ops, .ctx = ctx };
	m->low = size < GMEM_HOLE_START ? size : GMEM_HOLE_START;
	m->high = size - m->low;
	m->window_pages = GMEM_WINDOW_PAGES_MIN;
	while (m->window_pages < GMEM_WINDOW_PAGES_MAX &&
	       m->window_pages * PAGE_BYTES * GMEM_WINDOWS_MAX < size)
		m->window_pages *= 2;
}

bool gmem_contains(const struct gmem *m, gpa_t at, uint64_t len)
{
	uint64_t end;

	if (!add_u64(at.v, len, &end))
		return false;
	if (at.v >= GMEM_HOLE_END)
		return end <= GMEM_HOLE_END + m->high;
	return end <= m->low;
}

int gmem_read(const struct gmem *m, gpa_t at, void *dst, size_t len)
{
	if (!gmem_contains(m, at, len))
		return -EFAULT;
	return m->ops->read(m->ctx, at, dst, len);
}

int gmem_write(const struct gmem *m, gpa_t at, const void *src, size_t len)
{
	if (!gmem_contains(m, at, len))
		return -EFAULT;
	return m->ops->write(m->ctx, at, src, len);
}

/* ---- views ---- */

static int stretch_init(struct stretch *s, uint64_t start, uint64_t bytes, unsigned window)
{
	uint64_t pages = align_up(bytes, PAGE_BYTES) / PAGE_BYTES;
	void *host;

	if (bytes == 0)
		return 0;
	host = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (host == MAP_FAILED)
		return -ENOMEM;
	*s = (struct stretch){ .start = start, .bytes = bytes, .host = host };
	s->mapped = calloc(align_up(pages, window) / window, sizeof(*s->mapped));
	s->there = calloc(pages, sizeof(*s->there));
	return s->mapped && s->there ? 0 : -ENOMEM;
}

static void stretch_fini(struct stretch *s)
{
	if (s->host)
		munmap(s->host, s->bytes);
	free(s->mapped);
	free(s->there);
}

static void view_free(struct gmem *m, struct gmem_view *v)
{
	stretch_fini(&v->low);
	stretch_fini(&v->high);
	free(v);
	m->views--;
}

static struct gmem_view *view_new(struct gmem *m)
{
	struct gmem_view *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	m->views++;
	if (stretch_init(&v->low, 0, m->low, m->window_pages) < 0 ||
	    stretch_init(&v->high, GMEM_HOLE_END, m->high, m->window_pages) < 0) {
		view_free(m, v);
		return NULL;
	}
	return v;
}

/* The latest view stays when nobody uses it; a replaced one goes. */
static void replace_view(struct gmem *m)
{
	struct gmem_view *old = m->view;

	if (old && old->refs > 0 && m->views >= GMEM_VIEWS_MAX)
		return;
	m->view = NULL;
	m->stale = false;
	if (old && old->refs == 0)
		view_free(m, old);
}

struct gmem_view *gmem_get(struct gmem *m)
{
	if (!m->ops->map)
		return NULL;
	if (m->stale)
		replace_view(m);
	if (!m->view)
		m->view = view_new(m);
	if (m->view)
		m->view->refs++;
	return m->view;
}

void gmem_put(struct gmem *m, struct gmem_view *v)
{
	assert(v->refs > 0);
	if (--v->refs == 0 && v != m->view)
		view_free(m, v);
}

/* ---- windows ---- */

/* Map pages from the `first` on; whether any is there. */
static bool map_pages(const struct gmem *m, struct stretch *s, uint64_t first, unsigned pages)
{
	uint64_t off = first * PAGE_BYTES;

	return m->ops->map(m->ctx, gpa(s->start + off), s->host + off, pages,
			   s->there + first) == 0;
}

static bool map_window(const struct gmem *m, struct stretch *s, uint64_t window)
{
	uint64_t first = window * m->window_pages;
	uint64_t left = s->bytes / PAGE_BYTES - first;

	s->mapped[window] =
		map_pages(m, s, first,
			  left < m->window_pages ? (unsigned)left : m->window_pages);
	return s->mapped[window];
}

/* A page that was not there when its window was mapped may have come since. */
static bool page_there(const struct gmem *m, struct stretch *s, uint64_t page)
{
	uint64_t window = page / m->window_pages;

	if (!s->mapped[window] && !map_window(m, s, window))
		return false;
	if (!s->there[page])
		s->there[page] = map_pages(m, s, page, 1);
	return s->there[page];
}

void *gmem_ptr(struct gmem *m, struct gmem_view *v, gpa_t at, size_t len)
{
	struct stretch *s = at.v >= GMEM_HOLE_END ? &v->high : &v->low;
	uint64_t off = at.v - s->start;

	if (len == 0 || !gmem_contains(m, at, len))
		return NULL;
	for (uint64_t page = off / PAGE_BYTES; page <= (off + len - 1) / PAGE_BYTES; page++)
		if (!page_there(m, s, page))
			return NULL;
	return s->host + off;
}

void gmem_invalidate(struct gmem *m)
{
	m->stale = true;
}

void gmem_fini(struct gmem *m)
{
	m->stale = true;
	if (m->ops)
		replace_view(m);
	assert(m->views == 0);
}
