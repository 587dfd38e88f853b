/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's accesses on their way to the devices, and vCPUs that wait for one of theirs
 * to be done.
 *
 * Input from the guest: every access.
 */
#ifndef VMM_VM_IO_H
#define VMM_VM_IO_H

#include "vmm/vm.h"

/* One access, as hv_listener.io says; `ctx` is the struct vm. */
bool vm_io(void *ctx, struct hv_io *io);

/* dev_env.hold and dev_env.release; `ctx` is the struct vm. */
unsigned vm_hold(void *ctx);
void vm_release(void *ctx, unsigned vcpu);

#endif
