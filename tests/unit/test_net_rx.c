/* SPDX-License-Identifier: Apache-2.0 */
/* Packets from a host that is played here to a driver that is played here. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/fake/net_world.h"
#include "vmm/lib/log.h"

#define BIT(n) (UINT64_C(1) << (n))
#define MERGEABLE BIT(VIRTIO_NET_F_MRG_RXBUF)
#define HEADER NET_WORLD_HEADER
#define PACKET_MAX NET_WORLD_PACKET
#define RX NET_WORLD_RX

static const struct net_setup defaults = { .has_mac = true, .mac = { 2 } };

/* The address of buffer `i` of `bytes`. */
static uint64_t buffer_at(unsigned i, uint32_t bytes)
{
	return NET_WORLD_BUFFERS + i * (uint64_t)bytes;
}

/* Make `n` buffers available, each of one segment; heads are their numbers. */
static void add_buffers(struct net_world *w, unsigned first, unsigned n, uint32_t bytes)
{
	for (unsigned i = first; i < first + n; i++) {
		const struct vring_seg seg = { buffer_at(i, bytes), bytes, true };

		memset(w->ram.bytes + seg.at, 0xee, bytes);
		assert_true(vring_add(&w->queues[RX], &seg, 1) >= 0);
	}
}

/* Where the used element's buffer is: its only descriptor says. */
static uint8_t *buffer_of(struct net_world *w, uint32_t head)
{
	return w->ram.bytes + w->queues[RX].desc[head].addr;
}

/* The driver gets a packet: its length after the header, 0 when there is none. */
static size_t guest_gets(struct net_world *w, uint8_t *bytes)
{
	struct vring_driver *v = &w->queues[RX];
	struct virtio_net_hdr_v1 h;
	uint32_t head, written;
	size_t len = 0;

	if (!vring_reap(v, &head, &written))
		return 0;
	assert_in_range(written, HEADER, PACKET_MAX);
	memcpy(&h, buffer_of(w, head), sizeof(h));
	assert_int_not_equal(h.num_buffers, 0);
	memcpy(bytes, buffer_of(w, head), written);
	len = written;
	for (unsigned i = 1; i < h.num_buffers; i++) {
		assert_true(vring_reap(v, &head, &written));
		assert_in_range(len + written, 1, PACKET_MAX + HEADER);
		memcpy(bytes + len, buffer_of(w, head), written);
		len += written;
	}
	return len - HEADER;
}

static void expect_packet(struct net_world *w, unsigned packet, size_t len)
{
	static uint8_t bytes[HEADER + PACKET_MAX];

	assert_int_equal(guest_gets(w, bytes), len);
	for (size_t i = 0; i < len; i++)
		if (bytes[HEADER + i] != net_world_byte(packet, i))
			fail_msg("packet %u differs at byte %zu", packet, i);
}

static void expect_none(struct net_world *w)
{
	uint32_t head, written;

	assert_false(vring_reap(&w->queues[RX], &head, &written));
}

static void begin(struct net_world *w, uint64_t features, unsigned size)
{
	net_world_init(w, &defaults, NULL);
	net_world_start(w, features, 2, size);
}

/* ---- buffers --------------------------------------------------------------------- */

