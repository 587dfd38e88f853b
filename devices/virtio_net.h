/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device (virtio 1.2 §5.1) on a tap. Queue pairs as the tap has queues, and a
 * control queue when there are several. Packets go between tap and guest memory by readv
 * and writev, with no copy of ours and no allocation.
 *
 * Input from the guest: descriptor chains, the headers in them (passed on to the kernel,
 * which checks them), control commands. Input from the network: packets.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "devices/rate_limiter.h"
#include "devices/tap.h"
#include "devices/virtio.h"
#include "vmm/lib/latency.h"

struct virtio_net;

struct net_counts {
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_stalls; /* times that the guest had no buffers for what may have come */
	uint64_t tx_errors, rx_errors; /* packets that tap or guest did not take */
	uint64_t rx_throttled, tx_throttled;
	struct latency write_latency; /* of packets given to the tap; turns of the loop */
};

struct net_setup {
	const char *id; /* iface_id; copied */
	const struct dev_env *env;
	unsigned gsi;
	struct tap *tap; /* taken over */
	bool has_mac;
	uint8_t mac[6];
	uint16_t mtu; /* 0: none offered */
	const struct rate_limiter_config *rx_limit, *tx_limit; /* copied */
};

/* 0 or -ENOMEM; `tap` is the caller's then. */
MUST_CHECK int virtio_net_create(struct virtio_net **out, const struct net_setup *s);

/* To be attached to a transport. */
struct virtio_dev *virtio_net_dev(struct virtio_net *n);

/* PATCH, live. */
void virtio_net_set_limits(struct virtio_net *n, const struct rate_limiter_config *rx,
			   const struct rate_limiter_config *tx);

/* What was counted so far. */
struct net_counts virtio_net_counts(const struct virtio_net *n);

/* Nothing is in flight: the device is idle (virtio_dev.run), or the loop turns no more. */
void virtio_net_destroy(struct virtio_net *n);

#endif
