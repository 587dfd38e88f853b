/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptor chains between being taken and being given back: see net_priv.h. A struct
 * virtq_chain has room for the longest chain, which few are; here they share their room.
 */
#include "devices/net_priv.h"

#include <errno.h>

bool net_chains_room(const struct net_chains *s)
{
	return s->n < NET_CHAINS && s->n_iov <= NET_IOVS - VIRTQ_SEGS_MAX;
}

/* Kept even when it is too short, so that its view is put at the reset. */
static void keep(struct net_chains *s, const struct virtq_chain *c, bool writable)
{
	unsigned n = writable ? c->n_in : c->n_out;

	s->at[s->n++] = (struct net_chain){
		.view = c->view,
		.len = writable ? c->in_len : c->out_len,
		.head = c->head,
		.iov = (uint16_t)s->n_iov,
		.n_iov = (uint16_t)n,
	};
	memcpy(&s->iov[s->n_iov], writable ? &c->iov[c->n_out] : c->iov, n * sizeof(*c->iov));
	s->n_iov += n;
}

int net_chains_take(struct net_chains *s, struct virtio_dev *d, unsigned q, bool writable)
{
	struct virtq_chain c;
	int rc;

	if (!net_chains_room(s))
		return 0;
	rc = virtqueue_pop(&d->queues[q], &c);
	if (rc < 0)
		virtio_fault(d, "queue %u: %s", q, d->queues[q].fault);
	if (rc <= 0)
		return rc;
	keep(s, &c, writable);
	if (s->at[s->n - 1].len >= NET_HEADER)
		return 1;
	virtio_fault(d, "queue %u: a buffer of %u bytes is shorter than the header", q,
		     s->at[s->n - 1].len);
	return -EPROTO;
}

void net_chains_push(struct net_chains *s, struct virtio_dev *d, unsigned q, unsigned i,
		     uint32_t written)
{
	virtqueue_push(&d->queues[q], s->at[i].head, s->at[i].view, written);
	s->at[i].back = true;
}

void net_chains_compact(struct net_chains *s)
{
	unsigned n = 0, n_iov = 0;

	for (unsigned i = 0; i < s->n; i++) {
		struct net_chain c = s->at[i];

		if (c.back)
			continue;
		memmove(&s->iov[n_iov], &s->iov[c.iov], c.n_iov * sizeof(*s->iov));
		c.iov = (uint16_t)n_iov;
		n_iov += c.n_iov;
		s->at[n++] = c;
	}
	s->n = n;
	s->n_iov = n_iov;
}

void net_chains_drop(struct net_chains *s, struct gmem *m)
{
	for (unsigned i = 0; i < s->n; i++)
		if (!s->at[i].back)
			gmem_put(m, s->at[i].view);
	s->n = s->n_iov = 0;
}
