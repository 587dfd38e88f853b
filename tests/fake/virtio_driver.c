/* SPDX-License-Identifier: Apache-2.0 */
/* A virtio driver on virtio-mmio: see virtio_driver.h. */
#include "tests/fake/virtio_driver.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>

#define STATUS_NEGOTIATED \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

void virtio_driver_init(struct virtio_driver *g, struct virtio_mmio *m, struct ram_fake *ram,
			uint64_t at)
{
	assert(at % PAGE_BYTES == 0);
	*g = (struct virtio_driver){ .mmio = virtio_mmio_range(m, 0), .ram = ram, .base = at };
}

uint32_t virtio_driver_read(struct virtio_driver *g, unsigned reg)
{
	return (uint32_t)g->mmio.read(g->mmio.dev, reg, 4);
}

void virtio_driver_write(struct virtio_driver *g, unsigned reg, uint32_t value)
{
	g->mmio.write(g->mmio.dev, reg, 4, value);
}

static uint64_t offered(struct virtio_driver *g)
{
	uint64_t low;

	virtio_driver_write(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = virtio_driver_read(g, VIRTIO_MMIO_DEVICE_FEATURES);
	virtio_driver_write(g, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)virtio_driver_read(g, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

static void accept(struct virtio_driver *g, uint64_t features)
{
	virtio_driver_write(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	virtio_driver_write(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	virtio_driver_write(g, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	virtio_driver_write(g, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	g->features = features;
}

void virtio_driver_negotiate(struct virtio_driver *g, uint64_t wanted)
{
	virtio_driver_reset(g);
	g->at = g->base;
	assert(virtio_driver_read(g, VIRTIO_MMIO_STATUS) == 0);
	virtio_driver_write(g, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_driver_write(g, VIRTIO_MMIO_STATUS,
			    VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	accept(g, offered(g) & (wanted | UINT64_C(1) << VIRTIO_F_VERSION_1));
	virtio_driver_write(g, VIRTIO_MMIO_STATUS, STATUS_NEGOTIATED);
	assert(virtio_driver_read(g, VIRTIO_MMIO_STATUS) == STATUS_NEGOTIATED);
}

static void write_address(struct virtio_driver *g, unsigned low, gpa_t at)
{
	virtio_driver_write(g, low, (uint32_t)at.v);
	virtio_driver_write(g, low + 4, (uint32_t)(at.v >> 32));
}

void virtio_driver_queue(struct virtio_driver *g, unsigned q, unsigned num)
{
	struct vring_driver *v = &g->queues[q];

	vring_driver_init(v, g->ram, g->at, num, g->features >> VIRTIO_RING_F_EVENT_IDX & 1);
	g->at += align_up(vring_bytes(num), PAGE_BYTES);
	virtio_driver_write(g, VIRTIO_MMIO_QUEUE_SEL, q);
	assert(virtio_driver_read(g, VIRTIO_MMIO_QUEUE_READY) == 0);
	assert(virtio_driver_read(g, VIRTIO_MMIO_QUEUE_NUM_MAX) >= num);
	virtio_driver_write(g, VIRTIO_MMIO_QUEUE_NUM, num);
	write_address(g, VIRTIO_MMIO_QUEUE_DESC_LOW, v->where.desc);
	write_address(g, VIRTIO_MMIO_QUEUE_AVAIL_LOW, v->where.avail);
	write_address(g, VIRTIO_MMIO_QUEUE_USED_LOW, v->where.used);
	virtio_driver_write(g, VIRTIO_MMIO_QUEUE_READY, 1);
	assert(virtio_driver_read(g, VIRTIO_MMIO_QUEUE_READY) == 1);
}

void virtio_driver_ok(struct virtio_driver *g)
{
	virtio_driver_write(g, VIRTIO_MMIO_STATUS,
			    STATUS_NEGOTIATED | VIRTIO_CONFIG_S_DRIVER_OK);
	assert(virtio_driver_read(g, VIRTIO_MMIO_STATUS) ==
	       (STATUS_NEGOTIATED | VIRTIO_CONFIG_S_DRIVER_OK));
}

void virtio_driver_start(struct virtio_driver *g, uint64_t wanted, unsigned queues,
			 unsigned num)
{
	virtio_driver_negotiate(g, wanted);
	for (unsigned q = 0; q < queues; q++)
		virtio_driver_queue(g, q, num);
	virtio_driver_ok(g);
}

void virtio_driver_reset(struct virtio_driver *g)
{
	virtio_driver_write(g, VIRTIO_MMIO_STATUS, 0);
}

bool virtio_driver_kick(struct virtio_driver *g, unsigned q)
{
	bool wanted = vring_wants_kick(&g->queues[q]);

	if (wanted)
		virtio_driver_write(g, VIRTIO_MMIO_QUEUE_NOTIFY, q);
	return wanted;
}

uint32_t virtio_driver_acknowledge(struct virtio_driver *g)
{
	uint32_t why = virtio_driver_read(g, VIRTIO_MMIO_INTERRUPT_STATUS);

	virtio_driver_write(g, VIRTIO_MMIO_INTERRUPT_ACK, why);
	return why;
}
