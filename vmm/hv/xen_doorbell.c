/* SPDX-License-Identifier: Apache-2.0 */
/* Doorbells: see xen_doorbell.h. */
#include "vmm/hv/xen_doorbell.h"

#include <errno.h>

int xen_doorbell_add(struct xen_doorbells *d, struct xen_dmop *dmop, struct xen_ioreq *x,
		     const struct hv_doorbell *b, struct err *e)
{
	uint32_t port;
	int rc;

	if (d->n == ARRAY_SIZE(d->bells))
		return err_set(e, -ENOSPC, "domain %u: too many doorbells", x->domid);
	rc = xen_dmop_doorbell(dmop, x->domid, x->id, b, &port);
	if (rc < 0)
		return err_set(e, rc, "domain %u: doorbell: %s", x->domid, strerror(-rc));
	rc = xenevtchn_bind_interdomain(x->evtchn, x->domid, port);
	if (rc < 0)
		return err_set(e, -errno, "domain %u: binding a doorbell: %s", x->domid,
			       strerror(errno));
	d->bells[d->n].port = (evtchn_port_t)rc;
	d->bells[d->n++].which = b->which;
	return 0;
}

int xen_doorbell_clears(struct xen_dmop *dmop, struct xen_ioreq *x, uint64_t addr, gpa_t word,
			struct err *e)
{
	int rc = xen_dmop_clears(dmop, x->domid, x->id, addr, word);

	if (rc < 0)
		return err_set(e, rc, "domain %u: silent doorbell: %s", x->domid,
			       strerror(-rc));
	return 0;
}

bool xen_doorbell_rung(struct xen_doorbells *d, evtchn_port_t port, unsigned *which)
{
	for (unsigned i = 0; i < d->n; i++) {
		if (d->bells[i].port != port)
			continue;
		d->rings++;
		*which = d->bells[i].which;
		return true;
	}
	return false;
}

void xen_doorbell_close(struct xen_doorbells *d, struct xen_ioreq *x)
{
	for (unsigned i = 0; i < d->n; i++)
		xenevtchn_unbind(x->evtchn, d->bells[i].port);
	d->n = 0;
}

/* ---- interrupts ---- */

int xen_lines_add(struct xen_lines *l, struct xen_dmop *dmop, struct xen_ioreq *x, unsigned gsi,
		  struct err *e)
{
	uint32_t port;
	int rc;

	if (gsi >= ARRAY_SIZE(l->ports) || l->ports[gsi])
		return 0;
	rc = xen_dmop_irq_port(dmop, x->domid, x->id, gsi, &port);
	if (rc < 0)
		return err_set(e, rc, "domain %u: irq port of GSI %u: %s", x->domid, gsi,
			       strerror(-rc));
	rc = xenevtchn_bind_interdomain(x->evtchn, x->domid, port);
	if (rc < 0)
		return err_set(e, -errno, "domain %u: binding an irq port: %s", x->domid,
			       strerror(errno));
	l->ports[gsi] = (evtchn_port_t)rc;
	return 0;
}

bool xen_lines_pulse(const struct xen_lines *l, struct xen_ioreq *x, unsigned gsi)
{
	if (gsi >= ARRAY_SIZE(l->ports) || !l->ports[gsi])
		return false;
	x->notifies++;
	xenevtchn_notify(x->evtchn, l->ports[gsi]);
	return true;
}

void xen_lines_close(struct xen_lines *l, struct xen_ioreq *x)
{
	for (unsigned gsi = 0; gsi < ARRAY_SIZE(l->ports); gsi++)
		if (l->ports[gsi])
			xenevtchn_unbind(x->evtchn, l->ports[gsi]);
	*l = (struct xen_lines){ 0 };
}

int xen_limit_invalidations(struct xen_dmop *dmop, struct xen_ioreq *x, struct err *e)
{
	int rc = xen_dmop_mappable_only(dmop, x->domid, x->id);

	if (rc < 0)
		return err_set(e, rc, "domain %u: IOREQ server: flags: %s", x->domid,
			       strerror(-rc));
	return 0;
}
