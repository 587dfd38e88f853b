/* SPDX-License-Identifier: Apache-2.0 */
/* What the files hv_fake*.c share, and nobody else. */
#ifndef TESTS_FAKE_HV_FAKE_PRIV_H
#define TESTS_FAKE_HV_FAKE_PRIV_H

#include "tests/fake/guest.h"
#include "tests/fake/hv_fake.h"

#define FAKE_RANGES_MAX 64
#define FAKE_LOG_MAX 256
#define FAKE_FAULTS_MAX 16
#define FAKE_GIVEN_MAX 256

enum fake_op {
	FAKE_OPEN,
	FAKE_SHAPE,
	FAKE_MEM_READ,
	FAKE_MEM_WRITE,
	FAKE_MAP,
	FAKE_PAGES,
	FAKE_DOORBELL,
	FAKE_LINE,
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

/* A doorbell: of one value, or of all values, which clear bits. */
struct fake_bell {
	struct hv_doorbell b;
	uint32_t *clears; /* NULL: it rings */
	bool rung; /* and the listener has not been told */
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
	int ram_fd; /* both of them */
	uint64_t given[FAKE_GIVEN_MAX]; /* pages that the guest gave back */
	unsigned n_given;
	bool pages_asked; /* since the last shape */
	uint8_t *pages; /* register pages */
	uint64_t pages_at;
	unsigned n_pages;
	struct hv_range ranges[FAKE_RANGES_MAX];
	unsigned n_ranges;
	struct fake_bell bells[HV_DOORBELLS_MAX];
	unsigned n_bells;

	struct loop *loop;
	struct hv_listener listener;
	struct guest guest;
	struct loop_op slice;
	struct loop_op rings; /* tells the listener */
	struct loop_timer nap;
	uint32_t held; /* a bit for each vCPU whose access is not answered yet */
	bool stalled; /* the guest would go on but for the pause */

	uint64_t calls[FAKE_OPS];
	struct fake_fault faults[FAKE_FAULTS_MAX];
	unsigned n_faults;
	struct hv_counts counts;
	uint64_t pulses[HV_FAKE_GSIS];
	uint64_t unclaimed, page_reads, silent;
	struct fake_access log[FAKE_LOG_MAX];
	char description[64];
};

extern const char *const fake_op_names[FAKE_OPS];

/* Parse XENOLITH_FAKE_FAIL into `f`. */
MUST_CHECK int fake_faults_parse(struct hv_fake *f, const char *text, struct err *e);

/* Count a call; -errno when it is one that shall fail. */
MUST_CHECK int fake_call(struct hv_fake *f, enum fake_op op);

/* For the life of `f`; 0 or -errno. */
MUST_CHECK int fake_ram_open(struct hv_fake *f);

/* RAM of `size` bytes, zeroed. 0 or -ENOMEM; to be freed in any case. */
MUST_CHECK int fake_ram_make(struct hv_fake *f, uint64_t size);

/* RAM and register pages; also when there are none. */
void fake_ram_free(struct hv_fake *f);

/* The page at `at` is there no more for the monitor. */
void fake_ram_give_back(struct hv_fake *f, gpa_t at);

/* What the monitor reaches RAM by: struct gmem_ops, with the struct hv_fake as ctx. */
int fake_mem_read(void *ctx, gpa_t at, void *dst, size_t len);
int fake_mem_write(void *ctx, gpa_t at, const void *src, size_t len);
int fake_mem_map(void *ctx, gpa_t at, void *to, unsigned pages, bool *there);

MUST_CHECK int fake_pages_make(struct hv_fake *f, gpa_t at, unsigned n, struct err *e);

/* Where [first, last] is in the register pages; NULL when it is not in them as a whole. */
const uint8_t *fake_pages_find(const struct hv_fake *f, uint64_t first, uint64_t last);

/* Do a read of [first, last] if the register pages have it. */
bool fake_pages_read(struct hv_fake *f, struct hv_io *io, uint64_t first, uint64_t last);

/* hv_ops.doorbell and hv_ops.clears. */
int fake_doorbell(struct hv *hv, const struct hv_doorbell *b, struct err *e);
int fake_clears(struct hv *hv, uint64_t addr, gpa_t word, struct err *e);

/* hv_ops.line */
int fake_line(struct hv *hv, unsigned gsi, struct err *e);

/* Whether the access was a write with a doorbell, and needs nobody. */
bool fake_bells_rung(struct hv_fake *f, const struct hv_io *io);

/* Tells the listener of those that were rung: hv_fake.rings is done. */
void fake_bells_tell(struct loop_op *op, int res);

/* Write the summary; a file that cannot be written ends the process. */
void fake_dump(struct hv_fake *f);

#endif
