/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network device on a real tap, with the kernel's network behind it: a packet socket. The
 * interface is made and removed here; tests are skipped where that is not allowed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/fake/net_world.h"
#include "vmm/lib/log.h"

#define BIT(n) (UINT64_C(1) << (n))
#define MERGEABLE BIT(VIRTIO_NET_F_MRG_RXBUF)
#define OFFLOADS                                                                               \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) | \
	 BIT(VIRTIO_NET_F_GUEST_TSO4))
#define HEADER NET_WORLD_HEADER
#define RX NET_WORLD_RX
#define TX NET_WORLD_TX
#define BUFFER 1536u
#define SIZE 256u
/* For local experiments (IEEE 802), so that what else there is does not disturb. */
#define OUR_TYPE 0x88b5

struct lan {
	struct net_world w;
	int fd; /* behind the interface; with a struct virtio_net_hdr before each packet */
};

static char ifname[IFNAMSIZ]; /* of the latest one, of this process alone */

/* ---- the host -------------------------------------------------------------------- */

static void set_link(bool up)
{
	struct ifreq req = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(req.ifr_name, ifname, sizeof(ifname));
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &req), 0);
	req.ifr_flags = (short)(up ? req.ifr_flags | IFF_UP : req.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &req), 0);
	(void)close(fd);
}

/* The host has nothing to say of its own. */
static void silence(void)
{
	char path[80];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", ifname);
	fd = open(path, O_WRONLY);
	if (fd >= 0)
		assert_int_equal(write(fd, "1", 1), 1);
	(void)close(fd);
}

static void lan_init(struct lan *l)
{
	struct net_setup s = { .has_mac = true, .mac = { 2 } };
	struct sockaddr_ll at = { .sll_family = AF_PACKET };
	static unsigned number;
	struct err e;
	int rc, one = 1;

	(void)snprintf(ifname, sizeof(ifname), "xl%d-%u", (int)getpid(), number++);
	rc = tap_open(&s.tap, ifname, 1, &e);
	if (rc == -EPERM || rc == -EACCES || rc == -ENOENT || rc == -ENODEV) {
		print_message("no taps here: %s\n", e.text);
		skip();
	}
	assert_int_equal(rc, 0);
	silence();
	set_link(true);
	net_world_init(&l->w, &s, NULL);
	at.sll_protocol = htons(ETH_P_ALL);
	at.sll_ifindex = (int)if_nametoindex(ifname);
	l->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
	assert_true(l->fd >= 0);
	assert_int_equal(setsockopt(l->fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(l->fd, (const struct sockaddr *)&at, sizeof(at)), 0);
}

static void lan_end(struct lan *l)
{
	net_world_end(&l->w);
	(void)close(l->fd);
}

/* A frame with a number in it. */
static size_t frame(uint8_t *at, uint32_t number, size_t len)
{
	static const uint8_t ethernet[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff,	     2,
		0,    0,    0,	  0,	1,    OUR_TYPE >> 8, OUR_TYPE & 0xff,
	};

	memset(at, 0x55, len);
	memcpy(at, ethernet, sizeof(ethernet));
	memcpy(at + sizeof(ethernet), &number, sizeof(number));
	return len;
}

/* A TCP segment of 20 packets, that somebody is still to cut and to checksum. */
#define GSO_SIZE 1000u
#define GSO_LEN (14 + 40 + 20 * GSO_SIZE)

static void gso_frame(struct virtio_net_hdr *h, uint8_t *at)
{
	static const uint8_t headers[] = {
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		0xff,
		2,
		0,
		0,
		0,
		0,
		1,
		0x08,
		0x00, /* Ethernet */
		0x45,
		0,
		(GSO_LEN - 14) >> 8,
		(GSO_LEN - 14) & 0xff,
		0,
		0,
		0x40,
		0,
		64,
		IPPROTO_TCP,
		0,
		0,
		10,
		9,
		8,
		1,
		10,
		9,
		8,
		2, /* IPv4 */
		0,
		9,
		0,
		9,
		0,
		0,
		0,
		1,
		0,
		0,
		0,
		1,
		0x50,
		0x10,
		1,
		0,
		0,
		0,
		0,
		0, /* TCP */
	};

	memset(at, 0x55, GSO_LEN);
	memcpy(at, headers, sizeof(headers));
	*h = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = sizeof(headers),
		.gso_size = GSO_SIZE,
		.csum_start = 34,
		.csum_offset = 16,
	};
}

static void host_sends(const struct lan *l, uint32_t number, size_t len)
{
	struct {
		struct virtio_net_hdr h;
		uint8_t bytes[2000];
	} packet = { 0 };
	size_t n = sizeof(packet.h) + frame(packet.bytes, number, len);

	assert_int_equal(send(l->fd, &packet, n, 0), n);
}

