/* SPDX-License-Identifier: Apache-2.0 */
/* What a client may configure; the limits are Firecracker's. */
#include "vmm/lib/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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
		/* Whether it can be had, and whether so many bytes exist, is not asked here. */
		{ 2, UINT64_MAX / MIB, false, NULL },
		{ 1, UINT64_MAX, false, NULL },
		{ 0, 128, false, VCPUS_FAULT },
		{ 33, 128, false, VCPUS_FAULT },
		{ 255, 128, false, VCPUS_FAULT },
		{ UINT64_MAX, 128, false, VCPUS_FAULT },
		{ (UINT64_C(1) << 32) + 1, 128, false, VCPUS_FAULT }, /* cut, it would be 1 */
		{ 3, 128, true, VCPUS_FAULT },
		{ 2, 128, true, "Simultaneous multithreading (smt) is not supported." },
		{ 1, 128, true, "Simultaneous multithreading (smt) is not supported." },
		{ 1, 0, false, MEMORY_FAULT },
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

/* ---- drives and interfaces ---- */

static int put_drive(struct vm_config *c, const char *id, bool root, struct err *e)
{
	struct drive_config d = { .is_root_device = root };

	strcpy(d.id, id);
	snprintf(d.path, sizeof(d.path), "/%s", id);
	return config_put_drive(c, &d, e);
}

/* The ids in their order, each with an `*` when it is the root device. */
static void assert_drives(const struct vm_config *c, const char *expected)
{
	char got[256] = "";

	for (unsigned i = 0; i < c->n_drives; i++) {
		strcat(got, i ? " " : "");
		strcat(got, c->drives[i]->id);
		strcat(got, c->drives[i]->is_root_device ? "*" : "");
	}
	assert_string_equal(got, expected);
}

static void the_root_drive_is_first_and_others_keep_their_order(void **state)
{
	static const struct {
		const char *id;
		bool root;
		int index; /* -1: a second root device */
		const char *drives;
	} steps[] = {
		{ "a", false, 0, "a" },	       { "b", false, 1, "a b" },
		{ "r", true, 0, "r* a b" },    { "c", false, 3, "r* a b c" },
		{ "s", true, -1, "r* a b c" }, { "a", true, -1, "r* a b c" },
		{ "r", true, 0, "r* a b c" },  { "b", false, 2, "r* a b c" },
		{ "r", false, 0, "r a b c" },  { "b", true, 0, "b* r a c" },
		{ "r", true, -1, "b* r a c" }, { "c", false, 3, "b* r a c" },
	};
	struct vm_config c;

	config_init(&c);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct err e = { "" };
		int at = put_drive(&c, steps[i].id, steps[i].root, &e);

		assert_drives(&c, steps[i].drives);
		assert_int_equal(at, steps[i].index < 0 ? -EEXIST : steps[i].index);
		assert_string_equal(e.text,
				    at < 0 ? "A root block device already exists!" : "");
		if (at >= 0)
			assert_int_equal(config_find_drive(&c, steps[i].id), at);
	}
	config_free(&c);
	assert_int_equal(c.n_drives, 0);
}

static void a_drive_is_replaced_as_a_whole(void **state)
{
	struct drive_config d = { .id = "a", .has_partuuid = true, .limit.present = true };
	struct vm_config c;
	struct err e;

	config_init(&c);
	assert_int_equal(config_put_drive(&c, &d, &e), 0);
	d.has_partuuid = d.limit.present = false;
	strcpy(d.path, "/new");
	assert_int_equal(config_put_drive(&c, &d, &e), 0);
	assert_int_equal(c.n_drives, 1);
	assert_string_equal(c.drives[0]->path, "/new");
	assert_false(c.drives[0]->has_partuuid || c.drives[0]->limit.present);
	config_free(&c);
}

static void the_root_drive_is_found(void **state)
{
	struct vm_config c;
	struct err e;

	config_init(&c);
	assert_null(config_root(&c));
	assert_int_equal(put_drive(&c, "a", false, &e), 0);
	assert_null(config_root(&c));
	assert_int_equal(put_drive(&c, "r", true, &e), 0);
	assert_ptr_equal(config_root(&c), c.drives[0]);
	config_free(&c);
	assert_null(config_root(&c));
}

