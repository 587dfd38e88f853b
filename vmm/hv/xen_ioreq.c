/* SPDX-License-Identifier: Apache-2.0 */
/* The device model's half of Xen: see xen_ioreq.h. */
#include "vmm/hv/xen_ioreq.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/hvm/dm_op.h>
#include <xen/memory.h>
#include <xen/sched.h>

/* Frames of the ioreq_server resource: 0 is the buffered page, which we have not. */
#define RESOURCE_IOREQ_PAGE 1
/* GSIs below are ISA interrupts, those above PCI's: four of each device of the bus. */
#define FIRST_PCI_GSI 16
#define INTX_LINES 4

/* ---- handles ---- */

static int restrict_all(struct xen_ioreq *x)
{
	if (xendevicemodel_restrict(x->dm, x->domid) < 0 ||
	    xenforeignmemory_restrict(x->map.fmem, x->domid) < 0 ||
	    xenevtchn_restrict(x->evtchn, x->domid) < 0)
		return -errno;
	return 0;
}

int xen_ioreq_open(struct xen_ioreq *x, uint32_t domid, struct err *e)
{
	int rc;

	*x = (struct xen_ioreq){ .domid = (domid_t)domid };
	x->dm = xendevicemodel_open(NULL, 0);
	x->evtchn = xenevtchn_open(NULL, 0);
	if (!x->dm || !x->evtchn)
		return err_set(e, -errno, "opening %s: %s",
			       x->dm ? "/dev/xen/evtchn" : "/dev/xen/privcmd", strerror(errno));
	rc = xen_map_open(&x->map, domid);
	if (rc < 0)
		return err_set(e, rc, "opening /dev/xen/privcmd: %s", strerror(-rc));
	rc = restrict_all(x);
	if (rc < 0)
		return err_set(e, rc, "restricting the Xen handles to domain %u: %s", domid,
			       strerror(-rc));
	return 0;
}

void xen_ioreq_close(struct xen_ioreq *x)
{
	xen_ioreq_detach(x);
	if (x->dm)
		xendevicemodel_close(x->dm);
	xen_map_close(&x->map);
	if (x->evtchn)
		xenevtchn_close(x->evtchn);
	*x = (struct xen_ioreq){ 0 };
}

/* ---- the server ---- */

static int map_page(struct xen_ioreq *x)
{
	void *page = NULL;

	x->resource = xenforeignmemory_map_resource(x->map.fmem, x->domid,
						    XENMEM_resource_ioreq_server, x->id,
						    RESOURCE_IOREQ_PAGE, 1, &page,
						    PROT_READ | PROT_WRITE, 0);
	if (!x->resource)
		return -errno;
	x->page = page;
	x->map.pages_mapped++;
	return 0;
}

static int map_ranges(struct xen_ioreq *x, const struct hv_range *ranges, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		x->dm_ops++;
		if (xendevicemodel_map_io_range_to_ioreq_server(x->dm, x->domid, x->id,
								ranges[i].space == HV_MMIO,
								ranges[i].first,
								ranges[i].last) < 0)
			return -errno;
	}
	return 0;
}

static int bind_ports(struct xen_ioreq *x, unsigned vcpus)
{
	for (unsigned i = 0; i < vcpus; i++) {
		int port = xenevtchn_bind_interdomain(x->evtchn, x->domid,
						      x->page->vcpu_ioreq[i].vp_eport);

		if (port < 0)
			return -errno;
		x->ports[x->vcpus++] = (evtchn_port_t)port;
	}
	return 0;
}

int xen_ioreq_attach(struct xen_ioreq *x, unsigned vcpus, const struct hv_range *ranges,
		     unsigned n, struct err *e)
{
	const char *step = "create";
	int rc = 0;

	x->dm_ops += 2;
	if (xendevicemodel_create_ioreq_server(x->dm, x->domid, HVM_IOREQSRV_BUFIOREQ_OFF,
					       &x->id) < 0)
		return err_set(e, -errno, "domain %u: IOREQ server: %s", x->domid,
			       strerror(errno));
	x->attached = true;
	/* Mapped before it is enabled, else Xen leaves the event ports out of the page. */
	rc = map_page(x);
	if (rc == 0) {
		step = "ranges";
		rc = map_ranges(x, ranges, n);
	}
	if (rc == 0) {
		step = "enable";
		rc = xendevicemodel_set_ioreq_server_state(x->dm, x->domid, x->id, 1) ? -errno :
											0;
	}
	if (rc == 0) {
		step = "event channels";
		rc = bind_ports(x, vcpus);
	}
	if (rc < 0) {
		xen_ioreq_detach(x);
		return err_set(e, rc, "domain %u: IOREQ server: %s: %s", x->domid, step,
			       strerror(-rc));
	}
	return 0;
}

void xen_ioreq_detach(struct xen_ioreq *x)
{
	if (!x->attached)
		return;
	for (unsigned i = 0; i < x->vcpus; i++)
		xenevtchn_unbind(x->evtchn, x->ports[i]);
	x->vcpus = 0;
	/* A mapped page keeps a destroyed domain a zombie. */
	if (x->resource)
		xenforeignmemory_unmap_resource(x->map.fmem, x->resource);
	if (x->registers)
		xen_map_undo(&x->map, x->registers, x->n_registers);
	x->registers = NULL;
	x->resource = NULL;
	x->page = NULL;
	x->attached = false;
}

