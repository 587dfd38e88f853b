// SPDX-License-Identifier: Apache-2.0
/*
 * First process of the lab's dom0 and of its driver domains. A program and not a script, since
 * starting a process costs a PV dom0 under emulation 50 ms, and a script would start thirty.
 *
 * Without a job: brings the network up, starts the SSH server, says "lab: ready"
 * on the console and reaps children for ever. With a job (/lab/job): runs it,
 * copies what it left in /out to the memory of an ivshmem device as a tar file, and
 * powers off. The job's machine has neither network nor disk: a device that the
 * host works for would make the machine's time depend on the host's. A driver domain's
 * job leaves the tar file on its second disk, and dom0's job is to start it.
 *
 * dom0 starts a driver domain when /lab/driver is there (driver.sh), and is ready when
 * that one is. Its kernel command line has the word lab.driver=ADDRESS; the files that it is
 * to have are an archive on its disk. If /lab/start is one of them, it is run, beside the rest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct {
	const char *type, *at, *options;
	mode_t mode;
} mounts[] = {
	{ "proc", "/proc", NULL, 0755 },
	{ "sysfs", "/sys", NULL, 0755 },
	{ "devtmpfs", "/dev", NULL, 0755 },
	{ "devpts", "/dev/pts", "ptmxmode=666", 0755 },
	{ "tmpfs", "/dev/shm", "mode=1777", 0755 },
	{ "tmpfs", "/run", "mode=755", 0755 },
	{ "tmpfs", "/tmp", "mode=1777", 0755 },
	{ "cgroup2", "/sys/fs/cgroup", NULL, 0755 },
};

static char cmdline[4096], buffer[65536];

/* The host looks for these two lines on the console. */
static void say(const char *text)
{
	dprintf(STDOUT_FILENO, "\nlab: %s\n", text);
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	const int err = errno;
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDOUT_FILENO, "\nlab: failed: %s: %s\n", text, strerror(err));
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void mount_all(void)
{
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].at, mounts[i].mode);
		if (mount(mounts[i].type, mounts[i].at, mounts[i].type, 0, mounts[i].options))
			die("mount %s", mounts[i].at);
	}
	mkdir("/run/lab", 0700);
	if (symlink("/proc/self/fd", "/dev/fd"))
		die("symlink /dev/fd");
}

static void read_text(const char *path, char *text, size_t size)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t got = fd < 0 ? -1 : read(fd, text, size - 1);

	if (got < 0)
		die("read %s", path);
	close(fd);
	text[got] = 0;
}

/*
 * Module arguments come on the kernel command line as for a built-in one:
 * "xen_privcmd.unrestricted=1" for xen-privcmd.ko.
 */
static void module_args(const char *path, char *args, size_t size)
{
	char name[64], *words = strdup(cmdline), *save = NULL;
	size_t length;

	snprintf(name, sizeof(name), "%s", strrchr(path, '/') + 1);
	for (char *c = name; *c; c++)
		*c = *c == '-' ? '_' : *c;
	length = strcspn(name, ".");
	args[0] = 0;
	for (char *word = strtok_r(words, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		if (strncmp(word, name, length) || word[length] != '.')
			continue;
		strncat(args, word + length + 1, size - strlen(args) - 1);
		strncat(args, " ", size - strlen(args) - 1);
	}
	free(words);
}

/* Loads the modules listed in /lib/modules/load.GROUP. */
static void load(const char *group)
{
	char list[64], path[256], args[1024];
	FILE *file;

	snprintf(list, sizeof(list), "/lib/modules/load.%s", group);
	file = fopen(list, "re");
	if (!file)
		die("open %s", list);
	while (fgets(path, sizeof(path), file)) {
		int fd;

		path[strcspn(path, "\n")] = 0;
		fd = open(path, O_RDONLY | O_CLOEXEC);
		module_args(path, args, sizeof(args));
		if (fd < 0 || syscall(SYS_finit_module, fd, args, 0))
			die("load %s", path);
		close(fd);
	}
	fclose(file);
}

static void set_address(int fd, unsigned long what, struct ifreq *ifr, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };

	inet_pton(AF_INET, address, &in.sin_addr);
	memcpy(&ifr->ifr_addr, &in, sizeof(in));
	if (ioctl(fd, what, ifr))
		die("address %s", address);
}

static void interface_up(const char *name, const char *address, const char *mask)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	set_address(fd, SIOCSIFADDR, &ifr, address);
	set_address(fd, SIOCSIFNETMASK, &ifr, mask);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("interface %s", name);
	close(fd);
}

