/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over MMIO: see virtio_mmio.h.
 *
 * Input from the guest: offset, size and value of every write, offset and size of every
 * read.
 */
#include "devices/virtio_mmio.h"

#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#define MAGIC 0x74726976 /* "virt" */
#define VERSION 2
#define VENDOR 0x4c4e4558 /* "XENL" */
#define NO_REGION UINT32_MAX /* a half of -1: no shared memory (§4.2.2) */

/* When the driver may write a register; at other times it breaks the rules. */
enum writes {
	NEVER, /* read-only; writes are ignored */
	ALWAYS,
	NEGOTIATING, /* until FEATURES_OK */
	SETUP, /* from FEATURES_OK to DRIVER_OK, of a queue that is not ready */
};

/* All registers have 32 bits (virtio 1.2 §4.2.2). The others read 0. */
static const struct reg {
	const char *name; /* NULL: there is none here */
	bool readable;
	enum writes writes;
} regs[VIRTIO_MMIO_CONFIG / 4] = {
	[VIRTIO_MMIO_MAGIC_VALUE / 4] = { "MagicValue", true, NEVER },
	[VIRTIO_MMIO_VERSION / 4] = { "Version", true, NEVER },
	[VIRTIO_MMIO_DEVICE_ID / 4] = { "DeviceID", true, NEVER },
	[VIRTIO_MMIO_VENDOR_ID / 4] = { "VendorID", true, NEVER },
	[VIRTIO_MMIO_DEVICE_FEATURES / 4] = { "DeviceFeatures", true, NEVER },
	[VIRTIO_MMIO_DEVICE_FEATURES_SEL / 4] = { "DeviceFeaturesSel", false, ALWAYS },
	[VIRTIO_MMIO_DRIVER_FEATURES / 4] = { "DriverFeatures", false, NEGOTIATING },
	[VIRTIO_MMIO_DRIVER_FEATURES_SEL / 4] = { "DriverFeaturesSel", false, ALWAYS },
	[VIRTIO_MMIO_QUEUE_SEL / 4] = { "QueueSel", false, ALWAYS },
	[VIRTIO_MMIO_QUEUE_NUM_MAX / 4] = { "QueueNumMax", true, NEVER },
	[VIRTIO_MMIO_QUEUE_NUM / 4] = { "QueueNum", false, SETUP },
	[VIRTIO_MMIO_QUEUE_READY / 4] = { "QueueReady", true, ALWAYS },
	[VIRTIO_MMIO_QUEUE_NOTIFY / 4] = { "QueueNotify", false, ALWAYS },
	[VIRTIO_MMIO_INTERRUPT_STATUS / 4] = { "InterruptStatus", true, NEVER },
	[VIRTIO_MMIO_INTERRUPT_ACK / 4] = { "InterruptACK", false, ALWAYS },
	[VIRTIO_MMIO_STATUS / 4] = { "Status", true, ALWAYS },
	[VIRTIO_MMIO_QUEUE_DESC_LOW / 4] = { "QueueDescLow", false, SETUP },
	[VIRTIO_MMIO_QUEUE_DESC_HIGH / 4] = { "QueueDescHigh", false, SETUP },
	[VIRTIO_MMIO_QUEUE_AVAIL_LOW / 4] = { "QueueDriverLow", false, SETUP },
	[VIRTIO_MMIO_QUEUE_AVAIL_HIGH / 4] = { "QueueDriverHigh", false, SETUP },
	[VIRTIO_MMIO_QUEUE_USED_LOW / 4] = { "QueueDeviceLow", false, SETUP },
	[VIRTIO_MMIO_QUEUE_USED_HIGH / 4] = { "QueueDeviceHigh", false, SETUP },
	[VIRTIO_MMIO_SHM_SEL / 4] = { "SHMSel", false, ALWAYS },
	[VIRTIO_MMIO_SHM_LEN_LOW / 4] = { "SHMLenLow", true, NEVER },
	[VIRTIO_MMIO_SHM_LEN_HIGH / 4] = { "SHMLenHigh", true, NEVER },
	[VIRTIO_MMIO_SHM_BASE_LOW / 4] = { "SHMBaseLow", true, NEVER },
	[VIRTIO_MMIO_SHM_BASE_HIGH / 4] = { "SHMBaseHigh", true, NEVER },
	[VIRTIO_MMIO_CONFIG_GENERATION / 4] = { "ConfigGeneration", true, NEVER },
};

