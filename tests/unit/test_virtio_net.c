/* SPDX-License-Identifier: Apache-2.0 */
/* The network device: what it offers, faults, resets. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/fake/net_world.h"
#include "vmm/lib/log.h"

#define BIT(n) (UINT64_C(1) << (n))

static const struct net_setup defaults = { .has_mac = true, .mac = { 2 } };

static void begin(struct net_world *w, const struct net_setup *s, unsigned size)
{
	net_world_init(w, s, NULL);
	net_world_start(w, 0, 2, size);
}

/* ---- what is offered ------------------------------------------------------------- */

static void features_are_what_the_tap_takes(void **state)
{
	const uint64_t always = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
				BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_F_VERSION_1) |
				BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC);
	const uint64_t csum = BIT(0) | BIT(1), tso4 = BIT(11) | BIT(7), tso6 = BIT(12) | BIT(8);
	const uint64_t ecn = BIT(13) | BIT(9), uso = BIT(54) | BIT(55) | BIT(56);
	const struct {
		struct tap tap;
		uint16_t mtu;
		uint64_t expect;
	} cases[] = {
		{ { .n_queues = 1 }, 0, 0 },
		{ { .n_queues = 1 }, 1400, BIT(VIRTIO_NET_F_MTU) },
		{ { .n_queues = 2 }, 0, BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ) },
		{ { .n_queues = 1, .offload_csum = 1 }, 0, csum },
		{ { .n_queues = 1, .offload_csum = 1, .offload_tso4 = 1 },
		  0,
		  csum | tso4 | ecn },
		{ { .n_queues = 1, .offload_csum = 1, .offload_tso6 = 1, .offload_uso = 1 },
		  0,
		  csum | tso6 | ecn | uso },
		/* All others need checksums. */
		{ { .n_queues = 1, .offload_tso4 = 1, .offload_tso6 = 1, .offload_uso = 1 },
		  0,
		  0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_setup s = defaults;
		struct net_world w;

		s.tap = calloc(1, sizeof(*s.tap));
		assert_non_null(s.tap);
		*s.tap = cases[i].tap;
		for (unsigned q = 0; q < s.tap->n_queues; q++)
			s.tap->fds[q] = -1;
		s.mtu = cases[i].mtu;
		net_world_init(&w, &s, NULL);
		assert_true(w.dev->offered == (always | cases[i].expect));
		assert_int_equal(w.dev->n_queues,
				 cases[i].tap.n_queues > 1 ? 2 * cases[i].tap.n_queues + 1 : 2);
		net_world_end(&w);
	}
}

