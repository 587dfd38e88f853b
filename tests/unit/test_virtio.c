/* SPDX-License-Identifier: Apache-2.0 */
/* Status, features, interrupts and faults of a virtio device. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/virtio_fixture.h"

/* ---- status ---------------------------------------------------------------------- */

struct status_case {
	const char *what;
	enum stage stage;
	uint32_t write;
	uint8_t then;
};

static const struct status_case statuses[] = {
	{ "acknowledge", AT_INIT, ACKNOWLEDGE, ACKNOWLEDGE },
	{ "again", AT_ACKNOWLEDGE, ACKNOWLEDGE, ACKNOWLEDGE },
	{ "two at once", AT_INIT, ACKNOWLEDGE | DRIVER, ACKNOWLEDGE | DRIVER },
	{ "driver first", AT_INIT, DRIVER, NEEDS_RESET },
	{ "driver_ok first", AT_INIT, DRIVER_OK, NEEDS_RESET },
	{ "features_ok first", AT_INIT, FEATURES_OK, NEEDS_RESET },
	{ "driver left out", AT_ACKNOWLEDGE, ACKNOWLEDGE | FEATURES_OK,
	  ACKNOWLEDGE | NEEDS_RESET },
	{ "features_ok left out", AT_DRIVER, ACKNOWLEDGE | DRIVER | DRIVER_OK,
	  ACKNOWLEDGE | DRIVER | NEEDS_RESET },
	{ "features_ok without VERSION_1", AT_DRIVER, NEGOTIATED, ACKNOWLEDGE | DRIVER },
	{ "driver_ok, features_ok refused", AT_DRIVER, RUNNING,
	  ACKNOWLEDGE | DRIVER | NEEDS_RESET },
	{ "driver_ok", AT_NEGOTIATED, RUNNING, RUNNING },
	{ "driver_ok again", AT_RUNNING, RUNNING, RUNNING },
	{ "a bit cleared", AT_RUNNING, RUNNING & ~ACKNOWLEDGE, RUNNING | NEEDS_RESET },
	{ "the last one cleared", AT_RUNNING, NEGOTIATED, RUNNING | NEEDS_RESET },
	{ "one cleared, one set", AT_NEGOTIATED, FEATURES_OK | DRIVER_OK | DRIVER,
	  NEGOTIATED | NEEDS_RESET },
	{ "an unknown bit", AT_DRIVER, ACKNOWLEDGE | DRIVER | 0x10,
	  ACKNOWLEDGE | DRIVER | NEEDS_RESET },
	{ "the other unknown bit", AT_RUNNING, RUNNING | 0x20, RUNNING | NEEDS_RESET },
	{ "needs_reset", AT_RUNNING, RUNNING | NEEDS_RESET, RUNNING | NEEDS_RESET },
	{ "more than 8 bits", AT_RUNNING, RUNNING | 0x100, RUNNING | NEEDS_RESET },
	{ "only high bits", AT_RUNNING, 0x80000000, RUNNING | NEEDS_RESET },
	{ "failed", AT_INIT, FAILED, FAILED },
	{ "failed, with the rest", AT_RUNNING, RUNNING | FAILED, RUNNING | FAILED },
	{ "failed, without the rest", AT_RUNNING, FAILED, RUNNING | FAILED },
	{ "failed, with more", AT_ACKNOWLEDGE, RUNNING | FAILED, ACKNOWLEDGE | FAILED },
	{ "failed after a fault", AT_FAULT, RUNNING | FAILED | NEEDS_RESET,
	  RUNNING | FAILED | NEEDS_RESET },
	{ "failed again", AT_FAILED, RUNNING | FAILED, RUNNING | FAILED },
	{ "failed cleared", AT_FAILED, RUNNING, RUNNING | FAILED | NEEDS_RESET },
	{ "written back after a fault", AT_FAULT, RUNNING | NEEDS_RESET,
	  RUNNING | NEEDS_RESET },
	{ "cleared after a fault", AT_FAULT, ACKNOWLEDGE, RUNNING | NEEDS_RESET },
	{ "driver_ok after an early fault", AT_FAULT_EARLY, RUNNING | NEEDS_RESET,
	  NEGOTIATED | NEEDS_RESET },
	{ "during a reset", AT_STOPPING, RUNNING | FAILED, RUNNING },
	{ "afterwards", AT_RESET, ACKNOWLEDGE, ACKNOWLEDGE },
	{ "reset", AT_FAULT, 0, 0 },
	{ "reset of a fresh one", AT_INIT, 0, 0 },
	{ "reset of one that failed", AT_FAILED, 0, 0 },
};

