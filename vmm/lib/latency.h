/* SPDX-License-Identifier: Apache-2.0 */
/* How long something that happens often takes: shortest, longest, and all together. */
#ifndef VMM_LIB_LATENCY_H
#define VMM_LIB_LATENCY_H

#include "vmm/lib/bytes.h"

/* Zero-initialise. */
struct latency {
	uint64_t n;
	uint64_t min_ns, max_ns, sum_ns;
};

static inline void latency_add(struct latency *l, uint64_t ns)
{
	if (l->n++ == 0 || ns < l->min_ns)
		l->min_ns = ns;
	if (ns > l->max_ns)
		l->max_ns = ns;
	l->sum_ns += ns;
}

/* Add what another one has gathered. */
static inline void latency_merge(struct latency *l, const struct latency *other)
{
	if (other->n && (l->n == 0 || other->min_ns < l->min_ns))
		l->min_ns = other->min_ns;
	if (other->max_ns > l->max_ns)
		l->max_ns = other->max_ns;
	l->n += other->n;
	l->sum_ns += other->sum_ns;
}

#endif
