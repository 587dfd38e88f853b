/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doorbells of the domain and interrupts the other way (hypervisor-patches/ABI.md): which
 * event port is which. The ports are opened on the handle of the IOREQ server, so that one
 * read tells of doorbells and requests.
 */
#ifndef VMM_HV_XEN_DOORBELL_H
#define VMM_HV_XEN_DOORBELL_H

#include "vmm/hv/xen_dmop.h"
#include "vmm/hv/xen_ioreq.h"

struct xen_doorbells {
	unsigned n;
	struct {
		evtchn_port_t port; /* ours */
		unsigned which;
	} bells[HV_DOORBELLS_MAX];
	uint64_t rings;
};

#define XEN_LINES_MAX 48

struct xen_lines {
	evtchn_port_t ports[XEN_LINES_MAX]; /* ours, by GSI; 0: none */
};

/* hv_ops.doorbell and hv_ops.clears, on a hypervisor that has doorbells. */
MUST_CHECK int xen_doorbell_add(struct xen_doorbells *d, struct xen_dmop *dmop,
				struct xen_ioreq *x, const struct hv_doorbell *b,
				struct err *e);
MUST_CHECK int xen_doorbell_clears(struct xen_dmop *dmop, struct xen_ioreq *x, uint64_t addr,
				   gpa_t word, struct err *e);

/* Whether `port` is a doorbell's, which was rung: *which. */
bool xen_doorbell_rung(struct xen_doorbells *d, evtchn_port_t port, unsigned *which);

/*
 * hv_ops.line, on a hypervisor that has irq ports: once for a GSI (1..47), else nothing
 * happens. And pulse it: false when it has none.
 */
MUST_CHECK int xen_lines_add(struct xen_lines *l, struct xen_dmop *dmop, struct xen_ioreq *x,
			     unsigned gsi, struct err *e);
bool xen_lines_pulse(const struct xen_lines *l, struct xen_ioreq *x, unsigned gsi);
void xen_lines_close(struct xen_lines *l, struct xen_ioreq *x);

/*
 * Have no guest wait for us at each page that it had mapped from elsewhere, on a hypervisor
 * that can leave those out. 0 or -errno.
 */
MUST_CHECK int xen_limit_invalidations(struct xen_dmop *dmop, struct xen_ioreq *x,
				       struct err *e);

/* Close the ports. The hypervisor's side of them ends with the server. */
void xen_doorbell_close(struct xen_doorbells *d, struct xen_ioreq *x);

#endif
