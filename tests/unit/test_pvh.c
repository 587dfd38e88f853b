/* SPDX-License-Identifier: Apache-2.0 */
/* boot/pvh: start_info, byte by byte as xen/include/public/arch-x86/hvm/start_info.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "boot/pvh.h"
#include "vmm/lib/layout.h"

#define INITRD_AT 0x7f00000
#define INITRD_LEN 12345

static void build(struct pvh_tables *t, uint64_t ram, uint64_t initrd_len)
{
	const struct boot_images images = {
		.entry = 0x1000000,
		.initrd = gpa(INITRD_AT),
		.initrd_len = initrd_len,
	};
	struct gmem m;

	gmem_init(&m, ram, NULL, NULL);
	memset(t, 0xff, sizeof(*t));
	pvh_build(t, &m, &images);
}

/* What stands at a guest address inside the tables. */
static const uint8_t *at(const struct pvh_tables *t, uint64_t address)
{
	assert_in_range(address, LAYOUT_START_INFO, LAYOUT_START_INFO + sizeof(*t) - 1);
	return (const uint8_t *)t + (address - LAYOUT_START_INFO);
}

static uint64_t get_le(const uint8_t *bytes, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | bytes[n];
	return v;
}

static void start_info_is_version_1(void **state)
{
	struct pvh_tables t;
	const uint8_t *info = (const uint8_t *)&t;

	build(&t, 128 * MIB, INITRD_LEN);
	assert_int_equal(get_le(info, 4), 0x336ec578);
	assert_int_equal(get_le(info + 4, 4), 1);
	assert_int_equal(get_le(info + 8, 4), 0); /* flags */
	assert_int_equal(get_le(info + 24, 8), 0x7000); /* command line */
	assert_int_equal(get_le(info + 32, 8), 0xe0000); /* RSDP */
	assert_int_equal(get_le(info + 52, 4), 0); /* reserved */
}

static void initrd_is_the_only_module(void **state)
{
	struct pvh_tables t;
	const uint8_t *info = (const uint8_t *)&t, *module;

	build(&t, 128 * MIB, INITRD_LEN);
	assert_int_equal(get_le(info + 12, 4), 1);
	module = at(&t, get_le(info + 16, 8));
	assert_int_equal(get_le(module, 8), INITRD_AT);
	assert_int_equal(get_le(module + 8, 8), INITRD_LEN);
	assert_int_equal(get_le(module + 16, 8), 0); /* its command line */
	assert_int_equal(get_le(module + 24, 8), 0);
}

static void no_initrd_no_module(void **state)
{
	struct pvh_tables t;
	const uint8_t *info = (const uint8_t *)&t;

	build(&t, 128 * MIB, 0);
	assert_int_equal(get_le(info + 12, 4), 0);
	assert_int_equal(get_le(info + 16, 8), 0);
	assert_int_equal(t.initrd.paddr, 0);
}

struct map_row {
	uint64_t addr, size, type;
};

static void check_map(uint64_t ram, const struct map_row *rows, unsigned n)
{
	struct pvh_tables t;
	const uint8_t *entry;

	build(&t, ram, 0);
	assert_int_equal(get_le((const uint8_t *)&t + 48, 4), n);
	entry = at(&t, get_le((const uint8_t *)&t + 40, 8));
	for (unsigned i = 0; i < n; i++, entry += 24) {
		assert_int_equal(get_le(entry, 8), rows[i].addr);
		assert_int_equal(get_le(entry + 8, 8), rows[i].size);
		assert_int_equal(get_le(entry + 16, 4), rows[i].type);
		assert_int_equal(get_le(entry + 20, 4), 0);
	}
}

static void map_of_small_guest(void **state)
{
	static const struct map_row rows[] = {
		{ 0, 0xa0000, 1 },
		{ 0xe0000, 0x20000, 3 },
		{ MIB, MIB, 1 },
	};

	check_map(2 * MIB, rows, ARRAY_SIZE(rows));
}

static void map_up_to_the_hole(void **state)
{
	static const struct map_row rows[] = {
		{ 0, 0xa0000, 1 },
		{ 0xe0000, 0x20000, 3 },
		{ MIB, 3 * GIB - MIB, 1 },
	};

	check_map(3 * GIB, rows, ARRAY_SIZE(rows));
}

static void map_goes_on_above_the_hole(void **state)
{
	static const struct map_row rows[] = {
		{ 0, 0xa0000, 1 },
		{ 0xe0000, 0x20000, 3 },
		{ MIB, 3 * GIB - MIB, 1 },
		{ 4 * GIB, 5 * GIB + MIB, 1 },
	};

	check_map(8 * GIB + MIB, rows, ARRAY_SIZE(rows));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_info_is_version_1),
		cmocka_unit_test(initrd_is_the_only_module),
		cmocka_unit_test(no_initrd_no_module),
		cmocka_unit_test(map_of_small_guest),
		cmocka_unit_test(map_up_to_the_hole),
		cmocka_unit_test(map_goes_on_above_the_hole),
	};

	return cmocka_run_group_tests_name("pvh", tests, NULL, NULL);
}
