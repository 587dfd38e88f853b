/* SPDX-License-Identifier: Apache-2.0 */
/* The block device as a driver sees it: features, requests of any shape, what is refused. */
#include "tests/fake/blk_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/lib/log.h"

#define DISK (4 * MIB)
#define SECTORS (DISK / DISK_SECTOR)
#define CONFIG(field) (VIRTIO_MMIO_CONFIG + offsetof(struct virtio_blk_config, field))

#define REQ(t, s, l)                             \
	{                                        \
		.type = t, .sector = s, .len = l \
	}

static const struct blk_guest_options plain = { .bytes = DISK };

static uint8_t *ram(struct blk_guest *g, uint64_t at)
{
	return g->ram.bytes + at;
}

static void assert_file(struct blk_guest *g, uint64_t at, const uint8_t *bytes, size_t len)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	assert_int_equal(pread(g->fd, buf, len, (off_t)at), len);
	assert_memory_equal(buf, bytes, len);
	free(buf);
}

static void assert_pattern(const uint8_t *bytes, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != blk_guest_pattern(at + i))
			fail_msg("byte %zu is %#x", i, bytes[i]);
}

static void put_random(uint8_t *at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)rand_r(&seed);
}

/* ---- features and configuration -------------------------------------------------- */

static uint64_t offered(struct blk_guest *g)
{
	return virtio_blk_dev(g->blk)->offered;
}

static uint64_t get(struct blk_guest *g, unsigned at, unsigned size)
{
	return g->driver.mmio.read(g->driver.mmio.dev, at, size);
}

static void it_offers_what_the_disk_can_do(void **state)
{
	static const uint64_t always = BLK_BIT(SEG_MAX) | BLK_BIT(BLK_SIZE) | BLK_BIT(TOPOLOGY);
	static const uint64_t holes = BLK_BIT(DISCARD) | BLK_BIT(WRITE_ZEROES);
	static const uint64_t cache = BLK_BIT(FLUSH) | BLK_BIT(CONFIG_WCE);
	static const uint64_t all = always | holes | cache | BLK_BIT(RO) | BLK_BIT(MQ);
	static const struct {
		struct blk_guest_options o;
		uint64_t features;
	} cases[] = {
		{ { .bytes = DISK }, always | holes | cache },
		{ { .bytes = DISK, .unsafe = true }, always | holes },
		{ { .bytes = DISK, .read_only = true }, always | cache | BLK_BIT(RO) },
		{ { .bytes = DISK, .queues = 4 }, always | holes | cache | BLK_BIT(MQ) },
		{ { .bytes = DISK, .read_only = true, .unsafe = true, .queues = 2 },
		  always | BLK_BIT(RO) | BLK_BIT(MQ) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool hole = cases[i].features & BLK_BIT(DISCARD);
		struct blk_guest g;

		blk_guest_start(&g, &cases[i].o);
		assert_int_equal(offered(&g) & all, cases[i].features);
		assert_int_equal(get(&g, CONFIG(capacity), 4), SECTORS);
		assert_int_equal(get(&g, CONFIG(capacity) + 4, 4), 0);
		assert_int_equal(get(&g, CONFIG(seg_max), 4), 254);
		assert_int_equal(get(&g, CONFIG(blk_size), 4), 512);
		assert_int_equal(512 << get(&g, CONFIG(physical_block_exp), 1),
				 512 * get(&g, CONFIG(min_io_size), 2));
		assert_int_equal(get(&g, CONFIG(wce), 1), !cases[i].o.unsafe);
		assert_int_equal(get(&g, CONFIG(unused), 1), 0);
		assert_int_equal(get(&g, CONFIG(num_queues), 2), cases[i].o.queues);
		assert_int_equal(get(&g, CONFIG(max_discard_seg), 4) > 0, hole);
		assert_int_equal(get(&g, CONFIG(max_discard_sectors), 4) > 0, hole);
		assert_int_equal(get(&g, CONFIG(discard_sector_alignment), 4) > 0, hole);
		assert_int_equal(get(&g, CONFIG(max_write_zeroes_seg), 4) > 0, hole);
		assert_int_equal(get(&g, CONFIG(max_write_zeroes_sectors), 4) > 0, hole);
		assert_int_equal(get(&g, CONFIG(write_zeroes_may_unmap), 1), hole);
		blk_guest_stop(&g);
	}
}

static void the_configuration_is_read_only_but_for_the_cache(void **state)
{
	static const unsigned fields[] = { CONFIG(capacity), CONFIG(seg_max), CONFIG(blk_size),
					   CONFIG(unused), CONFIG(max_discard_seg) };
	struct blk_guest g;

	blk_guest_start(&g, &plain);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint64_t before = get(&g, fields[i], 1);

		g.driver.mmio.write(g.driver.mmio.dev, fields[i], 1, before ^ 1);
		assert_int_equal(get(&g, fields[i], 1), before);
	}
	g.driver.mmio.write(g.driver.mmio.dev, CONFIG(wce), 2, 0);
	assert_int_equal(get(&g, CONFIG(wce), 1), 1);
	g.driver.mmio.write(g.driver.mmio.dev, CONFIG(wce), 1, 2);
	assert_int_equal(get(&g, CONFIG(wce), 1), 1);
	g.driver.mmio.write(g.driver.mmio.dev, CONFIG(wce), 1, 0);
	assert_int_equal(get(&g, CONFIG(wce), 1), 0);
	blk_guest_reset(&g);
	assert_int_equal(get(&g, CONFIG(wce), 1), 1);
	blk_guest_stop(&g);
}