/* The selected queue, or NULL. */
static struct virtqueue *selected(const struct virtio_mmio *m)
{
	return m->queue_sel < m->dev->n_queues ? &m->dev->queues[m->queue_sel] : NULL;
}

/* ---- what the driver reads ------------------------------------------------------- */

static uint32_t value_of(const struct virtio_mmio *m, unsigned off)
{
	const struct virtio_dev *d = m->dev;
	const struct virtqueue *q = selected(m);

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return d->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return m->device_features_sel > 1 ?
			       0 :
			       (uint32_t)(d->offered >> 32 * m->device_features_sel);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return q ? VIRTQ_SIZE_MAX : 0;
	case VIRTIO_MMIO_QUEUE_READY:
		return q && virtqueue_ready(q);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return d->interrupt_status;
	case VIRTIO_MMIO_STATUS:
		return d->status;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return NO_REGION;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return d->generation;
	default: /* every readable register is above */
		assert(false);
		return 0;
	}
}

static uint32_t word_of(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

/* One store a register: the guest may be reading the page right now. */
static void put_page(struct virtio_mmio *m, unsigned off, uint32_t value)
{
	uint32_t *at = (uint32_t *)(void *)(m->page + off);

	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static void put(struct virtio_mmio *m, unsigned off, uint32_t value)
{
	if (word_of(m->image + off) == value)
		return;
	put_le32(m->image + off, value);
	if (m->page)
		put_page(m, off, value);
}

static void show(struct virtio_mmio *m, unsigned off)
{
	put(m, off, value_of(m, off));
}

static uint32_t *status_on_page(struct virtio_mmio *m)
{
	return (uint32_t *)(void *)(m->page + VIRTIO_MMIO_INTERRUPT_STATUS);
}

/* Bits of InterruptStatus are set or cleared, which d->interrupt_status knows. */
static void show_interrupts(struct virtio_mmio *m, uint32_t set, uint32_t clear)
{
	if (!m->acked_below) {
		show(m, VIRTIO_MMIO_INTERRUPT_STATUS);
		return;
	}
	/* The guest clears bits at the same time. What comes out is not looked at. */
	__atomic_fetch_or(status_on_page(m), set, __ATOMIC_SEQ_CST);
	__atomic_fetch_and(status_on_page(m), ~clear, __ATOMIC_SEQ_CST);
}

static void show_config(struct virtio_mmio *m)
{
	for (unsigned off = 0; off < m->dev->config_len; off += 4)
		put(m, VIRTIO_MMIO_CONFIG + off, word_of(m->dev->config + off));
	show(m, VIRTIO_MMIO_CONFIG_GENERATION);
}

static void show_all(struct virtio_mmio *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		if (regs[i].readable && 4 * i != VIRTIO_MMIO_INTERRUPT_STATUS)
			show(m, 4 * i);
	show_interrupts(m, 0, UINT32_MAX);
	show_config(m);
}

static uint64_t mmio_read(void *dev, uint64_t off, unsigned size)
{
	const struct virtio_mmio *m = dev;
	uint64_t value = 0;

	if (off < sizeof(m->image))
		memcpy(&value, m->image + off, min_size(size, sizeof(m->image) - off));
	return value;
}

void virtio_mmio_set_page(struct virtio_mmio *m, void *page)
{
	m->page = page;
	m->acked_below = false;
	for (unsigned off = 0; page && off < VIRTIO_MMIO_WINDOW; off += 4)
		put_page(m, off, off < sizeof(m->image) ? word_of(m->image + off) : 0);
}

void virtio_mmio_acked_below(struct virtio_mmio *m)
{
	assert(m->page);
	m->acked_below = true;
}

/* ---- what the device says -------------------------------------------------------- */

static void on_changed(struct virtio_dev *d)
{
	struct virtio_mmio *m = d->transport_ctx;

	if (word_of(m->image + VIRTIO_MMIO_CONFIG_GENERATION) != d->generation)
		show_config(m);
	show(m, VIRTIO_MMIO_STATUS);
}

static void on_raised(struct virtio_dev *d, uint8_t bits)
{
	show_interrupts(d->transport_ctx, bits, 0);
}

static void forget(struct virtio_mmio *m)
{
	m->device_features_sel = m->driver_features_sel = m->queue_sel = 0;
	memset(m->layout, 0, sizeof(m->layout));
	show_all(m);
}

static void on_stopped(struct virtio_dev *d)
{
	struct virtio_mmio *m = d->transport_ctx;
	uint32_t held = m->held;

	forget(m);
	m->held = 0;
	for (unsigned vcpu = 0; held; vcpu++, held >>= 1)
		if (held & 1)
			d->env.release(d->env.ctx, vcpu);
}

/* ---- what the driver writes ------------------------------------------------------ */

static void reset(struct virtio_mmio *m)
{
	struct virtio_dev *d = m->dev;
	unsigned vcpu;

	virtio_reset(d);
	if (d->run != VIRTIO_STOPPING || !d->env.hold)
		return;
	vcpu = d->env.hold(d->env.ctx);
	assert(vcpu < 32);
	m->held |= UINT32_C(1) << vcpu;
}

static bool in_setup(const struct virtio_dev *d)
{
	return (d->status & (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
			     VIRTIO_CONFIG_S_NEEDS_RESET)) == VIRTIO_CONFIG_S_FEATURES_OK;
}

/* Whether this is the time to write the register; a fault when it is not. */
static bool may_write(struct virtio_mmio *m, const struct reg *r)
{
	struct virtio_dev *d = m->dev;
	const struct virtqueue *q = selected(m);
	bool may = false;

	switch (r->writes) {
	case NEVER:
		return false;
	case ALWAYS:
		return true;
	case NEGOTIATING:
		may = !(d->status &
			(VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_NEEDS_RESET));
		break;
	case SETUP:
		may = in_setup(d) && q && !virtqueue_ready(q);
		break;
	}
	if (!may)
		virtio_fault(d, "%s written in status 0x%02x, with queue %u selected", r->name,
			     d->status, m->queue_sel);
	return may;
}

static void write_driver_features(struct virtio_mmio *m, uint32_t value)
{
	uint64_t *acked = &m->dev->acked;

	if (m->driver_features_sel == 0)
		*acked = (*acked & ~(uint64_t)UINT32_MAX) | value;
	else if (m->driver_features_sel == 1)
		*acked = (*acked & UINT32_MAX) | (uint64_t)value << 32;
	else if (value)
		virtio_fault(m->dev, "features 0x%08x of word %u accepted", value,
			     m->driver_features_sel);
}

/*
 * Ready queues keep their layout. Taking one back is for a driver that has not started
 * yet: later it would need VIRTIO_F_RING_RESET, which is not offered.
 */
static void write_queue_ready(struct virtio_mmio *m, uint32_t value)
{
	struct virtio_dev *d = m->dev;
	struct virtqueue *q = selected(m);

	if (value == (q && virtqueue_ready(q)))
		return;
	if (!q || value > 1 || !in_setup(d)) {
		virtio_fault(d, "QueueReady of queue %u: %u written in status 0x%02x",
			     m->queue_sel, value, d->status);
	} else if (value == 0) {
		virtqueue_stop(q);
	} else if (virtqueue_start(q, d->env.gmem, &m->layout[m->queue_sel],
				   virtio_has(d, VIRTIO_RING_F_EVENT_IDX),
				   virtio_has(d, VIRTIO_RING_F_INDIRECT_DESC))) {
		virtio_fault(d, "queue %u: %s", m->queue_sel,
			     q->fault ? q->fault : "out of memory");
	}
	show(m, VIRTIO_MMIO_QUEUE_READY);
}

static void set_low(gpa_t *at, uint32_t value)
{
	at->v = (at->v & ~(uint64_t)UINT32_MAX) | value;
}

static void set_high(gpa_t *at, uint32_t value)
{
	at->v = (at->v & UINT32_MAX) | (uint64_t)value << 32;
}

/* may_write has said yes. */
static void write_layout(struct virtio_mmio *m, unsigned off, uint32_t value)
{
	struct virtq_layout *layout = &m->layout[m->queue_sel];

	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		layout->num = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
		set_low(&layout->desc, value);
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_high(&layout->desc, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
		set_low(&layout->avail, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_high(&layout->avail, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		set_low(&layout->used, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_high(&layout->used, value);
		break;
	default: /* every register of the layout is above */
		assert(false);
	}
}

static void write_status(struct virtio_mmio *m, uint32_t value)
{
	if (value > UINT8_MAX)
		virtio_fault(m->dev, "status 0x%08x written", value);
	else
		virtio_set_status(m->dev, (uint8_t)value);
}

static void write_register(struct virtio_mmio *m, unsigned off, uint32_t value)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_features_sel = value;
		show(m, VIRTIO_MMIO_DEVICE_FEATURES);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		write_driver_features(m, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = value;
		show(m, VIRTIO_MMIO_QUEUE_NUM_MAX);
		show(m, VIRTIO_MMIO_QUEUE_READY);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		write_queue_ready(m, value);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		virtio_notify(m->dev, value);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		m->dev->interrupt_status &= (uint8_t)~value;
		show_interrupts(m, 0, value);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(m, value);
		break;
	case VIRTIO_MMIO_SHM_SEL: /* there is no region, whichever is selected */
		break;
	default:
		write_layout(m, off, value);
		break;
	}
}

static void write_config(struct virtio_mmio *m, unsigned off, unsigned size, uint64_t value)
{
	struct virtio_dev *d = m->dev;

	if (d->ops->config_write && size <= 4 && off % size == 0 && off + size <= d->config_len)
		d->ops->config_write(d, off, &value, size);
}

static void mmio_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct virtio_mmio *m = dev;
	bool reg = off < VIRTIO_MMIO_CONFIG && size == 4 && off % 4 == 0;

	if (reg && off == VIRTIO_MMIO_STATUS && (uint32_t)value == 0)
		reset(m);
	else if (m->dev->run == VIRTIO_STOPPING)
		return;
	else if (off >= VIRTIO_MMIO_CONFIG)
		write_config(m, (unsigned)off - VIRTIO_MMIO_CONFIG, size, value);
	else if (reg && may_write(m, &regs[off / 4]))
		write_register(m, (unsigned)off, (uint32_t)value);
}

/* ---- set up ---------------------------------------------------------------------- */

void virtio_mmio_init(struct virtio_mmio *m, struct virtio_dev *dev)
{
	static const struct virtio_transport_ops ops = { .changed = on_changed,
							 .raised = on_raised,
							 .stopped = on_stopped };

	*m = (struct virtio_mmio){ .dev = dev };
	dev->transport = &ops;
	dev->transport_ctx = m;
	show_all(m);
}

struct bus_range virtio_mmio_range(struct virtio_mmio *m, uint64_t base)
{
	return (struct bus_range){
		.space = BUS_MMIO,
		.first = base,
		.last = base + VIRTIO_MMIO_WINDOW - 1,
		.name = m->dev->name,
		.dev = m,
		.read = mmio_read,
		.write = mmio_write,
	};
}
