/* SPDX-License-Identifier: Apache-2.0 */
/* The block device in batches, at its bounds, and with a driver that knows none. */
#include "tests/unit/blk_intercept.h"

#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <unistd.h>

#include "vmm/lib/log.h"

/* ---- batches --------------------------------------------------------------------- */

/* Their operations end in one turn. */
static void a_batch_takes_one_interrupt_and_one_notification(void **state)
{
	static const uint64_t declined[] = { 0, UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX };
	enum { N = 32, ROUNDS = 3 };

	for (unsigned i = 0; i < ARRAY_SIZE(declined); i++) {
		struct blk_guest_options o = { .bytes = DISK, .decline = declined[i] };
		int results[N];
		struct blk_guest g;

		start(&g, &o);
		for (unsigned n = 0; n < N; n++)
			results[n] = 512;
		for (unsigned round = 1; round <= ROUNDS; round++) {
			uint64_t enters = loop_stats(g.loop).enters;

			expect_results(results, N);
			add(&g, VIRTIO_BLK_T_IN, 0, N);
			blk_guest_kick(&g, 0);
			blk_guest_wait(&g, 0, N);
			assert_int_equal(loop_stats(g.loop).enters - enters, 1);
			assert_int_equal(g.pulses, round);
		}
		assert_int_equal(virtio_blk_dev(g.blk)->queues[0].counts.notifications, ROUNDS);
		blk_guest_stop(&g);
	}
}

/* One by one, each with its notification and interrupt. */
static void notify_one_by_one(struct blk_guest *g, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned pulses = g->pulses;

		io.n_calls = io.released = 0;
		add(g, VIRTIO_BLK_T_IN, i % 64, 1);
		assert_true(virtio_driver_kick(&g->driver, 0));
		assert_int_equal(io.n_calls, 1);
		blk_guest_wait(g, 0, 1);
		assert_int_equal(g->pulses, pulses + 1);
	}
}

/* A driver that adds more while it is left alone, `n` in all. */
static void notify_and_add(struct blk_guest *g, unsigned n)
{
	unsigned pulses = g->pulses;

	io.n_calls = io.released = 0;
	add(g, VIRTIO_BLK_T_IN, 0, 1);
	assert_true(virtio_driver_kick(&g->driver, 0));
	assert_int_equal(io.n_calls, 0);
	for (unsigned i = 1; i < n; i++) {
		add(g, VIRTIO_BLK_T_IN, i, 1);
		assert_false(virtio_driver_kick(&g->driver, 0));
	}
	blk_guest_wait(g, 0, n);
	assert_true(g->pulses - pulses <= n);
	assert_int_equal(io.n_calls, n);
}

static void gather(const struct blk_guest_options *o)
{
	struct blk_guest g;

	start(&g, o);
	notify_one_by_one(&g, 63);
	notify_and_add(&g, 20); /* tried */
	for (unsigned i = 0; i < 5; i++)
		notify_and_add(&g, 4 + i); /* worth it */
	/* A batch that is there already does not wait. */
	io.n_calls = io.released = 0;
	add(&g, VIRTIO_BLK_T_IN, 0, 4);
	blk_guest_kick(&g, 0);
	assert_int_equal(io.n_calls, 4);
	blk_guest_wait(&g, 0, 4);
	notify_and_add(&g, 3); /* too few */
	notify_one_by_one(&g, 63);
	notify_and_add(&g, 1);
	notify_one_by_one(&g, 63);
	notify_and_add(&g, 10);
	/* A reset does not wait for more. */
	add(&g, VIRTIO_BLK_T_IN, 0, 1);
	blk_guest_kick(&g, 0);
	blk_guest_reset(&g);
	assert_int_equal(io.n_calls, 10);
	blk_guest_stop(&g);
}

static void requests_are_gathered_when_several_come(void **state)
{
	static const struct blk_guest_options flags = { .bytes = DISK,
							.decline = UINT64_C(1)
								   << VIRTIO_RING_F_EVENT_IDX };

	gather(&plain);
	gather(&flags);
}

/* ---- bounds ---------------------------------------------------------------------- */

