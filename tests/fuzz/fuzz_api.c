/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients send, through all of it: HTTP, routes, JSON, the control table, and a VM on
 * the fake hypervisor. Records end with a NUL. One that begins with '!' is bytes of a
 * connection; another is a request, "METHOD PATH\nBODY", which gets its head here, so that
 * a body can change without its length becoming wrong.
 *
 * A refused request changes nothing that a client can see, says why, and every answer is
 * JSON; states follow each other as they may; and the configuration that is left reads
 * back as it is printed. Files are those of open() below: nothing of this machine is
 * touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/http.h"
#include "api/json.h"
#include "api/json_scan.h"
#include "api/routes.h"
#include "tests/fake/hv_fake.h"
#include "tests/fake/kernel_fake.h"
#include "vmm/control.h"
#include "vmm/lib/log.h"

#define BODY_MAX 4096
#define HOST_MIB 64
#define DISK_BYTES (64 * 1024)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int open(const char *path, int flags, ...);
int ioctl(int fd, unsigned long request, ...);

/* ---- the files that there are ---- */

static int kernel_file = -1, disk_file = -1, nowhere = -1;

/* In place of the C library's: what the monitor opens is never a file of this machine. */
int open(const char *path, int flags, ...)
{
	int fd = -1;

	if (strcmp(path, "/k") == 0)
		fd = kernel_file;
	else if (strcmp(path, "/d") == 0 || strcmp(path, "/dev/net/tun") == 0)
		fd = disk_file;
	else if (strcmp(path, "/l") == 0)
		fd = nowhere;
	if (fd < 0) {
		errno = ENOENT;
		return -1;
	}
	return fcntl(fd, (flags & O_CLOEXEC) ? F_DUPFD_CLOEXEC : F_DUPFD, 3);
}

/* Every tap can be had; none takes offloads beyond none. */
int ioctl(int fd, unsigned long request, ...)
{
	(void)fd, (void)request;
	return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct kernel_fake kernel;

	(void)argc, (void)argv;
	log_set_level(LOG_OFF);
	kernel_fake_init(&kernel);
	kernel_file = kernel_fake_fd(&kernel, sizeof(kernel));
	disk_file = bytes_fd("", 0);
	nowhere = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
	return nowhere < 0 || ftruncate(disk_file, DISK_BYTES) < 0;
}

/* ---- one client and its VM ---- */

struct session {
	struct loop *loop;
	struct vm *vm;
	struct http_parser parser;
	struct action action;
	char *seen; /* all that a client could see after the last request */
};

/* All that a client can see. */
static char *everything(struct vm *vm)
{
	struct action get = { .kind = ACTION_GET_VM_CONFIG };
	struct reply r;
	char *out;

	control_apply(vm, &get, &r);
	out = json_reply(&r);
	if (!out || (r.kind != REPLY_VM_CONFIG && !vm->ended))
		abort();
	return out;
}

static void begin(struct session *s)
{
	const struct hv_fake_options host = { .ram_mib = HOST_MIB };
	const struct vm_params params = { .id = "fuzz", .serial_in = -1, .serial_out = -1 };
	struct hv *hv;
	struct err e;

	if (loop_create(&s->loop, 64) < 0 || hv_fake_create(&hv, &host, &e) < 0 ||
	    vm_create(&s->vm, s->loop, hv, &params, &e) < 0)
		abort();
	http_init(&s->parser, BODY_MAX);
	s->seen = everything(s->vm);
}

static void end(struct session *s)
{
	http_fini(&s->parser);
	free(s->seen);
	vm_stop(s->vm);
	vm_destroy(s->vm);
	loop_destroy(s->loop);
}

static void check_reply(const struct reply *r)
{
	struct err e;
	char *out;

	if (r->kind == REPLY_NO_CONTENT)
		return;
	if (r->kind == REPLY_FAULT && !r->fault.text[0])
		abort();
	out = json_reply(r);
	if (!out || json_scan_check(text(out, strlen(out)), &e) < 0)
		abort();
	free(out);
}

static void check_state(enum instance_state before, const struct action *a, const struct vm *vm)
{
	bool started = a->kind == ACTION_INSTANCE_START;

	if (vm->ended || before == vm->state)
		return;
	if (before == INSTANCE_NOT_STARTED ? !started : started)
		abort();
	if (!started && a->kind != ACTION_PAUSE && a->kind != ACTION_RESUME)
		abort();
}

static void carry_out(struct session *s, const struct http_item *item)
{
	enum instance_state state = s->vm->state;
	struct reply r = { .kind = REPLY_FAULT };
	char *now;

	if (route_request(item, &s->action, &r.fault) == 0) {
		control_apply(s->vm, &s->action, &r);
		check_state(state, &s->action, s->vm);
	}
	check_reply(&r);
	now = everything(s->vm);
	if (r.kind == REPLY_FAULT && (state != s->vm->state || strcmp(s->seen, now) != 0))
		abort();
	free(s->seen);
	s->seen = now;
}

static void answer(struct session *s)
{
	struct http_item *item;

	while ((item = http_next(&s->parser))) {
		if (item->kind == HTTP_REQUEST)
			carry_out(s, item);
		else if (item->kind == HTTP_ERROR)
			free(json_http_error(item->error.text));
		free(item);
	}
}

static void feed(struct session *s, struct text t)
{
	if (http_feed(&s->parser, t.at, t.len) < 0)
		abort();
	answer(s);
}

/* ---- input ---- */

static void feed_request(struct session *s, struct text record)
{
	struct text body = record;
	struct text line = text_split(&body, '\n');
	char head[HTTP_LINE_MAX + 128];
	int n = snprintf(head, sizeof(head), "%.*s HTTP/1.1\r\nContent-Length: %zu\r\n\r\n",
			 TEXT_ARGS(text_cut(line, HTTP_LINE_MAX)), body.len);

	feed(s, text(head, (size_t)n));
	feed(s, body);
}

/* What was configured is what a configuration file with the same text makes. */
static void check_round_trip(struct session *s)
{
	static struct action actions[JSON_CONFIG_ACTIONS];
	struct err e;

	if (s->vm->config.boot.present && !s->vm->ended &&
	    json_parse_config(s->seen, strlen(s->seen), actions, JSON_CONFIG_ACTIONS, &e) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct session s;
	struct text rest = text((const char *)data, len);

	begin(&s);
	while (rest.len) {
		struct text record = text_split(&rest, '\0');

		if (text_starts(record, "!"))
			feed(&s, text(record.at + 1, record.len - 1));
		else
			feed_request(&s, record);
	}
	check_round_trip(&s);
	end(&s);
	return 0;
}
