/* SPDX-License-Identifier: Apache-2.0 */
/* The block device on a host that fails, and with a driver that resets or breaks it. */
#include "tests/unit/blk_intercept.h"

#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/lib/log.h"

/* ---- results --------------------------------------------------------------------- */

#define AGAIN4 -EAGAIN, -EAGAIN, -EAGAIN, -EAGAIN
#define AGAIN16 AGAIN4, AGAIN4, AGAIN4, AGAIN4

static void results_of_reads_and_writes(void **state)
{
	static const struct {
		int results[40];
		unsigned n;
		uint8_t status;
		uint32_t read; /* used length of a read */
	} cases[] = {
		{ { REAL }, 1, VIRTIO_BLK_S_OK, 4097 },
		{ { -EIO }, 1, VIRTIO_BLK_S_IOERR, 0 },
		{ { -ENOSPC }, 1, VIRTIO_BLK_S_IOERR, 0 },
		{ { -EFAULT }, 1, VIRTIO_BLK_S_IOERR, 0 },
		{ { 0 }, 1, VIRTIO_BLK_S_IOERR, 0 },
		{ { 4097 }, 1, VIRTIO_BLK_S_IOERR, 0 },
		{ { -EINTR, REAL }, 2, VIRTIO_BLK_S_OK, 4097 },
		{ { AGAIN4, REAL }, 5, VIRTIO_BLK_S_OK, 4097 },
		{ { AGAIN16, REAL }, 17, VIRTIO_BLK_S_OK, 4097 },
		{ { AGAIN16, -EINTR }, 17, VIRTIO_BLK_S_IOERR, 0 },
		{ { AGAIN16, SHORT(1), AGAIN16, REAL }, 34, VIRTIO_BLK_S_OK, 4097 },
		{ { SHORT(512), REAL }, 2, VIRTIO_BLK_S_OK, 4097 },
		{ { SHORT(1), SHORT(700), SHORT(3000), REAL }, 4, VIRTIO_BLK_S_OK, 4097 },
		{ { SHORT(1024), -EIO }, 2, VIRTIO_BLK_S_IOERR, 1024 },
		{ { SHORT(1500), 0 }, 2, VIRTIO_BLK_S_IOERR, 1500 },
		{ { SHORT(1500), 2597 }, 2, VIRTIO_BLK_S_IOERR, 1500 },
	};

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const unsigned c = i / 2;
		struct blk_guest_req r =
			REQ(i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 5, 4096);
		uint8_t file[4096];
		struct blk_guest g;

		start(&g, &plain);
		for (unsigned n = 0; n < 4096; n++)
			*ram(&g, BLK_GUEST_DATA + n) = (uint8_t)(n * 31);
		expect_results(cases[c].results, cases[c].n);
		if (blk_guest_do(&g, &r) != cases[c].status)
			fail_msg("case %u: status %u", i, *blk_guest_status(&g, 0));
		assert_int_equal(io.n_taken, cases[c].n);
		assert_int_equal(io.n_calls, cases[c].n);
		assert_int_equal(g.used_len, i % 2 ? 1 : cases[c].read);
		/* The host has failed, not the driver. */
		assert_int_equal(virtio_blk_counts(g.blk).errors,
				 cases[c].status != VIRTIO_BLK_S_OK);
		assert_int_equal(virtio_blk_counts(g.blk).invalid, 0);
		if (cases[c].status == VIRTIO_BLK_S_OK) {
			assert_int_equal(pread(g.fd, file, 4096, 5 * 512), 4096);
			assert_memory_equal(file, ram(&g, BLK_GUEST_DATA), 4096);
		}
		/* Others do not notice. */
		assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
		blk_guest_stop(&g);
	}
}

