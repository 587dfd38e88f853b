/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `make bench-io` runs in the guest, as PID 1, and at the other end of its network.
 * One kind of work a boot; it prints one line `bench: OPS operations, BYTES bytes, NS ns`
 * and reboots. The clock is the guest's, which under icount counts everybody's
 * instructions.
 *
 *   DISK randread|randwrite BLOCK DEPTH OPS    O_DIRECT, all over the disk
 *   DISK seqread|seqwrite BLOCK DEPTH OPS      from its start
 *   IF send|receive MIB                        TCP with 10.0.0.1:5001; we are 10.0.0.2
 *   none                                       nothing: what a boot alone costs
 *   serve                                      the other end: not PID 1, for ever
 *
 * Modules named in /modules are loaded first, in that order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEPTH_MAX 64
#define NET_BUFFER (256 * 1024)
#define PORT 5001
#define PEER "10.0.0.1"
#define OURS "10.0.0.2"

static bool pid1;

static void end(void)
{
	if (!pid1)
		exit(1);
	sync();
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void fail(const char *what)
{
	printf("bench: failed: %s: %s\n", what, strerror(errno));
	end();
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void result(uint64_t ops, uint64_t bytes, uint64_t ns)
{
	printf("bench: %llu operations, %llu bytes, %llu ns\n", (unsigned long long)ops,
	       (unsigned long long)bytes, (unsigned long long)ns);
}

/* ---- disk ---- */

struct disk_work {
	int fd;
	bool write, random;
	uint64_t blocks; /* of the disk */
	unsigned block, depth;
	uint64_t ops, issued, state;
};

static uint64_t next_block(struct disk_work *w)
{
	if (!w->random)
		return w->issued % w->blocks;
	/* xorshift64*, the same places in every run */
	w->state ^= w->state >> 12;
	w->state ^= w->state << 25;
	w->state ^= w->state >> 27;
	return w->state * 0x2545f4914f6cdd1d % w->blocks;
}

static void prepare(struct disk_work *w, struct iocb *cb, void *buffer)
{
	*cb = (struct iocb){
		.aio_data = (uint64_t)(uintptr_t)cb,
		.aio_lio_opcode = w->write ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)w->fd,
		.aio_buf = (uint64_t)(uintptr_t)buffer,
		.aio_nbytes = w->block,
		.aio_offset = (int64_t)(next_block(w) * w->block),
	};
	w->issued++;
}

/* Always `depth` in flight: what has come back is sent again in one go. */
static void run_disk(struct disk_work *w)
{
	struct iocb cbs[DEPTH_MAX], *batch[DEPTH_MAX];
	struct io_event events[DEPTH_MAX];
	aio_context_t ctx = 0;
	uint64_t done = 0, start;
	char *buffers;
	long n = w->depth;

	if (posix_memalign((void **)&buffers, 4096, (size_t)w->block * w->depth) != 0 ||
	    syscall(SYS_io_setup, w->depth, &ctx) < 0)
		fail("io_setup");
	memset(buffers, 0x5a, (size_t)w->block * w->depth);
	for (unsigned i = 0; i < w->depth; i++) {
		batch[i] = &cbs[i];
		prepare(w, &cbs[i], buffers + (size_t)i * w->block);
	}
	start = now_ns();
	while (done < w->ops) {
		if (n > 0 && syscall(SYS_io_submit, ctx, n, batch) != n)
			fail("io_submit");
		long got = syscall(SYS_io_getevents, ctx, 1L, (long)w->depth, events, NULL);

		if (got < 1)
			fail("io_getevents");
		n = 0;
		for (long i = 0; i < got; i++) {
			struct iocb *cb = (struct iocb *)(uintptr_t)events[i].data;
			void *buffer = (void *)(uintptr_t)cb->aio_buf;

			if (events[i].res != (int64_t)w->block) {
				errno = (int)-events[i].res;
				fail("request");
			}
			if (w->issued < w->ops) {
				prepare(w, cb, buffer);
				batch[n++] = cb;
			}
		}
		done += (uint64_t)got;
	}
	result(done, done * w->block, now_ns() - start);
}

static void disk(char **arg)
{
	struct disk_work w = { .state = 88172645463325252ULL };
	int64_t bytes;

	w.write = strstr(arg[1], "write") != NULL;
	w.random = strncmp(arg[1], "rand", 4) == 0;
	w.block = (unsigned)strtoul(arg[2], NULL, 0);
	w.depth = (unsigned)strtoul(arg[3], NULL, 0);
	w.ops = strtoull(arg[4], NULL, 0);
	w.fd = open(arg[0], O_RDWR | O_DIRECT);
	bytes = w.fd < 0 ? -1 : lseek(w.fd, 0, SEEK_END);
	if (bytes < (int64_t)w.block || w.depth < 1 || w.depth > DEPTH_MAX)
		fail(arg[0]);
	w.blocks = (uint64_t)bytes / w.block;
	run_disk(&w);
}

/* ---- network ---- */

static char net_buffer[NET_BUFFER];

static void send_all(int s, uint64_t bytes)
{
	while (bytes > 0) {
		size_t want = bytes < NET_BUFFER ? (size_t)bytes : NET_BUFFER;
		ssize_t n = send(s, net_buffer, want, MSG_NOSIGNAL);

		if (n <= 0)
			fail("send");
		bytes -= (uint64_t)n;
	}
}

static void receive_all(int s, uint64_t bytes)
{
	while (bytes > 0) {
		size_t want = bytes < NET_BUFFER ? (size_t)bytes : NET_BUFFER;
		ssize_t n = recv(s, net_buffer, want, 0);

		if (n <= 0)
			fail("recv");
		bytes -= (uint64_t)n;
	}
}

/* What the guest asks of the other end: how much it sends (< 0) or wants. */
struct request {
	int64_t bytes;
};

static void serve_one(int s)
{
	struct request r;

	if (recv(s, &r, sizeof(r), MSG_WAITALL) != (ssize_t)sizeof(r))
		exit(1);
	if (r.bytes < 0) {
		receive_all(s, (uint64_t)-r.bytes);
		send_all(s, 1);
	} else {
		send_all(s, (uint64_t)r.bytes);
	}
	close(s);
}

static void serve(void)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(l, 8) < 0)
		fail("listen");
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int s = accept(l, NULL, NULL);

		if (s >= 0 && fork() == 0) {
			serve_one(s);
			exit(0);
		}
		close(s);
	}
}

