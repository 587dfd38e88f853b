/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the network to the driver (virtio 1.2 §5.1.6.3, §5.1.6.4): packets are read
 * straight into the driver's buffers.
 *
 * How long a packet is shows only when it was read. With mergeable buffers a read gets as
 * many chains as the longest packet can take; the packet is told to the driver in those
 * that it fills, and the others are for the next reads. Behind the room is a byte of our own,
 * so that a packet that did not fit is known from one that did, and dropped.
 *
 * Input from the network: packets. Input from the guest: chains; what is in their memory is
 * never read.
 */
#include "devices/net_priv.h"

#include <errno.h>

#include "devices/iov.h"

#define MS UINT64_C(1000000) /* ns */

/*
 * Without offloads: what jumbo frames need, since the guest and the interface can have a
 * larger MTU than the one that was offered.
 */
#define USUAL_MTU 9000
/* A tag, and the rest of Ethernet's header. */
#define L2_HEADER (14 + 4)

/* Drivers with few buffers, all of which they have given us, get no large packets. */
#define PATIENCE_NS (50 * MS)
#define ERROR_PAUSE_NS (10 * MS)

static struct virtqueue *queue(const struct net_rx *rx)
{
	return &rx->net->dev.queues[rx->q];
}

static bool mergeable(const struct net_rx *rx)
{
	return virtio_has(&rx->net->dev, VIRTIO_NET_F_MRG_RXBUF);
}

/* ---- what came ------------------------------------------------------------------- */

/* Bytes of the header that the tap does not write: it knows nothing of merged buffers. */
static void set_num_buffers(struct net_rx *rx, unsigned i, unsigned buffers)
{
	const struct net_chain *c = &rx->chains.at[i];
	uint8_t value[2];

	put_le16(value, (uint16_t)buffers);
	(void)iov_write(&rx->chains.iov[c->iov], c->n_iov,
			offsetof(struct virtio_net_hdr_v1, num_buffers), value, sizeof(value));
}

/* Give back the chains that `len` bytes fill, the first of them with a header. */
static void push_packet(struct net_rx *rx, const struct net_read *r, uint32_t len)
{
	struct net_chains *s = &rx->chains;
	unsigned n = 0;

	for (uint32_t room = 0; room < len; n++)
		room += s->at[r->first + n].len;
	set_num_buffers(rx, r->first, n);
	for (unsigned i = r->first; i < r->first + n; i++) {
		uint32_t part = len < s->at[i].len ? len : s->at[i].len;

		net_chains_push(s, &rx->net->dev, rx->q, i, part);
		len -= part;
	}
}

/* The interface was removed: nothing will come any more. */
static void end_of_link(struct net_rx *rx)
{
	struct virtio_net *n = rx->net;
	uint16_t status = 0;

	rx->dead = true;
	log_warn("net", "%s: the interface is gone", n->name);
	virtio_set_config(&n->dev, offsetof(struct virtio_net_config, status), &status,
			  sizeof(status));
	virtio_config_interrupt(&n->dev);
}

static void read_failed(struct net_rx *rx, const struct net_read *r)
{
	if (r->res == -ECANCELED)
		return;
	rx->net->counts.rx_errors++;
	if (r->res == -EBADFD) {
		end_of_link(rx);
	} else if (r->res == -EFAULT) {
		/* Pages that the guest has given up; it sees packets without a byte. */
		for (unsigned i = r->first; i < r->first + r->n; i++)
			net_chains_push(&rx->chains, &rx->net->dev, rx->q, i, 0);
	} else {
		rx->failed = true;
	}
}

static void too_long(struct net_rx *rx)
{
	rx->net->counts.rx_errors++;
	rx->need = rx->need < NET_PACKET_MAX / 2 ? 2 * rx->need : NET_PACKET_MAX;
}

/* Tell the driver of a packet; false when it must wait for tokens. */
static bool tell(struct net_rx *rx, const struct net_read *r)
{
	struct virtio_net *n = rx->net;
	uint32_t len = r->res > 0 ? (uint32_t)r->res : 0;
	uint64_t wait;

	if (r->res < 0) {
		read_failed(rx, r);
		return true;
	}
	if (len > r->room) {
		too_long(rx);
		return true;
	}
	if (len <= NET_HEADER) {
		n->counts.rx_errors++;
		rx->failed = true;
		return true;
	}
	wait = net_charge(&n->rx_limit, len - NET_HEADER);
	if (wait > 0) {
		n->counts.rx_throttled++;
		net_wait(n, &rx->pause, wait);
		return false;
	}
	push_packet(rx, r, len);
	n->counts.rx_packets++;
	n->counts.rx_bytes += len - NET_HEADER;
	return true;
}

