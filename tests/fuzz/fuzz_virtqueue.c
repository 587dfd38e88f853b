/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtqueue in guest memory that a script writes to while chains are taken and given
 * back. Besides what the sanitizers see, it checks each chain: all of it is RAM that can be
 * mapped, its lengths add up, its head is one that was free. The device reads and writes
 * all that it is given, as a device would.
 *
 * Input: one byte, the logarithm of the size | EVENT_IDX << 4 | INDIRECT << 5, then
 * operations: a byte and its arguments, see step().
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_ring.h>

#include "tests/fake/vring_driver.h"

#define OPS_MAX 1024
#define RAM_BYTES (64 * KIB)
#define RING UINT64_C(0)
/* A page that cannot be mapped. */
#define HOLE UINT64_C(0xe000)

enum op { DESC, TABLE, AVAILABLE, POKE, POP, PUSH, PUBLISH, NOTIFY, RESTART, MOVE, OPS };

struct input {
	const uint8_t *at;
	size_t left;
};

struct world {
	struct ram_fake *ram;
	struct virtq_layout where;
	bool event_idx, indirect;
	struct virtqueue q;
	struct virtq_chain chain;
	struct gmem_view *views[VIRTQ_SIZE_MAX]; /* of the heads in flight */
	unsigned in_flight;
	uint64_t taken;
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

/* A descriptor in 8 bytes, so that most are nearly right; a few are anything. */
static struct vring_desc take_desc(struct input *in)
{
	struct vring_desc d;

