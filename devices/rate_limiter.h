/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firecracker's rate limiter: two token buckets, one of bytes and one of operations, each with
 * `size` tokens that are refilled evenly over `refill_time` ms, and a burst that is spent
 * once, first. Time is given by the caller, in ns, so that nothing here waits.
 */
#ifndef DEVICES_RATE_LIMITER_H
#define DEVICES_RATE_LIMITER_H

#include "vmm/lib/config.h"

struct token_bucket {
	uint64_t size; /* 0: unlimited */
	uint64_t refill_ns; /* for `size` tokens */
	uint64_t burst; /* left of the one-time burst */
	uint64_t tokens;
	uint64_t updated_ns;
};

struct rate_limiter {
	struct token_bucket bandwidth, ops;
};

/* Full buckets. */
void rate_limiter_init(struct rate_limiter *r, const struct rate_limiter_config *c,
		       uint64_t now_ns);

/* PATCH: buckets that `c` has are replaced, full again; others stay. */
void rate_limiter_update(struct rate_limiter *r, const struct rate_limiter_config *c,
			 uint64_t now_ns);

/*
 * Take the tokens of one operation of `bytes`: 0 and both buckets are charged, or how many
 * ns to wait before asking again (> 0) and none is. An operation larger than its bucket may
 * overdraw a full one; what it took too much is waited for afterwards.
 */
MUST_CHECK uint64_t rate_limiter_take(struct rate_limiter *r, uint64_t bytes, uint64_t now_ns);

#endif
