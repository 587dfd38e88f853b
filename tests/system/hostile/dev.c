/* SPDX-License-Identifier: Apache-2.0 */
/* A driver as it should be, from which the attacks depart (virtio 1.2 §3.1, §4.2.3). */
#include "tests/system/hostile/hostile.h"

#include <string.h>

#define ANSWER_MS 20000 /* a machine under emulation may be slow, and is never this slow */
#define PAYLOAD 64

uint32_t get(struct dev *d, unsigned off)
{
	return (uint32_t)d->h->read(d->h->ctx, d->base + off, 4);
}

void set(struct dev *d, unsigned off, uint32_t value)
{
	d->h->write(d->h->ctx, d->base + off, 4, value);
}

uint64_t page_gpa(const struct dev *d, unsigned page)
{
	return d->h->arena_gpa + (uint64_t)page * PAGE;
}

void *page_at(const struct dev *d, unsigned page)
{
	return d->h->arena + (size_t)page * PAGE;
}

/* xorshift64: the same numbers each time. */
uint64_t random64(struct dev *d)
{
	d->seed ^= d->seed << 13;
	d->seed ^= d->seed >> 7;
	d->seed ^= d->seed << 17;
	return d->seed;
}

bool dev_reset(struct dev *d)
{
	const unsigned start = d->h->now_ms(d->h->ctx);

	set(d, VIRTIO_MMIO_STATUS, 0);
	while (get(d, VIRTIO_MMIO_STATUS) != 0) {
		if (d->h->now_ms(d->h->ctx) - start > ANSWER_MS)
			return false;
		d->h->wait(d->h->ctx);
	}
	return true;
}

