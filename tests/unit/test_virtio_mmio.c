/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio device of our own behind virtio-mmio, driven by register accesses. */
#include "devices/virtio_mmio.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#include "tests/fake/virtio_driver.h"

#define RAM_BYTES MIB
#define QUEUES_AT 0x10000
#define DATA UINT64_C(0x80000)
#define GSI 17
#define QUEUES 3
#define CONFIG_BYTES 21 /* not whole words */
#define FEATURES (UINT64_C(1) << 3 | UINT64_C(1) << 40)
#define RING_FEATURES (UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

enum {
	ACKNOWLEDGE = VIRTIO_CONFIG_S_ACKNOWLEDGE,
	DRIVER = VIRTIO_CONFIG_S_DRIVER,
	FEATURES_OK = VIRTIO_CONFIG_S_FEATURES_OK,
	DRIVER_OK = VIRTIO_CONFIG_S_DRIVER_OK,
	NEEDS_RESET = VIRTIO_CONFIG_S_NEEDS_RESET,
	FAILED = VIRTIO_CONFIG_S_FAILED,
	NEGOTIATED = ACKNOWLEDGE | DRIVER | FEATURES_OK,
	RUNNING = NEGOTIATED | DRIVER_OK,
};

static struct loop *loop; /* one for all tests: it costs system calls */

struct world {
	struct ram_fake ram;
	struct virtio_dev dev;
	struct virtio_mmio mmio;
	struct virtio_driver driver;
	unsigned pulses, starts, stops, notified[QUEUES];
	bool stops_later; /* the device has something in flight */
	bool faults_at_start;
	unsigned vcpu; /* that makes the access */
	uint32_t held; /* those that wait */
	unsigned config_writes, config_off, config_len;
	uint8_t page[VIRTIO_MMIO_WINDOW] __attribute__((aligned(8)));
};

/* ---- the device ------------------------------------------------------------------ */

static struct world *world_of(struct virtio_dev *d)
{
	return CONTAINER_OF(d, struct world, dev);
}

static void on_start(struct virtio_dev *d)
{
	world_of(d)->starts++;
	assert_int_equal(d->run, VIRTIO_RUNNING);
	if (world_of(d)->faults_at_start)
		virtio_fault(d, "does not start");
}

/* Everything is done at once. */
static void on_notify(struct virtio_dev *d, unsigned q)
{
	static struct virtq_chain c;
	int rc;

	world_of(d)->notified[q]++;
	while ((rc = virtqueue_pop(&d->queues[q], &c)) == 1)
		virtqueue_push(&d->queues[q], c.head, c.view, c.in_len);
	if (rc < 0)
		virtio_fault(d, "queue %u: %s", q, d->queues[q].fault);
	virtio_used(d, q);
}

static void on_stop(struct virtio_dev *d)
{
	world_of(d)->stops++;
	assert_int_equal(d->run, VIRTIO_STOPPING);
	if (!world_of(d)->stops_later)
		virtio_stopped(d);
}

static void on_config_write(struct virtio_dev *d, unsigned off, const void *src, unsigned len)
{
	struct world *w = world_of(d);

	w->config_writes++;
	w->config_off = off;
	w->config_len = len;
	virtio_set_config(d, off, src, len);
}

static const struct virtio_ops writable_ops = { .id = VIRTIO_ID_RNG,
						.start = on_start,
						.notify = on_notify,
						.stop = on_stop,
						.config_write = on_config_write };
static const struct virtio_ops ops = {
	.id = VIRTIO_ID_RNG, .start = on_start, .notify = on_notify, .stop = on_stop
};

/* ---- the machine ----------------------------------------------------------------- */

static void on_pulse(void *ctx, unsigned gsi)
{
	struct world *w = ctx;

	assert_int_equal(gsi, GSI);
	/* The driver must find why when it looks. */
	assert_true(w->dev.interrupt_status != 0);
	assert_int_equal(w->page[VIRTIO_MMIO_INTERRUPT_STATUS], w->dev.interrupt_status);
	w->pulses++;
}

static unsigned on_hold(void *ctx)
{
	struct world *w = ctx;

	w->held |= UINT32_C(1) << w->vcpu;
	return w->vcpu;
}

static void on_release(void *ctx, unsigned vcpu)
{
	struct world *w = ctx;

	assert_true(w->held & UINT32_C(1) << vcpu);
	w->held &= ~(UINT32_C(1) << vcpu);
	/* It goes on and may read the page at once. */
	assert_int_equal(w->page[VIRTIO_MMIO_STATUS], 0);
}

static const uint8_t config[CONFIG_BYTES] = "configuration space!";

