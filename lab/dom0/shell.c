// SPDX-License-Identifier: Apache-2.0
/*
 * Login shell of dom0: /bin/sh in a cgroup of its own if the command begins with
 * a line "#run NAME", so that everything it ever started can be ended by writing to
 * /sys/fs/cgroup/run.NAME/cgroup.kill. Groups left empty are removed by later ones.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "#run "
#define LOCK "/run/lab-shell.lock"

static void remove_empty(void)
{
	struct dirent *entry;
	DIR *dir = opendir(".");

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "run.", 4))
			rmdir(entry->d_name);
	if (dir)
		closedir(dir);
}

static void enter_group(const char *line)
{
	const int length = (int)strcspn(line, "\n");
	const int lock = open(LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char name[128];
	int fd;

	/* A group that we have made and not entered yet is empty, too. */
	if (lock < 0 || flock(lock, LOCK_EX))
		err(126, LOCK);
	if (chdir("/sys/fs/cgroup"))
		err(126, "/sys/fs/cgroup");
	remove_empty();
	snprintf(name, sizeof(name), "run.%.*s", length, line);
	if (mkdir(name, 0755))
		err(126, "cgroup %s", name);
	strncat(name, "/cgroup.procs", sizeof(name) - strlen(name) - 1);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(126, "%s", name);
	close(fd);
	close(lock);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strncmp(argv[2], MARK, strlen(MARK))) {
		enter_group(argv[2] + strlen(MARK));
		if (chdir("/root"))
			err(126, "/root");
		setsid();
		argv[2] += strcspn(argv[2], "\n");
	}
	argv[0] = "sh";
	execv("/bin/sh", argv);
	err(127, "/bin/sh");
}
