/* SPDX-License-Identifier: Apache-2.0 */
/* The control queue, and several queue pairs, on sockets in place of a multi-queue tap. */
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
#define MULTI (BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ))
#define PAIRS 3
#define CTRL (2 * PAIRS)
#define COMMAND (3 * MIB)
#define ANSWER (4 * MIB)
#define SIZE 64

/* ---- the tap --------------------------------------------------------------------- */

static struct {
	unsigned attached; /* the last request; 0: none yet */
	int rc; /* its result */
} tap;

int __wrap_tap_set_queues(struct tap *t, unsigned active);

int __wrap_tap_set_queues(struct tap *t, unsigned active)
{
	assert_in_range(active, 1, t->n_queues);
	if (tap.rc == 0)
		tap.attached = active;
	return tap.rc;
}

static int hosts[PAIRS];

static void begin(struct net_world *w, uint64_t features, unsigned queues)
{
	struct net_setup s = { .has_mac = true, .mac = { 2 } };
	int fds[2];

	memset(&tap, 0, sizeof(tap));
	s.tap = calloc(1, sizeof(*s.tap));
	assert_non_null(s.tap);
	for (; s.tap->n_queues < PAIRS; s.tap->n_queues++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
		s.tap->fds[s.tap->n_queues] = fds[0];
		hosts[s.tap->n_queues] = fds[1];
	}
	net_world_init(w, &s, NULL);
	net_world_start(w, features, queues, SIZE);
	net_world_settle(w);
}

static void end(struct net_world *w)
{
	net_world_end(w);
	for (unsigned i = 0; i < PAIRS; i++)
		(void)close(hosts[i]);
}

/* ---- commands -------------------------------------------------------------------- */

#define NO_ANSWER 0xee

/* Post a command, its bytes in segments, with so much room for the answer. */
static void post(struct net_world *w, unsigned q, const void *bytes, unsigned len,
		 unsigned segment, uint32_t room)
{
	struct vring_seg segs[16];
	unsigned n = 0;

	memcpy(w->ram.bytes + COMMAND, bytes, len);
	memset(w->ram.bytes + ANSWER, NO_ANSWER, 16);
	for (unsigned at = 0; at < len; at += segs[n++].len)
		segs[n] = (struct vring_seg){ COMMAND + at,
					      len - at < segment ? len - at : segment, false };
	if (room)
		segs[n++] = (struct vring_seg){ ANSWER, room, true };
	assert_true(vring_add(&w->queues[q], segs, n) >= 0);
	(void)net_world_kick(w, q);
	net_world_settle(w);
}

/* Use so many pairs; the answer. */
static uint8_t set_pairs(struct net_world *w, uint8_t pairs)
{
	const uint8_t command[] = { VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs,
				    0 };
	uint32_t head, written;

	post(w, CTRL, command, sizeof(command), sizeof(command), 1);
	assert_true(vring_reap(&w->queues[CTRL], &head, &written));
	assert_int_equal(written, 1);
	return w->ram.bytes[ANSWER];
}

