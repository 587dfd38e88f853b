/* SPDX-License-Identifier: Apache-2.0 */
/* What the network device makes of reads and writes that fail, and of bad timing. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/fake/net_world.h"
#include "vmm/lib/log.h"

/* ---- reads and writes that fail --------------------------------------------------- */

static struct {
	int rc; /* what the next ones give; 0: what the kernel says */
	unsigned times;
	void (*done)(struct loop_op *op, int res); /* of those that fail: all the same */
} reads, writes;

static void read_fails(struct loop_op *op, int res)
{
	op->done = reads.done;
	op->done(op, reads.rc);
}

static void write_fails(struct loop_op *op, int res)
{
	op->done = writes.done;
	op->done(op, writes.rc);
}

void __real_loop_readv(struct loop *l, struct loop_op *op, loop_file_t f,
		       const struct iovec *iov, unsigned n, uint64_t off, int flags);
void __wrap_loop_readv(struct loop *l, struct loop_op *op, loop_file_t f,
		       const struct iovec *iov, unsigned n, uint64_t off, int flags);
void __real_loop_writev(struct loop *l, struct loop_op *op, loop_file_t f,
			const struct iovec *iov, unsigned n, uint64_t off, int flags);
void __wrap_loop_writev(struct loop *l, struct loop_op *op, loop_file_t f,
			const struct iovec *iov, unsigned n, uint64_t off, int flags);

void __wrap_loop_readv(struct loop *l, struct loop_op *op, loop_file_t f,
		       const struct iovec *iov, unsigned n, uint64_t off, int flags)
{
	if (reads.times == 0) {
		__real_loop_readv(l, op, f, iov, n, off, flags);
		return;
	}
	reads.times--;
	reads.done = op->done;
	op->done = read_fails;
	loop_defer(l, op);
}

void __wrap_loop_writev(struct loop *l, struct loop_op *op, loop_file_t f,
			const struct iovec *iov, unsigned n, uint64_t off, int flags)
{
	if (writes.times == 0) {
		__real_loop_writev(l, op, f, iov, n, off, flags);
		return;
	}
	writes.times--;
	writes.done = op->done;
	op->done = write_fails;
	loop_defer(l, op);
}

static bool no_memory;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __real_calloc(n, size);
}

/* What the driver does just before the device asks for notifications. */
static void (*meanwhile)(struct net_world *w);
static struct net_world *meanwhile_world;
static unsigned meanwhile_queue;

bool __real_virtqueue_notify_on(struct virtqueue *q);
bool __wrap_virtqueue_notify_on(struct virtqueue *q);

bool __wrap_virtqueue_notify_on(struct virtqueue *q)
{
	void (*act)(struct net_world * w) = meanwhile;

	if (act && q == &meanwhile_world->dev->queues[meanwhile_queue]) {
		meanwhile = NULL;
		act(meanwhile_world);
	}
	return __real_virtqueue_notify_on(q);
}

/* ---- writes ---------------------------------------------------------------------- */

static void begin(struct net_world *w)
{
	static const struct net_setup s = { .has_mac = true, .mac = { 2 } };

	net_world_init(w, &s, NULL);
	net_world_start(w, 0, 2, 64);
}

static void packets_wait_for_a_host_without_memory(void **state)
{
	static const int errors[] = { -EAGAIN, -ENOBUFS, -ENOMEM };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct net_world w;

		begin(&w);
		writes.rc = errors[i];
		writes.times = 7;
		for (unsigned k = 0; k < 3; k++)
			net_world_guest_sends(&w, k, 100, 40);
		(void)net_world_kick(&w, NET_WORLD_TX);
		net_world_run(&w, 100);
		assert_int_equal(net_world_guest_reaps(&w), 3);
		assert_int_equal(virtio_net_counts(w.net).tx_packets, 3);
		assert_int_equal(virtio_net_counts(w.net).tx_errors, 0);
		net_world_end(&w);
	}
}

/* For a second try it needs no second token. */
static void a_packet_is_charged_once(void **state)
{
	const struct rate_limiter_config one = {
		.present = true,
		.ops = { .present = true, .size = 1, .refill_time_ms = 3600 * 1000 },
	}, none = { 0 };
	struct net_world w;

	begin(&w);
	virtio_net_set_limits(w.net, &none, &one);
	writes.rc = -ENOBUFS;
	writes.times = 3;
	net_world_guest_sends(&w, 0, 100, 40);
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_run(&w, 50);
	assert_int_equal(net_world_guest_reaps(&w), 1);
	assert_int_equal(virtio_net_counts(w.net).tx_packets, 1);
	assert_int_equal(virtio_net_counts(w.net).tx_throttled, 0);
	net_world_end(&w);
}

