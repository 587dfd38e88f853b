/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scripted guest: a list of steps, and a place in it. README.md describes the
 * language. Nothing here knows about time or the loop; hv_fake.c runs it in slices.
 */
#ifndef TESTS_FAKE_GUEST_H
#define TESTS_FAKE_GUEST_H

#include "vmm/hv/hv.h"

/* Where `outs` keeps its text in guest memory. */
#define GUEST_SCRATCH 0x90000
#define GUEST_TEXT_MAX 4096

enum guest_step_kind {
	GUEST_OUT,
	GUEST_IN,
	GUEST_WRITE,
	GUEST_READ,
	GUEST_OUTS,
	GUEST_OUTS_BACK,
	GUEST_INS,
	GUEST_PRINT,
	GUEST_INPUT,
	GUEST_WAIT,
	GUEST_GIVE_BACK,
	GUEST_SLEEP,
	GUEST_END,
	GUEST_LOST,
	GUEST_LOOP,
	GUEST_IDLE,
};

struct guest_step {
	enum guest_step_kind kind;
	unsigned line;
	uint8_t size; /* of an access */
	bool has_value; /* a read's EXPECT was given */
	uint64_t addr; /* address, port or GSI */
	uint64_t value; /* value, count, milliseconds or enum hv_end */
	char *text; /* with escapes undone; may hold NULs */
	size_t len;
};

struct guest {
	const char *name;
	struct guest_step *steps;
	size_t n, at;
	size_t pos; /* in the text of the step at `at` */
	size_t failed_line; /* of the EXPECT that was not met */
};

/* Parse a script; `name` is borrowed. -EINVAL with "NAME:LINE: reason". */
MUST_CHECK int guest_parse(struct guest *g, const char *name, const char *script,
			   struct err *e);

void guest_free(struct guest *g);

enum guest_result {
	GUEST_GO_ON, /* there is more to do at once */
	GUEST_POLLS, /* it waits for something outside */
	GUEST_SLEEPS, /* for *ms */
	GUEST_STOPS, /* it ended, or does nothing more */
};

/*
 * Do some of the current step, through the functions of hv_fake.h. A read that gives
 * something else than it should is told on standard error and ends the process with
 * GUEST_EXPECT_FAILED: there is no use in going on.
 */
#define GUEST_EXPECT_FAILED 99
enum guest_result guest_run(struct guest *g, struct hv *hv, uint64_t *ms);

#endif
