/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's drives and network interfaces: configured and opened before the start, changed
 * while the guest runs. vmm/control.c decides which of these functions a client may call
 * when, and puts what Firecracker says first ("Drive config error: ") before the reasons.
 */
#ifndef VMM_VM_DEVICES_H
#define VMM_VM_DEVICES_H

#include "vmm/vm.h"

/*
 * Add a drive or interface, or replace the one of the same id, before the start. 0 or -errno
 * with a reason, and nothing has changed: those of config_put_drive() and config_put_net(),
 * or "Unable to create the virtio block device: ...", "Could not create the network device:
 * ..." when what is behind it cannot be opened.
 */
MUST_CHECK int vm_put_drive(struct vm *vm, const struct drive_config *d, struct err *e);
MUST_CHECK int vm_put_net(struct vm *vm, const struct net_config *n, struct err *e);

/*
 * Change a drive or interface of the running guest. 0 or -errno with a reason, which
 * vmm/control.c makes "Unable to patch the block device: ... Please verify the request
 * arguments." or "Unable to update the net device: ...", and nothing has changed.
 */
MUST_CHECK int vm_patch_drive(struct vm *vm, const struct drive_update *u, struct err *e);
MUST_CHECK int vm_patch_net(struct vm *vm, const struct net_update *u, struct err *e);

#endif
