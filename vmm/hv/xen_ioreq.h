/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IOREQ server (xen/include/public/hvm/ioreq.h): the guest's accesses to the ranges
 * it asked for arrive in a page shared with Xen, one slot a vCPU, announced by an event
 * channel each. Also the other calls that a device model makes: interrupts, and the
 * handle for mapping the guest's memory.
 *
 * All handles are restricted to the one domain before anything untrusted is read.
 *
 * Input from the guest: the slots. Each is copied once.
 */
#ifndef VMM_HV_XEN_IOREQ_H
#define VMM_HV_XEN_IOREQ_H

#include "vmm/hv/hv.h"
#include "vmm/lib/config.h"

/* After <stdint.h>, which Xen's headers need and do not include. */
#include <xen/xen.h>

#include <xen/hvm/ioreq.h>
#include <xendevicemodel.h>
#include <xenevtchn.h>

#include "vmm/hv/xen_map.h"

struct xen_ioreq {
	domid_t domid;
	xendevicemodel_handle *dm;
	xenevtchn_handle *evtchn;
	struct xen_map map;

	bool attached;
	ioservid_t id;
	xenforeignmemory_resource_handle *resource;
	shared_iopage_t *page;
	void *registers; /* register pages; NULL: none */
	unsigned n_registers;
	unsigned vcpus;
	evtchn_port_t ports[CONFIG_VCPUS_MAX]; /* ours, by vCPU */

	uint64_t dm_ops, notifies, ioreqs;
};

/* Open the handles and restrict them to `domid`. 0 or -errno. */
MUST_CHECK int xen_ioreq_open(struct xen_ioreq *x, uint32_t domid, struct err *e);

/* Allowed at any time after xen_ioreq_open was called, however that went. */
void xen_ioreq_close(struct xen_ioreq *x);

/*
 * Make the server for a domain of `vcpus` and register the ranges. Another attach to a
 * new domain of the same domid needs a detach first. 0 or -errno.
 */
MUST_CHECK int xen_ioreq_attach(struct xen_ioreq *x, unsigned vcpus,
				const struct hv_range *ranges, unsigned n, struct err *e);
void xen_ioreq_detach(struct xen_ioreq *x);

/*
 * Register pages (hv.h), in two steps with the memory put there in between: be the one
 * that is told of writes to pages of their kind, -EOPNOTSUPP where there are none; then
 * map the pages, clear them, and make them of that kind. Detaching unmaps them.
 */
MUST_CHECK int xen_ioreq_take_registers(struct xen_ioreq *x, struct err *e);
MUST_CHECK int xen_ioreq_make_registers(struct xen_ioreq *x, gpa_t at, unsigned n, void **out,
					struct err *e);

/* The vCPU whose accesses `port` announces, or -1. */
int xen_ioreq_vcpu(const struct xen_ioreq *x, evtchn_port_t port);

enum xen_ioreq_kind {
	XEN_IOREQ_NONE, /* a spurious event */
	XEN_IOREQ_ACCESS,
	XEN_IOREQ_INVALIDATE, /* the guest gave pages back */
};

/*
 * What `vcpu` waits for; it is to be answered, unless it is NONE. An access is in *io,
 * of the others only data, to be answered with. Kinds that nobody here needs to see are
 * answered at once.
 */
enum xen_ioreq_kind xen_ioreq_take(struct xen_ioreq *x, unsigned vcpu, struct hv_io *io);

/* Answer it; the vCPU goes on. */
void xen_ioreq_answer(struct xen_ioreq *x, unsigned vcpu, uint64_t data);

/* One edge on a GSI (1..47), as its level twice, for hypervisors without pulse. 0 or -errno. */
MUST_CHECK int xen_ioreq_pulse(struct xen_ioreq *x, unsigned irq);

/* Shut the guest down as crashed; the domain stays. */
void xen_ioreq_stop_guest(struct xen_ioreq *x);

#endif
