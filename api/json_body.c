/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of the API to actions: see json_body.h. Input from clients: all of it. */
#include "api/json_body.h"

#include "api/json_devices.h"
#include "api/json_outputs.h"

#include <assert.h>
#include <errno.h>

/* ---- /machine-config ---- */

enum {
	VCPU_COUNT,
	MEM_SIZE_MIB,
	SMT,
	CPU_TEMPLATE,
	TRACK_DIRTY_PAGES,
	HUGE_PAGES,
	MACHINE_FIELDS
};

enum { TEMPLATE_NONE = 3 };
static const char *const templates[] = { "C3", "T2", "T2S", "None", "T2CL", "T2A", NULL };

enum { HUGE_PAGES_NONE };
static const char *const page_sizes[] = { "None", "Transparent", "2M", NULL };

static const struct field machine_put[] = {
	[VCPU_COUNT] = { "vcpu_count", FIELD_U8, .required = true },
	[MEM_SIZE_MIB] = { "mem_size_mib", FIELD_USIZE, .required = true },
	[SMT] = { "smt", FIELD_BOOL, .required = false },
	[CPU_TEMPLATE] = { "cpu_template", FIELD_VARIANT, .nullable = true,
			   .variants = templates },
	[TRACK_DIRTY_PAGES] = { "track_dirty_pages", FIELD_BOOL, .required = false },
	[HUGE_PAGES] = { "huge_pages", FIELD_VARIANT, .variants = page_sizes },
	{ 0 },
};

static const struct field machine_patch[] = {
	[VCPU_COUNT] = { "vcpu_count", FIELD_U8, .nullable = true },
	[MEM_SIZE_MIB] = { "mem_size_mib", FIELD_USIZE, .nullable = true },
	[SMT] = { "smt", FIELD_BOOL, .nullable = true },
	[CPU_TEMPLATE] = { "cpu_template", FIELD_VARIANT, .nullable = true,
			   .variants = templates },
	[TRACK_DIRTY_PAGES] = { "track_dirty_pages", FIELD_BOOL, .nullable = true },
	[HUGE_PAGES] = { "huge_pages", FIELD_VARIANT, .nullable = true,
			 .variants = page_sizes },
	{ 0 },
};

/* What Xen's domain builder has no counterpart for is accepted at its default only. */
static int check_machine(const struct value *v, struct err *e)
{
	if (v[CPU_TEMPLATE].given && v[CPU_TEMPLATE].u.variant != TEMPLATE_NONE)
		return err_set(e, -EDOM,
			       "Machine config error: CPU templates are not supported "
			       "(cpu_template is `%s`, only `None` is).",
			       templates[v[CPU_TEMPLATE].u.variant]);
	if (v[HUGE_PAGES].given && v[HUGE_PAGES].u.variant != HUGE_PAGES_NONE)
		return err_set(e, -EDOM,
			       "Machine config error: huge pages are not supported "
			       "(huge_pages is `%s`, only `None` is).",
			       page_sizes[v[HUGE_PAGES].u.variant]);
	return 0;
}

static void set_machine(struct machine_update *m, const struct value *v)
{
	*m = (struct machine_update){
		.has_vcpu_count = v[VCPU_COUNT].given,
		.has_mem_size_mib = v[MEM_SIZE_MIB].given,
		.has_smt = v[SMT].given,
		.has_track_dirty_pages = v[TRACK_DIRTY_PAGES].given,
		.deprecated = v[CPU_TEMPLATE].given,
	};
	if (m->has_vcpu_count)
		m->vcpu_count = v[VCPU_COUNT].u.number;
	if (m->has_mem_size_mib)
		m->mem_size_mib = v[MEM_SIZE_MIB].u.number;
	if (m->has_smt)
		m->smt = v[SMT].u.flag;
	if (m->has_track_dirty_pages)
		m->track_dirty_pages = v[TRACK_DIRTY_PAGES].u.flag;
}

static int finish_machine(struct action *out, const struct value *v, struct err *e)
{
	set_machine(&out->u.machine, v);
	return check_machine(v, e);
}

static int parse_machine(const struct json_object *o, struct action *out, struct err *e)
{
	struct value v[MACHINE_FIELDS];
	int rc = json_bind(o, "struct MachineConfig", machine_put, v, e);

	out->kind = ACTION_PUT_MACHINE_CONFIG;
	return rc < 0 ? rc : finish_machine(out, v, e);
}

static int parse_machine_patch(const struct json_object *o, struct action *out, struct err *e)
{
	struct value v[MACHINE_FIELDS];
	int rc = json_bind(o, "struct MachineConfigUpdate", machine_patch, v, e);

	if (rc < 0)
		return rc;
	out->kind = ACTION_PATCH_MACHINE_CONFIG;
	for (unsigned i = 0; i < MACHINE_FIELDS; i++)
		if (v[i].given)
			return finish_machine(out, v, e);
	return err_set(e, -EINVAL, "Empty PATCH request.");
}

