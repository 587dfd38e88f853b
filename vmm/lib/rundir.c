/* SPDX-License-Identifier: Apache-2.0 */
/* Run directories: see rundir.h. */
#include "vmm/lib/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *rundir_base(const char *given)
{
	const char *base = given ? given : getenv(RUNDIR_BASE_ENV);

	return base && *base ? base : RUNDIR_BASE_DEFAULT;
}

bool rundir_name_valid(const char *name)
{
	char id[CONFIG_ID_MAX + 1];
	size_t n = strcspn(name, ".");

	if (n >= sizeof(id))
		return false;
	memcpy(id, name, n);
	id[n] = '\0';
	if (!config_id_valid(id))
		return false;
	if (!name[n])
		return true;
	name += n + 1;
	n = strspn(name, "0123456789");
	return n >= 1 && n <= 10 && !name[n];
}

int rundir_path(char *out, const char *base, const char *name, const char *file, struct err *e)
{
	int n = snprintf(out, RUNDIR_PATH_MAX, "%s/%s%s%s", base, name, file ? "/" : "",
			 file ? file : "");

	if (n < 0 || n >= RUNDIR_PATH_MAX)
		return err_set(e, -ENAMETOOLONG, "run directory %s: the name is too long",
			       base);
	return 0;
}

bool rundir_locked(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int rundir_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;

	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return errno == EACCES ? -EAGAIN : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	/* Who removes a stale directory has the lock while doing so, and then lets it go. */
	return st.st_nlink == 0 ? -ESTALE : 0;
}

int rundir_pid(int fd)
{
	char text[16];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	char *end;
	long pid;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	pid = strtol(text, &end, 10);
	return end != text && *end == '\n' && pid > 0 && pid <= INT32_MAX ? (int)pid : -1;
}

/* Everything but `pid`. */
static void remove_files(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, RUNDIR_PID) != 0)
			unlinkat(dir_fd, entry->d_name, 0);
	closedir(dir);
}

void rundir_remove_files(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return;
	remove_files(fd);
	close(fd);
}

int rundir_remove(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	remove_files(fd);
	unlinkat(fd, RUNDIR_PID, 0);
	close(fd);
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

int rundir_remove_stale(const char *path)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd, rc;

	if (dir < 0)
		return errno == ENOENT ? 0 : -errno;
	/* Made if it is missing: a lock is needed against one that is being started there. */
	fd = openat(dir, RUNDIR_PID, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	rc = fd < 0 ? -errno : rundir_lock(fd);
	close(dir);
	if (rc == 0)
		rc = rundir_remove(path);
	else if (rc == -EAGAIN || rc == -ESTALE || rc == -ENOENT)
		rc = -EAGAIN;
	if (fd >= 0)
		close(fd);
	return rc == 0 ? 1 : rc == -EAGAIN ? 0 : rc;
}
