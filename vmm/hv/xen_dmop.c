/* SPDX-License-Identifier: Apache-2.0 */
/* dm_ops of our own: see xen_dmop.h. */
#include "vmm/hv/xen_dmop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <xen/xen.h>

#include <xen/hvm/dm_op.h>
#include <xen/sys/privcmd.h>

#define PRIVCMD "/dev/xen/privcmd"
/* Linux' defaults (drivers/xen/privcmd.c), should its parameters be unreadable. */
#define DEFAULT_BUFS 16
#define DEFAULT_BUF_BYTES 4096
#define BUFS_MAX 64

void xen_dmop_init(struct xen_dmop *d)
{
	*d = (struct xen_dmop){ .fd = -1 };
}

static size_t parameter(const char *name, size_t otherwise)
{
	char path[128], text[32] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/xen_privcmd/parameters/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return otherwise;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? strtoul(text, NULL, 10) : otherwise;
}

int xen_dmop_open(struct xen_dmop *d)
{
	d->fd = open(PRIVCMD, O_RDWR | O_CLOEXEC);
	if (d->fd < 0)
		return -errno;
	/* One buffer holds the operation itself, the others are filled one after another. */
	d->buf_bytes = parameter("dm_op_buf_max_size", DEFAULT_BUF_BYTES);
	d->chunk = d->buf_bytes *
		   (min_size(parameter("dm_op_max_nr_bufs", DEFAULT_BUFS), BUFS_MAX) - 1);
	return 0;
}

int xen_dmop_restrict(struct xen_dmop *d, uint32_t domid)
{
	domid_t id = (domid_t)domid;

	return ioctl(d->fd, IOCTL_PRIVCMD_RESTRICT, &id) < 0 ? -errno : 0;
}

void xen_dmop_close(struct xen_dmop *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static int call(struct xen_dmop *d, uint32_t domid, const privcmd_dm_op_buf_t *bufs, unsigned n)
{
	privcmd_dm_op_t op = { .dom = (domid_t)domid, .num = (uint16_t)n, .ubufs = bufs };

	d->calls++;
	return ioctl(d->fd, IOCTL_PRIVCMD_DM_OP, &op) < 0 ? -errno : 0;
}

static int simple(struct xen_dmop *d, uint32_t domid, struct xen_dm_op *op)
{
	privcmd_dm_op_buf_t buf = { .uptr = op, .size = sizeof(*op) };

	return call(d, domid, &buf, 1);
}

int xen_dmop_features(struct xen_dmop *d, uint32_t domid, uint64_t *out)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_features };
	int rc = simple(d, domid, &op);

	if (rc == -EOPNOTSUPP) {
		*out = 0;
		return 0;
	}
	if (rc < 0)
		return rc;
	*out = op.u.xenolith_features.version == XENOLITH_ABI_VERSION ?
		       op.u.xenolith_features.features :
		       0;
	return 0;
}

int xen_dmop_lifecycle(struct xen_dmop *d, uint32_t domid, struct xen_lifecycle *out)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_lifecycle };
	int rc = simple(d, domid, &op);

	if (rc < 0)
		return rc;
	out->port = op.u.xenolith_lifecycle.port;
	out->shut_down = op.u.xenolith_lifecycle.flags & XENOLITH_LIFECYCLE_shutdown;
	out->dying = op.u.xenolith_lifecycle.flags & XENOLITH_LIFECYCLE_dying;
	out->reason = op.u.xenolith_lifecycle.reason;
	return 0;
}

int xen_dmop_lifeline(struct xen_dmop *d, uint32_t domid, uint32_t *port)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_lifeline };
	int rc = simple(d, domid, &op);

	if (rc < 0)
		return rc;
	*port = op.u.xenolith_lifeline.port;
	return 0;
}

int xen_dmop_pulse(struct xen_dmop *d, uint32_t domid, unsigned gsi)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_pulse, .u.xenolith_pulse.gsi = gsi };

	return simple(d, domid, &op);
}

