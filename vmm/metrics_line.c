/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted, as JSON: see metrics_line.h and docs/metrics.md, which names every field. */
#include "vmm/metrics_line.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/counts.h"
#include "vmm/vm.h"

#define ROOM_STEP 4096
/* What nearly every part of a line fits in. */
#define ROOM_USUAL 128

/* ---- text ---- */

static bool make_room(struct metrics_line *l, size_t more)
{
	size_t size = l->size;
	char *text;

	if (size - l->len >= more)
		return true;
	while (size - l->len < more)
		size += ROOM_STEP;
	text = realloc(l->text, size);
	l->failed = l->failed || !text;
	if (!text)
		return false;
	l->text = text;
	l->size = size;
	return true;
}

static PRINTF_LIKE(2, 3) void append(struct metrics_line *l, const char *fmt, ...)
{
	va_list args;
	size_t room;
	int n;

	if (!make_room(l, ROOM_USUAL))
		return;
	room = l->size - l->len;
	va_start(args, fmt);
	n = vsnprintf(l->text + l->len, room, fmt, args);
	va_end(args);
	if (n >= (int)room && make_room(l, (size_t)n + 1)) {
		va_start(args, fmt);
		n = vsnprintf(l->text + l->len, (size_t)n + 1, fmt, args);
		va_end(args);
	}
	if (n > 0 && (size_t)n < l->size - l->len)
		l->len += (size_t)n;
}

static void key(struct metrics_line *l, const char *name, const char *suffix)
{
	append(l, "%s\"%s%s\":", l->comma ? "," : "", name, suffix);
	l->comma = true;
}

/* `id` is of a device, or "". */
static void begin(struct metrics_line *l, const char *name, const char *id)
{
	append(l, "%s\"%s%s%s\":{", l->comma ? "," : "", name, *id ? "_" : "", id);
	l->comma = false;
}

static void end(struct metrics_line *l)
{
	append(l, "}");
	l->comma = true;
}

/* ---- numbers ---- */

/* As it is. */
static void value(struct metrics_line *l, const char *name, uint64_t v)
{
	key(l, name, "");
	append(l, "%" PRIu64, v);
}

/* What it has grown by. */
static uint64_t growth(struct metrics_line *l, uint64_t v)
{
	assert(l->n < METRICS_VALUES_MAX);
	l->now->at[l->n] = v;
	v -= l->last->at[l->n];
	l->n++;
	return v;
}

static void count_of(struct metrics_line *l, const char *name, const char *suffix, uint64_t v)
{
	key(l, name, suffix);
	append(l, "%" PRIu64, growth(l, v));
}

static void count(struct metrics_line *l, const char *name, uint64_t v)
{
	count_of(l, name, "", v);
}

/* As Firecracker: the sum grows, the others are of all time. */
static void aggregate(struct metrics_line *l, const char *name, const struct latency *a)
{
	begin(l, name, "");
	value(l, "min_us", a->min_ns / 1000);
	value(l, "max_us", a->max_ns / 1000);
	count(l, "sum_us", a->sum_ns / 1000);
	end(l);
}

/* ---- the monitor ---- */

static void calls_of(struct metrics_line *l, const struct api_counts *c,
		     enum http_method method, const char *name)
{
	const struct api_call *call;

	begin(l, name, "");
	for (unsigned i = 0; (call = api_call(i)); i++) {
		if (call->method != method)
			continue;
		count_of(l, call->name, "_count", c->calls[i].calls);
		if (method != HTTP_GET)
			count_of(l, call->name, "_fails", c->calls[i].fails);
	}
	aggregate(l, "agg", &c->latency[method]);
	end(l);
}

static void api(struct metrics_line *l, const struct vm *vm, const struct metrics_own *own)
{
	static const struct api_counts none;
	const struct api_counts *c = vm->params.api_counts ? vm->params.api_counts : &none;

	begin(l, "api_server", "");
	value(l, "process_startup_time_us", own->startup_us);
	value(l, "process_startup_time_cpu_us", own->startup_cpu_us);
	count(l, "invalid_requests_count", c->invalid);
	end(l);
	begin(l, "deprecated_api", "");
	count(l, "deprecated_http_api_calls", c->deprecated);
	end(l);
	calls_of(l, c, HTTP_GET, "get_api_requests");
	calls_of(l, c, HTTP_PUT, "put_api_requests");
	calls_of(l, c, HTTP_PATCH, "patch_api_requests");
	calls_of(l, c, HTTP_DELETE, "delete_api_requests");
	begin(l, "latencies_us", "");
	value(l, "instance_start", own->took_us[METRICS_START]);
	value(l, "vmm_pause_vm", own->took_us[METRICS_PAUSE]);
	value(l, "vmm_resume_vm", own->took_us[METRICS_RESUME]);
	end(l);
}

