/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM for tests: see ram_fake.h. */
#include "tests/fake/ram_fake.h"

#include <errno.h>
#include <stdlib.h>

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

static const struct gmem_ops ram_ops = { .read = ram_read, .write = ram_write };

void ram_fake_init(struct ram_fake *r, uint64_t size)
{
	memset(r, 0, sizeof(*r));
	gmem_init(&r->gmem, size, &ram_ops, r);
	r->bytes = calloc(1, r->gmem.low);
	if (r->bytes == NULL || r->gmem.high != 0)
		abort();
}

void ram_fake_free(struct ram_fake *r)
{
	free(r->bytes);
	r->bytes = NULL;
}