static void a_packet_takes_as_many_mergeable_buffers_as_it_fills(void **state)
{
	static const struct {
		uint32_t buffer;
		size_t len;
		unsigned used;
	} cases[] = {
		{ 2048, 60, 1 },    { 2048, 2036, 1 },	    { 2048, 2037, 2 },
		{ 2048, 9000, 5 },  { 64, 52, 1 },	    { 64, 53, 2 },
		{ 64, 52 + 64, 2 }, { 64, 52 + 64 + 1, 3 }, { 12, 14, 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_world w;

		begin(&w, MERGEABLE, 256);
		add_buffers(&w, 0, 256, cases[i].buffer);
		(void)net_world_kick(&w, RX);
		net_world_settle(&w);
		net_world_host_sends(&w, 1, cases[i].len);
		net_world_host_sends(&w, 2, cases[i].len);
		/* What is left of the smallest ones is used after a while only. */
		net_world_run(&w, cases[i].buffer < 64 ? 100 : 1);
		expect_packet(&w, 1, cases[i].len);
		assert_int_equal(w.queues[RX].n_free, cases[i].used);
		expect_packet(&w, 2, cases[i].len);
		assert_int_equal(w.queues[RX].n_free, 2 * cases[i].used);
		expect_none(&w);
		assert_int_equal(virtio_net_counts(w.net).rx_packets, 2);
		assert_int_equal(virtio_net_counts(w.net).rx_bytes, 2 * cases[i].len);
		assert_int_equal(virtio_net_counts(w.net).rx_errors, 0);
		net_world_end(&w);
	}
}

static void without_mergeable_buffers_a_packet_fits_in_one_or_is_dropped(void **state)
{
	static const size_t fits[] = { 60, 1500, 1518 }, not [] = { 1519, 9000, 65000 };
	struct net_world w;

	begin(&w, 0, 64);
	add_buffers(&w, 0, 64, HEADER + 1518);
	(void)net_world_kick(&w, RX);
	for (unsigned i = 0; i < ARRAY_SIZE(fits); i++) {
		net_world_host_sends(&w, 100 + i, not [i]);
		net_world_host_sends(&w, i, fits[i]);
	}
	net_world_settle(&w);
	for (unsigned i = 0; i < ARRAY_SIZE(fits); i++)
		expect_packet(&w, i, fits[i]);
	expect_none(&w);
	assert_int_equal(w.queues[RX].n_free, ARRAY_SIZE(fits));
	assert_int_equal(virtio_net_counts(w.net).rx_errors, ARRAY_SIZE(not ));
	net_world_end(&w);
}

static void segments_of_any_size_hold_header_and_packet(void **state)
{
	/* The last bytes of the header lie in segments of their own. */
	static const uint32_t sizes[] = { 1, 5, 4, 1, 1, 3, 100 };
	struct vring_seg segs[ARRAY_SIZE(sizes)];
	uint32_t head, written;
	struct net_world w;
	uint8_t got[128];
	size_t n = 0;

	begin(&w, MERGEABLE, 16);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		segs[i] = (struct vring_seg){ NET_WORLD_BUFFERS + i * 4096, sizes[i], true };
	assert_int_equal(vring_add(&w.queues[RX], segs, ARRAY_SIZE(sizes)), 0);
	(void)net_world_kick(&w, RX);
	net_world_host_sends(&w, 7, 80);
	net_world_run(&w, 80);
	assert_true(vring_reap(&w.queues[RX], &head, &written));
	assert_int_equal(written, HEADER + 80);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned k = 0; k < sizes[i]; k++)
			got[n++] = w.ram.bytes[segs[i].at + k];
	assert_int_equal(got[10], 1);
	assert_int_equal(got[11], 0);
	for (size_t i = 0; i < 80; i++)
		assert_int_equal(got[HEADER + i], net_world_byte(7, i));
	net_world_end(&w);
}

#define SEGS 20u

static void indirect_chains_are_buffers_too(void **state)
{
	struct net_world w;
	struct vring_seg segs[SEGS];

	begin(&w, BIT(VIRTIO_RING_F_INDIRECT_DESC), 32);
	for (unsigned i = 0; i < 16; i++) {
		for (unsigned k = 0; k < SEGS; k++)
			segs[k] =
				(struct vring_seg){ buffer_at(i * SEGS + k, 4096), 4096, true };
		assert_true(vring_add_indirect(&w.queues[RX], segs, SEGS, 8 * MIB + i * 512) >=
			    0);
	}
	(void)net_world_kick(&w, RX);
	for (unsigned round = 0; round < 8; round++) {
		net_world_host_sends(&w, 2 * round, 65550);
		net_world_host_sends(&w, 2 * round + 1, 1000);
		net_world_settle(&w);
	}
	assert_int_equal(virtio_net_counts(w.net).rx_packets, 16);
	for (unsigned i = 0; i < 16; i++) {
		uint32_t head, written, len = i % 2 ? 1000 : 65550;
		const uint8_t *at;

		assert_true(vring_reap(&w.queues[RX], &head, &written));
		at = w.ram.bytes + buffer_at(head * SEGS, 4096);
		assert_int_equal(written, HEADER + len);
		for (uint32_t k = 0; k < len; k++)
			assert_int_equal(at[HEADER + k], net_world_byte(i, k));
	}
	net_world_end(&w);
}

/* ---- a driver with few buffers --------------------------------------------------- */