static void logger(struct metrics_line *l, const struct metrics_own *own)
{
	struct log_counts c = log_counts();

	begin(l, "logger", "");
	count(l, "missed_log_count", c.dropped);
	count(l, "missed_metrics_count", own->missed);
	count(l, "rate_limited_log_count", c.limited);
	end(l);
}

static void xen(struct metrics_line *l, const struct vm *vm)
{
	struct hv_counts c = vm->hv->ops->counts(vm->hv);
	struct loop_stats s = loop_stats(vm->loop);

	begin(l, "xen", "");
	count(l, "ioreq_count", c.ioreqs);
	count(l, "doorbell_count", c.rings);
	count(l, "hypercall_count", c.hypercalls);
	count(l, "dm_op_count", c.dm_ops);
	count(l, "notify_count", c.notifies);
	count(l, "page_map_count", c.pages_mapped);
	end(l);
	begin(l, "io_uring", "");
	count(l, "enter_count", s.enters);
	count(l, "operation_count", s.ops);
	end(l);
}

/* The guest's accesses to devices, each an ioreq or a part of one. */
static void vcpu(struct metrics_line *l, const struct bus *b)
{
	struct bus_count sums[] = { [BUS_PIO] = { 0 }, [BUS_MMIO] = { 0 } };

	for (unsigned i = 0; i < b->n; i++) {
		sums[b->ranges[i].space].reads += b->counts[i].reads;
		sums[b->ranges[i].space].writes += b->counts[i].writes;
	}
	begin(l, "vcpu", "");
	count(l, "exit_io_in", sums[BUS_PIO].reads);
	count(l, "exit_io_out", sums[BUS_PIO].writes);
	count(l, "exit_mmio_read", sums[BUS_MMIO].reads);
	count(l, "exit_mmio_write", sums[BUS_MMIO].writes);
	end(l);
}

/* ---- devices ---- */

static void uart(struct metrics_line *l, const struct vm *vm)
{
	struct serial_counts c = serial_counts(vm->serial);
	/* The first range on the bus. */
	const struct bus_count *b = &vm->bus.counts[0];

	begin(l, "uart", "");
	count(l, "error_count", c.out_errors);
	count(l, "read_count", b->reads);
	count(l, "write_count", b->writes);
	count(l, "rate_limiter_dropped_bytes", c.out_limited);
	count(l, "out_bytes", c.out_bytes);
	count(l, "out_dropped_bytes", c.out_dropped);
	count(l, "in_bytes", c.in_bytes);
	count(l, "interrupt_count", c.interrupts);
	end(l);
}

/* What every virtio device counts. */
struct common {
	uint64_t ioreqs, interrupts, faults, resets;
	uint64_t notifications[2]; /* of queues with even and odd numbers */
};

static void add_common(struct common *sum, const struct vm *vm, unsigned i)
{
	const struct virtio_dev *d = vm_device_virtio(vm->devices.devices[i]);
	const struct bus_count *b = &vm->bus.counts[vm->bus_fixed + i];

	sum->ioreqs += b->reads + b->writes;
	sum->interrupts += d->counts.interrupts;
	sum->faults += d->counts.faults;
	sum->resets += d->counts.resets;
	for (unsigned q = 0; q < d->n_queues; q++)
		sum->notifications[q % 2] += d->queues[q].counts.notifications;
}

static void common(struct metrics_line *l, const struct common *c)
{
	count(l, "ioreq_count", c->ioreqs);
	count(l, "interrupt_count", c->interrupts);
	count(l, "fault_count", c->faults);
	count(l, "reset_count", c->resets);
}

static void add_block(struct blk_counts *sum, const struct blk_counts *c)
{
	sum->reads += c->reads;
	sum->writes += c->writes;
	sum->flushes += c->flushes;
	sum->discards += c->discards;
	sum->read_bytes += c->read_bytes;
	sum->write_bytes += c->write_bytes;
	sum->errors += c->errors;
	sum->invalid += c->invalid;
	sum->throttled += c->throttled;
	sum->updates += c->updates;
	latency_merge(&sum->read_latency, &c->read_latency);
	latency_merge(&sum->write_latency, &c->write_latency);
	latency_merge(&sum->flush_latency, &c->flush_latency);
}