/* Starts a program; its output goes to OUT and ERR, or to the console. */
static pid_t spawn(char *const argv[], const char *out, const char *err)
{
	const pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	if (out && !freopen(out, "w", stdout))
		_exit(126);
	if (err && !freopen(err, "w", stderr))
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

/* Waits for a program, reaping others; its exit code as a shell gives it. */
static int finish(pid_t pid)
{
	int status;
	pid_t got;

	while ((got = wait(&status)) != pid)
		if (got < 0 && errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The memory that the host sees as a file: BAR 2 of the ivshmem device. */
static char *shared_memory(size_t *size)
{
	glob_t found;
	struct stat info;
	char id[16], path[128];
	void *at;
	int fd;

	glob("/sys/bus/pci/devices/*", 0, NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const char *dir = found.gl_pathv[i];

		snprintf(path, sizeof(path), "%s/device", dir);
		read_text(path, id, sizeof(id));
		if (strcmp(id, "0x1110\n"))
			continue;
		snprintf(path, sizeof(path), "%s/enable", dir);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "1", 1) != 1)
			die("enable %s", dir);
		close(fd);
		snprintf(path, sizeof(path), "%s/resource2", dir);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &info))
			die("open %s", path);
		*size = (size_t)info.st_size;
		at = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (at == MAP_FAILED)
			die("map %s", path);
		return at;
	}
	errno = ENODEV;
	die("ivshmem");
}

/* The driver domain's way out: driver.sh takes it from there. */
static void write_disk(void)
{
	char *const tar[] = { "/bin/tar", "-c", "-f", "/dev/vdb", "-C", "/", "out", NULL };

	if (finish(spawn(tar, NULL, NULL)))
		die("tar of /out");
	sync();
}

/* Packs /out into the shared memory. */
static void write_memory(void)
{
	char *const tar[] = { "/bin/tar", "-c", "-C", "/", "out", NULL };
	size_t size, done = 0;
	char *const memory = shared_memory(&size);
	ssize_t got;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (!pid) {
		dup2(ends[1], STDOUT_FILENO);
		execv(tar[0], tar);
		_exit(127);
	}
	close(ends[1]);
	/* A buffer between, since a device's memory is none to read into. */
	while ((got = read(ends[0], buffer, sizeof(buffer))) > 0) {
		if ((size_t)got > size - done) {
			errno = ENOSPC;
			die("/out");
		}
		memcpy(memory + done, buffer, (size_t)got);
		done += (size_t)got;
	}
	if (finish(pid))
		die("tar of /out");
}

static void __attribute__((noreturn)) run_job(void (*hand_over)(void))
{
	char *const job[] = { "/lab/job", NULL };
	int code;
	FILE *file;

	code = finish(spawn(job, "/out/stdout", "/out/stderr"));
	say("job done");
	file = fopen("/out/exit", "we");
	if (!file || fprintf(file, "%d\n", code) < 0 || fclose(file))
		die("write /out/exit");
	hand_over();
	say("results written");
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* Programs and files of the driver domain; they do not replace what is running. */
static void unpack_disk(void)
{
	char *const cpio[] = { "/bin/cpio", "-i", "-d", "-u", "-F", "/dev/vda", NULL };

	load("driver");
	if (chdir("/") || finish(spawn(cpio, NULL, "/dev/null")))
		die("unpack /dev/vda");
}

static void serve(const char *address)
{
	char *const driver[] = { "/bin/lab-driver", NULL };
	char *const start[] = { "/lab/start", NULL };
	char *const sshd[] = {
		"/sbin/dropbear", "-r", "/etc/dropbear/host_key", "-s", "-m", "-W",
		"1000000",	  "-P", "/run/dropbear.pid",	  NULL
	};

	interface_up("eth0", address, "255.255.255.0");
	/* First, so that a driver domain that does not get ready can be looked at. */
	if (finish(spawn(sshd, NULL, NULL)))
		die("dropbear");
	if (!access("/lab/driver", X_OK) && finish(spawn(driver, NULL, NULL)))
		die("driver domain");
	if (!access("/lab/start", X_OK) && spawn(start, NULL, NULL) < 0)
		die("/lab/start");
	say("ready");
}

int main(void)
{
	char address[16] = "10.0.2.15";
	const char *word;
	bool driver;
	int console;

	mount_all();
	console = open("/dev/console", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(console, fd);
	read_text("/proc/cmdline", cmdline, sizeof(cmdline));
	setenv("PATH", "/bin:/sbin", 1);
	setenv("HOME", "/root", 1);
	word = strstr(cmdline, "lab.driver=");
	driver = word && sscanf(word, "lab.driver=%15s", address) == 1;
	sethostname(driver ? "driver" : "dom0", driver ? 6 : 4);
	load("boot");
	/* Linux makes the directory only where there is a xenstore, or in dom0. */
	if (!driver && mount("xenfs", "/proc/xen", "xenfs", 0, NULL))
		die("mount /proc/xen");
	interface_up("lo", "127.0.0.1", "255.0.0.0");
	if (chdir("/root"))
		die("chdir /root");

	if (driver)
		unpack_disk();
	if (!access("/lab/job", X_OK))
		run_job(driver ? write_disk : write_memory);
	if (!driver)
		load("net");
	serve(address);
	for (;;)
		if (wait(NULL) < 0 && errno == ECHILD)
			pause();
}