static void a_host_that_never_has_memory_loses_packets_in_the_end(void **state)
{
	struct net_world w;

	begin(&w);
	writes.rc = -ENOBUFS;
	writes.times = 100000;
	net_world_guest_sends(&w, 0, 100, 40);
	(void)net_world_kick(&w, NET_WORLD_TX);
	for (unsigned i = 0; i < 100 && virtio_net_counts(w.net).tx_errors == 0; i++)
		net_world_run(&w, 100);
	writes.times = 0;
	assert_int_equal(net_world_guest_reaps(&w), 1);
	assert_int_equal(virtio_net_counts(w.net).tx_packets, 0);
	net_world_end(&w);
}

static void packets_that_the_host_refuses_are_dropped(void **state)
{
	/* The interface is down, a header is wrong, memory is gone, the interface is gone. */
	static const int errors[] = { -EIO, -EINVAL, -EFAULT, -EBADFD };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct net_world w;

		begin(&w);
		writes.rc = errors[i];
		writes.times = 1;
		net_world_guest_sends(&w, 0, 100, 40);
		net_world_guest_sends(&w, 1, 100, 40);
		(void)net_world_kick(&w, NET_WORLD_TX);
		net_world_settle(&w);
		assert_int_equal(net_world_guest_reaps(&w), 2);
		assert_int_equal(virtio_net_counts(w.net).tx_packets, 1);
		assert_int_equal(virtio_net_counts(w.net).tx_bytes, 100);
		assert_int_equal(virtio_net_counts(w.net).tx_errors, 1);
		assert_int_equal(net_world_host_gets(&w, 1), 100);
		net_world_end(&w);
	}
}

static void a_reset_while_the_host_has_no_memory_is_one(void **state)
{
	struct net_world w;

	begin(&w);
	writes.rc = -ENOBUFS;
	writes.times = 100000;
	net_world_guest_sends(&w, 0, 100, 40);
	(void)net_world_kick(&w, NET_WORLD_TX);
	net_world_settle(&w);
	writes.times = 0;
	net_world_end(&w);
}

/* ---- reads ----------------------------------------------------------------------- */

static void reading_goes_on_after_errors(void **state)
{
	static const int results[] = { -EIO, -ENOMEM, -EAGAIN, 0, 1, 12 };

	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		struct net_world w;
		uint64_t errors;

		begin(&w);
		reads.rc = results[i];
		reads.times = 1000;
		net_world_guest_offers(&w, 8);
		net_world_run(&w, 50);
		errors = virtio_net_counts(w.net).rx_errors;
		/* It does not try all the time. */
		assert_in_range(errors, 1, 10);
		reads.times = 0;
		net_world_host_sends(&w, 0, 100);
		net_world_run(&w, 50);
		assert_int_equal(net_world_guest_gets(&w), 1);
		/* One more may have been under way. */
		assert_in_range(virtio_net_counts(w.net).rx_errors, errors, errors + 1);
		assert_int_equal(virtio_net_counts(w.net).rx_packets, 1);
		net_world_end(&w);
	}
}

/* A page of a buffer cannot be written to any more. The driver gets the buffer back. */
static void buffers_whose_memory_is_gone_are_given_back_empty(void **state)
{
	uint32_t head, written;
	struct net_world w;

	begin(&w);
	reads.rc = -EFAULT;
	reads.times = 1;
	net_world_guest_offers(&w, 8);
	net_world_settle(&w);
	assert_true(vring_reap(&w.queues[NET_WORLD_RX], &head, &written));
	assert_int_equal(written, 0);
	net_world_host_sends(&w, 0, 100);
	net_world_settle(&w);
	assert_int_equal(net_world_guest_gets(&w), 1);
	assert_int_equal(virtio_net_counts(w.net).rx_errors, 1);
	net_world_end(&w);
}

static void when_the_interface_is_gone_the_link_is_down(void **state)
{
	struct net_world w;
	uint8_t status = 0xff;

	begin(&w);
	w.dev->acked |= UINT64_C(1) << VIRTIO_NET_F_STATUS;
	reads.rc = -EBADFD;
	reads.times = 1000;
	net_world_guest_offers(&w, 8);
	net_world_run(&w, 50);
	status = w.dev->config[offsetof(struct virtio_net_config, status)];
	assert_int_equal(status & VIRTIO_NET_S_LINK_UP, 0);
	assert_int_equal(w.dev->interrupt_status, VIRTIO_MMIO_INT_CONFIG);
	/* Once is enough. */
	assert_int_equal(w.pulses, 1);
	assert_int_equal(reads.times, 999);
	assert_int_equal(w.dev->run, VIRTIO_RUNNING);
	reads.times = 0;
	net_world_end(&w);
}