static void host_sends_gso(const struct lan *l)
{
	static struct {
		struct virtio_net_hdr h;
		uint8_t bytes[GSO_LEN];
	} packet;

	gso_frame(&packet.h, packet.bytes);
	assert_int_equal(send(l->fd, &packet, sizeof(packet), 0), sizeof(packet));
}

/* The next frame that came out of the interface: its bytes, 0 when there is none. */
static size_t host_gets(const struct lan *l, struct virtio_net_hdr *h, uint8_t *at, size_t max)
{
	struct sockaddr_ll from;
	struct iovec iov[] = { { h, sizeof(*h) }, { at, max } };
	struct msghdr m = { .msg_name = &from, .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	do {
		m.msg_namelen = sizeof(from);
		n = recvmsg(l->fd, &m, 0);
	} while (n >= 0 && from.sll_pkttype == PACKET_OUTGOING);
	return n < 0 ? 0 : (size_t)n - sizeof(*h);
}

/* ---- the guest ------------------------------------------------------------------- */

static void offer(struct lan *l)
{
	while (l->w.queues[RX].n_free > 0) {
		const struct vring_seg seg = { NET_WORLD_BUFFERS +
						       l->w.queues[RX].free * (uint64_t)BUFFER,
					       BUFFER, true };

		assert_true(vring_add(&l->w.queues[RX], &seg, 1) >= 0);
	}
	(void)net_world_kick(&l->w, RX);
}

static void start(struct lan *l, uint64_t features)
{
	net_world_start(&l->w, features, 2, SIZE);
	offer(l);
	net_world_settle(&l->w);
}

/* The next packet for the guest: its bytes, 0 when there is none. */
static size_t guest_gets(struct lan *l, struct virtio_net_hdr_v1 *h, uint8_t *at)
{
	uint32_t head, written;
	size_t len = 0;

	if (!vring_reap(&l->w.queues[RX], &head, &written))
		return 0;
	memcpy(h, l->w.ram.bytes + NET_WORLD_BUFFERS + head * BUFFER, sizeof(*h));
	len = written - HEADER;
	memcpy(at, l->w.ram.bytes + NET_WORLD_BUFFERS + head * BUFFER + HEADER, len);
	for (unsigned i = 1; i < h->num_buffers; i++) {
		assert_true(vring_reap(&l->w.queues[RX], &head, &written));
		memcpy(at + len, l->w.ram.bytes + NET_WORLD_BUFFERS + head * BUFFER, written);
		len += written;
	}
	return len;
}

/* The next of our numbers that reached the guest; -1: none. */
static int64_t guest_gets_number(struct lan *l)
{
	static uint8_t bytes[NET_WORLD_PACKET];
	struct virtio_net_hdr_v1 h;
	uint32_t number;

	while (guest_gets(l, &h, bytes) > 0)
		if (bytes[12] == OUR_TYPE >> 8 && bytes[13] == (OUR_TYPE & 0xff)) {
			memcpy(&number, bytes + 14, sizeof(number));
			return number;
		}
	return -1;
}

static void guest_sends(struct lan *l, const struct virtio_net_hdr *h, size_t len)
{
	const struct vring_seg seg = { 8 * MIB, HEADER + (uint32_t)len, false };

	memset(l->w.ram.bytes + seg.at, 0, HEADER);
	memcpy(l->w.ram.bytes + seg.at, h, sizeof(*h));
	assert_true(vring_add(&l->w.queues[TX], &seg, 1) >= 0);
	(void)net_world_kick(&l->w, TX);
	net_world_settle(&l->w);
	assert_int_equal(net_world_guest_reaps(&l->w), 1);
}

static uint8_t *guest_packet(struct lan *l)
{
	return l->w.ram.bytes + 8 * MIB + HEADER;
}

/* ---- tests ----------------------------------------------------------------------- */

static void frames_go_both_ways(void **state)
{
	static const uint64_t features[] = { 0, MERGEABLE, MERGEABLE | OFFLOADS };

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct virtio_net_hdr none = { 0 };
		struct virtio_net_hdr h;
		uint8_t bytes[2000];
		struct lan l;

		lan_init(&l);
		start(&l, features[i]);
		host_sends(&l, 7, 60);
		net_world_settle(&l.w);
		assert_int_equal(guest_gets_number(&l), 7);
		guest_sends(&l, &none, frame(guest_packet(&l), 8, 1514));
		assert_int_equal(host_gets(&l, &h, bytes, sizeof(bytes)), 1514);
		assert_memory_equal(bytes, guest_packet(&l), 1514);
		assert_int_equal(virtio_net_counts(l.w.net).tx_packets, 1);
		assert_int_equal(virtio_net_counts(l.w.net).tx_bytes, 1514);
		lan_end(&l);
	}
}