/* ---- requests -------------------------------------------------------------------- */

static void reads_and_writes_of_any_size(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} cases[] = {
		{ 0, 512 },	{ 1, 512 },	      { 7, 4096 },
		{ 0, 1 << 20 }, { SECTORS - 1, 512 }, { SECTORS - 2048, 1 << 20 },
		{ 100, 0 },	{ SECTORS, 0 },	      { 33, 65536 + 512 },
	};
	struct blk_counts c;
	struct blk_guest g;

	blk_guest_start(&g, &plain);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t at = cases[i].sector * DISK_SECTOR;
		struct blk_guest_req r = REQ(VIRTIO_BLK_T_IN, cases[i].sector, cases[i].len);

		memset(ram(&g, BLK_GUEST_DATA), 0, r.len + 1);
		assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
		assert_int_equal(g.used_len, r.len + 1);
		assert_pattern(ram(&g, BLK_GUEST_DATA), at, r.len);
		assert_int_equal(*ram(&g, BLK_GUEST_DATA + r.len), 0);
		put_random(ram(&g, BLK_GUEST_DATA), r.len, i);
		r.type = VIRTIO_BLK_T_OUT;
		assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
		assert_int_equal(g.used_len, 1);
		if (r.len)
			assert_file(&g, at, ram(&g, BLK_GUEST_DATA), r.len);
		for (uint32_t n = 0; n < r.len; n++)
			*ram(&g, BLK_GUEST_DATA + n) = blk_guest_pattern(at + n);
		assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	}
	c = virtio_blk_counts(g.blk);
	assert_int_equal(c.reads, ARRAY_SIZE(cases));
	assert_int_equal(c.writes, 2 * ARRAY_SIZE(cases));
	assert_int_equal(c.write_bytes, 2 * c.read_bytes);
	assert_int_equal(c.errors, 0);
	assert_int_equal(c.read_latency.n, c.reads);
	assert_int_equal(c.write_latency.n, c.writes);
	assert_int_equal(c.flush_latency.n, 0);
	assert_in_range(c.read_latency.sum_ns, 1, UINT64_C(60000000000));
	assert_in_range(c.read_latency.max_ns, c.read_latency.min_ns, c.read_latency.sum_ns);
	blk_guest_stop(&g);
}

/*
 * Cut [at, at + len) into segments of `cut` bytes (the last one shorter), scattered over
 * memory so that no two are neighbours.
 */
static unsigned scatter(struct vring_seg *segs, uint64_t at, uint32_t len, uint32_t cut,
			bool writable)
{
	unsigned n = 0;

	for (uint32_t done = 0; done < len; done += cut)
		segs[n++] = (struct vring_seg){ at + done * UINT64_C(2),
						len - done < cut ? len - done : cut, writable };
	return n;
}

static void gather(struct blk_guest *g, uint8_t *dst, const struct vring_seg *segs, unsigned n)
{
	for (unsigned i = 0; i < n; dst += segs[i++].len)
		memcpy(dst, ram(g, segs[i].at), segs[i].len);
}

