/* SPDX-License-Identifier: Apache-2.0 */
/* Discard and write zeroes, and what becomes of the file. */
#include "tests/fake/blk_guest.h"

#include <linux/virtio_mmio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/lib/log.h"

#define DISK (4 * MIB)
#define SECTORS (DISK / DISK_SECTOR)
#define CONFIG(field) (VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, field))

static const struct blk_guest_options plain = { .bytes = DISK };

static uint8_t *ram(struct blk_guest *g, uint64_t at)
{
	return g->ram.bytes + at;
}

static uint64_t get(struct blk_guest *g, unsigned at, unsigned size)
{
	return g->driver.mmio.read(g->driver.mmio.dev, at, size);
}

struct range {
	uint64_t sector;
	uint32_t sectors, flags;
};

static uint8_t do_ranges(struct blk_guest *g, uint32_t type, const struct range *ranges,
			 unsigned n, uint32_t len)
{
	struct blk_guest_req r = { .type = type, .len = len };

	if (n)
		memcpy(ram(g, BLK_GUEST_DATA), ranges, n * sizeof(*ranges));
	return blk_guest_do(g, &r);
}

static uint64_t allocated(struct blk_guest *g)
{
	struct stat st;

	assert_int_equal(fsync(g->fd), 0);
	assert_int_equal(fstat(g->fd, &st), 0);
	assert_int_equal(st.st_size, DISK);
	return (uint64_t)st.st_blocks * 512;
}

static bool all_zero(struct blk_guest *g, uint64_t at, size_t len)
{
	uint8_t *buf = calloc(1, len);
	bool zero = true;

	assert_int_equal(pread(g->fd, buf, len, (off_t)at), len);
	for (size_t i = 0; i < len; i++)
		zero &= buf[i] == 0;
	free(buf);
	return zero;
}