static int put_net(struct vm_config *c, const char *id, uint8_t mac, struct err *e)
{
	struct net_config n = { .has_mac = mac, .mac = { 6, 0, 0, 0, 0xab, mac } };

	strcpy(n.id, id);
	return config_put_net(c, &n, e);
}

static void a_mac_address_is_used_once(void **state)
{
	static const struct {
		const char *id;
		uint8_t mac; /* 0: not given */
		int index; /* -1: in use */
	} steps[] = {
		{ "a", 1, 0 }, { "b", 2, 1 }, { "c", 1, -1 }, { "b", 1, -1 }, { "a", 1, 0 },
		{ "c", 0, 2 }, { "d", 0, 3 }, { "a", 3, 0 },  { "d", 1, 3 },  { "a", 1, -1 },
	};
	struct vm_config c;

	config_init(&c);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct err e = { "" };
		int at = put_net(&c, steps[i].id, steps[i].mac, &e);

		assert_int_equal(at, steps[i].index < 0 ? -EEXIST : steps[i].index);
		assert_string_equal(
			e.text,
			at < 0 ? "The MAC address is already in use: 06:00:00:00:ab:01" : "");
		if (at >= 0)
			assert_int_equal(config_find_net(&c, steps[i].id), at);
	}
	assert_int_equal(c.n_nets, 4);
	assert_int_equal(c.nets[0]->mac[5], 3);
	assert_int_equal(config_find_net(&c, "x"), -1);
	config_free(&c);
	assert_int_equal(c.n_nets, 0);
}

static void drives_and_interfaces_are_counted_together(void **state)
{
	struct vm_config c;
	struct err e = { "" };
	char id[16];

	config_init(&c);
	for (int i = 0; i < CONFIG_DEVICES_MAX; i++) {
		snprintf(id, sizeof(id), "d%d", i);
		assert_int_equal(i % 2 ? put_net(&c, id, 0, &e) : put_drive(&c, id, false, &e),
				 i / 2);
	}
	assert_int_equal(put_drive(&c, "x", true, &e), -ENOSPC);
	assert_string_equal(e.text, "There are 32 drives and network interfaces already: "
				    "no more are supported.");
	assert_int_equal(put_net(&c, "x", 1, &e), -ENOSPC);
	assert_int_equal(c.n_drives + c.n_nets, CONFIG_DEVICES_MAX);
	assert_int_equal(config_find_drive(&c, "x"), -1);
	/* What is there can still be replaced. */
	assert_int_equal(put_drive(&c, "d4", true, &e), 0);
	assert_int_equal(put_net(&c, "d5", 1, &e), 2);
	config_free(&c);
}

static void an_update_replaces_the_buckets_that_it_has(void **state)
{
	const struct token_bucket_config old = { .present = true, .size = 1 };
	const struct token_bucket_config new = { .present = true, .size = 2 };
	const struct token_bucket_config none = { .present = false, .size = 7 };
	struct rate_limiter_config l = { true, old, old };

	config_update_limit(&l, &(struct rate_limiter_config){ false, none, none });
	assert_int_equal(l.bandwidth.size, 1);
	assert_int_equal(l.ops.size, 1);
	config_update_limit(&l, &(struct rate_limiter_config){ true, new, none });
	assert_int_equal(l.bandwidth.size, 2);
	assert_int_equal(l.ops.size, 1);
	config_update_limit(&l, &(struct rate_limiter_config){ true, none, new });
	assert_int_equal(l.ops.size, 2);
	l = (struct rate_limiter_config){ 0 };
	config_update_limit(&l, &(struct rate_limiter_config){ true, none, new });
	assert_true(l.present && l.ops.present);
	assert_false(l.bandwidth.present);
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
		cmocka_unit_test(the_root_drive_is_first_and_others_keep_their_order),
		cmocka_unit_test(a_drive_is_replaced_as_a_whole),
		cmocka_unit_test(the_root_drive_is_found),
		cmocka_unit_test(a_mac_address_is_used_once),
		cmocka_unit_test(drives_and_interfaces_are_counted_together),
		cmocka_unit_test(an_update_replaces_the_buckets_that_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
