/* SPDX-License-Identifier: Apache-2.0 */
/* Xen as the monitor sees it: see hv_xen.h. */
#include "vmm/hv/hv_xen.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <xen/xen.h>

#include <xen/hvm/dm_op.h>
#include <xen/sched.h>

#include "vmm/hv/keeper_client.h"
#include "vmm/hv/xen_dmop.h"
#include "vmm/hv/xen_doorbell.h"
#include "vmm/hv/xen_ioreq.h"
#include "vmm/lib/log.h"

/* How often an unpatched hypervisor is asked whether the guest has ended. */
#define STATE_POLL_MS 20
/* Ports that one read of the event channel descriptor takes. */
#define PORTS_MAX 64

struct hv_xen {
	struct hv hv;
	struct keeper_client keeper;
	uint64_t features; /* XENOLITH_FEAT_* */
	struct xen_dmop dmop;
	struct xen_ioreq ioreq;
	struct xen_doorbells doorbells;
	struct xen_lines lines;
	evtchn_port_t lifecycle; /* our end; 0: none */
	uint32_t held; /* a bit for each vCPU whose access is to be answered later */
	bool started, ended;
	bool pulse_failed;

	struct loop *loop;
	struct hv_listener listener;
	struct loop_op events, keeper_gone;
	struct loop_timer poll_state;
	evtchn_port_t pending[PORTS_MAX], handled[PORTS_MAX];
	char description[128];
};

static struct hv_xen *xen(struct hv *hv)
{
	return CONTAINER_OF(hv, struct hv_xen, hv);
}

/* ---- making the domain ---- */

static int bind_lifecycle(struct hv_xen *x, struct err *e)
{
	struct xen_lifecycle l;
	int rc;

	if (!(x->features & XENOLITH_FEAT_lifecycle))
		return 0;
	rc = xen_dmop_lifecycle(&x->dmop, x->keeper.info.domid, &l);
	if (rc < 0)
		return err_set(e, rc, "domain %u: lifecycle port: %s", x->keeper.info.domid,
			       strerror(-rc));
	rc = xenevtchn_bind_interdomain(x->ioreq.evtchn, x->keeper.info.domid, l.port);
	if (rc < 0)
		return err_set(e, -errno, "domain %u: binding its lifecycle port: %s",
			       x->keeper.info.domid, strerror(errno));
	x->lifecycle = (evtchn_port_t)rc;
	return 0;
}

static void detach(struct hv_xen *x)
{
	if (x->lifecycle)
		xenevtchn_unbind(x->ioreq.evtchn, x->lifecycle);
	x->lifecycle = 0;
	x->held = 0;
	xen_doorbell_close(&x->doorbells, &x->ioreq);
	xen_lines_close(&x->lines, &x->ioreq);
	xen_ioreq_detach(&x->ioreq);
}

static int xen_shape(struct hv *hv, const struct hv_shape *s, const struct hv_range *ranges,
		     unsigned n, struct err *e)
{
	struct hv_xen *x = xen(hv);
	const struct keeper_request q = { .type = KEEPER_SHAPE,
					  .vcpus = s->vcpus,
					  .ram = s->ram };
	struct keeper_answer a;
	int rc;

	detach(x);
	rc = keeper_ask(&x->keeper, &q, &a, e);
	if (rc == 0)
		rc = xen_ioreq_attach(&x->ioreq, s->vcpus, ranges, n, e);
	if (rc == 0 && x->features & XENOLITH_FEAT_server)
		rc = xen_limit_invalidations(&x->dmop, &x->ioreq, e);
	if (rc == 0)
		rc = bind_lifecycle(x, e);
	if (rc < 0)
		detach(x);
	return rc;
}

static int xen_pages(struct hv *hv, gpa_t at, unsigned n, void **out, struct err *e)
{
	struct hv_xen *x = xen(hv);
	const struct keeper_request q = { .type = KEEPER_PAGES, .at = at.v, .pages = n };
	struct keeper_answer a;
	/* Memory that is there before its writes are forwarded would swallow them. */
	int rc = xen_ioreq_take_registers(&x->ioreq, e);

	if (rc == 0)
		rc = keeper_ask(&x->keeper, &q, &a, e);
	if (rc == 0)
		rc = xen_ioreq_make_registers(&x->ioreq, at, n, out, e);
	return rc;
}

