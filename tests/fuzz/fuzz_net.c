/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device under a script of what its driver and the network do: chains of any
 * shape, descriptors and rings of any content, packets, limits, resets at any time. Besides
 * what the sanitizers see, it checks that the device can always be reset and leaves
 * nothing behind, that no more packets are counted than there were, and that no memory is
 * written to but what the driver offered.
 *
 * Input: operations of four bytes: what, and three arguments.
 */
#include <assert.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fake/net_world.h"
#include "vmm/lib/log.h"

#define OPS_MAX 256
#define PAIRS 2
#define QUEUES (2 * PAIRS + 1)
/* Nobody offers it, unless raw descriptors do. */
#define FORBIDDEN (14 * MIB)
#define FORBIDDEN_BYTES (64 * KIB)

enum op {
	START,
	CHAIN,
	INDIRECT,
	RAW_DESC,
	RAW_RING,
	KICK,
	TURN,
	SEND,
	REAP,
	LIMIT,
	COMMAND,
	OPS
};

struct script {
	struct net_world w;
	uint64_t sent;
	uint64_t taken; /* by the host */
	unsigned segment; /* of the chain that is being built */
	bool raw; /* descriptors may point anywhere */
	bool was_raw; /* before a reset */
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Drivers break the rules here, which vring_driver takes for its own mistake. */
static bool sound(const struct script *s)
{
	return !s->raw && s->w.dev->run == VIRTIO_RUNNING;
}

static void restart(struct script *s, uint8_t features, uint8_t size, uint8_t queues)
{
	static const unsigned bits[] = { VIRTIO_NET_F_MRG_RXBUF,  VIRTIO_NET_F_GUEST_CSUM,
					 VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_CTRL_VQ,
					 VIRTIO_NET_F_MQ,	  VIRTIO_NET_F_STATUS,
					 VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC };
	uint64_t f = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
		if (features >> i & 1)
			f |= UINT64_C(1) << bits[i];
	if (s->w.dev->run != VIRTIO_IDLE || s->w.dev->status != 0)
		net_world_reset(&s->w);
	s->was_raw |= s->raw;
	s->raw = false;
	net_world_start(&s->w, f, queues % (QUEUES + 1), 1u << size % 9);
}

/* A chain of `n` segments whose lengths go up from `len`; some of them writable. */
static void add_chain(struct script *s, uint8_t how, uint8_t n, uint8_t len, bool indirect)
{
	struct vring_driver *v = &s->w.queues[how % QUEUES];
	struct vring_seg segs[VIRTQ_SEGS_MAX];
	unsigned first_in = how >> 4 == 15 ? n : (how >> 4) * n / 8u;

	if (!sound(s) || !virtqueue_ready(&s->w.dev->queues[how % QUEUES]) || n == 0)
		return;
	for (unsigned i = 0; i < n; i++, s->segment++)
		segs[i] = (struct vring_seg){
			NET_WORLD_BUFFERS + s->segment % 1024 * (8 * KIB),
			/* Not empty; up to 8160 */
			1 + (uint32_t)(len < 128 ? len : (len - 127) * 63u) % 8191u,
			i >= first_in,
		};
	if (indirect)
		(void)vring_add_indirect(v, segs, n, 12 * MIB + s->segment % 128 * (4 * KIB));
	else
		(void)vring_add(v, segs, n);
}

/* Descriptor `i` of a queue becomes anything. */
static void set_desc(struct script *s, uint8_t q, uint8_t i, uint8_t what)
{
	static const uint64_t places[] = {
		0,	    4096,     FORBIDDEN - 1, NET_WORLD_RAM - 16, NET_WORLD_RAM,
		UINT64_MAX, 12 * MIB, 64 * KIB
	};
	struct vring_driver *v = &s->w.queues[q % QUEUES];

	if (v->desc == NULL)
		return;
	s->raw = true;
	vring_set_desc(&v->desc[i % v->where.num], places[what & 7],
		       what & 8 ? UINT32_MAX : 1u + what, what >> 4 & 7, i ^ what);
}

/* An entry of the available ring, and an index that may jump. */
static void set_ring(struct script *s, uint8_t q, uint8_t head, uint8_t jump)
{
	struct vring_driver *v = &s->w.queues[q % QUEUES];

	if (v->desc == NULL)
		return;
	s->raw = true;
	v->avail->ring[v->avail_idx % v->where.num] = head;
	v->avail_idx = (uint16_t)(v->avail_idx + (jump & 0x80 ? jump << 4 : 1));
	v->avail->idx = v->avail_idx;
}

static void send_packet(struct script *s, uint8_t a, uint8_t b)
{
	static const uint8_t bytes[70000];
	size_t len = (size_t)a << 8 | b;

	if (send(s->w.host, bytes, len, 0) >= 0)
		s->sent++;
}

static void drain(struct script *s)
{
	uint8_t byte;

	while (recv(s->w.host, &byte, 1, 0) >= 0)
		s->taken++;
}

static void reap(struct script *s)
{
	uint32_t head, written;

	for (unsigned i = 0; i < QUEUES && !s->raw; i++)
		while (virtqueue_ready(&s->w.dev->queues[i]) &&
		       vring_reap(&s->w.queues[i], &head, &written))
			;
}

static void set_limits(struct script *s, uint8_t ops, uint8_t bytes)
{
	struct rate_limiter_config c = { .present = true };

	c.ops = (struct token_bucket_config){ .present = true,
					      .size = ops,
					      .refill_time_ms = 1 };
	c.bandwidth = (struct token_bucket_config){ .present = true,
						    .size = bytes * UINT64_C(100),
						    .refill_time_ms = 1 };
	virtio_net_set_limits(s->w.net, &c, &c);
}

static void command(struct script *s, uint8_t class, uint8_t cmd, uint8_t pairs)
{
	const uint8_t bytes[] = { class % 8, cmd % 2, pairs, 0 };
	const struct vring_seg segs[] = { { 11 * MIB, cmd & 8 ? 3 : 4, false },
					  { 11 * MIB + 64, 1, true } };
	unsigned q = 2 * (virtio_has(s->w.dev, VIRTIO_NET_F_MQ) ? PAIRS : 1);

	if (!sound(s) || !virtqueue_ready(&s->w.dev->queues[q]))
		return;
	memcpy(s->w.ram.bytes + 11 * MIB, bytes, sizeof(bytes));
	(void)vring_add(&s->w.queues[q], segs, 2);
	virtio_notify(s->w.dev, q);
}

static void step(struct script *s, const uint8_t *in)
{
	switch ((enum op)(in[0] % OPS)) {
	case START:
		restart(s, in[1], in[2], in[3]);
		break;
	case CHAIN:
	case INDIRECT:
		add_chain(s, in[1], in[2], in[3], in[0] % OPS == INDIRECT);
		break;
	case RAW_DESC:
		set_desc(s, in[1], in[2], in[3]);
		break;
	case RAW_RING:
		set_ring(s, in[1], in[2], in[3]);
		break;
	case KICK:
		virtio_notify(s->w.dev, in[1] % (QUEUES + 1));
		break;
	case TURN:
		net_world_turn(&s->w);
		break;
	case SEND:
		send_packet(s, in[1], in[2]);
		break;
	case REAP:
		reap(s);
		drain(s);
		break;
	case LIMIT:
		set_limits(s, in[1], in[2]);
		break;
	case COMMAND:
		command(s, in[1], in[2], in[3]);
		break;
	case OPS:
		break;
	}
}

/* Sockets for the first pair; the second one cannot be attached. */
static struct tap *make_tap(int *host)
{
	struct tap *t = calloc(1, sizeof(*t));
	int fds[2];

