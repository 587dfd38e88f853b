/* SPDX-License-Identifier: Apache-2.0 */
/* This instance's run directory: see instance.h. */
#include "vmm/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often a directory may vanish while we take it: each time somebody cleaned it up. */
#define TRIES 100

/* The common directory: ours, and nobody else's to write to. */
static int make_base(const char *base, struct err *e)
{
	struct stat st;

	if (mkdir(base, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "run directory %s: %s", base, strerror(errno));
	if (stat(base, &st) < 0)
		return err_set(e, -errno, "run directory %s: %s", base, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(e, -ENOTDIR, "run directory %s: not a directory", base);
	if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return err_set(e, -EPERM, "run directory %s: others may write to it", base);
	return 0;
}

/* The pid file of the directory at `path`, made if it is missing; or -errno. */
static int open_pid(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd, error;

	if (dir < 0)
		return -errno;
	fd = openat(dir, RUNDIR_PID, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		    0600);
	error = errno;
	close(dir);
	return fd < 0 ? -error : fd;
}

/* Make or take over the directory at `path`: the locked pid file, or -errno. */
static int take(const char *path, bool *made)
{
	int fd, rc;

	*made = mkdir(path, 0700) == 0;
	if (!*made && errno != EEXIST)
		return -errno;
	fd = open_pid(path);
	if (fd < 0) /* ENOENT: it is being removed */
		return fd == -ENOENT ? -ESTALE : fd;
	rc = rundir_lock(fd);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

static int write_pid(int fd)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0)
		return -errno;
	return pwrite(fd, text, (size_t)n, 0) == n ? 0 : -EIO;
}

static int take_name(struct instance_dir *d, const char *base, const char *name, struct err *e)
{
	char path[RUNDIR_PATH_MAX];
	int rc = rundir_path(path, base, name, NULL, e);
	int fd = -ESTALE;
	bool made = false;

	if (rc < 0)
		return rc;
	for (int i = 0; i < TRIES && fd == -ESTALE; i++)
		fd = take(path, &made);
	if (fd < 0)
		return err_set(e, fd, "run directory %s: %s", path, strerror(-fd));
	if (!made)
		rundir_remove_files(path);
	rc = write_pid(fd);
	if (rc < 0) {
		close(fd);
		return err_set(e, rc, "run directory %s: %s", path, strerror(-rc));
	}
	/* The descriptor stays open, and with it the lock, until the last of us has ended. */
	memcpy(d->path, path, sizeof(path));
	return 0;
}

/* A path in the directory, or a link there to the one that was given. */
static int place(const struct instance_dir *d, const char *file, const char **given,
		 char path[RUNDIR_PATH_MAX], struct err *e)
{
	char target[PATH_MAX], cwd[PATH_MAX];
	int n = snprintf(path, RUNDIR_PATH_MAX, "%s/%s", d->path, file);

	if (n >= RUNDIR_PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "run directory %s: the name is too long",
			       d->path);
	if (!*given) {
		*given = path;
		return 0;
	}
	if (**given == '/')
		n = snprintf(target, sizeof(target), "%s", *given);
	else
		n = !getcwd(cwd, sizeof(cwd)) ?
			    -1 :
			    snprintf(target, sizeof(target), "%s/%s", cwd, *given);
	/* One that cannot be told is no reason not to run. */
	if (n > 0 && n < (int)sizeof(target) && symlink(target, path) < 0)
		return err_set(e, -errno, "run directory %s: %s", d->path, strerror(errno));
	return 0;
}

static int place_all(struct instance_dir *d, struct options *o, struct err *e)
{
	int rc = 0;

	if (!o->no_api)
		rc = place(d, RUNDIR_API, &o->api_sock, d->api, e);
	if (rc == 0 && o->serial == SERIAL_SOCKET)
		rc = place(d, RUNDIR_CONSOLE, &o->serial_path, d->console, e);
	if (rc == 0 && (o->log_path || o->run_log))
		rc = place(d, RUNDIR_LOG, &o->log_path, d->log, e);
	if (rc == 0 && o->metrics_path)
		rc = place(d, RUNDIR_METRICS, &o->metrics_path, d->metrics, e);
	return rc;
}

int instance_create(struct instance_dir *d, struct options *o, struct err *e)
{
	const char *base = rundir_base(o->run_dir);
	char name[RUNDIR_NAME_MAX];
	int rc;

	*d = (struct instance_dir){ 0 };
	rc = make_base(base, e);
	if (rc == 0)
		rc = take_name(d, base, o->id, e);
	if (rc == -EAGAIN) {
		(void)snprintf(name, sizeof(name), "%s.%d", o->id, (int)getpid());
		rc = take_name(d, base, name, e);
	}
	if (rc == 0)
		rc = place_all(d, o, e);
	if (rc < 0)
		instance_remove(d);
	return rc;
}

bool instance_needed(const struct options *o)
{
	return o->run_dir || o->run_log || (!o->no_api && !o->api_sock) ||
	       (o->serial == SERIAL_SOCKET && !o->serial_path);
}

void instance_remove(const struct instance_dir *d)
{
	if (*d->path)
		(void)rundir_remove(d->path);
}
