/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls: see xen_calls.h. */
#include "vmm/hv/xen_calls.h"

#include <errno.h>

#include <xen/version.h>

int xen_calls_open(struct xen_calls *c)
{
	*c = (struct xen_calls){ .handle = xencall_open(NULL, 0) };
	if (!c->handle)
		return -errno;
	c->domctl = xencall_alloc_buffer(c->handle, sizeof(*c->domctl));
	c->reservation = xencall_alloc_buffer(c->handle, sizeof(*c->reservation));
	c->extents =
		xencall_alloc_buffer(c->handle, XEN_CALLS_EXTENTS_MAX * sizeof(*c->extents));
	return c->domctl && c->reservation && c->extents ? 0 : -ENOMEM;
}

void xen_calls_close(struct xen_calls *c)
{
	if (!c->handle)
		return;
	xencall_free_buffer(c->handle, c->domctl);
	xencall_free_buffer(c->handle, c->reservation);
	xencall_free_buffer(c->handle, c->extents);
	xencall_close(c->handle);
	*c = (struct xen_calls){ 0 };
}

struct xen_domctl *xen_calls_domctl(struct xen_calls *c, uint32_t domid)
{
	memset(c->domctl, 0, sizeof(*c->domctl));
	c->domctl->domain = (domid_t)domid;
	return c->domctl;
}

int xen_calls_do(struct xen_calls *c, uint32_t cmd, const char *name, struct err *e)
{
	unsigned domid = c->domctl->domain;
	int rc;

	c->domctl->cmd = cmd;
	c->domctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
	c->made++;
	rc = xencall1(c->handle, __HYPERVISOR_domctl, (uint64_t)(uintptr_t)c->domctl);
	if (rc >= 0)
		return 0;
	rc = -errno;
	return err_set(e, rc, "domain %u: %s: %s", domid, name,
		       rc == -ENOSPC ? "beyond a quota of this driver domain" : strerror(-rc));
}

struct xen_memory_reservation *xen_calls_reservation(struct xen_calls *c, uint32_t domid)
{
	memset(c->reservation, 0, sizeof(*c->reservation));
	c->reservation->domid = (domid_t)domid;
	return c->reservation;
}

long xen_calls_memory_op(struct xen_calls *c, unsigned op)
{
	long rc;

	c->made++;
	rc = xencall2L(c->handle, __HYPERVISOR_memory_op, op,
		       (uint64_t)(uintptr_t)c->reservation);
	return rc < 0 ? -errno : rc;
}

int xen_calls_hvm_op(struct xen_calls *c, unsigned op, void *arg)
{
	c->made++;
	return xencall2(c->handle, __HYPERVISOR_hvm_op, op, (uint64_t)(uintptr_t)arg) < 0 ?
		       -errno :
		       0;
}

int xen_calls_version(struct xen_calls *c)
{
	int rc;

	c->made++;
	rc = xencall2(c->handle, __HYPERVISOR_xen_version, XENVER_version, 0);
	return rc < 0 ? -errno : rc;
}