/* As many ranges as there can be, all done, and only then it fails. */
static void ranges_whose_flush_fails_have_failed(void **state)
{
	enum { N = 16 };
	static const struct blk_guest_options through = { .bytes = DISK,
							  .decline = BLK_BIT(FLUSH) };
	static const int results[N + 1] = { [N] = -EIO };
	struct virtio_blk_discard_write_zeroes ranges[N];
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_DISCARD, 0, sizeof(ranges));
	struct blk_guest g;

	start(&g, &through);
	for (unsigned i = 0; i < N; i++)
		ranges[i] = (struct virtio_blk_discard_write_zeroes){ .sector = i * 8,
								      .num_sectors = 8 };
	memcpy(ram(&g, BLK_GUEST_DATA), ranges, sizeof(ranges));
	expect_results(results, N + 1);
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_IOERR);
	assert_int_equal(io.of_kind[FALLOCATE], N);
	assert_int_equal(io.of_kind[FSYNC], 1);
	blk_guest_stop(&g);
}

/* The drive, what was done, where, and why; within limits. */
static void errors_are_logged(void **state)
{
	static const struct {
		uint32_t type;
		int error;
		const char *text;
	} cases[] = {
		{ VIRTIO_BLK_T_IN, EIO, "drive rootfs: read at 1024: Input/output error" },
		{ VIRTIO_BLK_T_OUT, ENOSPC,
		  "drive rootfs: write at 1024: No space left on device" },
		{ VIRTIO_BLK_T_FLUSH, EIO, "drive rootfs: flush at 0: Input/output error" },
		{ VIRTIO_BLK_T_DISCARD, EIO,
		  "drive rootfs: discard at 4096: Input/output error" },
		{ VIRTIO_BLK_T_WRITE_ZEROES, EOPNOTSUPP,
		  "drive rootfs: write zeroes at 4096: Operation not supported" },
	};
	static const struct virtio_blk_discard_write_zeroes range = { .sector = 8,
								      .num_sectors = 8 };
	char path[] = "build/blk-log-XXXXXX", text[8192];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(log_open(path), 0);
	log_set_level(LOG_WARN);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		bool data = i < 2;
		struct blk_guest_req r = REQ(cases[i].type, data ? 2 : 0,
					     data   ? 512 :
					     i == 2 ? 0 :
						      16);
		int results[30];
		unsigned lines = 0;
		struct blk_guest g;
		ssize_t n;

		for (unsigned k = 0; k < ARRAY_SIZE(results); k++)
			results[k] = -cases[i].error;
		start(&g, &plain);
		memcpy(ram(&g, BLK_GUEST_DATA), &range, sizeof(range));
		expect_results(results, ARRAY_SIZE(results));
		for (unsigned k = 0; k < ARRAY_SIZE(results); k++)
			assert_int_not_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
		blk_guest_stop(&g);
		n = pread(fd, text, sizeof(text) - 1, 0);
		assert_true(n > 0);
		text[n] = '\0';
		assert_int_equal(ftruncate(fd, 0), 0);
		for (const char *at = text; (at = strstr(at, cases[i].text)); at++)
			lines++;
		if (lines < 1 || lines > LOG_GUEST_BURST + 1)
			fail_msg("%u times \"%s\" in:\n%s", lines, cases[i].text, text);
	}
	log_set_level(LOG_OFF);
	assert_int_equal(log_open(NULL), 0);
	assert_int_equal(unlink(path), 0);
	close(fd);
}

/* Across segments, too, and through a list that is not the request's own. */
static void short_transfers_go_on_in_the_middle_of_segments(void **state)
{
	static const int results[] = { SHORT(1000), SHORT(24), SHORT(1), SHORT(2100), REAL };
	enum { SEGS = 40, LEN = SEGS * 512 };
	struct vring_seg segs[SEGS + 2];
	struct blk_guest g;

	start(&g, &plain);
	for (unsigned write = 0; write < 2; write++) {
		struct blk_guest_req r = REQ(write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 9, 0);
		uint8_t file[512];

		segs[0] = (struct vring_seg){ BLK_GUEST_PAGES, 16, false };
		segs[SEGS + 1] = (struct vring_seg){ blk_guest_header(&g, &r), 1, true };
		for (unsigned i = 0; i < SEGS; i++) {
			segs[1 + i] =
				(struct vring_seg){ BLK_GUEST_DATA + i * 1024, 512, !write };
			memset(ram(&g, segs[1 + i].at), (int)(write ? i : 0), 1024);
		}
		expect_results(results, ARRAY_SIZE(results));
		vring_add(&g.driver.queues[0], segs, SEGS + 2);
		blk_guest_kick(&g, 0);
		blk_guest_wait(&g, 0, 1);
		assert_int_equal(*blk_guest_status(&g, 0), VIRTIO_BLK_S_OK);
		assert_int_equal(io.n_taken, ARRAY_SIZE(results));
		for (unsigned i = 0; i < SEGS; i++) {
			assert_int_equal(pread(g.fd, file, 512, (9 + i) * 512), 512);
			assert_memory_equal(file, ram(&g, segs[1 + i].at), 512);
			assert_int_equal(*ram(&g, segs[1 + i].at + 512), write ? i : 0);
		}
	}
	blk_guest_stop(&g);
}

