/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of the machine (ACPI 6.3): RSDP, XSDT, FADT of a hardware-reduced
 * platform, MADT, and a DSDT with the serial port and the virtio devices.
 */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include "boot/load.h"

/* Enough for 32 vCPUs and BOOT_VIRTIO_MAX devices. */
#define ACPI_BYTES_MAX 4096

/* Pins of Xen's virtual IOAPIC: a device's GSI is below. */
#define ACPI_GSI_MAX 48

/* What stands in guest memory from LAYOUT_ACPI on; the RSDP is first. */
struct acpi_tables {
	uint8_t bytes[ACPI_BYTES_MAX];
	size_t len;
};

/*
 * Build the tables. -EINVAL when there are more vCPUs or devices than the machine can
 * have, or a device's window or GSI cannot be written down.
 */
MUST_CHECK int acpi_build(struct acpi_tables *out, const struct boot_machine *machine,
			  struct err *e);

#endif
