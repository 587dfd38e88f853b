/* SPDX-License-Identifier: Apache-2.0 */
/* What VM is wanted: see spec.h. */
#include "api/ctl/spec.h"

#include "api/ctl/spec_device.h"
#include "vmm/lib/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define MEMORY_MIB_DEFAULT 256

/* ---- files --------------------------------------------------------------------- */

int spec_read(cJSON **out, const char *path, struct err *e)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char *text = in ? malloc(FILE_MAX + 1) : NULL;
	size_t n = text ? fread(text, 1, FILE_MAX + 1, in) : 0;
	int rc = 0;

	if (!in || !text || ferror(in))
		rc = err_set(e, -errno, "configuration %s: %s", path, strerror(errno));
	else if (n > FILE_MAX)
		rc = err_set(e, -EFBIG, "configuration %s: more than 1 MiB", path);
	if (in && in != stdin)
		(void)fclose(in);
	if (rc == 0) {
		*out = cJSON_ParseWithLength(text, n);
		if (!cJSON_IsObject(*out)) {
			cJSON_Delete(*out);
			rc = err_set(e, -EINVAL, "configuration %s: not a JSON object", path);
		}
	}
	free(text);
	return rc;
}

/* ---- from options -------------------------------------------------------------- */

/* The object `key` of `config`, made if it is missing. */
static cJSON *part(cJSON *config, const char *key)
{
	cJSON *item = cJSON_GetObjectItemCaseSensitive(config, key);

	if (cJSON_IsObject(item))
		return item;
	cJSON_DeleteItemFromObjectCaseSensitive(config, key);
	return cJSON_AddObjectToObject(config, key);
}

static void set_text(cJSON *object, const char *key, const char *text)
{
	cJSON_DeleteItemFromObjectCaseSensitive(object, key);
	cJSON_AddStringToObject(object, key, text);
}

static void set_number(cJSON *object, const char *key, uint64_t n)
{
	cJSON_DeleteItemFromObjectCaseSensitive(object, key);
	cJSON_AddNumberToObject(object, key, (double)n);
}

static void set_path(cJSON *object, const char *key, const char *path)
{
	char *full = spec_absolute(path);

	set_text(object, key, full ? full : path);
	free(full);
}

/* share/xenolith/vmlinux beside our bin/. */
static bool installed_kernel(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
	char *slash;

	if (n < 0)
		return false;
	path[n] = '\0';
	for (int i = 0; i < 2; i++) {
		slash = strrchr(path, '/');
		if (!slash)
			return false;
		*slash = '\0';
	}
	if (strlen(path) + sizeof("/share/xenolith/vmlinux") > PATH_MAX)
		return false;
	memcpy(strchr(path, '\0'), "/share/xenolith/vmlinux",
	       sizeof("/share/xenolith/vmlinux"));
	return access(path, R_OK) == 0;
}

static int set_kernel(cJSON *boot, const struct spec_options *o, struct err *e)
{
	const char *kernel = o->kernel;
	char path[PATH_MAX];

	if (!kernel && cJSON_GetObjectItemCaseSensitive(boot, "kernel_image_path"))
		return 0;
	if (!kernel)
		kernel = getenv(SPEC_KERNEL_ENV);
	if ((!kernel || !*kernel) && installed_kernel(path))
		kernel = path;
	if (!kernel || !*kernel)
		return err_set(e, -ENOENT,
			       "no kernel: name one with --kernel or in $" SPEC_KERNEL_ENV
			       "; `make guest` builds one and prints where it is");
	set_path(boot, "kernel_image_path", kernel);
	return 0;
}

static int set_args(cJSON *boot, const struct spec_options *o, const char *command_args,
		    struct err *e)
{
	const cJSON *given = cJSON_GetObjectItemCaseSensitive(boot, "boot_args");
	const char *args = o->args		 ? o->args :
			   cJSON_IsString(given) ? given->valuestring :
						   SPEC_BOOT_ARGS;
	char text[2 * CONFIG_BOOT_ARGS_MAX];
	int n = snprintf(text, sizeof(text), "%s%s%s%s%s", args, o->append ? " " : "",
			 o->append ? o->append : "", command_args ? " " : "",
			 command_args ? command_args : "");

	if (n >= CONFIG_BOOT_ARGS_MAX)
		return err_set(e, -E2BIG,
			       "the kernel's command line has %d bytes, %d are possible%s", n,
			       CONFIG_BOOT_ARGS_MAX - 1,
			       command_args ?
				       "; put a longer command into the image as a script" :
				       "");
	set_text(boot, "boot_args", text);
	return 0;
}

static int set_boot(cJSON *config, const struct spec_options *o, const char *command_args,
		    struct err *e)
{
	cJSON *boot = part(config, "boot-source");
	int rc = set_kernel(boot, o, e);

