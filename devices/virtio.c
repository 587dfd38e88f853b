/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device without its transport: see virtio.h.
 *
 * Input from the guest: values of Status, numbers of queues.
 */
#include "devices/virtio.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>

#define FAULT_TEXT_MAX 128

static void changed(struct virtio_dev *d)
{
	if (d->transport)
		d->transport->changed(d);
}

/* ---- interrupts ------------------------------------------------------------------ */

/*
 * The line is edge-triggered, so what is due is raised even when InterruptStatus is set
 * already: the driver may have read it, and not have acknowledged it yet.
 */
static void raise_due(struct loop_late *late)
{
	struct virtio_dev *d = CONTAINER_OF(late, struct virtio_dev, interrupt);

	if (!d->interrupt_due)
		return;
	d->interrupt_status |= d->interrupt_due;
	if (d->transport)
		d->transport->raised(d, d->interrupt_due);
	d->interrupt_due = 0;
	d->counts.interrupts++;
	d->env.pulse(d->env.ctx, d->gsi);
}

static void interrupt(struct virtio_dev *d, uint8_t why)
{
	d->interrupt_due |= why;
	loop_at_end(d->env.loop, &d->interrupt);
}

void virtio_used(struct virtio_dev *d, unsigned q)
{
	if (d->run != VIRTIO_RUNNING)
		return;
	virtqueue_publish(&d->queues[q]);
	if (virtqueue_wants_interrupt(&d->queues[q]))
		interrupt(d, VIRTIO_MMIO_INT_VRING);
}

void virtio_config_interrupt(struct virtio_dev *d)
{
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK && d->run != VIRTIO_STOPPING)
		interrupt(d, VIRTIO_MMIO_INT_CONFIG);
}

void virtio_set_config(struct virtio_dev *d, unsigned off, const void *src, unsigned len)
{
	assert(off <= d->config_len && len <= d->config_len - off);
	if (memcmp(d->config + off, src, len) == 0)
		return;
	memcpy(d->config + off, src, len);
	d->generation++;
	changed(d);
}

/* ---- faults ---------------------------------------------------------------------- */

void virtio_fault(struct virtio_dev *d, const char *fmt, ...)
{
	char text[FAULT_TEXT_MAX];
	va_list args;

	/* The first one counts; what follows it tells nothing, and a reset ends it. */
	if (d->status & VIRTIO_CONFIG_S_NEEDS_RESET || d->run == VIRTIO_STOPPING)
		return;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	log_guest(&d->log, "virtio", "%s: %s; it needs a reset", d->name, text);
	d->counts.faults++;
	d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (d->run == VIRTIO_RUNNING)
		d->run = VIRTIO_FAULTED;
	changed(d);
	virtio_config_interrupt(d);
}

/* ---- the driver's side ----------------------------------------------------------- */

void virtio_init(struct virtio_dev *d, const struct virtio_setup *s)
{
	assert(s->n_queues <= VIRTIO_QUEUES_MAX && s->config_len <= VIRTIO_CONFIG_MAX);
	*d = (struct virtio_dev){
		.ops = s->ops,
		.name = s->name,
		.env = *s->env,
		.gsi = s->gsi,
		.offered = s->features | UINT64_C(1) << VIRTIO_F_VERSION_1 |
			   UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX |
			   UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC,
		.n_queues = s->n_queues,
		.config_len = s->config_len,
		.interrupt.run = raise_due,
	};
	if (s->config_len)
		memcpy(d->config, s->config, s->config_len);
}

void virtio_notify(struct virtio_dev *d, uint32_t q)
{
	if (q >= d->n_queues) {
		virtio_fault(d, "a notification for queue %u, which it does not have", q);
		return;
	}
	if (d->run != VIRTIO_RUNNING || !virtqueue_ready(&d->queues[q]))
		return;
	d->queues[q].counts.notifications++;
	d->ops->notify(d, q);
}

static bool features_acceptable(const struct virtio_dev *d)
{
	return !(d->acked & ~d->offered) && virtio_has(d, VIRTIO_F_VERSION_1);
}

/* Set one bit, whose turn it is. */
static void set_status_bit(struct virtio_dev *d, uint8_t bit)
{
	if (bit == VIRTIO_CONFIG_S_FEATURES_OK && !features_acceptable(d)) {
		/* No fault: the driver reads Status back to learn this (§3.1.1). */
		log_guest(&d->log, "virtio", "%s: features 0x%016llx refused", d->name,
			  (unsigned long long)d->acked);
		return;
	}
	d->status |= bit;
	if (bit == VIRTIO_CONFIG_S_DRIVER_OK) {
		d->run = VIRTIO_RUNNING;
		d->ops->start(d);
	}
}

/* Set what may be set of `add`, in order; returns what may not. */
static uint8_t add_status(struct virtio_dev *d, uint8_t add)
{
	static const uint8_t order[] = { VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER,
					 VIRTIO_CONFIG_S_FEATURES_OK,
					 VIRTIO_CONFIG_S_DRIVER_OK };

	if (d->status & VIRTIO_CONFIG_S_FAILED)
		return add;
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		if (add & order[i])
			set_status_bit(d, order[i]);
		add &= (uint8_t)~order[i];
		if (!(d->status & order[i]))
			break;
	}
	return add;
}

void virtio_set_status(struct virtio_dev *d, uint8_t status)
{
	uint8_t old = d->status, wrong = status & (uint8_t)~old;

	if (d->run == VIRTIO_STOPPING)
		return;
	if (wrong & VIRTIO_CONFIG_S_FAILED) {
		/* The driver gives up (§2.1.1); what else it wrote does not matter. */
		d->status |= VIRTIO_CONFIG_S_FAILED;
		wrong = 0;
	} else if (old & VIRTIO_CONFIG_S_NEEDS_RESET) {
		return;
	} else if (old & (uint8_t)~status) {
		wrong = old & (uint8_t)~status;
	} else {
		wrong = add_status(d, wrong);
	}
	if (wrong)
		virtio_fault(d, "status 0x%02x written over 0x%02x", status, old);
	changed(d);
}

/* ---- reset ----------------------------------------------------------------------- */

static void finish_reset(struct virtio_dev *d)
{
	for (unsigned i = 0; i < d->n_queues; i++)
		virtqueue_stop(&d->queues[i]);
	d->run = VIRTIO_IDLE;
	d->acked = 0;
	d->status = 0;
	d->interrupt_status = d->interrupt_due = 0;
	d->counts.resets++;
	if (d->transport)
		d->transport->stopped(d);
}

void virtio_reset(struct virtio_dev *d)
{
	switch (d->run) {
	case VIRTIO_IDLE:
		finish_reset(d);
		break;
	case VIRTIO_RUNNING:
	case VIRTIO_FAULTED:
		d->run = VIRTIO_STOPPING;
		d->ops->stop(d);
		break;
	case VIRTIO_STOPPING:
		break;
	}
}

void virtio_stopped(struct virtio_dev *d)
{
	assert(d->run == VIRTIO_STOPPING);
	finish_reset(d);
}
