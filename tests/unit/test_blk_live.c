/* SPDX-License-Identifier: Apache-2.0 */
/* The block device when its disk changes, and under rate limits. */
#include "tests/unit/blk_intercept.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <unistd.h>

#include "vmm/lib/log.h"

/* ---- another disk ---------------------------------------------------------------- */

/* As long as the flush takes. */
static void wait_until_closed(struct blk_guest *g, int fd)
{
	while (fcntl(fd, F_GETFD) >= 0)
		blk_guest_run(g, 1);
}

static uint64_t capacity(struct blk_guest *g)
{
	return virtio_driver_read(&g->driver, VIRTIO_MMIO_CONFIG) |
	       (uint64_t)virtio_driver_read(&g->driver, VIRTIO_MMIO_CONFIG + 4) << 32;
}

static void a_new_disk_takes_over_while_the_old_one_ends(void **state)
{
	static const struct blk_guest_options small = { .bytes = MIB };
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_IN, 0, 512);
	struct disk *disk;
	struct blk_guest g;
	uint8_t zeroes[512] = { 0 };
	int old, new;

	start(&g, &plain);
	io.hold = true;
	add(&g, VIRTIO_BLK_T_IN, 1, 4);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	disk = blk_guest_disk(&small, &new);
	assert_int_equal(ftruncate(new, 0), 0);
	assert_int_equal(ftruncate(new, MIB), 0);
	old = io.calls[0].file.fd;
	virtio_blk_set_disk(g.blk, disk);
	blk_guest_run(&g, 1);
	assert_int_equal(capacity(&g), MIB / 512);
	assert_int_equal(virtio_driver_acknowledge(&g.driver), VIRTIO_MMIO_INT_CONFIG);
	io.hold = false;
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	assert_memory_equal(ram(&g, BLK_GUEST_DATA), zeroes, 512);
	assert_true(fcntl(old, F_GETFD) >= 0);
	io.released = 0;
	let_go(&g, 4);
	blk_guest_wait(&g, 0, 4);
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(*blk_guest_status(&g, i), VIRTIO_BLK_S_OK);
		assert_int_equal(*ram(&g, BLK_GUEST_DATA + i * 512 + 300),
				 blk_guest_pattern(i * 512 + 300));
	}
	wait_until_closed(&g, old);
	r.sector = MIB / 512;
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_IOERR);
	close(new);
	blk_guest_stop(&g);
}

/* Closing a block device would wait for what was written to it. */
static void an_old_disk_is_flushed_before_it_is_closed(void **state)
{
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_IN, 0, 512);
	struct blk_guest g;
	int old, new;

	start(&g, &plain);
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	old = io.calls[0].file.fd;
	io.hold = true;
	io.released = io.n_calls;
	virtio_blk_set_disk(g.blk, blk_guest_disk(&plain, &new));
	close(new);
	assert_int_equal(io.of_kind[FSYNC], 1);
	blk_guest_run(&g, 1);
	/* As large as the other one was. */
	assert_int_equal(virtio_driver_acknowledge(&g.driver), 0);
	assert_true(fcntl(old, F_GETFD) >= 0);
	/* A reset waits for that, too. */
	virtio_driver_reset(&g.driver);
	blk_guest_run(&g, 1);
	assert_int_equal(virtio_blk_dev(g.blk)->run, VIRTIO_STOPPING);
	let_go(&g, 1);
	blk_guest_reset(&g);
	assert_int_equal(fcntl(old, F_GETFD), -1);
	/* Not started: nothing was written. */
	virtio_blk_set_disk(g.blk, blk_guest_disk(&plain, &new));
	assert_int_equal(io.of_kind[FSYNC], 1);
	close(new);
	blk_guest_stop(&g);
}

static void a_device_can_go_while_an_old_disk_is_flushed(void **state)
{
	struct blk_guest g;
	int new;

	start(&g, &plain);
	io.hold = true;
	for (unsigned i = 0; i < 3; i++) {
		virtio_blk_set_disk(g.blk, blk_guest_disk(&plain, &new));
		close(new);
	}
	assert_int_equal(io.of_kind[FSYNC], 3);
	virtqueue_stop(&virtio_blk_dev(g.blk)->queues[0]);
	virtio_blk_destroy(g.blk);
	loop_destroy(g.loop);
	gmem_fini(&g.ram.gmem);
	ram_fake_free(&g.ram);
	close(g.fd);
}

