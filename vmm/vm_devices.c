/* SPDX-License-Identifier: Apache-2.0 */
/* Drives and network interfaces: see vm_devices.h. Input from clients: the configuration. */
#include "vmm/vm_devices.h"

#include <errno.h>

int vm_put_drive(struct vm *vm, const struct drive_config *d, struct err *e)
{
	int at = config_put_drive(&vm->config, d, e);

	return at < 0 ? at : 0;
}

int vm_put_net(struct vm *vm, const struct net_config *n, struct err *e)
{
	int at = config_put_net(&vm->config, n, e);

	return at < 0 ? at : 0;
}

static int not_found(struct err *e)
{
	return err_set(e, -ENODEV, "Failed perform action on device: Device not found");
}

int vm_patch_drive(struct vm *vm, const struct drive_update *u, struct err *e)
{
	int at = config_find_drive(&vm->config, u->id);
	struct drive_config *d;

	if (at < 0)
		return not_found(e);
	/* Firecracker takes this for an update of a vhost-user drive. */
	if (!u->has_path && !u->limit.present)
		return err_set(e, -EINVAL, "Block: Running method expected different backend.");
	d = vm->config.drives[at];
	if (u->has_path)
		memcpy(d->path, u->path, sizeof(d->path));
	config_update_limit(&d->limit, &u->limit);
	return 0;
}

int vm_patch_net(struct vm *vm, const struct net_update *u, struct err *e)
{
	int at = config_find_net(&vm->config, u->id);

	if (at < 0)
		return not_found(e);
	config_update_limit(&vm->config.nets[at]->rx_limit, &u->rx_limit);
	config_update_limit(&vm->config.nets[at]->tx_limit, &u->tx_limit);
	return 0;
}
