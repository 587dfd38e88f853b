/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split virtqueue: see virtqueue.h.
 *
 * Input from the guest: all of desc, avail, used and of every indirect table, at any
 * time. They are reached through load16, available and copy_once only, once a field.
 */
#include "devices/virtqueue.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_ring.h>

_Static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2 §2.7.5");
_Static_assert(sizeof(struct vring_used_elem) == 8, "virtio 1.2 §2.7.8");

static int fault(struct virtqueue *q, const char *why)
{
	q->fault = why;
	return -EPROTO;
}

/* ---- shared memory --------------------------------------------------------------- */

static uint16_t load16(const uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store16(uint16_t *at, uint16_t v)
{
	__atomic_store_n(at, v, __ATOMIC_RELAXED);
}

/* Without the barrier the compiler could read a field again, after it was checked. */
static void copy_once(void *dst, const void *src, size_t len)
{
	memcpy(dst, src, len);
	__asm__ volatile("" : : "r"(dst) : "memory");
}

/*
 * How far the driver is ahead of us. The acquire pairs with the driver's barrier between
 * writing ring and descriptors and writing avail.idx (§2.7.13.3.1).
 */
static uint16_t available(const struct virtqueue *q)
{
	const struct vring_avail *avail = q->avail;

	return (uint16_t)(__atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE) - q->next_avail);
}

/* Behind the rings (§2.7.6, §2.7.8). */
static const uint16_t *used_event(const struct virtqueue *q)
{
	return &((const struct vring_avail *)q->avail)->ring[q->num];
}

static uint16_t *avail_event(struct virtqueue *q)
{
	return (uint16_t *)(void *)&((struct vring_used *)q->used)->ring[q->num];
}

/* ---- start and stop -------------------------------------------------------------- */

struct area {
	gpa_t at;
	uint64_t len, align;
	const char *misaligned, *outside;
	void *host;
};

static bool overlap(const struct area *a, const struct area *b)
{
	return a->at.v < b->at.v + b->len && b->at.v < a->at.v + a->len;
}

/* NULL when the areas are as they must be. */
static const char *check_areas(const struct gmem *m, const struct area *areas, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct area *a = &areas[i];

		if (a->at.v % a->align != 0)
			return a->misaligned;
		if (!gmem_contains(m, a->at, a->len))
			return a->outside;
		for (unsigned j = 0; j < i; j++)
			if (overlap(a, &areas[j]))
				return "its areas overlap";
	}
	return NULL;
}

static bool map_areas(struct gmem *m, struct gmem_view *view, struct area *areas, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		areas[i].host = gmem_ptr(m, view, areas[i].at, areas[i].len);
		if (!areas[i].host)
			return false;
	}
	return true;
}

static bool valid_size(uint32_t num)
{
	return num > 0 && num <= VIRTQ_SIZE_MAX && (num & (num - 1)) == 0;
}

int virtqueue_start(struct virtqueue *q, struct gmem *m, const struct virtq_layout *where,
		    bool event_idx, bool indirect)
{
	/* Both rings have a header of four bytes, and an event index at their end. */
	struct area areas[] = {
		{ where->desc, UINT64_C(16) * where->num, 16,
		  "its descriptor table is not aligned to 16",
		  "its descriptor table is not in RAM", NULL },
		{ where->avail, 6 + UINT64_C(2) * where->num, 2,
		  "its available ring is not aligned to 2", "its available ring is not in RAM",
		  NULL },
		{ where->used, 6 + UINT64_C(8) * where->num, 4,
		  "its used ring is not aligned to 4", "its used ring is not in RAM", NULL },
	};
	struct gmem_view *view;

	assert(!virtqueue_ready(q));
	if (!valid_size(where->num))
		return fault(q, "its size is not a power of two from 1 to 256");
	q->fault = check_areas(m, areas, ARRAY_SIZE(areas));
	if (q->fault)
		return -EPROTO;
	view = gmem_get(m);
	if (!view)
		return -ENOMEM;
	if (!map_areas(m, view, areas, ARRAY_SIZE(areas))) {
		gmem_put(m, view);
		return fault(q, "its areas cannot be mapped");
	}
	*q = (struct virtqueue){
		.gmem = m,
		.view = view,
		.desc = areas[0].host,
		.avail = areas[1].host,
		.used = areas[2].host,
		.num = (uint16_t)where->num,
		.event_idx = event_idx,
		.indirect = indirect,
		.counts = q->counts,
	};
	return 0;
}