static void start_with(struct world *w, const struct virtio_ops *kind, bool can_hold)
{
	struct dev_env env = { .pulse = on_pulse, .ctx = w };
	struct virtio_setup s = { .ops = kind,
				  .name = "test",
				  .env = &env,
				  .gsi = GSI,
				  .features = FEATURES,
				  .n_queues = QUEUES,
				  .config = config,
				  .config_len = sizeof(config) };

	memset(w, 0, sizeof(*w));
	ram_fake_init(&w->ram, RAM_BYTES);
	env.loop = loop;
	env.gmem = &w->ram.gmem;
	if (can_hold) {
		env.hold = on_hold;
		env.release = on_release;
	}
	virtio_init(&w->dev, &s);
	virtio_mmio_init(&w->mmio, &w->dev);
	memset(w->page, 0xa5, sizeof(w->page));
	virtio_mmio_set_page(&w->mmio, w->page);
	virtio_driver_init(&w->driver, &w->mmio, &w->ram, QUEUES_AT);
	log_set_level(LOG_OFF);
}

static void start(struct world *w)
{
	start_with(w, &ops, true);
}

static void nothing(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

static void turn(void)
{
	struct loop_op op = { .done = nothing };

	loop_defer(loop, &op);
	while (op.busy)
		assert_int_equal(loop_turn(loop), 0);
}

static void stop(struct world *w)
{
	w->stops_later = false;
	if (w->dev.run == VIRTIO_STOPPING)
		virtio_stopped(&w->dev);
	virtio_reset(&w->dev);
	turn(); /* `dev` is in its list */
	ram_fake_free(&w->ram);
}

static uint64_t in(struct world *w, unsigned reg)
{
	return virtio_driver_read(&w->driver, reg);
}

static void out(struct world *w, unsigned reg, uint32_t value)
{
	virtio_driver_write(&w->driver, reg, value);
}

static void out_at(struct world *w, unsigned off, unsigned size, uint64_t value)
{
	w->driver.mmio.write(w->driver.mmio.dev, off, size, value);
}

static uint64_t in_at(struct world *w, unsigned off, unsigned size)
{
	return w->driver.mmio.read(w->driver.mmio.dev, off, size);
}

static uint64_t status(struct world *w)
{
	return in(w, VIRTIO_MMIO_STATUS);
}

/* A request that the device answers in its queue 0. */
static void request(struct world *w)
{
	const struct vring_seg seg = { DATA, 64, true };

	vring_want_interrupt(&w->driver.queues[0], true);
	assert_true(vring_add(&w->driver.queues[0], &seg, 1) >= 0);
	out(w, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* One that breaks the rules. */
static void bad_request(struct world *w)
{
	vring_make_available(&w->driver.queues[0], 0xffff);
	out(w, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* ---- the states of a device ------------------------------------------------------ */

enum stage {
	AT_INIT,
	AT_ACKNOWLEDGE,
	AT_DRIVER,
	AT_NEGOTIATED,
	AT_SETUP, /* a queue is ready */
	AT_RUNNING,
	AT_INTERRUPT, /* raised, and not acknowledged */
	AT_CONFIG, /* changed */
	AT_FAULT_EARLY, /* before DRIVER_OK */
	AT_FAULT,
	AT_FAILED,
	AT_STOPPING,
	AT_RESET, /* after all that */
	STAGES
};

static void enter(struct world *w, enum stage stage)
{
	start(w);
	if (stage >= AT_ACKNOWLEDGE)
		out(w, VIRTIO_MMIO_STATUS, ACKNOWLEDGE);
	if (stage >= AT_DRIVER)
		out(w, VIRTIO_MMIO_STATUS, ACKNOWLEDGE | DRIVER);
	if (stage >= AT_NEGOTIATED)
		virtio_driver_negotiate(&w->driver, FEATURES | RING_FEATURES);
	if (stage >= AT_SETUP)
		virtio_driver_queue(&w->driver, 0, 8);
	if (stage == AT_FAULT_EARLY)
		virtio_fault(&w->dev, "early");
	else if (stage >= AT_RUNNING)
		virtio_driver_ok(&w->driver);
	if (stage == AT_INTERRUPT || stage == AT_STOPPING || stage == AT_RESET)
		request(w);
	if (stage == AT_CONFIG || stage == AT_STOPPING || stage == AT_RESET) {
		virtio_set_config(&w->dev, 3, "XYZ", 3);
		virtio_config_interrupt(&w->dev);
	}
	if (stage == AT_FAULT)
		bad_request(w);
	if (stage == AT_FAILED)
		out(w, VIRTIO_MMIO_STATUS, RUNNING | FAILED);
	turn();
	w->stops_later = stage == AT_STOPPING;
	if (stage == AT_STOPPING || stage == AT_RESET)
		virtio_driver_reset(&w->driver);
}

/* Every width at every offset gives the same bytes from the page and from an access. */
static void check_page(struct world *w, enum stage stage)
{
	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned off = 0; off + size <= VIRTIO_MMIO_WINDOW; off++) {
			uint64_t paged = 0;

			memcpy(&paged, w->page + off, size);
			if (paged != in_at(w, off, size))
				fail_msg("stage %d, %u bytes at 0x%03x: page 0x%llx, access "
					 "0x%llx",
					 stage, size, off, (unsigned long long)paged,
					 (unsigned long long)in_at(w, off, size));
		}
	}
}

static void page_reads_as_an_access_does_in_every_state(void **state)
{
	static const uint32_t selectors[] = { 0, 1, 2, QUEUES - 1, QUEUES, 0xffffffff };
	struct world w;

	for (enum stage stage = 0; stage < STAGES; stage++) {
		enter(&w, stage);
		check_page(&w, stage);
		for (unsigned i = 0; i < ARRAY_SIZE(selectors); i++) {
			out(&w, VIRTIO_MMIO_DEVICE_FEATURES_SEL, selectors[i]);
			out(&w, VIRTIO_MMIO_QUEUE_SEL, selectors[i]);
			check_page(&w, stage);
		}
		virtio_mmio_set_page(&w.mmio, NULL);
		memset(w.page, 0xff, sizeof(w.page));
		out(&w, VIRTIO_MMIO_QUEUE_SEL, 0);
		virtio_mmio_set_page(&w.mmio, w.page);
		check_page(&w, stage);
		stop(&w);
	}
}

static void page_that_was_taken_away_stays_as_it_was(void **state)
{
	struct world w;

	start(&w);
	virtio_mmio_set_page(&w.mmio, NULL);
	virtio_driver_start(&w.driver, 0, 1, 8);
	assert_int_equal(w.page[VIRTIO_MMIO_STATUS], 0);
	assert_int_equal(status(&w), RUNNING);
	stop(&w);
}

/* ---- reads ----------------------------------------------------------------------- */

struct expected {
	unsigned reg;
	uint32_t value;
};

static void check_window(struct world *w, const struct expected *e, size_t n)
{
	for (unsigned off = 0; off < 0x100; off += 4) {
		uint32_t want = 0;

		for (size_t i = 0; i < n; i++)
			if (e[i].reg == off)
				want = e[i].value;
		if (in(w, off) != want)
			fail_msg("0x%03x: 0x%08x, not 0x%08x", off, (unsigned)in(w, off), want);
	}
	for (unsigned off = 0x100; off < VIRTIO_MMIO_WINDOW; off++) {
		uint8_t want = off < 0x100 + CONFIG_BYTES ? config[off - 0x100] : 0;

		assert_int_equal(in_at(w, off, 1), want);
	}
}

static void registers_read_as_the_specification_says(void **state)
{
	static const struct expected fresh[] = {
		{ 0x000, 0x74726976 }, { 0x004, 2 },	      { 0x008, 4 },
		{ 0x00c, 0x4c4e4558 }, { 0x010, 0x30000008 }, { 0x034, 256 },
		{ 0x0b0, 0xffffffff }, { 0x0b4, 0xffffffff }, { 0x0b8, 0xffffffff },
		{ 0x0bc, 0xffffffff },
	};
	static const struct expected running[] = {
		{ 0x000, 0x74726976 }, { 0x004, 2 },	      { 0x008, 4 },
		{ 0x00c, 0x4c4e4558 }, { 0x010, 0x00000101 }, { 0x034, 256 },
		{ 0x044, 1 },	       { 0x060, 1 },	      { 0x070, 0xf },
		{ 0x0b0, 0xffffffff }, { 0x0b4, 0xffffffff }, { 0x0b8, 0xffffffff },
		{ 0x0bc, 0xffffffff },
	};
	struct world w;

	start(&w);
	check_window(&w, fresh, ARRAY_SIZE(fresh));
	stop(&w);
	enter(&w, AT_INTERRUPT);
	check_window(&w, running, ARRAY_SIZE(running));
	/* What straddles the end of the image has zeroes behind it. */
	assert_int_equal(in_at(&w, VIRTIO_MMIO_IMAGE - 3, 8), 0);
	/* Everything is as it was, but for the generation, which was not touched here. */
	virtio_driver_reset(&w.driver);
	check_window(&w, fresh, ARRAY_SIZE(fresh));
	stop(&w);
}

static void features_follow_their_selector(void **state)
{
	struct world w;

	start(&w);
	out(&w, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	assert_int_equal(in(&w, VIRTIO_MMIO_DEVICE_FEATURES), 0x101);
	out(&w, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(in(&w, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	out(&w, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0xffffffff);
	assert_int_equal(in(&w, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	out(&w, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	assert_int_equal(in(&w, VIRTIO_MMIO_DEVICE_FEATURES), 0x30000008);
	stop(&w);
}

static void queues_follow_their_selector(void **state)
{
	struct world w;

	enter(&w, AT_NEGOTIATED);
	virtio_driver_queue(&w.driver, 1, 16);
	for (unsigned q = 0; q < QUEUES + 3; q++) {
		out(&w, VIRTIO_MMIO_QUEUE_SEL, q);
		assert_int_equal(in(&w, VIRTIO_MMIO_QUEUE_NUM_MAX), q < QUEUES ? 256 : 0);
		assert_int_equal(in(&w, VIRTIO_MMIO_QUEUE_READY), q == 1);
	}
	stop(&w);
}

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

/* ---- registers at the wrong time ------------------------------------------------- */

struct time_case {
	unsigned reg;
	uint32_t stages; /* in which it may be written, a bit each */
};

#define ALL_STAGES ((1u << STAGES) - 1)
#define ON(stage) (1u << (stage))

static void registers_may_be_written_at_their_time_only(void **state)
{
	/* Those that were faulted, or are being reset, ignore it. */
	const uint32_t deaf = ON(AT_FAULT_EARLY) | ON(AT_FAULT) | ON(AT_STOPPING);
	const uint32_t setup = ON(AT_NEGOTIATED); /* in AT_SETUP the queue is ready */
	const uint32_t negotiating = ON(AT_INIT) | ON(AT_ACKNOWLEDGE) | ON(AT_DRIVER) |
				     ON(AT_RESET);
	const struct time_case cases[] = {
		{ VIRTIO_MMIO_DEVICE_FEATURES_SEL, ALL_STAGES },
		{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, ALL_STAGES },
		{ VIRTIO_MMIO_DRIVER_FEATURES, negotiating },
		{ VIRTIO_MMIO_QUEUE_NUM, setup },
		{ VIRTIO_MMIO_INTERRUPT_ACK, ALL_STAGES },
		{ VIRTIO_MMIO_QUEUE_DESC_LOW, setup },
		{ VIRTIO_MMIO_QUEUE_DESC_HIGH, setup },
		{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, setup },
		{ VIRTIO_MMIO_QUEUE_AVAIL_HIGH, setup },
		{ VIRTIO_MMIO_QUEUE_USED_LOW, setup },
		{ VIRTIO_MMIO_QUEUE_USED_HIGH, setup },
		{ VIRTIO_MMIO_QUEUE_SEL, ALL_STAGES },
		{ VIRTIO_MMIO_SHM_SEL, ALL_STAGES },
		{ VIRTIO_MMIO_MAGIC_VALUE, ALL_STAGES }, /* read-only: ignored */
		{ VIRTIO_MMIO_QUEUE_NUM_MAX, ALL_STAGES },
		{ VIRTIO_MMIO_INTERRUPT_STATUS, ALL_STAGES },
		{ VIRTIO_MMIO_CONFIG_GENERATION, ALL_STAGES },
		{ VIRTIO_MMIO_GUEST_PAGE_SIZE, ALL_STAGES }, /* there is none */
		{ VIRTIO_MMIO_QUEUE_PFN, ALL_STAGES },
		{ 0x0c0, ALL_STAGES }, /* QueueReset */
	};
	struct world w;

	for (enum stage stage = 0; stage < STAGES; stage++) {
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			uint64_t before;
			bool fault;

			enter(&w, stage);
			before = status(&w);
			fault = !((cases[i].stages | deaf) & ON(stage));
			out(&w, cases[i].reg, 0x40);
			if (status(&w) != (fault ? before | NEEDS_RESET : before))
				fail_msg("0x%03x in stage %d: 0x%02x", cases[i].reg, stage,
					 (unsigned)status(&w));
			stop(&w);
		}
	}
}

static void layout_is_only_what_was_written_in_time(void **state)
{
	const struct virtq_layout *layout;
	struct world w;

	enter(&w, AT_NEGOTIATED);
	out(&w, VIRTIO_MMIO_QUEUE_SEL, 1);
	out(&w, VIRTIO_MMIO_QUEUE_NUM, 0x40);
	out(&w, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0x11111111);
	out(&w, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x22222222);
	out(&w, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x44444444);
	out(&w, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0x33333333);
	out(&w, VIRTIO_MMIO_QUEUE_USED_HIGH, 0x55555555);
	out(&w, VIRTIO_MMIO_QUEUE_USED_LOW, 0x66666666);
	layout = &w.mmio.layout[1];
	assert_int_equal(layout->num, 0x40);
	assert_int_equal(layout->desc.v, 0x1111111122222222);
	assert_int_equal(layout->avail.v, 0x3333333344444444);
	assert_int_equal(layout->used.v, 0x5555555566666666);
	assert_int_equal(w.mmio.layout[0].num, 0);
	out(&w, VIRTIO_MMIO_QUEUE_SEL, 0);
	out(&w, VIRTIO_MMIO_STATUS, RUNNING);
	out(&w, VIRTIO_MMIO_QUEUE_NUM, 0x40);
	assert_int_equal(w.mmio.layout[0].num, 0);
	virtio_driver_reset(&w.driver);
	assert_int_equal(w.mmio.layout[1].num, 0);
	stop(&w);
}

/* Whatever is written, in whatever width: only aligned words reach a register. */
static void other_widths_and_alignments_are_ignored(void **state)
{
	static struct virtio_dev dev;
	static struct virtio_mmio mmio;
	struct world w;

	for (enum stage stage = 0; stage < STAGES; stage++) {
		enter(&w, stage);
		dev = w.dev;
		mmio = w.mmio;
		for (unsigned size = 1; size <= 8; size *= 2)
			for (unsigned off = 0; off + size <= VIRTIO_MMIO_WINDOW; off++)
				if (size != 4 || off % 4 != 0 || off >= VIRTIO_MMIO_CONFIG)
					out_at(&w, off, size, off % 2 ? 0 : UINT64_MAX);
		assert_memory_equal(&dev, &w.dev, sizeof(dev));
		assert_memory_equal(&mmio, &w.mmio, sizeof(mmio));
		stop(&w);
	}
}

/* Every register, with what may be one too many: nothing breaks, and the page follows. */
static void any_word_may_be_written_anywhere(void **state)
{
	static const uint32_t values[] = { 0, 1, 2, QUEUES, 0x7f, 0xffffffff };
	struct world w;

	for (enum stage stage = 0; stage < STAGES; stage++) {
		for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
			enter(&w, stage);
			for (unsigned off = 0; off < 0x200; off += 4)
				out(&w, off, values[i]);
			turn();
			for (unsigned off = 0; off < 0x200; off += 4)
				out(&w, 0x1fc - off, values[i]);
			check_page(&w, stage);
			stop(&w);
		}
	}
}

/* ---- queues ---------------------------------------------------------------------- */

/* QueueReady written with queue 0 selected, whose layout may be in order. */
struct ready_case {
	const char *what;
	enum stage stage;
	uint32_t queue, value;
	bool ready, fault;
};

static const struct ready_case ready_cases[] = {
	{ "nothing was written", AT_NEGOTIATED, 0, 1, false, true },
	{ "taken back before it was ready", AT_NEGOTIATED, 0, 0, false, false },
	{ "before FEATURES_OK", AT_DRIVER, 0, 1, false, true },
	{ "before everything", AT_INIT, 0, 1, false, true },
	{ "taken back before everything", AT_INIT, 0, 0, false, false },
	{ "again", AT_SETUP, 0, 1, true, false },
	{ "taken back", AT_SETUP, 0, 0, false, false },
	{ "neither 0 nor 1", AT_SETUP, 0, 2, true, true },
	{ "neither 0 nor 1, not ready", AT_SETUP, 1, 3, false, true },
	{ "no such queue", AT_SETUP, QUEUES, 1, false, true },
	{ "no such queue taken back", AT_SETUP, QUEUES, 0, false, false },
	{ "largest number", AT_SETUP, 0xffffffff, 1, false, true },
	{ "another one while running", AT_RUNNING, 1, 1, false, true },
	{ "again while running", AT_RUNNING, 0, 1, true, false },
	{ "taken back while running", AT_RUNNING, 0, 0, true, true },
	{ "another one taken back while running", AT_RUNNING, 1, 0, false, false },
	{ "after an early fault", AT_FAULT_EARLY, 1, 1, false, true },
	{ "taken back after a fault", AT_FAULT, 0, 0, true, true },
	{ "taken back after a reset", AT_RESET, 0, 0, false, false },
};

static void queue_becomes_ready_once_and_in_time(void **state)
{
	struct world w;

	for (size_t i = 0; i < ARRAY_SIZE(ready_cases); i++) {
		const struct ready_case *c = &ready_cases[i];

		enter(&w, c->stage);
		out(&w, VIRTIO_MMIO_QUEUE_SEL, c->queue);
		out(&w, VIRTIO_MMIO_QUEUE_READY, c->value);
		if (in(&w, VIRTIO_MMIO_QUEUE_READY) != c->ready ||
		    !(status(&w) & NEEDS_RESET) != !c->fault)
			fail_msg("%s: ready %u, status 0x%02x", c->what,
				 (unsigned)in(&w, VIRTIO_MMIO_QUEUE_READY),
				 (unsigned)status(&w));
		stop(&w);
	}
}

static void queue_that_was_taken_back_can_be_made_ready_elsewhere(void **state)
{
	struct world w;

	enter(&w, AT_SETUP);
	out(&w, VIRTIO_MMIO_QUEUE_READY, 0);
	virtio_driver_queue(&w.driver, 0, 32);
	virtio_driver_ok(&w.driver);
	request(&w);
	assert_int_equal(w.driver.queues[0].used->idx, 1);
	stop(&w);
}

static void queue_in_no_memory_is_a_fault(void **state)
{
	static const struct gmem_ops no_views = { 0 };
	const struct gmem_ops *kept;
	struct world w;

	enter(&w, AT_NEGOTIATED);
	kept = w.ram.gmem.ops;
	w.ram.gmem.ops = &no_views;
	out(&w, VIRTIO_MMIO_QUEUE_NUM, 8);
	out(&w, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x1000);
	out(&w, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x2000);
	out(&w, VIRTIO_MMIO_QUEUE_USED_LOW, 0x3000);
	out(&w, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(in(&w, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(status(&w), NEGOTIATED | NEEDS_RESET);
	w.ram.gmem.ops = kept;
	stop(&w);
}

static void ring_features_are_those_negotiated(void **state)
{
	const uint64_t both = UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |
			      UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC;
	struct world w;

	start(&w);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t wanted = (uint64_t)i << VIRTIO_RING_F_INDIRECT_DESC;

		virtio_driver_negotiate(&w.driver, wanted | FEATURES);
		assert_int_equal(w.dev.acked & both, wanted);
		virtio_driver_queue(&w.driver, 2, 8);
		assert_int_equal(w.dev.queues[2].indirect, i & 1);
		assert_int_equal(w.dev.queues[2].event_idx, i >> 1);
	}
	stop(&w);
}

static void notification_reaches_a_ready_queue_of_a_running_device(void **state)
{
	struct world w;

	for (enum stage stage = 0; stage < STAGES; stage++) {
		bool runs = stage == AT_RUNNING || stage == AT_INTERRUPT ||
			    stage == AT_CONFIG || stage == AT_FAILED;
		unsigned before;
		uint64_t old;

		enter(&w, stage);
		old = status(&w);
		before = w.notified[0];
		out(&w, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
		assert_int_equal(w.notified[0], before + runs);
		out(&w, VIRTIO_MMIO_QUEUE_NOTIFY, 1); /* not ready */
		assert_int_equal(w.notified[1], 0);
		assert_int_equal(status(&w), old);
		out(&w, VIRTIO_MMIO_QUEUE_NOTIFY, QUEUES);
		assert_int_equal(status(&w), stage == AT_STOPPING ? old : old | NEEDS_RESET);
		stop(&w);
	}
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
	assert_non_null(strstr(text, "warn virtio test: status 0x02 written over 0x00"));
	close(out_fds[0]);
	close(out_fds[1]);
	close(stderr_fd);
	stop(&w);
}

/* ---- reset ----------------------------------------------------------------------- */

static void reset_keeps_the_vcpu_waiting_until_nothing_is_in_flight(void **state)
{
	struct world w;

	enter(&w, AT_RUNNING);
	w.stops_later = true;
	w.vcpu = 3;
	virtio_driver_reset(&w.driver);
	assert_int_equal(w.held, 1 << 3);
	assert_int_equal(status(&w), RUNNING);
	w.vcpu = 31;
	virtio_driver_reset(&w.driver);
	w.vcpu = 0;
	virtio_driver_reset(&w.driver);
	virtio_driver_reset(&w.driver);
	assert_int_equal(w.held, UINT32_C(1) << 31 | 1 << 3 | 1);
	assert_int_equal(w.stops, 1);
	virtio_stopped(&w.dev);
	assert_int_equal(w.held, 0);
	assert_int_equal(status(&w), 0);
	assert_int_equal(in(&w, VIRTIO_MMIO_QUEUE_READY), 0);
	assert_int_equal(w.dev.acked, 0);
	stop(&w);
}

static void reset_that_is_done_at_once_holds_nobody(void **state)
{
	struct world w;

	enter(&w, AT_RUNNING);
	virtio_driver_reset(&w.driver);
	assert_int_equal(w.held, 0);
	assert_int_equal(status(&w), 0);
	stop(&w);
}

static void reset_works_where_nobody_can_wait(void **state)
{
	struct world w;

	start_with(&w, &ops, false);
	virtio_driver_start(&w.driver, 0, 1, 8);
	w.stops_later = true;
	virtio_driver_reset(&w.driver);
	assert_int_equal(status(&w), RUNNING);
	virtio_stopped(&w.dev);
	assert_int_equal(status(&w), 0);
	stop(&w);
}

static void writes_during_a_reset_are_ignored(void **state)
{
	static struct virtio_dev dev;
	static struct virtio_mmio mmio;
	struct world w;

	start_with(&w, &writable_ops, true);
	virtio_driver_start(&w.driver, 0, 1, 8);
	w.stops_later = true;
	virtio_driver_reset(&w.driver);
	dev = w.dev;
	mmio = w.mmio;
	for (unsigned off = 0; off < VIRTIO_MMIO_WINDOW; off += 4)
		out(&w, off, 0x55);
	assert_memory_equal(&dev, &w.dev, sizeof(dev));
	assert_memory_equal(&mmio, &w.mmio, sizeof(mmio));
	assert_int_equal(w.config_writes, 0);
	stop(&w);
}

/* ---- configuration space --------------------------------------------------------- */

static void generation_counts_changes(void **state)
{
	struct world w;
	uint64_t before;

	enter(&w, AT_RUNNING);
	before = in(&w, VIRTIO_MMIO_CONFIG_GENERATION);
	virtio_set_config(&w.dev, 0, config, sizeof(config)); /* no change */
	assert_int_equal(in(&w, VIRTIO_MMIO_CONFIG_GENERATION), before);
	virtio_set_config(&w.dev, CONFIG_BYTES - 1, "!", 1);
	assert_int_equal(in(&w, VIRTIO_MMIO_CONFIG_GENERATION), before + 1);
	assert_int_equal(in_at(&w, VIRTIO_MMIO_CONFIG + CONFIG_BYTES - 1, 1), '!');
	virtio_set_config(&w.dev, 0, "", 0);
	assert_int_equal(in(&w, VIRTIO_MMIO_CONFIG_GENERATION), before + 1);
	/* A reset does not undo what the host has set. */
	virtio_driver_reset(&w.driver);
	assert_int_equal(in(&w, VIRTIO_MMIO_CONFIG_GENERATION), before + 1);
	check_page(&w, AT_RESET);
	assert_int_equal(w.pulses, 0);
	stop(&w);
}

struct config_case {
	unsigned off, size;
	bool taken;
};

static void driver_writes_configuration_in_aligned_pieces(void **state)
{
	static const struct config_case cases[] = {
		{ 0, 1, true },	   { 0, 2, true },	{ 0, 4, true },	   { 0, 8, false },
		{ 3, 1, true },	   { 3, 2, false },	{ 6, 2, true },	   { 6, 4, false },
		{ 16, 4, true },   { 20, 1, true },	{ 20, 2, false },  { 20, 4, false },
		{ 21, 1, false },  { 24, 4, false },	{ 127, 1, false }, { 128, 1, false },
		{ 128, 4, false }, { 0xefc, 4, false },
	};
	const uint64_t value = 0x8877665544332211;
	struct world w;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct config_case *c = &cases[i];

		start_with(&w, &writable_ops, true);
		out_at(&w, VIRTIO_MMIO_CONFIG + c->off, c->size, value);
		if (w.config_writes != c->taken)
			fail_msg("%u bytes at %u: %u", c->size, c->off, w.config_writes);
		if (c->taken) {
			assert_int_equal(w.config_off, c->off);
			assert_int_equal(w.config_len, c->size);
			assert_memory_equal(w.page + VIRTIO_MMIO_CONFIG + c->off, &value,
					    c->size);
		}
		check_page(&w, AT_INIT);
		stop(&w);
	}
}

static void device_without_configuration_space_has_none(void **state)
{
	struct dev_env env = { .loop = loop };
	const struct virtio_setup s = { .ops = &ops, .name = "bare", .env = &env };
	struct virtio_mmio m;
	struct virtio_dev d;
	struct bus_range r;

	virtio_init(&d, &s);
	/* Before there is a transport. */
	virtio_fault(&d, "nobody");
	virtio_reset(&d);
	virtio_mmio_init(&m, &d);
	r = virtio_mmio_range(&m, 0xd0001000);
	assert_int_equal(r.space, BUS_MMIO);
	assert_int_equal(r.first, 0xd0001000);
	assert_int_equal(r.last, 0xd0001fff);
	assert_string_equal(r.name, "bare");
	for (unsigned off = VIRTIO_MMIO_CONFIG; off < VIRTIO_MMIO_WINDOW; off += 8)
		assert_int_equal(r.read(r.dev, off, 8), 0);
	assert_int_equal(r.read(r.dev, VIRTIO_MMIO_QUEUE_NUM_MAX, 4), 0);
	r.write(r.dev, VIRTIO_MMIO_QUEUE_NOTIFY, 4, 0);
	assert_int_equal(r.read(r.dev, VIRTIO_MMIO_STATUS, 4), NEEDS_RESET);
}

/* ---- life ------------------------------------------------------------------------ */

static void device_works(void **state)
{
	uint32_t id, len;
	struct world w;

	start(&w);
	virtio_driver_start(&w.driver, RING_FEATURES, QUEUES, 8);
	assert_int_equal(w.starts, 1);
	for (unsigned i = 0; i < 100; i++) {
		const struct vring_seg seg = { DATA, 100 + i, true };

		vring_want_interrupt(&w.driver.queues[0], true);
		assert_int_equal(vring_add(&w.driver.queues[0], &seg, 1), 0);
		assert_true(virtio_driver_kick(&w.driver, 0));
		assert_int_equal(w.pulses, i);
		turn();
		assert_int_equal(w.pulses, i + 1);
		assert_int_equal(virtio_driver_acknowledge(&w.driver), VIRTIO_MMIO_INT_VRING);
		assert_true(vring_reap(&w.driver.queues[0], &id, &len));
		assert_int_equal(len, 100 + i);
	}
	assert_int_equal(w.notified[0], 100);
	assert_int_equal(w.dev.queues[0].counts.notifications, 100);
	assert_int_equal(w.dev.counts.interrupts, 100);
	stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_reads_as_an_access_does_in_every_state),
		cmocka_unit_test(page_that_was_taken_away_stays_as_it_was),
		cmocka_unit_test(registers_read_as_the_specification_says),
		cmocka_unit_test(features_follow_their_selector),
		cmocka_unit_test(queues_follow_their_selector),
		cmocka_unit_test(status_bits_are_set_in_order),
		cmocka_unit_test(device_starts_once_and_stops_once),
		cmocka_unit_test(device_may_refuse_to_start),
		cmocka_unit_test(only_offered_features_are_accepted),
		cmocka_unit_test(features_behind_the_last_word_are_a_fault),
		cmocka_unit_test(registers_may_be_written_at_their_time_only),
		cmocka_unit_test(layout_is_only_what_was_written_in_time),
		cmocka_unit_test(other_widths_and_alignments_are_ignored),
		cmocka_unit_test(any_word_may_be_written_anywhere),
		cmocka_unit_test(queue_becomes_ready_once_and_in_time),
		cmocka_unit_test(queue_that_was_taken_back_can_be_made_ready_elsewhere),
		cmocka_unit_test(queue_in_no_memory_is_a_fault),
		cmocka_unit_test(ring_features_are_those_negotiated),
		cmocka_unit_test(notification_reaches_a_ready_queue_of_a_running_device),
		cmocka_unit_test(one_edge_a_turn),
		cmocka_unit_test(acknowledging_clears_what_was_acknowledged),
		cmocka_unit_test(no_interrupt_that_is_not_wanted),
		cmocka_unit_test(no_interrupt_before_driver_ok_and_after_a_reset),
		cmocka_unit_test(fault_stops_the_device_and_tells_the_driver),
		cmocka_unit_test(fault_prints_a_line_within_limits),
		cmocka_unit_test(reset_keeps_the_vcpu_waiting_until_nothing_is_in_flight),
		cmocka_unit_test(reset_that_is_done_at_once_holds_nobody),
		cmocka_unit_test(reset_works_where_nobody_can_wait),
		cmocka_unit_test(writes_during_a_reset_are_ignored),
		cmocka_unit_test(generation_counts_changes),
		cmocka_unit_test(driver_writes_configuration_in_aligned_pieces),
		cmocka_unit_test(device_without_configuration_space_has_none),
		cmocka_unit_test(device_works),
	};
	int failed;

	if (loop_create(&loop, 8))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	loop_destroy(loop);
	return failed;
}
