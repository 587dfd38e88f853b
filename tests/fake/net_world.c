/* SPDX-License-Identifier: Apache-2.0 */
/* A network device with both its sides: see net_world.h. */
#include "tests/fake/net_world.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define RING_STRIDE (64 * KIB)
#define GSI 7
#define TURNS 24

static void pulse(void *ctx, unsigned gsi)
{
	assert(gsi == GSI);
	((struct net_world *)ctx)->pulses++;
}

static void nothing(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

/* One end is a tap to the device: a packet with its header is a datagram. */
static struct tap *socket_tap(int *host)
{
	struct tap *t = calloc(1, sizeof(*t));
	int fds[2];

	if (!t || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	t->n_queues = t->attached = 1;
	t->fds[0] = fds[0];
	*host = fds[1];
	return t;
}

void net_world_init(struct net_world *w, const struct net_setup *s, struct loop *loop)
{
	static const struct rate_limiter_config unlimited;
	struct dev_env env = { .pulse = pulse, .ctx = w };
	struct net_setup setup = *s;

	*w = (struct net_world){ .host = -1, .loop = loop };
	w->own_loop = !loop;
	if (w->own_loop && loop_create(&w->loop, 64) < 0)
		abort();
	ram_fake_init(&w->ram, NET_WORLD_RAM);
	env.loop = w->loop;
	env.gmem = &w->ram.gmem;
	setup.env = &env;
	setup.gsi = GSI;
	if (!s->id)
		setup.id = "eth0";
	if (!s->rx_limit)
		setup.rx_limit = &unlimited;
	if (!s->tx_limit)
		setup.tx_limit = &unlimited;
	if (!s->tap)
		setup.tap = socket_tap(&w->host);
	w->tap = setup.tap->fds[0];
	if (virtio_net_create(&w->net, &setup) < 0)
		abort();
	w->dev = virtio_net_dev(w->net);
}

static void destroy(struct net_world *w)
{
	virtio_net_destroy(w->net);
	/* Asserts that no view is in use. */
	gmem_fini(&w->ram.gmem);
	ram_fake_free(&w->ram);
	if (w->host >= 0)
		(void)close(w->host);
}

void net_world_end(struct net_world *w)
{
	net_world_reset(w);
	/* An interrupt that was due has been forgotten after this. */
	net_world_turn(w);
	destroy(w);
	if (w->own_loop)
		loop_destroy(w->loop);
}

void net_world_crash(struct net_world *w)
{
	loop_destroy(w->loop);
	destroy(w);
}

void net_world_start(struct net_world *w, uint64_t features, unsigned queues, unsigned size)
{
	struct virtio_dev *d = w->dev;
	const uint8_t driver = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	bool event_idx;

	assert(d->run == VIRTIO_IDLE && d->status == 0 && queues <= d->n_queues);
	virtio_set_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set_status(d, driver);
	d->acked = (features | UINT64_C(1) << VIRTIO_F_VERSION_1) & d->offered;
	virtio_set_status(d, driver | VIRTIO_CONFIG_S_FEATURES_OK);
	event_idx = virtio_has(d, VIRTIO_RING_F_EVENT_IDX);
	for (unsigned i = 0; i < queues; i++) {
		vring_driver_init(&w->queues[i], &w->ram, (i + 1) * RING_STRIDE, size,
				  event_idx);
		if (virtqueue_start(&d->queues[i], &w->ram.gmem, &w->queues[i].where, event_idx,
				    virtio_has(d, VIRTIO_RING_F_INDIRECT_DESC)) < 0)
			abort();
	}
	virtio_set_status(d, driver | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	assert(d->run == VIRTIO_RUNNING);
}

void net_world_reset(struct net_world *w)
{
	virtio_reset(w->dev);
	for (unsigned i = 0; i < TURNS && w->dev->run != VIRTIO_IDLE; i++)
		net_world_turn(w);
	assert(w->dev->run == VIRTIO_IDLE);
}

void net_world_turn(struct net_world *w)
{
	struct loop_op nop = { .done = nothing };

	loop_defer(w->loop, &nop);
	while (nop.busy)
		if (loop_turn(w->loop) < 0)
			abort();
}

void net_world_settle(struct net_world *w)
{
	for (unsigned i = 0; i < TURNS; i++)
		net_world_turn(w);
}

void net_world_run(struct net_world *w, uint64_t ms)
{
	struct loop_timer t = { .op.done = nothing };

	loop_timeout(w->loop, &t, ms);
	while (t.op.busy)
		if (loop_turn(w->loop) < 0)
			abort();
}

bool net_world_kick(struct net_world *w, unsigned q)
{
	bool wanted = vring_wants_kick(&w->queues[q]);

	if (wanted)
		virtio_notify(w->dev, q);
	return wanted;
}

/* ---- packets --------------------------------------------------------------------- */

uint8_t net_world_byte(unsigned packet, size_t i)
{
	return (uint8_t)(packet * 41 + i + i / 251);
}

void net_world_host_sends(const struct net_world *w, unsigned packet, size_t len)
{
	static uint8_t bytes[NET_WORLD_HEADER + NET_WORLD_PACKET];

	assert(len <= NET_WORLD_PACKET);
	memset(bytes, 0, NET_WORLD_HEADER);
	for (size_t i = 0; i < len; i++)
		bytes[NET_WORLD_HEADER + i] = net_world_byte(packet, i);
	if (send(w->host, bytes, NET_WORLD_HEADER + len, 0) !=
	    (ssize_t)(NET_WORLD_HEADER + len))
		abort();
}

int net_world_host_gets(const struct net_world *w, unsigned packet)
{
	static uint8_t bytes[NET_WORLD_HEADER + NET_WORLD_PACKET + 1];
	ssize_t n = recv(w->host, bytes, sizeof(bytes), 0);

	if (n < 0)
		return -errno;
	assert(n >= NET_WORLD_HEADER);
	for (size_t i = 0; NET_WORLD_HEADER + i < (size_t)n; i++)
		assert(bytes[NET_WORLD_HEADER + i] == net_world_byte(packet, i));
	return (int)n - (int)NET_WORLD_HEADER;
}

void net_world_narrow(const struct net_world *w)
{
	int least = 1;

	if (setsockopt(w->tap, SOL_SOCKET, SO_SNDBUF, &least, sizeof(least)) < 0)
		abort();
}

void net_world_guest_sends(struct net_world *w, unsigned packet, uint32_t len, uint32_t segment)
{
	/* A place for each of those that are in flight, if long ones are few. */
	uint64_t at = NET_WORLD_BUFFERS + packet % 64 * (uint64_t)(112 * KIB);
	uint32_t bytes = NET_WORLD_HEADER + len;
	struct vring_seg segs[VIRTQ_SIZE_MAX];
	unsigned n = 0;

	memset(w->ram.bytes + at, 0, NET_WORLD_HEADER);
	for (uint32_t i = 0; i < len; i++)
		w->ram.bytes[at + NET_WORLD_HEADER + i] = net_world_byte(packet, i);
	for (uint32_t done = 0; done < bytes; done += segs[n++].len)
		segs[n] = (struct vring_seg){ at + done,
					      bytes - done < segment ? bytes - done : segment,
					      false };
	if (vring_add(&w->queues[NET_WORLD_TX], segs, n) < 0)
		abort();
}

unsigned net_world_guest_reaps(struct net_world *w)
{
	uint32_t head, written;
	unsigned n = 0;

	for (; vring_reap(&w->queues[NET_WORLD_TX], &head, &written); n++)
		assert(written == 0);
	return n;
}

void net_world_guest_offers(struct net_world *w, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct vring_seg seg = { 8 * MIB + i * PAGE_BYTES, PAGE_BYTES, true };

		if (vring_add(&w->queues[NET_WORLD_RX], &seg, 1) < 0)
			abort();
	}
	(void)net_world_kick(w, NET_WORLD_RX);
}

unsigned net_world_guest_gets(struct net_world *w)
{
	uint32_t head, written;
	unsigned n = 0;

	for (; vring_reap(&w->queues[NET_WORLD_RX], &head, &written); n++)
		assert(written > NET_WORLD_HEADER);
	return n;
}
