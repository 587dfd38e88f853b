/* SPDX-License-Identifier: Apache-2.0 */
/* The VM: see vm.h. */
#include "vmm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "boot/cmdline.h"
#include "vmm/lib/layout.h"
#include "vmm/lib/log.h"
#include "vmm/vm_io.h"

/*
 * The guest is prepared when no client has asked for anything for so long: a call that comes
 * meanwhile waits for memory to be populated and images to be copied, and clients that
 * configure one thing after the other give each call as little as 250 ms.
 */
#define PREPARE_QUIET_MS 50

/* ---- its end ---- */

void vm_end(struct vm *vm, enum exit_code code, const char *why)
{
	if (vm->ended)
		return;
	vm->ended = true;
	vm->exit_code = code;
	log_info("vm", "end: %s, exit status %d", why, (int)code);
}

static void on_ended(void *ctx, enum hv_end end)
{
	static const struct {
		enum exit_code code;
		const char *why;
	} ends[] = {
		[HV_END_POWEROFF] = { EXIT_GUEST_HALT, "the guest halted" },
		[HV_END_REBOOT] = { EXIT_GUEST_REBOOT, "the guest rebooted" },
		[HV_END_CRASH] = { EXIT_GUEST_CRASH, "the guest crashed" },
		[HV_END_TRIPLE_FAULT] = { EXIT_GUEST_TRIPLE_FAULT, "the guest triple faulted" },
		[HV_END_OTHER] = { EXIT_GUEST_OTHER, "the guest shut down" },
	};

	vm_end(ctx, ends[end].code, ends[end].why);
}

static void on_invalidate(void *ctx)
{
	struct vm *vm = ctx;

	gmem_invalidate(&vm->gmem);
}

static void on_lost(void *ctx, const char *why)
{
	vm_end(ctx, EXIT_KEEPER_LOST, why);
}

static void on_poweroff(void *ctx)
{
	vm_end(ctx, EXIT_GUEST_POWEROFF, "the guest powered off");
}

static void on_reset(void *ctx)
{
	vm_end(ctx, EXIT_GUEST_REBOOT, "the guest reset");
}

/* The log line of Firecracker's boot timer, which tools parse. */
static void on_booted(void *ctx)
{
	struct vm *vm = ctx;
	uint64_t now = clock_ns();
	uint64_t wall_us = (now - vm->start_request_ns) / 1000;
	uint64_t process_us = (now - vm->params.process_start_ns) / 1000;
	struct timespec cpu;
	uint64_t cpu_us;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	cpu_us = (uint64_t)cpu.tv_sec * 1000000 + (uint64_t)cpu.tv_nsec / 1000;
	log_info("vm", "Guest-boot-time = %6llu us %llu ms, %6llu CPU us %llu CPU ms",
		 (unsigned long long)wall_us, (unsigned long long)(wall_us / 1000),
		 (unsigned long long)cpu_us, (unsigned long long)(cpu_us / 1000));
	log_info("vm", "since process start: %llu us", (unsigned long long)process_us);
	vm_log_counts(vm);
}

/* ---- preparing ---- */

static int shape(struct vm *vm, struct err *e)
{
	uint64_t mib = vm->config.machine.mem_size_mib;
	struct hv_shape s = { .vcpus = vm->config.machine.vcpu_count, .ram = mib * MIB };
	struct hv_range ranges[BUS_RANGES_MAX + 1];
	unsigned n = 0;
	int rc;

	for (unsigned i = 0; i < vm->bus.n; i++) {
		const struct bus_range *r = &vm->bus.ranges[i];

		ranges[n++] =
			(struct hv_range){ .space = r->space == BUS_PIO ? HV_PIO : HV_MMIO,
					   .first = r->first,
					   .last = r->last };
	}
	/* As many devices as there can be: which there are is known at the start. */
	ranges[n++] = (struct hv_range){ .space = HV_MMIO,
					 .first = LAYOUT_VIRTIO,
					 .last = LAYOUT_VIRTIO - 1 +
						 LAYOUT_VIRTIO_MAX * LAYOUT_VIRTIO_WINDOW };
	/* A client may ask for any number of MiB; that of bytes may not exist. */
	if (mib > UINT64_MAX / MIB)
		return err_set(e, -ENOMEM, "the host has not enough free memory for %llu MiB",
			       (unsigned long long)mib);
	vm->loaded = false;
	/* Mapped memory would keep the domain that goes now. */
	gmem_fini(&vm->gmem);
	rc = vm->hv->ops->shape(vm->hv, &s, ranges, n, e);
	vm->shaped = rc == 0;
	gmem_init(&vm->gmem, vm->shaped ? s.ram : 0, &vm->hv->ops->mem, vm->hv);
	return rc;
}

