/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM as `run` and `create` are told of it: options, or a file in the form of
 * GET /vm/config, or both. Either way it becomes one object of that form, whose parts are
 * put through the API one by one.
 */
#ifndef API_CTL_SPEC_H
#define API_CTL_SPEC_H

#include "api/ctl/client.h"
#include "api/ctl/ctl.h"

#define SPEC_KERNEL_ENV "XENOLITH_KERNEL"
#define SPEC_BOOT_ARGS "console=ttyS0 quiet reboot=k panic=1"

struct spec_options {
	const char *config, *kernel, *initrd, *args, *append;
	struct option_list disks, nets;
	uint64_t memory_mib, cpus; /* 0: not given */
};

/* The rows of an option table for a structure that has them at `field`. */
#define SPEC_OPTION_ROWS(type, field)                                                    \
	{ .name = "--kernel",                                                            \
	  .letter = 'k',                                                                 \
	  .kind = OPTION_TEXT,                                                           \
	  .value = "FILE",                                                               \
	  .at = offsetof(type, field.kernel),                                            \
	  .completes = COMPLETE_FILE,                                                    \
	  .help = "a PVH kernel [$" SPEC_KERNEL_ENV " or share/xenolith/vmlinux]" },     \
		{ .name = "--initrd",                                                    \
		  .kind = OPTION_TEXT,                                                   \
		  .value = "FILE",                                                       \
		  .at = offsetof(type, field.initrd),                                    \
		  .completes = COMPLETE_FILE,                                            \
		  .help = "its initramfs" },                                             \
		{ .name = "--disk",                                                      \
		  .letter = 'd',                                                         \
		  .kind = OPTION_LIST,                                                   \
		  .value = "FILE[,...]",                                                 \
		  .at = offsetof(type, field.disks),                                     \
		  .completes = COMPLETE_FILE,                                            \
		  .help = "a disk; the first one has the root file system; see below" }, \
		{ .name = "--net",                                                       \
		  .letter = 'n',                                                         \
		  .kind = OPTION_LIST,                                                   \
		  .value = "TAP[,...]",                                                  \
		  .at = offsetof(type, field.nets),                                      \
		  .help = "a network interface; see below" },                            \
		{ .name = "--memory",                                                    \
		  .letter = 'm',                                                         \
		  .kind = OPTION_MIB,                                                    \
		  .value = "MIB",                                                        \
		  .at = offsetof(type, field.memory_mib),                                \
		  .min = 1,                                                              \
		  .max = UINT64_C(1) << 24,                                              \
		  .help = "as 512, 512M or 2G [256]" },                                  \
		{ .name = "--cpus",                                                      \
		  .kind = OPTION_NUMBER,                                                 \
		  .value = "N",                                                          \
		  .at = offsetof(type, field.cpus),                                      \
		  .min = 1,                                                              \
		  .max = CONFIG_VCPUS_MAX,                                               \
		  .help = "virtual CPUs [1]" },                                          \
		{ .name = "--append",                                                    \
		  .letter = 'a',                                                         \
		  .kind = OPTION_TEXT,                                                   \
		  .value = "TEXT",                                                       \
		  .at = offsetof(type, field.append),                                    \
		  .help = "more for the kernel's command line" },                        \
		{ .name = "--args",                                                      \
		  .kind = OPTION_TEXT,                                                   \
		  .value = "TEXT",                                                       \
		  .at = offsetof(type, field.args),                                      \
		  .help = "the command line itself [" SPEC_BOOT_ARGS "]" },              \
	{                                                                                \
		.name = "--config", .letter = 'f', .kind = OPTION_TEXT, .value = "FILE", \
		.at = offsetof(type, field.config), .completes = COMPLETE_FILE,          \
		.help = "JSON as `config` prints it; options go before it"               \
	}

/* What the help of these options says below them. */
#define SPEC_TEXT                                                                                  \
	"A disk is FILE[,ro][,data][,direct][,writeback][,id=ID][,bps=N][,iops=N], where data\n"   \
	"is no root file system, direct goes past the host's page cache and writeback lets\n"      \
	"the guest flush. A network interface is TAP[,mac=MAC][,mtu=N][,id=ID][,bps=N][,pps=N].\n" \
	"bps, iops and pps limit bytes, requests and packets each second; N may end in K, M\n"     \
	"or G (1024 times).\n"

/*
 * The configuration that `o` asks for; `command_args` (may be NULL) goes to the end of
 * the kernel's command line. Paths become absolute. 0 or -errno with a reason. To be freed
 * with cJSON_Delete.
 */
MUST_CHECK int spec_build(cJSON **out, const struct spec_options *o, const char *command_args,
			  struct err *e);

/*
 * Read a configuration from a file, "-" for standard input. 0 or -errno with a reason. To
 * be freed with cJSON_Delete.
 */
MUST_CHECK int spec_read(cJSON **out, const char *path, struct err *e);

/* Put all that is not null in `config` through the API. 0 or -errno with a reason. */
MUST_CHECK int spec_apply(struct client *c, const cJSON *config, struct err *e);

#endif