	assert(t && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) == 0);
	*t = (struct tap){ .n_queues = PAIRS,
			   .attached = 1,
			   .fds = { fds[0], -1 },
			   .offload_csum = 1,
			   .offload_tso4 = 1 };
	*host = fds[1];
	return t;
}

static void check(struct script *s)
{
	const uint8_t *at = s->w.ram.bytes + FORBIDDEN;
	struct net_counts c = virtio_net_counts(s->w.net);

	drain(s);
	assert(c.rx_packets + c.rx_errors <= s->sent);
	assert(c.tx_packets <= s->taken);
	for (size_t i = 0; !s->raw && !s->was_raw && i < FORBIDDEN_BYTES; i++)
		assert(at[i] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct loop *loop;
	struct net_setup setup = { .has_mac = true, .mac = { 2 } };
	struct script s = { 0 };
	int host;

	if (!loop) {
		log_set_level(LOG_OFF);
		assert(loop_create(&loop, 64) == 0);
	}
	setup.tap = make_tap(&host);
	net_world_init(&s.w, &setup, loop);
	s.w.host = host;
	restart(&s, 0xff, 6, QUEUES);
	for (size_t i = 0; i + 4 <= size && i < 4 * OPS_MAX; i += 4)
		step(&s, data + i);
	net_world_reset(&s.w);
	check(&s);
	net_world_end(&s.w);
	return 0;
}