static void several_old_disks_are_closed_in_any_order(void **state)
{
	int fds[4], new;
	struct blk_guest g;

	start(&g, &plain);
	io.hold = true;
	for (unsigned i = 0; i < 4; i++) {
		virtio_blk_set_disk(g.blk, blk_guest_disk(&plain, &new));
		close(new);
		fds[i] = io.calls[i].file.fd;
	}
	for (unsigned i = 0; i < 4; i++) {
		unsigned which = (i + 1) % 4; /* oldest last */

		io.released = which;
		let_go(&g, 1);
		wait_until_closed(&g, fds[which]);
	}
	io.hold = false;
	blk_guest_stop(&g);
}

static void a_size_that_cannot_be_had_changes_nothing(void **state)
{
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_IN, 0, 512);
	struct blk_guest g;
	int fd, copy;

	start(&g, &plain);
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	fd = io.calls[0].file.fd;
	copy = dup(fd);
	close(fd);
	virtio_blk_set_disk(g.blk, NULL);
	assert_int_equal(dup2(copy, fd), fd);
	close(copy);
	blk_guest_run(&g, 1);
	assert_int_equal(capacity(&g), DISK / 512);
	assert_int_equal(virtio_driver_acknowledge(&g.driver), 0);
	blk_guest_stop(&g);
}

static void the_capacity_follows_the_file(void **state)
{
	static const uint64_t sizes[] = { 2 * DISK, DISK, 1000, 0, DISK };
	struct blk_guest g;

	start(&g, &plain);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t generation =
			virtio_driver_read(&g.driver, VIRTIO_MMIO_CONFIG_GENERATION);

		assert_int_equal(ftruncate(g.fd, (off_t)sizes[i]), 0);
		virtio_blk_set_disk(g.blk, NULL);
		blk_guest_run(&g, 1);
		assert_int_equal(capacity(&g), sizes[i] / 512);
		assert_int_not_equal(virtio_driver_read(&g.driver,
							VIRTIO_MMIO_CONFIG_GENERATION),
				     generation);
		assert_int_equal(virtio_driver_acknowledge(&g.driver), VIRTIO_MMIO_INT_CONFIG);
		/* Nothing new. */
		virtio_blk_set_disk(g.blk, NULL);
		blk_guest_run(&g, 1);
		assert_int_equal(virtio_driver_acknowledge(&g.driver), 0);
	}
	blk_guest_stop(&g);
}

/* ---- the rate limiter ------------------------------------------------------------ */

static const struct rate_limiter_config two_ops = {
	.present = true, .ops = { .present = true, .size = 2, .refill_time_ms = 40 }
};

static void throttled_requests_wait_for_their_time(void **state)
{
	static const struct blk_guest_options slow = { .bytes = DISK, .limit = &two_ops };
	struct blk_guest g;
	uint64_t before;

	start(&g, &slow);
	before = clock_ms();
	add(&g, VIRTIO_BLK_T_IN, 0, 7);
	blk_guest_kick(&g, 0);
	assert_int_equal(io.n_calls, 2);
	blk_guest_wait(&g, 0, 2);
	assert_false(virtio_driver_kick(&g.driver, 0));
	blk_guest_wait(&g, 0, 5);
	assert_true(clock_ms() - before >= 99); /* five times 20 ms */
	assert_in_range(virtio_blk_counts(g.blk).throttled, 1, 10);
	blk_guest_stop(&g);
}

static void bytes_are_limited_too(void **state)
{
	static const struct rate_limiter_config config = {
		.present = true,
		.bandwidth = { .present = true, .size = 8192, .refill_time_ms = 80 }
	};
	static const struct blk_guest_options slow = { .bytes = DISK, .limit = &config };
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_OUT, 0, 4096),
			     flush = REQ(VIRTIO_BLK_T_FLUSH, 0, 0);
	struct blk_guest g;
	uint64_t before;

	start(&g, &slow);
	before = clock_ms();
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	assert_true(clock_ms() - before >= 79);
	/* A flush has no bytes. */
	before = virtio_blk_counts(g.blk).throttled;
	assert_int_equal(blk_guest_do(&g, &flush), VIRTIO_BLK_S_OK);
	assert_int_equal(virtio_blk_counts(g.blk).throttled, before);
	blk_guest_stop(&g);
}

