/* SPDX-License-Identifier: Apache-2.0 */
/* The VM's virtio devices: see vm_devices.h. */
#include "vmm/vm_devices.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_mmio.h>
#include <stdlib.h>

#include "vmm/vm.h"
#include "vmm/vm_io.h"

/* ---- making them ---- */

static void pulse(void *ctx, unsigned gsi)
{
	struct vm *vm = ctx;

	vm->hv->ops->pulse(vm->hv, gsi);
}

static struct dev_env device_env(struct vm *vm)
{
	return (struct dev_env){
		.loop = vm->loop,
		.gmem = &vm->gmem,
		.pulse = pulse,
		.hold = vm_hold,
		.release = vm_release,
		.ctx = vm,
	};
}

/* An empty device in the next place. */
static struct vm_device *add_device(struct vm *vm, const char *id, struct err *e)
{
	struct vm_device *d = NULL;

	if (vm->devices.n == LAYOUT_VIRTIO_MAX) {
		err_set(e, -ENOSPC, "more than %d drives and network interfaces",
			LAYOUT_VIRTIO_MAX);
		return NULL;
	}
	d = calloc(1, sizeof(*d));
	if (!d) {
		err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	memcpy(d->id, id, strlen(id) + 1);
	vm->devices.devices[vm->devices.n++] = d;
	return d;
}

/* The GSI of the device that was added last. */
static unsigned last_gsi(const struct vm *vm)
{
	return LAYOUT_VIRTIO_GSI + vm->devices.n - 1;
}

static int create_drive(struct vm *vm, const struct drive_config *c, struct err *e)
{
	unsigned queues = vm->config.machine.vcpu_count;
	struct dev_env env = device_env(vm);
	struct vm_device *d = add_device(vm, c->id, e);
	struct blk_setup s = {
		.id = c->id,
		.env = &env,
		.gsi = last_gsi(vm),
		.queues = queues < BLK_QUEUES_MAX ? queues : BLK_QUEUES_MAX,
		.writeback = c->cache == CACHE_WRITEBACK,
		.limit = &c->limit,
	};
	int rc;

	if (!d)
		return -ENOMEM;
	rc = vm_take_disk(vm, c, &s.disk, e);
	if (rc < 0)
		return rc;
	rc = virtio_blk_create(&d->blk, &s);
	if (rc < 0) {
		disk_close(s.disk);
		return err_set(e, rc, "drive %s: %s", c->id, strerror(-rc));
	}
	virtio_mmio_init(&d->mmio, virtio_blk_dev(d->blk));
	return 0;
}

static int create_net(struct vm *vm, const struct net_config *c, struct err *e)
{
	struct dev_env env = device_env(vm);
	struct vm_device *d = add_device(vm, c->id, e);
	struct net_setup s = {
		.id = c->id,
		.env = &env,
		.gsi = last_gsi(vm),
		.has_mac = c->has_mac,
		.mtu = c->mtu,
		.rx_limit = &c->rx_limit,
		.tx_limit = &c->tx_limit,
	};
	int rc;

	if (!d)
		return -ENOMEM;
	memcpy(s.mac, c->mac, sizeof(s.mac));
	rc = vm_take_tap(vm, c, &s.tap, e);
	if (rc < 0)
		return rc;
	rc = virtio_net_create(&d->net, &s);
	if (rc < 0) {
		tap_close(s.tap);
		return err_set(e, rc, "network interface %s: %s", c->id, strerror(-rc));
	}
	virtio_mmio_init(&d->mmio, virtio_net_dev(d->net));
	return 0;
}

static uint64_t window(unsigned i)
{
	return LAYOUT_VIRTIO + (uint64_t)i * LAYOUT_VIRTIO_WINDOW;
}

static int put_on_bus(struct vm *vm, struct boot_machine *machine, struct err *e)
{
	struct vm_devices *v = &vm->devices;

	for (unsigned i = 0; i < v->n; i++) {
		struct bus_range r = virtio_mmio_range(&v->devices[i]->mmio, window(i));
		int rc = bus_add(&vm->bus, &r);

		if (rc < 0)
			return err_set(e, rc, "device %s: %s", v->devices[i]->id,
				       strerror(-rc));
		machine->virtio[i] = (struct boot_virtio){ .window = gpa(window(i)),
							   .gsi = LAYOUT_VIRTIO_GSI + i };
	}
	machine->n_virtio = v->n;
	return 0;
}

/* Not having them costs exits, nothing else. */
static int add_pages(struct vm *vm, struct err *e)
{
	struct vm_devices *v = &vm->devices;
	uint8_t *pages;
	void *at;
	int rc;

	if (v->n == 0)
		return 0;
	rc = vm->hv->ops->pages(vm->hv, gpa(LAYOUT_VIRTIO), v->n, &at, e);
	if (rc == -EOPNOTSUPP)
		return 0;
	if (rc < 0)
		return rc;
	v->pages = true;
	pages = at;
	for (unsigned i = 0; i < v->n; i++)
		virtio_mmio_set_page(&v->devices[i]->mmio,
				     pages + (size_t)i * LAYOUT_VIRTIO_WINDOW);
	return 0;
}

static int add_lines(struct vm *vm, struct err *e)
{
	int rc = vm->hv->ops->line(vm->hv, LAYOUT_SERIAL_GSI, e);

	for (unsigned i = 0; i < vm->devices.n && rc == 0; i++)
		rc = vm->hv->ops->line(vm->hv, vm_device_virtio(vm->devices.devices[i])->gsi,
				       e);
	return rc;
}

static unsigned bell(unsigned device, unsigned queue)
{
	return device * VIRTIO_QUEUES_MAX + queue;
}

void vm_devices_rung(void *ctx, unsigned which)
{
	struct vm *vm = ctx;
	unsigned i = which / VIRTIO_QUEUES_MAX;

	/* What is told so late may be of devices that are gone. */
	if (!vm->ended && i < vm->devices.n)
		virtio_notify(vm_device_virtio(vm->devices.devices[i]),
			      which % VIRTIO_QUEUES_MAX);
}

static int add_bells(struct vm *vm, unsigned i, struct err *e)
{
	struct vm_device *d = vm->devices.devices[i];
	const struct virtio_dev *dev = vm_device_virtio(d);
	struct hv_doorbell b = { .addr = window(i) + VIRTIO_MMIO_QUEUE_NOTIFY };
	int rc = 0;

	/* A number that is no queue's comes as an access, and is the fault that it is. */
	for (unsigned q = 0; q < dev->n_queues && rc == 0; q++) {
		b.data = q;
		b.which = bell(i, q);
		rc = vm->hv->ops->doorbell(vm->hv, &b, e);
	}
	if (rc < 0 || !vm->devices.pages)
		return rc;
	rc = vm->hv->ops->clears(vm->hv, window(i) + VIRTIO_MMIO_INTERRUPT_ACK,
				 gpa(window(i) + VIRTIO_MMIO_INTERRUPT_STATUS), e);
	if (rc == 0)
		virtio_mmio_acked_below(&d->mmio);
	return rc;
}

/* Each that is not to be had costs the vCPUs' time, nothing else. */
static int add_doorbells(struct vm *vm, struct err *e)
{
	int rc = 0;

	for (unsigned i = 0; i < vm->devices.n && rc == 0; i++)
		rc = add_bells(vm, i, e);
	return rc == -EOPNOTSUPP || rc == -ENOSPC ? 0 : rc;
}

int vm_devices_create(struct vm *vm, struct boot_machine *machine, struct err *e)
{
	const struct vm_config *c = &vm->config;
	int rc = 0;

	vm->bus_fixed = vm->bus.n;
	for (unsigned i = 0; i < c->n_drives && rc == 0; i++)
		rc = create_drive(vm, c->drives[i], e);
	for (unsigned i = 0; i < c->n_nets && rc == 0; i++)
		rc = create_net(vm, c->nets[i], e);
	if (rc == 0)
		rc = put_on_bus(vm, machine, e);
	if (rc == 0)
		rc = add_pages(vm, e);
	if (rc == 0)
		rc = add_doorbells(vm, e);
	if (rc == 0)
		rc = add_lines(vm, e);
	if (rc < 0)
		vm_devices_undo(vm);
	return rc;
}

/* ---- ending them ---- */

struct virtio_dev *vm_device_virtio(const struct vm_device *d)
{
	return d->blk ? virtio_blk_dev(d->blk) : virtio_net_dev(d->net);
}

static bool has_device(const struct vm_device *d)
{
	return d->blk || d->net;
}

static bool destroy_devices(struct vm *vm)
{
	bool all = true;

	for (unsigned i = 0; i < vm->devices.n; i++) {
		struct vm_device *d = vm->devices.devices[i];

		if (has_device(d) && vm_device_virtio(d)->run != VIRTIO_IDLE) {
			all = false;
			continue;
		}
		if (d->blk)
			virtio_blk_destroy(d->blk);
		if (d->net)
			virtio_net_destroy(d->net);
		free(d);
	}
	vm->devices.n = 0;
	vm->devices.pages = false;
	return all;
}

void vm_devices_undo(struct vm *vm)
{
	destroy_devices(vm);
	vm->bus.n = vm->bus_fixed;
	/* The pages were part of this shape. */
	vm->shaped = false;
}

static bool all_idle(const struct vm *vm)
{
	for (unsigned i = 0; i < vm->devices.n; i++)
		if (vm_device_virtio(vm->devices.devices[i])->run != VIRTIO_IDLE)
			return false;
	return true;
}

static void time_is_up(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

void vm_devices_stop(struct vm *vm)
{
	struct loop_timer limit = { .op.done = time_is_up };

	for (unsigned i = 0; i < vm->devices.n; i++) {
		struct vm_device *d = vm->devices.devices[i];

		/* What the guest sees matters no more, and its pages may go at any time. */
		virtio_mmio_set_page(&d->mmio, NULL);
		virtio_reset(vm_device_virtio(d));
	}
	if (all_idle(vm))
		return;
	loop_timeout(vm->loop, &limit, VM_DEVICES_STOP_MS);
	while (limit.op.busy && !all_idle(vm))
		if (loop_turn(vm->loop) < 0)
			return;
	loop_cancel(vm->loop, &limit.op);
	while (limit.op.busy)
		if (loop_turn(vm->loop) < 0)
			return;
	for (unsigned i = 0; i < vm->devices.n; i++)
		if (vm_device_virtio(vm->devices.devices[i])->run != VIRTIO_IDLE)
			log_error("vm", "%s: requests did not end within %d ms",
				  vm_device_virtio(vm->devices.devices[i])->name,
				  VM_DEVICES_STOP_MS);
}

bool vm_devices_destroy(struct vm *vm)
{
	struct vm_devices *v = &vm->devices;
	bool all = destroy_devices(vm);

	for (unsigned i = 0; i < v->n_disks; i++)
		disk_close(v->disks[i].disk);
	for (unsigned i = 0; i < v->n_taps; i++)
		tap_close(v->taps[i].tap);
	return all;
}

/* ---- counts ---- */

static void log_drive(const struct vm_device *d)
{
	struct blk_counts c = virtio_blk_counts(d->blk);

	log_info("counts",
		 "drive %s reads=%" PRIu64 " writes=%" PRIu64 " flushes=%" PRIu64
		 " discards=%" PRIu64 " read_bytes=%" PRIu64 " write_bytes=%" PRIu64
		 " errors=%" PRIu64 " throttled=%" PRIu64,
		 d->id, c.reads, c.writes, c.flushes, c.discards, c.read_bytes, c.write_bytes,
		 c.errors, c.throttled);
}

static void log_net(const struct vm_device *d)
{
	struct net_counts c = virtio_net_counts(d->net);

	log_info("counts",
		 "net %s rx_packets=%" PRIu64 " rx_bytes=%" PRIu64 " tx_packets=%" PRIu64
		 " tx_bytes=%" PRIu64 " rx_stalls=%" PRIu64 " rx_errors=%" PRIu64
		 " tx_errors=%" PRIu64 " rx_throttled=%" PRIu64 " tx_throttled=%" PRIu64,
		 d->id, c.rx_packets, c.rx_bytes, c.tx_packets, c.tx_bytes, c.rx_stalls,
		 c.rx_errors, c.tx_errors, c.rx_throttled, c.tx_throttled);
}

void vm_devices_log(struct vm *vm)
{
	for (unsigned i = 0; i < vm->devices.n; i++) {
		const struct vm_device *d = vm->devices.devices[i];
		const struct virtio_dev *dev = vm_device_virtio(d);
		uint64_t notifications = 0;

		for (unsigned q = 0; q < dev->n_queues; q++)
			notifications += dev->queues[q].counts.notifications;
		log_info("counts",
			 "device %s notifications=%" PRIu64 " interrupts=%" PRIu64
			 " faults=%" PRIu64 " resets=%" PRIu64,
			 d->id, notifications, dev->counts.interrupts, dev->counts.faults,
			 dev->counts.resets);
		if (d->blk)
			log_drive(d);
		else
			log_net(d);
	}
}