/* ---- /boot-source ---- */

enum { KERNEL_IMAGE_PATH, INITRD_PATH, BOOT_ARGS, BOOT_FIELDS };

static const struct field boot_fields[] = {
	[KERNEL_IMAGE_PATH] = { "kernel_image_path", FIELD_STRING, .required = true },
	[INITRD_PATH] = { "initrd_path", FIELD_STRING, .nullable = true },
	[BOOT_ARGS] = { "boot_args", FIELD_STRING, .nullable = true },
	{ 0 },
};

static int parse_boot(const struct json_object *o, struct action *out, struct err *e)
{
	struct boot_source *b = &out->u.boot;
	struct value v[BOOT_FIELDS];
	int rc = json_bind(o, "struct BootSourceConfig", boot_fields, v, e);

	if (rc < 0)
		return rc;
	out->kind = ACTION_PUT_BOOT_SOURCE;
	b->present = true;
	b->has_initrd = v[INITRD_PATH].given;
	b->has_boot_args = v[BOOT_ARGS].given;
	if (!json_copy_string(b->kernel_image_path, sizeof(b->kernel_image_path),
			      &v[KERNEL_IMAGE_PATH]))
		return err_set(e, -EDOM,
			       "Boot source error: The kernel file cannot be opened: "
			       "File name too long (os error 36)");
	if (!json_copy_string(b->initrd_path, sizeof(b->initrd_path), &v[INITRD_PATH]))
		return err_set(
			e, -EDOM,
			"Boot source error: The initrd file cannot be opened due to invalid "
			"path or invalid permissions. File name too long (os error 36)");
	if (!json_copy_string(b->boot_args, sizeof(b->boot_args), &v[BOOT_ARGS]))
		return err_set(e, -EDOM,
			       "Boot source error: The kernel command line is invalid: "
			       "boot_args is longer than %d bytes",
			       CONFIG_BOOT_ARGS_MAX);
	return 0;
}

/* ---- /actions and /vm ---- */

static const char *const action_types[] = { "FlushMetrics", "InstanceStart", "SendCtrlAltDel",
					    NULL };
static const enum action_kind action_kinds[] = { ACTION_FLUSH_METRICS, ACTION_INSTANCE_START,
						 ACTION_SEND_CTRL_ALT_DEL };
static const struct field action_fields[] = {
	{ "action_type", FIELD_VARIANT, .required = true, .variants = action_types },
	{ 0 },
};

static int parse_action(const struct json_object *o, struct action *out, struct err *e)
{
	struct value v[1];
	int rc = json_bind(o, "struct ActionBody", action_fields, v, e);

	if (rc == 0)
		out->kind = action_kinds[v[0].u.variant];
	return rc;
}

static const char *const vm_states[] = { "Paused", "Resumed", NULL };
static const struct field vm_fields[] = {
	{ "state", FIELD_VARIANT, .required = true, .variants = vm_states },
	{ 0 },
};

static int parse_vm_state(const struct json_object *o, struct action *out, struct err *e)
{
	struct value v[1];
	int rc = json_bind(o, "struct Vm", vm_fields, v, e);

	if (rc == 0)
		out->kind = v[0].u.variant == 0 ? ACTION_PAUSE : ACTION_RESUME;
	return rc;
}

int json_body(enum json_body body, const struct json_object *o, struct action *out,
	      struct err *e)
{
	memset(out, 0, sizeof(*out));
	switch (body) {
	case JSON_MACHINE_CONFIG:
		return parse_machine(o, out, e);
	case JSON_MACHINE_CONFIG_PATCH:
		return parse_machine_patch(o, out, e);
	case JSON_BOOT_SOURCE:
		return parse_boot(o, out, e);
	case JSON_ACTION:
		return parse_action(o, out, e);
	case JSON_VM_STATE:
		return parse_vm_state(o, out, e);
	case JSON_DRIVE:
		return json_drive(o, out, e);
	case JSON_DRIVE_PATCH:
		return json_drive_patch(o, out, e);
	case JSON_NET:
		return json_net(o, out, e);
	case JSON_NET_PATCH:
		return json_net_patch(o, out, e);
	case JSON_LOGGER:
		return json_logger(o, out, e);
	case JSON_METRICS:
		return json_metrics(o, out, e);
	case JSON_SERIAL:
		return json_serial(o, out, e);
	case JSON_BODIES:
		break;
	}
	assert(false);
	return -EINVAL;
}
