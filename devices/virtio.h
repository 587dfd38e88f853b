/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device without its transport (virtio 1.2 §2, §3): status, features, queues,
 * configuration space, interrupts. virtio_mmio.c is the driver's side of this interface,
 * the devices (virtio_blk.c, virtio_net.c) are the other.
 *
 * Input from the guest: all by way of the transport, which has checked that an access lies
 * in a register.
 */
#ifndef DEVICES_VIRTIO_H
#define DEVICES_VIRTIO_H

#include "devices/env.h"
#include "devices/virtqueue.h"
#include "vmm/lib/log.h"

#define VIRTIO_QUEUES_MAX 16
#define VIRTIO_CONFIG_MAX 128 /* bytes of configuration space */

struct virtio_dev;

/* What a kind of device does. Called from the loop's turn; none may block. */
struct virtio_ops {
	uint32_t id; /* VIRTIO_ID_* */
	/*
	 * DRIVER_OK was set: `acked` and the queues are final. Queues that the driver did
	 * not make ready stay out of use.
	 */
	void (*start)(struct virtio_dev *d);
	/* The driver notified this queue, which is ready; only between start and stop. */
	void (*notify)(struct virtio_dev *d, unsigned q);
	/*
	 * Take no more chains, cancel what is in flight, and call virtio_stopped when
	 * nothing is any more, at once or later; no chain needs to be pushed. Then
	 * everything is as before `start`. Called once after each start, for a reset and at
	 * the end; a fault goes on to the reset that the driver must do.
	 */
	void (*stop)(struct virtio_dev *d);
	/*
	 * The driver wrote to the configuration space: [off, off + len) lies in it, len is
	 * 1, 2 or 4. NULL: it is read-only. To accept the write, call virtio_set_config.
	 */
	void (*config_write)(struct virtio_dev *d, unsigned off, const void *src, unsigned len);
};

enum virtio_run {
	VIRTIO_IDLE, /* not started */
	VIRTIO_RUNNING, /* between start and stop */
	/* still started; the driver broke the rules, nothing is taken or pushed any more */
	VIRTIO_FAULTED,
	VIRTIO_STOPPING, /* stop was called, virtio_stopped was not yet */
};

/* How the device core talks to its transport. */
struct virtio_transport_ops {
	/*
	 * Configuration space or status have changed: what the driver reads is to follow.
	 */
	void (*changed)(struct virtio_dev *d);
	/* These bits are now set in the interrupt status, and an edge follows. */
	void (*raised)(struct virtio_dev *d, uint8_t bits);
	/* Nothing is in flight any more: finish the reset. */
	void (*stopped)(struct virtio_dev *d);
};

struct virtio_counts {
	uint64_t interrupts; /* edges raised */
	uint64_t faults; /* DEVICE_NEEDS_RESET */
	uint64_t resets;
};

/*
 * Embedded in each device. Fields are read by all sides, written by virtio.c and
 * virtio_mmio.c.
 */
struct virtio_dev {
	const struct virtio_ops *ops;
	const struct virtio_transport_ops *transport; /* NULL: not attached yet */
	void *transport_ctx; /* the transport's own */
	const char *name; /* "drive rootfs", for messages; borrowed */
	struct dev_env env;
	unsigned gsi;

	uint64_t offered, acked; /* feature bits; VIRTIO_F_VERSION_1 is always offered */
	uint8_t status; /* VIRTIO_CONFIG_S_* */
	/* VIRTIO_MMIO_INT_*, but for those whose acknowledgement nobody told us of */
	uint8_t interrupt_status;
	enum virtio_run run;

	unsigned n_queues;
	struct virtqueue queues[VIRTIO_QUEUES_MAX];

	uint32_t generation; /* of `config` (§2.5.3) */
	unsigned config_len;
	uint8_t config[VIRTIO_CONFIG_MAX];

	struct loop_late interrupt; /* raises what is due, once a turn */
	uint8_t interrupt_due; /* VIRTIO_MMIO_INT_* to be raised */
	struct log_guest log;
	struct virtio_counts counts;
};

/*
 * Fill in a device: its kind, name and feature bits (VERSION_1, EVENT_IDX and INDIRECT_DESC
 * are added here), queues and configuration space (`config_len` bytes, copied). `env` is
 * copied. Before it is attached to a transport. Cannot fail; more queues or bytes than
 * there can be are our own bug.
 */
struct virtio_setup {
	const struct virtio_ops *ops;
	const char *name;
	const struct dev_env *env;
	unsigned gsi;
	uint64_t features;
	unsigned n_queues;
	const void *config;
	unsigned config_len;
};
void virtio_init(struct virtio_dev *d, const struct virtio_setup *s);

static inline bool virtio_has(const struct virtio_dev *d, unsigned feature)
{
	return d->acked >> feature & 1;
}

/* ---- for devices ---- */

/*
 * Chains were pushed to the queue: publish them, and interrupt the driver if it wants that. The
 * edge is raised at the end of the turn, one for all. Nothing happens unless RUNNING.
 */
void virtio_used(struct virtio_dev *d, unsigned q);

/*
 * The driver broke the rules (§2.1.2): DEVICE_NEEDS_RESET, a configuration change
 * interrupt, a line in the log within limits. The device takes and pushes nothing until it
 * was reset.
 */
void virtio_fault(struct virtio_dev *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Change the configuration space; the driver sees old or new as a whole, by the generation. */
void virtio_set_config(struct virtio_dev *d, unsigned off, const void *src, unsigned len);

/* Tell the driver that it changed (§2.3, the interrupt). */
void virtio_config_interrupt(struct virtio_dev *d);

/* Answers `stop`. */
void virtio_stopped(struct virtio_dev *d);

/* ---- for the transport, and doorbells ---- */

/*
 * The driver notified a queue, by the register or another way. A number that is no
 * queue's is a fault; one that is not ready, or a device that is not running, is ignored
 * (§2.1.2, §4.2.3.3).
 */
void virtio_notify(struct virtio_dev *d, uint32_t q);

/*
 * The driver wrote Status (not 0): the bits that it may set in this order are set (§3.1.1),
 * FEATURES_OK only when `acked` is a subset of what is offered and has VERSION_1; DRIVER_OK
 * starts the device. Others are a fault of the driver and ignored.
 */
void virtio_set_status(struct virtio_dev *d, uint8_t status);

/*
 * The driver wants a reset: stops the device if it was started; transport->stopped follows,
 * at once or when nothing is in flight any more, and then everything is as after
 * virtio_init.
 */
void virtio_reset(struct virtio_dev *d);

#endif
