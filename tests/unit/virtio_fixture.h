/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device of our own behind virtio-mmio, in a machine that is played here, and
 * the states that it can be in. For test_virtio.c and test_virtio_mmio.c.
 */
#ifndef TESTS_UNIT_VIRTIO_FIXTURE_H
#define TESTS_UNIT_VIRTIO_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
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

static inline struct world *world_of(struct virtio_dev *d)
{
	return CONTAINER_OF(d, struct world, dev);
}

static inline void on_start(struct virtio_dev *d)
{
	world_of(d)->starts++;
	assert_int_equal(d->run, VIRTIO_RUNNING);
	if (world_of(d)->faults_at_start)
		virtio_fault(d, "does not start");
}

/* Everything is done at once. */
static inline void on_notify(struct virtio_dev *d, unsigned q)
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

static inline void on_stop(struct virtio_dev *d)
{
	world_of(d)->stops++;
	assert_int_equal(d->run, VIRTIO_STOPPING);
	if (!world_of(d)->stops_later)
		virtio_stopped(d);
}

static inline void on_config_write(struct virtio_dev *d, unsigned off, const void *src,
				   unsigned len)
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

static inline void on_pulse(void *ctx, unsigned gsi)
{
	struct world *w = ctx;

	assert_int_equal(gsi, GSI);
	/* The driver must find why when it looks. */
	assert_true(w->dev.interrupt_status != 0);
	if (w->mmio.acked_below)
		assert_true(w->page[VIRTIO_MMIO_INTERRUPT_STATUS] != 0);
	else
		assert_int_equal(w->page[VIRTIO_MMIO_INTERRUPT_STATUS],
				 w->dev.interrupt_status);
	w->pulses++;
}

static inline unsigned on_hold(void *ctx)
{
	struct world *w = ctx;

	w->held |= UINT32_C(1) << w->vcpu;
	return w->vcpu;
}

static inline void on_release(void *ctx, unsigned vcpu)
{
	struct world *w = ctx;

	assert_true(w->held & UINT32_C(1) << vcpu);
	w->held &= ~(UINT32_C(1) << vcpu);
	/* It goes on and may read the page at once. */
	assert_int_equal(w->page[VIRTIO_MMIO_STATUS], 0);
}

static const uint8_t config[CONFIG_BYTES] = "configuration space!";

static inline void start_with(struct world *w, const struct virtio_ops *kind, bool can_hold)
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

static inline void start(struct world *w)
{
	start_with(w, &ops, true);
}

static inline void nothing(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

static inline void turn(void)
{
	struct loop_op op = { .done = nothing };

	loop_defer(loop, &op);
	while (op.busy)
		assert_int_equal(loop_turn(loop), 0);
}

static inline void stop(struct world *w)
{
	w->stops_later = false;
	if (w->dev.run == VIRTIO_STOPPING)
		virtio_stopped(&w->dev);
	virtio_reset(&w->dev);
	turn(); /* `dev` is in its list */
	ram_fake_free(&w->ram);
}

static inline uint64_t in(struct world *w, unsigned reg)
{
	return virtio_driver_read(&w->driver, reg);
}

static inline void out(struct world *w, unsigned reg, uint32_t value)
{
	virtio_driver_write(&w->driver, reg, value);
}

static inline void out_at(struct world *w, unsigned off, unsigned size, uint64_t value)
{
	w->driver.mmio.write(w->driver.mmio.dev, off, size, value);
}

static inline uint64_t in_at(struct world *w, unsigned off, unsigned size)
{
	return w->driver.mmio.read(w->driver.mmio.dev, off, size);
}

static inline uint64_t status(struct world *w)
{
	return in(w, VIRTIO_MMIO_STATUS);
}

/* A request that the device answers in its queue 0. */
static inline void request(struct world *w)
{
	const struct vring_seg seg = { DATA, 64, true };

	vring_want_interrupt(&w->driver.queues[0], true);
	assert_true(vring_add(&w->driver.queues[0], &seg, 1) >= 0);
	out(w, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
}

/* One that breaks the rules. */
static inline void bad_request(struct world *w)
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

static inline void enter(struct world *w, enum stage stage)
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

#endif
