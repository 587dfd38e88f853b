/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of a split virtqueue: see vring_driver.h. */
#include "tests/fake/vring_driver.h"

#include <assert.h>
#include <errno.h>

static uint64_t avail_off(unsigned num)
{
	return UINT64_C(16) * num;
}

static uint64_t used_off(unsigned num)
{
	return align_up(avail_off(num) + 6 + UINT64_C(2) * num, 4);
}

uint64_t vring_bytes(unsigned num)
{
	return align_up(used_off(num) + 6 + UINT64_C(8) * num, 16);
}

void vring_driver_init(struct vring_driver *v, struct ram_fake *ram, uint64_t at, unsigned num,
		       bool event_idx)
{
	uint8_t *host = ram->bytes + at;

	assert(num <= VIRTQ_SIZE_MAX && at + vring_bytes(num) <= ram->gmem.low);
	*v = (struct vring_driver){
		.ram = ram,
		.where = { num, gpa(at), gpa(at + avail_off(num)), gpa(at + used_off(num)) },
		.desc = (void *)host,
		.avail = (void *)(host + avail_off(num)),
		.used = (void *)(host + used_off(num)),
		.event_idx = event_idx,
		.n_free = num,
	};
	memset(host, 0, vring_bytes(num));
	for (unsigned i = 0; i < num; i++)
		v->next[i] = (uint16_t)(i + 1);
}

void vring_set_desc(struct vring_desc *d, uint64_t at, uint32_t len, uint16_t flags,
		    uint16_t next)
{
	struct vring_desc v = { .addr = at, .len = len, .flags = flags, .next = next };

	memcpy(d, &v, sizeof(v));
}

static uint16_t take_free(struct vring_driver *v)
{
	uint16_t i = v->free;

	v->free = v->next[i];
	v->n_free--;
	return i;
}

void vring_make_available(struct vring_driver *v, uint16_t head)
{
	v->avail->ring[v->avail_idx % v->where.num] = head;
	v->avail_idx++;
	/* Pairs with the device's acquire load. */
	__atomic_store_n(&v->avail->idx, v->avail_idx, __ATOMIC_RELEASE);
}

static uint16_t flags_of(const struct vring_seg *seg, bool last)
{
	return (uint16_t)((seg->writable ? VRING_DESC_F_WRITE : 0) |
			  (last ? 0 : VRING_DESC_F_NEXT));
}

int vring_add(struct vring_driver *v, const struct vring_seg *segs, unsigned n)
{
	uint16_t head = v->free, i;

	assert(n > 0);
	if (n > v->n_free)
		return -ENOSPC;
	for (unsigned k = 0; k < n; k++) {
		i = take_free(v);
		vring_set_desc(&v->desc[i], segs[k].at, segs[k].len,
			       flags_of(&segs[k], k + 1 == n), k + 1 == n ? 0 : v->free);
	}
	vring_make_available(v, head);
	return head;
}

int vring_add_indirect(struct vring_driver *v, const struct vring_seg *segs, unsigned n,
		       uint64_t table)
{
	struct vring_desc d;
	uint16_t head;

	if (v->n_free == 0)
		return -ENOSPC;
	head = take_free(v);
	for (unsigned k = 0; k < n; k++) {
		vring_set_desc(&d, segs[k].at, segs[k].len, flags_of(&segs[k], k + 1 == n),
			       (uint16_t)(k + 1));
		memcpy(v->ram->bytes + table + k * sizeof(d), &d, sizeof(d));
	}
	vring_set_desc(&v->desc[head], table, n * (uint32_t)sizeof(d), VRING_DESC_F_INDIRECT,
		       0);
	vring_make_available(v, head);
	return head;
}

bool vring_wants_kick(struct vring_driver *v)
{
	const uint16_t *event = (const uint16_t *)(const void *)&v->used->ring[v->where.num];
	uint16_t before = v->told, now = v->avail_idx;

	v->told = now;
	/* Pairs with the device's barrier in virtqueue_notify_on. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (v->event_idx)
		return vring_need_event(__atomic_load_n(event, __ATOMIC_RELAXED), now, before);
	return now != before &&
	       !(__atomic_load_n(&v->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY);
}

bool vring_reap(struct vring_driver *v, uint32_t *head, uint32_t *written)
{
	const struct vring_used_elem *e;
	uint16_t last;

	/* Pairs with the device's release store. */
	if (__atomic_load_n(&v->used->idx, __ATOMIC_ACQUIRE) == v->used_idx)
		return false;
	e = &v->used->ring[v->used_idx++ % v->where.num];
	assert(e->id < v->where.num);
	*head = e->id;
	*written = e->len;
	v->n_free++;
	for (last = (uint16_t)e->id; v->desc[last].flags & VRING_DESC_F_NEXT;
	     last = v->desc[last].next)
		v->n_free++;
	v->next[last] = v->free;
	v->free = (uint16_t)e->id;
	return true;
}

void vring_want_interrupt(struct vring_driver *v, bool on)
{
	if (v->event_idx)
		v->avail->ring[v->where.num] = (uint16_t)(v->used_idx - !on);
	else
		v->avail->flags = on ? 0 : VRING_AVAIL_F_NO_INTERRUPT;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