static void results_of_flushes_and_ranges(void **state)
{
	enum {
		F = VIRTIO_BLK_T_FLUSH,
		D = VIRTIO_BLK_T_DISCARD,
		Z = VIRTIO_BLK_T_WRITE_ZEROES
	};
	static const struct {
		uint32_t type;
		int results[3];
		unsigned n;
		uint8_t status;
	} cases[] = {
		{ F, { REAL }, 1, VIRTIO_BLK_S_OK },
		{ F, { -EIO }, 1, VIRTIO_BLK_S_IOERR },
		{ F, { -EINTR, REAL }, 2, VIRTIO_BLK_S_OK },
		{ D, { REAL, REAL }, 2, VIRTIO_BLK_S_OK },
		{ D, { -EOPNOTSUPP }, 1, VIRTIO_BLK_S_UNSUPP },
		{ D, { REAL, -EIO }, 2, VIRTIO_BLK_S_IOERR },
		{ D, { REAL, -EINTR, REAL }, 3, VIRTIO_BLK_S_OK },
		{ Z, { -ENOSPC }, 1, VIRTIO_BLK_S_IOERR },
		{ Z, { REAL, -EOPNOTSUPP }, 2, VIRTIO_BLK_S_UNSUPP },
	};
	static const struct virtio_blk_discard_write_zeroes ranges[2] = {
		{ .num_sectors = 8 }, { .sector = 64, .num_sectors = 8 }
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blk_guest_req r =
			REQ(cases[i].type, 0, cases[i].type == F ? 0 : sizeof(ranges));
		struct blk_counts c;
		struct blk_guest g;

		start(&g, &plain);
		memcpy(ram(&g, BLK_GUEST_DATA), ranges, sizeof(ranges));
		expect_results(cases[i].results, cases[i].n);
		if (blk_guest_do(&g, &r) != cases[i].status)
			fail_msg("case %u: status %u", i, *blk_guest_status(&g, 0));
		assert_int_equal(io.n_calls, cases[i].n);
		assert_int_equal(g.used_len, 1);
		c = virtio_blk_counts(g.blk);
		assert_int_equal(c.errors, cases[i].status != VIRTIO_BLK_S_OK);
		assert_int_equal(c.flushes + c.discards, cases[i].status == VIRTIO_BLK_S_OK);
		blk_guest_stop(&g);
	}
}

