/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dm_ops that libxendevicemodel has no function for: those of hypervisor-patches/ABI.md.
 * Through IOCTL_PRIVCMD_DM_OP, which works on a descriptor that is restricted to one
 * domain (IOCTL_PRIVCMD_RESTRICT).
 */
#ifndef VMM_HV_XEN_DMOP_H
#define VMM_HV_XEN_DMOP_H

#include "vmm/hv/hv.h"

struct xen_dmop {
	int fd;
	size_t buf_bytes; /* how large a buffer privcmd takes */
	size_t chunk; /* bytes that one guest copy moves at most */
	uint64_t calls;
};

/* State of a domain, from the lifecycle op. */
struct xen_lifecycle {
	uint32_t port; /* to be bound; 0: none */
	bool shut_down, dying;
	uint32_t reason; /* SHUTDOWN_* */
};

/* Not open yet; xen_dmop_close is allowed on it. */
void xen_dmop_init(struct xen_dmop *d);

/* Open privcmd and find out how much it takes at once. 0 or -errno. */
MUST_CHECK int xen_dmop_open(struct xen_dmop *d);

/* From now on, only operations on `domid` pass. 0 or -errno. */
MUST_CHECK int xen_dmop_restrict(struct xen_dmop *d, uint32_t domid);

/* May be called twice. */
void xen_dmop_close(struct xen_dmop *d);

/*
 * Bits of XENOLITH_FEAT_*; 0 on a hypervisor without the patches. 0 or -errno.
 */
MUST_CHECK int xen_dmop_features(struct xen_dmop *d, uint32_t domid, uint64_t *out);

/* 0 or -errno; -ESRCH when the domain is gone. */
MUST_CHECK int xen_dmop_lifecycle(struct xen_dmop *d, uint32_t domid,
				  struct xen_lifecycle *out);

/* -EOPNOTSUPP where the hypervisor has none. */
MUST_CHECK int xen_dmop_lifeline(struct xen_dmop *d, uint32_t domid, uint32_t *port);

/* One edge on a GSI (1..47), where the hypervisor has XENOLITH_FEAT_pulse. 0 or -errno. */
MUST_CHECK int xen_dmop_pulse(struct xen_dmop *d, uint32_t domid, unsigned gsi);

/*
 * A doorbell of IOREQ server `server`, where the hypervisor has XENOLITH_FEAT_doorbell:
 * writes of b->data; its port is to be bound. Or writes, whatever their value, that clear
 * bits in the word at `word` and notify nobody. 0 or -errno.
 */
MUST_CHECK int xen_dmop_doorbell(struct xen_dmop *d, uint32_t domid, unsigned server,
				 const struct hv_doorbell *b, uint32_t *port);
MUST_CHECK int xen_dmop_clears(struct xen_dmop *d, uint32_t domid, unsigned server,
			       uint64_t addr, gpa_t word);

/*
 * An event channel of IOREQ server `server` that pulses a GSI, where the hypervisor has
 * XENOLITH_FEAT_irq_port; it is to be bound. 0 or -errno.
 */
MUST_CHECK int xen_dmop_irq_port(struct xen_dmop *d, uint32_t domid, unsigned server,
				 unsigned gsi, uint32_t *port);

/*
 * Have IOREQ server `server` told of pages that went away only when the device model can
 * have mapped them, where the hypervisor has XENOLITH_FEAT_server. 0 or -errno.
 */
MUST_CHECK int xen_dmop_mappable_only(struct xen_dmop *d, uint32_t domid, unsigned server);

/* Copy through the hypervisor, in as many operations as it takes. 0 or -errno. */
MUST_CHECK int xen_dmop_copy_to(struct xen_dmop *d, uint32_t domid, gpa_t to, const void *src,
				size_t len);
MUST_CHECK int xen_dmop_copy_from(struct xen_dmop *d, uint32_t domid, void *dst, gpa_t from,
				  size_t len);

#endif
