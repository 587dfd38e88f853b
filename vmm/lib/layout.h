/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest-visible machine: what lies where in guest-physical memory and I/O space.
 * Shared by the tables that describe it (boot/) and the devices that answer there.
 */
#ifndef VMM_LIB_LAYOUT_H
#define VMM_LIB_LAYOUT_H

/* Below 1 MiB, where no kernel segment may go. */
#define LAYOUT_START_INFO 0x6000
#define LAYOUT_CMDLINE 0x7000
#define LAYOUT_CMDLINE_MAX 4096 /* with the final NUL */
#define LAYOUT_LOW_RAM_END 0xa0000
#define LAYOUT_ACPI 0xe0000
#define LAYOUT_ACPI_END 0x100000
#define LAYOUT_KERNEL_MIN 0x100000

/* virtio-mmio windows of 4 KiB, from here upwards, and the GSI of the first one. */
#define LAYOUT_VIRTIO 0xd0000000
#define LAYOUT_VIRTIO_WINDOW 0x1000
#define LAYOUT_VIRTIO_MAX 32
#define LAYOUT_VIRTIO_GSI 16

/* Firecracker's boot timer: the guest writes 123 here when it is up. */
#define LAYOUT_BOOT_TIMER 0xc0000000

#define LAYOUT_IOAPIC 0xfec00000
#define LAYOUT_LAPIC 0xfee00000

/* Ports. */
#define LAYOUT_SERIAL 0x3f8
#define LAYOUT_SERIAL_GSI 4
/* An edge is a press of the power button; 9 would be the SCI of an unpatched Xen. */
#define LAYOUT_BUTTON_GSI 5
#define LAYOUT_SLEEP_CONTROL 0x604
#define LAYOUT_SLEEP_STATUS 0x605
#define LAYOUT_RESET 0x606
#define LAYOUT_RESET_VALUE 1
/* Sleep type of \_S5 in the DSDT. */
#define LAYOUT_S5_TYPE 5

#endif