/* §5.2.6.2: when a completed write is stable without a flush. */
static void writes_are_followed_by_a_flush_when_they_have_to_be(void **state)
{
	static const uint64_t flush = BLK_BIT(FLUSH), wce = BLK_BIT(CONFIG_WCE);
	static const struct {
		bool unsafe;
		uint64_t decline;
		int writeback; /* what the driver writes; -1: nothing */
		unsigned syncs;
	} cases[] = {
		{ false, 0, -1, 0 },
		{ false, 0, 0, 1 },
		{ false, 0, 1, 0 },
		{ false, wce, -1, 0 },
		{ false, wce, 0, 0 }, /* not negotiated */
		{ false, flush | wce, -1, 1 },
		{ false, flush, -1, 1 },
		{ false, flush, 1, 0 },
		{ true, 0, -1, 0 },
	};
	static const uint32_t types[] = { VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_WRITE_ZEROES,
					  VIRTIO_BLK_T_IN };

	for (unsigned i = 0; i < ARRAY_SIZE(cases) * 3; i++) {
		const unsigned c = i / 3;
		const struct blk_guest_options o = { .bytes = DISK,
						     .unsafe = cases[c].unsafe,
						     .decline = cases[c].decline };
		bool in = types[i % 3] == VIRTIO_BLK_T_IN;
		bool out = types[i % 3] == VIRTIO_BLK_T_OUT;
		struct blk_guest_req r = REQ(types[i % 3], 0, in || out ? 4096 : 16);
		struct virtio_blk_discard_write_zeroes range = { .num_sectors = 8 };
		struct blk_guest g;

		start(&g, &o);
		memcpy(ram(&g, BLK_GUEST_DATA), &range, sizeof(range));
		if (cases[c].writeback >= 0)
			g.driver.mmio.write(g.driver.mmio.dev,
					    VIRTIO_MMIO_CONFIG +
						    offsetof(struct virtio_blk_config, wce),
					    1, (uint64_t)cases[c].writeback);
		assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
		if (io.of_kind[FSYNC] != (in ? 0 : cases[c].syncs))
			fail_msg("case %u: %u syncs", i, io.of_kind[FSYNC]);
		if (io.of_kind[FSYNC])
			assert_int_equal(io.calls[io.n_calls - 1].kind, FSYNC);
		blk_guest_stop(&g);
	}
}

static void a_write_whose_flush_fails_has_failed(void **state)
{
	static const struct blk_guest_options through = { .bytes = DISK,
							  .decline = BLK_BIT(FLUSH) };
	static const int results[] = { REAL, -EIO };
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_OUT, 0, 512);
	struct blk_guest g;

	start(&g, &through);
	expect_results(results, 2);
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_IOERR);
	blk_guest_stop(&g);
}

/* ---- a real host's errors -------------------------------------------------------- */

static void assert_pattern(const uint8_t *bytes, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(bytes[i], blk_guest_pattern(at + i));
}

static void errors_of_the_host_are_the_requests_own(void **state)
{
	const struct rlimit small = { MIB, RLIM_INFINITY };
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_OUT, 2 * MIB / 512, 4096);
	struct rlimit old;
	struct blk_guest g;

	start(&g, &plain);
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(
		setrlimit(RLIMIT_FSIZE, &(struct rlimit){ small.rlim_cur, old.rlim_max }), 0);
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_IOERR);
	r.sector = 0;
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	/* Half of it goes. */
	r.sector = (MIB - 2048) / 512;
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_IOERR);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	blk_guest_stop(&g);
}

/* What was read before the end counts as written to the guest, the rest does not. */
static void a_file_that_shrank_is_an_error_beyond_its_end(void **state)
{
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_IN, (MIB - 1024) / 512, 4096);
	struct blk_guest g;

	start(&g, &plain);
	assert_int_equal(ftruncate(g.fd, MIB), 0);
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_IOERR);
	assert_int_equal(g.used_len, 1024);
	assert_pattern(ram(&g, BLK_GUEST_DATA), MIB - 1024, 1024);
	r.sector = MIB / 512;
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_IOERR);
	assert_int_equal(g.used_len, 0);
	r.sector = 0;
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	blk_guest_stop(&g);
}

/* ---- reset and faults ------------------------------------------------------------ */

static void a_reset_waits_for_what_is_in_flight(void **state)
{
	struct blk_guest_req good = REQ(VIRTIO_BLK_T_IN, 1, 512);
	struct blk_guest g;
	unsigned pulses;

	start(&g, &plain);
	for (unsigned round = 0; round < 3; round++) {
		io.hold = true;
		add(&g, VIRTIO_BLK_T_IN, 0, 60);
		blk_guest_kick(&g, 0);
		blk_guest_run(&g, 1);
		let_go(&g, 5); /* ends as usual, while the others are cancelled */
		pulses = g.pulses;
		virtio_driver_reset(&g.driver);
		assert_int_equal(virtio_blk_dev(g.blk)->run, VIRTIO_STOPPING);
		assert_true(virtio_driver_read(&g.driver, VIRTIO_MMIO_STATUS) != 0);
		blk_guest_reset(&g);
		assert_int_equal(virtio_blk_dev(g.blk)->run, VIRTIO_IDLE);
		blk_guest_run(&g, 1);
		assert_int_equal(g.pulses, pulses);
		assert_false(blk_guest_reap(&g, 0));
		for (unsigned i = 5; i < 60; i++)
			assert_int_equal(*blk_guest_status(&g, i), 0xee);
		io.hold = false;
		io.released = io.n_calls = 0;
		virtio_driver_start(&g.driver, UINT64_MAX, 1, BLK_GUEST_QUEUE);
		assert_int_equal(blk_guest_do(&g, &good), VIRTIO_BLK_S_OK);
		io.released = io.n_calls = 0;
	}
	blk_guest_stop(&g);
}