static void the_configuration_tells_address_link_and_mtu(void **state)
{
	const struct net_setup s = {
		.has_mac = true,
		.mac = { 2, 1, 2, 3, 4, 0xfe },
		.mtu = 9000,
	};
	struct virtio_net_config c;
	struct net_world w;

	net_world_init(&w, &s, NULL);
	assert_int_equal(w.dev->config_len, 12);
	memcpy(&c, w.dev->config, w.dev->config_len);
	assert_memory_equal(c.mac, s.mac, 6);
	assert_int_equal(c.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(c.max_virtqueue_pairs, 1);
	assert_int_equal(c.mtu, 9000);
	net_world_end(&w);
}

static void without_an_address_each_device_has_a_local_one(void **state)
{
	static const struct net_setup none;
	struct net_world w[2];

	for (unsigned i = 0; i < 2; i++) {
		net_world_init(&w[i], &none, NULL);
		assert_int_equal(w[i].dev->config[0] & 3, 2);
	}
	assert_memory_not_equal(w[0].dev->config, w[1].dev->config, 6);
	net_world_end(&w[0]);
	net_world_end(&w[1]);
}

/* ---- a driver that breaks the rules ---------------------------------------------- */

static void a_buffer_shorter_than_the_header_is_a_fault(void **state)
{
	static const struct {
		unsigned q;
		struct vring_seg segs[2];
		bool fault;
	} cases[] = {
		{ NET_WORLD_RX, { { NET_WORLD_BUFFERS, NET_WORLD_HEADER - 1, true } }, true },
		{ NET_WORLD_RX, { { NET_WORLD_BUFFERS, NET_WORLD_HEADER, true } }, false },
		{ NET_WORLD_RX, { { NET_WORLD_BUFFERS, 100, false } }, true },
		{ NET_WORLD_RX,
		  { { NET_WORLD_BUFFERS, 100, false }, { 0x1000, 5, true } },
		  true },
		{ NET_WORLD_TX, { { NET_WORLD_BUFFERS, NET_WORLD_HEADER - 1, false } }, true },
		{ NET_WORLD_TX, { { NET_WORLD_BUFFERS, NET_WORLD_HEADER, false } }, false },
		{ NET_WORLD_TX, { { NET_WORLD_BUFFERS, 100, true } }, true },
		{ NET_WORLD_TX,
		  { { NET_WORLD_BUFFERS, 5, false }, { 0x1000, 100, true } },
		  true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_world w;
		unsigned n = cases[i].segs[1].len ? 2 : 1;

		begin(&w, &defaults, 16);
		assert_true(vring_add(&w.queues[cases[i].q], cases[i].segs, n) >= 0);
		(void)net_world_kick(&w, cases[i].q);
		net_world_settle(&w);
		assert_int_equal(w.dev->run, cases[i].fault ? VIRTIO_FAULTED : VIRTIO_RUNNING);
		/* Works again afterwards. */
		net_world_reset(&w);
		net_world_start(&w, 0, 2, 16);
		net_world_guest_sends(&w, 1, 60, 4096);
		(void)net_world_kick(&w, NET_WORLD_TX);
		net_world_settle(&w);
		assert_int_equal(net_world_guest_reaps(&w), 1);
		net_world_end(&w);
	}
}

static void a_broken_ring_is_a_fault(void **state)
{
	for (unsigned q = 0; q < 2; q++) {
		struct net_world w;

		begin(&w, &defaults, 16);
		net_world_settle(&w);
		vring_make_available(&w.queues[q], 16);
		(void)net_world_kick(&w, q);
		net_world_settle(&w);
		assert_int_equal(w.dev->run, VIRTIO_FAULTED);
		assert_int_equal(w.dev->counts.faults, 1);
		net_world_end(&w);
	}
}

/* ---- the end --------------------------------------------------------------------- */

static void a_reset_ends_all_and_the_next_driver_starts_afresh(void **state)
{
	static const uint64_t features[] = { BIT(VIRTIO_NET_F_MRG_RXBUF), 0,
					     BIT(VIRTIO_RING_F_EVENT_IDX),
					     BIT(VIRTIO_NET_F_MRG_RXBUF) };
	struct net_world w;

	net_world_init(&w, &defaults, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
		net_world_start(&w, features[i], 2, 64);
		net_world_guest_offers(&w, 64);
		if (i % 2)
			net_world_settle(&w);
		for (unsigned k = 0; k < 4; k++)
			net_world_host_sends(&w, 0, 100);
		net_world_guest_sends(&w, i, 100, 40);
		(void)net_world_kick(&w, NET_WORLD_TX);
		net_world_settle(&w);
		assert_int_equal(net_world_guest_gets(&w), 4);
		assert_int_equal(net_world_guest_reaps(&w), 1);
		assert_int_equal(net_world_host_gets(&w, i), 100);
		/* In the middle of more. */
		net_world_host_sends(&w, 0, 200);
		net_world_guest_sends(&w, i + 1, 100, 40);
		(void)net_world_kick(&w, NET_WORLD_TX);
		net_world_reset(&w);
		while (recv(w.host, &(char){ 0 }, 1, 0) >= 0)
			;
		net_world_start(&w, 0, 2, 64);
		net_world_guest_offers(&w, 1);
		net_world_settle(&w);
		net_world_reset(&w);
	}
	net_world_end(&w);
}

static void a_reset_in_the_turn_of_the_start_is_one(void **state)
{
	struct net_world w;

	net_world_init(&w, &defaults, NULL);
	net_world_start(&w, 0, 2, 16);
	virtio_reset(w.dev);
	/* The device is still in the loop's list for the end of the turn. */
	assert_int_equal(w.dev->run, VIRTIO_STOPPING);
	net_world_turn(&w);
	assert_int_equal(w.dev->run, VIRTIO_IDLE);
	net_world_end(&w);
}

static void what_waits_for_the_network_does_not_hold_up_a_reset(void **state)
{
	struct net_world w;

	begin(&w, &defaults, 64);
	net_world_narrow(&w);
	for (unsigned i = 0; i < 64; i++)
		net_world_guest_sends(&w, i, 100, 4096);
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	assert_in_range(virtio_net_counts(w.net).tx_packets, 1, 20);
	net_world_end(&w);
}

static void a_monitor_that_ends_leaves_nothing_behind(void **state)
{
	struct net_world w;

	begin(&w, &defaults, 64);
	net_world_narrow(&w);
	net_world_guest_offers(&w, 64);
	for (unsigned i = 0; i < 64; i++)
		net_world_guest_sends(&w, i, 100, 4096);
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	net_world_crash(&w);
}

static void a_fault_with_packets_in_flight_waits_for_the_reset(void **state)
{
	struct net_world w;

	begin(&w, &defaults, 16);
	net_world_guest_offers(&w, 8);
	net_world_settle(&w);
	vring_make_available(&w.queues[NET_WORLD_TX], 99);
	(void)net_world_kick(&w, NET_WORLD_TX);
	assert_int_equal(w.dev->run, VIRTIO_FAULTED);
	net_world_host_sends(&w, 0, 100);
	net_world_settle(&w);
	assert_int_equal(net_world_guest_gets(&w), 0);
	net_world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(features_are_what_the_tap_takes),
		cmocka_unit_test(the_configuration_tells_address_link_and_mtu),
		cmocka_unit_test(without_an_address_each_device_has_a_local_one),
		cmocka_unit_test(a_buffer_shorter_than_the_header_is_a_fault),
		cmocka_unit_test(a_broken_ring_is_a_fault),
		cmocka_unit_test(a_reset_ends_all_and_the_next_driver_starts_afresh),
		cmocka_unit_test(a_reset_in_the_turn_of_the_start_is_one),
		cmocka_unit_test(what_waits_for_the_network_does_not_hold_up_a_reset),
		cmocka_unit_test(a_monitor_that_ends_leaves_nothing_behind),
		cmocka_unit_test(a_fault_with_packets_in_flight_waits_for_the_reset),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
