/* SPDX-License-Identifier: Apache-2.0 */
/* The rate limiter, with a clock that the tests move. */
#include "devices/rate_limiter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MS UINT64_C(1000000)
#define START (1000 * MS)
#define OP 0 /* bytes of an operation that has no data */

static struct rate_limiter_config limits(struct token_bucket_config bandwidth,
					 struct token_bucket_config ops)
{
	return (struct rate_limiter_config){ .present = true,
					     .bandwidth = bandwidth,
					     .ops = ops };
}

static struct token_bucket_config bucket(uint64_t size, uint64_t refill_time_ms, uint64_t burst)
{
	return (struct token_bucket_config){ .present = true,
					     .has_one_time_burst = true,
					     .size = size,
					     .refill_time_ms = refill_time_ms,
					     .one_time_burst = burst };
}

static const struct token_bucket_config none;

static struct rate_limiter limiter(struct token_bucket_config bandwidth,
				   struct token_bucket_config ops)
{
	const struct rate_limiter_config c = limits(bandwidth, ops);
	struct rate_limiter r;

	memset(&r, 0xff, sizeof(r));
	rate_limiter_init(&r, &c, START);
	return r;
}

static void nothing_limits_without_buckets(void **state)
{
	static const struct token_bucket_config off[] = {
		{ .present = false, .size = 1, .refill_time_ms = 1000 },
		{ .present = true, .size = 0, .refill_time_ms = 1000 },
		{ .present = true, .size = 1, .refill_time_ms = 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(off); i++) {
		struct rate_limiter r = limiter(off[i], off[i]);

		for (unsigned n = 0; n < 100; n++)
			assert_int_equal(rate_limiter_take(&r, UINT64_MAX, START), 0);
	}
}

static void operations_wait_for_their_tokens(void **state)
{
	struct rate_limiter r = limiter(none, bucket(10, 100, 0));

	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(rate_limiter_take(&r, OP, START), 0);
	assert_int_equal(rate_limiter_take(&r, OP, START), 10 * MS);
	assert_int_equal(rate_limiter_take(&r, OP, START + 9 * MS), MS);
	assert_int_equal(rate_limiter_take(&r, OP, START + 10 * MS), 0);
	assert_int_equal(rate_limiter_take(&r, OP, START + 10 * MS), 10 * MS);
}

static void bytes_wait_for_their_tokens(void **state)
{
	struct rate_limiter r = limiter(bucket(1000, 1000, 0), none);

	assert_int_equal(rate_limiter_take(&r, 900, START), 0);
	assert_int_equal(rate_limiter_take(&r, 200, START), 100 * MS);
	assert_int_equal(rate_limiter_take(&r, 100, START), 0);
	assert_int_equal(rate_limiter_take(&r, 1, START), MS);
	assert_int_equal(rate_limiter_take(&r, OP, START), 0); /* takes no bytes */
}

static void a_bucket_does_not_hold_more_than_its_size(void **state)
{
	struct rate_limiter r = limiter(bucket(1000, 1000, 0), none);

	assert_int_equal(rate_limiter_take(&r, 1000, START), 0);
	assert_int_equal(rate_limiter_take(&r, 1000, START + 3600000 * MS), 0);
	assert_int_equal(rate_limiter_take(&r, 1, START + 3600000 * MS), MS);
}

/* Neither bucket is charged when the other has too little. */
static void waiting_charges_nothing(void **state)
{
	struct rate_limiter r = limiter(bucket(1000, 1000, 50), bucket(2, 1000, 0));

	assert_int_equal(rate_limiter_take(&r, 50 + 990, START), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(rate_limiter_take(&r, 20, START), 10 * MS);
	assert_int_equal(rate_limiter_take(&r, 10, START), 0); /* the 2nd operation */
	assert_int_equal(rate_limiter_take(&r, 100, START), 500 * MS); /* the longer wait */
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(rate_limiter_take(&r, 1, START + 100 * MS), 400 * MS);
	assert_int_equal(rate_limiter_take(&r, 500, START + 500 * MS), 0);
}

static void the_burst_is_spent_once_and_first(void **state)
{
	struct rate_limiter r = limiter(bucket(100, 100, 1000), none);

	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(rate_limiter_take(&r, 100, START), 0);
	/* What is left of the burst, and the tokens. */
	assert_int_equal(rate_limiter_take(&r, 200, START), 0);
	assert_int_equal(rate_limiter_take(&r, 1, START), MS);
	assert_int_equal(rate_limiter_take(&r, 100, START + 5000 * MS), 0);
	assert_int_equal(rate_limiter_take(&r, 1, START + 5000 * MS), MS);
}

static void a_burst_that_was_not_asked_for_is_none(void **state)
{
	struct token_bucket_config c = bucket(100, 100, 1000);
	struct rate_limiter r;

	c.has_one_time_burst = false;
	r = limiter(c, none);
	assert_int_equal(rate_limiter_take(&r, 100, START), 0);
	assert_int_equal(rate_limiter_take(&r, 1, START), MS);
}

static void a_large_operation_overdraws_a_full_bucket(void **state)
{
	struct rate_limiter r = limiter(bucket(100, 100, 0), none);

	assert_int_equal(rate_limiter_take(&r, 1, START), 0);
	/* Not full. */
	assert_int_equal(rate_limiter_take(&r, 350, START), MS);
	assert_int_equal(rate_limiter_take(&r, 350, START + MS), 0);
	/* 250 too much, and then one for this. */
	assert_int_equal(rate_limiter_take(&r, 1, START + MS), 251 * MS);
	assert_int_equal(rate_limiter_take(&r, 1, START + 251 * MS), MS);
	assert_int_equal(rate_limiter_take(&r, 1, START + 252 * MS), 0);
	assert_int_equal(rate_limiter_take(&r, 101, START + 252 * MS), 100 * MS);
}

/* Asking often, at odd times, neither loses nor wins tokens. */
static void the_rate_is_exact_over_a_long_time(void **state)
{
	static const struct {
		uint64_t size, ms, each, step_ns;
	} cases[] = {
		{ 7, 3, 1, 12345 },
		{ 1000003, 1000, 17, 777 },
		{ 1, 1000, 1, 1234567 },
		{ UINT64_C(10) << 30, 100, 65536, 100 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rate_limiter r = limiter(bucket(cases[i].size, cases[i].ms, 0), none);
		uint64_t taken = 0, elapsed = 0;
		double fair;

		while (!rate_limiter_take(&r, cases[i].each, START))
			;
		for (unsigned n = 0; n < 100000; n++) {
			elapsed += cases[i].step_ns;
			if (!rate_limiter_take(&r, cases[i].each, START + elapsed))
				taken += cases[i].each;
		}
		fair = (double)cases[i].size * (double)elapsed / (double)(cases[i].ms * MS);
		assert_true((double)taken <= fair + (double)cases[i].each);
		/* At most one operation was possible each step. */
		if (fair > (double)cases[i].each * 100000)
			fair = (double)cases[i].each * 100000;
		assert_true((double)taken >= fair * 0.99 - (double)cases[i].each);
	}
}

/* Who waits for as long as was said gets tokens then, and not before. */
static void the_wait_is_exact(void **state)
{
	struct rate_limiter r = limiter(bucket(999983, 1013, 0), bucket(31, 17, 0));
	uint64_t now = START;

	for (unsigned i = 0; i < 10000; i++) {
		uint64_t bytes = i * UINT64_C(7919) % 2000003;
		uint64_t wait = rate_limiter_take(&r, bytes, now);

		if (!wait)
			continue;
		assert_true(rate_limiter_take(&r, bytes, now + wait - 1) > 0);
		now += wait;
		assert_int_equal(rate_limiter_take(&r, bytes, now), 0);
	}
}

static void numbers_at_their_limits_do_not_wrap(void **state)
{
	struct rate_limiter r =
		limiter(bucket(UINT64_MAX, UINT64_MAX, UINT64_MAX), bucket(1, UINT64_MAX, 0));
	uint64_t wait;

	assert_int_equal(rate_limiter_take(&r, UINT64_MAX, START), 0);
	wait = rate_limiter_take(&r, OP, START);
	assert_true(wait > UINT64_MAX / 2);
	r = limiter(bucket(1, UINT64_MAX, 0), none);
	assert_int_equal(rate_limiter_take(&r, UINT64_MAX, START), 0);
	assert_true(rate_limiter_take(&r, 1, START) > UINT64_MAX / 2);
	assert_true(rate_limiter_take(&r, 1, UINT64_MAX - 1) > 0);
	/* Time that seems to go back. */
	r = limiter(none, bucket(1, 100, 0));
	assert_int_equal(rate_limiter_take(&r, OP, START), 0);
	assert_int_equal(rate_limiter_take(&r, OP, START - 50 * MS), 150 * MS);
}

static void an_update_replaces_the_buckets_that_it_has(void **state)
{
	struct rate_limiter r = limiter(bucket(100, 100, 0), bucket(10, 100, 0));
	const struct rate_limiter_config bandwidth = limits(bucket(200, 100, 50), none);
	const struct rate_limiter_config ops = limits(none, bucket(1, 1000, 0));
	const struct rate_limiter_config off = limits(bucket(0, 0, 0), none);

	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(rate_limiter_take(&r, 10, START), 0);
	rate_limiter_update(&r, &bandwidth, START);
	assert_int_equal(rate_limiter_take(&r, 250, START), 0); /* full again */
	assert_int_equal(rate_limiter_take(&r, OP, START), 10 * MS); /* as before */
	rate_limiter_update(&r, &ops, START);
	assert_int_equal(rate_limiter_take(&r, OP, START), 0);
	assert_int_equal(rate_limiter_take(&r, OP, START), 1000 * MS);
	assert_int_equal(rate_limiter_take(&r, 200, START + 1000 * MS), 0);
	rate_limiter_update(&r, &off, START + 1000 * MS);
	assert_int_equal(rate_limiter_take(&r, 1 << 30, START + 2000 * MS), 0);
	assert_int_equal(rate_limiter_take(&r, 1 << 30, START + 2000 * MS), 1000 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_limits_without_buckets),
		cmocka_unit_test(operations_wait_for_their_tokens),
		cmocka_unit_test(bytes_wait_for_their_tokens),
		cmocka_unit_test(a_bucket_does_not_hold_more_than_its_size),
		cmocka_unit_test(waiting_charges_nothing),
		cmocka_unit_test(the_burst_is_spent_once_and_first),
		cmocka_unit_test(a_burst_that_was_not_asked_for_is_none),
		cmocka_unit_test(a_large_operation_overdraws_a_full_bucket),
		cmocka_unit_test(the_rate_is_exact_over_a_long_time),
		cmocka_unit_test(the_wait_is_exact),
		cmocka_unit_test(numbers_at_their_limits_do_not_wrap),
		cmocka_unit_test(an_update_replaces_the_buckets_that_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
