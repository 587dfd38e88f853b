/* SPDX-License-Identifier: Apache-2.0 */
/* Address decoding: which device sees an access, and what happens to the others. */
#include "devices/bus.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* A device that answers with a constant and notes the last access. */
struct probe {
	uint64_t answer;
	uint64_t off, value;
	unsigned size, reads, writes;
};

static uint64_t probe_read(void *dev, uint64_t off, unsigned size)
{
	struct probe *p = dev;

	p->off = off;
	p->size = size;
	p->reads++;
	return p->answer;
}

static void probe_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct probe *p = dev;

	p->off = off;
	p->size = size;
	p->value = value;
	p->writes++;
}

static int add(struct bus *b, struct probe *p, enum bus_space space, uint64_t first,
	       uint64_t last)
{
	const struct bus_range r = {
		.space = space,
		.first = first,
		.last = last,
		.name = "probe",
		.dev = p,
		.read = probe_read,
		.write = probe_write,
	};

	return bus_add(b, &r);
}

static void access_reaches_the_range_it_lies_in(void **state)
{
	static const struct {
		enum bus_space space;
		uint64_t addr;
		unsigned size;
		int device; /* -1: nobody's */
		uint64_t off;
	} cases[] = {
		{ BUS_PIO, 0x3f8, 1, 0, 0 },
		{ BUS_PIO, 0x3ff, 1, 0, 7 },
		{ BUS_PIO, 0x3fe, 2, 0, 6 },
		{ BUS_PIO, 0x3ff, 2, -1, 0 }, /* straddles the end */
		{ BUS_PIO, 0x3f7, 1, -1, 0 },
		{ BUS_PIO, 0x3f7, 2, -1, 0 }, /* starts before */
		{ BUS_PIO, 0x400, 1, -1, 0 },
		{ BUS_PIO, 0xd0000000, 4, -1, 0 }, /* the other space */
		{ BUS_MMIO, 0x3f8, 1, -1, 0 },
		{ BUS_MMIO, 0xd0000000, 4, 1, 0 },
		{ BUS_MMIO, 0xd0000ff8, 8, 1, 0xff8 },
		{ BUS_MMIO, 0xd0000ffc, 8, -1, 0 },
		{ BUS_MMIO, UINT64_MAX, 1, 2, 0xf },
		{ BUS_MMIO, UINT64_MAX, 2, -1, 0 }, /* would wrap around */
		{ BUS_MMIO, UINT64_MAX - 7, 8, 2, 8 },
		{ BUS_PIO, 0x3f8, 0, -1, 0 }, /* sizes that no access has */
		{ BUS_PIO, 0x3f8, 9, -1, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct probe p[3] = { { .answer = 1 }, { .answer = 2 }, { .answer = 3 } };
		struct bus b = { 0 };
		unsigned all = 0;

		assert_int_equal(add(&b, &p[0], BUS_PIO, 0x3f8, 0x3ff), 0);
		assert_int_equal(add(&b, &p[1], BUS_MMIO, 0xd0000000, 0xd0000fff), 0);
		assert_int_equal(add(&b, &p[2], BUS_MMIO, UINT64_MAX - 15, UINT64_MAX), 0);
		(void)bus_read(&b, cases[i].space, cases[i].addr, cases[i].size);
		bus_write(&b, cases[i].space, cases[i].addr, cases[i].size, 5);
		for (unsigned d = 0; d < 3; d++)
			all += p[d].reads + p[d].writes;
		assert_int_equal(all, cases[i].device < 0 ? 0 : 2);
		if (cases[i].device >= 0) {
			assert_int_equal(p[cases[i].device].reads, 1);
			assert_int_equal(p[cases[i].device].off, cases[i].off);
			assert_int_equal(p[cases[i].device].size, cases[i].size);
		}
	}
}

static void nobodys_address_reads_all_ones(void **state)
{
	static const struct {
		unsigned size;
		uint64_t value;
	} cases[] = { { 1, 0xff }, { 2, 0xffff }, { 4, 0xffffffff }, { 8, UINT64_MAX } };
	struct bus b = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(bus_read(&b, BUS_PIO, 0x70, cases[i].size), cases[i].value);
}

static void values_are_cut_to_the_access(void **state)
{
	struct probe p = { .answer = UINT64_C(0x1122334455667788) };
	struct bus b = { 0 };

	assert_int_equal(add(&b, &p, BUS_MMIO, 0x1000, 0x1fff), 0);
	assert_int_equal(bus_read(&b, BUS_MMIO, 0x1000, 1), 0x88);
	assert_int_equal(bus_read(&b, BUS_MMIO, 0x1000, 2), 0x7788);
	assert_int_equal(bus_read(&b, BUS_MMIO, 0x1000, 4), 0x55667788);
	assert_int_equal(bus_read(&b, BUS_MMIO, 0x1000, 8), p.answer);
	bus_write(&b, BUS_MMIO, 0x1000, 2, UINT64_MAX);
	assert_int_equal(p.value, 0xffff);
	bus_write(&b, BUS_MMIO, 0x1000, 8, UINT64_MAX);
	assert_int_equal(p.value, UINT64_MAX);
}

static void overlapping_ranges_are_refused(void **state)
{
	static const struct {
		enum bus_space space;
		uint64_t first, last;
		int rc;
	} cases[] = {
		{ BUS_PIO, 0x10, 0x1f, -EEXIST }, { BUS_PIO, 0x0, 0x10, -EEXIST },
		{ BUS_PIO, 0x1f, 0x1f, -EEXIST }, { BUS_PIO, 0x0, 0xff, -EEXIST },
		{ BUS_PIO, 0x14, 0x15, -EEXIST }, { BUS_PIO, 0x0, 0xf, 0 },
		{ BUS_PIO, 0x20, 0x20, 0 },	  { BUS_MMIO, 0x10, 0x1f, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct probe p = { 0 };
		struct bus b = { 0 };

		assert_int_equal(add(&b, &p, BUS_PIO, 0x10, 0x1f), 0);
		assert_int_equal(add(&b, &p, cases[i].space, cases[i].first, cases[i].last),
				 cases[i].rc);
		assert_int_equal(b.n, cases[i].rc ? 1 : 2);
	}
}

static void a_full_bus_refuses_another_range(void **state)
{
	struct probe p = { 0 };
	struct bus b = { 0 };

	for (unsigned i = 0; i < BUS_RANGES_MAX; i++)
		assert_int_equal(add(&b, &p, BUS_PIO, i, i), 0);
	assert_int_equal(add(&b, &p, BUS_PIO, 0x1000, 0x1000), -ENOSPC);
	assert_int_equal(b.n, BUS_RANGES_MAX);
}

static void accesses_are_counted_by_range(void **state)
{
	struct probe p = { 0 };
	struct bus b = { 0 };

	assert_int_equal(add(&b, &p, BUS_PIO, 0, 7), 0);
	assert_int_equal(add(&b, &p, BUS_PIO, 8, 15), 0);
	for (unsigned i = 0; i < 3; i++)
		(void)bus_read(&b, BUS_PIO, 8, 1);
	bus_write(&b, BUS_PIO, 9, 1, 0);
	(void)bus_read(&b, BUS_PIO, 16, 1);
	assert_int_equal(b.counts[0].reads + b.counts[0].writes, 0);
	assert_int_equal(b.counts[1].reads, 3);
	assert_int_equal(b.counts[1].writes, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(access_reaches_the_range_it_lies_in),
		cmocka_unit_test(nobodys_address_reads_all_ones),
		cmocka_unit_test(values_are_cut_to_the_access),
		cmocka_unit_test(overlapping_ranges_are_refused),
		cmocka_unit_test(a_full_bus_refuses_another_range),
		cmocka_unit_test(accesses_are_counted_by_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
