/* SPDX-License-Identifier: Apache-2.0 */
/* Starting monitors: see monitor.h. */
#include "api/ctl/monitor.h"

#include "api/ctl/client.h"
#include "vmm/lib/exit.h"
#include "vmm/lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 20000 /* until it must answer */
#define GRACE_MS 3000 /* from SIGTERM to SIGKILL */
#define LOG_TAIL 16384
#define POLL_MS 2

/* ---- the process --------------------------------------------------------------- */

static const char *find_binary(const char *given, char path[PATH_MAX])
{
	const char *from_env = getenv(MONITOR_ENV);
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (given)
		return given;
	if (from_env && *from_env)
		return from_env;
	if (n > 0) {
		path[n] = '\0';
		slash = strrchr(path, '/');
		if (slash && (size_t)(slash - path) + sizeof("/xenolith") <= PATH_MAX) {
			memcpy(slash, "/xenolith", sizeof("/xenolith"));
			if (access(path, X_OK) == 0)
				return path;
		}
	}
	return "xenolith";
}

/* In the child. What it says until it has a log is for us to tell. */
static void become(const char *binary, const char *run_dir, const char *id, int err_fd)
{
	const char *const argv[] = {
		binary,	    "--run-dir", run_dir,     "--id",	      id,
		"--serial", "socket",	 "--run-log", "--show-level", NULL
	};
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(err_fd, 2) < 0)
		_exit(EXIT_FAILURE);
	/* execvp takes what it does not change as if it could. */
	execvp(binary, (char *const *)(uintptr_t)argv);
	dprintf(2, "error: %s: %s\n", binary, strerror(errno));
	_exit(EXIT_FAILURE);
}

static int spawn(struct monitor *m, const char *binary, const char *run_dir, const char *id,
		 struct err *e)
{
	char path[PATH_MAX];

	binary = find_binary(binary, path);
	m->err_fd = memfd_create("xenolith-stderr", MFD_CLOEXEC);
	if (m->err_fd < 0)
		return err_set(e, -errno, "memfd_create: %s", strerror(errno));
	m->pid = fork();
	if (m->pid == 0)
		become(binary, run_dir, id, m->err_fd);
	if (m->pid < 0) {
		m->pid = 0;
		return err_set(e, -errno, "fork: %s", strerror(errno));
	}
	m->pid_fd = pidfd_open(m->pid, 0);
	if (m->pid_fd < 0)
		return err_set(e, -errno, "pidfd_open: %s", strerror(errno));
	return 0;
}

bool monitor_wait(struct monitor *m, unsigned ms)
{
	struct pollfd fd = { .fd = m->pid_fd, .events = POLLIN };
	uint64_t end = clock_ms() + ms, now;
	int status;

	if (m->pid <= 0)
		return true;
	do {
		if (waitpid(m->pid, &status, WNOHANG) == m->pid) {
			m->pid = 0;
			m->status = WIFSIGNALED(status) ? EXIT_SIGNALLED + WTERMSIG(status) :
							  WEXITSTATUS(status);
			return true;
		}
		now = clock_ms();
		if (now < end)
			(void)poll(&fd, 1, (int)(end - now));
	} while (now < end);
	return false;
}

