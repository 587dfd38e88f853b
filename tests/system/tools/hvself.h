/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The domain in which the program runs, as hvcaller.h wants it: hypercalls by way of an
 * unrestricted privcmd, with memory of this process.
 */
#ifndef TESTS_SYSTEM_HVSELF_H
#define TESTS_SYSTEM_HVSELF_H

#include "tests/system/tools/hvcall.h"

#include <cpuid.h>
#include <sys/syscall.h>

#include <xen/event_channel.h>
#include <xen/grant_table.h>

#define SELF_PAGES 16 /* of arguments */
#define P_BUFFER 320 /* of arguments for each call of an attack */
#define P_CALLS_MAX 1024
#define P_PENDING 0x5a5a5a5a

/* One hypercall. */
struct call {
	uint64_t nr, arg[5];
	int64_t rc;
};

struct proxy {
	uint32_t domid;
	uint8_t *memory;
};

/* The domid that CPUID tells. */
static uint32_t self_domid(void)
{
	uint32_t eax, ebx, ecx, edx;

	__cpuid_count(0x40000004, 0, eax, ebx, ecx, edx);
	if (!(eax & 1u << 4)) /* XEN_HVM_CPUID_DOMID_PRESENT */
		bail("CPUID does not tell the domid");
	return ecx;
}

static void self_open(struct proxy *p)
{
	p->domid = self_domid();
	p->memory = xencall_alloc_buffer_pages(xc, SELF_PAGES);
	if (!p->memory)
		bail("memory for arguments");
	memset(p->memory, 0, (size_t)SELF_PAGES * PAGE);
}

/* By system call, as libraries make an int of what comes back. */
static void self_call(struct call *c)
{
	privcmd_hypercall_t h = { .op = c->nr };
	long rc;

	memcpy(h.arg, c->arg, sizeof(h.arg));
	rc = syscall(SYS_ioctl, privcmd, IOCTL_PRIVCMD_HYPERCALL, &h);
	c->rc = rc == -1 ? -errno : rc;
}

static long proxy_call(struct proxy *p, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct call call = { .nr = nr, .arg = { a, b, c } };

	(void)p;
	self_call(&call);
	return (long)call.rc;
}

static uint64_t proxy_at(const struct proxy *p, uint64_t at)
{
	return (uintptr_t)p->memory + at;
}

static void proxy_put(struct proxy *p, uint64_t at, const void *data, size_t len)
{
	memcpy(p->memory + at, data, len);
}

static void proxy_get(struct proxy *p, uint64_t at, void *data, size_t len)
{
	memcpy(data, p->memory + at, len);
}

#endif
