/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a PVH guest, in two steps, so that the long one can be done before the
 * client says InstanceStart: `boot_load_images` copies kernel and initrd into RAM;
 * `boot_load_tables` writes what depends on the rest of the configuration (start_info,
 * command line, memory map, ACPI).
 *
 * Input from files: the kernel image and the initrd are untrusted.
 */
#ifndef BOOT_LOAD_H
#define BOOT_LOAD_H

#include "vmm/lib/err.h"
#include "vmm/lib/gmem.h"

#define BOOT_VIRTIO_MAX 32

struct boot_images {
	uint32_t entry; /* XEN_ELFNOTE_PHYS32_ENTRY */
	gpa_t initrd;
	uint64_t initrd_len; /* 0: none */
};

/* A virtio-mmio device, for the DSDT. */
struct boot_virtio {
	gpa_t window; /* 4 KiB */
	unsigned gsi;
};

struct boot_machine {
	unsigned vcpus; /* 1..32 */
	const char *cmdline; /* the whole of it */
	unsigned n_virtio;
	struct boot_virtio virtio[BOOT_VIRTIO_MAX];
};

/*
 * Copy the kernel (descriptor of a regular file) and, unless `initrd_fd` is negative,
 * the initrd into guest memory. The RAM is all zeroes before. Descriptors stay the
 * caller's. 0 or -errno with a reason that names the part of the image that is wrong,
 * without the file's name (the caller has it).
 */
MUST_CHECK int boot_load_images(const struct gmem *m, int kernel_fd, int initrd_fd,
				struct boot_images *out, struct err *e);

/*
 * Write start_info, memory map, command line and ACPI tables; `start_info` is what
 * the first vCPU gets in ebx. May be called again. 0 or -errno with a reason.
 */
MUST_CHECK int boot_load_tables(const struct gmem *m, const struct boot_images *images,
				const struct boot_machine *machine, gpa_t *start_info,
				struct err *e);

#endif