int xen_dmop_doorbell(struct xen_dmop *d, uint32_t domid, unsigned server,
		      const struct hv_doorbell *b, uint32_t *port)
{
	struct xen_dm_op op = {
		.op = XEN_DMOP_xenolith_doorbell,
		.u.xenolith_doorbell = { .id = (ioservid_t)server,
					 .type = XEN_DMOP_IO_RANGE_MEMORY,
					 .width = 4,
					 .flags = XENOLITH_DOORBELL_match,
					 .addr = b->addr,
					 .data = b->data },
	};
	int rc = simple(d, domid, &op);

	if (rc == 0)
		*port = op.u.xenolith_doorbell.port;
	return rc;
}

int xen_dmop_clears(struct xen_dmop *d, uint32_t domid, unsigned server, uint64_t addr,
		    gpa_t word)
{
	struct xen_dm_op op = {
		.op = XEN_DMOP_xenolith_doorbell,
		.u.xenolith_doorbell = { .id = (ioservid_t)server,
					 .type = XEN_DMOP_IO_RANGE_MEMORY,
					 .width = 4,
					 .flags = XENOLITH_DOORBELL_silent |
						  XENOLITH_DOORBELL_clear,
					 .addr = addr,
					 .clear = word.v },
	};

	return simple(d, domid, &op);
}

int xen_dmop_irq_port(struct xen_dmop *d, uint32_t domid, unsigned server, unsigned gsi,
		      uint32_t *port)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_irq_port,
				.u.xenolith_irq_port = { .id = (ioservid_t)server,
							 .gsi = gsi } };
	int rc = simple(d, domid, &op);

	if (rc == 0)
		*port = op.u.xenolith_irq_port.port;
	return rc;
}

int xen_dmop_mappable_only(struct xen_dmop *d, uint32_t domid, unsigned server)
{
	struct xen_dm_op op = {
		.op = XEN_DMOP_xenolith_server,
		.u.xenolith_server = { .id = (ioservid_t)server,
				       .flags = XENOLITH_SERVER_invalidate_mappable },
	};

	return simple(d, domid, &op);
}

/* One copy of at most d->chunk bytes. */
static int copy_chunk(struct xen_dmop *d, uint32_t domid, gpa_t at, char *data, size_t len,
		      uint32_t direction)
{
	struct xen_dm_op op = { .op = XEN_DMOP_xenolith_guest_copy };
	privcmd_dm_op_buf_t bufs[BUFS_MAX] = { { .uptr = &op, .size = sizeof(op) } };
	unsigned n = 1;

	op.u.xenolith_guest_copy.gpa = at.v;
	op.u.xenolith_guest_copy.flags = direction;
	for (size_t off = 0; off < len; off += d->buf_bytes)
		bufs[n++] = (privcmd_dm_op_buf_t){ .uptr = data + off,
						   .size = min_size(d->buf_bytes, len - off) };
	return call(d, domid, bufs, n);
}

static int copy(struct xen_dmop *d, uint32_t domid, gpa_t at, char *data, size_t len,
		uint32_t direction)
{
	while (len > 0) {
		size_t n = min_size(len, d->chunk);
		int rc = copy_chunk(d, domid, at, data, n, direction);

		if (rc < 0)
			return rc;
		at.v += n;
		data += n;
		len -= n;
	}
	return 0;
}

/*
 * Linux pins a buffer as one that will be written, whichever way its data goes: what lies
 * in memory that may only be read is copied to where it may.
 */
static int copy_read_only(struct xen_dmop *d, uint32_t domid, gpa_t to, const char *src,
			  size_t len)
{
	char buffer[1024];

	for (size_t off = 0; off < len; off += sizeof(buffer)) {
		size_t n = min_size(len - off, sizeof(buffer));
		int rc;

		memcpy(buffer, src + off, n);
		rc = copy(d, domid, gpa(to.v + off), buffer, n, XENOLITH_COPY_to_guest);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int xen_dmop_copy_to(struct xen_dmop *d, uint32_t domid, gpa_t to, const void *src, size_t len)
{
	/* The interface has one kind of buffer; this direction only reads it. */
	int rc = copy(d, domid, to, (char *)(uintptr_t)src, len, XENOLITH_COPY_to_guest);

	return rc == -EFAULT ? copy_read_only(d, domid, to, src, len) : rc;
}

int xen_dmop_copy_from(struct xen_dmop *d, uint32_t domid, void *dst, gpa_t from, size_t len)
{
	return copy(d, domid, from, dst, len, XENOLITH_COPY_from_guest);
}
