/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio over MMIO under a script of register accesses, with a small device behind it that
 * completes requests later, and resets that wait for them. Besides what the sanitizers
 * see, it checks after each step that the register page is what an access reads, that the
 * device is only called as virtio.h says, that interrupts are counted, and that no vCPU
 * waits longer than the reset.
 *
 * Input: operations, a byte and its arguments: see step().
 */
#include <assert.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#include "tests/fake/virtio_driver.h"

#define OPS_MAX 512
#define RAM_BYTES (64 * KIB)
#define QUEUES 3
#define REQUESTS 8
#define CONFIG_BYTES 27

enum op { WRITE, REGISTER, READ, TURN, COMPLETE, CONFIG, POKE, SETUP, REQUEST, CANCEL, OPS };

struct input {
	const uint8_t *at;
	size_t left;
};

struct request {
	struct gmem_view *view; /* NULL: free */
	unsigned q;
	uint16_t head;
};

struct world {
	struct loop *loop;
	struct ram_fake *ram;
	struct virtio_dev dev;
	struct virtio_mmio mmio;
	struct virtio_driver driver; /* a driver that keeps the rules, until others do not */
	struct request requests[REQUESTS];
	bool started, stopping;
	unsigned vcpu;
	uint32_t held;
	uint64_t pulses;
	uint8_t page[VIRTIO_MMIO_WINDOW] __attribute__((aligned(8)));
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next `n` bytes of the input, as a number; zeroes at its end. */
static uint64_t take(struct input *in, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n && in->left; i++, in->left--)
		v |= (uint64_t)*in->at++ << 8 * i;
	return v;
}

/* ---- the device ------------------------------------------------------------------ */

static struct world *world_of(struct virtio_dev *d)
{
	return CONTAINER_OF(d, struct world, dev);
}

static struct request *find(struct world *w, bool busy)
{
	for (unsigned i = 0; i < REQUESTS; i++)
		if ((w->requests[i].view != NULL) == busy)
			return &w->requests[i];
	return NULL;
}

static void fill(struct world *w, unsigned q)
{
	static struct virtq_chain c;
	struct request *r;
	int rc = 1;

	while (rc == 1 && (r = find(w, false)) != NULL) {
		rc = virtqueue_pop(&w->dev.queues[q], &c);
		if (rc == 1)
			*r = (struct request){ c.view, q, c.head };
		if (rc < 0)
			virtio_fault(&w->dev, "queue %u: %s", q, w->dev.queues[q].fault);
	}
}

static void on_start(struct virtio_dev *d)
{
	assert(!world_of(d)->started && d->run == VIRTIO_RUNNING && !find(world_of(d), true));
	world_of(d)->started = true;
}

static void on_notify(struct virtio_dev *d, unsigned q)
{
	assert(d->run == VIRTIO_RUNNING && q < QUEUES && virtqueue_ready(&d->queues[q]));
	fill(world_of(d), q);
}

static void finish_stop(struct world *w)
{
	if (!w->stopping || find(w, true))
		return;
	w->stopping = w->started = false;
	virtio_stopped(&w->dev);
	assert(!w->held && w->dev.status == 0);
}

static void on_stop(struct virtio_dev *d)
{
	struct world *w = world_of(d);

	assert(w->started && !w->stopping);
	w->stopping = true;
	finish_stop(w);
}

static void on_config_write(struct virtio_dev *d, unsigned off, const void *src, unsigned len)
{
	assert(off + len <= CONFIG_BYTES && len <= 4 && d->run != VIRTIO_STOPPING);
	virtio_set_config(d, off, src, len);
}

/* What was in flight ends: as a result, or without one. */
static void complete(struct world *w, bool pushed)
{
	struct request *r = find(w, true);
	struct request old;

	if (!r)
		return;
	old = *r;
	r->view = NULL;
	if (pushed && w->dev.run == VIRTIO_RUNNING) {
		virtqueue_push(&w->dev.queues[old.q], old.head, old.view, 1);
		virtio_used(&w->dev, old.q);
		fill(w, old.q);
	} else if (w->dev.run == VIRTIO_RUNNING) {
		r->view = old.view; /* only a reset drops chains */
	} else {
		gmem_put(&w->ram->gmem, old.view);
	}
	finish_stop(w);
}