static void spread(struct blk_guest *g, const struct vring_seg *segs, unsigned n,
		   const void *src)
{
	const uint8_t *from = src;

	for (unsigned i = 0; i < n; from += segs[i++].len)
		memcpy(ram(g, segs[i].at), from, segs[i].len);
}

/* The device-readable and the -writable part are each cut anywhere (§2.7.4). */
static void segments_may_be_cut_anywhere(void **state)
{
	static const struct {
		uint32_t out_cut, in_cut, len;
		bool indirect;
	} cases[] = {
		{ 1, 1, 0, false },	  { 3, 5, 512, true },	  { 16, 100, 2048, false },
		{ 17, 513, 4096, false }, { 19, 64, 4096, true }, { 528, 4097, 512, true },
		{ 100, 511, 4608, true }, { 9, 7, 512, false },	  { 1040, 1025, 1024, false },
	};
	static uint8_t out[8192], in[8192];
	struct blk_guest g;

	blk_guest_start(&g, &plain);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtio_blk_outhdr h = { .type = VIRTIO_BLK_T_OUT, .sector = 3 + i };
		uint32_t len = cases[i].len;
		struct vring_seg segs[VIRTQ_SEGS_MAX];
		unsigned n_out, n_in, table = BLK_GUEST_PAGES;

		memcpy(out, &h, sizeof(h));
		put_random(out + sizeof(h), len, i);
		for (unsigned read = 0; read < 2; read++) {
			if (read) {
				h.type = VIRTIO_BLK_T_IN;
				memcpy(out, &h, sizeof(h));
			}
			n_out = scatter(segs, BLK_GUEST_DATA,
					(uint32_t)sizeof(h) + (read ? 0 : len),
					cases[i].out_cut, false);
			n_in = scatter(segs + n_out, BLK_GUEST_DATA + MIB, (read ? len : 0) + 1,
				       cases[i].in_cut, true);
			memset(ram(&g, BLK_GUEST_DATA), 0xee, 2 * MIB);
			spread(&g, segs, n_out, out);
			if (cases[i].indirect)
				vring_add_indirect(&g.driver.queues[0], segs, n_out + n_in,
						   table);
			else
				vring_add(&g.driver.queues[0], segs, n_out + n_in);
			blk_guest_kick(&g, 0);
			blk_guest_wait(&g, 0, 1);
			gather(&g, in, segs + n_out, n_in);
			assert_int_equal(in[read ? len : 0], VIRTIO_BLK_S_OK);
			assert_int_equal(g.used_len, (read ? len : 0) + 1);
		}
		assert_memory_equal(in, out + sizeof(h), len);
		if (len)
			assert_file(&g, (3 + i) * DISK_SECTOR, in, len);
	}
	blk_guest_stop(&g);
}

static void the_id_is_20_bytes_of_the_drives_name(void **state)
{
	static const struct {
		const char *id;
		uint32_t len, used;
		uint8_t status;
	} cases[] = {
		{ "rootfs", 20, 21, VIRTIO_BLK_S_OK },
		{ "a_name_that_is_longer_than_20_bytes", 20, 21, VIRTIO_BLK_S_OK },
		{ "rootfs", 64, 20, VIRTIO_BLK_S_OK },
		{ "rootfs", 19, 0, VIRTIO_BLK_S_IOERR },
		{ "rootfs", 0, 1, VIRTIO_BLK_S_IOERR },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blk_guest_options o = { .bytes = DISK, .id = cases[i].id };
		struct blk_guest_req r = { .type = VIRTIO_BLK_T_GET_ID, .len = cases[i].len };
		char expected[VIRTIO_BLK_ID_BYTES] = "";
		struct blk_guest g;

		memcpy(expected, o.id, min_size(strlen(o.id), sizeof(expected)));
		blk_guest_start(&g, &o);
		assert_int_equal(blk_guest_do(&g, &r), cases[i].status);
		assert_int_equal(g.used_len, cases[i].used);
		if (cases[i].status == VIRTIO_BLK_S_OK)
			assert_memory_equal(ram(&g, BLK_GUEST_DATA), expected,
					    sizeof(expected));
		blk_guest_stop(&g);
	}
}

