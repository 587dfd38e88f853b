/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device borrows from the VM for life: the loop for its input and output, and
 * a way to raise its interrupt. Devices know no hypervisor.
 */
#ifndef DEVICES_ENV_H
#define DEVICES_ENV_H

#include "vmm/lib/loop.h"

struct dev_env {
	struct loop *loop;
	/* One edge on an interrupt line of the IOAPIC (1..47). */
	void (*pulse)(void *ctx, unsigned gsi);
	void *ctx;
};

#endif
