/* SPDX-License-Identifier: Apache-2.0 */
/* Actions and states: see control.h. */
#include "vmm/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/json.h"
#include "vmm/lib/log.h"
#include "vmm/lib/version.h"
#include "vmm/vm_devices.h"
#include "vmm/vm_outputs.h"

/* A configuration file is read whole; nobody writes one this long. */
#define CONFIG_FILE_MAX (1 * MIB)

#define PRE (1u << INSTANCE_NOT_STARTED)
#define POST (1u << INSTANCE_RUNNING | 1u << INSTANCE_PAUSED)
#define ANY (PRE | POST)

/* Fills in `r`, or fails with the fault message in `e`. */
typedef int (*control_handler)(struct vm *vm, const struct action *a, struct reply *r,
			       struct err *e);

static int get_instance(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	(void)a;
	(void)e;
	r->kind = REPLY_INSTANCE;
	r->id = vm->params.id;
	r->version = XENOLITH_VERSION;
	r->state = vm->state;
	return 0;
}

static int get_version(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	(void)vm;
	(void)a;
	(void)e;
	r->kind = REPLY_VERSION;
	r->version = XENOLITH_VERSION;
	return 0;
}

static int get_machine_config(struct vm *vm, const struct action *a, struct reply *r,
			      struct err *e)
{
	(void)a;
	(void)e;
	r->kind = REPLY_MACHINE_CONFIG;
	r->config = &vm->config;
	return 0;
}

static int get_vm_config(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	(void)a;
	(void)e;
	r->kind = REPLY_VM_CONFIG;
	r->config = &vm->config;
	return 0;
}

static int set_machine_config(struct vm *vm, const struct action *a, struct reply *r,
			      struct err *e)
{
	struct machine_config m = vm->config.machine;
	int rc = config_set_machine(&m, &a->u.machine, a->kind == ACTION_PUT_MACHINE_CONFIG, e);

	if (rc < 0)
		return err_prefix(e, rc, "Machine config error");
	r->deprecated = a->u.machine.deprecated;
	vm_set_machine(vm, &m);
	return 0;
}

static int put_boot_source(struct vm *vm, const struct action *a, struct reply *r,
			   struct err *e)
{
	int rc = vm_set_boot(vm, &a->u.boot, e);

	(void)r;
	return rc < 0 ? err_prefix(e, rc, "Boot source error") : 0;
}

static int put_drive(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	int rc = vm_put_drive(vm, &a->u.drive, e);

	(void)r;
	return rc < 0 ? err_prefix(e, rc, "Drive config error") : 0;
}

static int patch_drive(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	int rc = vm_patch_drive(vm, &a->u.drive_update, e);
	struct err reason;

	(void)r;
	if (rc == 0)
		return 0;
	reason = *e;
	return err_set(e, rc,
		       "Drive config error: Unable to patch the block device: %s Please verify "
		       "the request arguments.",
		       reason.text);
}

static int put_net(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	int rc = vm_put_net(vm, &a->u.net, e);

	(void)r;
	return rc < 0 ? err_prefix(e, rc, "Network config error") : 0;
}

static int patch_net(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	int rc = vm_patch_net(vm, &a->u.net_update, e);

	(void)r;
	return rc < 0 ? err_prefix(e, rc,
				   "Network config error: Unable to update the net device") :
			0;
}

static int put_logger(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	int rc = vm_set_logger(&a->u.logger, e);

	(void)vm;
	(void)r;
	return rc < 0 ? err_prefix(e, rc, "Logger error") : 0;
}

static int put_metrics(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	int rc = vm_set_metrics(vm, &a->u.metrics, e);

	(void)r;
	return rc < 0 ? err_prefix(e, rc,
				   "Metrics error: Cannot initialize the metrics system due to "
				   "bad user input") :
			0;
}

static int put_serial(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	int rc = vm_set_serial(vm, &a->u.serial, e);

	(void)r;
	return rc < 0 ? err_prefix(e, rc, "Serial error") : 0;
}

/* What Firecracker says when it has no PCI bus, which alone would allow it. */
#define NO_HOTPLUG "PCI is not enabled"

static int delete_device(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	(void)vm;
	(void)a;
	(void)r;
	return err_set(e, -EOPNOTSUPP, NO_HOTPLUG);
}

static int instance_start(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	int rc = vm_start(vm, e);

	(void)a;
	(void)r;
	return rc < 0 ? err_prefix(e, rc, "Start microvm error") : 0;
}

/* Firecracker presses three keys; there is no keyboard, but what it is for is there. */
static int send_ctrl_alt_del(struct vm *vm, const struct action *a, struct reply *r,
			     struct err *e)
{
	(void)a;
	(void)r;
	(void)e;
	vm_press_power_button(vm);
	return 0;
}

/* What is counted goes to the log, too: Firecracker writes nothing without metrics. */
static int flush_metrics(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	(void)a;
	(void)r;
	(void)e;
	vm_log_counts(vm);
	metrics_write(vm->metrics);
	return 0;
}

static int pause_vm(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	(void)a;
	(void)r;
	return vm_pause(vm, e);
}

static int resume_vm(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	(void)a;
	(void)r;
	return vm_resume(vm, e);
}

static int absent(struct vm *vm, const struct action *a, struct reply *r, struct err *e)
{
	(void)vm;
	(void)r;
	return err_set(e, -EOPNOTSUPP, "Not supported: Xenolith has no %s, by design.",
		       a->u.absent);
}