static void ranges_are_zeroed_and_given_back(void **state)
{
	static const struct {
		uint32_t type, flags;
		bool gives_back;
	} cases[] = {
		{ VIRTIO_BLK_T_DISCARD, 0, true },
		{ VIRTIO_BLK_T_WRITE_ZEROES, 0, false },
		{ VIRTIO_BLK_T_WRITE_ZEROES, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct range ranges[] = {
			{ 256, 1024, cases[i].flags },
			{ 0, 0, cases[i].flags },
			{ SECTORS - 1024, 1024, cases[i].flags },
		};
		struct blk_guest g;
		uint64_t before;

		blk_guest_start(&g, &plain);
		before = allocated(&g);
		assert_true(before >= DISK);
		assert_int_equal(do_ranges(&g, cases[i].type, ranges, 3, sizeof(ranges)),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(g.used_len, 1);
		assert_true(all_zero(&g, 256 * 512, 1024 * 512));
		assert_true(all_zero(&g, (SECTORS - 1024) * 512, 1024 * 512));
		assert_false(all_zero(&g, 255 * 512, 512));
		assert_false(all_zero(&g, 1280 * 512, 512));
		/* The file system may need some blocks for itself. */
		assert_int_equal(allocated(&g) + MIB / 2 <= before, cases[i].gives_back);
		assert_int_equal(virtio_blk_counts(g.blk).discards, 1);
		blk_guest_stop(&g);
	}
}

static void bad_ranges_are_refused_as_a_whole(void **state)
{
	enum { D = VIRTIO_BLK_T_DISCARD, Z = VIRTIO_BLK_T_WRITE_ZEROES };
	static const struct {
		uint32_t type;
		struct range bad;
		uint8_t status;
		uint32_t len; /* 0: of two ranges */
	} cases[] = {
		{ D, { 0, 8, 1 }, VIRTIO_BLK_S_UNSUPP, 0 }, /* unmap, in a discard */
		{ D, { 0, 8, 2 }, VIRTIO_BLK_S_UNSUPP, 0 },
		{ D, { 0, 8, UINT32_C(1) << 31 }, VIRTIO_BLK_S_UNSUPP, 0 },
		{ Z, { 0, 8, 2 }, VIRTIO_BLK_S_UNSUPP, 0 },
		{ Z, { 0, 8, 3 }, VIRTIO_BLK_S_UNSUPP, 0 },
		{ D, { SECTORS, 1, 0 }, VIRTIO_BLK_S_IOERR, 0 },
		{ Z, { SECTORS - 1, 2, 0 }, VIRTIO_BLK_S_IOERR, 0 },
		{ Z, { SECTORS + 1, 0, 0 }, VIRTIO_BLK_S_IOERR, 0 },
		{ D, { UINT64_MAX, 2, 0 }, VIRTIO_BLK_S_IOERR, 0 },
		{ Z, { UINT64_MAX / 512 + 1, 8, 0 }, VIRTIO_BLK_S_IOERR, 0 },
		{ D, { 0, UINT32_MAX, 0 }, VIRTIO_BLK_S_IOERR, 0 },
		{ D, { 0, 8, 0 }, VIRTIO_BLK_S_IOERR, 15 },
		{ D, { 0, 8, 0 }, VIRTIO_BLK_S_IOERR, 17 },
		{ Z, { 0, 8, 0 }, VIRTIO_BLK_S_IOERR, 31 },
		{ Z, { 0, 8, 0 }, VIRTIO_BLK_S_IOERR, 17 * 16 }, /* max_write_zeroes_seg + 1 */
		{ Z, { 0, 8, 0 }, VIRTIO_BLK_S_IOERR, 4096 },
	};
	struct blk_guest g;

	blk_guest_start(&g, &plain);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct range ranges[] = { { 16, 8, 0 }, cases[i].bad };

		if (do_ranges(&g, cases[i].type, ranges, 2,
			      cases[i].len ? cases[i].len : sizeof(ranges)) != cases[i].status)
			fail_msg("case %u: status %u", i, *blk_guest_status(&g, 0));
		assert_false(all_zero(&g, 16 * 512, 8 * 512));
	}
	assert_int_equal(do_ranges(&g, D, NULL, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(virtio_blk_counts(g.blk).errors, ARRAY_SIZE(cases) + 1);
	assert_int_equal(virtio_blk_counts(g.blk).invalid, ARRAY_SIZE(cases) + 1);
	blk_guest_stop(&g);
}

/* The capacity allows it, the limit of one range does not. */
static void a_range_is_no_longer_than_was_said(void **state)
{
	static const struct blk_guest_options big = { .bytes = 0 };
	struct blk_guest g;
	uint32_t most;

	blk_guest_start(&g, &big);
	assert_int_equal(ftruncate(g.fd, (off_t)(4 * GIB)), 0);
	virtio_blk_set_disk(g.blk, NULL);
	for (unsigned zeroes = 0; zeroes < 2; zeroes++) {
		uint32_t type = zeroes ? VIRTIO_BLK_T_WRITE_ZEROES : VIRTIO_BLK_T_DISCARD;
		struct range range = { 0 };

		most = (uint32_t)get(&g,
				     zeroes ? CONFIG(max_write_zeroes_sectors) :
					      CONFIG(max_discard_sectors),
				     4);
		range.sectors = most + 1;
		assert_int_equal(do_ranges(&g, type, &range, 1, sizeof(range)),
				 VIRTIO_BLK_S_IOERR);
		range.sectors = most;
		range.flags = zeroes; /* unmap: costs nothing */
		assert_int_equal(do_ranges(&g, type, &range, 1, sizeof(range)),
				 VIRTIO_BLK_S_OK);
	}
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
		cmocka_unit_test(ranges_are_zeroed_and_given_back),
		cmocka_unit_test(bad_ranges_are_refused_as_a_whole),
		cmocka_unit_test(a_range_is_no_longer_than_was_said),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, limit_time, NULL);
}