static int load(struct vm *vm, struct err *e)
{
	int rc = boot_load_images(&vm->gmem, vm->kernel_fd, vm->initrd_fd, &vm->images, e);

	vm->loaded = rc == 0;
	/* Half an image may lie in RAM: the next attempt needs fresh memory. */
	if (rc < 0)
		vm->shaped = false;
	return rc;
}

static int prepare(struct vm *vm, struct err *e)
{
	int rc = 0;

	if (!vm->shaped)
		rc = shape(vm, e);
	if (rc == 0 && vm->config.boot.present && !vm->loaded)
		rc = load(vm, e);
	return rc;
}

/* Nobody waits for an answer; do now what the start would have to wait for. */
static void prepare_done(struct loop_op *op, int res)
{
	struct vm *vm = CONTAINER_OF(op, struct vm, prepare.op);
	uint64_t quiet_ms = (clock_ns() - vm->last_request_ns) / 1000000;
	struct err e;

	(void)res;
	if (quiet_ms < PREPARE_QUIET_MS) {
		loop_timeout(vm->loop, &vm->prepare, PREPARE_QUIET_MS - quiet_ms);
		return;
	}
	if (vm->state == INSTANCE_NOT_STARTED && !vm->ended && vm->machine_given &&
	    prepare(vm, &e) < 0)
		log_warn("vm", "preparing the guest: %s", e.text);
}

static void prepare_soon(struct vm *vm)
{
	if (!vm->prepare.op.busy)
		loop_timeout(vm->loop, &vm->prepare, PREPARE_QUIET_MS);
}

void vm_set_machine(struct vm *vm, const struct machine_config *m)
{
	bool same = m->vcpu_count == vm->config.machine.vcpu_count &&
		    m->mem_size_mib == vm->config.machine.mem_size_mib;

	vm->config.machine = *m;
	vm->machine_given = true;
	if (!same)
		vm->shaped = vm->loaded = false;
	prepare_soon(vm);
}

