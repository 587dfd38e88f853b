/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device: what it offers, its configuration space, start and stop. Packets are
 * net_rx.c's and net_tx.c's work, commands net_ctrl.c's.
 */
#include "devices/virtio_net.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "devices/net_priv.h"

#define BIT(n) (UINT64_C(1) << (n))
/* Packets of the time before, which may need offloads that the driver does not know. */
#define DRAIN_MAX 4096

_Static_assert(2 * TAP_QUEUES_MAX + 1 <= VIRTIO_QUEUES_MAX, "all pairs and the control queue");

static struct virtio_net *net_of(struct virtio_dev *d)
{
	return CONTAINER_OF(d, struct virtio_net, dev);
}

/* ---- for the other files --------------------------------------------------------- */

void net_later(struct virtio_net *n)
{
	loop_at_end(n->dev.env.loop, &n->late);
}

uint64_t net_charge(struct rate_limiter *r, uint64_t bytes)
{
	/* Without a limit nobody needs to know the time. */
	if (r->bandwidth.size == 0 && r->ops.size == 0)
		return 0;
	return rate_limiter_take(r, bytes, clock_ns());
}

void net_wait(struct virtio_net *n, struct loop_timer *t, uint64_t ns)
{
	loop_timeout(n->dev.env.loop, t, ns / 1000000 + 1);
}

int net_set_pairs(struct virtio_net *n, unsigned pairs)
{
	int rc = n->n_pairs > 1 ? tap_set_queues(n->tap, pairs) : 0;

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < n->n_pairs; i++) {
		struct net_pair *p = &n->pairs[i];

		if (p->rx.active && i >= pairs)
			net_rx_cancel(&p->rx);
		p->rx.active = p->tx.active = i < pairs;
	}
	net_later(n);
	return 0;
}

unsigned net_queue_pairs(const struct virtio_net *n)
{
	return virtio_has(&n->dev, VIRTIO_NET_F_MQ) ? n->n_pairs : 1;
}

/* ---- features -------------------------------------------------------------------- */

static uint64_t features(const struct tap *t, bool mtu)
{
	uint64_t f = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
		     BIT(VIRTIO_NET_F_MRG_RXBUF);

	if (mtu)
		f |= BIT(VIRTIO_NET_F_MTU);
	if (t->n_queues > 1)
		f |= BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_MQ);
	if (!t->offload_csum)
		return f;
	f |= BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM);
	if (t->offload_tso4)
		f |= BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO4);
	if (t->offload_tso6)
		f |= BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_GUEST_TSO6);
	if (t->offload_tso4 || t->offload_tso6)
		f |= BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_ECN);
	if (t->offload_uso)
		f |= BIT(VIRTIO_NET_F_HOST_USO) | BIT(VIRTIO_NET_F_GUEST_USO4) |
		     BIT(VIRTIO_NET_F_GUEST_USO6);
	return f;
}

/* TUN_F_* for what the driver accepted; all others need GUEST_CSUM (§5.1.3.1). */
static unsigned accepted_offloads(const struct virtio_dev *d)
{
	unsigned f = 0;

	if (!virtio_has(d, VIRTIO_NET_F_GUEST_CSUM))
		return 0;
	if (virtio_has(d, VIRTIO_NET_F_GUEST_TSO4))
		f |= TUN_F_TSO4;
	if (virtio_has(d, VIRTIO_NET_F_GUEST_TSO6))
		f |= TUN_F_TSO6;
	if (f && virtio_has(d, VIRTIO_NET_F_GUEST_ECN))
		f |= TUN_F_TSO_ECN;
	/* The tap has both or none. */
	if (virtio_has(d, VIRTIO_NET_F_GUEST_USO4) && virtio_has(d, VIRTIO_NET_F_GUEST_USO6))
		f |= TUN_F_USO4 | TUN_F_USO6;
	return TUN_F_CSUM | f;
}

/* ---- start and stop -------------------------------------------------------------- */

static void drain(const struct tap *t)
{
	uint8_t header[64];

	for (unsigned i = 0; i < t->n_queues; i++)
		for (unsigned k = 0; k < DRAIN_MAX; k++)
			if (read(t->fds[i], header, sizeof(header)) < 0)
				break;
}

static void set_up_tap(struct virtio_net *n)
{
	unsigned before = n->offloads;
	int rc = tap_set_header(n->tap, NET_HEADER);

	n->offloads = accepted_offloads(&n->dev);
	if (rc == 0)
		rc = tap_set_offloads(n->tap, n->offloads);
	if (rc < 0)
		log_guest(&n->dev.log, "net", "%s: the tap cannot be set up: %s", n->name,
			  strerror(-rc));
	if (before & ~n->offloads)
		drain(n->tap);
}

static void net_start(struct virtio_dev *d)
{
	struct virtio_net *n = net_of(d);
	int rc;

	n->more_commands = false;
	set_up_tap(n);
	for (unsigned i = 0; i < n->n_pairs; i++) {
		net_rx_start(&n->pairs[i].rx, n->tap->fds[i]);
		net_tx_start(&n->pairs[i].tx, n->tap->fds[i]);
	}
	/* One pair, until the driver asks for more (§5.1.6.5.5). */
	rc = net_set_pairs(n, 1);
	if (rc < 0)
		log_guest(&n->dev.log, "net", "%s: queues of the tap: %s", n->name,
			  strerror(-rc));
}

static bool idle(const struct virtio_net *n)
{
	for (unsigned i = 0; i < n->n_pairs; i++)
		if (!net_rx_idle(&n->pairs[i].rx) || !net_tx_idle(&n->pairs[i].tx))
			return false;
	return !n->late.queued;
}

