/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hypervisor without one: struct hv_ops in this process, for everything above
 * vmm/hv. Memory comes as it is touched; the guest is a script (README.md) or the test
 * itself, through the functions below. As under Xen, only accesses that lie in a
 * registered range reach the listener, reads of register pages do not, and calls that
 * the keeper would not permit fail with -EPERM.
 */
#ifndef TESTS_FAKE_HV_FAKE_H
#define TESTS_FAKE_HV_FAKE_H

#include "vmm/hv/hv.h"

#define HV_FAKE_GSIS 48
#define HV_FAKE_RAM_MIB 8192

/* What XENOLITH_FAKE_* says; README.md explains each. All may be NULL or 0. */
struct hv_fake_options {
	uint64_t ram_mib; /* what the host has; 0: HV_FAKE_RAM_MIB */
	const char *guest; /* the script's text */
	const char *guest_name; /* for messages */
	const char *fail; /* op:errno[:nth],... */
	bool no_pages; /* register pages cannot be had */
	bool no_doorbells; /* nor doorbells */
	const char *dump; /* file for the summary at close */
	const char *dump_mem; /* address:length,... to put into it */
};

/* The strings of `o`, but for `guest`, are borrowed until close. 0, or -EINVAL for what cannot be parsed. */
MUST_CHECK int hv_fake_create(struct hv **out, const struct hv_fake_options *o, struct err *e);

/* The same with XENOLITH_FAKE_*. */
MUST_CHECK int hv_fake_from_env(struct hv **out, struct err *e);

/*
 * Make an access, as a running guest would; a read's result is in io->data. The vCPU
 * must not be waiting for an earlier one.
 */
void hv_fake_access(struct hv *hv, struct hv_io *io);

/* One direct access: `hv_fake_in` returns all ones when nobody has the address. */
uint64_t hv_fake_in(struct hv *hv, enum hv_space space, uint64_t addr, uint8_t size);
void hv_fake_out(struct hv *hv, enum hv_space space, uint64_t addr, uint8_t size,
		 uint64_t value);

/* Whether a vCPU waits for hv_ops.go_on. */
bool hv_fake_held(const struct hv *hv, unsigned vcpu);

/* Reads that register pages answered: nobody else saw them. */
uint64_t hv_fake_page_reads(const struct hv *hv);

/* Writes that cleared bits of a register page: nobody saw them either. */
uint64_t hv_fake_silent(const struct hv *hv);

/* Give a page of RAM back, as a balloon does: it cannot be reached nor mapped any more. */
void hv_fake_give_back(struct hv *hv, gpa_t at);

/* End the guest, or the domain. */
void hv_fake_end(struct hv *hv, enum hv_end end);
void hv_fake_lose(struct hv *hv, const char *why);

/* Edges raised on a GSI so far. */
uint64_t hv_fake_pulses(const struct hv *hv, unsigned gsi);

/* How the domain was made; NULL when it is an empty shell. */
const struct hv_shape *hv_fake_shape(const struct hv *hv);

/* Where it was started; NULL when it was not. */
const struct hv_entry *hv_fake_entry(const struct hv *hv);

/* The guest's memory, laid out as gmem.h says; valid until the next shape. */
const struct gmem *hv_fake_memory(struct hv *hv);

#endif
