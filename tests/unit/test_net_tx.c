/* SPDX-License-Identifier: Apache-2.0 */
/* Packets from a driver that is played here to the network; limits of both directions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/fake/net_world.h"
#include "vmm/lib/log.h"

static const struct net_setup defaults = { .has_mac = true, .mac = { 2 } };

static void begin(struct net_world *w, const struct net_setup *s, unsigned size)
{
	net_world_init(w, s, NULL);
	net_world_start(w, 0, 2, size);
}

static void packets_reach_the_network_whole_and_in_order(void **state)
{
	static const struct {
		uint32_t len, segment;
	} cases[] = {
		{ 60, 4096 }, { 60, 12 },     { 60, 1 },
		{ 1514, 10 }, { 9014, 4096 }, { NET_WORLD_PACKET, 4096 },
		{ 1, 64 },    { 1514, 1000 },
	};
	struct net_world w;

	begin(&w, &defaults, 256);
	net_world_settle(&w);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i += 2) {
		net_world_guest_sends(&w, i, cases[i].len, cases[i].segment);
		net_world_guest_sends(&w, i + 1, cases[i + 1].len, cases[i + 1].segment);
		assert_true(net_world_kick(&w, NET_WORLD_TX));
		net_world_settle(&w);
		assert_int_equal(net_world_host_gets(&w, i), cases[i].len);
		assert_int_equal(net_world_host_gets(&w, i + 1), cases[i + 1].len);
		assert_int_equal(net_world_guest_reaps(&w), 2);
	}
	assert_int_equal(net_world_host_gets(&w, 0), -EAGAIN);
	assert_int_equal(virtio_net_counts(w.net).tx_packets, ARRAY_SIZE(cases));
	assert_int_equal(virtio_net_counts(w.net).tx_bytes,
			 60 * 3 + 1514 * 2 + 9014 + NET_WORLD_PACKET + 1);
	assert_int_equal(virtio_net_counts(w.net).tx_errors, 0);
	assert_int_equal(virtio_net_counts(w.net).write_latency.n, ARRAY_SIZE(cases));
	net_world_end(&w);
}

/* Unlike a socket, a tap makes nobody wait while the host has memory. */
static void a_slow_network_makes_packets_wait_and_loses_none(void **state)
{
	struct net_world w;
	unsigned got = 0;
	bool seen[256] = { false };

	begin(&w, &defaults, 64);
	net_world_narrow(&w);
	for (unsigned i = 0; i < 64; i++)
		net_world_guest_sends(&w, i, 100, 4096);
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	assert_in_range(virtio_net_counts(w.net).tx_packets, 1, 20);
	for (unsigned tries = 0; got < 64 && tries < 1000; tries++) {
		uint8_t bytes[256];

		while (recv(w.host, bytes, sizeof(bytes), 0) == NET_WORLD_HEADER + 100) {
			/* Its first byte tells which one it is. */
			assert_false(seen[bytes[NET_WORLD_HEADER]]);
			seen[bytes[NET_WORLD_HEADER]] = true;
			got++;
		}
		net_world_run(&w, 1);
	}
	for (unsigned i = 0; i < 64; i++)
		assert_true(seen[net_world_byte(i, 0)]);
	assert_int_equal(virtio_net_counts(w.net).tx_packets, 64);
	assert_int_equal(net_world_guest_reaps(&w), 64);
	net_world_end(&w);
}

static void a_driver_is_not_asked_to_notify_while_there_is_work(void **state)
{
	struct net_world w;

	begin(&w, &defaults, 64);
	net_world_settle(&w);
	net_world_guest_sends(&w, 0, 100, 4096);
	assert_true(net_world_kick(&w, NET_WORLD_TX));
	net_world_guest_sends(&w, 1, 100, 4096);
	assert_false(net_world_kick(&w, NET_WORLD_TX));
	net_world_settle(&w);
	assert_int_equal(virtio_net_counts(w.net).tx_packets, 2);
	net_world_guest_sends(&w, 2, 100, 4096);
	assert_true(net_world_kick(&w, NET_WORLD_TX));
	net_world_settle(&w);
	assert_int_equal(virtio_net_counts(w.net).tx_packets, 3);
	net_world_end(&w);
}

static void packets_that_nobody_can_take_are_dropped_and_counted(void **state)
{
	struct net_world w;

	begin(&w, &defaults, 64);
	net_world_guest_sends(&w, 0, NET_WORLD_PACKET + 1, 4096);
	net_world_guest_sends(&w, 1, 60, 4096);
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	assert_int_equal(net_world_host_gets(&w, 1), 60);
	assert_int_equal(net_world_guest_reaps(&w), 2);
	assert_int_equal(virtio_net_counts(w.net).tx_errors, 1);
	/* Only such ones: no write of ours is under way. */
	net_world_guest_sends(&w, 2, NET_WORLD_PACKET + 1, 4096);
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	net_world_guest_sends(&w, 3, 60, 4096);
	assert_true(net_world_kick(&w, NET_WORLD_TX));
	net_world_settle(&w);
	assert_int_equal(net_world_host_gets(&w, 3), 60);
	assert_int_equal(net_world_guest_reaps(&w), 2);
	/* Nobody is there any more. */
	(void)close(w.host);
	w.host = -1;
	net_world_guest_sends(&w, 4, 60, 4096);
	net_world_guest_sends(&w, 5, 60, 4096);
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	assert_int_equal(net_world_guest_reaps(&w), 2);
	assert_int_equal(virtio_net_counts(w.net).tx_errors, 4);
	assert_int_equal(virtio_net_counts(w.net).tx_packets, 2);
	net_world_end(&w);
}

