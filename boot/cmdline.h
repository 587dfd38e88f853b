/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's command line: the user's arguments and ours.
 */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include "vmm/lib/config.h"
#include "vmm/lib/err.h"
#include "vmm/lib/layout.h"

/* Linux on x86 reads no more than this (COMMAND_LINE_SIZE, without the NUL). */
#define CMDLINE_LEN_MAX 2047

/* What a client that gives no arguments gets: Firecracker's, word for word. */
#define CMDLINE_DEFAULT                                                      \
	"reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux " \
	"i8042.dumbkbd swiotlb=noforce"

struct cmdline {
	char text[LAYOUT_CMDLINE_MAX];
};

/*
 * Join the client's boot arguments (NULL: CMDLINE_DEFAULT), where the root file system is,
 * and what makes a launch quick on this machine (unless `ours` is false).
 *
 * `root` is the root drive, or NULL. As in Firecracker, "root=/dev/vda rw" (or
 * root=PARTUUID=, ro) is put behind the client's arguments for the kernel, before a "--";
 * not when they name root= themselves.
 *
 * Ours come first, so that nothing of them lands behind a "--"; one that the client names
 * too is left out, and so is one that does not fit any more.
 *
 * With ours, "noapic" is taken out: it would leave the guest without interrupts.
 *
 * -EINVAL with a reason when the client's are longer than CMDLINE_LEN_MAX or hold something
 * else than printable ASCII, and when they leave no place for the root drive.
 */
MUST_CHECK int cmdline_build(struct cmdline *out, const char *boot_args, bool ours,
			     const struct drive_config *root, struct err *e);

#endif
