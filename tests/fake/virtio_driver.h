/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio driver on virtio-mmio, for tests: brings a device up by register accesses, as
 * a kernel does, and asserts that the device goes along. Its queues are vring_driver's.
 */
#ifndef TESTS_FAKE_VIRTIO_DRIVER_H
#define TESTS_FAKE_VIRTIO_DRIVER_H

#include "devices/virtio_mmio.h"
#include "tests/fake/vring_driver.h"

struct virtio_driver {
	struct bus_range mmio;
	struct ram_fake *ram;
	uint64_t base, at; /* where the areas of the first and the next queue go */
	uint64_t features; /* accepted */
	struct vring_driver queues[VIRTIO_QUEUES_MAX];
};

/* Drive the device behind `m`; areas of queues are put into `ram` from `at` (of a page) on. */
void virtio_driver_init(struct virtio_driver *g, struct virtio_mmio *m, struct ram_fake *ram,
			uint64_t at);

uint32_t virtio_driver_read(struct virtio_driver *g, unsigned reg);
void virtio_driver_write(struct virtio_driver *g, unsigned reg, uint32_t value);

/* From reset to FEATURES_OK, with those of `wanted` that are offered, and VERSION_1. */
void virtio_driver_negotiate(struct virtio_driver *g, uint64_t wanted);

/* Make a queue ready, `num` descriptors long. */
void virtio_driver_queue(struct virtio_driver *g, unsigned q, unsigned num);

/* DRIVER_OK. */
void virtio_driver_ok(struct virtio_driver *g);

/* All of it: negotiate, make the first `queues` queues ready, DRIVER_OK. */
void virtio_driver_start(struct virtio_driver *g, uint64_t wanted, unsigned queues,
			 unsigned num);

/* Write 0 to Status; the device may need turns of the loop until it reads 0. */
void virtio_driver_reset(struct virtio_driver *g);

/* Notify the device of what was added to the queue, if it wants that; whether it did. */
bool virtio_driver_kick(struct virtio_driver *g, unsigned q);

/* What an interrupt handler does: read InterruptStatus and acknowledge it. */
uint32_t virtio_driver_acknowledge(struct virtio_driver *g);

#endif
