/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a control domain can see of domains, to tell whether somebody has changed them.
 *
 *	hvstate pause|unpause DOMID...
 *	hvstate show DOMID...
 *	hvstate page DOMID FRAME
 *
 * `show` prints a line for each: numbers for its limits, its event channels, its vCPUs and
 * all of its memory, and last how much memory is free. Of dom0 only the first two. A domain
 * that runs changes: pause it before. With HVSTATE_PAGES=PREFIX there is a file PREFIX.DOMID
 * of lines for each page, and HVSTATE_PARTS=1 prints one for each record of the vCPUs. `page`
 * prints what is in one, but for zeroes.
 */
#include "tests/system/tools/hvcall.h"

#include <xen/event_channel.h>

#define PORTS 4096
#define CHUNK 256 /* pages that are mapped at a time */

static uint64_t add(uint64_t sum, uint64_t v)
{
	return (sum ^ v) * 0x9e3779b97f4a7c15 + (sum >> 29);
}

static uint64_t add_all(uint64_t sum, const void *data, size_t len)
{
	const uint64_t *at = data;

	for (size_t i = 0; i < len / 8; i++)
		sum = add(sum, at[i]);
	return sum;
}

/* What it is, has and may have. */
static uint64_t limits(uint32_t domid)
{
	const struct xen_domctl_getdomaininfo *info = &ctl->u.getdomaininfo;
	const uint32_t flags = XEN_DOMINF_dying | XEN_DOMINF_hvm_guest | XEN_DOMINF_shutdown |
			       XEN_DOMINF_paused | XEN_DOMINF_debugged | XEN_DOMINF_xs_domain;
	uint64_t sum = domid;

	memset(&ctl->u, 0, sizeof(ctl->u));
	if (domctl(XEN_DOMCTL_getdomaininfo, domid) || info->domain != domid)
		bail("getdomaininfo");
	sum = add(sum, info->flags & flags);
	sum = add(sum, info->tot_pages);
	sum = add(sum, info->max_pages);
	sum = add(sum, info->outstanding_pages);
	sum = add(sum, info->shr_pages);
	sum = add(sum, info->paged_pages);
	sum = add(sum, info->shared_info_frame);
	sum = add(sum, info->nr_online_vcpus);
	sum = add(sum, info->max_vcpu_id);
	return add(sum, info->cpupool);
}

/* What each of its ports is bound to. */
static uint64_t ports(uint32_t domid)
{
	struct evtchn_status *s = scratch;
	uint64_t sum = 0;

	for (unsigned port = 0; port < PORTS; port++) {
		memset(s, 0, sizeof(*s));
		s->dom = (domid_t)domid;
		s->port = port;
		if (xencall2(xc, __HYPERVISOR_event_channel_op, EVTCHNOP_status, (uintptr_t)s) <
		    0)
			continue;
		sum = add(sum, (uint64_t)s->status << 32 | s->vcpu);
		sum = add(sum, (uint64_t)s->u.interdomain.dom << 32 | s->u.interdomain.port);
	}
	return sum;
}

/* Records of its CPUs and interrupt controllers; the TSC runs on. */
static uint64_t vcpus(uint32_t domid)
{
	size_t room = 64 * PAGE, at = 0;
	uint8_t *buf = xencall_alloc_buffer_pages(xc, room / PAGE);
	uint64_t sum = 0;

	memset(buf, 0, room);
	memset(&ctl->u, 0, sizeof(ctl->u));
	ctl->u.hvmcontext.size = (uint32_t)room;
	set_xen_guest_handle_raw(ctl->u.hvmcontext.buffer, buf);
	if (domctl(XEN_DOMCTL_gethvmcontext, domid))
		bail("gethvmcontext");
	while (at < ctl->u.hvmcontext.size) {
		struct hvm_save_descriptor d;
		HVM_SAVE_TYPE(CPU) cpu;
		uint64_t part = 0;

		memcpy(&d, buf + at, sizeof(d));
		at += sizeof(d);
		if (d.typecode == HVM_SAVE_CODE(CPU)) {
			memcpy(&cpu, buf + at, sizeof(cpu));
			cpu.tsc = 0;
			memcpy(buf + at, &cpu, sizeof(cpu));
		}
		for (size_t i = 0; i < d.length; i++)
			part = add(part, buf[at + i]);
		if (getenv("HVSTATE_PARTS"))
			printf("# record %u.%u: %llx\n", d.typecode, d.instance,
			       (unsigned long long)part);
		sum = add(sum, part);
		at += d.length;
	}
	xencall_free_buffer_pages(xc, buf, room / PAGE);
	return sum;
}