static void status_bits_are_set_in_order(void **state)
{
	struct world w;

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		const struct status_case *c = &statuses[i];
		uint64_t faults;
		bool faulted;

		enter(&w, c->stage);
		faults = w.dev.counts.faults;
		faulted = status(&w) & NEEDS_RESET;
		out(&w, VIRTIO_MMIO_STATUS, c->write);
		if (status(&w) != c->then)
			fail_msg("%s: 0x%02x", c->what, (unsigned)status(&w));
		/* A fault is counted once, and stops a device that runs. */
		assert_int_equal(w.dev.counts.faults - faults,
				 c->then & NEEDS_RESET && !faulted);
		if (c->then & NEEDS_RESET)
			assert_int_equal(w.dev.run,
					 c->then & DRIVER_OK ? VIRTIO_FAULTED : VIRTIO_IDLE);
		stop(&w);
	}
}

static void nothing_follows_failed_but_a_reset(void **state)
{
	struct world w;

	enter(&w, AT_ACKNOWLEDGE);
	out(&w, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | FAILED);
	out(&w, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER | FAILED);
	assert_int_equal(status(&w), ACKNOWLEDGE | FAILED | NEEDS_RESET);
	virtio_driver_reset(&w.driver);
	out(&w, VIRTIO_MMIO_STATUS, ACKNOWLEDGE);
	assert_int_equal(status(&w), ACKNOWLEDGE);
	stop(&w);
}

static void device_starts_once_and_stops_once(void **state)
{
	struct world w;

	enter(&w, AT_SETUP);
	assert_int_equal(w.starts, 0);
	virtio_driver_ok(&w.driver);
	virtio_driver_ok(&w.driver);
	assert_int_equal(w.starts, 1);
	bad_request(&w);
	assert_int_equal(w.stops, 0);
	virtio_driver_reset(&w.driver);
	virtio_driver_reset(&w.driver);
	assert_int_equal(w.stops, 1);
	assert_int_equal(w.dev.counts.resets, 3); /* one by virtio_driver_negotiate */
	assert_int_equal(w.dev.run, VIRTIO_IDLE);
	stop(&w);
}

static void device_may_refuse_to_start(void **state)
{
	struct world w;

	enter(&w, AT_SETUP);
	w.faults_at_start = true;
	out(&w, VIRTIO_MMIO_STATUS, RUNNING);
	assert_int_equal(status(&w), RUNNING | NEEDS_RESET);
	assert_int_equal(w.dev.run, VIRTIO_FAULTED);
	stop(&w);
}

/* ---- features -------------------------------------------------------------------- */

struct features_case {
	uint64_t features;
	bool ok;
};

