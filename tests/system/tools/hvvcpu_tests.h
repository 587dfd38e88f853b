/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domains that do not have their vCPUs yet, or only some of them: whoever has them meets a
 * refusal, and the hypervisor goes on. A part of hvabi.c.
 */
#ifndef TESTS_SYSTEM_HVVCPU_TESTS_H
#define TESTS_SYSTEM_HVVCPU_TESTS_H

#include "tests/system/tools/hvcall.h"

#define MICRO (XEN_X86_EMU_LAPIC | XEN_X86_EMU_IOAPIC)

/* A port of the domain for us: it, or -errno. */
static int port_for_us(uint32_t domid)
{
	struct evtchn_alloc_unbound *a = scratch;

	*a = (struct evtchn_alloc_unbound){ .dom = (domid_t)domid, .remote_dom = DOMID_SELF };
	return xencall2(xc, __HYPERVISOR_event_channel_op, EVTCHNOP_alloc_unbound,
			(uintptr_t)a) < 0 ?
		       -errno :
		       (int)a->port;
}

static int debug_key(char key)
{
	struct xen_sysctl *s = scratch;
	char *keys = (char *)scratch + PAGE;

	memset(s, 0, sizeof(*s));
	*keys = key;
	set_xen_guest_handle_raw(s->u.debug_keys.keys, keys);
	s->u.debug_keys.nr_keys = 1;
	return do_sysctl(s, XEN_SYSCTL_debug_keys);
}

static void test_without_vcpus(void)
{
	struct xen_dm_op_xenolith_lifecycle l;
	xenevtchn_handle *xe = xenevtchn_open(NULL, 0);
	uint32_t domid;
	int port;

	if (!xe || create(&domid, MICRO))
		bail("a domain without vCPUs");
	IS(port_for_us(domid), -ENOENT, "no vCPU: no port of others");
	IS(lifecycle(domid, &l), 0, "no vCPU: but Xen's own");
	IS(debug_key('e'), 0, "no vCPU: which can be printed");
	memset(&ctl->u, 0, sizeof(ctl->u));
	IS(domctl(XEN_DOMCTL_gethvmcontext, domid), -EINVAL, "no vCPU: no state to save");
	memset(&ctl->u, 0, sizeof(ctl->u));
	ctl->u.hvmcontext_partial.type = HVM_SAVE_CODE(CPU);
	IS(domctl(XEN_DOMCTL_gethvmcontext_partial, domid), -EINVAL, "no vCPU: nor a part");

	IS(max_vcpus(domid, 1), 0, "no vCPU: it gets one");
	port = port_for_us(domid);
	IS(port > 0, 1, "a vCPU: a port");
	port = xenevtchn_bind_interdomain(xe, domid, (evtchn_port_t)port);
	IS(port > 0 && !xenevtchn_notify(xe, (evtchn_port_t)port), 1, "a vCPU: takes an event");
	xenevtchn_close(xe);
	destroy(domid);
}

/* Xen is busy for as long as a processor is on its way from one pool to another. */
static int cpupool(uint32_t op, uint32_t *pool, uint32_t cpu)
{
	struct xen_sysctl *s = scratch;
	int rc;

	for (unsigned i = 0; i < 1000; i++) {
		memset(s, 0, sizeof(*s));
		s->u.cpupool_op.op = op;
		s->u.cpupool_op.cpupool_id = *pool;
		s->u.cpupool_op.sched_id = XEN_SCHEDULER_CREDIT2;
		s->u.cpupool_op.cpu = cpu;
		rc = do_sysctl(s, XEN_SYSCTL_cpupool_op);
		if (rc != -EBUSY && rc != -EAGAIN)
			break;
		usleep(1000);
	}
	*pool = s->u.cpupool_op.cpupool_id;
	return rc;
}

/* Its destruction moves it to Pool-0. Another pool takes a second processor. */
static void test_with_some_vcpus(void)
{
	struct xen_dm_op op = { .op = XEN_DMOP_create_ioreq_server };
	uint32_t pool0 = 0, pool = XEN_SYSCTL_CPUPOOL_PAR_ANY, domid;

	if (cpupool(XEN_SYSCTL_CPUPOOL_OP_RMCPU, &pool0, 1)) {
		printf("# one processor: no pool for a domain with some of its vCPUs\n");
		return;
	}
	if (cpupool(XEN_SYSCTL_CPUPOOL_OP_CREATE, &pool, 0) ||
	    cpupool(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, &pool, 1))
		bail("a pool of one processor");
	config_for(2, MICRO);
	ctl->u.createdomain.max_evtchn_port = 1;
	ctl->u.createdomain.cpupool_id = pool;
	if (domctl(XEN_DOMCTL_createdomain, 0))
		bail("createdomain");
	domid = ctl->domain;
	/* Each vCPU takes a port for the server, and there is one. */
	if (dm_op(domid, &op))
		bail("create_ioreq_server");
	IS(max_vcpus(domid, 2), -ENOMEM, "some vCPUs: there is no port for the second one");
	destroy(domid);
	IS(gone_after(domid, 5000) >= 0, 1, "some vCPUs: the domain goes");
	if (cpupool(XEN_SYSCTL_CPUPOOL_OP_RMCPU, &pool, 1) ||
	    cpupool(XEN_SYSCTL_CPUPOOL_OP_DESTROY, &pool, 0) ||
	    cpupool(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, &pool0, 1))
		bail("the pool does not go");
}

static void test_vcpus(void)
{
	test_without_vcpus();
	test_with_some_vcpus();
}

#endif
