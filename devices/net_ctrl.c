/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control queue (virtio 1.2 §5.1.6.5), of which one command is known: how many queue
 * pairs the driver uses.
 *
 * Input from the guest: commands, copied before they are looked at.
 */
#include "devices/net_priv.h"

#include <errno.h>

#include "devices/iov.h"

/* The longest command that is known; of others no more is read. */
struct command {
	struct virtio_net_ctrl_hdr header;
	struct virtio_net_ctrl_mq mq;
} __attribute__((packed));

/* Whether the driver has set up so many pairs. */
static bool pairs_ready(const struct virtio_net *n, unsigned pairs)
{
	for (unsigned q = 0; q < 2 * pairs; q++)
		if (!virtqueue_ready(&n->dev.queues[q]))
			return false;
	return true;
}

static bool obey(struct virtio_net *n, const struct virtq_chain *c)
{
	struct command cmd = { 0 };
	unsigned pairs;

	if (c->out_len != sizeof(cmd))
		return false;
	(void)iov_read(c->iov, c->n_out, 0, &cmd, sizeof(cmd));
	pairs = cmd.mq.virtqueue_pairs;
	if (cmd.header.class != VIRTIO_NET_CTRL_MQ ||
	    cmd.header.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return false;
	if (!virtio_has(&n->dev, VIRTIO_NET_F_MQ) || pairs < 1 || pairs > n->n_pairs ||
	    !pairs_ready(n, pairs))
		return false;
	return net_set_pairs(n, pairs) == 0;
}

/* One command: 1, or 0 when there is none, or -EPROTO. */
static int next_command(struct virtio_net *n, unsigned q)
{
	struct virtqueue *vq = &n->dev.queues[q];
	struct virtq_chain c;
	virtio_net_ctrl_ack ack;
	int rc = virtqueue_pop(vq, &c);

	if (rc < 0)
		virtio_fault(&n->dev, "queue %u: %s", q, vq->fault);
	if (rc <= 0)
		return rc;
	if (c.n_in == 0) {
		gmem_put(n->dev.env.gmem, c.view);
		virtio_fault(&n->dev, "queue %u: a command without room for the answer", q);
		return -EPROTO;
	}
	ack = obey(n, &c) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	memcpy(c.iov[c.n_out].iov_base, &ack, sizeof(ack));
	virtqueue_push(vq, c.head, c.view, sizeof(ack));
	return 1;
}

void net_ctrl_work(struct virtio_net *n)
{
	unsigned q = 2 * net_queue_pairs(n), left = n->dev.queues[q].num;
	int rc = 1;

	while (left > 0 && rc > 0) {
		rc = next_command(n, q);
		left--;
	}
	virtio_used(&n->dev, q);
	/* A driver that never ends does not keep others waiting. */
	n->more_commands = rc > 0;
	if (n->more_commands)
		net_later(n);
}
