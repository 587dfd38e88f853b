/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a PVH guest finds in ebx: hvm_start_info version 1, with its module list and
 * memory map, as bytes. Layout: xen/include/public/arch-x86/hvm/start_info.h, written
 * down again here so that boot/ needs no Xen header.
 */
#ifndef BOOT_PVH_H
#define BOOT_PVH_H

#include "boot/load.h"

#define PVH_MAGIC 0x336ec578
#define PVH_VERSION 1

enum pvh_memory_type { PVH_MEMORY_RAM = 1, PVH_MEMORY_ACPI = 3 };

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t nr_modules;
	uint64_t modlist_paddr;
	uint64_t cmdline_paddr;
	uint64_t rsdp_paddr;
	uint64_t memmap_paddr;
	uint32_t memmap_entries;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr;
	uint64_t reserved;
};

struct pvh_memory {
	uint64_t addr;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

/* Low RAM, ACPI, RAM up to the hole, RAM above 4 GiB. */
#define PVH_MEMORY_MAX 4

/* What stands in guest memory from LAYOUT_START_INFO on. */
struct pvh_tables {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memory memory[PVH_MEMORY_MAX];
};

_Static_assert(offsetof(struct pvh_start_info, nr_modules) == 12, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, modlist_paddr) == 16, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, cmdline_paddr) == 24, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, rsdp_paddr) == 32, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, memmap_paddr) == 40, "start_info.h");
_Static_assert(offsetof(struct pvh_start_info, memmap_entries) == 48, "start_info.h");
_Static_assert(sizeof(struct pvh_start_info) == 56, "start_info.h");
_Static_assert(offsetof(struct pvh_module, size) == 8, "start_info.h");
_Static_assert(sizeof(struct pvh_module) == 32, "start_info.h");
_Static_assert(offsetof(struct pvh_memory, size) == 8, "start_info.h");
_Static_assert(offsetof(struct pvh_memory, type) == 16, "start_info.h");
_Static_assert(sizeof(struct pvh_memory) == 24, "start_info.h");

/*
 * Fill in the tables of a guest with the RAM of `m` (more than the first MiB) and the
 * initrd of `images`, with its command line and RSDP at the addresses of layout.h.
 */
void pvh_build(struct pvh_tables *out, const struct gmem *m, const struct boot_images *images);

#endif
