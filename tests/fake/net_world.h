/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network device for tests, with the driver before it and the network behind it: a socket,
 * or a tap of the test's own. The device's mistakes abort, those of the driver are the
 * test's.
 */
#ifndef TESTS_FAKE_NET_WORLD_H
#define TESTS_FAKE_NET_WORLD_H

#include "devices/virtio_net.h"
#include "tests/fake/vring_driver.h"

#define NET_WORLD_RAM (16 * MIB)
/* Where tests have room for buffers. Below are the rings, one every 64 KiB. */
#define NET_WORLD_BUFFERS (1 * MIB)

struct net_world {
	struct loop *loop;
	struct ram_fake ram;
	struct virtio_net *net;
	struct virtio_dev *dev;
	bool own_loop;
	int host; /* the other end of the device's socket; -1: there is none */
	int tap; /* the device's own end, or its first queue */
	unsigned pulses;
	struct vring_driver queues[VIRTIO_QUEUES_MAX];
};

/*
 * Make the device: what `s` says, but for env and gsi, which are filled in; `s->tap` may be NULL
 * for a socket (datagrams, that do not block), `id` and the limits, too. `loop` NULL: a new
 * one, which ends with the world.
 */
void net_world_init(struct net_world *w, const struct net_setup *s, struct loop *loop);

/* Reset the device and end. Nothing may be left behind. */
void net_world_end(struct net_world *w);

/* The same with all that is in flight, as when a monitor ends: the loop goes first. */
void net_world_crash(struct net_world *w);

/*
 * What a driver does: negotiate (what is not offered is left out), make the first `queues`
 * queues ready with `size` descriptors each, DRIVER_OK.
 */
void net_world_start(struct net_world *w, uint64_t features, unsigned queues, unsigned size);

/* Reset, and turn the loop until the device is idle. */
void net_world_reset(struct net_world *w);

/* What was queued is submitted, and what is complete is told. */
void net_world_turn(struct net_world *w);

/* As many turns as anything that needs no time takes. */
void net_world_settle(struct net_world *w);

/* Turns for so many ms. */
void net_world_run(struct net_world *w, uint64_t ms);

/* Notify the device of a queue, if it wants that; whether it did. */
bool net_world_kick(struct net_world *w, unsigned q);

/* ---- packets ---- */

/* The header of each packet, and the longest packet without it. */
#define NET_WORLD_HEADER 12u
#define NET_WORLD_PACKET 65550u
/* The queues of the first pair. */
#define NET_WORLD_RX 0
#define NET_WORLD_TX 1

/* Byte `i` of a packet, so that what is lost, doubled or moved shows. */
uint8_t net_world_byte(unsigned packet, size_t i);

/* Let the network send a packet of `len` bytes, or try to receive one: its number is checked,
 * its length (without the header) returned; -EAGAIN when there is none. */
void net_world_host_sends(const struct net_world *w, unsigned packet, size_t len);
int net_world_host_gets(const struct net_world *w, unsigned packet);

/* Make fewer packets fit between device and network than a batch has. */
void net_world_narrow(const struct net_world *w);

/*
 * Let the driver send a packet (to be kicked), in segments of at most `segment` bytes; and take
 * back what was sent: how many.
 */
void net_world_guest_sends(struct net_world *w, unsigned packet, uint32_t len,
			   uint32_t segment);
unsigned net_world_guest_reaps(struct net_world *w);

/*
 * Let the driver make `n` buffers of a page each available, and kick; and take back those
 * with a packet: how many.
 */
void net_world_guest_offers(struct net_world *w, unsigned n);
unsigned net_world_guest_gets(struct net_world *w);

#endif