void virtqueue_stop(struct virtqueue *q)
{
	if (!virtqueue_ready(q))
		return;
	gmem_put(q->gmem, q->view);
	*q = (struct virtqueue){ .counts = q->counts };
}

/* ---- taking chains --------------------------------------------------------------- */

static bool is_busy(const struct virtqueue *q, unsigned head)
{
	return q->busy[head / 64] >> (head % 64) & 1;
}

static void flip_busy(struct virtqueue *q, unsigned head)
{
	q->busy[head / 64] ^= UINT64_C(1) << (head % 64);
}

static int add_segment(struct virtqueue *q, struct virtq_chain *c, const struct vring_desc *d)
{
	bool writable = d->flags & VRING_DESC_F_WRITE;
	unsigned n = c->n_out + c->n_in;
	void *at;

	if (n == q->num)
		return fault(q, "a chain is longer than the queue");
	if (d->len == 0)
		return fault(q, "a descriptor is empty");
	if (d->len > UINT32_MAX - c->out_len - c->in_len)
		return fault(q, "a chain has 4 GiB or more");
	if (!writable && c->n_in > 0)
		return fault(q, "a readable descriptor follows a writable one");
	at = gmem_ptr(q->gmem, c->view, gpa(d->addr), d->len);
	if (!at)
		return fault(q, "a descriptor's memory is not RAM");
	c->iov[n] = (struct iovec){ .iov_base = at, .iov_len = d->len };
	*(writable ? &c->n_in : &c->n_out) += 1;
	*(writable ? &c->in_len : &c->out_len) += d->len;
	return 0;
}

/* Descriptors: the queue's own, or those of an indirect table, which may lie anywhere. */
struct table {
	const uint8_t *at;
	unsigned n;
	bool indirect;
};

/* Go on in the table that `d` refers to; its WRITE flag means nothing (§2.7.5.3.2). */
static int enter_indirect(struct virtqueue *q, struct virtq_chain *c,
			  const struct vring_desc *d, struct table *t)
{
	if (!q->indirect)
		return fault(q, "an indirect descriptor, which was not negotiated");
	if (t->indirect)
		return fault(q, "an indirect descriptor in an indirect table");
	if (d->flags & VRING_DESC_F_NEXT)
		return fault(q, "an indirect descriptor has a next one");
	if (d->len == 0 || d->len % sizeof(*d) != 0)
		return fault(q, "an indirect table is empty or not of whole descriptors");
	if (d->len / sizeof(*d) > q->num)
		return fault(q, "an indirect table is longer than the queue");
	t->at = gmem_ptr(q->gmem, c->view, gpa(d->addr), d->len);
	if (!t->at)
		return fault(q, "an indirect table is not in RAM");
	t->n = d->len / (unsigned)sizeof(*d);
	t->indirect = true;
	return 0;
}

/* Collect the chain that starts at `next`: direct descriptors, then at most one table. */
static int walk(struct virtqueue *q, struct virtq_chain *c, unsigned next)
{
	struct table t = { q->desc, q->num, false };
	struct vring_desc d;
	unsigned seen = 0; /* in this table */
	int rc;

	for (;;) {
		if (next >= t.n)
			return fault(q, "the next descriptor is out of range");
		if (seen++ == t.n)
			return fault(q, "a chain is a loop");
		copy_once(&d, t.at + next * sizeof(d), sizeof(d));
		if (d.flags & VRING_DESC_F_INDIRECT) {
			rc = enter_indirect(q, c, &d, &t);
			next = seen = 0;
		} else {
			rc = add_segment(q, c, &d);
			if (!rc && !(d.flags & VRING_DESC_F_NEXT))
				return 0;
			next = d.next;
		}
		if (rc)
			return rc;
	}
}