static void bursts_arrive_whole_and_in_order(void **state)
{
	struct lan l;
	uint32_t sent = 0;
	int64_t expect = 0, got;

	lan_init(&l);
	start(&l, MERGEABLE | OFFLOADS);
	for (unsigned round = 0; round < 200; round++) {
		for (unsigned i = 0; i <= round % 60; i++)
			host_sends(&l, sent++, 60 + round);
		for (unsigned i = 0; i < round % 5; i++)
			net_world_turn(&l.w);
		/* Less than the interface's queue holds. */
		if (sent - expect > 300)
			net_world_settle(&l.w);
		while ((got = guest_gets_number(&l)) >= 0)
			assert_int_equal(got, expect++);
		offer(&l);
	}
	for (unsigned i = 0; i < 4; i++) {
		net_world_settle(&l.w);
		while ((got = guest_gets_number(&l)) >= 0)
			assert_int_equal(got, expect++);
		offer(&l);
	}
	assert_int_equal(expect, sent);
	assert_int_equal(virtio_net_counts(l.w.net).rx_errors, 0);
	/* Several a turn. */
	assert_true(loop_stats(l.w.loop).enters < sent / 2);
	lan_end(&l);
}

/* The network goes on sending; the interface's queue holds what the ring does not. */
static void a_full_ring_goes_on_when_it_is_filled(void **state)
{
	static const uint64_t features[] = { 0, MERGEABLE, BIT(VIRTIO_RING_F_EVENT_IDX),
					     MERGEABLE | OFFLOADS };

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		struct lan l;
		int64_t expect = 0, got;

		lan_init(&l);
		start(&l, features[i]);
		for (uint32_t number = 0; number < 2 * SIZE; number++) {
			host_sends(&l, number, 60);
			net_world_turn(&l.w);
		}
		/* Nothing is left but time. */
		net_world_run(&l.w, 70);
		assert_true(virtio_net_counts(l.w.net).rx_stalls > 0);
		for (unsigned k = 0; k < 100 && expect < 2 * SIZE; k++) {
			while ((got = guest_gets_number(&l)) >= 0)
				assert_int_equal(got, expect++);
			offer(&l);
			net_world_run(&l.w, 10);
		}
		assert_int_equal(expect, 2 * SIZE);
		lan_end(&l);
	}
}

static unsigned ethtool(uint32_t command)
{
	struct ethtool_value value = { .cmd = command };
	struct ifreq req = { .ifr_data = (void *)&value };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(req.ifr_name, ifname, sizeof(ifname));
	assert_int_equal(ioctl(fd, SIOCETHTOOL, &req), 0);
	(void)close(fd);
	return value.data;
}

static void the_interface_offloads_what_the_driver_accepts(void **state)
{
	static const struct {
		uint64_t features;
		unsigned csum, tso;
	} cases[] = {
		{ 0, 0, 0 },
		{ OFFLOADS, 1, 1 },
		{ BIT(VIRTIO_NET_F_GUEST_CSUM), 1, 0 },
		/* Cannot be without the other one. */
		{ BIT(VIRTIO_NET_F_GUEST_TSO4), 0, 0 },
		{ BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO6) |
			  BIT(VIRTIO_NET_F_GUEST_ECN),
		  1, 1 },
		{ BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_ECN), 1, 0 },
		{ 0, 0, 0 },
	};
	struct lan l;

	lan_init(&l);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		start(&l, cases[i].features);
		assert_int_equal(ethtool(ETHTOOL_GTXCSUM), cases[i].csum);
		assert_int_equal(ethtool(ETHTOOL_GTSO), cases[i].tso);
		net_world_reset(&l.w);
	}
	lan_end(&l);
}

