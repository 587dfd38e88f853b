/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This instance's run directory (vmm/lib/rundir.h): made at the start, removed by
 * whichever half of the program is the last one. Made by the privileged half before it
 * splits; no descriptor of the directory is kept, only that of the locked pid file.
 */
#ifndef VMM_INSTANCE_H
#define VMM_INSTANCE_H

#include "vmm/lib/rundir.h"
#include "vmm/options.h"

struct instance_dir {
	char path[RUNDIR_PATH_MAX]; /* empty: there is none */
	char api[RUNDIR_PATH_MAX], console[RUNDIR_PATH_MAX], log[RUNDIR_PATH_MAX];
	char metrics[RUNDIR_PATH_MAX];
};

/*
 * Make the directory of the instance `o->id`, take its lock until this process and those
 * that it forks have ended, and write down where things are: paths that `o` leaves to us
 * are filled in there (strings in `d`), the others become links. What a dead instance of
 * this id left is removed. 0 or -errno with a reason; `d` is valid in any case.
 */
MUST_CHECK int instance_create(struct instance_dir *d, struct options *o, struct err *e);

/* Whether `o` asks for something that needs the directory. */
bool instance_needed(const struct options *o);

/* Remove the directory and what is in it. */
void instance_remove(const struct instance_dir *d);

#endif