static const struct control {
	unsigned states; /* in which it is allowed */
	control_handler handle;
} controls[ACTION_KINDS] = {
	[ACTION_GET_INSTANCE] = { ANY, get_instance },
	[ACTION_GET_VERSION] = { ANY, get_version },
	[ACTION_GET_MACHINE_CONFIG] = { ANY, get_machine_config },
	[ACTION_GET_VM_CONFIG] = { ANY, get_vm_config },
	[ACTION_PUT_MACHINE_CONFIG] = { PRE, set_machine_config },
	[ACTION_PATCH_MACHINE_CONFIG] = { PRE, set_machine_config },
	[ACTION_PUT_BOOT_SOURCE] = { PRE, put_boot_source },
	[ACTION_PUT_DRIVE] = { PRE, put_drive },
	[ACTION_PATCH_DRIVE] = { POST, patch_drive },
	[ACTION_PUT_NET] = { PRE, put_net },
	[ACTION_PATCH_NET] = { POST, patch_net },
	[ACTION_DELETE_DEVICE] = { POST, delete_device },
	[ACTION_PUT_LOGGER] = { PRE, put_logger },
	[ACTION_PUT_METRICS] = { PRE, put_metrics },
	[ACTION_PUT_SERIAL] = { PRE, put_serial },
	[ACTION_INSTANCE_START] = { PRE, instance_start },
	[ACTION_SEND_CTRL_ALT_DEL] = { POST, send_ctrl_alt_del },
	[ACTION_FLUSH_METRICS] = { POST, flush_metrics },
	[ACTION_PAUSE] = { POST, pause_vm },
	[ACTION_RESUME] = { POST, resume_vm },
	[ACTION_ABSENT] = { ANY, absent },
	[ACTION_ABSENT_PRE] = { PRE, absent },
	[ACTION_ABSENT_POST] = { POST, absent },
	[ACTION_ABSENT_DEVICE] = { PRE, absent },
};

/* What is said to those that come in another state, unless it is what all are told. */
static const char *const refusals[ACTION_KINDS] = {
	[ACTION_PUT_DRIVE] = NO_HOTPLUG,
	[ACTION_PUT_NET] = NO_HOTPLUG,
	[ACTION_ABSENT_DEVICE] = NO_HOTPLUG,
};

void control_apply(void *ctx, const struct action *a, struct reply *r)
{
	struct vm *vm = ctx;
	const struct control *c = &controls[a->kind];
	int rc;

	memset(r, 0, sizeof(*r));
	r->kind = REPLY_NO_CONTENT;
	vm->last_request_ns = clock_ns();
	if (vm->ended)
		rc = err_set(&r->fault, -ESHUTDOWN, "The microVM has ended.");
	else if ((c->states & 1u << vm->state) && a->refused)
		rc = err_set(&r->fault, -EINVAL, "%s", a->why.text);
	else if (c->states & 1u << vm->state)
		rc = c->handle(vm, a, r, &r->fault);
	else if (refusals[a->kind])
		rc = err_set(&r->fault, -EPERM, "%s", refusals[a->kind]);
	else
		rc = err_set(&r->fault, -EPERM,
			     "The requested operation is not supported %s the microVM.",
			     vm->state == INSTANCE_NOT_STARTED ? "before starting" :
								 "after starting");
	if (rc < 0)
		r->kind = REPLY_FAULT;
}

/* The file's text, to be freed; NULL with a reason. */
static char *read_file(const char *path, size_t *len, struct err *e)
{
	char *text = malloc(CONFIG_FILE_MAX);
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	*len = 0;
	if (fd >= 0 && text)
		while ((n = read(fd, text + *len, CONFIG_FILE_MAX - *len)) > 0)
			*len += (size_t)n;
	if (fd < 0 || !text || n < 0 || *len == CONFIG_FILE_MAX) {
		err_set(e, -EINVAL, "configuration file %s: %s", path,
			*len == CONFIG_FILE_MAX ? "longer than 1 MiB" : strerror(errno));
		free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

static int apply_all(struct vm *vm, const struct action *actions, int n, struct err *e)
{
	const struct action start = { .kind = ACTION_INSTANCE_START };
	struct reply r;

	for (int i = 0; i < n; i++) {
		const struct boot_source *b = &actions[i].u.boot;

		control_apply(vm, &actions[i], &r);
		if (r.kind != REPLY_FAULT)
			continue;
		/* Firecracker's words do not name the files; here nobody else does. */
		if (actions[i].kind == ACTION_PUT_BOOT_SOURCE)
			return err_set(e, -EINVAL, "%s (%s%s%s)", r.fault.text,
				       b->kernel_image_path, b->has_initrd ? ", " : "",
				       b->initrd_path);
		return err_set(e, -EINVAL, "%s", r.fault.text);
	}
	control_apply(vm, &start, &r);
	if (r.kind == REPLY_FAULT)
		return err_set(e, -EINVAL, "%s", r.fault.text);
	return 0;
}

int control_apply_file(struct vm *vm, const char *path, struct err *e)
{
	struct action *actions;
	size_t len;
	char *text = read_file(path, &len, e);
	int rc;

	if (!text)
		return -EINVAL;
	rc = err_set(e, -ENOMEM, "out of memory");
	actions = calloc(JSON_CONFIG_ACTIONS, sizeof(*actions));
	if (actions) {
		rc = json_parse_config(text, len, actions, JSON_CONFIG_ACTIONS, e);
		if (rc >= 0)
			rc = apply_all(vm, actions, rc, e);
	}
	free(actions);
	free(text);
	return rc < 0 ? err_prefix(e, rc, "configuration file %s", path) : 0;
}
