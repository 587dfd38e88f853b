/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All instances of this host at one moment: what each monitor says and what the kernel says
 * about its processes. What ps and top show.
 */
#ifndef API_CTL_SURVEY_H
#define API_CTL_SURVEY_H

#include "api/ctl/instances.h"
#include "api/ctl/procstat.h"

/* A monitor that lives answers within this, or is shown as one that does not. */
#define SURVEY_TIMEOUT_MS 1000

struct survey_vm {
	struct instance instance;
	/* What the monitor says; not when `silence` has a reason why it does not. */
	char state[32];
	uint64_t vcpus, memory_mib;
	struct err silence;
	/* What the kernel says. */
	bool has_family, has_net;
	struct procfamily family;
	uint64_t net_in_bytes, net_out_bytes; /* as the guest sees it; all its taps */
};

struct survey {
	size_t n;
	struct survey_vm *vms; /* by the name of the instance */
	uint64_t at_ns; /* CLOCK_BOOTTIME */
};

/*
 * Ask all instances below `run_dir`, at the same time. 0 or -errno with a reason; monitors
 * that do not answer are no error. To be freed by survey_free.
 */
MUST_CHECK int survey_take(struct survey *out, const char *run_dir, struct err *e);
void survey_free(struct survey *s);

#endif
