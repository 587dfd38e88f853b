/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenolith: one micro-VM. Opens what has a path (log, sockets, serial port), splits
 * into keeper and monitor, and cleans up after both.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "api/server.h"
#include "devices/console.h"
#include "vmm/control.h"
#include "vmm/hv/launch.h"
#include "vmm/instance.h"
#include "vmm/lib/log.h"
#include "vmm/lib/output.h"
#include "vmm/options.h"
#include "vmm/term.h"
#include "vmm/lib/version.h"
#include "vmm/vm_outputs.h"

/* What is submitted at once: a batch of requests of a disk, and what else there is. */
#define LOOP_ENTRIES 256

struct program {
	struct options options;
	struct instance_dir instance;
	struct term term;
	int api_fd; /* -1: no API */
	int serial_in, serial_out; /* -1: none */
	int console_fd; /* listening; -1: none */
	uint64_t start_ns;
};

/* What the monitor's half runs. */
struct monitor {
	struct program *program;
	struct loop *loop;
	struct vm *vm;
	struct api_server *api;
	struct console *console;
	struct api_counts counts; /* of the API */
	struct loop_op signal;
	struct signalfd_siginfo siginfo;
	int signals;
};

static void ending_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGQUIT);
}

/* Blocked for good: keeper and monitor take them from descriptors. */
static void block_signals(void)
{
	sigset_t set;

	ending_signals(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- paths ---- */

static int open_serial(struct program *p, struct err *e)
{
	const char *path = p->options.serial_path;

	switch (p->options.serial) {
	case SERIAL_STDIO:
		p->serial_in = console_copy(STDIN_FILENO, O_RDONLY);
		p->serial_out = console_copy(STDOUT_FILENO, O_WRONLY);
		break;
	case SERIAL_FILE:
		p->serial_out = output_open(path);
		if (p->serial_out < 0)
			return err_set(e, p->serial_out, "serial output %s: %s", path,
				       strerror(-p->serial_out));
		break;
	case SERIAL_SOCKET:
		p->console_fd = console_listen(path, e);
		return p->console_fd < 0 ? p->console_fd : 0;
	case SERIAL_NONE:
		break;
	}
	return 0;
}

static int open_log(const struct options *o, struct err *e)
{
	int rc = log_open(o->log_path);

	log_set_id(o->id);
	if (rc < 0)
		return err_set(e, rc, "log file %s: %s", o->log_path, strerror(-rc));
	log_set_level(o->level);
	if (o->module)
		log_set_module(o->module);
	if (o->show_level)
		log_show_level(true);
	log_show_origin(o->show_origin);
	return 0;
}

static int open_paths(struct program *p, struct err *e)
{
	int no_dir = instance_create(&p->instance, &p->options, e);
	int rc;

	if (no_dir < 0 && instance_needed(&p->options))
		return no_dir;
	rc = open_log(&p->options, e);
	if (rc < 0)
		return rc;
	if (no_dir < 0)
		log_warn("xenolith", "%s", e->text);
	if (!p->options.no_api) {
		p->api_fd = api_listen(p->options.api_sock, e);
		if (p->api_fd < 0)
			return p->api_fd;
	}
	return open_serial(p, e);
}

/* Whoever is left does this: the keeper, or the monitor when it lost its keeper. */
static void clean_up(const struct program *p)
{
	term_restore(&p->term);
	if (p->api_fd >= 0)
		unlink(p->options.api_sock);
	if (p->console_fd >= 0)
		unlink(p->options.serial_path);
	instance_remove(&p->instance);
}

/* ---- the monitor ---- */

static void on_signal(struct loop_op *op, int res)
{
	struct monitor *m = CONTAINER_OF(op, struct monitor, signal);

	if (res == (int)sizeof(m->siginfo))
		vm_end(m->vm, EXIT_SIGNALLED + m->siginfo.ssi_signo, "ended by a signal");
}

static int watch_signals(struct monitor *m, struct err *e)
{
	sigset_t set;

	ending_signals(&set);
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signals < 0)
		return err_set(e, -errno, "signalfd: %s", strerror(errno));
	m->signal.done = on_signal;
	loop_read(m->loop, &m->signal, m->signals, &m->siginfo, sizeof(m->siginfo));
	return 0;
}

static int start_services(struct monitor *m, struct err *e)
{
	struct program *p = m->program;
	int rc = watch_signals(m, e);

	if (rc == 0 && p->console_fd >= 0)
		rc = console_create(&m->console, m->loop, p->console_fd, m->vm->serial);
	if (rc == 0 && p->api_fd >= 0)
		rc = api_server_create(&m->api, m->loop, p->api_fd, p->options.body_max,
				       control_apply, m->vm);
	if (rc == 0 && m->api)
		api_server_count(m->api, &m->counts);
	if (rc < 0)
		return err_set(e, rc, "starting the API: %s", strerror(-rc));
	return 0;
}

static int open_metrics(struct monitor *m, struct err *e)
{
	const char *path = m->program->options.metrics_path;
	struct metrics_config c = { .emit_id = false };
	int rc;

	if (!path)
		return 0;
	if (strlen(path) >= sizeof(c.path))
		return err_set(e, -ENAMETOOLONG, "metrics file: %s", strerror(ENAMETOOLONG));
	memcpy(c.path, path, strlen(path) + 1);
	rc = vm_set_metrics(m->vm, &c, e);
	return rc < 0 ? err_prefix(e, rc, "metrics file %s", path) : 0;
}

static int set_up(struct monitor *m, struct hv *hv, struct err *e)
{
	struct program *p = m->program;
	const struct vm_params params = {
		.id = p->options.id,
		.boot_timer = p->options.boot_timer,
		.plain_boot_args = p->options.plain_boot_args,
		.serial_in = p->serial_in,
		.serial_out = p->serial_out,
		.serial_socket = p->console_fd >= 0,
		.metrics_period_ms = p->options.metrics_period_ms,
		.api_counts = p->api_fd >= 0 ? &m->counts : NULL,
		.process_start_ns = p->start_ns,
	};
	int rc = loop_create(&m->loop, LOOP_ENTRIES);

	if (rc < 0) {
		hv->ops->close(hv);
		return err_set(e, rc, "io_uring: %s", strerror(-rc));
	}
	rc = vm_create(&m->vm, m->loop, hv, &params, e);
	if (rc == 0)
		rc = open_metrics(m, e);
	if (rc == 0)
		rc = start_services(m, e);
	return rc;
}

static int run(struct monitor *m)
{
	const char *config = m->program->options.config_file;
	struct err e;

	if (config && control_apply_file(m->vm, config, &e) < 0) {
		log_error("monitor", "%s", e.text);
		return EXIT_BAD_CONFIG;
	}
	while (!m->vm->ended) {
		int rc = loop_turn(m->loop);

		if (rc < 0) {
			log_error("monitor", "io_uring: %s", strerror(-rc));
			return EXIT_HOST_ERROR;
		}
	}
	return (int)m->vm->exit_code;
}

static void tear_down(struct monitor *m)
{
	if (m->vm)
		vm_stop(m->vm);
	if (m->api)
		api_server_destroy(m->api);
	console_destroy(m->console);
	if (m->vm)
		vm_destroy(m->vm);
	if (m->loop)
		loop_destroy(m->loop);
}

/*
 * Devices are mostly room for requests. As mappings of their own they are fresh memory, of
 * which only what is used is touched; glibc would raise its limit at the first such that is
 * freed, and clear them on the heap from then on.
 */
#define OWN_MAPPING_BYTES (32 * 1024)

static int monitor_main(void *ctx, struct hv *hv)
{
	struct monitor m = { .program = ctx };
	int status = EXIT_HOST_ERROR;
	struct err e;

	(void)mallopt(M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
	log_set_thread("monitor");
	log_info("monitor", "%s", hv->ops->describe(hv));
	if (m.program->options.serial == SERIAL_STDIO)
		term_raw(&m.program->term);
	if (set_up(&m, hv, &e) < 0)
		log_error("monitor", "%s", e.text);
	else {
		status = run(&m);
		vm_log_counts(m.vm);
	}
	tear_down(&m);
	if (status == EXIT_KEEPER_LOST)
		clean_up(m.program);
	return status;
}

/* ---- the program ---- */

int main(int argc, char **argv)
{
	struct program p = { .api_fd = -1,
			     .serial_in = -1,
			     .serial_out = -1,
			     .console_fd = -1,
			     .start_ns = clock_ns() };
	struct err e;
	int status;

	if (options_parse(&p.options, argc, argv, &e) < 0) {
		fprintf(stderr, "error: %s\n\nFor more information try --help.\n", e.text);
		return EXIT_BAD_ARGS;
	}
	if (p.options.help) {
		options_help();
		return 0;
	}
	if (p.options.version) {
		puts("Xenolith v" XENOLITH_VERSION);
		return 0;
	}
	block_signals();
	term_save(&p.term);
	status = open_paths(&p, &e);
	if (status == 0)
		status = launch(monitor_main, &p, &p.options.builder, &e);
	clean_up(&p);
	if (status < 0) {
		log_error("xenolith", "%s", e.text);
		/* A log that has just been removed tells nobody. */
		if (p.options.run_log)
			fprintf(stderr, "error: %s\n", e.text);
		return EXIT_HOST_ERROR;
	}
	return status;
}