	if (rc == 0 && o->initrd)
		set_path(boot, "initrd_path", o->initrd);
	return rc < 0 ? rc : set_args(boot, o, command_args, e);
}

static void set_machine(cJSON *config, const struct spec_options *o)
{
	cJSON *machine = part(config, "machine-config");

	if (o->memory_mib || !cJSON_GetObjectItemCaseSensitive(machine, "mem_size_mib"))
		set_number(machine, "mem_size_mib",
			   o->memory_mib ? o->memory_mib : MEMORY_MIB_DEFAULT);
	if (o->cpus || !cJSON_GetObjectItemCaseSensitive(machine, "vcpu_count"))
		set_number(machine, "vcpu_count", o->cpus ? o->cpus : 1);
}

static cJSON *list_part(cJSON *config, const char *key)
{
	cJSON *list = cJSON_GetObjectItemCaseSensitive(config, key);

	if (cJSON_IsArray(list))
		return list;
	cJSON_DeleteItemFromObjectCaseSensitive(config, key);
	return cJSON_AddArrayToObject(config, key);
}

static bool has_root(const cJSON *drives)
{
	const cJSON *drive;

	cJSON_ArrayForEach(drive, drives) if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(
						      drive, "is_root_device"))) return true;
	return false;
}

static int add_devices(cJSON *config, const struct spec_options *o, struct err *e)
{
	cJSON *drives = list_part(config, "drives"), *device;
	cJSON *nets = list_part(config, "network-interfaces");
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < o->disks.n; i++) {
		rc = spec_disk(&device, o->disks.items[i], i, !has_root(drives), e);
		if (rc == 0)
			cJSON_AddItemToArray(drives, device);
	}
	for (unsigned i = 0; rc == 0 && i < o->nets.n; i++) {
		rc = spec_net(&device, o->nets.items[i], i, e);
		if (rc == 0)
			cJSON_AddItemToArray(nets, device);
	}
	return rc;
}

int spec_build(cJSON **out, const struct spec_options *o, const char *command_args,
	       struct err *e)
{
	cJSON *config = NULL;
	int rc = 0;

	if (o->config)
		rc = spec_read(&config, o->config, e);
	else
		config = cJSON_CreateObject();
	if (rc < 0)
		return rc;
	/* The memory first: the monitor makes it ready while it is told the rest. */
	set_machine(config, o);
	rc = set_boot(config, o, command_args, e);
	if (rc == 0)
		rc = add_devices(config, o, e);
	if (rc < 0)
		cJSON_Delete(config);
	else
		*out = config;
	return rc;
}

/* ---- through the API ----------------------------------------------------------- */

/* Each element of a list goes to a path of its own. */
static int apply_list(struct client *c, const char *key, const cJSON *list, struct err *e)
{
	const char *id_key = strcmp(key, "drives") == 0		    ? "drive_id" :
			     strcmp(key, "network-interfaces") == 0 ? "iface_id" :
								      "id";
	char path[64 + CONFIG_ID_MAX];
	const cJSON *item;
	int rc = 0;

	cJSON_ArrayForEach(item, list)
	{
		const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, id_key);
		const char *text = cJSON_IsString(id) ? id->valuestring : "";

		if (strspn(text,
			   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
			    strlen(text) ||
		    strlen(text) > CONFIG_ID_MAX)
			return err_set(e, -EINVAL, "%s: '%.80s' cannot be an id", key, text);
		(void)snprintf(path, sizeof(path), "/%s/%s", key, text);
		rc = client_call(c, "PUT", path, item, NULL, e);
		if (rc < 0)
			return rc == -EREMOTEIO ? err_prefix(e, rc, "%s", path) : rc;
	}
	return rc < 0 ? rc : 0;
}

static int apply_part(struct client *c, const cJSON *item, struct err *e)
{
	/* Where the path is not the key of the configuration. */
	const char *key = strcmp(item->string, "mmds-config") == 0    ? "mmds/config" :
			  strcmp(item->string, "memory-hotplug") == 0 ? "hotplug/memory" :
									item->string;
	char path[64];
	int rc;

	if (cJSON_IsNull(item))
		return 0;
	if (strlen(key) > sizeof(path) - 2 || strpbrk(key, " \r\n"))
		return err_set(e, -EINVAL, "'%.60s' is no part of a configuration", key);
	if (cJSON_IsArray(item))
		return apply_list(c, key, item, e);
	(void)snprintf(path, sizeof(path), "/%s", key);
	rc = client_call(c, "PUT", path, item, NULL, e);
	if (rc == -EREMOTEIO)
		return err_prefix(e, rc, "%s", path);
	return rc < 0 ? rc : 0;
}

int spec_apply(struct client *c, const cJSON *config, struct err *e)
{
	const cJSON *item;
	int rc;

	cJSON_ArrayForEach(item, config)
	{
		rc = apply_part(c, item, e);
		if (rc < 0)
			return rc;
	}
	return 0;
}
