/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas on the command line. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vmm/lib/quotas.h"

static void what_is_given_is_taken(void **state)
{
	struct quotas q;
	struct err e;

	(void)state;
	assert_int_equal(quotas_parse("vcpus=3,domains=8,paging-pages=6,memory-mib=4294967295,"
				      "event-channels=5,grant-frames=7",
				      &q, &e),
			 0);
	assert_int_equal(q.domains, 8);
	assert_int_equal(q.memory_mib, 4294967295);
	assert_int_equal(q.vcpus, 3);
	assert_int_equal(q.event_channels, 5);
	assert_int_equal(q.grant_frames, 7);
	assert_int_equal(q.paging_pages, 6);
}

static void the_rest_is_enough_for_the_domains(void **state)
{
	struct quotas q;
	struct err e;

	(void)state;
	assert_int_equal(quotas_parse("domains=10,memory-mib=1024", &q, &e), 0);
	assert_int_equal(q.vcpus, 20);
	assert_int_equal(q.event_channels, 10 * QUOTAS_EVENT_CHANNELS(2));
	assert_int_equal(q.grant_frames, 40);
	assert_int_equal(q.paging_pages, 2560);
	assert_int_equal(quotas_parse("domains=1,memory-mib=1,vcpus=32", &q, &e), 0);
	assert_int_equal(q.event_channels, QUOTAS_EVENT_CHANNELS(32));
}

static void what_is_wrong_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "no quota at ''" },
		{ "domains=1", "memory-mib is missing" },
		{ "memory-mib=1", "domains is missing" },
		{ "domains", "no quota at 'domains'" },
		{ "domain=1", "no quota at 'domain=1'" },
		{ "domains=", "domains is a number from 1 to 32000" },
		{ "domains=0", "domains is a number from 1 to 32000" },
		{ "domains=32001", "domains is a number from 1 to 32000" },
		{ "domains=-1", "domains is a number from 1 to 32000" },
		{ "domains= 1", "domains is a number from 1 to 32000" },
		{ "domains=+1", "domains is a number from 1 to 32000" },
		{ "domains=1x", "domains is a number from 1 to 32000" },
		{ "domains=0x1", "domains is a number from 1 to 32000" },
		{ "domains=18446744073709551617", "domains is a number from 1 to 32000" },
		{ "domains=1,", "no quota at ''" },
		{ "domains=1,,memory-mib=1", "no quota at ',memory-mib=1'" },
		{ "domains=1,memory-mib=1,domains=2", "domains is given twice" },
		{ "domains=1,memory-mib=4294967296",
		  "memory-mib is a number from 1 to 4294967295" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct quotas q = { .domains = 77 };
		struct err e;

		assert_int_equal(quotas_parse(cases[i].text, &q, &e), -EINVAL);
		assert_string_equal(e.text, cases[i].why);
		assert_int_equal(q.domains, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_given_is_taken),
		cmocka_unit_test(the_rest_is_enough_for_the_domains),
		cmocka_unit_test(what_is_wrong_is_refused_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
