/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attacks as the first process of a micro-VM. The kernel must leave the end of RAM
 * alone (mem=, below what the machine has): that is the arena. hostile.end= says where RAM
 * ends, in MiB, and hostile.scale= how long to go on, in percent. The kernel's own driver
 * is sent away first, and fetched back at the end: it must find the devices usable.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/hostile/hostile.h"

#define DRIVER "/sys/bus/platform/drivers/virtio-mmio"
#define ARENA (2u << 20)

/* What the transport alone decides is tried on one device of a kind: it takes long. */
static const struct {
	const struct attack *attacks;
	bool of_transport;
} tables[] = {
	{ register_attacks, true }, { area_attacks, true }, { chain_attacks, false },
	{ blk_attacks, false },	    { net_attacks, false }, { storm_attacks, false },
};

static char cmdline[4096];
static volatile uint8_t *windows; /* the mapping of WINDOWS */

static unsigned argument(const char *name, unsigned otherwise)
{
	const char *at = strstr(cmdline, name);

	return at == NULL ? otherwise : (unsigned)strtoul(at + strlen(name), NULL, 10);
}

static void __attribute__((noreturn)) end(void)
{
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* ---- the host's view ---- */

/* One instruction each: an access must not be split or joined. */
static uint64_t mmio_read(void *ctx, uint64_t addr, unsigned width)
{
	volatile uint8_t *at = windows + (addr - WINDOWS);
	uint64_t v = 0;

	(void)ctx;
	switch (width) {
	case 1:
		__asm__ volatile("movb %1, %b0" : "+q"(v) : "m"(*at) : "memory");
		break;
	case 2:
		__asm__ volatile("movw %1, %w0" : "+r"(v) : "m"(*at) : "memory");
		break;
	case 4:
		__asm__ volatile("movl %1, %k0" : "=r"(v) : "m"(*at) : "memory");
		break;
	default:
		__asm__ volatile("movq %1, %q0" : "=r"(v) : "m"(*at) : "memory");
	}
	return v;
}

static void mmio_write(void *ctx, uint64_t addr, unsigned width, uint64_t v)
{
	volatile uint8_t *at = windows + (addr - WINDOWS);

	(void)ctx;
	switch (width) {
	case 1:
		__asm__ volatile("movb %b1, %0" : "=m"(*at) : "q"(v) : "memory");
		break;
	case 2:
		__asm__ volatile("movw %w1, %0" : "=m"(*at) : "r"(v) : "memory");
		break;
	case 4:
		__asm__ volatile("movl %k1, %0" : "=m"(*at) : "r"(v) : "memory");
		break;
	default:
		__asm__ volatile("movq %q1, %0" : "=m"(*at) : "r"(v) : "memory");
	}
}

static void wait_ms(void *ctx)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	(void)ctx;
	nanosleep(&ms, NULL);
}

static unsigned now_ms(void *ctx)
{
	struct timespec t;

	(void)ctx;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

/* ---- setting up ---- */

static void *map(uint64_t at, size_t len)
{
	const int fd = open("/dev/mem", O_RDWR | O_SYNC);
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)at);

	if (fd < 0 || p == MAP_FAILED) {
		printf("hostile: FAIL: cannot map 0x%llx: %m\n", (unsigned long long)at);
		end();
	}
	close(fd);
	return p;
}

/* `what` is bind or unbind: all devices from or to the kernel's driver. */
static unsigned kernel_driver(const char *what)
{
	DIR *dir = opendir("/sys/bus/platform/devices");
	struct dirent *e;
	char path[64];
	unsigned n = 0;
	int fd;

	snprintf(path, sizeof(path), DRIVER "/%s", what);
	while (dir != NULL && (e = readdir(dir)) != NULL) {
		if (strncmp(e->d_name, "LNRO0005", 8) != 0)
			continue;
		fd = open(path, O_WRONLY);
		if (write(fd, e->d_name, strlen(e->d_name)) > 0)
			n++;
		close(fd);
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

static void set_up(struct host *h)
{
	uint64_t ram_end;
	int fd;

	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/dev", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	fd = open("/proc/cmdline", O_RDONLY);
	if (read(fd, cmdline, sizeof(cmdline) - 1) < 0)
		end();
	close(fd);
	ram_end = (uint64_t)argument("hostile.end=", 0) << 20;
	windows = map(WINDOWS, WINDOWS_MAX * PAGE + PAGE);
	h->arena_gpa = ram_end - ARENA;
	h->arena_len = ARENA;
	h->arena = map(h->arena_gpa, ARENA);
	h->scale = argument("hostile.scale=", 100);
	printf("hostile: %u devices taken from the kernel, arena 0x%llx-0x%llx\n",
	       kernel_driver("unbind"), (unsigned long long)h->arena_gpa,
	       (unsigned long long)ram_end);
}

/* ---- the run ---- */

static unsigned attack(struct dev *d, unsigned window, const struct attack *a)
{
	const unsigned start = now_ms(NULL);
	const char *why, *what = "";

	if (a->device != 0 && a->device != d->id)
		return 0;
	why = a->run(d);
	if (why == NULL) {
		what = "afterwards ";
		why = dev_works(d);
	}
	if (why == NULL)
		printf("hostile: window %u: %s: ok, %u ms\n", window, a->name,
		       now_ms(NULL) - start);
	else
		printf("hostile: window %u: %s: FAIL: %s%s\n", window, a->name, what, why);
	return why == NULL ? 0 : 1;
}

int main(void)
{
	struct host h = {
		.read = mmio_read, .write = mmio_write, .wait = wait_ms, .now_ms = now_ms
	};
	unsigned failed = 0, devices = 0;
	uint64_t kinds = 0; /* a bit for each that was there already */
	const char *why;
	struct dev d;

	setvbuf(stdout, NULL, _IOLBF, 0);
	set_up(&h);
	for (unsigned window = 0; window < WINDOWS_MAX; window++) {
		if (!dev_find(&d, &h, window))
			continue;
		devices++;
		why = dev_works(&d);
		if (why != NULL)
			printf("hostile: window %u: FAIL: before any attack %s\n", window, why);
		for (unsigned t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
			if (tables[t].of_transport && kinds >> d.id & 1)
				continue;
			for (const struct attack *a = tables[t].attacks; a->name != NULL; a++)
				failed += attack(&d, window, a);
		}
		kinds |= 1ull << d.id;
	}
	printf("hostile: %u devices given back to the kernel\n", kernel_driver("bind"));
	printf("hostile: done, %u devices, %u failed\n", devices, failed);
	fflush(stdout);
	end();
}