static void tell_all(struct net_rx *rx)
{
	unsigned before = rx->n_told;

	while (rx->n_told < rx->n_done && tell(rx, &rx->reads[rx->order[rx->n_told]]))
		rx->n_told++;
	if (rx->n_told > before)
		virtio_used(&rx->net->dev, rx->q);
}

/* A queue that the driver does not use any more gets nothing (§5.1.6.5.5). */
static void discard_all(struct net_rx *rx)
{
	for (; rx->n_told < rx->n_done; rx->n_told++)
		if (rx->reads[rx->order[rx->n_told]].res > 0)
			rx->net->counts.rx_errors++;
}

static void read_done(struct loop_op *op, int res)
{
	struct net_read *r = CONTAINER_OF(op, struct net_read, op);
	struct net_rx *rx = r->rx;

	r->res = res;
	rx->order[rx->n_done++] = (uint8_t)(r - rx->reads);
	net_later(rx->net);
}

/* ---- the next reads -------------------------------------------------------------- */

/* The driver cannot have more buffers than these: its descriptors, or our room, are used up. */
static bool exhausted(const struct net_rx *rx)
{
	const struct net_chains *s = &rx->chains;

	return s->n >= queue(rx)->num || s->n_iov >= queue(rx)->num || !net_chains_room(s);
}

/*
 * Find chains for one more read, from `first` on: 1; 0 when there is too little room;
 * -EPROTO.
 */
static int find_room(struct net_rx *rx, unsigned first, struct net_read *r)
{
	struct net_chains *s = &rx->chains;
	uint32_t need = mergeable(rx) ? rx->need : NET_HEADER;
	int rc;

	r->first = first;
	r->n = 0;
	for (r->room = 0; r->room < need; r->n++) {
		if (first + r->n == s->n) {
			rc = net_chains_take(s, &rx->net->dev, rx->q, true);
			if (rc < 0)
				return rc;
			if (rc == 0)
				break;
		}
		/* One chain alone can be just below 4 GiB. */
		r->room += s->at[first + r->n].len < NET_PACKET_MAX ? s->at[first + r->n].len :
								      NET_PACKET_MAX;
	}
	if (r->room >= need) {
		rx->impatient = false;
		return 1;
	}
	/* Not for a second read: the first one will give back what it does not use. */
	return first == 0 && r->n > 0 && (rx->impatient || exhausted(rx));
}

/* Collect a batch. Returns its size, or -EPROTO. */
static int plan(struct net_rx *rx)
{
	unsigned first = 0, n = 0;
	int rc = 1;

	while (n < rx->depth && rc > 0) {
		rc = find_room(rx, first, &rx->reads[n]);
		if (rc < 0)
			return rc;
		if (rc > 0)
			first += rx->reads[n++].n;
	}
	return (int)n;
}

static void submit(struct net_rx *rx, unsigned n)
{
	const struct net_chains *s = &rx->chains;
	struct iovec *iov = rx->iov;

	rx->n_reads = n;
	for (unsigned i = 0; i < n; i++) {
		struct net_read *r = &rx->reads[i];
		const struct net_chain *first = &s->at[r->first], *last = first + r->n - 1;
		unsigned n_iov = (unsigned)(last->iov + last->n_iov - first->iov);

		memcpy(iov, &s->iov[first->iov], n_iov * sizeof(*iov));
		iov[n_iov] = (struct iovec){ .iov_base = &rx->spill, .iov_len = 1 };
		loop_readv(rx->net->dev.env.loop, &r->op, rx->file, iov, n_iov + 1,
			   LOOP_NO_OFFSET, 0);
		iov += n_iov + 1;
	}
}

/* Nothing can be read before the driver has made buffers available. */
static void stall(struct net_rx *rx)
{
	if (!rx->stalled)
		rx->net->counts.rx_stalls++;
	rx->stalled = true;
	if (rx->chains.n > 0 && !rx->patience.op.busy)
		net_wait(rx->net, &rx->patience, PATIENCE_NS);
}

static void cancel_reads(struct net_rx *rx)
{
	for (unsigned i = 0; i < rx->n_reads; i++)
		loop_cancel(rx->net->dev.env.loop, &rx->reads[i].op);
}

