/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An IOREQ server (xen/include/public/hvm/ioreq.h): the guest's accesses to the ranges
 * it asked for arrive in a page shared with Xen, one slot a vCPU, announced by an event
 * channel each. Also the other calls that a device model makes: interrupts, and memory
 * by foreign mapping where the hypervisor cannot copy.
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
#include <xenforeignmemory.h>

struct xen_ioreq {
	domid_t domid;
	xendevicemodel_handle *dm;
	xenforeignmemory_handle *fmem;
	xenevtchn_handle *evtchn;

	bool attached;
	ioservid_t id;
	xenforeignmemory_resource_handle *resource;
	shared_iopage_t *page;
	unsigned vcpus;
	evtchn_port_t ports[CONFIG_VCPUS_MAX]; /* ours, by vCPU */

	uint64_t dm_ops, pages_mapped, notifies, ioreqs;
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

/* The vCPU whose accesses `port` announces, or -1. */
int xen_ioreq_vcpu(const struct xen_ioreq *x, evtchn_port_t port);

/*
 * Take the access that `vcpu` waits for into `io` and return true; false when there is
 * none (a spurious event). Accesses that no device needs to see (mapcache
 * invalidations) are answered here.
 */
bool xen_ioreq_take(struct xen_ioreq *x, unsigned vcpu, struct hv_io *io);

/* Answer it; the vCPU goes on. */
void xen_ioreq_answer(struct xen_ioreq *x, unsigned vcpu, uint64_t data);

/* One edge on an ISA interrupt line (1..15). 0 or -errno. */
MUST_CHECK int xen_ioreq_pulse(struct xen_ioreq *x, unsigned irq);

/* Shut the guest down as crashed; the domain stays. */
void xen_ioreq_stop_guest(struct xen_ioreq *x);

/* Copy by mapping, for hypervisors without guest_copy. The range lies in RAM. */
MUST_CHECK int xen_ioreq_map_copy_to(struct xen_ioreq *x, gpa_t to, const void *src,
				     size_t len);
MUST_CHECK int xen_ioreq_map_copy_from(struct xen_ioreq *x, void *dst, gpa_t from, size_t len);

#endif
