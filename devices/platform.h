/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few fixed registers of the machine: ACPI sleep and reset (hardware-reduced
 * ACPI 6.5 §4.8.3.7, §4.8.3.6), the PIT's ports, which answer 0 so that Linux gives up
 * calibrating against them at once instead of after 100,000 reads, and Firecracker's
 * boot timer.
 *
 * Input from the guest: register writes.
 */
#ifndef DEVICES_PLATFORM_H
#define DEVICES_PLATFORM_H

#include "devices/bus.h"
#include "vmm/lib/layout.h"

struct platform_events {
	void (*poweroff)(void *ctx); /* S5 was entered */
	void (*reset)(void *ctx);
	void (*booted)(void *ctx); /* the guest wrote 123 to the boot timer; may be NULL */
	void *ctx;
};

struct platform {
	struct platform_events events;
	uint8_t sleep_control;
};

/* Put the registers on the bus; `p` is kept for life. 0 or what bus_add says. */
MUST_CHECK int platform_attach(struct platform *p, struct bus *bus,
			       const struct platform_events *events);

#endif