static void only_offered_features_are_accepted(void **state)
{
	const uint64_t version_1 = UINT64_C(1) << VIRTIO_F_VERSION_1;
	const uint64_t ring = UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |
			      UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;
	const struct features_case cases[] = {
		{ version_1, true },	    { version_1 | FEATURES | ring, true },
		{ FEATURES | ring, false }, { 0, false },
		{ version_1 | 1, false },   { version_1 | UINT64_C(1) << 63, false },
		{ UINT64_MAX, false },
	};
	struct world w;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enter(&w, AT_DRIVER);
		/* In any order, and each half as often as one likes. */
		out(&w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
		out(&w, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
		out(&w, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(cases[i].features >> 32));
		out(&w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
		out(&w, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
		out(&w, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)cases[i].features);
		out(&w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
		out(&w, VIRTIO_MMIO_DRIVER_FEATURES, 0);
		out(&w, VIRTIO_MMIO_STATUS, NEGOTIATED);
		assert_int_equal(status(&w), cases[i].ok ? NEGOTIATED : ACKNOWLEDGE | DRIVER);
		assert_int_equal(w.dev.acked, cases[i].features);
		assert_int_equal(w.dev.counts.faults, 0);
		stop(&w);
	}
}

static void features_behind_the_last_word_are_a_fault(void **state)
{
	struct world w;

	enter(&w, AT_DRIVER);
	out(&w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	out(&w, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	assert_int_equal(status(&w), ACKNOWLEDGE | DRIVER | NEEDS_RESET);
	stop(&w);
}

/* ---- interrupts ------------------------------------------------------------------ */

static void one_edge_a_turn(void **state)
{
	uint32_t id, len;
	struct world w;

	enter(&w, AT_RUNNING);
	for (unsigned i = 0; i < 5; i++)
		request(&w);
	virtio_config_interrupt(&w.dev);
	assert_int_equal(in(&w, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	turn();
	assert_int_equal(w.pulses, 1);
	assert_int_equal(in(&w, VIRTIO_MMIO_INTERRUPT_STATUS),
			 VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	turn();
	assert_int_equal(w.pulses, 1);
	/* The line is edge-triggered: it is raised again before the last was acknowledged. */
	while (vring_reap(&w.driver.queues[0], &id, &len))
		;
	request(&w);
	turn();
	assert_int_equal(w.pulses, 2);
	stop(&w);
}

static void acknowledging_clears_what_was_acknowledged(void **state)
{
	struct world w;

	enter(&w, AT_INTERRUPT);
	virtio_config_interrupt(&w.dev);
	turn();
	out(&w, VIRTIO_MMIO_INTERRUPT_ACK, 0);
	out(&w, VIRTIO_MMIO_INTERRUPT_ACK, 0xfffffffc);
	assert_int_equal(in(&w, VIRTIO_MMIO_INTERRUPT_STATUS), 3);
	out(&w, VIRTIO_MMIO_INTERRUPT_ACK, 1);
	assert_int_equal(in(&w, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	out(&w, VIRTIO_MMIO_INTERRUPT_ACK, 0xffffffff);
	assert_int_equal(in(&w, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	virtio_config_interrupt(&w.dev);
	turn();
	assert_int_equal(in(&w, VIRTIO_MMIO_INTERRUPT_STATUS), 2);
	stop(&w);
}

static void no_interrupt_that_is_not_wanted(void **state)
{
	const struct vring_seg seg = { DATA, 64, true };
	struct world w;

	enter(&w, AT_RUNNING);
	request(&w);
	turn();
	/* used_event was passed, and not set anew. */
	assert_true(vring_add(&w.driver.queues[0], &seg, 1) >= 0);
	out(&w, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	turn();
	assert_int_equal(w.driver.queues[0].used->idx, 2);
	assert_int_equal(w.pulses, 1);
	stop(&w);
}

static void no_interrupt_before_driver_ok_and_after_a_reset(void **state)
{
	struct world w;

	enter(&w, AT_SETUP);
	virtio_config_interrupt(&w.dev);
	virtio_used(&w.dev, 0);
	turn();
	assert_int_equal(w.pulses, 0);
	stop(&w);

	enter(&w, AT_FAULT_EARLY);
	assert_int_equal(w.pulses, 0);
	stop(&w);

	enter(&w, AT_RUNNING);
	request(&w);
	virtio_driver_reset(&w.driver); /* before the turn ends */
	turn();
	assert_int_equal(w.pulses, 0);
	assert_int_equal(in(&w, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	stop(&w);

	enter(&w, AT_STOPPING);
	w.pulses = 0;
	virtio_config_interrupt(&w.dev);
	virtio_used(&w.dev, 0);
	virtio_fault(&w.dev, "late");
	virtio_set_status(&w.dev, RUNNING | FAILED);
	turn();
	assert_int_equal(w.pulses, 0);
	assert_int_equal(status(&w), RUNNING);
	stop(&w);
}

/* ---- faults ---------------------------------------------------------------------- */

static void fault_stops_the_device_and_tells_the_driver(void **state)
{
	const struct vring_seg seg = { DATA, 64, true };
	struct world w;

	enter(&w, AT_RUNNING);
	vring_want_interrupt(&w.driver.queues[0], true);
	assert_true(vring_add(&w.driver.queues[0], &seg, 1) >= 0);
	bad_request(&w); /* one good chain, and a bad one behind it */
	assert_int_equal(status(&w), RUNNING | NEEDS_RESET);
	assert_int_equal(w.dev.run, VIRTIO_FAULTED);
	turn();
	assert_int_equal(w.pulses, 1);
	assert_int_equal(in(&w, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(w.driver.queues[0].used->idx, 0); /* not published */
	out(&w, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	out(&w, VIRTIO_MMIO_QUEUE_NOTIFY, QUEUES);
	virtio_used(&w.dev, 0);
	turn();
	assert_int_equal(w.notified[0], 1);
	assert_int_equal(w.pulses, 1);
	assert_int_equal(w.dev.counts.faults, 1);
	virtio_driver_start(&w.driver, 0, 1, 8);
	request(&w);
	assert_int_equal(w.driver.queues[0].used->idx, 1);
	stop(&w);
}

static void fault_prints_a_line_within_limits(void **state)
{
	struct world w;
	int out_fds[2], stderr_fd;
	char text[4096] = "";
	unsigned lines = 0;

	start(&w);
	log_set_level(LOG_WARN);
	assert_int_equal(pipe2(out_fds, O_CLOEXEC | O_NONBLOCK), 0);
	stderr_fd = dup(STDERR_FILENO);
	assert_int_equal(dup2(out_fds[1], STDERR_FILENO), STDERR_FILENO);
	for (unsigned i = 0; i < 100; i++) {
		virtio_driver_reset(&w.driver);
		out(&w, VIRTIO_MMIO_STATUS, DRIVER);
	}
	assert_int_equal(dup2(stderr_fd, STDERR_FILENO), STDERR_FILENO);
	log_set_level(LOG_OFF);
	assert_true(read(out_fds[0], text, sizeof(text) - 1) > 0);
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	assert_in_range(lines, 1, LOG_GUEST_BURST + 1);
	assert_non_null(strstr(text, ":WARN] virtio test: status 0x02 written over 0x00"));
	close(out_fds[0]);
	close(out_fds[1]);
	close(stderr_fd);
	stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_bits_are_set_in_order),
		cmocka_unit_test(nothing_follows_failed_but_a_reset),
		cmocka_unit_test(device_starts_once_and_stops_once),
		cmocka_unit_test(device_may_refuse_to_start),
		cmocka_unit_test(only_offered_features_are_accepted),
		cmocka_unit_test(features_behind_the_last_word_are_a_fault),
		cmocka_unit_test(one_edge_a_turn),
		cmocka_unit_test(acknowledging_clears_what_was_acknowledged),
		cmocka_unit_test(no_interrupt_that_is_not_wanted),
		cmocka_unit_test(no_interrupt_before_driver_ok_and_after_a_reset),
		cmocka_unit_test(fault_stops_the_device_and_tells_the_driver),
		cmocka_unit_test(fault_prints_a_line_within_limits),
	};
	int failed;

	if (loop_create(&loop, 8))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	loop_destroy(loop);
	return failed;
}
