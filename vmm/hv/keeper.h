/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The privileged half. It holds the right to control domains, for exactly one of
 * them, and parses nothing that a guest, a client or a kernel image wrote: what
 * reaches it are the fixed-size requests below, over a SOCK_SEQPACKET pair, each
 * checked against a permit table (request x state).
 *
 * Input from the monitor, which may be in a guest's hands: every request.
 */
#ifndef VMM_HV_KEEPER_H
#define VMM_HV_KEEPER_H

#include "vmm/lib/err.h"

enum keeper_request_type {
	KEEPER_SHAPE, /* vcpus, ram */
	KEEPER_PAGES, /* at, pages; once after each shape */
	KEEPER_START, /* ip, start_info */
	KEEPER_PAUSE,
	KEEPER_RESUME,
	KEEPER_STATE, /* for hypervisors without the lifecycle port */
	KEEPER_REQUESTS
};

struct keeper_request {
	uint32_t type;
	uint32_t vcpus; /* 1..32 */
	uint64_t ram; /* bytes, a multiple of 1 MiB */
	uint32_t ip;
	uint32_t start_info;
	uint64_t at; /* of a page, in the virtio-mmio windows (vmm/lib/layout.h) */
	uint32_t pages; /* 1 or more, all in those windows */
	uint32_t unused;
};

enum keeper_profile {
	KEEPER_MICRO, /* LAPIC and IOAPIC only: the patched hypervisor */
	KEEPER_FULL_HVM, /* everything Xen emulates: an unpatched one */
};

/* The answer to a request; the first one comes by itself when the shell exists. */
struct keeper_answer {
	int32_t rc; /* 0 or -errno; then `e` has the reason */
	uint32_t domid;
	uint32_t profile; /* enum keeper_profile */
	uint32_t shut_down; /* KEEPER_STATE: whether; then `reason` is SHUTDOWN_* */
	uint32_t reason;
	uint32_t version; /* hypervisor's, major << 16 | minor */
	uint64_t hypercalls; /* made so far */
	uint64_t start_ns; /* CLOCK_MONOTONIC just before the guest was let run */
	struct err e;
};

struct keeper_info {
	uint32_t domid;
	bool lost; /* there is no domain, so the domid may become somebody else's */
	enum keeper_profile profile;
	uint32_t version;
	uint64_t hypercalls;
	uint64_t start_ns;
};

/* What the keeper does to its domain; Xen's are in xen_build.h, the tests' are fakes. */
struct keeper_ops {
	/* Make an empty domain with one vCPU. */
	int (*create)(void *ctx, struct err *e);
	/*
	 * Give it `vcpus` and `ram`; on failure it is an empty shell again, or lost. Lost
	 * is the end: the monitor's handles must not outlive our hold on the domid.
	 */
	int (*shape)(void *ctx, unsigned vcpus, uint64_t ram, struct err *e);
	/* Put `n` pages of memory at `at`, where there is none. */
	int (*pages)(void *ctx, uint64_t at, unsigned n, struct err *e);
	int (*start)(void *ctx, uint32_t ip, uint32_t start_info, struct err *e);
	int (*pause)(void *ctx, struct err *e);
	int (*resume)(void *ctx, struct err *e);
	int (*state)(void *ctx, bool *shut_down, uint32_t *reason, struct err *e);
	void (*info)(void *ctx, struct keeper_info *out);
	void (*destroy)(void *ctx);
};

/*
 * Create the shell, answer requests on `sock` until the monitor hangs up or ends, or
 * a signal asks us to end (it is passed on to the monitor, which has a second to end
 * by itself); then destroy the domain and reap `monitor`. Signals that end a process
 * must be blocked already. Returns the exit status for the whole program.
 */
int keeper_run(const struct keeper_ops *ops, void *ctx, int sock, int monitor);

#endif
