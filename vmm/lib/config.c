/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration objects and their rules: see config.h. */
#include "vmm/lib/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

void config_init(struct vm_config *c)
{
	memset(c, 0, sizeof(*c));
	c->machine = (struct machine_config){ .vcpu_count = 1, .mem_size_mib = 128 };
}

static int check_machine(const struct machine_config *m, struct err *e)
{
	if (m->track_dirty_pages)
		return err_set(e, -EINVAL,
			       "Dirty page tracking (track_dirty_pages) is not supported.");
	if (m->mem_size_mib == 0)
		return err_set(e, -EINVAL,
			       "The memory size (MiB) is either 0, or not a multiple of "
			       "the configured page size.");
	return 0;
}

int config_set_machine(struct machine_config *m, const struct machine_update *u, bool replace,
		       struct err *e)
{
	struct machine_config next = { .vcpu_count = 1, .mem_size_mib = 128 };
	int rc;

	if (!replace)
		next = *m;
	if (u->has_smt)
		next.smt = u->smt;
	if (u->has_track_dirty_pages)
		next.track_dirty_pages = u->track_dirty_pages;
	if (u->has_mem_size_mib)
		next.mem_size_mib = u->mem_size_mib;
	if (u->has_vcpu_count) {
		if (u->vcpu_count == 0 || u->vcpu_count > CONFIG_VCPUS_MAX)
			goto bad_vcpus;
		next.vcpu_count = (unsigned)u->vcpu_count;
	}
	if (next.smt && next.vcpu_count > 1 && next.vcpu_count % 2)
		goto bad_vcpus;
	if (next.smt)
		return err_set(e, -EINVAL,
			       "Simultaneous multithreading (smt) is not supported.");
	rc = check_machine(&next, e);
	if (rc == 0)
		*m = next;
	return rc;

bad_vcpus:
	return err_set(e, -EINVAL,
		       "The number of vCPUs must be greater than 0, less than %d and must "
		       "be 1 or an even number if SMT is enabled.",
		       CONFIG_VCPUS_MAX);
}

bool config_id_valid(const char *id)
{
	size_t len = strlen(id);

	if (len < 1 || len > CONFIG_ID_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isascii(id[i]) || (!isalnum((unsigned char)id[i]) && id[i] != '-'))
			return false;
	return true;
}

/* ---- drives and interfaces ---- */

void config_free(struct vm_config *c)
{
	while (c->n_drives > 0)
		free(c->drives[--c->n_drives]);
	while (c->n_nets > 0)
		free(c->nets[--c->n_nets]);
}

int config_find_drive(const struct vm_config *c, const char *id)
{
	for (unsigned i = 0; i < c->n_drives; i++)
		if (strcmp(c->drives[i]->id, id) == 0)
			return (int)i;
	return -1;
}

int config_find_net(const struct vm_config *c, const char *id)
{
	for (unsigned i = 0; i < c->n_nets; i++)
		if (strcmp(c->nets[i]->id, id) == 0)
			return (int)i;
	return -1;
}

const struct drive_config *config_root(const struct vm_config *c)
{
	return c->n_drives > 0 && c->drives[0]->is_root_device ? c->drives[0] : NULL;
}

/* Memory of `size` bytes for one more device; NULL with the reason. */
static void *new_device(const struct vm_config *c, size_t size, int *rc, struct err *e)
{
	void *device = NULL;

	if (c->n_drives + c->n_nets >= CONFIG_DEVICES_MAX) {
		*rc = err_set(e, -ENOSPC,
			      "There are %d drives and network interfaces already: no more "
			      "are supported.",
			      CONFIG_DEVICES_MAX);
	} else {
		device = malloc(size);
		if (!device)
			*rc = err_set(e, -ENOMEM, "out of memory");
	}
	return device;
}

int config_put_drive(struct vm_config *c, const struct drive_config *d, struct err *e)
{
	int old = config_find_drive(c, d->id);
	struct drive_config *drive;
	unsigned at;
	int rc = 0;

	if (d->is_root_device && config_root(c) && old != 0)
		return err_set(e, -EEXIST, "A root block device already exists!");
	drive = old >= 0 ? c->drives[old] : new_device(c, sizeof(*drive), &rc, e);
	if (!drive)
		return rc;
	*drive = *d;
	at = old >= 0 ? (unsigned)old : c->n_drives++;
	/* A root device goes to the front, those before it move up. */
	for (; d->is_root_device && at > 0; at--)
		c->drives[at] = c->drives[at - 1];
	c->drives[at] = drive;
	return (int)at;
}

static bool same_mac(const struct net_config *a, const struct net_config *b)
{
	return a->has_mac && b->has_mac && memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static int check_mac(const struct vm_config *c, const struct net_config *n, struct err *e)
{
	const uint8_t *m = n->mac;

	for (unsigned i = 0; i < c->n_nets; i++)
		if (same_mac(c->nets[i], n) && strcmp(c->nets[i]->id, n->id) != 0)
			return err_set(e, -EEXIST,
				       "The MAC address is already in use: "
				       "%02x:%02x:%02x:%02x:%02x:%02x",
				       m[0], m[1], m[2], m[3], m[4], m[5]);
	return 0;
}

int config_put_net(struct vm_config *c, const struct net_config *n, struct err *e)
{
	int at = config_find_net(c, n->id);
	int rc = check_mac(c, n, e);
	struct net_config *net;

	if (rc < 0)
		return rc;
	if (at < 0) {
		net = new_device(c, sizeof(*net), &rc, e);
		if (!net)
			return rc;
		at = (int)c->n_nets++;
		c->nets[at] = net;
	}
	*c->nets[at] = *n;
	return at;
}

void config_update_limit(struct rate_limiter_config *l, const struct rate_limiter_config *u)
{
	l->present |= u->present;
	if (u->bandwidth.present)
		l->bandwidth = u->bandwidth;
	if (u->ops.present)
		l->ops = u->ops;
}