	d.flags = (uint16_t)take(in, 1);
	d.next = (uint16_t)take(in, 1);
	d.addr = take(in, 2);
	d.len = (uint32_t)take(in, 2);
	if (d.flags & 0x40)
		d.addr |= take(in, 6) << 16;
	if (d.flags & 0x80)
		d.len |= (uint32_t)take(in, 2) << 16;
	return d;
}

static void put_bytes(struct world *w, uint64_t at, const void *src, size_t len)
{
	if (gmem_contains(&w->ram->gmem, gpa(at), len))
		memcpy(w->ram->bytes + at, src, len);
}

static void make_available(struct world *w, uint16_t head)
{
	struct vring_avail *avail = (void *)(w->ram->bytes + w->where.avail.v);

	avail->ring[avail->idx % w->where.num] = head;
	avail->idx++;
}

/* ---- the device ------------------------------------------------------------------ */

static bool start_at(struct world *w, const struct virtq_layout *where)
{
	int rc = virtqueue_start(&w->q, &w->ram->gmem, where, w->event_idx, w->indirect);

	assert(rc == 0 || (rc == -EPROTO && w->q.fault && !virtqueue_ready(&w->q)));
	if (rc == 0)
		w->where = *where;
	return rc == 0;
}

static void start(struct world *w)
{
	assert(start_at(w, &w->where));
}

static void stop(struct world *w)
{
	for (unsigned i = 0; i < VIRTQ_SIZE_MAX; i++) {
		if (w->views[i])
			gmem_put(&w->ram->gmem, w->views[i]);
		w->views[i] = NULL;
	}
	w->in_flight = 0;
	virtqueue_stop(&w->q);
}

/* Use a segment; `at` is where RAM starts. */
static uint32_t use(const struct iovec *iov, uint8_t *at, bool writable)
{
	uint8_t *p = iov->iov_base;
	static volatile uint8_t sink;

	assert(iov->iov_len > 0 && p >= at && iov->iov_len <= RAM_BYTES &&
	       (size_t)(p - at) <= RAM_BYTES - iov->iov_len);
	assert(p + iov->iov_len <= at + HOLE || p >= at + HOLE + PAGE_BYTES);
	for (size_t i = 0; i < iov->iov_len; i += 64)
		sink = p[i];
	if (writable)
		p[iov->iov_len - 1] = sink;
	return (uint32_t)iov->iov_len;
}

static void check_chain(struct world *w)
{
	const struct virtq_chain *c = &w->chain;
	uint8_t *ram = gmem_ptr(&w->ram->gmem, c->view, gpa(0), 1);
	uint32_t out = 0, in = 0;

	assert(ram && c->head < w->where.num && !w->views[c->head]);
	assert(c->n_out + c->n_in > 0 && c->n_out + c->n_in <= w->where.num);
	for (unsigned i = 0; i < c->n_out; i++)
		out += use(&c->iov[i], ram, false);
	for (unsigned i = c->n_out; i < c->n_out + c->n_in; i++)
		in += use(&c->iov[i], ram, true);
	assert(out == c->out_len && in == c->in_len);
	w->views[c->head] = c->view;
	w->in_flight++;
	w->taken++;
}

/* A fault ends this queue's life: what is in flight is dropped, and it starts again. */
static void pop(struct world *w)
{
	int rc = virtqueue_pop(&w->q, &w->chain);

	if (rc == 1) {
		check_chain(w);
	} else if (rc < 0) {
		assert(w->q.fault);
		assert(virtqueue_pop(&w->q, &w->chain) < 0);
	}
	assert(w->q.in_flight == w->in_flight && w->q.counts.chains == w->taken);
	if (rc < 0) {
		stop(w);
		start(w);
	}
}

/* Give back the first chain in flight from `head` on. */
static void push(struct world *w, unsigned head, uint32_t written)
{
	for (unsigned i = 0; i < w->where.num; i++) {
		unsigned at = (head + i) % w->where.num;

		if (w->views[at]) {
			virtqueue_push(&w->q, (uint16_t)at, w->views[at], written);
			w->views[at] = NULL;
			w->in_flight--;
			return;
		}
	}
}

static void publish(struct world *w)
{
	bool ignored;

	virtqueue_publish(&w->q);
	ignored = virtqueue_wants_interrupt(&w->q);
	(void)ignored;
	assert(!virtqueue_wants_interrupt(&w->q));
}

static void notify(struct world *w, bool on)
{
	bool more;

	if (!on) {
		virtqueue_notify_off(&w->q);
		return;
	}
	more = virtqueue_notify_on(&w->q);
	assert(more == (virtqueue_notify_on(&w->q)));
}

/* ---- the script ------------------------------------------------------------------ */

/* Start again, with areas that may be anywhere: where they were, if that is refused. */
static void move(struct world *w, struct input *in)
{
	struct virtq_layout where;

	where.num = (uint32_t)take(in, 2);
	where.desc = gpa(take(in, 3));
	where.avail = gpa(take(in, 3));
	where.used = gpa(take(in, 3));
	stop(w);
	if (!start_at(w, &where))
		start(w);
}

static void step(struct world *w, struct input *in)
{
	struct vring_desc d;
	uint64_t at;

	switch ((enum op)(take(in, 1) % OPS)) {
	case DESC: /* index, descriptor */
		at = w->where.desc.v + 16 * (take(in, 1) % w->where.num);
		d = take_desc(in);
		put_bytes(w, at, &d, sizeof(d));
		break;
	case TABLE: /* unit of 16 bytes, descriptor */
		at = 16 * take(in, 2);
		d = take_desc(in);
		put_bytes(w, at, &d, sizeof(d));
		break;
	case AVAILABLE: /* head */
		make_available(w, (uint16_t)take(in, 2));
		break;
	case POKE: /* offset, value */
		at = take(in, 2);
		d.addr = take(in, 2);
		put_bytes(w, at, &d.addr, 2);
		break;
	case POP:
		pop(w);
		break;
	case PUSH: /* head, written */
		at = take(in, 1);
		push(w, (unsigned)at, (uint32_t)take(in, 2));
		break;
	case PUBLISH:
		publish(w);
		break;
	case NOTIFY: /* on or off */
		notify(w, take(in, 1) & 1);
		break;
	case RESTART:
		stop(w);
		start(w);
		break;
	case MOVE: /* size, areas */
		move(w, in);
		break;
	case OPS:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ram_fake ram;
	static struct world w;
	struct input in = { data, size };
	struct vring_driver areas;
	uint8_t first = (uint8_t)take(&in, 1);

	if (!ram.bytes) {
		ram_fake_init(&ram, RAM_BYTES);
		ram.hole = HOLE;
		ram.hole_bytes = PAGE_BYTES;
	}
	memset(ram.bytes, 0, RAM_BYTES);
	vring_driver_init(&areas, &ram, RING, 1u << (first & 15) % 9, false);
	memset(&w, 0, sizeof(w));
	w.ram = &ram;
	w.where = areas.where;
	w.event_idx = first & 0x10;
	w.indirect = first & 0x20;
	start(&w);
	for (unsigned i = 0; in.left && i < OPS_MAX; i++)
		step(&w, &in);
	stop(&w);
	return 0;
}