static void large_segments_are_cut_only_for_drivers_that_need_it(void **state)
{
	static uint8_t bytes[NET_WORLD_PACKET];

	for (unsigned whole = 0; whole < 2; whole++) {
		struct virtio_net_hdr_v1 h;
		struct lan l;
		size_t len, sum = 0, n = 0;

		lan_init(&l);
		start(&l, MERGEABLE | (whole ? OFFLOADS : 0));
		host_sends_gso(&l);
		net_world_settle(&l.w);
		for (; (len = guest_gets(&l, &h, bytes)) > 0; n++) {
			assert_int_equal(h.gso_type, whole ? VIRTIO_NET_HDR_GSO_TCPV4 : 0);
			assert_int_equal(h.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
					 whole ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
			sum += len - 54;
		}
		assert_int_equal(n, whole ? 1 : 20);
		assert_int_equal(sum, 20 * GSO_SIZE);
		lan_end(&l);
	}
}

static void large_segments_of_the_driver_reach_the_network(void **state)
{
	static uint8_t bytes[NET_WORLD_PACKET];
	struct virtio_net_hdr h;
	struct lan l;

	lan_init(&l);
	start(&l, MERGEABLE | OFFLOADS);
	gso_frame(&h, guest_packet(&l));
	guest_sends(&l, &h, GSO_LEN);
	memset(&h, 0, sizeof(h));
	assert_int_equal(host_gets(&l, &h, bytes, sizeof(bytes)), GSO_LEN);
	assert_int_equal(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(h.gso_size, GSO_SIZE);
	/* A header that makes no sense is the kernel's to refuse. */
	h.csum_start = 60000;
	guest_sends(&l, &h, GSO_LEN);
	assert_int_equal(virtio_net_counts(l.w.net).tx_errors, 1);
	lan_end(&l);
}

/* They came for a driver with offloads, and are read by one without. */
static void packets_for_the_driver_before_are_not_for_this_one(void **state)
{
	struct lan l;

	lan_init(&l);
	start(&l, MERGEABLE | OFFLOADS);
	net_world_reset(&l.w);
	host_sends_gso(&l);
	host_sends(&l, 1, 60);
	start(&l, MERGEABLE);
	assert_int_equal(guest_gets_number(&l), -1);
	host_sends(&l, 2, 60);
	net_world_settle(&l.w);
	assert_int_equal(guest_gets_number(&l), 2);
	assert_int_equal(virtio_net_counts(l.w.net).rx_packets, 1);
	lan_end(&l);
}

static void an_interface_that_is_down_takes_nothing(void **state)
{
	const struct virtio_net_hdr none = { 0 };
	struct virtio_net_hdr h;
	uint8_t bytes[100];
	struct lan l;

	lan_init(&l);
	start(&l, MERGEABLE);
	set_link(false);
	guest_sends(&l, &none, frame(guest_packet(&l), 1, 60));
	assert_int_equal(virtio_net_counts(l.w.net).tx_errors, 1);
	set_link(true);
	/* The socket is told about it once. */
	(void)host_gets(&l, &h, bytes, sizeof(bytes));
	guest_sends(&l, &none, frame(guest_packet(&l), 2, 60));
	assert_int_equal(host_gets(&l, &h, bytes, sizeof(bytes)), 60);
	host_sends(&l, 3, 60);
	net_world_settle(&l.w);
	assert_int_equal(guest_gets_number(&l), 3);
	lan_end(&l);
}

static void remove_interface(void)
{
	struct {
		struct nlmsghdr n;
		struct ifinfomsg i;
	} req = {
		.n = { .nlmsg_len = sizeof(req),
		       .nlmsg_type = RTM_DELLINK,
		       .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.i = { .ifi_index = (int)if_nametoindex(ifname) },
	};
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	char answer[512];

	assert_int_equal(send(fd, &req, sizeof(req), 0), sizeof(req));
	assert_true(recv(fd, answer, sizeof(answer), 0) > 0);
	(void)close(fd);
	assert_int_equal(if_nametoindex(ifname), 0);
}

static void an_interface_that_is_removed_takes_the_link_down(void **state)
{
	const struct virtio_net_hdr none = { 0 };
	uint8_t status;
	struct lan l;

	lan_init(&l);
	start(&l, MERGEABLE | BIT(VIRTIO_NET_F_STATUS));
	remove_interface();
	net_world_settle(&l.w);
	status = l.w.dev->config[offsetof(struct virtio_net_config, status)];
	assert_int_equal(status & VIRTIO_NET_S_LINK_UP, 0);
	guest_sends(&l, &none, frame(guest_packet(&l), 1, 60));
	assert_int_equal(virtio_net_counts(l.w.net).tx_errors, 1);
	assert_int_equal(l.w.dev->run, VIRTIO_RUNNING);
	lan_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_go_both_ways),
		cmocka_unit_test(bursts_arrive_whole_and_in_order),
		cmocka_unit_test(a_full_ring_goes_on_when_it_is_filled),
		cmocka_unit_test(the_interface_offloads_what_the_driver_accepts),
		cmocka_unit_test(large_segments_are_cut_only_for_drivers_that_need_it),
		cmocka_unit_test(large_segments_of_the_driver_reach_the_network),
		cmocka_unit_test(packets_for_the_driver_before_are_not_for_this_one),
		cmocka_unit_test(an_interface_that_is_down_takes_nothing),
		cmocka_unit_test(an_interface_that_is_removed_takes_the_link_down),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
