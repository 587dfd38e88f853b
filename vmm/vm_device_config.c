/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives and interfaces as clients configure them: see vm_devices.h.
 *
 * Input from clients: paths and names, which are opened here.
 */
#include "vmm/vm_devices.h"

#include <errno.h>

#include "vmm/vm.h"

/* ---- what the configuration names ---- */

static struct vm_backend *find(struct vm_backend *all, unsigned n, const char *id)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(all[i].id, id) == 0)
			return &all[i];
	return NULL;
}

/* The one with this id, made when there is none: the configuration has counted them. */
static struct vm_backend *find_or_add(struct vm_backend *all, unsigned *n, const char *id)
{
	struct vm_backend *b = find(all, *n, id);

	if (!b) {
		b = &all[(*n)++];
		*b = (struct vm_backend){ 0 };
		memcpy(b->id, id, strlen(id) + 1);
	}
	return b;
}

static int open_disk(struct disk **out, const struct drive_config *d, struct err *e)
{
	const struct disk_options o = { .read_only = d->is_read_only, .direct = d->direct };
	int rc = disk_open(out, d->path, &o, e);

	return rc < 0 ? err_prefix(e, rc,
				   "Unable to create the virtio block device: Virtio backend "
				   "error: Error manipulating the backing file") :
			0;
}

int vm_put_drive(struct vm *vm, const struct drive_config *d, struct err *e)
{
	struct vm_devices *v = &vm->devices;
	struct vm_backend *b;
	struct disk *disk;
	int rc = open_disk(&disk, d, e);

	if (rc < 0)
		return rc;
	rc = config_put_drive(&vm->config, d, e);
	if (rc < 0) {
		disk_close(disk);
		return rc;
	}
	b = find_or_add(v->disks, &v->n_disks, d->id);
	disk_close(b->disk);
	b->disk = disk;
	return 0;
}

static int open_tap(struct tap **out, const struct net_config *n, struct vm *vm, struct err *e)
{
	unsigned queues = vm->config.machine.vcpu_count;
	int rc;

	if (queues > TAP_QUEUES_MAX)
		queues = TAP_QUEUES_MAX;
	rc = tap_open(out, n->host_dev_name, queues, e);
	return rc < 0 ? err_prefix(e, rc,
				   "Could not create the network device: Open tap device "
				   "failed") :
			0;
}

/* A tap can be open once: one that this interface had already is kept. */
static int tap_for(struct vm *vm, const struct net_config *n, struct tap **out, struct err *e)
{
	struct vm_backend *b = find(vm->devices.taps, vm->devices.n_taps, n->id);
	int i = config_find_net(&vm->config, n->id);

	if (b && i >= 0 && strcmp(vm->config.nets[i]->host_dev_name, n->host_dev_name) == 0) {
		*out = b->tap;
		return 0;
	}
	return open_tap(out, n, vm, e);
}

int vm_put_net(struct vm *vm, const struct net_config *n, struct err *e)
{
	struct vm_devices *v = &vm->devices;
	struct vm_backend *b = find(v->taps, v->n_taps, n->id);
	struct tap *old = b ? b->tap : NULL, *tap;
	int rc = tap_for(vm, n, &tap, e);

	if (rc < 0)
		return rc;
	rc = config_put_net(&vm->config, n, e);
	if (rc < 0) {
		if (tap != old)
			tap_close(tap);
		return rc;
	}
	b = find_or_add(v->taps, &v->n_taps, n->id);
	if (tap != old)
		tap_close(old);
	b->tap = tap;
	return 0;
}

int vm_take_disk(struct vm *vm, const struct drive_config *c, struct disk **out, struct err *e)
{
	struct vm_backend *b = find_or_add(vm->devices.disks, &vm->devices.n_disks, c->id);
	int rc = b->disk ? 0 : open_disk(&b->disk, c, e);

	if (rc < 0)
		return rc;
	*out = b->disk;
	b->disk = NULL;
	return 0;
}

int vm_take_tap(struct vm *vm, const struct net_config *c, struct tap **out, struct err *e)
{
	struct vm_backend *b = find_or_add(vm->devices.taps, &vm->devices.n_taps, c->id);
	int rc = b->tap ? 0 : open_tap(&b->tap, c, vm, e);

	if (rc < 0)
		return rc;
	*out = b->tap;
	b->tap = NULL;
	return 0;
}

/* ---- live changes ---- */

static struct vm_device *find_device(struct vm *vm, const char *id, bool drive)
{
	for (unsigned i = 0; i < vm->devices.n; i++) {
		struct vm_device *d = vm->devices.devices[i];

		if (!d->blk == !drive && strcmp(d->id, id) == 0)
			return d;
	}
	return NULL;
}

static int not_found(struct err *e)
{
	return err_set(e, -ENODEV, "Failed perform action on device: Device not found");
}

/*
 * A guest that reads registers from memory reads them one by one: it must not run while
 * the configuration space and its generation change.
 */
static int set_disk(struct vm *vm, struct vm_device *d, struct disk *disk, struct err *e)
{
	bool pause = vm->devices.pages && vm->state == INSTANCE_RUNNING;
	int rc = pause ? vm->hv->ops->pause(vm->hv, e) : 0;

	if (rc < 0) {
		disk_close(disk);
		return rc;
	}
	virtio_blk_set_disk(d->blk, disk);
	return pause ? vm->hv->ops->resume(vm->hv, e) : 0;
}

static int patch_path(struct vm *vm, struct vm_device *d, struct drive_config *c,
		      const char *path, struct err *e)
{
	const struct disk_options o = { .read_only = c->is_read_only, .direct = c->direct };
	struct disk *disk = NULL;
	struct err why;
	int rc = disk_open(&disk, path, &o, &why);

	if (rc < 0)
		return err_set(e, rc,
			       "Block: Virtio backend error: Error manipulating the backing "
			       "file: %s",
			       why.text);
	rc = set_disk(vm, d, disk, e);
	if (rc == 0)
		memcpy(c->path, path, strlen(path) + 1);
	return rc;
}

int vm_patch_drive(struct vm *vm, const struct drive_update *u, struct err *e)
{
	struct vm_device *d = find_device(vm, u->id, true);
	int i = config_find_drive(&vm->config, u->id), rc = 0;

	if (!d || i < 0)
		return not_found(e);
	/* Firecracker takes this for an update of a vhost-user drive. */
	if (!u->has_path && !u->limit.present)
		return err_set(e, -EINVAL, "Block: Running method expected different backend.");
	if (u->has_path)
		rc = patch_path(vm, d, vm->config.drives[i], u->path, e);
	if (rc == 0 && u->limit.present) {
		config_update_limit(&vm->config.drives[i]->limit, &u->limit);
		virtio_blk_set_limit(d->blk, &u->limit);
	}
	return rc;
}

int vm_patch_net(struct vm *vm, const struct net_update *u, struct err *e)
{
	struct vm_device *d = find_device(vm, u->id, false);
	int i = config_find_net(&vm->config, u->id);

	if (!d || i < 0)
		return not_found(e);
	config_update_limit(&vm->config.nets[i]->rx_limit, &u->rx_limit);
	config_update_limit(&vm->config.nets[i]->tx_limit, &u->tx_limit);
	virtio_net_set_limits(d->net, &u->rx_limit, &u->tx_limit);
	return 0;
}