bool dev_negotiate(struct dev *d, uint64_t without)
{
	const uint32_t hello = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	uint64_t wanted;

	set(d, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	set(d, VIRTIO_MMIO_STATUS, hello);
	d->offered = 0;
	for (unsigned i = 0; i < 2; i++) {
		set(d, VIRTIO_MMIO_DEVICE_FEATURES_SEL, i);
		d->offered |= (uint64_t)get(d, VIRTIO_MMIO_DEVICE_FEATURES) << (32 * i);
	}
	wanted = d->offered & ~without;
	for (unsigned i = 0; i < 2; i++) {
		set(d, VIRTIO_MMIO_DRIVER_FEATURES_SEL, i);
		set(d, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(wanted >> (32 * i)));
	}
	set(d, VIRTIO_MMIO_STATUS, hello | VIRTIO_CONFIG_S_FEATURES_OK);
	return get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK;
}

/* The control queue comes after all pairs (§5.1.2). */
static unsigned queue_number(struct dev *d, unsigned ring)
{
	const unsigned at = VIRTIO_MMIO_CONFIG +
			    (unsigned)offsetof(struct virtio_net_config, max_virtqueue_pairs);

	if (d->id != VIRTIO_ID_NET || ring < 2 || !(d->offered >> VIRTIO_NET_F_MQ & 1))
		return ring;
	return 2 * (unsigned)d->h->read(d->h->ctx, d->base + at, 2);
}

void ring_place(struct dev *d, unsigned q, unsigned num, uint64_t desc, uint64_t avail,
		uint64_t used)
{
	const uint64_t area[] = { desc, avail, used };
	const unsigned low[] = { VIRTIO_MMIO_QUEUE_DESC_LOW, VIRTIO_MMIO_QUEUE_AVAIL_LOW,
				 VIRTIO_MMIO_QUEUE_USED_LOW };

	set(d, VIRTIO_MMIO_QUEUE_SEL, queue_number(d, q));
	set(d, VIRTIO_MMIO_QUEUE_NUM, num);
	for (unsigned i = 0; i < 3; i++) {
		set(d, low[i], (uint32_t)area[i]);
		set(d, low[i] + 4, (uint32_t)(area[i] >> 32));
	}
	set(d, VIRTIO_MMIO_QUEUE_READY, 1);
}

bool ring_setup(struct dev *d, unsigned q, unsigned num)
{
	const unsigned page = AT_RINGS + 3 * q;
	struct ring *r = &d->ring[q];

	memset(page_at(d, page), 0, 3 * (size_t)PAGE);
	*r = (struct ring){
		.desc = page_at(d, page),
		.avail = page_at(d, page + 1),
		.used = page_at(d, page + 2),
		.num = num,
	};
	ring_place(d, q, num, page_gpa(d, page), page_gpa(d, page + 1), page_gpa(d, page + 2));
	return get(d, VIRTIO_MMIO_QUEUE_READY) == 1;
}

bool dev_start(struct dev *d, unsigned num, uint64_t without)
{
	if (!dev_reset(d) || !dev_negotiate(d, without))
		return false;
	d->n_rings = d->id == VIRTIO_ID_BLOCK		    ? 1 :
		     d->offered >> VIRTIO_NET_F_CTRL_VQ & 1 ? 3 :
							      2;
	for (unsigned i = 0; i < d->n_rings; i++) {
		if (!ring_setup(d, i, num))
			return false;
	}
	set(d, VIRTIO_MMIO_STATUS, get(d, VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
	return get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_DRIVER_OK;
}

void desc_set(struct ring *r, unsigned i, uint64_t gpa, uint32_t len, uint16_t flags,
	      uint16_t next)
{
	r->desc[i] =
		(struct vring_desc){ .addr = gpa, .len = len, .flags = flags, .next = next };
}

void ring_offer(struct ring *r, uint16_t head)
{
	r->avail->ring[r->next++ % r->num] = head;
	__atomic_store_n(&r->avail->idx, r->next, __ATOMIC_RELEASE);
}

void ring_kick(struct dev *d, unsigned q)
{
	set(d, VIRTIO_MMIO_QUEUE_NOTIFY, queue_number(d, q));
}

bool ring_used(struct dev *d, unsigned q, unsigned ms)
{
	const unsigned start = d->h->now_ms(d->h->ctx);
	struct ring *r = &d->ring[q];

	while (__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) == r->seen) {
		if (d->h->now_ms(d->h->ctx) - start > ms)
			return false;
		d->h->wait(d->h->ctx);
	}
	r->seen++;
	return true;
}

bool faulted(struct dev *d)
{
	return get(d, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

bool faulted_soon(struct dev *d)
{
	const unsigned start = d->h->now_ms(d->h->ctx);

	while (!faulted(d)) {
		if (d->h->now_ms(d->h->ctx) - start > ANSWER_MS)
			return false;
		d->h->wait(d->h->ctx);
	}
	return true;
}

unsigned main_queue(const struct dev *d)
{
	return d->id == VIRTIO_ID_NET ? 1 : 0; /* transmit */
}

/* ---- block ---- */

int blk_request(struct dev *d, uint32_t type, uint64_t sector, uint32_t len, bool writable)
{
	const struct virtio_blk_outhdr header = { .type = type, .sector = sector };
	volatile uint8_t *status = (uint8_t *)page_at(d, AT_HEADER) + 64;
	struct ring *r = &d->ring[0];
	unsigned n = 0;

	memcpy(page_at(d, AT_HEADER), &header, sizeof(header));
	*status = 0xff;
	desc_set(r, n, page_gpa(d, AT_HEADER), sizeof(header), VRING_DESC_F_NEXT, 1);
	n++;
	if (len > 0) {
		desc_set(r, n, page_gpa(d, AT_DATA), len,
			 (uint16_t)(VRING_DESC_F_NEXT | (writable ? VRING_DESC_F_WRITE : 0)),
			 2);
		n++;
	}
	desc_set(r, n, page_gpa(d, AT_HEADER) + 64, 1, VRING_DESC_F_WRITE, 0);
	ring_offer(r, 0);
	ring_kick(d, 0);
	return ring_used(d, 0, ANSWER_MS) ? *status : -1;
}

static const char *blk_works(struct dev *d)
{
	uint64_t *data = page_at(d, AT_DATA), text;

	text = data[0] = data[63] = random64(d);
	if (blk_request(d, VIRTIO_BLK_T_OUT, 8, 512, false) != VIRTIO_BLK_S_OK)
		return "a sector cannot be written";
	data[0] = data[63] = 0;
	if (blk_request(d, VIRTIO_BLK_T_IN, 8, 512, true) != VIRTIO_BLK_S_OK)
		return "a sector cannot be read";
	return data[0] == text && data[63] == text ? NULL : "a sector has changed";
}

/* ---- network ---- */

/* A broadcast frame with a type of its own. */
static void make_packet(struct dev *d)
{
	uint8_t *header = page_at(d, AT_HEADER), *frame = page_at(d, AT_DATA);

	memset(header, 0, sizeof(struct virtio_net_hdr_v1));
	memset(frame, 0xff, 6);
	memset(frame + 6, 0x02, 6);
	frame[12] = 0x88;
	frame[13] = 0xb5;
	memset(frame + 14, 0, PAYLOAD);
}

static const char *net_works(struct dev *d)
{
	struct ring *r = &d->ring[1];

	make_packet(d);
	desc_set(r, 0, page_gpa(d, AT_HEADER), sizeof(struct virtio_net_hdr_v1),
		 VRING_DESC_F_NEXT, 1);
	desc_set(r, 1, page_gpa(d, AT_DATA), 14 + PAYLOAD, 0, 0);
	ring_offer(r, 0);
	ring_kick(d, 1);
	return ring_used(d, 1, ANSWER_MS) ? NULL : "a packet cannot be sent";
}

void valid_chain(struct dev *d)
{
	const bool blk = d->id == VIRTIO_ID_BLOCK;
	const struct virtio_blk_outhdr header = { .type = VIRTIO_BLK_T_IN };
	const uint16_t in = blk ? VRING_DESC_F_WRITE : 0;
	struct ring *r = &d->ring[main_queue(d)];

	make_packet(d);
	if (blk)
		memcpy(page_at(d, AT_HEADER), &header, sizeof(header));
	desc_set(r, 0, page_gpa(d, AT_HEADER), blk ? 16 : 12, VRING_DESC_F_NEXT, 1);
	desc_set(r, 1, page_gpa(d, AT_DATA), 512, VRING_DESC_F_NEXT | in, 2);
	desc_set(r, 2, page_gpa(d, AT_HEADER) + 64, 1, in, 0);
}

/* ---- either ---- */

bool dev_find(struct dev *d, const struct host *h, unsigned window)
{
	*d = (struct dev){ .h = h,
			   .base = WINDOWS + (uint64_t)window * PAGE,
			   .seed = 0x9e3779b97f4a7c15u + window };
	if (get(d, VIRTIO_MMIO_MAGIC_VALUE) != 0x74726976)
		return false;
	d->id = get(d, VIRTIO_MMIO_DEVICE_ID);
	if (d->id == VIRTIO_ID_BLOCK)
		d->capacity = get(d, VIRTIO_MMIO_CONFIG) |
			      (uint64_t)get(d, VIRTIO_MMIO_CONFIG + 4) << 32;
	return true;
}

const char *dev_works(struct dev *d)
{
	const char *why;

	if (!dev_reset(d))
		return "a reset does not end";
	if (!dev_start(d, RING_NUM, 0))
		return "it does not start again";
	why = d->id == VIRTIO_ID_BLOCK ? blk_works(d) : net_works(d);
	if (why == NULL && faulted(d))
		return "it asks for a reset without reason";
	return why != NULL ? why : dev_reset(d) ? NULL : "a reset does not end";
}