/* ---- timing ---------------------------------------------------------------------- */

static void add_buffers(struct net_world *w)
{
	for (unsigned i = 0; i < 8; i++) {
		const struct vring_seg seg = { 6 * MIB + i * 2048, 2048, true };

		assert_true(vring_add(&w->queues[NET_WORLD_RX], &seg, 1) >= 0);
	}
	/* The device has not asked yet: no notification. */
	assert_false(vring_wants_kick(&w->queues[NET_WORLD_RX]));
}

static void buffers_that_come_while_the_device_gives_up_are_found(void **state)
{
	struct net_world w;

	begin(&w);
	net_world_settle(&w);
	net_world_guest_offers(&w, 1);
	net_world_settle(&w);
	/* The last buffer is used. */
	net_world_host_sends(&w, 0, 100);
	net_world_host_sends(&w, 1, 100);
	meanwhile_world = &w;
	meanwhile_queue = NET_WORLD_RX;
	meanwhile = add_buffers;
	net_world_settle(&w);
	assert_null(meanwhile);
	assert_int_equal(net_world_guest_gets(&w), 2);
	net_world_end(&w);
}

/* Few buffers must do, when others come after all. */
static void buffers_that_come_too_late_for_a_read_make_it_start_again(void **state)
{
	static const struct net_setup s = { .has_mac = true, .mac = { 2 } };
	struct net_world w;

	net_world_init(&w, &s, NULL);
	net_world_start(&w, UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF, 2, 64);
	net_world_guest_offers(&w, 1);
	net_world_settle(&w);
	meanwhile_world = &w;
	meanwhile_queue = NET_WORLD_RX;
	meanwhile = add_buffers;
	net_world_run(&w, 100);
	assert_null(meanwhile);
	/* More than the first buffer holds. */
	net_world_host_sends(&w, 0, 9000);
	net_world_settle(&w);
	assert_int_equal(virtio_net_counts(w.net).rx_packets, 1);
	net_world_end(&w);
}

static void add_packet(struct net_world *w)
{
	net_world_guest_sends(w, 1, 100, 4096);
	assert_false(vring_wants_kick(&w->queues[NET_WORLD_TX]));
}

static void packets_that_come_while_the_device_gives_up_are_sent(void **state)
{
	struct net_world w;

	begin(&w);
	net_world_settle(&w);
	net_world_guest_sends(&w, 0, 100, 4096);
	(void)net_world_kick(&w, NET_WORLD_TX);
	meanwhile_world = &w;
	meanwhile_queue = NET_WORLD_TX;
	meanwhile = add_packet;
	net_world_settle(&w);
	assert_null(meanwhile);
	assert_int_equal(net_world_guest_reaps(&w), 2);
	net_world_end(&w);
}

static void without_memory_there_is_no_device_and_the_tap_stays(void **state)
{
	static const struct rate_limiter_config unlimited;
	struct tap t = { .n_queues = 1 };
	struct dev_env env = { 0 };
	const struct net_setup s = {
		.id = "eth0",
		.env = &env,
		.tap = &t,
		.rx_limit = &unlimited,
		.tx_limit = &unlimited,
	};
	struct virtio_net *n = NULL;
	int rc;

	no_memory = true;
	rc = virtio_net_create(&n, &s);
	no_memory = false;
	assert_int_equal(rc, -ENOMEM);
	assert_null(n);
	virtio_net_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_wait_for_a_host_without_memory),
		cmocka_unit_test(a_packet_is_charged_once),
		cmocka_unit_test(a_host_that_never_has_memory_loses_packets_in_the_end),
		cmocka_unit_test(packets_that_the_host_refuses_are_dropped),
		cmocka_unit_test(a_reset_while_the_host_has_no_memory_is_one),
		cmocka_unit_test(reading_goes_on_after_errors),
		cmocka_unit_test(buffers_whose_memory_is_gone_are_given_back_empty),
		cmocka_unit_test(when_the_interface_is_gone_the_link_is_down),
		cmocka_unit_test(buffers_that_come_while_the_device_gives_up_are_found),
		cmocka_unit_test(buffers_that_come_too_late_for_a_read_make_it_start_again),
		cmocka_unit_test(packets_that_come_while_the_device_gives_up_are_sent),
		cmocka_unit_test(without_memory_there_is_no_device_and_the_tap_stays),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
