/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hvm_start_info. Nothing here comes from the guest, a client or a file but numbers
 * that were checked before.
 */
#include "boot/pvh.h"

#include "vmm/lib/layout.h"

_Static_assert(LAYOUT_START_INFO + sizeof(struct pvh_tables) <= LAYOUT_CMDLINE,
	       "start_info runs into the command line");

static void add_memory(struct pvh_tables *t, uint64_t from, uint64_t to,
		       enum pvh_memory_type type)
{
	t->memory[t->info.memmap_entries++] = (struct pvh_memory){
		.addr = from,
		.size = to - from,
		.type = type,
	};
}

void pvh_build(struct pvh_tables *out, const struct gmem *m, const struct boot_images *images)
{
	*out = (struct pvh_tables){
		.info = {
			.magic = PVH_MAGIC,
			.version = PVH_VERSION,
			.cmdline_paddr = LAYOUT_CMDLINE,
			.rsdp_paddr = LAYOUT_ACPI,
			.memmap_paddr = LAYOUT_START_INFO + offsetof(struct pvh_tables, memory),
		},
	};
	if (images->initrd_len > 0) {
		out->info.nr_modules = 1;
		out->info.modlist_paddr =
			LAYOUT_START_INFO + offsetof(struct pvh_tables, initrd);
		out->initrd.paddr = images->initrd.v;
		out->initrd.size = images->initrd_len;
	}
	add_memory(out, 0, LAYOUT_LOW_RAM_END, PVH_MEMORY_RAM);
	add_memory(out, LAYOUT_ACPI, LAYOUT_ACPI_END, PVH_MEMORY_ACPI);
	add_memory(out, LAYOUT_KERNEL_MIN, m->low, PVH_MEMORY_RAM);
	if (m->high > 0)
		add_memory(out, GMEM_HOLE_END, GMEM_HOLE_END + m->high, PVH_MEMORY_RAM);
}
