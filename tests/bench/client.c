/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One launch, timed from outside: starts the monitor, waits for its socket by inotify,
 * makes the calls of a launch, waits until the guest has said that it is up, and prints
 * a line a figure: `name: value unit`. Runs in the lab's dom0.
 *
 * usage: client MONITOR KERNEL INITRD BOOT_ARGS SETTLE_MS
 *
 * SETTLE_MS: pause between the configuration and InstanceStart; 0 makes the calls one
 * right after the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIR "/run/bench"
#define SOCKET DIR "/api.sock"
#define LOG DIR "/log"
#define UP_TIMEOUT_MS 20000

static void fail(const char *what)
{
	fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 },
		  NULL);
}

static void figure(const char *name, double us)
{
	printf("%s: %.3f virtual ms\n", name, us / 1e3);
}

static pid_t start_monitor(const char *path)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid == 0) {
		execl(path, path, "--api-sock", SOCKET, "--log-path", LOG, "--serial",
		      "file:" DIR "/serial", "--boot-timer", (char *)NULL);
		fail(path);
	}
	return pid;
}

static void wait_for_socket(int watch)
{
	char events[4096];

	while (access(SOCKET, F_OK) != 0)
		if (read(watch, events, sizeof(events)) < 0)
			fail("inotify");
}

static int connect_api(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* The file is there before the monitor listens. */
	while (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		if (errno != ECONNREFUSED)
			fail("connect");
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
	}
	return fd;
}

/* One call; how long it took. The answers are short: one read has them whole. */
static double call(int fd, const char *method, const char *path, const char *body)
{
	char text[4096];
	double begin = now_us();
	ssize_t n;

	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%s", method,
		 path, strlen(body), body);
	if (send(fd, text, strlen(text), 0) < 0)
		fail("send");
	n = recv(fd, text, sizeof(text) - 1, 0);
	if (n < 13)
		fail("recv");
	text[n] = '\0';
	if (strncmp(text + 9, "20", 2) != 0) {
		fprintf(stderr, "client: %s %s: %s\n", method, path, text);
		exit(1);
	}
	return now_us() - begin;
}

/* When the monitor logged `what`, in its clock, which is ours; 0: not yet. */
static double logged(const char *what)
{
	double at = 0;
	char line[1024];
	FILE *f = fopen(LOG, "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, what))
			at = strtod(line, NULL) * 1e6;
	if (f)
		fclose(f);
	return at;
}

static double wait_until_up(void)
{
	double at = 0;

	for (int ms = 0; ms < UP_TIMEOUT_MS && at == 0; ms += 50) {
		sleep_ms(50);
		at = logged("Guest-boot-time");
	}
	if (at == 0)
		fail("the guest did not come up");
	return at;
}

/* Proportional set size, KiB. */
static unsigned long pss(pid_t pid)
{
	unsigned long kib = 0;
	char line[256];
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/smaps_rollup", pid);
	f = fopen(line, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "Pss:", 4) == 0)
			kib = strtoul(line + 4, NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static pid_t only_child(pid_t pid)
{
	char line[256] = "";
	FILE *f;

	snprintf(line, sizeof(line), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(line, "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	return (pid_t)strtol(line, NULL, 10);
}

int main(int argc, char **argv)
{
	char boot[2048];
	double begin, start;
	int watch, api;
	pid_t pid;

	if (argc != 6) {
		fprintf(stderr, "usage: client MONITOR KERNEL INITRD BOOT_ARGS SETTLE_MS\n");
		return 2;
	}
	snprintf(
		boot, sizeof(boot),
		"{\"kernel_image_path\": \"%s\", \"initrd_path\": \"%s\", \"boot_args\": \"%s\"}",
		argv[2], argv[3], argv[4]);
	watch = inotify_init1(IN_CLOEXEC);
	if (watch < 0 || inotify_add_watch(watch, DIR, IN_CREATE) < 0)
		fail(DIR);
	begin = now_us();
	pid = start_monitor(argv[1]);
	wait_for_socket(watch);
	api = connect_api();
	call(api, "GET", "/", "");
	figure("process start -> API answers", now_us() - begin);
	figure("GET /", call(api, "GET", "/", ""));
	figure("PUT /machine-config", call(api, "PUT", "/machine-config",
					   "{\"vcpu_count\": 1, \"mem_size_mib\": 128}"));
	figure("PUT /boot-source", call(api, "PUT", "/boot-source", boot));
	sleep_ms(strtol(argv[5], NULL, 10));
	start = now_us();
	figure("PUT /actions InstanceStart",
	       call(api, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}"));
	wait_until_up();
	figure("InstanceStart -> /init", logged("Guest-boot-time") - start);
	figure("process start -> /init", logged("Guest-boot-time") - begin);
	printf("memory of both processes: %lu KiB PSS\n", pss(pid) + pss(only_child(pid)));
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	return 0;
}
