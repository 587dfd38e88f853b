/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client can configure, checked field by field as the Firecracker API
 * defines it (types, defaults and limits). Whoever parses (API, configuration file)
 * fills these; whoever builds the VM reads them. Rules that need more than the one
 * object (a kernel's file opens, memory can be had) are vmm/control.c's.
 */
#ifndef VMM_LIB_CONFIG_H
#define VMM_LIB_CONFIG_H

#include "vmm/lib/err.h"

#define CONFIG_VCPUS_MAX 32
#define CONFIG_PATH_MAX 4096
#define CONFIG_BOOT_ARGS_MAX 2048
#define CONFIG_ID_MAX 64

struct machine_config {
	unsigned vcpu_count; /* 1..32 */
	uint64_t mem_size_mib; /* > 0 */
	bool smt;
	bool track_dirty_pages;
};

/* The fields that a PUT or PATCH of /machine-config gives. */
struct machine_update {
	bool has_vcpu_count, has_mem_size_mib, has_smt, has_track_dirty_pages;
	uint64_t vcpu_count; /* as the client wrote it, unchecked */
	uint64_t mem_size_mib;
	bool smt;
	bool track_dirty_pages;
	bool deprecated; /* cpu_template was given: answer with a Deprecation header */
};

struct boot_source {
	bool present;
	bool has_initrd;
	bool has_boot_args;
	char kernel_image_path[CONFIG_PATH_MAX];
	char initrd_path[CONFIG_PATH_MAX];
	char boot_args[CONFIG_BOOT_ARGS_MAX + 1];
};

struct vm_config {
	struct machine_config machine;
	struct boot_source boot;
};

/* 1 vCPU, 128 MiB, nothing else. */
void config_init(struct vm_config *c);

/*
 * Apply an update to `m` (defaults first when it is a whole replacement, as PUT is).
 * On error `m` is untouched and `e` holds Firecracker's wording, without its
 * "Machine config error: " prefix. 0 or -EINVAL.
 */
MUST_CHECK int config_set_machine(struct machine_config *m, const struct machine_update *u,
				  bool replace, struct err *e);

/* Instance ids: 1..64 of [A-Za-z0-9-]. */
bool config_id_valid(const char *id);

#endif
