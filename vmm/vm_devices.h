/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's virtio devices. Files and taps are opened when a client names them, so that it
 * learns of a mistake at once; the devices are made when the guest is started, in the
 * order of the configuration: drives, then interfaces, each in the next window.
 */
#ifndef VMM_VM_DEVICES_H
#define VMM_VM_DEVICES_H

#include "api/action.h"
#include "boot/load.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_mmio.h"
#include "devices/virtio_net.h"
#include "vmm/lib/layout.h"

struct vm;

/* What was opened for a drive or interface, by its id, until a device takes it over. */
struct vm_backend {
	char id[CONFIG_ID_MAX + 1];
	struct disk *disk; /* one of these two, or none: to be opened at the start */
	struct tap *tap;
};

struct vm_device {
	char id[CONFIG_ID_MAX + 1];
	struct virtio_blk *blk; /* one of these two */
	struct virtio_net *net;
	struct virtio_mmio mmio;
};

struct vm_devices {
	unsigned n_disks, n_taps, n;
	struct vm_backend disks[CONFIG_DEVICES_MAX];
	struct vm_backend taps[CONFIG_DEVICES_MAX];
	struct vm_device *devices[LAYOUT_VIRTIO_MAX];
	bool pages; /* the guest reads the registers without exits */
};

/*
 * Before the start: add or replace a drive or interface, and open what it names. 0 or
 * -errno with a reason, and nothing has changed: those of config_put_drive() and
 * config_put_net(), or "Unable to create the virtio block device: ...", "Could not create
 * the network device: ..." when what is behind it cannot be opened.
 */
MUST_CHECK int vm_put_drive(struct vm *vm, const struct drive_config *d, struct err *e);
MUST_CHECK int vm_put_net(struct vm *vm, const struct net_config *n, struct err *e);

/*
 * While the guest is started: another backing file (or the same one, to be looked at
 * again) and other limits. 0 or -errno with a reason, which vmm/control.c makes "Unable to
 * patch the block device: ... Please verify the request arguments." or "Unable to update
 * the net device: ...", and nothing has changed.
 */
MUST_CHECK int vm_patch_drive(struct vm *vm, const struct drive_update *u, struct err *e);
MUST_CHECK int vm_patch_net(struct vm *vm, const struct net_update *u, struct err *e);

/*
 * The open file or tap of a drive or interface of the configuration; opened now, when it
 * is not any more. The caller's from then on. 0 or -errno with a reason.
 */
MUST_CHECK int vm_take_disk(struct vm *vm, const struct drive_config *c, struct disk **out,
			    struct err *e);
MUST_CHECK int vm_take_tap(struct vm *vm, const struct net_config *c, struct tap **out,
			   struct err *e);

/*
 * Make the devices, put them on the bus, and describe them in `machine`. After shape,
 * before start. On error there are none.
 */
MUST_CHECK int vm_devices_create(struct vm *vm, struct boot_machine *machine, struct err *e);

/* hv_listener.rung: a queue's doorbell was. `ctx` is the struct vm. */
void vm_devices_rung(void *ctx, unsigned which);

/* The start failed: the devices go, and what they had open is opened again next time. */
void vm_devices_undo(struct vm *vm);

/*
 * Let what is in flight end, for at most VM_DEVICES_STOP_MS. Turns the loop; the guest
 * runs no more.
 */
#define VM_DEVICES_STOP_MS 2000
void vm_devices_stop(struct vm *vm);

/* The part of a device that all kinds have. */
struct virtio_dev *vm_device_virtio(const struct vm_device *d);

/* Log what was counted so far. */
void vm_devices_log(struct vm *vm);

/*
 * Free everything; the loop turns no more. A device that vm_devices_stop could not stop
 * is left as it is, since the kernel may still write into its memory and the guest's:
 * false then.
 */
bool vm_devices_destroy(struct vm *vm);

#endif