static int no_doorbells(struct err *e)
{
	return err_set(e, -EOPNOTSUPP, "the hypervisor has no doorbells");
}

static int xen_doorbell(struct hv *hv, const struct hv_doorbell *b, struct err *e)
{
	struct hv_xen *x = xen(hv);

	if (!(x->features & XENOLITH_FEAT_doorbell))
		return no_doorbells(e);
	return xen_doorbell_add(&x->doorbells, &x->dmop, &x->ioreq, b, e);
}

static int xen_clears(struct hv *hv, uint64_t addr, gpa_t word, struct err *e)
{
	struct hv_xen *x = xen(hv);

	if (!(x->features & XENOLITH_FEAT_doorbell))
		return no_doorbells(e);
	return xen_doorbell_clears(&x->dmop, &x->ioreq, addr, word, e);
}

static int xen_line(struct hv *hv, unsigned gsi, struct err *e)
{
	struct hv_xen *x = xen(hv);

	if (!(x->features & XENOLITH_FEAT_irq_port))
		return 0;
	return xen_lines_add(&x->lines, &x->dmop, &x->ioreq, gsi, e);
}

static int mem_read(void *ctx, gpa_t at, void *dst, size_t len)
{
	struct hv_xen *x = ctx;

	if (x->features & XENOLITH_FEAT_guest_copy)
		return xen_dmop_copy_from(&x->dmop, x->keeper.info.domid, dst, at, len);
	return xen_map_copy_from(&x->ioreq.map, dst, at, len);
}

static int mem_write(void *ctx, gpa_t at, const void *src, size_t len)
{
	struct hv_xen *x = ctx;

	if (x->features & XENOLITH_FEAT_guest_copy)
		return xen_dmop_copy_to(&x->dmop, x->keeper.info.domid, at, src, len);
	return xen_map_copy_to(&x->ioreq.map, at, src, len);
}

static int mem_map(void *ctx, gpa_t at, void *host, unsigned pages, bool *there)
{
	struct hv_xen *x = ctx;

	return xen_map_at(&x->ioreq.map, at, host, pages, there);
}

/* ---- running ---- */

static int xen_start(struct hv *hv, const struct hv_entry *entry, struct err *e)
{
	struct hv_xen *x = xen(hv);
	const struct keeper_request q = { .type = KEEPER_START,
					  .ip = entry->ip,
					  .start_info = (uint32_t)entry->start_info.v };
	struct keeper_answer a;
	int rc = keeper_ask(&x->keeper, &q, &a, e);

	if (rc < 0)
		return rc;
	x->started = true;
	if (!(x->features & XENOLITH_FEAT_lifecycle))
		loop_timeout(x->loop, &x->poll_state, STATE_POLL_MS);
	return 0;
}

static int xen_pause(struct hv *hv, struct err *e)
{
	return keeper_ask_plain(&xen(hv)->keeper, KEEPER_PAUSE, e);
}

static int xen_resume(struct hv *hv, struct err *e)
{
	return keeper_ask_plain(&xen(hv)->keeper, KEEPER_RESUME, e);
}

static void xen_pulse(struct hv *hv, unsigned gsi)
{
	struct hv_xen *x = xen(hv);
	int rc;

	if (xen_lines_pulse(&x->lines, &x->ioreq, gsi))
		return;
	rc = x->features & XENOLITH_FEAT_pulse ?
		     xen_dmop_pulse(&x->dmop, x->keeper.info.domid, gsi) :
		     xen_ioreq_pulse(&x->ioreq, gsi);
	if (rc < 0 && !x->pulse_failed) {
		log_error("xen", "domain %u: raising GSI %u: %s", x->keeper.info.domid, gsi,
			  strerror(-rc));
		x->pulse_failed = true;
	}
}

static void report_end(struct hv_xen *x, uint32_t reason)
{
	static const enum hv_end ends[] = {
		[SHUTDOWN_poweroff] = HV_END_POWEROFF,
		[SHUTDOWN_reboot] = HV_END_REBOOT,
		[SHUTDOWN_suspend] = HV_END_OTHER,
		[SHUTDOWN_crash] = HV_END_CRASH,
		/* xen_build.c has Xen tell triple faults so. */
		[SHUTDOWN_watchdog] = HV_END_TRIPLE_FAULT,
	};

	if (x->ended)
		return;
	x->ended = true;
	x->listener.ended(x->listener.ctx,
			  reason < ARRAY_SIZE(ends) ? ends[reason] : HV_END_OTHER);
}

