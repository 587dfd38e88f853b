/* SPDX-License-Identifier: Apache-2.0 */
/* Views of guest memory: what is mapped when, and for how long. */
#include "vmm/lib/gmem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "tests/fake/ram_fake.h"

#define RAM (4 * MIB)

static struct ram_fake ram;

static int set_up(void **state)
{
	ram_fake_init(&ram, RAM);
	return 0;
}

static int tear_down(void **state)
{
	ram_fake_free(&ram);
	return 0;
}

static void pointer_reaches_the_guests_bytes_both_ways(void **state)
{
	struct gmem_view *v = gmem_get(&ram.gmem);
	uint8_t *at = gmem_ptr(&ram.gmem, v, gpa(0x12345), 16);

	assert_non_null(at);
	ram.bytes[0x12345] = 0x77;
	assert_int_equal(at[0], 0x77);
	at[15] = 0x66;
	assert_int_equal(ram.bytes[0x12354], 0x66);
	gmem_put(&ram.gmem, v);
}

static void what_is_contiguous_for_the_guest_is_contiguous_here(void **state)
{
	struct gmem_view *v = gmem_get(&ram.gmem);
	uint8_t *last = gmem_ptr(&ram.gmem, v, gpa(RAM - 1), 1);
	uint8_t *all = gmem_ptr(&ram.gmem, v, gpa(0), RAM);

	assert_non_null(all);
	assert_ptr_equal(last, all + RAM - 1);
	for (size_t i = 0; i < RAM; i += PAGE_BYTES)
		all[i] = (uint8_t)(i / PAGE_BYTES);
	for (size_t i = 0; i < RAM; i += PAGE_BYTES)
		assert_int_equal(ram.bytes[i], (uint8_t)(i / PAGE_BYTES));
	gmem_put(&ram.gmem, v);
}

