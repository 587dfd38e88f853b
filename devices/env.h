/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device borrows from the VM for life: the loop for its input and output, guest
 * memory, a way to raise its interrupt, and a way to keep a vCPU waiting. Devices know no
 * hypervisor: how an interrupt gets there (two dm_ops, one, an event channel) and how a
 * notification comes (an access, a doorbell) is decided below and beside them.
 */
#ifndef DEVICES_ENV_H
#define DEVICES_ENV_H

#include "vmm/lib/gmem.h"
#include "vmm/lib/loop.h"

struct dev_env {
	struct loop *loop;
	struct gmem *gmem;
	/* One edge on an interrupt line of the IOAPIC (1..47). */
	void (*pulse)(void *ctx, unsigned gsi);
	/*
	 * During a write access: the vCPU that made it is to wait until `release` is called
	 * with what `hold` returned (0..31), once for each hold. May be NULL: nobody can
	 * wait.
	 */
	unsigned (*hold)(void *ctx);
	void (*release)(void *ctx, unsigned vcpu);
	void *ctx;
};

#endif