/* ---- the machine ----------------------------------------------------------------- */

static void on_pulse(void *ctx, unsigned gsi)
{
	struct world *w = ctx;

	assert(gsi == 5 && w->dev.interrupt_status);
	assert(w->page[VIRTIO_MMIO_INTERRUPT_STATUS] == w->dev.interrupt_status);
	w->pulses++;
}

static unsigned on_hold(void *ctx)
{
	struct world *w = ctx;

	assert(w->stopping);
	w->held |= UINT32_C(1) << w->vcpu;
	return w->vcpu;
}

static void on_release(void *ctx, unsigned vcpu)
{
	struct world *w = ctx;

	assert(w->held >> vcpu & 1);
	w->held &= ~(UINT32_C(1) << vcpu);
}

static void nothing(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

static void turn(struct world *w)
{
	struct loop_op op = { .done = nothing };

	loop_defer(w->loop, &op);
	while (op.busy)
		assert(loop_turn(w->loop) == 0);
}

/* ---- checks ---------------------------------------------------------------------- */

static void check_status(const struct world *w)
{
	const struct virtio_dev *d = &w->dev;
	uint8_t order = d->status & 15;

	assert(order == 0 || order == 1 || order == 3 || order == 11 || order == 15);
	assert((order == 15) == (d->run != VIRTIO_IDLE));
	assert((d->run != VIRTIO_IDLE) == w->started);
	assert((d->run == VIRTIO_STOPPING) == w->stopping);
	if (d->run == VIRTIO_RUNNING)
		assert(!(d->status & VIRTIO_CONFIG_S_NEEDS_RESET));
	if (d->status & VIRTIO_CONFIG_S_FEATURES_OK)
		assert(!(d->acked & ~d->offered) && virtio_has(d, VIRTIO_F_VERSION_1));
	assert(!w->held || w->stopping);
	assert(w->pulses == d->counts.interrupts);
}

static void check(struct world *w)
{
	uint64_t word;

	check_status(w);
	for (unsigned off = 0; off < VIRTIO_MMIO_IMAGE; off += 8) {
		memcpy(&word, w->page + off, 8);
		assert(word == w->driver.mmio.read(&w->mmio, off, 8));
	}
}

/* ---- the script ------------------------------------------------------------------ */

static void read_any(struct world *w, unsigned off, unsigned size)
{
	uint64_t paged = 0;

	if (off > VIRTIO_MMIO_WINDOW - size)
		off = VIRTIO_MMIO_WINDOW - size;
	memcpy(&paged, w->page + off, size);
	assert(w->driver.mmio.read(&w->mmio, off, size) == paged);
}

static void write_any(struct world *w, unsigned off, unsigned size, uint64_t value)
{
	if (off <= VIRTIO_MMIO_WINDOW - size)
		w->driver.mmio.write(&w->mmio, off, size, value);
}

/* Up to FEATURES_OK, a queue, or DRIVER_OK, as a good driver does it, if it is time. */
static void set_up(struct world *w, unsigned what)
{
	uint8_t s = w->dev.status;
	unsigned q = what >> 4 & 3;

	if (what & 1 && !w->started)
		virtio_driver_negotiate(&w->driver, what & 2 ? UINT64_MAX : 0);
	s = w->dev.status;
	if (what & 4 && s == 11 && q < QUEUES && !virtqueue_ready(&w->dev.queues[q]) &&
	    w->driver.at < RAM_BYTES / 2)
		virtio_driver_queue(&w->driver, q, 1u << (what >> 6 & 3));
	if (what & 8 && s == 11)
		virtio_driver_ok(&w->driver);
}

static void request(struct world *w, unsigned q, struct input *in)
{
	struct vring_driver *v = &w->driver.queues[q];
	struct vring_seg seg = { .writable = true };
	uint32_t head, written;

	seg.at = take(in, 2);
	seg.len = (uint32_t)take(in, 1);
	if (!v->ram)
		return;
	/* The rings may have been overwritten: what is there must not stop this driver. */
	while (v->used->idx != v->used_idx &&
	       v->used->ring[v->used_idx % v->where.num].id < v->where.num &&
	       v->n_free < v->where.num) {
		head = v->used->ring[v->used_idx % v->where.num].id;
		v->desc[head].flags = 0;
		(void)vring_reap(v, &head, &written);
	}
	vring_want_interrupt(v, seg.len & 1);
	if (v->n_free && v->free < v->where.num)
		(void)vring_add(v, &seg, 1);
	virtio_driver_write(&w->driver, VIRTIO_MMIO_QUEUE_NOTIFY, q);
}

static void step(struct world *w, struct input *in)
{
	static const uint8_t sizes[] = { 1, 2, 4, 8 };
	unsigned arg;
	uint64_t off;

	switch ((enum op)(take(in, 1) % OPS)) {
	case WRITE: /* vCPU and size, offset, value */
		arg = (unsigned)take(in, 1);
		w->vcpu = arg >> 2 & 31;
		off = take(in, 2);
		write_any(w, (unsigned)off, sizes[arg & 3], take(in, sizes[arg & 3]));
		break;
	case REGISTER: /* a register of 32 bits, a value of 16 */
		off = 4 * (take(in, 1) & 63);
		virtio_driver_write(&w->driver, (unsigned)off, (uint32_t)take(in, 2));
		break;
	case READ: /* size, offset */
		arg = sizes[take(in, 1) & 3];
		read_any(w, (unsigned)take(in, 2), arg);
		break;
	case TURN:
		turn(w);
		break;
	case COMPLETE:
		complete(w, true);
		break;
	case CANCEL:
		complete(w, false);
		break;
	case CONFIG: /* offset, value */
		off = take(in, 1) % (CONFIG_BYTES - 1);
		arg = (unsigned)take(in, 2);
		virtio_set_config(&w->dev, (unsigned)off, &arg, 2);
		virtio_config_interrupt(&w->dev);
		break;
	case POKE: /* address, value */
		off = take(in, 2);
		w->ram->bytes[off] = (uint8_t)take(in, 1);
		break;
	case SETUP:
		set_up(w, (unsigned)take(in, 1));
		break;
	case REQUEST: /* queue, address, length */
		request(w, (unsigned)take(in, 1) % QUEUES, in);
		break;
	case OPS:
		break;
	}
}

static void start(struct world *w)
{
	static const struct virtio_ops ops = { .id = VIRTIO_ID_RNG,
					       .start = on_start,
					       .notify = on_notify,
					       .stop = on_stop,
					       .config_write = on_config_write };
	static const uint8_t config[CONFIG_BYTES];
	const struct dev_env env = { .loop = w->loop,
				     .gmem = &w->ram->gmem,
				     .pulse = on_pulse,
				     .hold = on_hold,
				     .release = on_release,
				     .ctx = w };
	const struct virtio_setup setup = { .ops = &ops,
					    .name = "fuzz",
					    .env = &env,
					    .gsi = 5,
					    .features = UINT64_C(0x8000000100000001),
					    .n_queues = QUEUES,
					    .config = config,
					    .config_len = sizeof(config) };

	virtio_init(&w->dev, &setup);
	virtio_mmio_init(&w->mmio, &w->dev);
	virtio_mmio_set_page(&w->mmio, w->page);
	virtio_driver_init(&w->driver, &w->mmio, w->ram, PAGE_BYTES);
}

static void stop(struct world *w)
{
	virtio_driver_reset(&w->driver);
	while (w->stopping)
		complete(w, false);
	check(w);
	turn(w); /* `dev` may be in its list */
	assert(w->pulses == w->dev.counts.interrupts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	static struct ram_fake ram;
	static struct world w;
	struct input in = { data, size };

	if (!loop) {
		log_set_level(LOG_OFF);
		assert(loop_create(&loop, 8) == 0);
		ram_fake_init(&ram, RAM_BYTES);
	}
	memset(ram.bytes, 0, RAM_BYTES);
	memset(&w, 0, sizeof(w));
	w.loop = loop;
	w.ram = &ram;
	start(&w);
	for (unsigned i = 0; in.left && i < OPS_MAX; i++) {
		step(&w, &in);
		check(&w);
	}
	stop(&w);
	return 0;
}
