/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the driver to the network (virtio 1.2 §5.1.6.2): each chain is one packet with its
 * header, and one write.
 *
 * Input from the guest: chains. Headers and packets are not looked at here: the kernel copies
 * and checks them.
 */
#include "devices/net_priv.h"

#include <errno.h>

/* A host that is short of memory takes packets again soon; it has a second. */
#define RETRY_NS UINT64_C(1000000)
#define TRIES_MAX 500

static struct virtqueue *queue(const struct net_tx *tx)
{
	return &tx->net->dev.queues[tx->q];
}

static void give_back(struct net_tx *tx, unsigned i)
{
	net_chains_push(&tx->chains, &tx->net->dev, tx->q, i, 0);
	tx->pushed = true;
}

/* Worth another try: the host has no room now. */
static bool temporary(const struct net_tx *tx, int res)
{
	return (res == -EAGAIN || res == -ENOBUFS || res == -ENOMEM) && tx->tries < TRIES_MAX;
}

static void write_done(struct loop_op *op, int res)
{
	struct net_write *w = CONTAINER_OF(op, struct net_write, op);
	struct net_tx *tx = w->tx;
	unsigned i = (unsigned)(w - tx->writes);
	struct net_counts *counts = &tx->net->counts;

	tx->n_busy--;
	net_later(tx->net);
	if (tx->net->dev.run != VIRTIO_RUNNING)
		return;
	if (temporary(tx, res)) {
		tx->again = true;
		return;
	}
	if (res < 0) {
		counts->tx_errors++;
	} else {
		tx->tries = 0;
		counts->tx_packets++;
		latency_add(&counts->write_latency,
			    loop_now(tx->net->dev.env.loop) - w->start_ns);
		counts->tx_bytes += tx->chains.at[i].len - NET_HEADER;
	}
	give_back(tx, i);
}

/* Write one packet; false when it must wait for tokens. */
static bool send_packet(struct net_tx *tx, unsigned i)
{
	struct virtio_net *n = tx->net;
	struct net_chain *c = &tx->chains.at[i];
	uint64_t wait;

	if (c->len > NET_PACKET_MAX) {
		n->counts.tx_errors++;
		give_back(tx, i);
		return true;
	}
	wait = c->paid ? 0 : net_charge(&n->tx_limit, c->len - NET_HEADER);
	if (wait > 0) {
		n->counts.tx_throttled++;
		net_wait(n, &tx->pause, wait);
		return false;
	}
	c->paid = true;
	tx->n_busy++;
	tx->writes[i].start_ns = loop_now(n->dev.env.loop);
	loop_writev(n->dev.env.loop, &tx->writes[i].op, tx->file, &tx->chains.iov[c->iov],
		    c->n_iov, LOOP_NO_OFFSET, 0);
	return true;
}

/* A batch: those that were kept, and new ones. Returns how many packets were looked at. */
static int send_batch(struct net_tx *tx)
{
	struct net_chains *s = &tx->chains;
	unsigned i;
	int rc;

	net_chains_compact(s);
	for (i = 0; i < TX_BATCH; i++) {
		if (i == s->n) {
			rc = net_chains_take(s, &tx->net->dev, tx->q, false);
			if (rc < 0)
				return rc;
			if (rc == 0)
				break;
		}
		if (!send_packet(tx, i))
			return (int)i + 1;
	}
	return (int)i;
}

static void publish(struct net_tx *tx)
{
	if (tx->pushed)
		virtio_used(&tx->net->dev, tx->q);
	tx->pushed = false;
}

void net_tx_work(struct net_tx *tx)
{
	int n;

	if (tx->n_busy > 0 || !virtqueue_ready(queue(tx)))
		return;
	publish(tx);
	if (tx->pause.op.busy)
		return;
	if (tx->again) {
		tx->again = false;
		tx->tries++;
		net_wait(tx->net, &tx->pause, RETRY_NS);
		return;
	}
	if (!tx->active)
		return;
	do {
		virtqueue_notify_off(queue(tx));
		n = send_batch(tx);
		publish(tx);
		if (n != 0) {
			/* What was answered without a write must not be the last of it. */
			if (n > 0 && tx->n_busy == 0)
				net_later(tx->net);
			return;
		}
		/* Buffers that came meanwhile come with no notification. */
	} while (virtqueue_notify_on(queue(tx)));
}

/* ---- life ------------------------------------------------------------------------ */

static void pause_done(struct loop_op *op, int res)
{
	struct net_tx *tx =
		CONTAINER_OF(CONTAINER_OF(op, struct loop_timer, op), struct net_tx, pause);

	(void)res;
	net_later(tx->net);
}

void net_tx_init(struct net_tx *tx, struct virtio_net *n, unsigned q)
{
	tx->net = n;
	tx->q = q;
	tx->pause.op.done = pause_done;
	for (unsigned i = 0; i < TX_BATCH; i++)
		tx->writes[i] = (struct net_write){ .op.done = write_done, .tx = tx };
}

void net_tx_start(struct net_tx *tx, int fd)
{
	tx->file = loop_file_plain(fd);
	tx->again = tx->pushed = false;
	tx->tries = 0;
}

void net_tx_cancel(struct net_tx *tx)
{
	struct loop *l = tx->net->dev.env.loop;

	for (unsigned i = 0; i < TX_BATCH; i++)
		loop_cancel(l, &tx->writes[i].op);
	loop_cancel(l, &tx->pause.op);
}

bool net_tx_idle(const struct net_tx *tx)
{
	return tx->n_busy == 0 && !tx->pause.op.busy;
}

void net_tx_finish(struct net_tx *tx)
{
	net_chains_drop(&tx->chains, tx->net->dev.env.gmem);
	loop_file_remove(tx->net->dev.env.loop, &tx->file);
	tx->active = false;
}