/* ---- limits ---------------------------------------------------------------------- */

#define REFILL_MS 300

/* So many operations, or bytes, at once; all of them again after REFILL_MS. */
static struct rate_limiter_config limit(uint64_t ops, uint64_t bytes)
{
	struct rate_limiter_config c = { .present = true };

	if (ops)
		c.ops = (struct token_bucket_config){ .present = true,
						      .size = ops,
						      .refill_time_ms = REFILL_MS };
	if (bytes)
		c.bandwidth = (struct token_bucket_config){ .present = true,
							    .size = bytes,
							    .refill_time_ms = REFILL_MS };
	return c;
}

static void packets_beyond_the_limit_wait_and_are_not_lost(void **state)
{
	static const struct {
		uint64_t ops, bytes;
	} cases[] = { { 4, 0 }, { 0, 400 }, { 4, 4000 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct rate_limiter_config l = limit(cases[i].ops, cases[i].bytes);
		struct net_setup s = defaults;
		struct net_world w;
		unsigned rx, tx;

		s.rx_limit = s.tx_limit = &l;
		begin(&w, &s, 64);
		net_world_guest_offers(&w, 64);
		for (unsigned k = 0; k < 8; k++) {
			net_world_host_sends(&w, 0, 100);
			net_world_guest_sends(&w, k, 100, 4096);
		}
		(void)net_world_kick(&w, NET_WORLD_TX);
		net_world_settle(&w);
		rx = net_world_guest_gets(&w);
		tx = net_world_guest_reaps(&w);
		/* Slow machines gain a token meanwhile. */
		assert_in_range(rx, 4, 7);
		assert_in_range(tx, 4, 7);
		assert_true(virtio_net_counts(w.net).rx_throttled > 0);
		assert_true(virtio_net_counts(w.net).tx_throttled > 0);
		net_world_run(&w, 2 * REFILL_MS);
		assert_int_equal(rx + net_world_guest_gets(&w), 8);
		assert_int_equal(tx + net_world_guest_reaps(&w), 8);
		for (unsigned k = 0; k < 8; k++)
			assert_int_equal(net_world_host_gets(&w, k), 100);
		net_world_end(&w);
	}
}

static void a_new_limit_holds_at_once(void **state)
{
	struct rate_limiter_config l = limit(1, 0);
	struct net_setup s = defaults;
	struct net_world w;

	l.ops.refill_time_ms = 3600 * 1000;
	s.rx_limit = s.tx_limit = &l;
	begin(&w, &s, 64);
	net_world_guest_offers(&w, 64);
	for (unsigned k = 0; k < 8; k++) {
		net_world_host_sends(&w, 0, 100);
		net_world_guest_sends(&w, k, 100, 4096);
	}
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	assert_int_equal(net_world_guest_gets(&w), 1);
	assert_int_equal(net_world_guest_reaps(&w), 1);
	l = limit(1000, 0);
	virtio_net_set_limits(w.net, &l, &l);
	net_world_settle(&w);
	assert_int_equal(net_world_guest_gets(&w), 7);
	assert_int_equal(net_world_guest_reaps(&w), 7);
	net_world_end(&w);
}

static void a_throttled_device_can_be_reset(void **state)
{
	struct rate_limiter_config l = limit(1, 0);
	struct net_setup s = defaults;
	struct net_world w;

	l.ops.refill_time_ms = 3600 * 1000;
	s.rx_limit = s.tx_limit = &l;
	begin(&w, &s, 64);
	net_world_guest_offers(&w, 64);
	for (unsigned k = 0; k < 8; k++) {
		net_world_host_sends(&w, 0, 100);
		net_world_guest_sends(&w, k, 100, 4096);
	}
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	net_world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_reach_the_network_whole_and_in_order),
		cmocka_unit_test(a_slow_network_makes_packets_wait_and_loses_none),
		cmocka_unit_test(a_driver_is_not_asked_to_notify_while_there_is_work),
		cmocka_unit_test(packets_that_nobody_can_take_are_dropped_and_counted),
		cmocka_unit_test(packets_beyond_the_limit_wait_and_are_not_lost),
		cmocka_unit_test(a_new_limit_holds_at_once),
		cmocka_unit_test(a_throttled_device_can_be_reset),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
