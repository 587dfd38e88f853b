/* SPDX-License-Identifier: Apache-2.0 */
/* Log, metrics and serial output: see vm_outputs.h. Input from clients: paths. */
#include "vmm/vm_outputs.h"

#include <errno.h>
#include <unistd.h>

#include "vmm/lib/output.h"
#include "vmm/vm.h"

static int cannot_open(struct err *e, int rc)
{
	return err_set(e, rc, "Failed to open target file: %s (os error %d)", strerror(-rc),
		       -rc);
}

int vm_set_logger(const struct logger_config *c, struct err *e)
{
	int rc = c->has_path ? log_open(c->path) : 0;

	if (rc < 0)
		return cannot_open(e, rc);
	if (c->has_level)
		log_set_level(c->level);
	if (c->has_module)
		log_set_module(c->module);
	if (c->has_show_level)
		log_show_level(c->show_level);
	if (c->has_show_origin)
		log_show_origin(c->show_origin);
	return 0;
}

int vm_set_metrics(struct vm *vm, const struct metrics_config *c, struct err *e)
{
	return metrics_open(vm->metrics, c, e);
}

/* ---- the serial port ---- */

static void released(void *ctx)
{
	(void)close((int)(intptr_t)ctx);
}

int vm_set_serial(struct vm *vm, const struct serial_config *c, struct err *e)
{
	struct serial_backend b = { .in_fd = vm->params.serial_in,
				    .out_fd = vm->params.serial_out };

	if (c->has_path && vm->params.serial_socket)
		return err_set(e, -EBUSY, "The serial port is the socket that --serial names.");
	if (c->has_path) {
		b.out_fd = output_open(c->path);
		if (b.out_fd < 0)
			return cannot_open(e, b.out_fd);
		b.released = released;
		b.ctx = (void *)(intptr_t)b.out_fd;
	}
	serial_set_limit(vm->serial, &c->limit);
	/* The clients of a socket come and go by themselves. */
	if (!vm->params.serial_socket)
		serial_set_backend(vm->serial, &b);
	return 0;
}
