/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of a micro-VM, of the initramfs and of the root image alike. A small static
 * program, because a shell script in its place costs more than the whole rest of the
 * start. The kernel command line tells it what to do:
 *
 *   xenolith.mark       first of all, tell the monitor that user space is reached
 *   xenolith.act=WHAT   then do WHAT (the table `acts` below); default: shell
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MARK_ADDR 0xc0000000 /* Firecracker's boot timer, which the monitor has too */
#define MARK_BYTE 123
#define SIG_POWER_BUTTON 38 /* CONFIG_ACPI_TINY_POWER_BUTTON_SIGNAL */

#define PAGE 4096UL

static char cmdline[4096];

/* ---- the kernel command line ---- */

static void cmdline_read(void)
{
	ssize_t n = -1;
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, cmdline, sizeof(cmdline) - 1);
		close(fd);
	}
	if (n < 0)
		n = 0;
	cmdline[n] = '\0';
	cmdline[strcspn(cmdline, "\n")] = '\0';
}

/* The value of the word `name` or `name=value`, in `value`; false when it is absent. */
static bool cmdline_find(const char *name, char *value, size_t size)
{
	size_t name_len = strlen(name);

	for (const char *p = cmdline; *p != '\0';) {
		size_t len = strcspn(p, " ");

		if (len >= name_len && memcmp(p, name, name_len) == 0 &&
		    (len == name_len || p[name_len] == '=')) {
			const char *v = len == name_len ? "" : p + name_len + 1;

			snprintf(value, size, "%.*s", (int)(p + len - v), v);
			return true;
		}
		p += len;
		p += strspn(p, " ");
	}
	return false;
}

/* ---- the mark ---- */

static void mark(void)
{
	volatile uint8_t *timer;
	int fd = open("/dev/mem", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return;
	timer = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, MARK_ADDR);
	if (timer != MAP_FAILED)
		*timer = MARK_BYTE;
	close(fd);
}

/* ---- setting up ---- */

static void mount_at(const char *type, const char *at, unsigned long flags, const char *data)
{
	mkdir(at, 0755); /* there already, or a read-only root that lacks it */
	mount(type, at, type, flags, data); /* likewise mounted already: by the kernel */
}

/* What a shell or somebody's program expects; an `act` that needs none of it skips it. */
static void set_up_userland(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s;

	mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "mode=620,ptmxmode=666");
	mount_at("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_at("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755");
	mount_at("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");

	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s >= 0) {
		ioctl(s, SIOCSIFFLAGS, &lo);
		close(s);
	}
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 0);
	setenv("HOME", "/root", 1);
	setenv("TERM", "vt100", 0);
}

/* ---- ends ---- */

/* Ask everybody to stop, for a second; then the disk is made clean and that is it. */
static void end(unsigned int how)
{
	const struct timespec patience = { .tv_sec = 1 };
	sigset_t child;
	pid_t pid;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	kill(-1, SIGTERM);
	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0) {
		if (pid == 0 && sigtimedwait(&child, NULL, &patience) < 0)
			break;
	}
	kill(-1, SIGKILL);
	sync();
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	reboot((int)how);
	for (;;) /* a power-off through ACPI returns here until the monitor acts */
		pause();
}

static void act_reboot(const char *arg)
{
	(void)arg;
	end(RB_AUTOBOOT);
}
static void act_poweroff(const char *arg)
{
	(void)arg;
	end(RB_POWER_OFF);
}
static void act_halt(const char *arg)
{
	(void)arg;
	end(RB_HALT_SYSTEM);
}
static void act_panic(const char *arg)
{
	(void)arg;
	_exit(1); /* "Attempted to kill init!" */
}

/*
 * Triple fault. No system call leads to one (on Xen `reboot=t` ends in a hypercall), so:
 * find the page of the global descriptor table, which begins like no other, clear the
 * descriptor of the kernel's code segment and take an exception. Neither it nor the
 * double fault that follows can load CS. By pwrite, because the kernel does not let RAM
 * be mapped through /dev/mem, and because the interrupt table is read-only even so.
 */
static void act_triple(const char *arg)
{
	const uint64_t code = 0x00af9b000000ffff, data = 0x00cf93000000ffff;
	const uint64_t accessed = 1ULL << 40, nothing = 0;
	const uint64_t from = 1 << 20; /* RAM begins for good */
	uint64_t gdt[4];
	int fd = open("/dev/mem", O_RDWR | O_CLOEXEC);

	(void)arg;
	for (uint64_t at = from;; at += PAGE) {
		if (pread(fd, gdt, sizeof(gdt), (off_t)at) != (ssize_t)sizeof(gdt))
			break; /* the end of RAM */
		if (gdt[0] == 0 && (gdt[2] | accessed) == code && (gdt[3] | accessed) == data &&
		    pwrite(fd, &nothing, sizeof(nothing), (off_t)at + 16) < 0)
			break;
	}
	__builtin_trap();
}

/* ---- lives ---- */

/*
 * Signals wait until wait_for takes them, from the first moment on: those that PID 1 neither
 * blocks nor handles are lost, and the button may be pressed at any time.
 */
static void hold_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGCHLD);
	sigaddset(set, SIG_POWER_BUTTON);
	sigprocmask(SIG_BLOCK, set, NULL);
}