static void window_is_mapped_once_and_only_when_asked_for(void **state)
{
	struct gmem_view *v = gmem_get(&ram.gmem);
	const uint64_t window = ram.gmem.window_pages * PAGE_BYTES;

	assert_int_equal(ram.maps, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_non_null(gmem_ptr(&ram.gmem, v, gpa(window), window));
	assert_int_equal(ram.maps, 1);
	assert_non_null(gmem_ptr(&ram.gmem, v, gpa(2 * window - 1), 2));
	assert_int_equal(ram.maps, 2);
	gmem_put(&ram.gmem, v);
	/* Unused, the latest view stays as it is. */
	v = gmem_get(&ram.gmem);
	assert_non_null(gmem_ptr(&ram.gmem, v, gpa(window), 1));
	assert_int_equal(ram.maps, 2);
	gmem_put(&ram.gmem, v);
}

static void what_is_not_ram_has_no_pointer(void **state)
{
	static const struct {
		uint64_t at;
		size_t len;
	} cases[] = {
		{ 0, 0 },
		{ RAM, 1 },
		{ RAM - 1, 2 },
		{ 0, RAM + 1 },
		{ GMEM_HOLE_END, 1 },
		{ GMEM_HOLE_START, 1 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 10, 100 },
		{ 0, SIZE_MAX },
	};
	struct gmem_view *v = gmem_get(&ram.gmem);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_null(gmem_ptr(&ram.gmem, v, gpa(cases[i].at), cases[i].len));
	assert_int_equal(ram.maps, 0);
	gmem_put(&ram.gmem, v);
}

static void page_that_cannot_be_mapped_spoils_only_what_touches_it(void **state)
{
	struct gmem_view *v = gmem_get(&ram.gmem);

	ram.hole = 3 * PAGE_BYTES;
	ram.hole_bytes = PAGE_BYTES;
	assert_non_null(gmem_ptr(&ram.gmem, v, gpa(0), 3 * PAGE_BYTES));
	assert_null(gmem_ptr(&ram.gmem, v, gpa(0), 3 * PAGE_BYTES + 1));
	assert_null(gmem_ptr(&ram.gmem, v, gpa(3 * PAGE_BYTES + 100), 1));
	assert_non_null(gmem_ptr(&ram.gmem, v, gpa(4 * PAGE_BYTES), PAGE_BYTES));
	/* It comes back. */
	ram.hole_bytes = 0;
	assert_non_null(gmem_ptr(&ram.gmem, v, gpa(0), 10 * PAGE_BYTES));
	gmem_put(&ram.gmem, v);
}

static void view_in_use_survives_an_invalidation(void **state)
{
	struct gmem_view *old = gmem_get(&ram.gmem), *v;
	uint8_t *at = gmem_ptr(&ram.gmem, old, gpa(0x1000), 1);

	gmem_invalidate(&ram.gmem);
	v = gmem_get(&ram.gmem);
	assert_ptr_not_equal(v, old);
	assert_int_equal(ram.gmem.views, 2);
	*at = 0x42;
	assert_int_equal(ram.bytes[0x1000], 0x42);
	assert_non_null(gmem_ptr(&ram.gmem, v, gpa(0x1000), 1));
	assert_int_equal(ram.maps, 2);
	gmem_put(&ram.gmem, old);
	assert_int_equal(ram.gmem.views, 1);
	gmem_put(&ram.gmem, v);
	/* Nobody uses this one: it is replaced, not kept beside the next. */
	gmem_invalidate(&ram.gmem);
	v = gmem_get(&ram.gmem);
	assert_int_equal(ram.gmem.views, 1);
	assert_non_null(gmem_ptr(&ram.gmem, v, gpa(0x1000), 1));
	assert_int_equal(ram.maps, 3);
	gmem_put(&ram.gmem, v);
}

static void guest_that_invalidates_for_ever_gets_no_more_views(void **state)
{
	struct gmem_view *views[2 * GMEM_VIEWS_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		views[i] = gmem_get(&ram.gmem);
		assert_non_null(views[i]);
		gmem_invalidate(&ram.gmem);
	}
	assert_int_equal(ram.gmem.views, GMEM_VIEWS_MAX);
	assert_ptr_equal(views[ARRAY_SIZE(views) - 1], views[GMEM_VIEWS_MAX - 1]);
	for (size_t i = 0; i < ARRAY_SIZE(views); i++)
		gmem_put(&ram.gmem, views[i]);
	/* What could not be done then is done now. */
	views[0] = gmem_get(&ram.gmem);
	assert_int_equal(ram.gmem.views, 1);
	gmem_put(&ram.gmem, views[0]);
}

static void backend_that_cannot_map_gives_no_view(void **state)
{
	static const struct gmem_ops none;
	struct gmem m;

	gmem_init(&m, RAM, &none, NULL);
	assert_null(gmem_get(&m));
	gmem_fini(&m);
}

static void windows_are_small_and_few(void **state)
{
	static const struct {
		uint64_t size;
		unsigned pages;
	} cases[] = {
		{ MIB, 16 },	 { GIB, 16 },	    { GIB + MIB, 32 },
		{ 4 * GIB, 64 }, { 16 * GIB, 256 }, { 1024 * GIB, 16384 },
	};
	struct gmem m;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		gmem_init(&m, cases[i].size, ram.gmem.ops, NULL);
		assert_int_equal(m.window_pages, cases[i].pages);
		assert_true(cases[i].size / PAGE_BYTES / m.window_pages <= GMEM_WINDOWS_MAX);
	}
	/* Of a client's choice, before anybody has looked for so much. */
	gmem_init(&m, UINT64_MAX, ram.gmem.ops, NULL);
	assert_int_equal(m.window_pages, GMEM_WINDOW_PAGES_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(pointer_reaches_the_guests_bytes_both_ways),
		T(what_is_contiguous_for_the_guest_is_contiguous_here),
		T(window_is_mapped_once_and_only_when_asked_for),
		T(windows_are_small_and_few),
		T(what_is_not_ram_has_no_pointer),
		T(page_that_cannot_be_mapped_spoils_only_what_touches_it),
		T(view_in_use_survives_an_invalidation),
		T(guest_that_invalidates_for_ever_gets_no_more_views),
		T(backend_that_cannot_map_gives_no_view),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
