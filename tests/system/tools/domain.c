/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question or order about a domain, as hypercalls of the domain that this runs in:
 *   domain info DOMID     its pages
 *   domain ports DOMID    how many of its event channels are open
 *   domain destroy DOMID  as any toolstack would
 * The answer is a number, or `error ERRNO`.
 */
#include "tests/system/tools/hvcall.h"

#include <xen/event_channel.h>

#define PORTS_MAX 4096u

static long ask_info(uint32_t domid)
{
	const int rc = domctl(XEN_DOMCTL_getdomaininfo, domid);

	return rc ? rc : (long)ctl->u.getdomaininfo.tot_pages;
}

static long count_ports(uint32_t domid)
{
	struct evtchn_status *status = scratch;
	long open = 0;

	for (evtchn_port_t port = 0; port < PORTS_MAX; port++) {
		*status = (struct evtchn_status){ .dom = (domid_t)domid, .port = port };
		if (xencall2(xc, __HYPERVISOR_event_channel_op, EVTCHNOP_status,
			     (uintptr_t)status) < 0) {
			if (errno != EINVAL)
				return -errno;
			break; /* beyond the last that it ever had */
		}
		open += status->status != EVTCHNSTAT_closed;
	}
	return open;
}

static long destroy_it(uint32_t domid)
{
	int rc;

	do
		rc = domctl(XEN_DOMCTL_destroydomain, domid);
	while (rc == -EAGAIN || rc == -EBUSY);
	return rc;
}

static const struct {
	const char *name;
	long (*run)(uint32_t domid);
} orders[] = {
	{ "info", ask_info },
	{ "ports", count_ports },
	{ "destroy", destroy_it },
};

int main(int argc, char **argv)
{
	open_all();
	for (size_t i = 0; argc == 3 && i < sizeof(orders) / sizeof(orders[0]); i++) {
		long rc;

		if (strcmp(argv[1], orders[i].name) != 0)
			continue;
		rc = orders[i].run((uint32_t)strtoul(argv[2], NULL, 0));
		if (rc < 0)
			printf("error %ld\n", -rc);
		else
			printf("%ld\n", rc);
		return rc < 0;
	}
	fprintf(stderr, "usage: domain info|ports|destroy DOMID\n");
	return 2;
}