static void a_ring_that_runs_empty_stops_reading_until_it_is_filled(void **state)
{
	static const uint64_t features[] = { 0, BIT(VIRTIO_RING_F_EVENT_IDX) };

	for (size_t k = 0; k < ARRAY_SIZE(features); k++) {
		struct net_world w;
		unsigned sent = 0, got = 0, stalls;

		begin(&w, features[k], 4);
		net_world_settle(&w);
		stalls = (unsigned)virtio_net_counts(w.net).rx_stalls;
		assert_int_equal(stalls, 1);
		for (unsigned round = 0; round < 5; round++) {
			add_buffers(&w, 0, 4, 2048);
			assert_true(net_world_kick(&w, RX));
			for (unsigned i = 0; i < 8 && sent < 20; i++)
				net_world_host_sends(&w, sent++, 100);
			net_world_settle(&w);
			for (unsigned i = 0; i < 4; i++)
				expect_packet(&w, got++, 100);
			expect_none(&w);
			assert_int_equal(virtio_net_counts(w.net).rx_stalls, ++stalls);
		}
		assert_int_equal(got, 20);
		net_world_end(&w);
	}
}

static void buffers_that_come_while_there_are_some_need_no_notification(void **state)
{
	static const uint64_t features[] = { 0, BIT(VIRTIO_RING_F_EVENT_IDX) };

	for (size_t k = 0; k < ARRAY_SIZE(features); k++) {
		struct net_world w;

		begin(&w, features[k], 8);
		add_buffers(&w, 0, 4, 2048);
		(void)net_world_kick(&w, RX);
		net_world_settle(&w);
		add_buffers(&w, 4, 4, 2048);
		assert_false(net_world_kick(&w, RX));
		for (unsigned i = 0; i < 8; i++)
			net_world_host_sends(&w, i, 100);
		net_world_settle(&w);
		for (unsigned i = 0; i < 8; i++)
			expect_packet(&w, i, 100);
		net_world_end(&w);
	}
}

/* All descriptors are in use: waiting for more would be for ever. */
static void a_small_ring_gets_packets_that_fit_at_once(void **state)
{
	struct net_world w;

	begin(&w, MERGEABLE | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4), 4);
	add_buffers(&w, 0, 4, 1024);
	(void)net_world_kick(&w, RX);
	net_world_host_sends(&w, 1, 4096); /* too long by a header */
	net_world_host_sends(&w, 2, 4096 - HEADER);
	net_world_settle(&w);
	expect_packet(&w, 2, 4096 - HEADER);
	assert_int_equal(virtio_net_counts(w.net).rx_errors, 1);
	net_world_end(&w);
}

/* Make a buffer of each free descriptor. */
static void fill(struct net_world *w, uint32_t bytes)
{
	while (w->queues[RX].n_free > 0)
		add_buffers(w, w->queues[RX].free, 1, bytes);
	(void)net_world_kick(w, RX);
}

/* There is room for one and a half: half a room is not for a read. */
static void a_read_has_room_for_the_longest_packet_while_another_one_runs(void **state)
{
	struct net_world w;

	begin(&w, MERGEABLE, 256);
	for (unsigned i = 0; i < 8; i++) {
		fill(&w, 55);
		net_world_settle(&w);
		net_world_host_sends(&w, 2 * i, i < 4 ? 40 : 9000);
		net_world_host_sends(&w, 2 * i + 1, i < 4 ? 40 : 9000);
		for (unsigned k = 0; k < 2; k++) {
			net_world_settle(&w);
			expect_packet(&w, 2 * i + k, i < 4 ? 40 : 9000);
			fill(&w, 55);
		}
	}
	assert_int_equal(virtio_net_counts(w.net).rx_errors, 0);
	net_world_end(&w);
}

/* The driver could make more available, but does not. */
static void few_buffers_in_a_large_ring_are_used_after_a_while(void **state)
{
	struct net_world w;
	uint64_t start = clock_ms();

	begin(&w, MERGEABLE, 256);
	add_buffers(&w, 0, 3, 1024);
	(void)net_world_kick(&w, RX);
	net_world_host_sends(&w, 1, 1500);
	while (virtio_net_counts(w.net).rx_packets == 0)
		net_world_run(&w, 1);
	assert_true(clock_ms() - start >= 50);
	expect_packet(&w, 1, 1500);
	/* One buffer is left, and enough others come. */
	add_buffers(&w, 3, 100, 1024);
	(void)net_world_kick(&w, RX);
	/* The short read that waits is taken back, for which the kernel may take its time. */
	net_world_run(&w, 20);
	net_world_host_sends(&w, 2, 9000);
	while (virtio_net_counts(w.net).rx_packets == 1)
		net_world_run(&w, 1);
	expect_packet(&w, 2, 9000);
	net_world_end(&w);
}

