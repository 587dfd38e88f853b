/* SPDX-License-Identifier: Apache-2.0 */
/* Calls counted: see counts.h. Input from clients: methods and paths. */
#include "api/counts.h"

static const struct api_call calls[] = {
	{ HTTP_GET, "", "instance_info" },
	{ HTTP_GET, "version", "vmm_version" },
	{ HTTP_GET, "machine-config", "machine_cfg" },
	{ HTTP_GET, "vm", "vm_config" },
	{ HTTP_GET, "mmds", "mmds" },
	{ HTTP_GET, "hotplug", "hotplug_memory" },
	{ HTTP_PUT, "actions", "actions" },
	{ HTTP_PUT, "boot-source", "boot_source" },
	{ HTTP_PUT, "drives", "drive" },
	{ HTTP_PUT, "logger", "logger" },
	{ HTTP_PUT, "machine-config", "machine_cfg" },
	{ HTTP_PUT, "cpu-config", "cpu_cfg" },
	{ HTTP_PUT, "metrics", "metrics" },
	{ HTTP_PUT, "network-interfaces", "network" },
	{ HTTP_PUT, "mmds", "mmds" },
	{ HTTP_PUT, "vsock", "vsock" },
	{ HTTP_PUT, "pmem", "pmem" },
	{ HTTP_PUT, "serial", "serial" },
	{ HTTP_PUT, "hotplug", "hotplug_memory" },
	{ HTTP_PATCH, "drives", "drive" },
	{ HTTP_PATCH, "network-interfaces", "network" },
	{ HTTP_PATCH, "machine-config", "machine_cfg" },
	{ HTTP_PATCH, "vm", "vm_state" },
	{ HTTP_PATCH, "mmds", "mmds" },
	{ HTTP_PATCH, "pmem", "pmem" },
	{ HTTP_PATCH, "hotplug", "hotplug_memory" },
	{ HTTP_DELETE, "drives", "drive" },
	{ HTTP_DELETE, "network-interfaces", "network" },
	{ HTTP_DELETE, "pmem", "pmem" },
};

_Static_assert(ARRAY_SIZE(calls) <= API_CALLS_MAX, "each has its count");

const struct api_call *api_call(unsigned n)
{
	return n < ARRAY_SIZE(calls) ? &calls[n] : NULL;
}

static struct text first_token(struct text path)
{
	while (text_starts(path, "/"))
		path = text(path.at + 1, path.len - 1);
	return text_split(&path, '/');
}

void api_counts_add(struct api_counts *c, const struct http_item *request, bool failed,
		    uint64_t ns)
{
	struct text first;

	latency_add(&c->latency[request->method], ns);
	first = first_token(request->path);
	for (unsigned i = 0; i < ARRAY_SIZE(calls); i++) {
		if (calls[i].method == request->method && text_is(first, calls[i].path)) {
			c->calls[i].calls++;
			c->calls[i].fails += failed;
			return;
		}
	}
	c->invalid++;
}
