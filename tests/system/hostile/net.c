/* SPDX-License-Identifier: Apache-2.0 */
/* Packets, receive buffers and control commands that make no sense (virtio 1.2 §5.1.6). */
#include "tests/system/hostile/hostile.h"

#include <string.h>

#define HEADER sizeof(struct virtio_net_hdr_v1)

/* Whether a chain of this queue came to an end, in one way or the other. */
static bool ended(struct dev *d, unsigned q)
{
	for (unsigned i = 0; i < 5000; i++) {
		if (ring_used(d, q, 1) || faulted(d))
			return true;
	}
	return false;
}

/* Send `len` bytes from AT_DATA on, the header included, in `segments` pieces. */
static bool send(struct dev *d, uint32_t len, unsigned segments)
{
	struct ring *r = &d->ring[1];

	for (unsigned i = 0; i < segments; i++)
		desc_set(r, i, page_gpa(d, AT_DATA) + i * (len / segments), len / segments,
			 i + 1 < segments ? VRING_DESC_F_NEXT : 0, (uint16_t)(i + 1));
	ring_offer(r, 0);
	ring_kick(d, 1);
	return ended(d, 1);
}

static const char *packet_lengths(struct dev *d)
{
	static const uint32_t len[] = { 1,  4,	11,   12,    13,    20,	   25,	   26,
					27, 60, 1526, 65535, 65536, 65562, 131072, 262144 };

	for (unsigned i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		if (!dev_start(d, RING_NUM, 0))
			return "it does not start";
		memset(page_at(d, AT_DATA), 0, DATA_PAGES * (size_t)PAGE);
		if (!send(d, len[i], 1))
			return "a packet was never done";
	}
	return NULL;
}

static const char *packet_pieces(struct dev *d)
{
	if (!dev_start(d, 256, 0))
		return "it does not start";
	memset(page_at(d, AT_DATA), 0, DATA_PAGES * (size_t)PAGE);
	for (unsigned n = 1; n <= 256; n += n < 20 ? 1 : 59) {
		if (!send(d, 256, n))
			return "a packet was never done";
		if (faulted(d) && !dev_start(d, 256, 0))
			return "it does not start";
	}
	return NULL;
}

static const char *packet_headers(struct dev *d)
{
	const unsigned n = 3 * d->h->scale;
	uint8_t *header = page_at(d, AT_DATA);

	if (!dev_start(d, RING_NUM, 0))
		return "it does not start";
	for (unsigned i = 0; i < n; i++) {
		for (unsigned b = 0; b < HEADER; b++)
			header[b] = (uint8_t)random64(d);
		header[1] =
			(uint8_t)(i % 8 | (i & 8) << 4); /* gso_type, with and without ECN */
		if (!send(d, (uint32_t)(HEADER + random64(d) % 3000), 1))
			return "a packet was never done";
		if (faulted(d) && !dev_start(d, RING_NUM, 0))
			return "it does not start";
	}
	return NULL;
}

/* Receive buffers of every bad kind; they are used only when somebody sends us something. */
static const char *receive_buffers(struct dev *d)
{
	static const struct {
		uint32_t len;
		uint16_t flags;
	} buffers[] = {
		{ 1, VRING_DESC_F_WRITE },  { 11, VRING_DESC_F_WRITE },
		{ 12, VRING_DESC_F_WRITE }, { 13, VRING_DESC_F_WRITE },
		{ 64, VRING_DESC_F_WRITE }, { 1526, 0 },
	};
	struct ring *r = &d->ring[0];

	for (unsigned i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		if (!dev_start(d, RING_NUM, 0))
			return "it does not start";
		for (uint16_t n = 0; n < RING_NUM; n++) {
			desc_set(r, n, page_gpa(d, AT_DATA) + n * PAGE, buffers[i].len,
				 buffers[i].flags, 0);
			ring_offer(r, n);
		}
		ring_kick(d, 0);
		for (unsigned ms = 0; ms < 200; ms++)
			d->h->wait(d->h->ctx);
	}
	return NULL;
}

