/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of metrics. Each number of a line has a place, in the order in which they are
 * appended: `now` gets what a counter is, and the line tells how much that is more than in
 * `last`. Places do not move: devices come last, and are never removed.
 */
#ifndef VMM_METRICS_LINE_H
#define VMM_METRICS_LINE_H

#include "vmm/metrics.h"

/* Numbers in a line, of all devices that there can be. */
#define METRICS_VALUES_MAX 2048

struct metrics_values {
	uint64_t at[METRICS_VALUES_MAX];
};

struct metrics_line {
	char *text;
	size_t len, size;
	bool failed; /* no memory */
	bool comma; /* comes before the next member */
	unsigned n; /* the next number's place */
	const struct metrics_values *last;
	struct metrics_values *now;
};

/* What is not counted elsewhere. */
struct metrics_own {
	const char *properties; /* a JSON object; "": none */
	bool emit_id;
	bool broken; /* a part of a line is before this one */
	uint64_t missed; /* lines lost */
	uint64_t startup_us, startup_cpu_us;
	uint64_t took_us[METRICS_CALLS];
};

/* Make the line, with its end. `text` is the caller's to free. 0 or -ENOMEM. */
MUST_CHECK int metrics_line_make(struct metrics_line *l, const struct vm *vm,
				 const struct metrics_own *own);

#endif
