/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration objects and their rules: see config.h. */
#include "vmm/lib/config.h"

#include <ctype.h>
#include <errno.h>

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
	if (m->mem_size_mib == 0 || m->mem_size_mib > UINT64_MAX / MIB)
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