/* A request that is refused; the device goes on. */
static void bad_requests_get_a_status(void **state)
{
	static const struct blk_guest_options read_only = { .bytes = DISK, .read_only = true },
					      unsafe = { .bytes = DISK, .unsafe = true },
					      declined = { .bytes = DISK,
							   .decline = BLK_BIT(DISCARD) |
								      BLK_BIT(WRITE_ZEROES) },
					      odd = { .bytes = 4096 + 511 },
					      empty = { .bytes = 0 };
	static const struct {
		const struct blk_guest_options *o;
		struct blk_guest_req r;
		uint8_t status;
	} cases[] = {
		{ &plain, REQ(VIRTIO_BLK_T_IN, 0, 511), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_OUT, 0, 513), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_IN, SECTORS, 512), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_OUT, SECTORS, 512), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_IN, SECTORS - 1, 1024), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_OUT, SECTORS + 1, 512), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_IN, SECTORS + 1, 0), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_IN, UINT64_MAX, 512), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_OUT, UINT64_MAX, 512), VIRTIO_BLK_S_IOERR },
		{ &plain, REQ(VIRTIO_BLK_T_OUT, UINT64_MAX / 512 + 1, 512),
		  VIRTIO_BLK_S_IOERR },
		{ &odd, REQ(VIRTIO_BLK_T_IN, 8, 512), VIRTIO_BLK_S_IOERR },
		{ &empty, REQ(VIRTIO_BLK_T_IN, 0, 512), VIRTIO_BLK_S_IOERR },
		{ &read_only, REQ(VIRTIO_BLK_T_OUT, 0, 512), VIRTIO_BLK_S_IOERR },
		{ &read_only, REQ(VIRTIO_BLK_T_DISCARD, 0, 16), VIRTIO_BLK_S_UNSUPP },
		{ &declined, REQ(VIRTIO_BLK_T_DISCARD, 0, 16), VIRTIO_BLK_S_UNSUPP },
		{ &declined, REQ(VIRTIO_BLK_T_WRITE_ZEROES, 0, 16), VIRTIO_BLK_S_UNSUPP },
		{ &unsafe, REQ(VIRTIO_BLK_T_FLUSH, 0, 0), VIRTIO_BLK_S_UNSUPP },
		{ &plain, REQ(VIRTIO_BLK_T_SCSI_CMD, 0, 512), VIRTIO_BLK_S_UNSUPP },
		{ &plain, REQ(VIRTIO_BLK_T_SECURE_ERASE, 0, 16), VIRTIO_BLK_S_UNSUPP },
		{ &plain, REQ(VIRTIO_BLK_T_BARRIER, 0, 512), VIRTIO_BLK_S_UNSUPP },
		{ &plain, REQ(UINT32_MAX, 0, 512), VIRTIO_BLK_S_UNSUPP },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blk_guest_req r = cases[i].r;
		struct blk_guest_req good = REQ(VIRTIO_BLK_T_IN, 0, 512);
		uint8_t before[1024];
		struct blk_guest g;

		blk_guest_start(&g, cases[i].o);
		memset(ram(&g, BLK_GUEST_DATA), 0xee, 2048);
		memcpy(before, ram(&g, BLK_GUEST_DATA), sizeof(before));
		if (blk_guest_do(&g, &r) != cases[i].status)
			fail_msg("case %u: status %u", i, *blk_guest_status(&g, 0));
		assert_int_equal(g.used_len, r.type == VIRTIO_BLK_T_IN && r.len ? 0 : 1);
		assert_int_equal(virtio_blk_counts(g.blk).errors, 1);
		assert_int_equal(virtio_blk_counts(g.blk).invalid, 1);
		assert_int_equal(virtio_blk_counts(g.blk).read_latency.n, 0);
		assert_int_equal(virtio_blk_counts(g.blk).reads, 0);
		assert_memory_equal(before, ram(&g, BLK_GUEST_DATA), sizeof(before));
		if (cases[i].o != &empty)
			assert_int_equal(blk_guest_do(&g, &good), VIRTIO_BLK_S_OK);
		blk_guest_stop(&g);
	}
}

