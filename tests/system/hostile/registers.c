/* SPDX-License-Identifier: Apache-2.0 */
/* Every register at every width and alignment, read and written, in every state. */
#include "tests/system/hostile/hostile.h"

static const unsigned widths[] = { 1, 2, 4, 8 };
#define DENSE 0x140 /* beyond registers and configuration space there is nothing */
#define SPARSE 253

/* The offsets to try: all where something is, some where nothing is, across the end. */
static unsigned next_offset(unsigned off)
{
	if (off < DENSE || off >= PAGE - 9)
		return off + 1;
	return off + SPARSE < PAGE - 9 ? off + SPARSE : PAGE - 9;
}

static void read_all(struct dev *d)
{
	for (unsigned off = 0; off < PAGE; off = next_offset(off)) {
		for (unsigned w = 0; w < 4; w++)
			d->h->read(d->h->ctx, d->base + off, widths[w]);
	}
}

static void write_all(struct dev *d, bool (*enter)(struct dev *d))
{
	static const uint64_t values[] = { 0, 1, 0xffffffffffffffff };
	unsigned n = 0;

	for (unsigned off = 0; off < PAGE; off = next_offset(off)) {
		for (unsigned w = 0; w < 4; w++) {
			const uint64_t value = n % 4 < 3 ? values[n % 4] : random64(d);

			n++;
			d->h->write(d->h->ctx, d->base + off, widths[w], value);
			/* What was written may have led out of the state. */
			if (n % 64 == 0)
				(void)enter(d);
		}
	}
}

static bool in_reset(struct dev *d)
{
	return dev_reset(d);
}
static bool in_acknowledge(struct dev *d)
{
	bool ok = dev_reset(d);

	set(d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	return ok;
}
static bool in_features_ok(struct dev *d)
{
	return dev_reset(d) && dev_negotiate(d, 0);
}
static bool in_queue_ready(struct dev *d)
{
	return in_features_ok(d) && ring_setup(d, 0, RING_NUM);
}
static bool in_driver_ok(struct dev *d)
{
	return dev_start(d, RING_NUM, 0);
}
static bool in_flight(struct dev *d)
{
	const unsigned q = main_queue(d);

	if (!dev_start(d, RING_NUM, 0))
		return false;
	valid_chain(d);
	ring_offer(&d->ring[q], 0);
	ring_kick(d, q);
	return true;
}
static bool in_needs_reset(struct dev *d)
{
	const unsigned q = main_queue(d);

	if (!dev_start(d, RING_NUM, 0))
		return false;
	d->ring[q].avail->idx = 0x7fff;
	ring_kick(d, q);
	return faulted_soon(d);
}
static bool in_failed(struct dev *d)
{
	bool ok = in_driver_ok(d);

	set(d, VIRTIO_MMIO_STATUS, get(d, VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_FAILED);
	return ok;
}

static const char *sweep(struct dev *d, bool (*enter)(struct dev *d))
{
	if (!enter(d))
		return "the state cannot be entered";
	read_all(d);
	write_all(d, enter);
	return NULL;
}

#define SWEEP(state)                                    \
	static const char *sweep_##state(struct dev *d) \
	{                                               \
		return sweep(d, in_##state);            \
	}
SWEEP(reset)
SWEEP(acknowledge)
SWEEP(features_ok)
SWEEP(queue_ready)
SWEEP(driver_ok)
SWEEP(flight)
SWEEP(needs_reset)
SWEEP(failed)

/* Each selector out of its range, then what it selects. */
static const char *selectors(struct dev *d)
{
	static const uint32_t numbers[] = { 2, 3, 15, 16, 17, 31, 255, 0xffff, 0xffffffff };

	if (!in_features_ok(d))
		return "the state cannot be entered";
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		set(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, numbers[i]);
		if (get(d, VIRTIO_MMIO_DEVICE_FEATURES) != 0)
			return "there are features beyond the 64th";
		set(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, numbers[i]);
		set(d, VIRTIO_MMIO_DRIVER_FEATURES, 0xffffffff);
		set(d, VIRTIO_MMIO_QUEUE_SEL, numbers[i] | 16);
		if (get(d, VIRTIO_MMIO_QUEUE_NUM_MAX) != 0)
			return "there is a queue that cannot be";
		set(d, VIRTIO_MMIO_QUEUE_NUM, 8);
		set(d, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)page_gpa(d, 0));
		set(d, VIRTIO_MMIO_QUEUE_READY, 1);
		if (get(d, VIRTIO_MMIO_QUEUE_READY) != 0)
			return "a queue that cannot be is ready";
	}
	return NULL;
}

/* Features that were not offered. */
static const char *features(struct dev *d)
{
	static const uint64_t wrong[] = { 0, 1ull << 63, 1ull << VIRTIO_F_RING_PACKED, ~0ull };

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (!in_acknowledge(d))
			return "the state cannot be entered";
		set(d, VIRTIO_MMIO_STATUS, 3);
		for (unsigned half = 0; half < 2; half++) {
			set(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, half);
			set(d, VIRTIO_MMIO_DRIVER_FEATURES,
			    (uint32_t)(wrong[i] >> (32 * half)));
		}
		set(d, VIRTIO_MMIO_STATUS, 3 | VIRTIO_CONFIG_S_FEATURES_OK);
		if (get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK)
			return "features were accepted that were not offered";
		set(d, VIRTIO_MMIO_STATUS, 7);
		set(d, VIRTIO_MMIO_STATUS, 15);
		ring_kick(d, 0);
	}
	return NULL;
}

const struct attack register_attacks[] = {
	{ "registers in reset", 0, sweep_reset },
	{ "registers after ACKNOWLEDGE", 0, sweep_acknowledge },
	{ "registers after FEATURES_OK", 0, sweep_features_ok },
	{ "registers with a queue ready", 0, sweep_queue_ready },
	{ "registers after DRIVER_OK", 0, sweep_driver_ok },
	{ "registers with requests in flight", 0, sweep_flight },
	{ "registers while a reset is needed", 0, sweep_needs_reset },
	{ "registers after FAILED", 0, sweep_failed },
	{ "selectors", 0, selectors },
	{ "features", 0, features },
	{ NULL, 0, NULL },
};
