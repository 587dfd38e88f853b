/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running one command as a guest's only process (run --command): the kernel starts
 * /bin/sh of the root image, which runs the command between two marks on the console.
 * Between them is the command's output, in the second is its status.
 *
 * Input from the guest: everything on the console. A guest that forges the marks changes
 * what is shown of its own output and its own status, nothing else.
 */
#ifndef API_CTL_GUEST_COMMAND_H
#define API_CTL_GUEST_COMMAND_H

#include "vmm/lib/err.h"

#define GUEST_TOKEN_MAX 33
#define GUEST_TAIL_MAX 4096

/*
 * The end of a kernel command line, from "--" on, that makes /bin/sh run `command`. The
 * marks have `token` (letters and digits) in them. With `input` the command reads the
 * console, else nothing. Returns the length, or -E2BIG when it is longer than `size` - 1.
 */
MUST_CHECK int guest_command_args(char *out, size_t size, const char *command,
				  const char *token, bool input);

enum guest_stage { GUEST_BOOTING, GUEST_COMMAND, GUEST_DONE };

/* What has come over the console so far. Zero-initialise, then set `token`. */
struct guest_output {
	char token[GUEST_TOKEN_MAX];
	enum guest_stage stage;
	int status; /* the command's, when stage is GUEST_DONE */
	bool crlf; /* line ends come as CR LF */
	char held[GUEST_TOKEN_MAX + 16]; /* the beginning of what may be a mark */
	size_t n_held;
	char tail[GUEST_TAIL_MAX]; /* the end of what came before the command */
	size_t n_tail;
};

/*
 * Take `n` bytes of the console; those of the command's output are put into `out`, which
 * has room for `n` + sizeof(held). Returns their number.
 */
size_t guest_output_feed(struct guest_output *g, const char *bytes, size_t n, char *out);

#endif