static void one_command_is_known_and_all_others_are_refused(void **state)
{
	static const struct {
		uint8_t bytes[8];
		unsigned len, segment, room;
		uint8_t answer;
		unsigned attached;
	} cases[] = {
		{ { 4, 0, 1, 0 }, 4, 4, 1, VIRTIO_NET_OK, 1 },
		{ { 4, 0, 2, 0 }, 4, 4, 1, VIRTIO_NET_OK, 2 },
		{ { 4, 0, 3, 0 }, 4, 2, 1, VIRTIO_NET_OK, 3 },
		{ { 4, 0, 3, 0 }, 4, 1, 16, VIRTIO_NET_OK, 3 },
		{ { 4, 0, 0, 0 }, 4, 4, 1, VIRTIO_NET_ERR, 1 }, /* no pair */
		{ { 4, 0, 4, 0 }, 4, 4, 1, VIRTIO_NET_ERR, 1 }, /* more than there are */
		{ { 4, 0, 1, 1 }, 4, 4, 1, VIRTIO_NET_ERR, 1 }, /* 257 */
		{ { 4, 1, 2, 0 }, 4, 4, 1, VIRTIO_NET_ERR, 1 }, /* RSS */
		{ { 0, 0, 2, 0 }, 4, 4, 1, VIRTIO_NET_ERR, 1 }, /* promiscuous */
		{ { 1, 1, 2, 0, 0, 0, 0, 0 }, 8, 8, 1, VIRTIO_NET_ERR, 1 }, /* address */
		{ { 4, 0, 2 }, 3, 3, 1, VIRTIO_NET_ERR, 1 },
		{ { 4, 0, 2, 0, 0 }, 5, 5, 1, VIRTIO_NET_ERR, 1 },
		{ { 4, 0 }, 2, 2, 1, VIRTIO_NET_ERR, 1 },
		{ { 4 }, 1, 1, 1, VIRTIO_NET_ERR, 1 },
		{ { 0 }, 0, 1, 1, VIRTIO_NET_ERR, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct net_world w;
		uint32_t head, written;

		begin(&w, MULTI, CTRL + 1);
		assert_int_equal(tap.attached, 1);
		post(&w, CTRL, cases[i].bytes, cases[i].len, cases[i].segment, cases[i].room);
		assert_true(vring_reap(&w.queues[CTRL], &head, &written));
		assert_int_equal(written, 1);
		assert_int_equal(w.ram.bytes[ANSWER], cases[i].answer);
		assert_int_equal(w.ram.bytes[ANSWER + 1], NO_ANSWER);
		assert_int_equal(tap.attached, cases[i].attached);
		assert_int_equal(w.pulses, 1);
		end(&w);
	}
}

static void a_command_without_room_for_the_answer_is_a_fault(void **state)
{
	static const uint8_t command[] = { 4, 0, 2, 0 };
	struct net_world w;

	begin(&w, MULTI, CTRL + 1);
	post(&w, CTRL, command, sizeof(command), 4, 0);
	assert_int_equal(w.dev->run, VIRTIO_FAULTED);
	assert_int_equal(tap.attached, 1);
	end(&w);
}

static void a_broken_control_queue_is_a_fault(void **state)
{
	struct net_world w;

	begin(&w, MULTI, CTRL + 1);
	vring_make_available(&w.queues[CTRL], SIZE);
	(void)net_world_kick(&w, CTRL);
	assert_int_equal(w.dev->run, VIRTIO_FAULTED);
	end(&w);
}

static void pairs_that_the_driver_has_not_set_up_are_refused(void **state)
{
	for (unsigned q = 2; q < 4; q++) {
		struct net_world w;

		begin(&w, MULTI, CTRL + 1);
		virtqueue_stop(&w.dev->queues[q]);
		assert_int_equal(set_pairs(&w, 2), VIRTIO_NET_ERR);
		assert_int_equal(tap.attached, 1);
		end(&w);
	}
}

static void what_the_tap_refuses_is_refused(void **state)
{
	struct net_world w;

	begin(&w, MULTI, CTRL + 1);
	tap.rc = -E2BIG;
	assert_int_equal(set_pairs(&w, 2), VIRTIO_NET_ERR);
	tap.rc = 0;
	assert_int_equal(set_pairs(&w, 2), VIRTIO_NET_OK);
	end(&w);
}

/* Then there is one pair, and the control queue is behind it (§5.1.2). */
static void without_multiqueue_the_control_queue_is_the_third(void **state)
{
	static const uint8_t command[] = { 4, 0, 1, 0 };
	uint32_t head, written;
	struct net_world w;

	begin(&w, BIT(VIRTIO_NET_F_CTRL_VQ), 3);
	post(&w, 2, command, sizeof(command), 4, 1);
	assert_true(vring_reap(&w.queues[2], &head, &written));
	assert_int_equal(w.ram.bytes[ANSWER], VIRTIO_NET_ERR);
	end(&w);
}

/* No control queue, and no second pair either. */
static void without_a_control_queue_the_third_is_left_alone(void **state)
{
	static const uint8_t command[] = { 4, 0, 1, 0 };
	uint32_t head, written;
	struct net_world w;

	begin(&w, 0, CTRL + 1);
	post(&w, 2, command, sizeof(command), 4, 1);
	post(&w, CTRL, command, sizeof(command), 4, 1);
	assert_false(vring_reap(&w.queues[2], &head, &written));
	assert_false(vring_reap(&w.queues[CTRL], &head, &written));
	assert_int_equal(w.dev->run, VIRTIO_RUNNING);
	end(&w);
}

static void a_full_queue_of_commands_is_obeyed(void **state)
{
	const struct vring_seg segs[] = { { COMMAND, 4, false }, { ANSWER, 1, true } };
	static const uint8_t command[] = { 4, 0, 2, 0 };
	uint32_t head, written;
	struct net_world w;

	begin(&w, MULTI | BIT(VIRTIO_RING_F_INDIRECT_DESC), CTRL + 1);
	memcpy(w.ram.bytes + COMMAND, command, sizeof(command));
	for (unsigned i = 0; i < SIZE; i++)
		assert_true(vring_add_indirect(&w.queues[CTRL], segs, 2, 5 * MIB + i * 64) >=
			    0);
	assert_true(net_world_kick(&w, CTRL));
	net_world_settle(&w);
	for (unsigned i = 0; i < SIZE; i++)
		assert_true(vring_reap(&w.queues[CTRL], &head, &written));
	/* And it goes on. */
	assert_int_equal(set_pairs(&w, 3), VIRTIO_NET_OK);
	end(&w);
}

/* A reset comes before all are obeyed; the next driver's third queue is no control queue. */
static void commands_of_the_driver_before_are_forgotten(void **state)
{
	const struct vring_seg segs[] = { { COMMAND, 4, false }, { ANSWER, 1, true } };
	uint32_t head, written;
	struct net_world w;

	begin(&w, MULTI | BIT(VIRTIO_RING_F_INDIRECT_DESC), CTRL + 1);
	for (unsigned i = 0; i < SIZE; i++)
		assert_true(vring_add_indirect(&w.queues[CTRL], segs, 2, 5 * MIB + i * 64) >=
			    0);
	(void)net_world_kick(&w, CTRL);
	net_world_reset(&w);
	net_world_start(&w, 0, 3, SIZE);
	assert_true(vring_add(&w.queues[2], segs, 2) >= 0);
	net_world_settle(&w);
	assert_false(vring_reap(&w.queues[2], &head, &written));
	end(&w);
}

/* ---- pairs ----------------------------------------------------------------------- */

static void offer(struct net_world *w, unsigned pair)
{
	const struct vring_seg seg = { 8 * MIB + pair * 4096, 4096, true };

	assert_true(vring_add(&w->queues[2 * pair], &seg, 1) >= 0);
	(void)net_world_kick(w, 2 * pair);
}

static void push(struct net_world *w, unsigned pair)
{
	const struct vring_seg seg = { 9 * MIB + pair * 4096, 60, false };

	assert_true(vring_add(&w->queues[2 * pair + 1], &seg, 1) >= 0);
	(void)net_world_kick(w, 2 * pair + 1);
}

/* Whether a packet goes each way on this pair. Buffers are offered by the caller. */
static void expect_flow(struct net_world *w, unsigned pair, bool flows)
{
	static const uint8_t packet[60];
	uint32_t head, written;
	uint8_t byte;

	assert_int_equal(send(hosts[pair], packet, sizeof(packet), 0), sizeof(packet));
	net_world_settle(w);
	assert_int_equal(vring_reap(&w->queues[2 * pair], &head, &written), flows);
	assert_int_equal(recv(hosts[pair], &byte, 1, 0), flows ? 1 : -1);
	assert_int_equal(vring_reap(&w->queues[2 * pair + 1], &head, &written), flows);
}

static void only_active_pairs_carry_packets(void **state)
{
	struct net_world w;

	begin(&w, MULTI, CTRL + 1);
	for (unsigned i = 0; i < PAIRS; i++) {
		offer(&w, i);
		push(&w, i);
	}
	expect_flow(&w, 0, true);
	expect_flow(&w, 1, false);
	assert_int_equal(set_pairs(&w, 2), VIRTIO_NET_OK);
	/* What waited comes now. */
	for (unsigned dir = 0; dir < 2; dir++) {
		uint32_t head, written;

		assert_true(vring_reap(&w.queues[2 + dir], &head, &written));
		assert_false(vring_reap(&w.queues[4 + dir], &head, &written));
	}
	assert_int_equal(recv(hosts[1], &(char){ 0 }, 1, 0), 1);
	end(&w);
}

static void a_pair_can_be_given_up_and_taken_again(void **state)
{
	struct net_world w;

	begin(&w, MULTI, CTRL + 1);
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(set_pairs(&w, 2), VIRTIO_NET_OK);
		offer(&w, 1);
		push(&w, 1);
		expect_flow(&w, 1, true);
		/* A read waits for a packet when the pair goes. */
		offer(&w, 1);
		net_world_settle(&w);
		assert_int_equal(set_pairs(&w, 1), VIRTIO_NET_OK);
		net_world_settle(&w);
		push(&w, 1);
		expect_flow(&w, 1, false);
		assert_int_equal(set_pairs(&w, 2), VIRTIO_NET_OK);
		net_world_settle(&w);
		for (unsigned dir = 0; dir < 2; dir++) {
			uint32_t head, written;

			assert_true(vring_reap(&w.queues[2 + dir], &head, &written));
		}
		assert_int_equal(recv(hosts[1], &(char){ 0 }, 1, 0), 1);
		assert_int_equal(set_pairs(&w, 1), VIRTIO_NET_OK);
	}
	end(&w);
}

