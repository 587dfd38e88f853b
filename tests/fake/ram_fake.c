/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM for tests: see ram_fake.h. */
#include "tests/fake/ram_fake.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int ram_read(void *ctx, gpa_t at, void *dst, size_t len)
{
	struct ram_fake *r = ctx;

	memcpy(dst, r->bytes + at.v, len);
	return 0;
}

static int ram_write(void *ctx, gpa_t at, const void *src, size_t len)
{
	struct ram_fake *r = ctx;

	if (r->on_write != NULL)
		r->on_write(r->on_write_ctx);
	if (++r->writes == r->fail_write)
		return -EIO;
	memcpy(r->bytes + at.v, src, len);
	r->written += len;
	if (len > r->largest)
		r->largest = len;
	return 0;
}

/* The same bytes once more, at another address. */
static int ram_map(void *ctx, gpa_t at, void *host, unsigned pages, bool *there)
{
	struct ram_fake *r = ctx;
	bool any = false;

	r->maps++;
	for (unsigned i = 0; i < pages; i++) {
		there[i] = at.v + i * PAGE_BYTES < r->hole ||
			   at.v + i * PAGE_BYTES >= r->hole + r->hole_bytes;
		any = any || there[i];
	}
	if (!any)
		return -EINVAL;
	if (mmap(host, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 r->fd, (off_t)at.v) == MAP_FAILED)
		return -errno;
	/* Nobody may touch what is not there. */
	for (unsigned i = 0; i < pages; i++)
		if (!there[i])
			mprotect((uint8_t *)host + i * PAGE_BYTES, PAGE_BYTES, PROT_NONE);
	return 0;
}

static const struct gmem_ops ram_ops = { .read = ram_read, .write = ram_write, .map = ram_map };

void ram_fake_init(struct ram_fake *r, uint64_t size)
{
	memset(r, 0, sizeof(*r));
	gmem_init(&r->gmem, size, &ram_ops, r);
	r->fd = memfd_create("ram", MFD_CLOEXEC);
	if (r->fd < 0 || ftruncate(r->fd, (off_t)r->gmem.low) < 0 || r->gmem.high != 0)
		abort();
	r->bytes = mmap(NULL, r->gmem.low, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->bytes == MAP_FAILED)
		abort();
}

void ram_fake_free(struct ram_fake *r)
{
	gmem_fini(&r->gmem);
	munmap(r->bytes, r->gmem.low);
	close(r->fd);
	r->bytes = NULL;
}
