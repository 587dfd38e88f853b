/* SPDX-License-Identifier: Apache-2.0 */
/* Guest addresses: what is RAM, and that nothing else reaches the backend. */
#include "vmm/lib/gmem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* A backend that notes the last call and answers with `rc`. */
struct probe {
	unsigned reads, writes;
	uint64_t at;
	size_t len;
	int rc;
};

static int probe_read(void *ctx, gpa_t at, void *dst, size_t len)
{
	struct probe *p = ctx;

	memset(dst, 0x5a, len);
	p->reads++;
	p->at = at.v;
	p->len = len;
	return p->rc;
}

static int probe_write(void *ctx, gpa_t at, const void *src, size_t len)
{
	struct probe *p = ctx;

	p->writes++;
	p->at = at.v;
	p->len = len;
	return p->rc;
}

static const struct gmem_ops probe_ops = { .read = probe_read, .write = probe_write };

static void ram_is_laid_out_around_the_hole(void **state)
{
	static const struct {
		uint64_t size, low, high;
	} cases[] = {
		{ 0, 0, 0 },
		{ MIB, MIB, 0 },
		{ GMEM_HOLE_START - MIB, GMEM_HOLE_START - MIB, 0 },
		{ GMEM_HOLE_START, GMEM_HOLE_START, 0 },
		{ GMEM_HOLE_START + MIB, GMEM_HOLE_START, MIB },
		{ 8 * GIB, GMEM_HOLE_START, 5 * GIB },
	};
	struct gmem m;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gmem_init(&m, cases[i].size, &probe_ops, NULL);
		assert_int_equal(m.low, cases[i].low);
		assert_int_equal(m.high, cases[i].high);
	}
}

static const struct {
	uint64_t size, at, len;
	bool ram;
} ranges[] = {
	{ MIB, 0, 0, true },
	{ MIB, 0, 1, true },
	{ MIB, 0, MIB, true },
	{ MIB, 0, MIB + 1, false },
	{ MIB, MIB - 1, 1, true },
	{ MIB, MIB - 1, 2, false },
	{ MIB, MIB, 1, false },
	{ MIB, 1, UINT64_MAX, false }, /* wraps to 0 */
	{ MIB, 0, UINT64_MAX, false },
	{ MIB, UINT64_MAX, 1, false },
	{ MIB, UINT64_MAX, 2, false },
	{ MIB, UINT64_MAX - 7, 8, false },
	{ MIB, GMEM_HOLE_END, 1, false }, /* there is no high RAM */
	{ MIB, GMEM_HOLE_START, 1, false },
	{ 4 * GIB, GMEM_HOLE_START - 1, 1, true },
	{ 4 * GIB, GMEM_HOLE_START - 1, 2, false }, /* into the hole */
	{ 4 * GIB, GMEM_HOLE_START, 1, false },
	{ 4 * GIB, GMEM_HOLE_END - 1, 1, false },
	{ 4 * GIB, GMEM_HOLE_END - 1, 2, false }, /* out of the hole */
	{ 4 * GIB, GMEM_HOLE_START - 1, GIB + 2, false }, /* across it */
	{ 4 * GIB, GMEM_HOLE_END, GIB, true },
	{ 4 * GIB, GMEM_HOLE_END, GIB + 1, false },
	{ 4 * GIB, GMEM_HOLE_END + GIB - 1, 1, true },
	{ 4 * GIB, GMEM_HOLE_END + GIB, 1, false },
	{ 4 * GIB, GMEM_HOLE_END, UINT64_MAX - GMEM_HOLE_END + 1, false }, /* wraps */
};

static void contains_is_about_the_whole_range(void **state)
{
	struct gmem m;

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		gmem_init(&m, ranges[i].size, &probe_ops, NULL);
		if (gmem_contains(&m, gpa(ranges[i].at), ranges[i].len) != ranges[i].ram)
			fail_msg("size %#llx: %#llx+%#llx", (unsigned long long)ranges[i].size,
				 (unsigned long long)ranges[i].at,
				 (unsigned long long)ranges[i].len);
	}
}

/* The same table; lengths that a test can have a buffer for. */
static void only_ram_reaches_the_backend(void **state)
{
	uint8_t buffer[64];
	struct probe p = { 0 };
	struct gmem m;

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		unsigned calls = ranges[i].ram ? 1 : 0;

		if (ranges[i].len > sizeof(buffer))
			continue;
		p = (struct probe){ 0 };
		gmem_init(&m, ranges[i].size, &probe_ops, &p);
		assert_int_equal(gmem_read(&m, gpa(ranges[i].at), buffer, ranges[i].len),
				 ranges[i].ram ? 0 : -EFAULT);
		assert_int_equal(gmem_write(&m, gpa(ranges[i].at), buffer, ranges[i].len),
				 ranges[i].ram ? 0 : -EFAULT);
		assert_int_equal(p.reads, calls);
		assert_int_equal(p.writes, calls);
	}
}

static void a_refused_read_leaves_the_buffer(void **state)
{
	struct probe p = { 0 };
	uint8_t byte = 7;
	struct gmem m;

	gmem_init(&m, MIB, &probe_ops, &p);
	assert_int_equal(gmem_read(&m, gpa(MIB), &byte, 1), -EFAULT);
	assert_int_equal(byte, 7);
}

static void what_the_backend_says_is_passed_on(void **state)
{
	struct probe p = { .rc = -EIO };
	uint8_t bytes[3];
	struct gmem m;

	gmem_init(&m, 4 * GIB, &probe_ops, &p);
	assert_int_equal(gmem_read(&m, gpa(GMEM_HOLE_END + 5), bytes, 3), -EIO);
	assert_int_equal(p.at, GMEM_HOLE_END + 5);
	assert_int_equal(p.len, 3);
	assert_int_equal(gmem_write(&m, gpa(9), bytes, 2), -EIO);
	assert_int_equal(p.at, 9);
	assert_int_equal(p.len, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ram_is_laid_out_around_the_hole),
		cmocka_unit_test(contains_is_about_the_whole_range),
		cmocka_unit_test(only_ram_reaches_the_backend),
		cmocka_unit_test(a_refused_read_leaves_the_buffer),
		cmocka_unit_test(what_the_backend_says_is_passed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
