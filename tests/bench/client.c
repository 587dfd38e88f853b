/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One launch, timed from outside: starts the monitor, waits for its socket by inotify,
 * makes the calls of a launch, waits until the guest has said that it is up, and prints
 * a line a figure: `name: value unit`. Runs in the lab's dom0.
 *
 * usage: client MONITOR KERNEL INITRD BOOT_ARGS SETTLE_MS [DISK TAP]
 *
 * SETTLE_MS: pause between the configuration and InstanceStart; 0 makes the calls one
 * right after the other.
 * DISK, TAP: every call that a launch makes, and some that come after it; the file and the
 * interface are made here, another interface by the monitor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
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

/* The wall clock's time at the begin of a line, in us of the clock that all else is measured by. */
static double time_of(const char *line)
{
	struct timespec wall, clock;
	struct tm tm = { 0 };
	const char *rest = strptime(line, "%Y-%m-%dT%H:%M:%S", &tm);

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_MONOTONIC, &clock);
	return (rest ? strtod(rest, NULL) : 0) * 1e6 +
	       (double)(timegm(&tm) - wall.tv_sec + clock.tv_sec) * 1e6 +
	       (double)(clock.tv_nsec - wall.tv_nsec) / 1e3;
}

/* When the monitor logged `what`, in its clock, which is ours; 0: not yet. */
static double logged(const char *what)
{
	double at = 0;
	char line[1024];
	FILE *f = fopen(LOG, "re");

	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, what))
			at = time_of(line);
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

/* ---- disk and network ---- */

static void make_disk(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, 16 << 20) < 0)
		fail(path);
	close(fd);
}

static void make_tap(const char *name)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0 || ioctl(fd, TUNSETPERSIST, 1) < 0)
		fail(name);
	close(fd);
}

static double put_drive(int api, const char *id, const char *path)
{
	char to[64], body[512];

	snprintf(to, sizeof(to), "/drives/%s", id);
	snprintf(body, sizeof(body),
		 "{\"drive_id\": \"%s\", \"path_on_host\": \"%s\", "
		 "\"is_root_device\": false, \"is_read_only\": false}",
		 id, path);
	return call(api, "PUT", to, body);
}

static double put_net(int api, const char *id, const char *tap)
{
	char to[64], body[512];

	snprintf(to, sizeof(to), "/network-interfaces/%s", id);
	snprintf(body, sizeof(body), "{\"iface_id\": \"%s\", \"host_dev_name\": \"%s\"}", id,
		 tap);
	return call(api, "PUT", to, body);
}

static void configure_devices(int api, const char *disk, const char *tap)
{
	figure("PUT /drives/{id}, the first", put_drive(api, "d1", disk));
	figure("PUT /drives/{id}, the second", put_drive(api, "d2", disk));
	figure("PUT /network-interfaces/{id}, an interface that is there",
	       put_net(api, "n1", tap));
	figure("PUT /network-interfaces/{id}, one that is made", put_net(api, "n2", "made"));
}

/* Calls that clients make while the guest runs. */
static void calls_after_start(int api, const char *disk)
{
	char body[512];

	figure("GET /vm/config", call(api, "GET", "/vm/config", ""));
	snprintf(body, sizeof(body), "{\"drive_id\": \"d1\", \"path_on_host\": \"%s\"}", disk);
	figure("PATCH /drives/{id}", call(api, "PATCH", "/drives/d1", body));
	figure("PATCH /vm, Paused", call(api, "PATCH", "/vm", "{\"state\": \"Paused\"}"));
	figure("PATCH /vm, Resumed", call(api, "PATCH", "/vm", "{\"state\": \"Resumed\"}"));
	figure("PUT /actions SendCtrlAltDel",
	       call(api, "PUT", "/actions", "{\"action_type\": \"SendCtrlAltDel\"}"));
}

/* ---- the launch ---- */

struct launch {
	const char *kernel, *initrd, *boot_args, *disk, *tap;
	long settle_ms;
};

/* As clients with a connection for each call do it. */
static double call_on_new_connection(void)
{
	double begin = now_us();
	int api = connect_api();

	call(api, "GET", "/", "");
	close(api);
	return now_us() - begin;
}

static void configure(int api, const struct launch *l)
{
	char boot[2048];

	snprintf(
		boot, sizeof(boot),
		"{\"kernel_image_path\": \"%s\", \"initrd_path\": \"%s\", \"boot_args\": \"%s\"}",
		l->kernel, l->initrd, l->boot_args);
	figure("GET /", call(api, "GET", "/", ""));
	if (l->disk)
		figure("GET / on a new connection", call_on_new_connection());
	figure("PUT /machine-config", call(api, "PUT", "/machine-config",
					   "{\"vcpu_count\": 1, \"mem_size_mib\": 128}"));
	if (l->disk)
		figure("GET /machine-config", call(api, "GET", "/machine-config", ""));
	figure("PUT /boot-source", call(api, "PUT", "/boot-source", boot));
	if (l->disk)
		configure_devices(api, l->disk, l->tap);
}

static void launch(const char *monitor, int watch, const struct launch *l)
{
	double begin = now_us(), start;
	pid_t pid = start_monitor(monitor);
	int api;

	wait_for_socket(watch);
	api = connect_api();
	call(api, "GET", "/", "");
	figure("process start -> API answers", now_us() - begin);
	configure(api, l);
	sleep_ms(l->settle_ms);
	start = now_us();
	figure("PUT /actions InstanceStart",
	       call(api, "PUT", "/actions", "{\"action_type\": \"InstanceStart\"}"));
	wait_until_up();
	figure("InstanceStart -> /init", logged("Guest-boot-time") - start);
	figure("process start -> /init", logged("Guest-boot-time") - begin);
	printf("memory of both processes: %lu KiB PSS\n", pss(pid) + pss(only_child(pid)));
	if (l->disk)
		calls_after_start(api, l->disk);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
}

int main(int argc, char **argv)
{
	struct launch l;
	int watch;

	if (argc != 6 && argc != 8) {
		fprintf(stderr, "usage: client MONITOR KERNEL INITRD BOOT_ARGS SETTLE_MS "
				"[DISK TAP]\n");
		return 2;
	}
	l = (struct launch){ .kernel = argv[2],
			     .initrd = argv[3],
			     .boot_args = argv[4],
			     .settle_ms = strtol(argv[5], NULL, 10) };
	if (argc == 8) {
		l.disk = argv[6];
		l.tap = argv[7];
		make_disk(l.disk);
		make_tap(l.tap);
	}
	watch = inotify_init1(IN_CLOEXEC);
	if (watch < 0 || inotify_add_watch(watch, DIR, IN_CREATE) < 0)
		fail(DIR);
	launch(argv[1], watch, &l);
	return 0;
}