/*
 * Ask for a notification of the next entry; returns how many there are already. The wish is
 * written before avail.idx is read. Pairs with the driver's barrier between writing
 * avail.idx and reading flags or avail_event (§2.7.13.4.1).
 */
static uint16_t ask(struct virtqueue *q)
{
	struct vring_used *used = q->used;

	if (q->event_idx)
		store16(avail_event(q), q->next_avail);
	else
		store16(&used->flags, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return available(q);
}

/*
 * How many entries there are to take. With EVENT_IDX the driver notifies only once for each
 * index that it was told, so whoever finds nothing, and wants to be notified, asks anew.
 */
static uint16_t look(struct virtqueue *q)
{
	uint16_t ahead = available(q);

	return ahead == 0 && q->event_idx && !q->notify_off ? ask(q) : ahead;
}

unsigned virtqueue_waiting(const struct virtqueue *q)
{
	return virtqueue_ready(q) ? available(q) : 0;
}

int virtqueue_pop(struct virtqueue *q, struct virtq_chain *c)
{
	const struct vring_avail *avail = q->avail;
	uint16_t ahead, head;
	int rc;

	if (!virtqueue_ready(q))
		return 0;
	ahead = look(q);
	if (ahead == 0)
		return 0;
	if (ahead > q->num)
		return fault(q, "the available index has jumped");
	head = load16(&avail->ring[q->next_avail & (q->num - 1)]);
	if (head >= q->num)
		return fault(q, "a head is out of range");
	if (is_busy(q, head))
		return fault(q, "a head is in flight already");
	c->head = head;
	c->n_out = c->n_in = 0;
	c->out_len = c->in_len = 0;
	c->view = gmem_get(q->gmem);
	if (!c->view)
		return fault(q, "guest memory cannot be mapped");
	rc = walk(q, c, head);
	if (rc) {
		gmem_put(q->gmem, c->view);
		return rc;
	}
	flip_busy(q, head);
	q->in_flight++;
	q->next_avail++;
	q->counts.chains++;
	return 1;
}

/* ---- giving them back ------------------------------------------------------------ */

void virtqueue_push(struct virtqueue *q, uint16_t head, struct gmem_view *view,
		    uint32_t written)
{
	struct vring_used *used = q->used;

	assert(virtqueue_ready(q) && head < q->num && is_busy(q, head));
	used->ring[q->next_used & (q->num - 1)] =
		(struct vring_used_elem){ .id = head, .len = written };
	q->next_used++;
	flip_busy(q, head);
	q->in_flight--;
	gmem_put(q->gmem, view);
}

void virtqueue_publish(struct virtqueue *q)
{
	struct vring_used *used = q->used;

	if (q->published == q->next_used)
		return;
	q->published = q->next_used;
	/* Pairs with the driver's barrier between reading used.idx and the ring (§2.7.14). */
	__atomic_store_n(&used->idx, q->published, __ATOMIC_RELEASE);
}

bool virtqueue_wants_interrupt(struct virtqueue *q)
{
	const struct vring_avail *avail = q->avail;
	uint16_t before = q->signalled, now = q->published;
	bool wants;

	if (before == now)
		return false;
	q->signalled = now;
	/*
	 * used.idx is written before used_event or flags are read. Pairs with the driver's
	 * barrier between writing those and looking at used.idx once more (§2.7.14): one of
	 * us two sees what the other wrote.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->event_idx)
		wants = (uint16_t)(now - load16(used_event(q)) - 1) < (uint16_t)(now - before);
	else
		wants = !(load16(&avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	q->counts.interrupts_wanted += wants;
	return wants;
}

/* ---- notifications --------------------------------------------------------------- */

void virtqueue_notify_off(struct virtqueue *q)
{
	struct vring_used *used = q->used;

	if (!virtqueue_ready(q))
		return;
	/* With EVENT_IDX nothing needs to be said: the index asked for is behind us. */
	if (!q->event_idx && !q->notify_off)
		store16(&used->flags, VRING_USED_F_NO_NOTIFY);
	q->notify_off = true;
}

bool virtqueue_notify_on(struct virtqueue *q)
{
	if (!virtqueue_ready(q))
		return false;
	q->notify_off = false;
	return ask(q) != 0;
}