static void fill_up_and_empty(const struct blk_guest_options *o)
{
	struct blk_guest g;

	start(&g, o);
	io.hold = true;
	for (unsigned i = 0; i < 200; i++)
		add_indirect(&g, i, 1);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	assert_int_equal(io.n_calls, BLK_IN_FLIGHT_MAX);
	/* It does not ask to be notified of what it cannot take. */
	add_indirect(&g, 200, 1);
	assert_false(virtio_driver_kick(&g.driver, 0));
	let_go(&g, 10);
	blk_guest_wait(&g, 0, 10);
	blk_guest_run(&g, 1);
	assert_int_equal(io.n_calls, BLK_IN_FLIGHT_MAX + 10);
	io.hold = false;
	let_go(&g, BLK_IN_FLIGHT_MAX);
	blk_guest_wait(&g, 0, 191);
	assert_int_equal(io.n_calls, 201);
	for (unsigned i = 0; i < 201; i++)
		assert_int_equal(*blk_guest_status(&g, i), VIRTIO_BLK_S_OK);
	add_indirect(&g, 0, 1);
	assert_true(virtio_driver_kick(&g.driver, 0));
	blk_guest_wait(&g, 0, 1);
	blk_guest_stop(&g);
}

static void no_more_than_so_many_are_in_flight(void **state)
{
	static const struct blk_guest_options flags = { .bytes = DISK,
							.decline = UINT64_C(1)
								   << VIRTIO_RING_F_EVENT_IDX };

	fill_up_and_empty(&plain);
	fill_up_and_empty(&flags);
}

/* Long lists are few; what waits for one waits in order. */
static void many_long_requests_take_turns(void **state)
{
	struct blk_guest g;

	start(&g, &plain);
	io.hold = true;
	for (unsigned i = 0; i < 50; i++)
		add_indirect(&g, i, 17 + i);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	assert_in_range(io.n_calls, 4, 49);
	while (io.released < 50) {
		let_go(&g, 3);
		blk_guest_run(&g, 1);
	}
	blk_guest_wait(&g, 0, 50);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(*blk_guest_status(&g, i), VIRTIO_BLK_S_OK);
		assert_int_equal(io.calls[i].n, 17 + i);
	}
	blk_guest_stop(&g);
}

/* Requests are used again, with what they had before forgotten. */
static void a_long_list_has_one_owner(void **state)
{
	struct blk_guest g;

	start(&g, &plain);
	for (unsigned i = 0; i < 3; i++)
		add_indirect(&g, i, 20);
	blk_guest_kick(&g, 0);
	blk_guest_wait(&g, 0, 3);
	io.hold = true;
	io.n_calls = io.released = 0;
	for (unsigned i = 0; i < 3; i++)
		add_indirect(&g, i, 1);
	add_indirect(&g, 3, 20);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	let_go(&g, 3);
	blk_guest_wait(&g, 0, 3);
	add_indirect(&g, 4, 20);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	assert_int_equal(io.n_calls, 5);
	assert_ptr_not_equal(io.calls[3].iov, io.calls[4].iov);
	let_go(&g, 2);
	blk_guest_wait(&g, 0, 2);
	blk_guest_stop(&g);
}

/* ---- a driver that never stops ---------------------------------------------------- */

void __real_virtqueue_push(struct virtqueue *q, uint16_t head, struct gmem_view *view,
			   uint32_t written);
void __wrap_virtqueue_push(struct virtqueue *q, uint16_t head, struct gmem_view *view,
			   uint32_t written);

static struct blk_guest *eager; /* adds each chain again as soon as it is pushed */
static unsigned pushes;

void __wrap_virtqueue_push(struct virtqueue *q, uint16_t head, struct gmem_view *view,
			   uint32_t written)
{
	__real_virtqueue_push(q, head, view, written);
	pushes++;
	if (eager)
		vring_make_available(&eager->driver.queues[0], head);
}

static void a_driver_that_never_stops_does_not_stop_the_others(void **state)
{
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_SCSI_CMD, 0, 0);
	struct blk_guest g;

	start(&g, &plain);
	assert_true(blk_guest_add(&g, &r) >= 0);
	eager = &g;
	pushes = 0;
	blk_guest_kick(&g, 0);
	assert_in_range(pushes, 1, 2000);
	/* A bounded number each turn. */
	for (unsigned i = 0; i < 10; i++) {
		unsigned before = pushes;

		assert_int_equal(loop_turn(g.loop), 0);
		assert_in_range(pushes - before, 1, 2000);
	}
	blk_guest_reset(&g);
	eager = NULL;
	blk_guest_stop(&g);
}

static int limit_time(void **state)
{
	alarm(60); /* a request that never ends */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_takes_one_interrupt_and_one_notification),
		cmocka_unit_test(requests_are_gathered_when_several_come),
		cmocka_unit_test(no_more_than_so_many_are_in_flight),
		cmocka_unit_test(many_long_requests_take_turns),
		cmocka_unit_test(a_long_list_has_one_owner),
		cmocka_unit_test(a_driver_that_never_stops_does_not_stop_the_others),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, limit_time, NULL);
}