/* A driver that makes such chains is broken (§2.1.2). */
static void chains_without_header_or_status_are_faults(void **state)
{
	static const struct {
		struct vring_seg segs[3];
		unsigned n;
	} cases[] = {
		{ { { BLK_GUEST_DATA, 16, false } }, 1 }, /* no status */
		{ { { BLK_GUEST_DATA, 528, false } }, 1 },
		{ { { BLK_GUEST_DATA, 15, false }, { BLK_GUEST_DATA, 1, true } }, 2 },
		{ { { BLK_GUEST_DATA, 513, true } }, 1 }, /* no header */
		{ { { BLK_GUEST_DATA, 8, false },
		    { BLK_GUEST_DATA, 7, false },
		    { BLK_GUEST_DATA, 513, true } },
		  3 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct blk_guest_req good = REQ(VIRTIO_BLK_T_IN, 0, 512);
		struct blk_guest g;

		blk_guest_start(&g, &plain);
		vring_add(&g.driver.queues[0], cases[i].segs, cases[i].n);
		blk_guest_kick(&g, 0);
		blk_guest_run(&g, 1);
		assert_false(blk_guest_reap(&g, 0));
		assert_true(virtio_driver_read(&g.driver, VIRTIO_MMIO_STATUS) &
			    VIRTIO_CONFIG_S_NEEDS_RESET);
		blk_guest_reset(&g);
		virtio_driver_start(&g.driver, UINT64_MAX, 1, BLK_GUEST_QUEUE);
		assert_int_equal(blk_guest_do(&g, &good), VIRTIO_BLK_S_OK);
		blk_guest_stop(&g);
	}
}

/* ---- batches and queues ---------------------------------------------------------- */

static void many_reads_at_once(void **state)
{
	struct blk_guest g;

	blk_guest_start(&g, &plain);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned n = 0; n < 80; n++) {
			struct blk_guest_req r = { VIRTIO_BLK_T_IN, n * 8, 0, 4096, n, 0 };

			assert_true(blk_guest_add(&g, &r) >= 0);
		}
		blk_guest_kick(&g, 0);
		blk_guest_wait(&g, 0, 80);
		for (unsigned n = 0; n < 80; n++) {
			uint8_t *data = ram(&g, BLK_GUEST_DATA + n * 64 * KIB);

			assert_int_equal(*blk_guest_status(&g, n), VIRTIO_BLK_S_OK);
			assert_pattern(data, n * UINT64_C(4096), 4096);
			memset(data, 0, 4096);
		}
	}
	blk_guest_stop(&g);
}

static void each_queue_gets_its_own_back(void **state)
{
	static const struct blk_guest_options four = { .bytes = DISK, .queues = 4 };
	struct blk_guest g;

	blk_guest_start(&g, &four);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned n = 0; n < 80; n++) {
			struct blk_guest_req r = { VIRTIO_BLK_T_IN, n * 4, 0, 2048, n, n % 4 };

			assert_true(blk_guest_add(&g, &r) >= 0);
		}
		for (unsigned q = 0; q < 4; q++)
			blk_guest_kick(&g, q);
		for (unsigned q = 0; q < 4; q++) {
			blk_guest_wait(&g, q, 20);
			assert_false(blk_guest_reap(&g, q));
		}
		for (unsigned n = 0; n < 80; n++)
			assert_int_equal(*blk_guest_status(&g, n), VIRTIO_BLK_S_OK);
	}
	blk_guest_stop(&g);
}

static void an_odd_size_loses_its_rest(void **state)
{
	static const struct blk_guest_options odd = { .bytes = 4096 + 511 };
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_IN, 7, 512);
	struct blk_guest g;

	blk_guest_start(&g, &odd);
	assert_int_equal(get(&g, CONFIG(capacity), 4), 8);
	assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
	assert_pattern(ram(&g, BLK_GUEST_DATA), 7 * 512, 512);
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
		cmocka_unit_test(it_offers_what_the_disk_can_do),
		cmocka_unit_test(the_configuration_is_read_only_but_for_the_cache),
		cmocka_unit_test(reads_and_writes_of_any_size),
		cmocka_unit_test(segments_may_be_cut_anywhere),
		cmocka_unit_test(the_id_is_20_bytes_of_the_drives_name),
		cmocka_unit_test(bad_requests_get_a_status),
		cmocka_unit_test(chains_without_header_or_status_are_faults),
		cmocka_unit_test(many_reads_at_once),
		cmocka_unit_test(each_queue_gets_its_own_back),
		cmocka_unit_test(an_odd_size_loses_its_rest),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, limit_time, NULL);
}
