/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM: owns the configuration, guest memory, bus and devices, and brings guest,
 * devices and hypervisor together. vmm/control.c decides which of these functions a
 * client may call when.
 *
 * Input from the guest: its accesses, handed to the devices.
 */
#ifndef VMM_VM_H
#define VMM_VM_H

#include "api/action.h"
#include "api/counts.h"
#include "boot/load.h"
#include "devices/bus.h"
#include "devices/platform.h"
#include "devices/serial.h"
#include "vmm/hv/hv.h"
#include "vmm/lib/exit.h"
#include "vmm/lib/log.h"
#include "vmm/metrics.h"
#include "vmm/vm_devices.h"

struct vm_params {
	const char *id; /* borrowed */
	bool boot_timer;
	bool plain_boot_args;
	int serial_in, serial_out; /* -1: none; borrowed */
	bool serial_socket; /* clients of a socket are the serial port's other end */
	uint64_t metrics_period_ms; /* 0: METRICS_PERIOD_MS */
	const struct api_counts *api_counts; /* NULL: no API; borrowed */
	uint64_t process_start_ns;
};

struct vm {
	struct vm_params params;
	struct loop *loop; /* borrowed */
	struct hv *hv; /* owned */
	struct vm_config config;
	enum instance_state state;

	/* What the configuration names, opened when it was given. */
	int kernel_fd, initrd_fd;

	/* How far the guest has been prepared; what is not is done by vm_start. */
	bool machine_given;
	bool shaped, loaded;
	struct boot_images images;
	struct loop_timer prepare;
	uint64_t last_request_ns; /* a client's, of whatever kind */

	struct gmem gmem;
	struct bus bus;
	struct platform platform;
	struct serial *serial;
	unsigned bus_fixed; /* ranges that are always there: the devices' come after them */
	struct vm_devices devices;
	struct log_guest guest_log;
	struct metrics *metrics; /* owned */

	int io_vcpu; /* whose access is being done; -1: none is */
	uint8_t holds[CONFIG_VCPUS_MAX]; /* what keeps each vCPU waiting */

	uint64_t start_request_ns;
	bool ended;
	enum exit_code exit_code; /* valid once ended */
};

/* Takes over `hv`, also on error. 0 or -errno with a reason. */
MUST_CHECK int vm_create(struct vm **out, struct loop *loop, struct hv *hv,
			 const struct vm_params *params, struct err *e);

/* Destroys the guest. The loop turns no more: vm_stop was called before. */
void vm_destroy(struct vm *vm);

/*
 * Replace the machine's configuration, or the boot source, before the start. What was
 * prepared with the old one is dropped; preparation goes on when clients are silent.
 * vm_set_boot checks the arguments and opens the files, and fails when it cannot.
 */
void vm_set_machine(struct vm *vm, const struct machine_config *m);
MUST_CHECK int vm_set_boot(struct vm *vm, const struct boot_source *b, struct err *e);

/* Finish preparing and let the guest run. On error the VM is as it was. */
MUST_CHECK int vm_start(struct vm *vm, struct err *e);

/* Idempotent, while the guest is started. */
MUST_CHECK int vm_pause(struct vm *vm, struct err *e);
MUST_CHECK int vm_resume(struct vm *vm, struct err *e);

/*
 * Press the power button. A guest that has no driver for it does not notice; one that is
 * paused does when it goes on, once, however often it was pressed meanwhile.
 */
void vm_press_power_button(struct vm *vm);

/* End the VM for a reason of ours (a signal). */
void vm_end(struct vm *vm, enum exit_code code, const char *why);

/*
 * The guest has ended or is to end: stop it, and let devices and serial port finish what
 * they have in flight. The last thing that turns the loop.
 */
void vm_stop(struct vm *vm);

/* Log what was counted so far. */
void vm_log_counts(struct vm *vm);

#endif
