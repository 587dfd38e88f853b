/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole hypervisor interface of the monitor. Xen implements it (hv_xen.c: the
 * keeper's client plus handles restricted to the one domain); tests/fake implements
 * it without Xen. Nothing above this header knows which.
 *
 * Life of a domain: shell -> shape (vCPUs and RAM, may be repeated) -> write images
 * -> start -> accesses and end reported to the listener -> close. close destroys it,
 * and so does the death of either process.
 *
 * Input from the guest: everything in `struct hv_io`. The implementation copies an
 * access once, before anyone looks at it.
 */
#ifndef VMM_HV_HV_H
#define VMM_HV_HV_H

#include "vmm/lib/err.h"
#include "vmm/lib/gmem.h"
#include "vmm/lib/loop.h"

struct hv; /* the implementation's */

#define HV_PAGES_MAX 32
#define HV_DOORBELLS_MAX 128 /* of both kinds together */

struct hv_shape {
	unsigned vcpus; /* 1..32 */
	uint64_t ram; /* bytes, a multiple of 1 MiB, laid out as gmem.h says */
};

/* Where the first vCPU starts: 32-bit protected mode, paging off (xen/docs/misc/pvh). */
struct hv_entry {
	uint32_t ip;
	gpa_t start_info;
};

enum hv_space { HV_PIO, HV_MMIO };

/* A range of addresses whose accesses the listener gets; `last` is inclusive. */
struct hv_range {
	enum hv_space space;
	uint64_t first, last;
};

/* One guest access, or `count` of them (REP). xen/include/public/hvm/ioreq.h */
struct hv_io {
	enum hv_space space;
	bool write;
	bool indirect; /* data is not in `data` but in guest memory at `data` */
	bool backwards; /* REP with DF set: addresses go down */
	uint8_t size; /* 1, 2, 4 or 8 */
	uint8_t vcpu; /* whose access it is: 0..31 */
	uint32_t count;
	uint64_t addr;
	uint64_t data; /* value written, or to be returned; or a gpa */
};

enum hv_end {
	HV_END_POWEROFF, /* SHUTDOWN_poweroff: a halted CPU with interrupts off */
	HV_END_REBOOT,
	HV_END_CRASH, /* the guest's panic notifier */
	HV_END_TRIPLE_FAULT,
	HV_END_OTHER,
};

/* A write of the guest that keeps no vCPU waiting: of 32 bits, to `addr`, of `data`. */
struct hv_doorbell {
	uint64_t addr; /* in memory; inside a registered range */
	uint32_t data;
	unsigned which; /* what the listener is told */
};

/* Who is told what the guest does; called from loop_turn. */
struct hv_listener {
	/*
	 * One access of the guest. Do it, put what a direct read returns into io->data. The
	 * vCPU goes on when this returns true; after false it waits for hv_ops.go_on.
	 */
	bool (*io)(void *ctx, struct hv_io *io);
	/*
	 * A doorbell was rung, since this was last called: once or often. Also, now and
	 * then, when it was not. May be NULL when there are none.
	 */
	void (*rung)(void *ctx, unsigned which);
	/* The guest gave pages back to the hypervisor. May be NULL. */
	void (*invalidate)(void *ctx);
	void (*ended)(void *ctx, enum hv_end end);
	/* The domain, or the process that keeps it, is gone. */
	void (*lost)(void *ctx, const char *why);
	void *ctx;
};

struct hv_counts {
	uint64_t hypercalls; /* domctl, memory_op, hvm_op: the keeper's */
	uint64_t dm_ops;
	uint64_t pages_mapped;
	uint64_t notifies; /* event channel notifications sent */
	uint64_t ioreqs;
	uint64_t rings; /* times that a doorbell was found rung */
	uint64_t start_ns; /* CLOCK_MONOTONIC just before the guest was let run */
};

struct hv_ops {
	/*
	 * Make the domain's vCPUs and RAM; what was there before is lost. Leaves the
	 * ranges (`n` of them, borrowed for the call) registered and the domain paused.
	 * -ENOMEM when the host has not that much memory: the shell is empty then.
	 */
	int (*shape)(struct hv *hv, const struct hv_shape *s, const struct hv_range *ranges,
		     unsigned n, struct err *e);

	/* Copy to or from the guest's RAM, or map it; the range was checked by gmem. */
	struct gmem_ops mem;

	/*
	 * Register pages: put `n` pages (1..HV_PAGES_MAX) of memory at `at` (of a page,
	 * inside a registered range), which the guest reads without an exit and whose
	 * writes are reported to the listener as before. *out is where they are here,
	 * contiguous, zeroed, until the next shape or close. Never read them: the guest has
	 * other ways to change them, by having Xen keep its vcpu_info there. After shape,
	 * before start, once. -EOPNOTSUPP where that cannot be had: accesses are all reported
	 * then. After another error, only another shape helps: some may miss the listener.
	 */
	int (*pages)(struct hv *hv, gpa_t at, unsigned n, void **out, struct err *e);

	/*
	 * Tell the listener of such writes by `rung`, some time after they were made, instead
	 * of by `io`; others to the same address are told as before, and some of these in REP
	 * accesses. After shape, before start; until the next shape. -EOPNOTSUPP where that
	 * cannot be had, -ENOSPC where there are too many already: `io` is told then.
	 */
	int (*doorbell)(struct hv *hv, const struct hv_doorbell *b, struct err *e);

	/*
	 * Tell nobody of 32-bit writes to `addr`: clear the bits that were written in the word
	 * of a register page at `word`, one at a time, and let the vCPU go on. A write for
	 * which that cannot be done is told by `io`. Otherwise as doorbell.
	 */
	int (*clears)(struct hv *hv, uint64_t addr, gpa_t word, struct err *e);

	/*
	 * This GSI will be pulsed: make it cheap, if that can be had. After shape, before
	 * start; until the next shape. Never needed.
	 */
	int (*line)(struct hv *hv, unsigned gsi, struct err *e);

	/* Set the first vCPU and let it run. Only after shape, once. */
	int (*start)(struct hv *hv, const struct hv_entry *entry, struct err *e);

	/* The write that listener.io left unanswered (false) is done: let the vCPU go on. */
	void (*go_on)(struct hv *hv, unsigned vcpu);

	/* Idempotent while the guest runs. */
	int (*pause)(struct hv *hv, struct err *e);
	int (*resume)(struct hv *hv, struct err *e);

	/* One edge on a GSI (1..47). Never fails visibly: failures are logged once. */
	void (*pulse)(struct hv *hv, unsigned gsi);

	/* Tell `listener` (copied) from now on; `loop` is borrowed for life. Once. */
	void (*listen)(struct hv *hv, struct loop *loop, const struct hv_listener *listener);

	struct hv_counts (*counts)(struct hv *hv);

	/* Destroy the domain and free everything; the loop does not turn any more. */
	void (*close)(struct hv *hv);

	/* One line for the log: hypervisor version, profile, domain. */
	const char *(*describe)(struct hv *hv);
};

/* Every implementation starts with this. */
struct hv {
	const struct hv_ops *ops;
};

#endif
