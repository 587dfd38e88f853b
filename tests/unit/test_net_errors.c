/* SPDX-License-Identifier: Apache-2.0 */
/* What the network device makes of reads and writes that fail. */
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

static void reading_goes_on_after_an_error(void **state)
{
	static const int errors[] = { -EIO, -ENOMEM, -EAGAIN };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct net_world w;
		uint64_t enters;

		begin(&w);
		reads.rc = errors[i];
		reads.times = 1;
		net_world_guest_offers(&w, 8);
		enters = loop_stats(w.loop).enters;
		net_world_run(&w, 5);
		/* It does not try all the time. */
		assert_true(loop_stats(w.loop).enters - enters < 10);
		net_world_host_sends(&w, 0, 100);
		net_world_run(&w, 50);
		assert_int_equal(net_world_guest_gets(&w), 1);
		assert_int_equal(virtio_net_counts(w.net).rx_errors, 1);
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

static void packets_that_are_no_packets_are_not_told(void **state)
{
	static const int results[] = { 1, 10, 12 };

	for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
		struct net_world w;

		begin(&w);
		reads.rc = results[i];
		reads.times = 1;
		net_world_guest_offers(&w, 8);
		net_world_host_sends(&w, 0, 100);
		net_world_run(&w, 50);
		assert_int_equal(net_world_guest_gets(&w), 1);
		assert_int_equal(virtio_net_counts(w.net).rx_errors, 1);
		assert_int_equal(virtio_net_counts(w.net).rx_packets, 1);
		net_world_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_wait_for_a_host_without_memory),
		cmocka_unit_test(a_host_that_never_has_memory_loses_packets_in_the_end),
		cmocka_unit_test(packets_that_the_host_refuses_are_dropped),
		cmocka_unit_test(a_reset_while_the_host_has_no_memory_is_one),
		cmocka_unit_test(reading_goes_on_after_an_error),
		cmocka_unit_test(buffers_whose_memory_is_gone_are_given_back_empty),
		cmocka_unit_test(when_the_interface_is_gone_the_link_is_down),
		cmocka_unit_test(packets_that_are_no_packets_are_not_told),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