static void a_new_limit_frees_who_waits(void **state)
{
	static const struct rate_limiter_config hour = { .present = true,
							 .ops = { .present = true,
								  .size = 1,
								  .refill_time_ms = 3600000 } },
						none = { .present = true,
							 .ops = { .present = true } };
	static const struct blk_guest_options slow = { .bytes = DISK, .limit = &hour };
	struct blk_guest g;

	start(&g, &slow);
	add(&g, VIRTIO_BLK_T_IN, 0, 5);
	blk_guest_kick(&g, 0);
	blk_guest_wait(&g, 0, 1);
	blk_guest_run(&g, 20);
	assert_false(blk_guest_reap(&g, 0));
	virtio_blk_set_limit(g.blk, &hour); /* full again: one more */
	blk_guest_wait(&g, 0, 1);
	blk_guest_run(&g, 20);
	assert_false(blk_guest_reap(&g, 0));
	virtio_blk_set_limit(g.blk, &none);
	blk_guest_wait(&g, 0, 3);
	/* A reset does not wait for the time. */
	virtio_blk_set_limit(g.blk, &hour);
	add(&g, VIRTIO_BLK_T_IN, 0, 5);
	blk_guest_kick(&g, 0);
	blk_guest_wait(&g, 0, 1);
	blk_guest_stop(&g);
}

/* Not by one queue, and not by the others, which wait with it. */
static void no_notification_is_asked_for_while_throttled(void **state)
{
	static const struct blk_guest_options slow = { .bytes = DISK,
						       .queues = 2,
						       .limit = &two_ops };
	struct blk_guest_req r = { VIRTIO_BLK_T_IN, 0, 0, 512, 9, 1 };
	struct blk_guest g;

	start(&g, &slow);
	add(&g, VIRTIO_BLK_T_IN, 0, 8);
	blk_guest_kick(&g, 0);
	blk_guest_wait(&g, 0, 2);
	for (unsigned i = 0; i < 2; i++) {
		add(&g, VIRTIO_BLK_T_IN, 10, 1);
		assert_false(virtio_driver_kick(&g.driver, 0));
		assert_true(blk_guest_add(&g, &r) >= 0);
		assert_int_equal(virtio_driver_kick(&g.driver, 1), i == 0);
	}
	blk_guest_wait(&g, 0, 8);
	blk_guest_wait(&g, 1, 2);
	blk_guest_stop(&g);
}

/* What is refused costs no tokens, and is not held up. */
static void bad_requests_are_not_limited(void **state)
{
	static const struct blk_guest_options slow = { .bytes = DISK, .limit = &two_ops };
	struct blk_guest_req bad = REQ(VIRTIO_BLK_T_IN, 0, 100);
	struct blk_guest g;

	start(&g, &slow);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(blk_guest_do(&g, &bad), VIRTIO_BLK_S_IOERR);
	assert_int_equal(virtio_blk_counts(g.blk).throttled, 0);
	blk_guest_stop(&g);
}

static int limit_time(void **state)
{
	alarm(60); /* a request that never ends */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_disk_takes_over_while_the_old_one_ends),
		cmocka_unit_test(an_old_disk_is_flushed_before_it_is_closed),
		cmocka_unit_test(a_device_can_go_while_an_old_disk_is_flushed),
		cmocka_unit_test(several_old_disks_are_closed_in_any_order),
		cmocka_unit_test(a_size_that_cannot_be_had_changes_nothing),
		cmocka_unit_test(the_capacity_follows_the_file),
		cmocka_unit_test(throttled_requests_wait_for_their_time),
		cmocka_unit_test(bytes_are_limited_too),
		cmocka_unit_test(a_new_limit_frees_who_waits),
		cmocka_unit_test(no_notification_is_asked_for_while_throttled),
		cmocka_unit_test(bad_requests_are_not_limited),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, limit_time, NULL);
}