/* ---- register pages ---- */

static int registers_failed(struct xen_ioreq *x, int rc, const char *step, struct err *e)
{
	return err_set(e, rc, "domain %u: register pages: %s: %s", x->domid, step,
		       rc == -EBUSY ? "a device model has them already" : strerror(-rc));
}

int xen_ioreq_take_registers(struct xen_ioreq *x, struct err *e)
{
	x->dm_ops++;
	if (xendevicemodel_map_mem_type_to_ioreq_server(x->dm, x->domid, x->id,
							HVMMEM_ioreq_server,
							XEN_DMOP_IOREQ_MEM_ACCESS_WRITE) < 0)
		return registers_failed(x, -errno, "take", e);
	return 0;
}

int xen_ioreq_make_registers(struct xen_ioreq *x, gpa_t at, unsigned n, void **out,
			     struct err *e)
{
	void *pages;
	int rc = xen_map_anywhere(&x->map, at, n, &pages);

	if (rc < 0)
		return registers_failed(x, rc, "map", e);
	memset(pages, 0, n * PAGE_BYTES);
	x->dm_ops++;
	if (xendevicemodel_set_mem_type(x->dm, x->domid, HVMMEM_ioreq_server, at.v / PAGE_BYTES,
					n) < 0) {
		rc = registers_failed(x, -errno, "forward writes", e);
		xen_map_undo(&x->map, pages, n);
		return rc;
	}
	x->registers = pages;
	x->n_registers = n;
	*out = pages;
	return 0;
}

/* ---- accesses ---- */

int xen_ioreq_vcpu(const struct xen_ioreq *x, evtchn_port_t port)
{
	for (unsigned i = 0; i < x->vcpus; i++)
		if (x->ports[i] == port)
			return (int)i;
	return -1;
}

static void decode(const ioreq_t *r, unsigned vcpu, struct hv_io *io)
{
	*io = (struct hv_io){
		.space = r->type == IOREQ_TYPE_PIO ? HV_PIO : HV_MMIO,
		.write = r->dir == IOREQ_WRITE,
		.indirect = r->data_is_ptr,
		.backwards = r->df,
		.size = (uint8_t)r->size,
		.vcpu = (uint8_t)vcpu,
		.count = r->count,
		.addr = r->addr,
		.data = r->data,
	};
}

enum xen_ioreq_kind xen_ioreq_take(struct xen_ioreq *x, unsigned vcpu, struct hv_io *io)
{
	ioreq_t *slot = &x->page->vcpu_ioreq[vcpu];
	ioreq_t copy;

	if (slot->state != STATE_IOREQ_READY)
		return XEN_IOREQ_NONE;
	/* Pairs with the barrier before READY in Xen's ioreq_send. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	copy = *slot;
	slot->state = STATE_IOREQ_INPROCESS;
	x->ioreqs++;
	decode(&copy, vcpu, io);
	if (copy.type == IOREQ_TYPE_PIO || copy.type == IOREQ_TYPE_COPY)
		return XEN_IOREQ_ACCESS;
	if (copy.type == IOREQ_TYPE_INVALIDATE)
		return XEN_IOREQ_INVALIDATE;
	xen_ioreq_answer(x, vcpu, copy.data);
	return XEN_IOREQ_NONE;
}

void xen_ioreq_answer(struct xen_ioreq *x, unsigned vcpu, uint64_t data)
{
	ioreq_t *slot = &x->page->vcpu_ioreq[vcpu];

	slot->data = data;
	/* Pairs with the barrier after IORESP_READY in Xen's wait_for_io. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	slot->state = STATE_IORESP_READY;
	x->notifies++;
	xenevtchn_notify(x->evtchn, x->ports[vcpu]);
}

static int set_level(struct xen_ioreq *x, unsigned gsi, unsigned level)
{
	unsigned line = gsi - FIRST_PCI_GSI;

	x->dm_ops++;
	if (gsi < FIRST_PCI_GSI)
		return xendevicemodel_set_isa_irq_level(x->dm, x->domid, (uint8_t)gsi, level);
	/* hvm_pci_intx_gsi() of Xen, for the devices whose lines are in order. */
	return xendevicemodel_set_pci_intx_level(x->dm, x->domid, 0, 0,
						 (uint8_t)(line / INTX_LINES),
						 (uint8_t)(line % INTX_LINES), level);
}

int xen_ioreq_pulse(struct xen_ioreq *x, unsigned gsi)
{
	if (set_level(x, gsi, 1) < 0 || set_level(x, gsi, 0) < 0)
		return -errno;
	return 0;
}

void xen_ioreq_stop_guest(struct xen_ioreq *x)
{
	x->dm_ops++;
	/* It may be gone already. */
	(void)!xendevicemodel_shutdown(x->dm, x->domid, SHUTDOWN_crash);
}