static void report_lost(struct hv_xen *x, const char *why)
{
	if (x->ended)
		return;
	x->ended = true;
	x->listener.lost(x->listener.ctx, why);
}

/* The lifecycle port fired: it does so once when it is bound, too. */
static void check_lifecycle(struct hv_xen *x)
{
	struct xen_lifecycle l;
	int rc = xen_dmop_lifecycle(&x->dmop, x->keeper.info.domid, &l);

	if (rc == 0 && l.shut_down)
		report_end(x, l.reason);
	else if (rc < 0 || l.dying)
		report_lost(x, "the domain was destroyed from outside");
}

static void poll_state_done(struct loop_op *op, int res)
{
	struct hv_xen *x = CONTAINER_OF(op, struct hv_xen, poll_state.op);
	const struct keeper_request q = { .type = KEEPER_STATE };
	struct keeper_answer a = { 0 };
	struct err e;

	(void)res;
	if (x->ended)
		return;
	if (keeper_ask(&x->keeper, &q, &a, &e) < 0)
		report_lost(x, e.text);
	else if (a.shut_down)
		report_end(x, a.reason);
	else
		loop_timeout(x->loop, &x->poll_state, STATE_POLL_MS);
}

static void handle_ioreq(struct hv_xen *x, unsigned vcpu)
{
	const struct hv_listener *l = &x->listener;
	struct hv_io io;

	switch (xen_ioreq_take(&x->ioreq, vcpu, &io)) {
	case XEN_IOREQ_NONE:
		return;
	case XEN_IOREQ_ACCESS:
		if (!l->io(l->ctx, &io)) {
			x->held |= UINT32_C(1) << vcpu;
			return;
		}
		break;
	case XEN_IOREQ_INVALIDATE:
		if (l->invalidate)
			l->invalidate(l->ctx);
		break;
	}
	xen_ioreq_answer(&x->ioreq, vcpu, io.data);
}

static void xen_go_on(struct hv *hv, unsigned vcpu)
{
	struct hv_xen *x = xen(hv);

	assert(vcpu < CONFIG_VCPUS_MAX && x->held >> vcpu & 1);
	x->held &= ~(UINT32_C(1) << vcpu);
	/* Nobody looks at the data of a write that is done. */
	xen_ioreq_answer(&x->ioreq, vcpu, 0);
}

static void handle_port(struct hv_xen *x, evtchn_port_t port)
{
	int vcpu = xen_ioreq_vcpu(&x->ioreq, port);
	unsigned which;

	if (vcpu >= 0)
		handle_ioreq(x, (unsigned)vcpu);
	else if (xen_doorbell_rung(&x->doorbells, port, &which))
		x->listener.rung(x->listener.ctx, which);
	else if (port == x->lifecycle && x->started)
		check_lifecycle(x);
}

static void read_events(struct hv_xen *x)
{
	loop_read(x->loop, &x->events, xenevtchn_fd(x->ioreq.evtchn), x->pending,
		  sizeof(x->pending));
}

static void events_done(struct loop_op *op, int res)
{
	struct hv_xen *x = CONTAINER_OF(op, struct hv_xen, events);
	size_t n;

	if (res < 0 && res != -EAGAIN && res != -EINTR) {
		report_lost(x, "reading event channels failed");
		return;
	}
	n = res > 0 ? (size_t)res / sizeof(x->pending[0]) : 0;
	for (size_t i = 0; i < n; i++)
		handle_port(x, x->pending[i]);
	if (n > 0) {
		/* Ports were handled and are open again: only after this may more be read. */
		memcpy(x->handled, x->pending, n * sizeof(x->pending[0]));
		loop_write_quietly(x->loop, xenevtchn_fd(x->ioreq.evtchn), x->handled,
				   n * sizeof(x->pending[0]));
	}
	read_events(x);
}

static void keeper_gone_done(struct loop_op *op, int res)
{
	struct hv_xen *x = CONTAINER_OF(op, struct hv_xen, keeper_gone);

	(void)res;
	/* Nobody is left who may destroy the domain, but its guest can be stopped. */
	if (!(x->features & XENOLITH_FEAT_lifeline))
		xen_ioreq_stop_guest(&x->ioreq);
	report_lost(x, "the keeper process is gone");
}