static int open_image(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static void close_image(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Firecracker's words, in its order. On error nothing is open. */
static int open_boot(const struct boot_source *b, int *kernel, int *initrd, struct err *e)
{
	struct cmdline unused;
	int rc;

	*initrd = -1;
	*kernel = open_image(b->kernel_image_path);
	if (*kernel < 0)
		return err_set(e, -errno, "The kernel file cannot be opened: %s (os error %d)",
			       strerror(errno), errno);
	if (b->has_initrd)
		*initrd = open_image(b->initrd_path);
	if (b->has_initrd && *initrd < 0) {
		rc = err_set(e, -errno,
			     "The initrd file cannot be opened due to invalid path or "
			     "invalid permissions. %s (os error %d)",
			     strerror(errno), errno);
	} else {
		rc = cmdline_build(&unused, b->has_boot_args ? b->boot_args : NULL, false, NULL,
				   e);
		if (rc < 0)
			rc = err_prefix(e, rc, "The kernel command line is invalid");
	}
	if (rc < 0) {
		close_image(kernel);
		close_image(initrd);
	}
	return rc;
}

int vm_set_boot(struct vm *vm, const struct boot_source *b, struct err *e)
{
	int kernel, initrd;
	int rc = open_boot(b, &kernel, &initrd, e);

	if (rc < 0)
		return rc;
	close_image(&vm->kernel_fd);
	close_image(&vm->initrd_fd);
	vm->kernel_fd = kernel;
	vm->initrd_fd = initrd;
	/* RAM that holds an older kernel is no use to this one. */
	if (vm->loaded)
		vm->shaped = vm->loaded = false;
	vm->config.boot = *b;
	prepare_soon(vm);
	return 0;
}

/* ---- running ---- */

static int write_tables(struct vm *vm, struct boot_machine *machine, gpa_t *start_info,
			struct err *e)
{
	const struct boot_source *b = &vm->config.boot;
	struct cmdline cmdline;
	int rc = cmdline_build(&cmdline, b->has_boot_args ? b->boot_args : NULL,
			       !vm->params.plain_boot_args, config_root(&vm->config), e);

	if (rc < 0)
		return rc;
	machine->cmdline = cmdline.text;
	return boot_load_tables(&vm->gmem, &vm->images, machine, start_info, e);
}

int vm_start(struct vm *vm, struct err *e)
{
	struct boot_machine machine = { .vcpus = vm->config.machine.vcpu_count };
	struct hv_entry entry;
	int rc;

	vm->start_request_ns = clock_ns();
	if (!vm->config.boot.present)
		return err_set(e, -EINVAL,
			       "Cannot start microvm without kernel configuration.");
	rc = prepare(vm, e);
	if (rc == 0)
		rc = vm_devices_create(vm, &machine, e);
	if (rc < 0)
		return rc;
	rc = write_tables(vm, &machine, &entry.start_info, e);
	entry.ip = vm->images.entry;
	if (rc == 0)
		rc = vm->hv->ops->start(vm->hv, &entry, e);
	if (rc < 0) {
		vm_devices_undo(vm);
		return rc;
	}
	vm->state = INSTANCE_RUNNING;
	metrics_took(vm->metrics, METRICS_START, clock_ns() - vm->start_request_ns);
	metrics_start(vm->metrics);
	close_image(&vm->kernel_fd);
	close_image(&vm->initrd_fd);
	log_info("vm", "started, %llu us after InstanceStart",
		 (unsigned long long)(vm->hv->ops->counts(vm->hv).start_ns -
				      vm->start_request_ns) /
			 1000);
	return 0;
}

int vm_pause(struct vm *vm, struct err *e)
{
	uint64_t begin = clock_ns();
	int rc = 0;

	if (vm->state == INSTANCE_RUNNING)
		rc = vm->hv->ops->pause(vm->hv, e);
	if (rc < 0)
		return rc;
	vm->state = INSTANCE_PAUSED;
	metrics_took(vm->metrics, METRICS_PAUSE, clock_ns() - begin);
	return 0;
}

int vm_resume(struct vm *vm, struct err *e)
{
	uint64_t begin = clock_ns();
	int rc = 0;

	if (vm->state == INSTANCE_PAUSED)
		rc = vm->hv->ops->resume(vm->hv, e);
	if (rc < 0)
		return rc;
	vm->state = INSTANCE_RUNNING;
	metrics_took(vm->metrics, METRICS_RESUME, clock_ns() - begin);
	metrics_resume(vm->metrics);
	return 0;
}

void vm_press_power_button(struct vm *vm)
{
	log_info("vm", "power button pressed");
	vm->hv->ops->pulse(vm->hv, LAYOUT_BUTTON_GSI);
}

void vm_log_counts(struct vm *vm)
{
	struct hv_counts c = vm->hv->ops->counts(vm->hv);
	struct serial_counts s = serial_counts(vm->serial);
	struct loop_stats l = loop_stats(vm->loop);

	log_info("counts",
		 "hypercalls=%llu dm_ops=%llu pages_mapped=%llu notifies=%llu ioreqs=%llu "
		 "doorbells=%llu ring_enters=%llu ring_ops=%llu",
		 (unsigned long long)c.hypercalls, (unsigned long long)c.dm_ops,
		 (unsigned long long)c.pages_mapped, (unsigned long long)c.notifies,
		 (unsigned long long)c.ioreqs, (unsigned long long)c.rings,
		 (unsigned long long)l.enters, (unsigned long long)l.ops);
	log_info("counts", "serial out=%llu dropped=%llu in=%llu interrupts=%llu",
		 (unsigned long long)s.out_bytes, (unsigned long long)s.out_dropped,
		 (unsigned long long)s.in_bytes, (unsigned long long)s.interrupts);
	for (unsigned i = 0; i < vm->bus.n; i++)
		if (vm->bus.counts[i].reads || vm->bus.counts[i].writes)
			log_info("counts", "range %s first=%#llx reads=%llu writes=%llu",
				 vm->bus.ranges[i].name,
				 (unsigned long long)vm->bus.ranges[i].first,
				 (unsigned long long)vm->bus.counts[i].reads,
				 (unsigned long long)vm->bus.counts[i].writes);
	vm_devices_log(vm);
}

/* ---- life ---- */

static void pulse(void *ctx, unsigned gsi)
{
	struct vm *vm = ctx;

	vm->hv->ops->pulse(vm->hv, gsi);
}

static int attach_devices(struct vm *vm, struct err *e)
{
	const struct dev_env env = {
		.loop = vm->loop, .gmem = &vm->gmem, .pulse = pulse, .ctx = vm
	};
	const struct serial_backend backend = { .in_fd = vm->params.serial_in,
						.out_fd = vm->params.serial_out };
	const struct platform_events events = {
		.poweroff = on_poweroff,
		.reset = on_reset,
		.booted = vm->params.boot_timer ? on_booted : NULL,
		.ctx = vm,
	};
	struct bus_range range;
	int rc = serial_create(&vm->serial, &env, LAYOUT_SERIAL_GSI, &backend);

	if (rc == 0) {
		range = serial_range(vm->serial, LAYOUT_SERIAL);
		rc = bus_add(&vm->bus, &range);
	}
	if (rc == 0)
		rc = platform_attach(&vm->platform, &vm->bus, &events);
	if (rc < 0)
		return err_set(e, rc, "creating the devices: %s", strerror(-rc));
	return 0;
}

int vm_create(struct vm **out, struct loop *loop, struct hv *hv, const struct vm_params *params,
	      struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	struct hv_listener listener = {
		.io = vm_io,
		.rung = vm_devices_rung,
		.invalidate = on_invalidate,
		.ended = on_ended,
		.lost = on_lost,
		.ctx = vm,
	};
	int rc;

	if (!vm) {
		hv->ops->close(hv);
		return err_set(e, -ENOMEM, "out of memory");
	}
	vm->params = *params;
	vm->loop = loop;
	vm->hv = hv;
	vm->kernel_fd = vm->initrd_fd = vm->io_vcpu = -1;
	vm->prepare.op.done = prepare_done;
	config_init(&vm->config);
	rc = metrics_create(&vm->metrics, vm);
	rc = rc < 0 ? err_set(e, rc, "out of memory") : attach_devices(vm, e);
	if (rc < 0) {
		vm_destroy(vm);
		return rc;
	}
	hv->ops->listen(hv, loop, &listener);
	*out = vm;
	return 0;
}

void vm_stop(struct vm *vm)
{
	struct err why;

	/* What ended by itself runs no more; what is gone cannot be paused. */
	if (vm->state == INSTANCE_RUNNING && vm->exit_code >= EXIT_SIGNALLED &&
	    vm->hv->ops->pause(vm->hv, &why) < 0)
		log_warn("vm", "%s", why.text);
	vm_devices_stop(vm);
	serial_flush(vm->serial);
	metrics_finish(vm->metrics);
}

void vm_destroy(struct vm *vm)
{
	bool all = vm_devices_destroy(vm);

	metrics_destroy(vm->metrics);
	if (vm->serial)
		serial_destroy(vm->serial);
	if (all)
		gmem_fini(&vm->gmem);
	vm->hv->ops->close(vm->hv);
	close_image(&vm->kernel_fd);
	close_image(&vm->initrd_fd);
	config_free(&vm->config);
	free(vm);
}
