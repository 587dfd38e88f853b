/* SPDX-License-Identifier: Apache-2.0 */
/* The registers of virtio over MMIO, and the register page. */
#include "tests/unit/virtio_fixture.h"

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

/* What the hypervisor does with a write of InterruptACK. */
static void acknowledge_below(struct world *w, uint8_t bits)
{
	w->page[VIRTIO_MMIO_INTERRUPT_STATUS] &= (uint8_t)~bits;
}

static void interrupt(struct world *w, uint8_t why)
{
	if (why & VIRTIO_MMIO_INT_VRING)
		virtio_used(&w->dev, 0);
	if (why & VIRTIO_MMIO_INT_CONFIG)
		virtio_config_interrupt(&w->dev);
	turn();
}

static void interrupts_acknowledged_below_stay_so(void **state)
{
	struct world w;
	uint8_t *seen = &w.page[VIRTIO_MMIO_INTERRUPT_STATUS];

	start(&w);
	virtio_mmio_acked_below(&w.mmio);
	virtio_driver_start(&w.driver, 0, 1, 8);
	interrupt(&w, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(*seen, VIRTIO_MMIO_INT_CONFIG);
	acknowledge_below(&w, VIRTIO_MMIO_INT_CONFIG);
	interrupt(&w, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(*seen, VIRTIO_MMIO_INT_CONFIG); /* again */
	acknowledge_below(&w, VIRTIO_MMIO_INT_CONFIG);
	virtio_set_config(&w.dev, 0, "C", 1);
	out(&w, VIRTIO_MMIO_QUEUE_SEL, 1);
	assert_int_equal(*seen, 0); /* nothing else brings it back */
	out(&w, VIRTIO_MMIO_QUEUE_SEL, 0);
	request(&w);
	turn();
	assert_int_equal(*seen, VIRTIO_MMIO_INT_VRING); /* nor does another one */
	interrupt(&w, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(*seen, VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG);
	out(&w, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING); /* by an access */
	assert_int_equal(*seen, VIRTIO_MMIO_INT_CONFIG);
	virtio_driver_reset(&w.driver);
	assert_int_equal(*seen, 0);
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

static void queue_that_does_not_exist_has_no_layout(void **state)
{
	static const uint32_t queues[] = { QUEUES, VIRTIO_QUEUES_MAX, 0xffffffff };
	static const unsigned layout[] = {
		VIRTIO_MMIO_QUEUE_NUM,	      VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_DESC_HIGH,  VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		VIRTIO_MMIO_QUEUE_AVAIL_HIGH, VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_QUEUE_USED_HIGH,
	};
	struct world w;

	for (unsigned i = 0; i < ARRAY_SIZE(queues) * ARRAY_SIZE(layout); i++) {
		enter(&w, AT_NEGOTIATED);
		out(&w, VIRTIO_MMIO_QUEUE_SEL, queues[i % ARRAY_SIZE(queues)]);
		out(&w, layout[i / ARRAY_SIZE(queues)], 1);
		assert_int_equal(status(&w), NEGOTIATED | NEEDS_RESET);
		stop(&w);
	}
}

static void nothing_is_set_up_after_a_fault(void **state)
{
	uint64_t acked;
	struct world w;

	enter(&w, AT_FAULT_EARLY);
	out(&w, VIRTIO_MMIO_QUEUE_SEL, 1);
	out(&w, VIRTIO_MMIO_QUEUE_NUM, 8);
	assert_int_equal(w.mmio.layout[1].num, 0);
	w.mmio.layout[1] = w.driver.queues[0].where;
	out(&w, VIRTIO_MMIO_QUEUE_READY, 1);
	assert_int_equal(in(&w, VIRTIO_MMIO_QUEUE_READY), 0);
	stop(&w);

	enter(&w, AT_DRIVER);
	virtio_fault(&w.dev, "early");
	acked = w.dev.acked;
	out(&w, VIRTIO_MMIO_DRIVER_FEATURES, 8);
	assert_int_equal(w.dev.acked, acked);
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

static void reset_forgets_what_was_selected(void **state)
{
	struct world w;

	start(&w);
	out(&w, VIRTIO_MMIO_QUEUE_SEL, QUEUES);
	out(&w, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	out(&w, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	/* Only the 32 bits of the register count. */
	out_at(&w, VIRTIO_MMIO_STATUS, 4, UINT64_C(0xff00000000));
	assert_int_equal(in(&w, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	assert_int_equal(in(&w, VIRTIO_MMIO_DEVICE_FEATURES), 0x30000008);
	out(&w, VIRTIO_MMIO_DRIVER_FEATURES, 8);
	assert_int_equal(w.dev.acked, 8);
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
		cmocka_unit_test(interrupts_acknowledged_below_stay_so),
		cmocka_unit_test(registers_read_as_the_specification_says),
		cmocka_unit_test(features_follow_their_selector),
		cmocka_unit_test(queues_follow_their_selector),
		cmocka_unit_test(registers_may_be_written_at_their_time_only),
		cmocka_unit_test(layout_is_only_what_was_written_in_time),
		cmocka_unit_test(queue_that_does_not_exist_has_no_layout),
		cmocka_unit_test(nothing_is_set_up_after_a_fault),
		cmocka_unit_test(other_widths_and_alignments_are_ignored),
		cmocka_unit_test(any_word_may_be_written_anywhere),
		cmocka_unit_test(queue_becomes_ready_once_and_in_time),
		cmocka_unit_test(queue_that_was_taken_back_can_be_made_ready_elsewhere),
		cmocka_unit_test(queue_in_no_memory_is_a_fault),
		cmocka_unit_test(ring_features_are_those_negotiated),
		cmocka_unit_test(notification_reaches_a_ready_queue_of_a_running_device),
		cmocka_unit_test(reset_keeps_the_vcpu_waiting_until_nothing_is_in_flight),
		cmocka_unit_test(reset_that_is_done_at_once_holds_nobody),
		cmocka_unit_test(reset_forgets_what_was_selected),
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
