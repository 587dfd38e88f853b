/* SPDX-License-Identifier: Apache-2.0 */
/* What hv_fake.c shares with hv_fake_dump.c and hv_fake_fail.c, and nobody else. */
#ifndef TESTS_FAKE_HV_FAKE_PRIV_H
#define TESTS_FAKE_HV_FAKE_PRIV_H

#include "tests/fake/guest.h"
#include "tests/fake/hv_fake.h"

#define FAKE_RANGES_MAX 64
#define FAKE_LOG_MAX 256
#define FAKE_FAULTS_MAX 16

enum fake_op {
	FAKE_OPEN,
	FAKE_SHAPE,
	FAKE_MEM_READ,
	FAKE_MEM_WRITE,
	FAKE_START,
	FAKE_PAUSE,
	FAKE_RESUME,
	FAKE_OPS
};

enum fake_state { FAKE_SHELL, FAKE_SHAPED, FAKE_RUNNING, FAKE_PAUSED, FAKE_ENDED };

struct fake_fault {
	enum fake_op op;
	int rc;
	uint64_t nth; /* from 1 */
};

struct fake_access {
	struct hv_io io; /* after it was done */
	bool claimed;
};

struct hv_fake {
	struct hv hv;
	struct hv_fake_options options;
	enum fake_state state;
	const char *ending; /* how, in FAKE_ENDED */

	struct hv_shape shape;
	struct hv_entry entry;
	struct gmem ram;
	uint8_t *low, *high;
	struct hv_range ranges[FAKE_RANGES_MAX];
	unsigned n_ranges;

	struct loop *loop;
	struct hv_listener listener;
	struct guest guest;
	struct loop_op slice;
	struct loop_timer nap;
	bool stalled; /* the guest would go on but for the pause */

	uint64_t calls[FAKE_OPS];
	struct fake_fault faults[FAKE_FAULTS_MAX];
	unsigned n_faults;
	struct hv_counts counts;
	uint64_t pulses[HV_FAKE_GSIS];
	uint64_t unclaimed;
	struct fake_access log[FAKE_LOG_MAX];
	char description[64];
};

extern const char *const fake_op_names[FAKE_OPS];

/* Parse XENOLITH_FAKE_FAIL into `f`. */
MUST_CHECK int fake_faults_parse(struct hv_fake *f, const char *text, struct err *e);

/* Count a call; -errno when it is one that shall fail. */
MUST_CHECK int fake_call(struct hv_fake *f, enum fake_op op);

/* Write the summary; a file that cannot be written ends the process. */
void fake_dump(struct hv_fake *f);

#endif
