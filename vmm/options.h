/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line, in Firecracker's style: `--flag value`; `--flag=value`, unknown and
 * repeated flags are refused, and those of its flags that mean nothing here. Also the text
 * of --help.
 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

#include "vmm/lib/err.h"
#include "vmm/lib/log.h"
#include "vmm/lib/quotas.h"

#define OPTIONS_ID_DEFAULT "anonymous-instance"

enum serial_kind { SERIAL_STDIO, SERIAL_NONE, SERIAL_FILE, SERIAL_SOCKET };

struct options {
	/* Strings are borrowed from argv. */
	const char *run_dir; /* NULL: the default */
	const char *api_sock; /* NULL: in the instance's run directory */
	const char *id;
	const char *config_file; /* NULL: none */
	const char *log_path; /* NULL: standard error */
	const char *module; /* NULL: all */
	const char *metrics_path; /* NULL: none */
	uint64_t metrics_period_ms; /* 0: not given */
	enum log_level level;
	enum serial_kind serial;
	const char *serial_path; /* SERIAL_FILE, SERIAL_SOCKET; NULL: in the run directory */
	size_t body_max;
	struct quotas builder; /* for the VM; no domains: it gets no such right */
	bool no_api;
	bool run_log; /* log to the run directory */
	bool show_level, show_origin;
	bool boot_timer;
	bool plain_boot_args; /* add nothing to the client's boot arguments */
	bool no_seccomp; /* nothing to switch off yet */
	bool help, version; /* nothing else is set */
};

/* 0, or -EINVAL with a reason. */
MUST_CHECK int options_parse(struct options *o, int argc, char *const *argv, struct err *e);

/* The help text, to standard output. */
void options_help(void);

#endif