static void set_address(int s, const char *name, unsigned long what, const char *address)
{
	struct ifreq r = { 0 };
	struct sockaddr_in a = { .sin_family = AF_INET };

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	inet_pton(AF_INET, address, &a.sin_addr);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	if (ioctl(s, what, &r) < 0)
		fail(name);
}

static void bring_up(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	set_address(s, name, SIOCSIFADDR, OURS);
	set_address(s, name, SIOCSIFNETMASK, "255.255.255.0");
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
		fail(name);
	close(s);
}

/* The interface may need a moment before packets pass. */
static int connect_peer(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	inet_pton(AF_INET, PEER, &at.sin_addr);
	for (int i = 0; i < 100; i++) {
		int s = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(s, (const struct sockaddr *)&at, sizeof(at)) == 0)
			return s;
		close(s);
		usleep(20000);
	}
	fail("connect");
	return -1;
}

static void network(char **arg)
{
	int64_t bytes = (int64_t)strtoll(arg[2], NULL, 0) << 20;
	bool sends = strcmp(arg[1], "send") == 0;
	struct request r = { .bytes = sends ? -bytes : bytes };
	uint64_t start;
	int s;

	bring_up(arg[0]);
	s = connect_peer();
	start = now_ns();
	if (send(s, &r, sizeof(r), 0) != (ssize_t)sizeof(r))
		fail("send");
	if (sends) {
		send_all(s, (uint64_t)bytes);
		receive_all(s, 1);
	} else {
		receive_all(s, (uint64_t)bytes);
	}
	result((uint64_t)bytes >> 20, (uint64_t)bytes, now_ns() - start);
}

/* ---- PID 1 ---- */

static void load_modules(void)
{
	char name[256];
	FILE *list = fopen("/modules", "r");

	while (list && fscanf(list, "%255s", name) == 1) {
		int fd = open(name, O_RDONLY);

		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			fail(name);
		close(fd);
	}
	if (list)
		fclose(list);
}

/* Modules find their devices in their own time. */
static void wait_for(const char *device)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/class/net/%s", device);
	for (int i = 0; i < 500 && access(device, F_OK) < 0 && access(path, F_OK) < 0; i++)
		usleep(10000);
}

static void set_up(void)
{
	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	if (freopen("/dev/console", "w", stdout) == NULL)
		reboot(RB_AUTOBOOT);
	setvbuf(stdout, NULL, _IOLBF, 0);
	load_modules();
}

int main(int argc, char **argv)
{
	pid1 = getpid() == 1;
	if (pid1)
		set_up();
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		serve();
	if (argc > 2)
		wait_for(argv[1]);
	if (argc == 6)
		disk(argv + 1);
	else if (argc == 4)
		network(argv + 1);
	else
		result(0, 0, 0);
	if (pid1)
		end();
	return 0;
}