/* The reads that were cancelled have not ended when the pair is wanted again. */
static void a_pair_that_goes_and_comes_in_one_turn_goes_on(void **state)
{
	static const uint8_t commands[][4] = { { 4, 0, 1, 0 }, { 4, 0, 2, 0 } };
	struct net_world w;

	begin(&w, MULTI, CTRL + 1);
	assert_int_equal(set_pairs(&w, 2), VIRTIO_NET_OK);
	offer(&w, 1);
	push(&w, 1);
	net_world_settle(&w);
	for (unsigned i = 0; i < 2; i++) {
		const struct vring_seg segs[] = { { COMMAND + i * 4, 4, false },
						  { ANSWER, 1, true } };

		memcpy(w.ram.bytes + segs[0].at, commands[i], 4);
		assert_true(vring_add(&w.queues[CTRL], segs, 2) >= 0);
	}
	(void)net_world_kick(&w, CTRL);
	expect_flow(&w, 1, true);
	end(&w);
}

static struct net_world *kicked;

static void kick(struct loop_op *op, int res)
{
	assert_true(net_world_kick(kicked, CTRL));
}

/* The packet was read before the pair was given up, and not told yet. */
static void a_packet_in_the_turn_of_the_command_is_not_told(void **state)
{
	static const uint8_t packet[60], one[] = { 4, 0, 1, 0 };
	const struct vring_seg segs[] = { { COMMAND, 4, false }, { ANSWER, 1, true } };
	struct loop_op now = { .done = kick };
	uint32_t head, written;
	struct net_world w;

	begin(&w, MULTI, CTRL + 1);
	assert_int_equal(set_pairs(&w, 2), VIRTIO_NET_OK);
	offer(&w, 1);
	net_world_settle(&w);
	memcpy(w.ram.bytes + COMMAND, one, sizeof(one));
	assert_true(vring_add(&w.queues[CTRL], segs, 2) >= 0);
	assert_int_equal(send(hosts[1], packet, sizeof(packet), 0), sizeof(packet));
	kicked = &w;
	loop_defer(w.loop, &now);
	net_world_settle(&w);
	assert_true(vring_reap(&w.queues[CTRL], &head, &written));
	assert_false(vring_reap(&w.queues[2], &head, &written));
	assert_int_equal(virtio_net_counts(w.net).rx_errors, 1);
	end(&w);
}