/* Where to write what is in each page; NULL: nowhere. */
static FILE *pages_file(uint32_t domid)
{
	const char *prefix = getenv("HVSTATE_PAGES");
	char path[256];
	FILE *f;

	if (!prefix)
		return NULL;
	snprintf(path, sizeof(path), "%s.%u", prefix, domid);
	f = fopen(path, "w");
	if (!f)
		bail(path);
	return f;
}

static uint64_t memory(uint32_t domid)
{
	FILE *f = pages_file(domid);
	domid_t *who = scratch;
	uint64_t sum = 0;
	long last;

	*who = (domid_t)domid;
	last = xencall2(xc, __HYPERVISOR_memory_op, XENMEM_maximum_gpfn, (uintptr_t)who);
	if (last < 0)
		bail("maximum_gpfn");
	for (long at = 0; at <= last; at += CHUNK) {
		xen_pfn_t frames[CHUNK];
		int errs[CHUNK];
		uint8_t *pages;

		for (long i = 0; i < CHUNK; i++)
			frames[i] = (xen_pfn_t)(at + i);
		pages = xenforeignmemory_map(fmem, domid, PROT_READ, CHUNK, frames, errs);
		if (!pages)
			continue;
		for (unsigned i = 0; i < CHUNK; i++) {
			uint64_t page = errs[i] ? 0 : add_all(0, pages + i * PAGE, PAGE);

			if (!errs[i])
				sum = add(add(sum, page), frames[i]);
			if (!errs[i] && f)
				fprintf(f, "%llx %016llx\n", (unsigned long long)frames[i],
					(unsigned long long)page);
		}
		xenforeignmemory_unmap(fmem, pages, CHUNK);
	}
	if (f && fclose(f))
		bail("HVSTATE_PAGES");
	return sum;
}

static void print_page(uint32_t domid, xen_pfn_t frame)
{
	const uint64_t *at;
	int err;

	at = xenforeignmemory_map(fmem, domid, PROT_READ, 1, &frame, &err);
	if (!at)
		bail("the page is not there");
	for (unsigned i = 0; i < PAGE / 8; i++)
		if (at[i])
			printf("%03x: %016llx\n", i * 8, (unsigned long long)at[i]);
}

static void show(uint32_t domid)
{
	printf("%u limits %016llx ports %016llx", domid, (unsigned long long)limits(domid),
	       (unsigned long long)ports(domid));
	if (domid) {
		uint64_t cpus = vcpus(domid);

		printf(" vcpus %016llx memory %016llx", (unsigned long long)cpus,
		       (unsigned long long)memory(domid));
	}
	printf("\n");
}

int main(int argc, char **argv)
{
	open_all();
	if (argc < 2)
		return 2;
	if (argc == 4 && strcmp(argv[1], "page") == 0) {
		print_page((uint32_t)strtoul(argv[2], NULL, 0), strtoul(argv[3], NULL, 16));
		return 0;
	}
	for (int i = 2; i < argc; i++) {
		uint32_t domid = (uint32_t)strtoul(argv[i], NULL, 0);

		if (strcmp(argv[1], "show") == 0)
			show(domid);
		else if (domctl(argv[1][0] == 'p' ? XEN_DOMCTL_pausedomain :
						    XEN_DOMCTL_unpausedomain,
				domid))
			bail(argv[1]);
	}
	if (strcmp(argv[1], "show") == 0)
		printf("free %ld\n", free_pages());
	return 0;
}
