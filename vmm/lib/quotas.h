/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The right to create domains, which a VM can be given: what it may take for them, as
 * hypervisor-patches/ABI.md defines it (XENOLITH_QUOTA_*). Told on the command line, as
 *
 *	domains=N,memory-mib=N[,vcpus=N][,event-channels=N][,grant-frames=N][,paging-pages=N]
 *
 * in any order. Not part of the API: it would be for the monitor to pass on, and the
 * monitor is not trusted with it.
 */
#ifndef VMM_LIB_QUOTAS_H
#define VMM_LIB_QUOTAS_H

#include "vmm/lib/err.h"

struct quotas {
	uint64_t domains; /* 0: the VM gets no such right */
	uint64_t memory_mib; /* of all of them, what Xenolith needs beside it not counted */
	uint64_t vcpus;
	uint64_t event_channels;
	uint64_t grant_frames;
	uint64_t paging_pages;
};

/* What a domain of Xenolith's takes, by its number of vCPUs. */
#define QUOTAS_EVENT_CHANNELS(vcpus) (65 + 16 * (uint64_t)(vcpus))
#define QUOTAS_GRANT_FRAMES 4
#define QUOTAS_PAGING_PAGES 256 /* 1 MiB, as Xen gives it */

/*
 * 0, or -EINVAL with a reason. What is not given is enough for that many domains with two
 * vCPUs each.
 */
MUST_CHECK int quotas_parse(const char *text, struct quotas *out, struct err *e);

#endif
