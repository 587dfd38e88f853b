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
	uint64_t *valid; /* a mask for each window */
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

static int stretch_init(struct stretch *s, uint64_t start, uint64_t bytes)
{
	void *host;

	if (bytes == 0)
		return 0;
	host = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (host == MAP_FAILED)
		return -ENOMEM;
	*s = (struct stretch){ .start = start, .bytes = bytes, .host = host };
	s->valid = calloc((bytes + GMEM_WINDOW - 1) / GMEM_WINDOW, sizeof(*s->valid));
	return s->valid ? 0 : -ENOMEM;
}

static void stretch_fini(struct stretch *s)
{
	if (s->host)
		munmap(s->host, s->bytes);
	free(s->valid);
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
	if (stretch_init(&v->low, 0, m->low) < 0 ||
	    stretch_init(&v->high, GMEM_HOLE_END, m->high) < 0) {
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

/* Map one page that was not there when its window was mapped. */
static bool map_page(const struct gmem *m, struct stretch *s, uint64_t page)
{
	uint64_t off = page * PAGE_BYTES, valid = 0;

	if (m->ops->map(m->ctx, gpa(s->start + off), s->host + off, 1, &valid) < 0 ||
	    !(valid & 1))
		return false;
	s->valid[page / GMEM_WINDOW_PAGES] |= UINT64_C(1) << page % GMEM_WINDOW_PAGES;
	return true;
}

static bool map_window(const struct gmem *m, struct stretch *s, uint64_t window)
{
	uint64_t off = window * GMEM_WINDOW;
	uint64_t pages = (s->bytes - off) / PAGE_BYTES;
	uint64_t valid = 0;

	if (pages > GMEM_WINDOW_PAGES)
		pages = GMEM_WINDOW_PAGES;
	if (m->ops->map(m->ctx, gpa(s->start + off), s->host + off, (unsigned)pages, &valid) <
	    0)
		return false;
	s->valid[window] = valid;
	return valid != 0;
}

static bool page_there(const struct gmem *m, struct stretch *s, uint64_t page)
{
	uint64_t window = page / GMEM_WINDOW_PAGES;

	if (!s->valid[window] && !map_window(m, s, window))
		return false;
	return s->valid[window] >> page % GMEM_WINDOW_PAGES & 1 || map_page(m, s, page);
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