static void block(struct metrics_line *l, const char *id, const struct blk_counts *c,
		  const struct common *v)
{
	begin(l, "block", id);
	count(l, "execute_fails", c->errors - c->invalid);
	count(l, "invalid_reqs_count", c->invalid);
	count(l, "flush_count", c->flushes);
	count(l, "queue_event_count", v->notifications[0] + v->notifications[1]);
	count(l, "update_count", c->updates);
	count(l, "read_bytes", c->read_bytes);
	count(l, "write_bytes", c->write_bytes);
	count(l, "read_count", c->reads);
	count(l, "write_count", c->writes);
	aggregate(l, "read_agg", &c->read_latency);
	aggregate(l, "write_agg", &c->write_latency);
	count(l, "rate_limiter_throttled_events", c->throttled);
	count(l, "discard_count", c->discards);
	aggregate(l, "flush_agg", &c->flush_latency);
	common(l, v);
	end(l);
}

static void add_net(struct net_counts *sum, const struct net_counts *c)
{
	sum->rx_packets += c->rx_packets;
	sum->rx_bytes += c->rx_bytes;
	sum->tx_packets += c->tx_packets;
	sum->tx_bytes += c->tx_bytes;
	sum->rx_stalls += c->rx_stalls;
	sum->tx_errors += c->tx_errors;
	sum->rx_errors += c->rx_errors;
	sum->rx_throttled += c->rx_throttled;
	sum->tx_throttled += c->tx_throttled;
	latency_merge(&sum->write_latency, &c->write_latency);
}

static void net(struct metrics_line *l, const char *id, const struct net_counts *c,
		const struct common *v)
{
	begin(l, "net", id);
	count(l, "no_rx_avail_buffer", c->rx_stalls);
	count(l, "rx_queue_event_count", v->notifications[0]);
	count(l, "rx_rate_limiter_throttled", c->rx_throttled);
	count(l, "rx_bytes_count", c->rx_bytes);
	count(l, "rx_packets_count", c->rx_packets);
	count(l, "rx_fails", c->rx_errors);
	aggregate(l, "tap_write_agg", &c->write_latency);
	count(l, "tx_bytes_count", c->tx_bytes);
	count(l, "tx_fails", c->tx_errors);
	count(l, "tx_packets_count", c->tx_packets);
	count(l, "tx_queue_event_count", v->notifications[1]);
	count(l, "tx_rate_limiter_throttled", c->tx_throttled);
	common(l, v);
	end(l);
}

/* All of a kind together; they are there when there are no devices, too. */
static void sums(struct metrics_line *l, const struct vm *vm)
{
	struct common blk_common = { 0 }, net_common = { 0 };
	struct blk_counts blk_sum = { 0 }, b;
	struct net_counts net_sum = { 0 }, n;

	for (unsigned i = 0; i < vm->devices.n; i++) {
		const struct vm_device *d = vm->devices.devices[i];

		if (d->blk) {
			b = virtio_blk_counts(d->blk);
			add_block(&blk_sum, &b);
		} else {
			n = virtio_net_counts(d->net);
			add_net(&net_sum, &n);
		}
		add_common(d->blk ? &blk_common : &net_common, vm, i);
	}
	block(l, "", &blk_sum, &blk_common);
	net(l, "", &net_sum, &net_common);
}

static void each_device(struct metrics_line *l, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->devices.n; i++) {
		const struct vm_device *d = vm->devices.devices[i];
		struct common v = { 0 };
		struct blk_counts b;
		struct net_counts n;

		add_common(&v, vm, i);
		if (d->blk) {
			b = virtio_blk_counts(d->blk);
			block(l, d->id, &b, &v);
		} else {
			n = virtio_net_counts(d->net);
			net(l, d->id, &n, &v);
		}
	}
}

int metrics_line_make(struct metrics_line *l, const struct vm *vm,
		      const struct metrics_own *own)
{
	append(l, "%s{\"utc_timestamp_ms\":%" PRIu64, own->broken ? "\n" : "", clock_utc_ms());
	l->comma = true;
	if (own->emit_id)
		append(l, ",\"id\":\"%s\"", vm->params.id);
	if (*own->properties)
		append(l, ",\"properties\":%s", own->properties);
	api(l, vm, own);
	logger(l, own);
	vcpu(l, &vm->bus);
	xen(l, vm);
	uart(l, vm);
	sums(l, vm);
	each_device(l, vm);
	append(l, "}\n");
	return l->failed ? -ENOMEM : 0;
}