static void give_up(struct virtio_net *n)
{
	for (unsigned i = 0; i < n->n_pairs; i++) {
		net_rx_finish(&n->pairs[i].rx);
		net_tx_finish(&n->pairs[i].tx);
	}
}

static void try_stop(struct virtio_net *n)
{
	if (!idle(n))
		return;
	give_up(n);
	virtio_stopped(&n->dev);
}

static void net_stop(struct virtio_dev *d)
{
	struct virtio_net *n = net_of(d);

	for (unsigned i = 0; i < n->n_pairs; i++) {
		net_rx_cancel(&n->pairs[i].rx);
		net_tx_cancel(&n->pairs[i].tx);
	}
	try_stop(n);
}

static void end_of_turn(struct loop_late *late)
{
	struct virtio_net *n = CONTAINER_OF(late, struct virtio_net, late);

	if (n->dev.run == VIRTIO_STOPPING) {
		try_stop(n);
		return;
	}
	if (n->dev.run == VIRTIO_RUNNING && n->more_commands)
		net_ctrl_work(n);
	for (unsigned i = 0; i < n->n_pairs; i++) {
		if (n->dev.run == VIRTIO_RUNNING)
			net_rx_work(&n->pairs[i].rx);
		if (n->dev.run == VIRTIO_RUNNING)
			net_tx_work(&n->pairs[i].tx);
	}
}

static void net_notify(struct virtio_dev *d, unsigned q)
{
	struct virtio_net *n = net_of(d);
	unsigned pairs = net_queue_pairs(n);

	if (q < 2 * pairs && q % 2 == 0)
		net_rx_notified(&n->pairs[q / 2].rx);
	else if (q < 2 * pairs)
		net_tx_work(&n->pairs[q / 2].tx);
	else if (q == 2 * pairs && virtio_has(d, VIRTIO_NET_F_CTRL_VQ))
		net_ctrl_work(n);
}

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.start = net_start,
	.notify = net_notify,
	.stop = net_stop,
};

/* ---- life ------------------------------------------------------------------------ */

static void choose_mac(uint8_t *mac, const struct net_setup *s)
{
	if (s->has_mac) {
		memcpy(mac, s->mac, sizeof(s->mac));
		return;
	}
	/* Cannot fail for so few bytes; any address would do. */
	(void)!getrandom(mac, sizeof(s->mac), 0);
	/* Locally administered, not a group's. */
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static void init_device(struct virtio_net *n, const struct net_setup *s)
{
	struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (uint16_t)n->n_pairs,
		.mtu = s->mtu,
	};
	const struct virtio_setup setup = {
		.ops = &net_ops,
		.name = n->name,
		.env = s->env,
		.gsi = s->gsi,
		.features = features(s->tap, s->mtu != 0),
		.n_queues = 2 * n->n_pairs + (n->n_pairs > 1),
		.config = &config,
		.config_len = offsetof(struct virtio_net_config, speed),
	};

	choose_mac(config.mac, s);
	virtio_init(&n->dev, &setup);
}

int virtio_net_create(struct virtio_net **out, const struct net_setup *s)
{
	unsigned pairs = s->tap->n_queues;
	struct virtio_net *n = calloc(1, sizeof(*n) + pairs * sizeof(n->pairs[0]));
	uint64_t now = clock_ns();

	if (!n)
		return -ENOMEM;
	(void)snprintf(n->name, sizeof(n->name), "network interface %s", s->id);
	n->tap = s->tap;
	n->mtu = s->mtu;
	n->late.run = end_of_turn;
	n->n_pairs = pairs;
	rate_limiter_init(&n->rx_limit, s->rx_limit, now);
	rate_limiter_init(&n->tx_limit, s->tx_limit, now);
	init_device(n, s);
	for (unsigned i = 0; i < pairs; i++) {
		net_rx_init(&n->pairs[i].rx, n, 2 * i);
		net_tx_init(&n->pairs[i].tx, n, 2 * i + 1);
	}
	*out = n;
	return 0;
}

struct virtio_dev *virtio_net_dev(struct virtio_net *n)
{
	return &n->dev;
}

void virtio_net_set_limits(struct virtio_net *n, const struct rate_limiter_config *rx,
			   const struct rate_limiter_config *tx)
{
	uint64_t now = clock_ns();

	rate_limiter_update(&n->rx_limit, rx, now);
	rate_limiter_update(&n->tx_limit, tx, now);
	/* Those that wait for tokens ask again. */
	for (unsigned i = 0; i < n->n_pairs; i++) {
		loop_cancel(n->dev.env.loop, &n->pairs[i].rx.pause.op);
		loop_cancel(n->dev.env.loop, &n->pairs[i].tx.pause.op);
	}
}

struct net_counts virtio_net_counts(const struct virtio_net *n)
{
	return n->counts;
}

void virtio_net_destroy(struct virtio_net *n)
{
	if (!n)
		return;
	/* When the loop turns no more, it may not be there: files stay as they are. */
	for (unsigned i = 0; i < n->n_pairs; i++) {
		net_chains_drop(&n->pairs[i].rx.chains, n->dev.env.gmem);
		net_chains_drop(&n->pairs[i].tx.chains, n->dev.env.gmem);
	}
	for (unsigned i = 0; i < n->dev.n_queues; i++)
		virtqueue_stop(&n->dev.queues[i]);
	tap_close(n->tap);
	free(n);
}
