/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory: see gmem.h. */
#include "vmm/lib/gmem.h"

#include <errno.h>

void gmem_init(struct gmem *m, uint64_t size, const struct gmem_ops *ops, void *ctx)
{
	m->low = size < GMEM_HOLE_START ? size : GMEM_HOLE_START;
	m->high = size - m->low;
	m->ops = ops;
	m->ctx = ctx;
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
