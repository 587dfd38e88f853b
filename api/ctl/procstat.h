/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says about the processes of a monitor: how old they are, what time of the
 * processors and what memory they use, what they read and write (proc(5)).
 *
 * Input from anybody on this host: the names of processes.
 */
#ifndef API_CTL_PROCSTAT_H
#define API_CTL_PROCSTAT_H

#include <sys/types.h>

#include "vmm/lib/bytes.h"

/* One process, of /proc/PID/stat. */
struct procstat {
	pid_t pid, parent;
	char state; /* 'R', 'S', ..., 'Z' for one that has ended */
	uint64_t cpu_ticks; /* user and system */
	uint64_t start_ticks; /* since the host started */
	uint64_t rss_pages;
};

/* Parse the text of a stat file, whatever its process is called. 0 or -EBADMSG. */
MUST_CHECK int procstat_parse(const char *text, struct procstat *out);

/*
 * Find `key` at the start of a line, and the number behind it: `KEY:  NUMBER...`, the form of
 * smaps_rollup, io and others. 0, -ENOENT or -EBADMSG.
 */
MUST_CHECK int procstat_number(const char *text, const char *key, uint64_t *out);

/* All processes of the host at one moment. */
struct proctable {
	struct procstat *list; /* sorted by parent */
	size_t n;
};

/*
 * Read the table; `root` is "/proc". Processes that end meanwhile are left out. Returns 0 or
 * -errno; free it with proctable_free.
 */
MUST_CHECK int proctable_read(struct proctable *out, const char *root);
void proctable_free(struct proctable *t);

/* A process and its descendants: keeper and monitor. */
struct procfamily {
	unsigned processes;
	uint64_t cpu_ns; /* user and system */
	uint64_t start_ns; /* of the first one; CLOCK_BOOTTIME */
	uint64_t rss_bytes;
	uint64_t pss_bytes;
	uint64_t read_bytes, write_bytes; /* to and from disks, not caches */
	bool has_pss, has_io; /* whether we may know those of all */
};

/* Add up; `root` as above. -ESRCH: there is no such process. */
MUST_CHECK int procfamily_read(const struct proctable *t, pid_t pid, const char *root,
			       struct procfamily *out);

#endif