static void close_all(struct monitor *m)
{
	int *fds[] = { &m->pid_fd, &m->err_fd, &m->log_fd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int monitor_end(struct monitor *m)
{
	if (m->pid > 0)
		kill(m->pid, SIGTERM);
	if (!monitor_wait(m, GRACE_MS)) {
		kill(m->pid, SIGKILL);
		(void)monitor_wait(m, GRACE_MS);
	}
	/* Its other half needs a moment when it was killed. */
	for (int i = 0; i < 100 && *m->instance.dir; i++) {
		if (rundir_remove_stale(m->instance.dir) != 0 ||
		    access(m->instance.dir, F_OK) < 0)
			break;
		usleep(10000);
	}
	close_all(m);
	return m->status;
}

void monitor_release(struct monitor *m)
{
	m->pid = 0;
	close_all(m);
}

/* ---- its readiness ------------------------------------------------------------- */

/* Which directory has become ours; false when none has yet. */
static bool find_directory(struct monitor *m, const char *run_dir, const char *id)
{
	char name[RUNDIR_NAME_MAX];

	(void)snprintf(name, sizeof(name), "%s.%d", id, (int)m->pid);
	return (instances_read(&m->instance, run_dir, id) && m->instance.alive &&
		m->instance.pid == m->pid) ||
	       (instances_read(&m->instance, run_dir, name) && m->instance.alive &&
		m->instance.pid == m->pid);
}

static bool answers(struct monitor *m, const char *run_dir, const char *id)
{
	struct client c;
	int rc;

	if (!find_directory(m, run_dir, id))
		return false;
	if (m->log_fd < 0 && *m->instance.log)
		m->log_fd = open(m->instance.log, O_RDONLY | O_CLOEXEC);
	if (!*m->instance.api || !*m->instance.console)
		return false;
	if (client_open(&c, m->instance.api, NULL) < 0)
		return false;
	/* It listens before it has got hold of Xen; now it waits until it has, or ends. */
	rc = client_send(&c, "GET", "/version", NULL, NULL, NULL);
	client_close(&c);
	return rc > 0;
}

/* The last line of a descriptor's text with `mark` in it: what is behind that. */
static bool last_line(int fd, const char *mark, char *text, size_t size)
{
	char tail[LOG_TAIL + 1], *line, *found = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	n = pread(fd, tail, LOG_TAIL, st.st_size > LOG_TAIL ? st.st_size - LOG_TAIL : 0);
	if (n <= 0)
		return false;
	tail[n] = '\0';
	for (line = strstr(tail, mark); line; line = strstr(line + 1, mark))
		found = line + strlen(mark);
	if (!found)
		return false;
	(void)snprintf(text, size, "%.*s", (int)strcspn(found, "\n"), found);
	return true;
}

bool monitor_last_error(const struct monitor *m, char *text, size_t size)
{
	char with_module[ERR_TEXT_MAX];
	const char *blank;

	if (last_line(m->err_fd, "error: ", text, size))
		return true;
	if (!last_line(m->log_fd, ":ERROR] ", with_module, sizeof(with_module)))
		return false;
	blank = strchr(with_module, ' ');
	(void)snprintf(text, size, "%s", blank ? blank + 1 : with_module);
	return true;
}

int monitor_explain(const struct monitor *m, struct err *e)
{
	char why[ERR_TEXT_MAX];

	if (!monitor_last_error(m, why, sizeof(why)))
		return err_set(e, -EIO, "the monitor has ended with status %d", m->status);
	if (strstr(why, "/dev/xen/") && access("/dev/xen/privcmd", F_OK) < 0)
		return err_set(e, -ENODEV,
			       "no /dev/xen/privcmd: this is not a Xen domain; try `make run`, "
			       "or in a Xen dom0: modprobe -a xen-privcmd xen-evtchn");
	return err_set(e, -EIO, "the monitor has ended: %s", why);
}

int monitor_start(struct monitor *m, const char *binary, const char *run_dir, const char *id,
		  int cancel_fd, struct err *e)
{
	uint64_t end = clock_ms() + START_MS;
	struct pollfd cancel = { .fd = cancel_fd, .events = POLLIN };
	int rc;

	*m = MONITOR_NONE;
	rc = spawn(m, binary, run_dir, id, e);
	if (rc < 0)
		return rc;
	while (!answers(m, run_dir, id)) {
		if (monitor_wait(m, POLL_MS))
			return monitor_explain(m, e);
		if (clock_ms() >= end)
			return err_set(e, -ETIMEDOUT, "the monitor does not answer");
		if (poll(&cancel, 1, 0) > 0)
			return err_set(e, -ECANCELED, "interrupted");
	}
	if (strcmp(m->instance.name, id) != 0)
		return err_set(e, -EEXIST, "there is an instance '%s' already", id);
	return 0;
}

/* ---- the guard ----------------------------------------------------------------- */

static bool poll_once(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

/* Until our other end says something, or dies. */
static void guard(const struct monitor *m, struct tty tty, int fd)
{
	char byte;

	if (read(fd, &byte, 1) == 1)
		_exit(EXIT_SUCCESS);
	tty_restore(&tty);
	pidfd_send_signal(m->pid_fd, SIGTERM, NULL, 0);
	if (!poll_once(m->pid_fd, GRACE_MS)) {
		pidfd_send_signal(m->pid_fd, SIGKILL, NULL, 0);
		(void)poll_once(m->pid_fd, GRACE_MS);
	}
	for (int i = 0; i < 100 && rundir_remove_stale(m->instance.dir) == 0 &&
			access(m->instance.dir, F_OK) == 0;
	     i++)
		usleep(10000);
	_exit(EXIT_SUCCESS);
}

int monitor_guard(struct monitor *m, const struct tty *tty)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	m->guard = fork();
	if (m->guard == 0) {
		close(fds[1]);
		setsid();
		prctl(PR_SET_NAME, "xenolithctl-grd");
		guard(m, *tty, fds[0]);
	}
	close(fds[0]);
	if (m->guard < 0) {
		close(fds[1]);
		return -EAGAIN;
	}
	m->guard_fd = fds[1];
	return 0;
}

void monitor_unguard(struct monitor *m)
{
	if (m->guard_fd < 0)
		return;
	if (write(m->guard_fd, "", 1) != 1)
		kill(m->guard, SIGKILL);
	close(m->guard_fd);
	m->guard_fd = -1;
	while (waitpid(m->guard, NULL, 0) < 0 && errno == EINTR)
		;
}
