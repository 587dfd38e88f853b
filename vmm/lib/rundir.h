/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run directory: every running monitor has a directory of its own in a common one,
 * by which others find it. It belongs to its owner alone and holds
 *
 *	pid		the process to signal, in decimal; locked while the instance lives
 *	api.socket	the API, unless there is none
 *	console.socket	the serial port, when it is a socket
 *	log		the log, when it is a file
 *	metrics		the metrics, when they are written from the start
 *
 * each the thing itself or a symbolic link to where it is. The name of the directory is
 * the instance's id, or `ID.PID` when there is a living one of that id already ('.' is
 * not in ids). An instance lives as long as a process has the lock (an open file
 * description lock, which keeper and monitor share): a directory that is not locked is
 * stale, whatever has become of the number in it. This is what both sides of that know;
 * vmm/instance.h makes such a directory, api/ctl/instances.h finds them.
 */
#ifndef VMM_LIB_RUNDIR_H
#define VMM_LIB_RUNDIR_H

#include "vmm/lib/config.h"
#include "vmm/lib/err.h"

#define RUNDIR_BASE_DEFAULT "/run/xenolith"
#define RUNDIR_BASE_ENV "XENOLITH_RUN_DIR"

#define RUNDIR_PID "pid"
#define RUNDIR_API "api.socket"
#define RUNDIR_CONSOLE "console.socket"
#define RUNDIR_LOG "log"
#define RUNDIR_METRICS "metrics"

/* "ID.PID" with its NUL. */
#define RUNDIR_NAME_MAX (CONFIG_ID_MAX + 1 + 10 + 1)
#define RUNDIR_PATH_MAX 512

/* The common directory: `given`, if it is not NULL, or the environment's, or the default. */
const char *rundir_base(const char *given);

/* Whether `name` can be an instance's: ID or ID.PID. */
bool rundir_name_valid(const char *name);

/*
 * "BASE/NAME", or "BASE/NAME/FILE" when `file` is not NULL. 0, or -ENAMETOOLONG with a
 * reason; `out` has room for RUNDIR_PATH_MAX bytes.
 */
MUST_CHECK int rundir_path(char *out, const char *base, const char *name, const char *file,
			   struct err *e);

/* Whether somebody else holds the lock of the open pid file `fd`. */
bool rundir_locked(int fd);

/*
 * Take the lock of the open pid file `fd`, which goes when the last copy of that
 * descriptor is closed. 0; -EAGAIN: another has it; -ESTALE: the file has been removed.
 */
MUST_CHECK int rundir_lock(int fd);

/* The process named in the open pid file `fd`, or -1. */
int rundir_pid(int fd);

/* Remove all but `pid` from the directory at `path`, whose lock the caller has. */
void rundir_remove_files(const char *path);

/*
 * Remove the directory at `path` and what is in it, `pid` last; nothing is removed in
 * directories below it. 0 or -errno; being gone already is no error.
 */
int rundir_remove(const char *path);

/*
 * Remove the directory at `path` if its instance is dead. 1: it was, 0: it lives or is
 * not there, or -errno.
 */
int rundir_remove_stale(const char *path);

#endif
