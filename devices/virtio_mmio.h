/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over MMIO, version 2 (virtio 1.2 §4.2): one window of 4 KiB a device.
 *
 * What the driver reads is an image of the window, the bytes that each register has now,
 * kept up to date whenever one changes. A read by access takes bytes out of the image; the
 * register page is a copy of the image that the guest reads without an exit. So both always
 * give the same, whatever the width and alignment. Registers that are write-only read 0,
 * and so does what lies behind the configuration space.
 *
 * Writes: registers take aligned 32-bit writes, others are ignored (§4.2.2.2 forbids them).
 * The configuration space takes 1, 2 or 4 bytes.
 *
 * A register that is written when the driver must not is a fault of the driver: features
 * after FEATURES_OK, a queue's size and addresses before FEATURES_OK, after DRIVER_OK or
 * while the queue is ready. So is writing 0 to QueueReady of a queue that is ready after
 * DRIVER_OK, since VIRTIO_F_RING_RESET is not offered; before, it takes the queue back.
 *
 * Writing 0 to Status keeps the vCPU waiting (dev_env.hold) until nothing is in flight any
 * more, since Linux does not read Status back; other vCPUs read the status as it was until
 * then. Other writes during a reset are ignored.
 *
 * InterruptACK may be done below us (virtio_mmio_acked_below): the page is then where
 * InterruptStatus is, and bits are set there in a way that takes none of the guest's
 * acknowledgements back.
 *
 * Input from the guest: offset, size and value of every write, offset and size of every
 * read.
 */
#ifndef DEVICES_VIRTIO_MMIO_H
#define DEVICES_VIRTIO_MMIO_H

#include "devices/bus.h"
#include "devices/virtio.h"

#define VIRTIO_MMIO_WINDOW 4096
#define VIRTIO_MMIO_IMAGE (0x100 + VIRTIO_CONFIG_MAX)

struct virtio_mmio {
	struct virtio_dev *dev;
	uint32_t device_features_sel, driver_features_sel, queue_sel;
	struct virtq_layout layout[VIRTIO_QUEUES_MAX]; /* as written so far */
	uint32_t held; /* vCPUs that wait for the reset, a bit each */
	uint8_t *page; /* the register page; NULL: none */
	bool acked_below; /* writes of InterruptACK may change the page without us */
	uint8_t image[VIRTIO_MMIO_IMAGE] __attribute__((aligned(8)));
};

/* Connect `m` (caller's) and `dev` (borrowed) for life. */
void virtio_mmio_init(struct virtio_mmio *m, struct virtio_dev *dev);

/* The range to put on the bus, with this transport's handlers. */
struct bus_range virtio_mmio_range(struct virtio_mmio *m, uint64_t base);

/*
 * Keep a copy of the image at `page` (VIRTIO_MMIO_WINDOW bytes, borrowed; all of it is written
 * now). It is never read. NULL: no more.
 */
void virtio_mmio_set_page(struct virtio_mmio *m, void *page);

/* There is a page, and from now on not every write of InterruptACK comes here. */
void virtio_mmio_acked_below(struct virtio_mmio *m);

#endif