static void a_reset_leaves_one_pair(void **state)
{
	struct net_world w;

	begin(&w, MULTI, CTRL + 1);
	assert_int_equal(set_pairs(&w, 3), VIRTIO_NET_OK);
	for (unsigned i = 0; i < PAIRS; i++)
		offer(&w, i);
	net_world_settle(&w);
	net_world_reset(&w);
	net_world_start(&w, MULTI, CTRL + 1, SIZE);
	net_world_settle(&w);
	assert_int_equal(tap.attached, 1);
	for (unsigned i = 0; i < PAIRS; i++) {
		offer(&w, i);
		push(&w, i);
		expect_flow(&w, i, i == 0);
	}
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_command_is_known_and_all_others_are_refused),
		cmocka_unit_test(a_command_without_room_for_the_answer_is_a_fault),
		cmocka_unit_test(a_broken_control_queue_is_a_fault),
		cmocka_unit_test(pairs_that_the_driver_has_not_set_up_are_refused),
		cmocka_unit_test(what_the_tap_refuses_is_refused),
		cmocka_unit_test(without_multiqueue_the_control_queue_is_the_third),
		cmocka_unit_test(without_a_control_queue_the_third_is_left_alone),
		cmocka_unit_test(a_full_queue_of_commands_is_obeyed),
		cmocka_unit_test(commands_of_the_driver_before_are_forgotten),
		cmocka_unit_test(only_active_pairs_carry_packets),
		cmocka_unit_test(a_pair_can_be_given_up_and_taken_again),
		cmocka_unit_test(a_pair_that_goes_and_comes_in_one_turn_goes_on),
		cmocka_unit_test(a_packet_in_the_turn_of_the_command_is_not_told),
		cmocka_unit_test(a_reset_leaves_one_pair),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
