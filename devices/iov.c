/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of memory segments: see iov.h. */
#include "devices/iov.h"

/* The compiler must not copy again, or later, what others change meanwhile. */
static void copy(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	__asm__ volatile("" : : "r"(dst) : "memory");
}

/* The segments that make up the range, one a call: false after the last. */
struct walk {
	const struct iovec *iov;
	unsigned n;
	size_t off, len; /* off: in iov[0] */
};

static bool next(struct walk *w, struct iovec *part)
{
	while (w->n > 0 && w->off >= w->iov->iov_len) {
		w->off -= w->iov->iov_len;
		w->iov++;
		w->n--;
	}
	if (w->n == 0 || w->len == 0)
		return false;
	part->iov_base = (char *)w->iov->iov_base + w->off;
	part->iov_len = min_size(w->iov->iov_len - w->off, w->len);
	w->off += part->iov_len;
	w->len -= part->iov_len;
	return true;
}

size_t iov_read(const struct iovec *iov, unsigned n, size_t off, void *dst, size_t len)
{
	struct walk w = { iov, n, off, len };
	struct iovec part;
	size_t done = 0;

	while (next(&w, &part)) {
		copy((char *)dst + done, part.iov_base, part.iov_len);
		done += part.iov_len;
	}
	return done;
}

size_t iov_write(const struct iovec *iov, unsigned n, size_t off, const void *src, size_t len)
{
	struct walk w = { iov, n, off, len };
	struct iovec part;
	size_t done = 0;

	while (next(&w, &part)) {
		copy(part.iov_base, (const char *)src + done, part.iov_len);
		done += part.iov_len;
	}
	return done;
}

unsigned iov_slice(const struct iovec *iov, unsigned n, size_t off, size_t len,
		   struct iovec *out, unsigned max)
{
	struct walk w = { iov, n, off, len };
	struct iovec part;
	unsigned parts = 0;

	for (; next(&w, &part); parts++)
		if (parts < max)
			out[parts] = part;
	return parts;
}

void iov_advance(struct iovec **iov, unsigned *n, size_t bytes)
{
	while (*n > 0 && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		++*iov;
		--*n;
	}
	if (*n == 0)
		return;
	(*iov)->iov_base = (char *)(*iov)->iov_base + bytes;
	(*iov)->iov_len -= bytes;
}