static void next_batch(struct net_rx *rx)
{
	int n;

	net_chains_compact(&rx->chains);
	for (;;) {
		virtqueue_notify_off(queue(rx));
		n = plan(rx);
		if (n < 0)
			return;
		if (n > 0) {
			rx->stalled = false;
			submit(rx, (unsigned)n);
			if (!rx->impatient)
				return;
		}
		/* Buffers that came meanwhile come with no notification. */
		if (!virtqueue_notify_on(queue(rx)))
			break;
		if (n > 0) {
			cancel_reads(rx);
			return;
		}
	}
	if (n == 0)
		stall(rx);
}

/* More at a time while they come all at once, fewer when they do not. */
static void end_batch(struct net_rx *rx)
{
	if (rx->failed)
		rx->depth = 1;
	else if (rx->rounds > 1)
		rx->depth = rx->depth > 1 ? rx->depth / 2 : 1;
	else if (rx->n_reads == rx->depth && rx->depth < RX_BATCH)
		rx->depth *= 2;
	rx->n_reads = rx->n_done = rx->n_told = rx->rounds = 0;
	if (rx->failed)
		net_wait(rx->net, &rx->pause, ERROR_PAUSE_NS);
	rx->failed = false;
}

void net_rx_work(struct net_rx *rx)
{
	if (rx->pause.op.busy || !virtqueue_ready(queue(rx)))
		return;
	if (rx->n_told < rx->n_done) {
		rx->rounds++;
		if (rx->active)
			tell_all(rx);
		else
			discard_all(rx);
	}
	if (rx->n_told < rx->n_reads || rx->pause.op.busy)
		return;
	if (rx->n_reads > 0)
		end_batch(rx);
	if (rx->active && !rx->dead && !rx->pause.op.busy)
		next_batch(rx);
}

void net_rx_notified(struct net_rx *rx)
{
	/* A read that had to do with few buffers is done over with what came. */
	if (rx->impatient && rx->n_done < rx->n_reads)
		cancel_reads(rx);
	else
		net_rx_work(rx);
}

/* ---- life ------------------------------------------------------------------------ */

static void pause_done(struct loop_op *op, int res)
{
	struct net_rx *rx =
		CONTAINER_OF(CONTAINER_OF(op, struct loop_timer, op), struct net_rx, pause);

	(void)res;
	net_later(rx->net);
}

static void patience_done(struct loop_op *op, int res)
{
	struct net_rx *rx =
		CONTAINER_OF(CONTAINER_OF(op, struct loop_timer, op), struct net_rx, patience);

	if (res == -ETIME && rx->stalled)
		rx->impatient = true;
	net_later(rx->net);
}

void net_rx_init(struct net_rx *rx, struct virtio_net *n, unsigned q)
{
	rx->net = n;
	rx->q = q;
	rx->pause.op.done = pause_done;
	rx->patience.op.done = patience_done;
	for (unsigned i = 0; i < RX_BATCH; i++)
		rx->reads[i] = (struct net_read){ .op.done = read_done, .rx = rx };
}

void net_rx_start(struct net_rx *rx, int fd)
{
	const struct virtio_net *n = rx->net;
	uint32_t mtu = n->mtu > USUAL_MTU ? n->mtu : USUAL_MTU;
	const unsigned gso = TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4;

	rx->file = loop_file_plain(fd);
	rx->need = NET_HEADER + L2_HEADER + mtu;
	if (n->offloads & gso || rx->need > NET_PACKET_MAX)
		rx->need = NET_PACKET_MAX;
	rx->depth = 1;
	rx->dead = rx->stalled = rx->impatient = rx->failed = false;
	rx->n_reads = rx->n_done = rx->n_told = rx->rounds = 0;
}

void net_rx_cancel(struct net_rx *rx)
{
	struct loop *l = rx->net->dev.env.loop;

	cancel_reads(rx);
	loop_cancel(l, &rx->pause.op);
	loop_cancel(l, &rx->patience.op);
}

bool net_rx_idle(const struct net_rx *rx)
{
	return rx->n_done == rx->n_reads && !rx->pause.op.busy && !rx->patience.op.busy;
}

void net_rx_finish(struct net_rx *rx)
{
	rx->n_reads = rx->n_done = rx->n_told = 0;
	net_chains_drop(&rx->chains, rx->net->dev.env.gmem);
	loop_file_remove(rx->net->dev.env.loop, &rx->file);
	rx->active = false;
}
