/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Token buckets: see rate_limiter.h. A bucket that was overdrawn has no tokens and an
 * `updated_ns` in the future: from then on it fills again.
 */
#include "devices/rate_limiter.h"

#define NS_PER_MS UINT64_C(1000000)

/* A size times a time does not fit in 64 bits. */
__extension__ typedef unsigned __int128 uint128;

static uint64_t clamp(uint128 v)
{
	return v > UINT64_MAX ? UINT64_MAX : (uint64_t)v;
}

static void fill(struct token_bucket *b, const struct token_bucket_config *c, uint64_t now_ns)
{
	*b = (struct token_bucket){ .updated_ns = now_ns };
	if (!c->present || !c->size || !c->refill_time_ms)
		return;
	b->size = c->size;
	b->tokens = c->size;
	b->refill_ns = clamp((uint128)c->refill_time_ms * NS_PER_MS);
	b->burst = c->has_one_time_burst ? c->one_time_burst : 0;
}

void rate_limiter_init(struct rate_limiter *r, const struct rate_limiter_config *c,
		       uint64_t now_ns)
{
	fill(&r->bandwidth, &c->bandwidth, now_ns);
	fill(&r->ops, &c->ops, now_ns);
}

void rate_limiter_update(struct rate_limiter *r, const struct rate_limiter_config *c,
			 uint64_t now_ns)
{
	if (c->bandwidth.present)
		fill(&r->bandwidth, &c->bandwidth, now_ns);
	if (c->ops.present)
		fill(&r->ops, &c->ops, now_ns);
}

/* How long the bucket takes to gain `tokens`, rounded up so that it never gains too much. */
static uint64_t time_for(const struct token_bucket *b, uint64_t tokens)
{
	return clamp(((uint128)tokens * b->refill_ns + b->size - 1) / b->size);
}

/* What has been gained since `updated_ns`; asking often changes nothing. */
static uint64_t gained(const struct token_bucket *b, uint64_t now_ns)
{
	uint64_t room = b->size - b->tokens;
	uint128 gain;

	if (now_ns <= b->updated_ns)
		return 0;
	gain = (uint128)(now_ns - b->updated_ns) * b->size / b->refill_ns;
	return gain < room ? (uint64_t)gain : room;
}

/* How long to wait for `n` tokens, as far as the burst does not give them. 0: not at all. */
static uint64_t wait_for(const struct token_bucket *b, uint64_t n, uint64_t now_ns)
{
	uint64_t need;
	uint128 at;

	if (!b->size || n <= b->burst)
		return 0;
	need = n - b->burst < b->size ? n - b->burst : b->size;
	if (need <= b->tokens + gained(b, now_ns))
		return 0;
	at = (uint128)b->updated_ns + time_for(b, need - b->tokens);
	return clamp(at - now_ns);
}

static void refill(struct token_bucket *b, uint64_t now_ns)
{
	uint64_t gain = gained(b, now_ns);

	b->tokens += gain;
	if (b->tokens == b->size && now_ns > b->updated_ns)
		b->updated_ns = now_ns;
	else
		b->updated_ns += time_for(b, gain); /* the rest counts for the next token */
}

static void charge(struct token_bucket *b, uint64_t n, uint64_t now_ns)
{
	uint64_t from_burst = n < b->burst ? n : b->burst;

	if (!b->size)
		return;
	refill(b, now_ns);
	b->burst -= from_burst;
	n -= from_burst;
	if (n <= b->tokens) {
		b->tokens -= n;
		return;
	}
	b->updated_ns = clamp((uint128)b->updated_ns + time_for(b, n - b->tokens));
	b->tokens = 0;
}

uint64_t rate_limiter_take(struct rate_limiter *r, uint64_t bytes, uint64_t now_ns)
{
	uint64_t bandwidth = wait_for(&r->bandwidth, bytes, now_ns);
	uint64_t ops = wait_for(&r->ops, 1, now_ns);

	if (bandwidth || ops)
		return bandwidth > ops ? bandwidth : ops;
	charge(&r->bandwidth, bytes, now_ns);
	charge(&r->ops, 1, now_ns);
	return 0;
}
