/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: what is counted anywhere in the monitor, as a line of JSON in a file or FIFO, in
 * the shape of Firecracker's (docs/metrics.md). A line is written when the guest was
 * started, each METRICS_PERIOD_MS while it is not paused, when a client asks for it, and at
 * the end.
 *
 * Counters are told as what they have grown by since the last line that was written whole. A
 * line that cannot be written is lost and counted; what it would have told is in the next one.
 * Writing waits for nobody: a line that a FIFO has no room for goes on when it has, and until
 * then further ones are lost.
 */
#ifndef VMM_METRICS_H
#define VMM_METRICS_H

#include "vmm/lib/config.h"
#include "vmm/lib/loop.h"

#define METRICS_PERIOD_MS 60000
/* How long metrics_finish waits for a reader. */
#define METRICS_FINISH_MS 100

struct metrics;
struct vm;

/* What is told as the time that its last one took. */
enum metrics_call { METRICS_START, METRICS_PAUSE, METRICS_RESUME, METRICS_CALLS };

/* Of `vm` (borrowed for life), whose params and loop are set. Nothing is written yet. 0 or -ENOMEM. */
MUST_CHECK int metrics_create(struct metrics **out, struct vm *vm);

/*
 * Write to the file or FIFO that `c` names from now on. 0; -EEXIST when that was done before,
 * or -errno when it cannot be opened, with Firecracker's wording.
 */
MUST_CHECK int metrics_open(struct metrics *m, const struct metrics_config *c, struct err *e);

/* Such a call took so long. */
void metrics_took(struct metrics *m, enum metrics_call call, uint64_t ns);

/* The guest was started: a line soon, and one each period. */
void metrics_start(struct metrics *m);

/* The guest runs on after a pause, in which no line was due. */
void metrics_resume(struct metrics *m);

/* Write a line now, if there is a place for it. */
void metrics_write(struct metrics *m);

/* The last line, for which a reader has METRICS_FINISH_MS. Turns the loop meanwhile. */
void metrics_finish(struct metrics *m);

/* The loop turns no more. NULL is allowed. */
void metrics_destroy(struct metrics *m);

#endif
