/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the network device, for its own files: virtio_net.c (features, start and
 * stop), net_rx.c, net_tx.c, net_ctrl.c and net_chains.c.
 *
 * Both directions work in batches. What was queued in one turn of the loop is submitted with
 * one system call, and nothing more is queued before all of it has ended. Packets keep
 * their order: the kernel tries each operation when it is submitted. Reads that find no
 * packet wait (tap descriptors do not block, so io_uring polls) and are tried again one
 * after another; each ends at once when it finds one. RWF_NOWAIT would save the polling, but
 * Linux 6.1 does not take it for a tap. Writes to a tap never wait.
 */
#ifndef DEVICES_NET_PRIV_H
#define DEVICES_NET_PRIV_H

#include <linux/virtio_net.h>

#include "devices/virtio_net.h"

/* Linux 6.2. */
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO 56
#endif

/* Always this one with VIRTIO_F_VERSION_1, whatever else was negotiated (§5.1.6.1). */
#define NET_HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))
/* The largest packet there is, with its header (§5.1.6.3.1). */
#define NET_PACKET_MAX (65550 + NET_HEADER)

#define RX_BATCH 16
#define TX_BATCH 32

/* Chains that were taken and not given back, and where their buffers are. */
#define NET_CHAINS VIRTQ_SIZE_MAX
#define NET_IOVS (2 * VIRTQ_SEGS_MAX)

struct net_chain {
	struct gmem_view *view; /* a reference */
	uint32_t len; /* bytes */
	uint16_t head;
	uint16_t iov, n_iov; /* iov[iov, iov + n_iov) of the struct net_chains */
	bool paid; /* the rate limiter has let it through */
	bool back; /* given back; goes with the next net_chains_compact */
};

struct net_chains {
	unsigned n, n_iov;
	struct net_chain at[NET_CHAINS]; /* in the order in which they came */
	struct iovec iov[NET_IOVS];
};

struct net_rx;
struct net_tx;

struct net_read {
	struct loop_op op;
	struct net_rx *rx;
	unsigned first, n; /* its chains */
	uint32_t room; /* bytes */
	int res; /* once done */
};

struct net_rx {
	struct virtio_net *net;
	unsigned q; /* its virtqueue */
	loop_file_t file;
	bool active; /* belongs to a pair that the driver uses */
	bool dead; /* the interface is gone */
	bool stalled; /* waits for the driver's buffers */
	bool impatient; /* it has waited long: what there is must do */
	bool failed; /* a read of this batch has */
	uint32_t need; /* room that a packet can take, with its header; mergeable buffers */
	unsigned depth; /* reads of the next batch */
	unsigned rounds; /* turns in which this batch got something */
	unsigned n_reads, n_done, n_told; /* of this batch: all, ended, seen by the driver */
	uint8_t order[RX_BATCH]; /* in which they ended */
	struct net_read reads[RX_BATCH];
	struct loop_timer pause; /* until there are tokens, or after an error */
	struct loop_timer patience; /* while stalled with some buffers */
	uint8_t spill; /* the byte after the room: a packet that reaches it was too long */
	struct net_chains chains;
	struct iovec iov[NET_IOVS + RX_BATCH]; /* of the reads: those of chains, and spill */
};

struct net_write {
	struct loop_op op;
	struct net_tx *tx;
	uint64_t start_ns; /* of the turn in which it was queued */
};

struct net_tx {
	struct virtio_net *net;
	unsigned q;
	loop_file_t file;
	bool active;
	bool again; /* a write of this batch is to be tried once more */
	bool pushed; /* there is something to publish */
	unsigned tries;
	unsigned n_busy;
	struct net_write writes[TX_BATCH]; /* of the chains with the same index */
	struct loop_timer pause;
	struct net_chains chains;
};

struct net_pair {
	struct net_rx rx;
	struct net_tx tx;
};

struct virtio_net {
	struct virtio_dev dev;
	char name[80];
	struct tap *tap;
	uint16_t mtu;
	unsigned offloads; /* TUN_F_*: what the tap may hand to the guest now */
	struct rate_limiter rx_limit, tx_limit;
	struct net_counts counts;
	struct loop_late late; /* the work that follows completions */
	bool more_commands; /* in the control queue */
	unsigned n_pairs;
	struct net_pair pairs[];
};

/* ---- net_chains.c ---- */

/* Whether one more chain, of any length, can be held. */
bool net_chains_room(const struct net_chains *s);

/*
 * Take the next chain of a queue, its device-writable part or its device-readable one: 1;
 * 0 when there is none, or no room; -EPROTO when that made the device faulty.
 */
MUST_CHECK int net_chains_take(struct net_chains *s, struct virtio_dev *d, unsigned q,
			       bool writable);

/* Give one back to the driver; it sees that after virtio_used. */
void net_chains_push(struct net_chains *s, struct virtio_dev *d, unsigned q, unsigned i,
		     uint32_t written);

/* Close the gaps that those given back have left. */
void net_chains_compact(struct net_chains *s);

/* Forget all of them; the driver has reset the device. */
void net_chains_drop(struct net_chains *s, struct gmem *m);

/* ---- virtio_net.c ---- */

/* Run net_rx_work and net_tx_work of all pairs, or finish stopping, at the end of the turn. */
void net_later(struct virtio_net *n);

/* How many ns to wait before a packet of `bytes` may pass; 0: it passes. */
MUST_CHECK uint64_t net_charge(struct rate_limiter *r, uint64_t bytes);

/* Start a timer of at least `ns`. */
void net_wait(struct virtio_net *n, struct loop_timer *t, uint64_t ns);

/* How many queue pairs there can be; the control queue is behind them (§5.1.2). */
unsigned net_queue_pairs(const struct virtio_net *n);

/* Use the first `pairs` queue pairs only. 0 or -errno. */
MUST_CHECK int net_set_pairs(struct virtio_net *n, unsigned pairs);

/* ---- net_rx.c and net_tx.c ---- */

/* Once, with the index of its virtqueue; what DRIVER_OK brings, with a queue of the tap. */
void net_rx_init(struct net_rx *rx, struct virtio_net *n, unsigned q);
void net_tx_init(struct net_tx *tx, struct virtio_net *n, unsigned q);
void net_rx_start(struct net_rx *rx, int fd);
void net_tx_start(struct net_tx *tx, int fd);

/* Take care of what has ended, and go on. The device is running. */
void net_rx_work(struct net_rx *rx);
void net_tx_work(struct net_tx *tx);

/* The driver has made buffers available. The device is running. */
void net_rx_notified(struct net_rx *rx);

/* End what is in flight, soon; whether nothing is; and then, give everything up. */
void net_rx_cancel(struct net_rx *rx);
void net_tx_cancel(struct net_tx *tx);
MUST_CHECK bool net_rx_idle(const struct net_rx *rx);
MUST_CHECK bool net_tx_idle(const struct net_tx *tx);
void net_rx_finish(struct net_rx *rx);
void net_tx_finish(struct net_tx *tx);

/* ---- net_ctrl.c ---- */

/* Obey the commands in the control queue, one queue full of them; others are for later. */
void net_ctrl_work(struct virtio_net *n);

#endif
