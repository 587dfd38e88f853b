/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's command line: the user's arguments and ours.
 */
#ifndef BOOT_CMDLINE_H
#define BOOT_CMDLINE_H

#include "vmm/lib/layout.h"
#include "vmm/lib/err.h"

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
 * Join the client's boot arguments (NULL: CMDLINE_DEFAULT) and what makes a launch
 * quick on this machine (unless `ours` is false). Ours come first, so that nothing of
 * them lands behind a "--" of the client's; one that the client names too is left out,
 * and so is one that does not fit any more. -EINVAL with a reason when the client's are
 * longer than CMDLINE_LEN_MAX or hold something else than printable ASCII.
 */
MUST_CHECK int cmdline_build(struct cmdline *out, const char *boot_args, bool ours,
			     struct err *e);

#endif
