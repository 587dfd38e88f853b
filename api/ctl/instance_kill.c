/* SPDX-License-Identifier: Apache-2.0 */
/* Instances that somebody else has started, and their end: see monitor.h. */
#include "api/ctl/monitor.h"

#include "api/ctl/client.h"
#include "vmm/lib/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define KILLED_MS 3000 /* from SIGKILL to the end of both processes */
#define POLL_MS 10
#define ANSWER_MS 500

/* Whether process `pid` has the file with the lock open, and so is who wrote it. */
static bool has_open(int pid, const char *path)
{
	char name[NAME_MAX + 32];
	const struct dirent *entry;
	struct stat file, st;
	bool found = false;
	DIR *dir;

	(void)snprintf(name, sizeof(name), "/proc/%d/fd", pid);
	dir = stat(path, &file) < 0 ? NULL : opendir(name);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		(void)snprintf(name, sizeof(name), "/proc/%d/fd/%s", pid, entry->d_name);
		found = stat(name, &st) == 0 && st.st_dev == file.st_dev &&
			st.st_ino == file.st_ino;
	}
	closedir(dir);
	return found;
}

int instance_pid_fd(const struct instance *i)
{
	char path[RUNDIR_PATH_MAX];
	int fd;

	if (i->pid <= 0 ||
	    snprintf(path, sizeof(path), "%s/" RUNDIR_PID, i->dir) >= (int)sizeof(path))
		return -ESRCH;
	fd = pidfd_open(i->pid, 0);
	if (fd < 0)
		return -errno;
	/* Looked at after it was opened: now the number cannot come to mean another one. */
	if (has_open(i->pid, path))
		return fd;
	close(fd);
	return -ESRCH;
}

bool instance_answers(const struct instance *i)
{
	struct client c;
	int rc;

	if (!*i->api || client_open(&c, i->api, NULL) < 0)
		return false;
	c.timeout_ms = ANSWER_MS;
	rc = client_send(&c, "GET", "/version", NULL, NULL, NULL);
	client_close(&c);
	return rc > 0;
}

/* Whether another one has its directory by now. */
static bool replaced(const struct instance *i)
{
	char path[RUNDIR_PATH_MAX];
	bool other;
	int fd;

	if (snprintf(path, sizeof(path), "%s/" RUNDIR_PID, i->dir) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT && access(i->dir, F_OK) < 0;
	other = rundir_pid(fd) != i->pid;
	close(fd);
	return other;
}

/* Both processes: the lock tells. */
static bool wait_gone(const struct instance *i, unsigned ms)
{
	uint64_t end = clock_ms() + ms;

	do {
		if (rundir_remove_stale(i->dir) != 0 || replaced(i))
			return true;
		usleep(POLL_MS * 1000);
	} while (clock_ms() < end);
	return false;
}

int instance_kill(const struct instance *i, unsigned ms, struct err *e)
{
	int fd = instance_pid_fd(i);

	if (fd < 0 && fd != -ESRCH)
		return err_set(e, fd, "process %d: %s", i->pid, strerror(-fd));
	if (fd >= 0 && pidfd_send_signal(fd, SIGTERM, NULL, 0) < 0 && errno != ESRCH) {
		int rc = -errno;

		close(fd);
		return err_set(e, rc, "process %d: %s", i->pid, strerror(-rc));
	}
	if (fd < 0 || !wait_gone(i, ms)) {
		if (fd >= 0)
			pidfd_send_signal(fd, SIGKILL, NULL, 0);
		if (!wait_gone(i, KILLED_MS)) {
			if (fd >= 0)
				close(fd);
			return err_set(e, -ETIMEDOUT, "process %d does not end", i->pid);
		}
	}
	if (fd >= 0)
		close(fd);
	return 0;
}