static void xen_listen(struct hv *hv, struct loop *loop, const struct hv_listener *listener)
{
	struct hv_xen *x = xen(hv);

	x->loop = loop;
	x->listener = *listener;
	x->events.done = events_done;
	x->keeper_gone.done = keeper_gone_done;
	x->poll_state.op.done = poll_state_done;
	/* Answers are waited for where they are asked for; here only the end matters. */
	loop_poll(loop, &x->keeper_gone, x->keeper.sock, POLLRDHUP);
	read_events(x);
}

/* ---- the rest ---- */

static struct hv_counts xen_counts(struct hv *hv)
{
	const struct hv_xen *x = xen(hv);

	return (struct hv_counts){
		.hypercalls = x->keeper.info.hypercalls,
		.dm_ops = x->dmop.calls + x->ioreq.dm_ops,
		.pages_mapped = x->ioreq.map.pages_mapped,
		.notifies = x->ioreq.notifies,
		.ioreqs = x->ioreq.ioreqs,
		.rings = x->doorbells.rings,
		.start_ns = x->keeper.info.start_ns,
	};
}

static const char *xen_describe(struct hv *hv)
{
	return xen(hv)->description;
}

static void xen_close(struct hv *hv)
{
	struct hv_xen *x = xen(hv);

	detach(x);
	xen_ioreq_close(&x->ioreq);
	xen_dmop_close(&x->dmop);
	/* The keeper destroys the domain when it sees this end close. */
	close(x->keeper.sock);
	free(x);
}

static const struct hv_ops hv_xen_ops = {
	.shape = xen_shape,
	.mem = { .read = mem_read, .write = mem_write, .map = mem_map },
	.pages = xen_pages,
	.doorbell = xen_doorbell,
	.clears = xen_clears,
	.line = xen_line,
	.start = xen_start,
	.go_on = xen_go_on,
	.pause = xen_pause,
	.resume = xen_resume,
	.pulse = xen_pulse,
	.listen = xen_listen,
	.counts = xen_counts,
	.close = xen_close,
	.describe = xen_describe,
};

static void describe(struct hv_xen *x)
{
	snprintf(x->description, sizeof(x->description), "Xen %u.%u, domain %u, %s",
		 x->keeper.info.version >> 16, x->keeper.info.version & 0xffff,
		 x->keeper.info.domid,
		 x->keeper.info.profile == KEEPER_MICRO ?
			 "micro profile" :
			 "full HVM profile (the hypervisor has no micro profile: unpatched)");
}

/*
 * What the hypervisor has, less what benchmarks and tests want to be without: a mask of
 * XENOLITH_FEAT_*. Nothing depends on any of these.
 */
static int find_features(struct hv_xen *x)
{
	const char *without = getenv("XENOLITH_HV_WITHOUT");
	int rc = xen_dmop_features(&x->dmop, x->keeper.info.domid, &x->features);

	if (without)
		x->features &= ~strtoull(without, NULL, 0);
	return rc;
}

static int open_handles(struct hv_xen *x, struct err *e)
{
	int rc = xen_dmop_open(&x->dmop);

	if (rc == 0)
		rc = xen_dmop_restrict(&x->dmop, x->keeper.info.domid);
	if (rc == 0)
		rc = find_features(x);
	if (rc < 0)
		return err_set(e, rc, "/dev/xen/privcmd: %s", strerror(-rc));
	rc = xen_ioreq_open(&x->ioreq, x->keeper.info.domid, e);
	if (rc < 0)
		return rc;
	/* A non-blocking read lets the ring wait by polling instead of in a thread. */
	if (fcntl(xenevtchn_fd(x->ioreq.evtchn), F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_set(e, -errno, "/dev/xen/evtchn: %s", strerror(errno));
	return 0;
}

int hv_xen_open(struct hv **out, int sock, struct err *e)
{
	struct hv_xen *x = calloc(1, sizeof(*x));
	struct keeper_answer hello;
	int rc;

	if (!x)
		return err_set(e, -ENOMEM, "out of memory");
	x->hv.ops = &hv_xen_ops;
	x->keeper.sock = sock;
	xen_dmop_init(&x->dmop);
	rc = keeper_take_answer(&x->keeper, &hello, e);
	if (rc == 0)
		rc = open_handles(x, e);
	if (rc < 0) {
		xen_close(&x->hv);
		return rc;
	}
	describe(x);
	*out = &x->hv;
	return 0;
}
