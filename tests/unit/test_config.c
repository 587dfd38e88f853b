/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may configure; the limits are Firecracker's. */
#include "vmm/lib/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define VCPUS_FAULT                                                                          \
	"The number of vCPUs must be greater than 0, less than 32 and must be 1 or an even " \
	"number if SMT is enabled."
#define MEMORY_FAULT \
	"The memory size (MiB) is either 0, or not a multiple of the configured page size."

static void defaults_are_one_vcpu_and_128_mib(void **state)
{
	struct vm_config c;

	memset(&c, 0xff, sizeof(c));
	config_init(&c);
	assert_int_equal(c.machine.vcpu_count, 1);
	assert_int_equal(c.machine.mem_size_mib, 128);
	assert_false(c.machine.smt);
	assert_false(c.machine.track_dirty_pages);
	assert_false(c.boot.present);
}

static void numbers_at_the_limits(void **state)
{
	static const struct {
		uint64_t vcpus, mib;
		bool smt;
		const char *fault; /* NULL: accepted */
	} cases[] = {
		{ 1, 128, false, NULL },
		{ 32, 1, false, NULL },
		{ 31, 3, false, NULL }, /* odd is fine without SMT */
		{ 2, UINT64_MAX / MIB, false,
		  NULL }, /* whether it can be had is not asked here */
		{ 0, 128, false, VCPUS_FAULT },
		{ 33, 128, false, VCPUS_FAULT },
		{ 255, 128, false, VCPUS_FAULT },
		{ UINT64_MAX, 128, false, VCPUS_FAULT },
		{ (UINT64_C(1) << 32) + 1, 128, false, VCPUS_FAULT }, /* cut, it would be 1 */
		{ 3, 128, true, VCPUS_FAULT },
		{ 2, 128, true, "Simultaneous multithreading (smt) is not supported." },
		{ 1, 128, true, "Simultaneous multithreading (smt) is not supported." },
		{ 1, 0, false, MEMORY_FAULT },
		{ 1, UINT64_MAX / MIB + 1, false, MEMORY_FAULT }, /* bytes would wrap to 0 */
		{ 1, UINT64_MAX, false, MEMORY_FAULT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct machine_update u = { .has_vcpu_count = true,
						  .has_mem_size_mib = true,
						  .has_smt = cases[i].smt,
						  .vcpu_count = cases[i].vcpus,
						  .mem_size_mib = cases[i].mib,
						  .smt = cases[i].smt };
		struct machine_config m = { .vcpu_count = 7, .mem_size_mib = 77 };
		struct err e = { "" };
		int rc = config_set_machine(&m, &u, true, &e);

		assert_int_equal(rc, cases[i].fault ? -EINVAL : 0);
		assert_int_equal(m.vcpu_count, cases[i].fault ? 7 : cases[i].vcpus);
		assert_int_equal(m.mem_size_mib, cases[i].fault ? 77 : cases[i].mib);
		if (cases[i].fault)
			assert_string_equal(e.text, cases[i].fault);
	}
}

static void an_update_keeps_what_it_does_not_name(void **state)
{
	const struct machine_update u = { .has_mem_size_mib = true, .mem_size_mib = 256 };
	struct machine_config m = { .vcpu_count = 7, .mem_size_mib = 77 };
	struct err e;

	assert_int_equal(config_set_machine(&m, &u, false, &e), 0);
	assert_int_equal(m.vcpu_count, 7);
	assert_int_equal(m.mem_size_mib, 256);
}

static void a_replacement_starts_from_the_defaults(void **state)
{
	const struct machine_update u = { .has_vcpu_count = true, .vcpu_count = 4 };
	struct machine_config m = { .vcpu_count = 7, .mem_size_mib = 77 };
	struct err e;

	assert_int_equal(config_set_machine(&m, &u, true, &e), 0);
	assert_int_equal(m.vcpu_count, 4);
	assert_int_equal(m.mem_size_mib, 128);
}

static void dirty_page_tracking_is_refused(void **state)
{
	struct machine_update u = { .has_track_dirty_pages = true, .track_dirty_pages = true };
	struct machine_config m = { .vcpu_count = 1, .mem_size_mib = 128 };
	struct err e;

	assert_int_equal(config_set_machine(&m, &u, false, &e), -EINVAL);
	assert_non_null(strstr(e.text, "track_dirty_pages"));
	assert_false(m.track_dirty_pages);
	u.track_dirty_pages = false;
	assert_int_equal(config_set_machine(&m, &u, false, &e), 0);
}

static void ids_are_letters_digits_and_hyphens(void **state)
{
	static const struct {
		const char *id;
		bool valid;
	} cases[] = {
		{ "a", true },
		{ "anonymous-instance", true },
		{ "0-Z", true },
		{ "-", true },
		{ "0123456789012345678901234567890123456789012345678901234567890123", true },
		{ "01234567890123456789012345678901234567890123456789012345678901234", false },
		{ "", false },
		{ "a_b", false },
		{ "a b", false },
		{ "a/b", false },
		{ "a.b", false },
		{ "\xc3\xa9", false }, /* letters, but not ASCII */
		{ "a\n", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (config_id_valid(cases[i].id) != cases[i].valid)
			fail_msg("'%s'", cases[i].id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_one_vcpu_and_128_mib),
		cmocka_unit_test(numbers_at_the_limits),
		cmocka_unit_test(an_update_keeps_what_it_does_not_name),
		cmocka_unit_test(a_replacement_starts_from_the_defaults),
		cmocka_unit_test(dirty_page_tracking_is_refused),
		cmocka_unit_test(ids_are_letters_digits_and_hyphens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
