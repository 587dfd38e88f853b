/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instances of this host, as their run directories tell (vmm/lib/rundir.h): also
 * those whose monitor was started by somebody else.
 *
 * Input from others: names and contents of what is in the run directory, which belongs
 * to root.
 */
#ifndef API_CTL_INSTANCES_H
#define API_CTL_INSTANCES_H

#include "vmm/lib/rundir.h"

#include <time.h>

struct instance {
	char name[RUNDIR_NAME_MAX]; /* of its directory: ID or ID.PID */
	char id[CONFIG_ID_MAX + 1];
	bool alive; /* else the directory is what a dead one left */
	int pid; /* the process to signal; -1 when it is not known */
	struct timespec started; /* CLOCK_REALTIME */
	char dir[RUNDIR_PATH_MAX];
	/* Paths in `dir`; empty when there is no such thing. */
	char api[RUNDIR_PATH_MAX], console[RUNDIR_PATH_MAX], log[RUNDIR_PATH_MAX];
	char metrics[RUNDIR_PATH_MAX];
};

struct instances {
	size_t n;
	struct instance *items; /* by name */
};

/*
 * All instances below `base`, stale ones, too; none when `base` does not exist. 0 or
 * -errno with a reason. To be freed by instances_free.
 */
MUST_CHECK int instances_list(struct instances *list, const char *base, struct err *e);

/* Frees what instances_list allocated. */
void instances_free(struct instances *list);

/*
 * The living instance of this name: its id or the name of its directory. `name` may be
 * NULL when only one is running. 0, or -ENOENT with a reason that says which there are.
 */
MUST_CHECK int instances_find(struct instance *out, const char *base, const char *name,
			      struct err *e);

/* The same, or a dead one whose directory has this name. */
MUST_CHECK int instances_find_any(struct instance *out, const char *base, const char *name,
				  struct err *e);

/* Remove the directories of dead instances; returns how many there were. */
unsigned instances_clean(const char *base);

/*
 * What the directory `name` below `base` says; false when it is not there, or not an
 * instance's.
 */
bool instances_read(struct instance *out, const char *base, const char *name);

#endif