/* For a program that is about to be started. */
static void free_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Reap children and obey the power button until `pid` ends (0: for ever): its status. */
static int wait_for(pid_t pid)
{
	int status;
	sigset_t set;
	siginfo_t info;
	pid_t dead;

	hold_signals(&set);
	for (;;) {
		while ((dead = waitpid(-1, &status, WNOHANG)) > 0) {
			if (dead == pid)
				return status;
		}
		if (sigwaitinfo(&set, &info) == SIG_POWER_BUTTON) {
			dprintf(1, "xenolith: power button\n");
			end(RB_POWER_OFF);
		}
	}
}

static void exec_shell(void)
{
	int tty;

	setsid();
	tty = open("/dev/ttyS0", O_RDWR);
	if (tty < 0)
		tty = open("/dev/console", O_RDWR);
	if (tty >= 0) {
		ioctl(tty, TIOCSCTTY, 1);
		dup2(tty, 0);
		dup2(tty, 1);
		dup2(tty, 2);
		if (tty > 2)
			close(tty);
	}
	free_signals();
	if (chdir("/root") < 0 && chdir("/") < 0)
		_exit(1);
	execl("/bin/sh", "-sh", (char *)NULL);
	dprintf(2, "xenolith: /bin/sh: %s\n", strerror(errno));
	_exit(1);
}

static void act_shell(const char *arg)
{
	pid_t pid;

	(void)arg;
	set_up_userland();
	pid = fork();
	if (pid == 0)
		exec_shell();
	if (pid > 0)
		wait_for(pid);
	end(RB_POWER_OFF);
}

static void act_idle(const char *arg)
{
	(void)arg;
	wait_for(0);
}

static void act_busy(const char *arg)
{
	(void)arg;
	for (;;)
		__asm__ volatile("");
}

static void act_cat(const char *arg)
{
	dprintf(1, "%s\n", arg);
	end(RB_POWER_OFF);
}

static void act_exec(const char *arg)
{
	set_up_userland();
	free_signals();
	execl(arg, arg, (char *)NULL);
	dprintf(2, "xenolith: %s: %s\n", arg, strerror(errno));
	end(RB_POWER_OFF);
}

/* Bytes go both ways as they are, and nothing is echoed. */
static void make_raw(int tty)
{
	struct termios t;

	if (tcgetattr(tty, &t) < 0)
		return;
	cfmakeraw(&t);
	tcsetattr(tty, TCSANOW, &t);
}

static void exec_script(const char *path)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), script = open(path, O_RDONLY);

	if (null < 0 || script < 0) {
		dprintf(2, "xenolith: %s: %s\n", path, strerror(errno));
		_exit(127);
	}
	if (isatty(script))
		make_raw(script);
	free_signals();
	setsid();
	dup2(null, 0);
	dup2(1, 2);
	dprintf(1, "xenolith: run\n");
	execl("/bin/sh", "sh", path, (char *)NULL);
	_exit(127);
}

static void act_run(const char *arg)
{
	int status = 0;
	pid_t pid;

	set_up_userland();
	pid = fork();
	if (pid == 0)
		exec_script(arg);
	if (pid > 0)
		status = wait_for(pid);
	dprintf(1, "\nxenolith: exit status %d\n",
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	tcdrain(1);
	end(RB_POWER_OFF);
}

static const struct {
	const char *name;
	void (*run)(const char *arg);
	const char *what;
} acts[] = {
	{ "shell", act_shell, "a shell on ttyS0; when it ends, power off" },
	{ "exec", act_exec, "exec:PATH, PATH as PID 1" },
	{ "run", act_run, "run:PATH, a script of the shell; when it ends, power off" },
	{ "cat", act_cat, "cat:TEXT, print TEXT, power off" },
	{ "idle", act_idle, "sleep until the power button" },
	{ "busy", act_busy, "use the vCPU for ever" },
	{ "poweroff", act_poweroff, "" },
	{ "reboot", act_reboot, "" },
	{ "halt", act_halt, "" },
	{ "panic", act_panic, "end PID 1, which the kernel does not survive" },
	{ "triple", act_triple, "triple fault" },
};

static void act(const char *what)
{
	size_t name_len = strcspn(what, ":");
	const char *arg = what[name_len] == ':' ? what + name_len + 1 : "";

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (strlen(acts[i].name) == name_len &&
		    memcmp(acts[i].name, what, name_len) == 0)
			acts[i].run(arg);
	}
	dprintf(2, "xenolith: no such xenolith.act: %s; there are:\n", what);
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++)
		dprintf(2, "  %-8s %s\n", acts[i].name, acts[i].what);
	end(RB_POWER_OFF);
}

int main(void)
{
	struct timespec up;
	struct utsname name;
	char value[sizeof(cmdline)];
	sigset_t held;

	hold_signals(&held);
	clock_gettime(CLOCK_MONOTONIC, &up);
	mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=755");
	cmdline_read();
	if (cmdline_find("xenolith.mark", value, sizeof(value)))
		mark();

	uname(&name);
	dprintf(1, "xenolith: /init reached, uptime %ld.%06ld s, %s %s\n", (long)up.tv_sec,
		up.tv_nsec / 1000, name.sysname, name.release);

	if (!cmdline_find("xenolith.act", value, sizeof(value)))
		snprintf(value, sizeof(value), "shell");
	act(value);
}
