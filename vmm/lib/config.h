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
#include "vmm/lib/log.h"

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

/* A bucket with size 0 or refill_time_ms 0 does not limit. */
struct token_bucket_config {
	bool present;
	bool has_one_time_burst;
	uint64_t size; /* bytes or operations */
	uint64_t one_time_burst;
	uint64_t refill_time_ms;
};

struct rate_limiter_config {
	bool present;
	struct token_bucket_config bandwidth, ops;
};

/* One of the drives, 1..32 of them and network interfaces together. */
#define CONFIG_DEVICES_MAX 32
#define CONFIG_PARTUUID_MAX 64
#define CONFIG_IFNAME_MAX 15

enum drive_cache { CACHE_UNSAFE, CACHE_WRITEBACK };
enum drive_engine { ENGINE_SYNC, ENGINE_ASYNC }; /* both are io_uring here */

struct drive_config {
	char id[CONFIG_ID_MAX + 1];
	bool is_root_device;
	bool is_read_only;
	bool direct; /* O_DIRECT; not in Firecracker's API */
	bool has_partuuid;
	char partuuid[CONFIG_PARTUUID_MAX + 1];
	enum drive_cache cache;
	enum drive_engine engine;
	struct rate_limiter_config limit;
	char path[CONFIG_PATH_MAX];
};

/* The fields that a PATCH of a drive gives. */
struct drive_update {
	char id[CONFIG_ID_MAX + 1];
	bool has_path;
	char path[CONFIG_PATH_MAX];
	struct rate_limiter_config limit;
};

struct net_config {
	char id[CONFIG_ID_MAX + 1];
	char host_dev_name[CONFIG_IFNAME_MAX + 1];
	bool has_mac;
	uint8_t mac[6];
	uint16_t mtu; /* 68..65535; 0: not given */
	struct rate_limiter_config rx_limit, tx_limit;
};

struct net_update {
	char id[CONFIG_ID_MAX + 1];
	struct rate_limiter_config rx_limit, tx_limit;
};

/* Where the log goes and what it shows: what a PUT of /logger gives, the rest stays. */
struct logger_config {
	bool has_path, has_level, has_show_level, has_show_origin, has_module;
	enum log_level level;
	bool show_level, show_origin;
	char module[LOG_NAME_MAX + 1];
	char path[CONFIG_PATH_MAX];
};

#define CONFIG_PROPERTIES_MAX 4096

struct metrics_config {
	char path[CONFIG_PATH_MAX];
	bool emit_id;
	char properties[CONFIG_PROPERTIES_MAX]; /* a JSON object of strings; "": none */
};

/* Where the serial port's output goes, and how much of it. */
struct serial_config {
	bool has_path;
	struct token_bucket_config limit; /* of bytes */
	char path[CONFIG_PATH_MAX];
};

/*
 * Drives in the order in which the guest finds them (the root device first, the others as they
 * were put), then interfaces. Allocated one by one: most VMs have few.
 */
struct vm_config {
	struct machine_config machine;
	struct boot_source boot;
	unsigned n_drives, n_nets;
	struct drive_config *drives[CONFIG_DEVICES_MAX];
	struct net_config *nets[CONFIG_DEVICES_MAX];
};

/* Free what the configuration has allocated. */
void config_free(struct vm_config *c);

/*
 * Add a drive or interface (copied), or replace the one of the same id in its place; a root
 * device becomes the first of the drives. Returns its index. Whoever keeps something beside
 * it takes that out at the old index, if there was one, and puts it in at the new one. On
 * error nothing has changed and `e` holds Firecracker's wording without its "Drive config
 * error: " or "Network config error: " prefix: a second root device, a MAC address that is
 * in use, more than CONFIG_DEVICES_MAX, no memory.
 */
MUST_CHECK int config_put_drive(struct vm_config *c, const struct drive_config *d,
				struct err *e);
MUST_CHECK int config_put_net(struct vm_config *c, const struct net_config *n, struct err *e);

/* The index of the one with this id, or -1. */
int config_find_drive(const struct vm_config *c, const char *id);
int config_find_net(const struct vm_config *c, const char *id);

/* The drive that the guest's root file system is on, or NULL. */
const struct drive_config *config_root(const struct vm_config *c);

/* PATCH: buckets that `u` has are taken over, others stay. */
void config_update_limit(struct rate_limiter_config *l, const struct rate_limiter_config *u);

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