/* The room for a packet grows when one did not fit, and the next one does. */
static void longer_packets_than_expected_are_learned_from(void **state)
{
	struct net_world w;

	begin(&w, MERGEABLE, 256);
	add_buffers(&w, 0, 256, 1024);
	(void)net_world_kick(&w, RX);
	for (unsigned i = 0; i < 4; i++) {
		net_world_host_sends(&w, i, 65000);
		net_world_settle(&w);
	}
	expect_packet(&w, 3, 65000);
	expect_none(&w);
	assert_int_equal(virtio_net_counts(w.net).rx_errors, 3);
	net_world_end(&w);
}

/* Each chain alone uses up the device's room for segments. */
static void chains_of_very_many_segments_are_used(void **state)
{
	struct net_world w;
	struct vring_seg segs[256];

	begin(&w, MERGEABLE | BIT(VIRTIO_RING_F_INDIRECT_DESC), 256);
	for (unsigned i = 0; i < 16; i++) {
		for (unsigned k = 0; k < ARRAY_SIZE(segs); k++)
			segs[k] = (struct vring_seg){ buffer_at(i * 256 + k, 8), 8, true };
		assert_true(vring_add_indirect(&w.queues[RX], segs, 256, 8 * MIB + i * 4096) >=
			    0);
	}
	(void)net_world_kick(&w, RX);
	for (unsigned i = 0; i < 8; i++) {
		net_world_host_sends(&w, i, 2000);
		net_world_settle(&w);
	}
	assert_int_equal(virtio_net_counts(w.net).rx_packets, 8);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t head, written;

		assert_true(vring_reap(&w.queues[RX], &head, &written));
		assert_int_equal(written, HEADER + 2000);
	}
	net_world_end(&w);
}

/* ---- many packets ---------------------------------------------------------------- */

static void packets_keep_their_order_and_are_read_several_at_a_time(void **state)
{
	struct net_world w;
	unsigned sent = 0, got = 0;
	uint64_t enters;

	begin(&w, MERGEABLE, 256);
	add_buffers(&w, 0, 256, 1024);
	(void)net_world_kick(&w, RX);
	net_world_settle(&w);
	enters = loop_stats(w.loop).enters;
	for (unsigned round = 0; round < 20; round++) {
		/* The socket holds no more than this. */
		for (unsigned i = 0; i < 10; i++)
			net_world_host_sends(&w, sent++, 200);
		for (unsigned i = 0; i < 4; i++)
			net_world_turn(&w);
	}
	while (got < sent)
		expect_packet(&w, got++, 200);
	assert_true(loop_stats(w.loop).enters - enters < sent);
	assert_in_range(w.pulses, 1, sent / 2);
	net_world_end(&w);
}

static void interrupts_come_only_when_the_driver_wants_them(void **state)
{
	struct net_world w;

	begin(&w, 0, 16);
	add_buffers(&w, 0, 16, 2048);
	(void)net_world_kick(&w, RX);
	vring_want_interrupt(&w.queues[RX], false);
	net_world_host_sends(&w, 0, 100);
	net_world_settle(&w);
	expect_packet(&w, 0, 100);
	assert_int_equal(w.pulses, 0);
	vring_want_interrupt(&w.queues[RX], true);
	net_world_host_sends(&w, 1, 100);
	net_world_settle(&w);
	expect_packet(&w, 1, 100);
	assert_int_equal(w.pulses, 1);
	net_world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_takes_as_many_mergeable_buffers_as_it_fills),
		cmocka_unit_test(without_mergeable_buffers_a_packet_fits_in_one_or_is_dropped),
		cmocka_unit_test(segments_of_any_size_hold_header_and_packet),
		cmocka_unit_test(indirect_chains_are_buffers_too),
		cmocka_unit_test(a_ring_that_runs_empty_stops_reading_until_it_is_filled),
		cmocka_unit_test(buffers_that_come_while_there_are_some_need_no_notification),
		cmocka_unit_test(a_small_ring_gets_packets_that_fit_at_once),
		cmocka_unit_test(a_read_has_room_for_the_longest_packet_while_another_one_runs),
		cmocka_unit_test(few_buffers_in_a_large_ring_are_used_after_a_while),
		cmocka_unit_test(longer_packets_than_expected_are_learned_from),
		cmocka_unit_test(chains_of_very_many_segments_are_used),
		cmocka_unit_test(packets_keep_their_order_and_are_read_several_at_a_time),
		cmocka_unit_test(interrupts_come_only_when_the_driver_wants_them),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