/* ---- the control queue ---- */

static const struct {
	const char *name;
	uint8_t class, cmd;
	uint32_t len; /* of the data that follows */
	uint32_t value; /* it begins with */
	uint32_t ack_len;
} commands[] = {
	{ "pairs 0", VIRTIO_NET_CTRL_MQ, 0, 2, 0, 1 },
	{ "pairs 0xffff", VIRTIO_NET_CTRL_MQ, 0, 2, 0xffff, 1 },
	{ "pairs without number", VIRTIO_NET_CTRL_MQ, 0, 0, 0, 1 },
	{ "pairs of one byte", VIRTIO_NET_CTRL_MQ, 0, 1, 1, 1 },
	{ "pairs of 4 KiB", VIRTIO_NET_CTRL_MQ, 0, 4096, 1, 1 },
	{ "unknown class", 77, 0, 4, 0, 1 },
	{ "unknown command", VIRTIO_NET_CTRL_MQ, 200, 4, 0, 1 },
	{ "receive mode", VIRTIO_NET_CTRL_RX, 0, 1, 255, 1 },
	{ "table of 4 G addresses", VIRTIO_NET_CTRL_MAC, 0, 64, 0xffffffff, 1 },
	{ "address", VIRTIO_NET_CTRL_MAC, 1, 3, 0, 1 },
	{ "offloads", VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, 8, 0xffffffff, 1 },
	{ "no room for the answer", VIRTIO_NET_CTRL_MQ, 0, 2, 1, 0 },
	{ "much room for the answer", VIRTIO_NET_CTRL_MQ, 0, 2, 1, 4096 },
};

static const char *control_commands(struct dev *d)
{
	uint8_t *data = page_at(d, AT_DATA);
	struct ring *r = &d->ring[2];

	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		const uint16_t last = commands[i].ack_len == 0 ? 0 : VRING_DESC_F_NEXT;

		if (!dev_start(d, RING_NUM, 0))
			return "it does not start";
		if (d->n_rings < 3)
			return NULL;
		memset(data, 0, PAGE);
		data[0] = commands[i].class;
		data[1] = commands[i].cmd;
		memcpy(data + 2, &commands[i].value, 4);
		desc_set(r, 0, page_gpa(d, AT_DATA), 2 + commands[i].len, last, 1);
		desc_set(r, 1, page_gpa(d, AT_HEADER), commands[i].ack_len, VRING_DESC_F_WRITE,
			 0);
		ring_offer(r, 0);
		ring_kick(d, 2);
		if (!ended(d, 2))
			return commands[i].name;
	}
	return NULL;
}

/* A class without command, and nothing readable. */
static const char *control_frames(struct dev *d)
{
	struct ring *r = &d->ring[2];

	for (unsigned i = 0; i < 2; i++) {
		if (!dev_start(d, RING_NUM, 0))
			return "it does not start";
		if (d->n_rings < 3)
			return NULL;
		desc_set(r, 0, page_gpa(d, AT_DATA), 1,
			 i == 0 ? VRING_DESC_F_NEXT : VRING_DESC_F_NEXT | VRING_DESC_F_WRITE,
			 1);
		desc_set(r, 1, page_gpa(d, AT_HEADER), 1, VRING_DESC_F_WRITE, 0);
		ring_offer(r, 0);
		ring_kick(d, 2);
		if (!ended(d, 2))
			return "it was never done";
	}
	return NULL;
}

const struct attack net_attacks[] = {
	{ "packets of every length", VIRTIO_ID_NET, packet_lengths },
	{ "packets in pieces", VIRTIO_ID_NET, packet_pieces },
	{ "headers of packets", VIRTIO_ID_NET, packet_headers },
	{ "receive buffers", VIRTIO_ID_NET, receive_buffers },
	{ "control commands", VIRTIO_ID_NET, control_commands },
	{ "control frames", VIRTIO_ID_NET, control_frames },
	{ NULL, 0, NULL },
};