/* Chains that were taken and wait are let go. */
static void a_reset_lets_go_what_waits(void **state)
{
	struct blk_guest g;

	start(&g, &plain);
	io.hold = true;
	for (unsigned i = 0; i < 200; i++)
		add_indirect(&g, i, 20);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	blk_guest_reset(&g);
	blk_guest_stop(&g); /* asserts that no view is in use */
}

static void nothing_is_told_after_a_fault(void **state)
{
	struct blk_guest_req good = REQ(VIRTIO_BLK_T_IN, 1, 512);
	struct blk_guest g;
	unsigned pulses;

	start(&g, &plain);
	io.hold = true;
	add(&g, VIRTIO_BLK_T_IN, 0, 10);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	vring_make_available(&g.driver.queues[0], 999);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	assert_true(virtio_driver_read(&g.driver, VIRTIO_MMIO_STATUS) &
		    VIRTIO_CONFIG_S_NEEDS_RESET);
	pulses = g.pulses;
	let_go(&g, 5);
	blk_guest_run(&g, 5);
	assert_false(blk_guest_reap(&g, 0));
	assert_int_equal(g.pulses, pulses);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(*blk_guest_status(&g, i), 0xee);
	blk_guest_reset(&g);
	io.hold = false;
	virtio_driver_start(&g.driver, UINT64_MAX, 1, BLK_GUEST_QUEUE);
	assert_int_equal(blk_guest_do(&g, &good), VIRTIO_BLK_S_OK);
	blk_guest_stop(&g);
}

/* The loop ends while something is in flight: nothing may be touched after that. */
static void a_device_can_go_with_requests_in_flight(void **state)
{
	struct blk_guest g;

	start(&g, &plain);
	io.hold = true;
	for (unsigned i = 0; i < 40; i++)
		add_indirect(&g, i, 20);
	blk_guest_kick(&g, 0);
	blk_guest_run(&g, 1);
	virtio_blk_set_disk(g.blk, blk_guest_disk(&plain, &(int){ 0 }));
	virtqueue_stop(&virtio_blk_dev(g.blk)->queues[0]);
	virtio_blk_destroy(g.blk);
	loop_destroy(g.loop);
	gmem_fini(&g.ram.gmem);
	ram_fake_free(&g.ram);
	close(g.fd);
}

static int limit_time(void **state)
{
	alarm(60); /* a request that never ends */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results_of_reads_and_writes),
		cmocka_unit_test(ranges_whose_flush_fails_have_failed),
		cmocka_unit_test(errors_are_logged),
		cmocka_unit_test(short_transfers_go_on_in_the_middle_of_segments),
		cmocka_unit_test(results_of_flushes_and_ranges),
		cmocka_unit_test(writes_are_followed_by_a_flush_when_they_have_to_be),
		cmocka_unit_test(a_write_whose_flush_fails_has_failed),
		cmocka_unit_test(errors_of_the_host_are_the_requests_own),
		cmocka_unit_test(a_file_that_shrank_is_an_error_beyond_its_end),
		cmocka_unit_test(a_reset_waits_for_what_is_in_flight),
		cmocka_unit_test(a_reset_lets_go_what_waits),
		cmocka_unit_test(nothing_is_told_after_a_fault),
		cmocka_unit_test(a_device_can_go_with_requests_in_flight),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, limit_time, NULL);
}
