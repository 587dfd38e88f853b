/* SPDX-License-Identifier: Apache-2.0 */
/* The fake hypervisor keeps the promises of hv.h that devices are tested against. */
#include "tests/fake/hv_fake.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "vmm/lib/layout.h"

#define WINDOWS 4
#define RAM (16 * MIB)

static struct loop *loop;
static struct hv *hv;
static struct err err;

/* A listener that notes the last access, and holds those that it shall. */
static struct {
	unsigned ios, invalidations;
	struct hv_io last;
	bool hold;
	unsigned rings, which; /* how often the last one was told */
} seen;

static bool on_io(void *ctx, struct hv_io *io)
{
	seen.ios++;
	seen.last = *io;
	if (!io->write)
		io->data = 0x1122334455667788;
	return !seen.hold;
}

static void on_rung(void *ctx, unsigned which)
{
	seen.rings++;
	seen.which = which;
}

static void on_invalidate(void *ctx)
{
	seen.invalidations++;
}

static void on_ended(void *ctx, enum hv_end end)
{
}

static void on_lost(void *ctx, const char *why)
{
}

static const struct hv_range ranges[] = {
	{ HV_PIO, LAYOUT_SERIAL, LAYOUT_SERIAL + 7 },
	{ HV_MMIO, LAYOUT_VIRTIO, LAYOUT_VIRTIO + WINDOWS *PAGE_BYTES - 1 },
};

static int shape(uint64_t ram)
{
	const struct hv_shape s = { .vcpus = 2, .ram = ram };

	return hv->ops->shape(hv, &s, ranges, ARRAY_SIZE(ranges), &err);
}

static void make(const struct hv_fake_options *o)
{
	const struct hv_listener listener = { .io = on_io,
					      .rung = on_rung,
					      .invalidate = on_invalidate,
					      .ended = on_ended,
					      .lost = on_lost };

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(hv_fake_create(&hv, o, &err), 0);
	hv->ops->listen(hv, loop, &listener);
}

/* A shaped domain. */
static void make_shaped(const struct hv_fake_options *o)
{
	make(o);
	assert_int_equal(shape(RAM), 0);
}

static void start(void)
{
	const struct hv_entry entry = { .ip = 0x100000, .start_info = gpa(0x6000) };

	assert_int_equal(hv->ops->start(hv, &entry, &err), 0);
}

static int set_up(void **state)
{
	alarm(20); /* a turn that never ends */
	return loop_create(&loop, 8);
}

static int tear_down(void **state)
{
	if (hv)
		hv->ops->close(hv);
	hv = NULL;
	loop_destroy(loop);
	alarm(0);
	return 0;
}

/* ---- mapping ---- */

static uint8_t *reserve(unsigned pages)
{
	void *at =
		mmap(NULL, pages * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(at, MAP_FAILED);
	return at;
}

static int map(uint64_t at, void *host, unsigned pages, bool *there)
{
	return hv->ops->mem.map(hv, gpa(at), host, pages, there);
}

static void a_mapping_is_the_guests_memory(void **state)
{
	static const uint64_t places[] = { 0, 5 * MIB, GMEM_HOLE_END, GMEM_HOLE_END + MIB };
	uint8_t *host = reserve(2), byte;
	bool there[2];

	make(&(struct hv_fake_options){ 0 });
	assert_int_equal(shape(4 * GIB), 0);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(map(places[i], host, 2, there), 0);
		assert_true(there[0] && there[1]);
		host[PAGE_BYTES + 7] = (uint8_t)(i + 1);
		assert_int_equal(
			hv->ops->mem.read(hv, gpa(places[i] + PAGE_BYTES + 7), &byte, 1), 0);
		assert_int_equal(byte, i + 1);
		byte = (uint8_t)(i + 100);
		assert_int_equal(gmem_write(hv_fake_memory(hv), gpa(places[i]), &byte, 1), 0);
		assert_int_equal(host[0], i + 100);
	}
	assert_int_equal(hv->ops->counts(hv).pages_mapped, 2 * ARRAY_SIZE(places));
	munmap(host, 2 * PAGE_BYTES);
}

static void pages_that_were_given_back_cannot_be_had(void **state)
{
	uint8_t *host = reserve(3), byte = 0;
	bool there[3];

	make_shaped(&(struct hv_fake_options){ 0 });
	hv_fake_give_back(hv, gpa(PAGE_BYTES));
	assert_int_equal(seen.invalidations, 1);
	assert_int_equal(map(0, host, 3, there), 0);
	assert_true(there[0] && !there[1] && there[2]);
	host[0] = host[2 * PAGE_BYTES] = 1;
	assert_int_equal(map(PAGE_BYTES, host, 1, there), -EINVAL);
	assert_int_equal(hv->ops->mem.read(hv, gpa(2 * PAGE_BYTES - 1), &byte, 1), -ENXIO);
	assert_int_equal(hv->ops->mem.write(hv, gpa(PAGE_BYTES - 1), &byte, 1), 0);
	assert_int_equal(hv->ops->mem.write(hv, gpa(2 * PAGE_BYTES), &byte, 1), 0);
	assert_int_equal(shape(RAM), 0); /* another domain has all of its pages */
	assert_int_equal(map(PAGE_BYTES, host, 1, there), 0);
	munmap(host, 3 * PAGE_BYTES);
}

static void only_ram_is_mapped(void **state)
{
	uint8_t *host = reserve(2);
	bool there[2];

	make_shaped(&(struct hv_fake_options){ 0 });
	assert_int_equal(map(RAM, host, 1, there), -EFAULT);
	assert_int_equal(map(RAM - PAGE_BYTES, host, 2, there), -EFAULT);
	assert_int_equal(map(LAYOUT_VIRTIO, host, 1, there), -EFAULT);
	munmap(host, 2 * PAGE_BYTES);
}

/* ---- register pages ---- */

static int pages(uint64_t at, unsigned n, uint8_t **out)
{
	void *p = NULL;
	int rc = hv->ops->pages(hv, gpa(at), n, &p, &err);

	*out = p;
	return rc;
}

static void reads_of_register_pages_reach_nobody(void **state)
{
	uint8_t *page;

	make_shaped(&(struct hv_fake_options){ 0 });
	assert_int_equal(pages(LAYOUT_VIRTIO + PAGE_BYTES, 2, &page), 0);
	for (unsigned i = 0; i < 2 * PAGE_BYTES; i++)
		assert_int_equal(page[i], 0);
	put_le64(page + 8, 0xa1a2a3a4a5a6a7a8);
	page[2 * PAGE_BYTES - 1] = 9;
	start();
	assert_int_equal(hv_fake_in(hv, HV_MMIO, LAYOUT_VIRTIO + PAGE_BYTES + 8, 4),
			 0xa5a6a7a8);
	assert_int_equal(hv_fake_in(hv, HV_MMIO, LAYOUT_VIRTIO + PAGE_BYTES + 9, 2), 0xa6a7);
	assert_int_equal(hv_fake_in(hv, HV_MMIO, LAYOUT_VIRTIO + 3 * PAGE_BYTES - 1, 1), 9);
	assert_int_equal(seen.ios, 0);
	assert_int_equal(hv_fake_page_reads(hv), 3);
	assert_int_equal(hv->ops->counts(hv).ioreqs, 0);
	/* Neighbours are as they were. */
	assert_int_equal(hv_fake_in(hv, HV_MMIO, LAYOUT_VIRTIO + PAGE_BYTES - 1, 1), 0x88);
	assert_int_equal(hv_fake_in(hv, HV_MMIO, LAYOUT_VIRTIO + 3 * PAGE_BYTES, 1), 0x88);
	assert_int_equal(seen.ios, 2);
}

static void writes_to_register_pages_are_reported(void **state)
{
	uint8_t *page;

	make_shaped(&(struct hv_fake_options){ 0 });
	assert_int_equal(pages(LAYOUT_VIRTIO, WINDOWS, &page), 0);
	start();
	hv_fake_out(hv, HV_MMIO, LAYOUT_VIRTIO + 0x50, 4, 3);
	assert_int_equal(seen.ios, 1);
	assert_int_equal(seen.last.addr, LAYOUT_VIRTIO + 0x50);
	assert_int_equal(seen.last.data, 3);
	assert_int_equal(page[0x50], 0); /* and change nothing */
}

static void rep_movs_reads_register_pages(void **state)
{
	struct hv_io io = { .space = HV_MMIO,
			    .indirect = true,
			    .size = 4,
			    .count = 3,
			    .addr = LAYOUT_VIRTIO + 0x100,
			    .data = 0x2000 };
	uint8_t *page, got[16] = { 0 };

	make_shaped(&(struct hv_fake_options){ 0 });
	assert_int_equal(pages(LAYOUT_VIRTIO, 1, &page), 0);
	start();
	for (unsigned i = 0; i < 12; i++)
		page[0x100 + i] = (uint8_t)(i + 1);
	hv_fake_access(hv, &io);
	io.backwards = true;
	io.addr += 8;
	io.data = 0x3008;
	hv_fake_access(hv, &io);
	assert_int_equal(seen.ios, 0);
	for (unsigned at = 0x2000; at <= 0x3000; at += 0x1000) {
		assert_int_equal(gmem_read(hv_fake_memory(hv), gpa(at), got, 16), 0);
		assert_memory_equal(got, page + 0x100, 12);
		assert_int_equal(got[12], 0);
	}
}

static void register_pages_lie_in_a_registered_range(void **state)
{
	static const struct {
		uint64_t at;
		unsigned n;
		int rc;
	} cases[] = {
		{ LAYOUT_VIRTIO, WINDOWS, 0 },
		{ LAYOUT_VIRTIO + 3 * PAGE_BYTES, 1, 0 },
		{ LAYOUT_VIRTIO, 0, -EINVAL },
		{ LAYOUT_VIRTIO, HV_PAGES_MAX + 1, -EINVAL },
		{ LAYOUT_VIRTIO, UINT32_MAX, -EINVAL },
		{ LAYOUT_VIRTIO, WINDOWS + 1, -EINVAL },
		{ LAYOUT_VIRTIO + 1, 1, -EINVAL },
		{ LAYOUT_VIRTIO - PAGE_BYTES, 1, -EINVAL },
		{ LAYOUT_VIRTIO + WINDOWS * PAGE_BYTES, 1, -EINVAL },
		{ 0, 1, -EINVAL },
		{ UINT64_MAX - (PAGE_BYTES - 1), 2, -EINVAL },
	};
	uint8_t *page;

	make(&(struct hv_fake_options){ 0 });
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(shape(RAM), 0);
		if (pages(cases[i].at, cases[i].n, &page) != cases[i].rc)
			fail_msg("case %zu", i);
	}
}

static void register_pages_are_made_once_between_shape_and_start(void **state)
{
	uint8_t *page;

	make(&(struct hv_fake_options){ 0 });
	assert_int_equal(pages(LAYOUT_VIRTIO, 1, &page), -EPERM);
	assert_int_equal(shape(RAM), 0);
	assert_int_equal(pages(LAYOUT_VIRTIO, 1, &page), 0);
	assert_int_equal(pages(LAYOUT_VIRTIO, 1, &page), -EPERM);
	assert_int_equal(shape(RAM), 0);
	assert_int_equal(pages(LAYOUT_VIRTIO, 2, &page), 0);
	assert_int_equal(shape(RAM), 0);
	start();
	assert_int_equal(hv_fake_in(hv, HV_MMIO, LAYOUT_VIRTIO, 1), 0x88); /* none any more */
	assert_int_equal(pages(LAYOUT_VIRTIO, 1, &page), -EPERM);
}

static void a_hypervisor_without_register_pages_reports_all(void **state)
{
	uint8_t *page;

	make_shaped(&(struct hv_fake_options){ .no_pages = true });
	assert_int_equal(pages(LAYOUT_VIRTIO, 1, &page), -EOPNOTSUPP);
	start();
	assert_int_equal(hv_fake_in(hv, HV_MMIO, LAYOUT_VIRTIO, 1), 0x88);
}

/* ---- doorbells ---- */

#define NOTIFY (LAYOUT_VIRTIO + 0x50)

static int doorbell(uint32_t data)
{
	const struct hv_doorbell b = { .addr = NOTIFY, .data = data, .which = 70 + data };

	return hv->ops->doorbell(hv, &b, &err);
}

static void ring(uint32_t data)
{
	hv_fake_out(hv, HV_MMIO, NOTIFY, 4, data);
}

static void doorbells_are_told_later_and_once(void **state)
{
	make_shaped(&(struct hv_fake_options){ 0 });
	assert_int_equal(doorbell(1), 0);
	assert_int_equal(doorbell(2), 0);
	assert_int_equal(doorbell(1), -EEXIST);
	assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(seen.rings, 2); /* each for nothing */
	start();
	for (unsigned i = 0; i < 10; i++)
		ring(1);
	assert_int_equal(seen.rings, 2);
	assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(seen.rings, 3);
	assert_int_equal(seen.which, 71);
	assert_int_equal(hv->ops->counts(hv).rings, 3);
	assert_int_equal(seen.ios, 0);
	ring(3); /* another value, */
	hv_fake_out(hv, HV_MMIO, NOTIFY, 2, 1); /* width */
	assert_int_equal(hv_fake_in(hv, HV_MMIO, NOTIFY, 4), 0x55667788); /* or direction */
	assert_int_equal(seen.ios, 3);
}

static void silent_doorbells_clear_bits(void **state)
{
	uint8_t *page;

	make_shaped(&(struct hv_fake_options){ 0 });
	assert_int_equal(hv->ops->clears(hv, LAYOUT_VIRTIO + 0x64, gpa(LAYOUT_VIRTIO + 0x60),
					 &err),
			 -EINVAL); /* there is no page */
	assert_int_equal(pages(LAYOUT_VIRTIO, 1, &page), 0);
	assert_int_equal(
		hv->ops->clears(hv, LAYOUT_VIRTIO + 0x64, gpa(LAYOUT_VIRTIO + 0x60), &err), 0);
	start();
	page[0x60] = 7;
	hv_fake_out(hv, HV_MMIO, LAYOUT_VIRTIO + 0x64, 4, 5);
	assert_int_equal(page[0x60], 2);
	assert_int_equal(seen.ios + seen.rings, 0);
	assert_int_equal(hv_fake_silent(hv), 1);
	hv_fake_out(hv, HV_MMIO, LAYOUT_VIRTIO + 0x64, 1, 2);
	assert_int_equal(page[0x60], 2);
	assert_int_equal(seen.ios, 1);
}

static void doorbells_end_with_the_shape(void **state)
{
	make(&(struct hv_fake_options){ 0 });
	assert_int_equal(doorbell(1), -ENOENT);
	assert_int_equal(shape(RAM), 0);
	for (uint32_t i = 0; i < HV_DOORBELLS_MAX; i++)
		assert_int_equal(doorbell(i), 0);
	assert_int_equal(doorbell(HV_DOORBELLS_MAX), -ENOSPC);
	assert_int_equal(shape(RAM), 0);
	start();
	ring(1);
	assert_int_equal(seen.ios, 1);
	assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(seen.rings, 0); /* what was still to be told is not */
}

static void a_hypervisor_without_doorbells_reports_all(void **state)
{
	make_shaped(&(struct hv_fake_options){ .no_doorbells = true });
	assert_int_equal(doorbell(1), -EOPNOTSUPP);
	start();
	ring(1);
	assert_int_equal(seen.ios, 1);
}

static void mapping_and_pages_fail_on_demand(void **state)
{
	uint8_t *page, *host = reserve(1);
	bool there;

	make_shaped(&(struct hv_fake_options){ .fail = "map:ENOMEM:2,pages:EBUSY" });
	assert_int_equal(map(0, host, 1, &there), 0);
	assert_int_equal(map(0, host, 1, &there), -ENOMEM);
	assert_int_equal(map(0, host, 1, &there), 0);
	assert_int_equal(pages(LAYOUT_VIRTIO, 1, &page), -EBUSY);
	munmap(host, PAGE_BYTES);
}

/* ---- accesses that are answered later ---- */

static struct hv_io write_by(uint8_t vcpu)
{
	return (struct hv_io){ .space = HV_MMIO,
			       .write = true,
			       .size = 4,
			       .vcpu = vcpu,
			       .count = 1,
			       .addr = LAYOUT_VIRTIO + 0x70 };
}

static void a_held_vcpu_waits_for_go_on(void **state)
{
	struct hv_io io = write_by(1);

	make_shaped(&(struct hv_fake_options){ 0 });
	start();
	seen.hold = true;
	hv_fake_access(hv, &io);
	assert_int_equal(seen.last.vcpu, 1);
	assert_true(hv_fake_held(hv, 1));
	assert_false(hv_fake_held(hv, 0));
	io = write_by(0);
	hv_fake_access(hv, &io); /* the other one goes on meanwhile */
	hv->ops->go_on(hv, 1);
	assert_false(hv_fake_held(hv, 1));
	assert_true(hv_fake_held(hv, 0));
	seen.hold = false;
	io = write_by(1);
	hv_fake_access(hv, &io);
	assert_false(hv_fake_held(hv, 1));
}

static const char script[] = "out8 0x3f8 1\nout8 0x3f8 2\nout8 0x3f8 3\n";

static void a_held_script_goes_on_with_its_next_step(void **state)
{
	make_shaped(&(struct hv_fake_options){ .guest = script, .guest_name = "script" });
	seen.hold = true;
	start();
	assert_int_equal(loop_turn(loop), 0);
	for (unsigned step = 1; step <= 3; step++) {
		assert_int_equal(seen.ios, step);
		assert_int_equal(seen.last.data, step);
		hv->ops->go_on(hv, 0);
		assert_int_equal(loop_turn(loop), 0);
	}
	assert_int_equal(seen.ios, 3);
}

static void a_held_script_that_is_paused_goes_on_after_both(void **state)
{
	make_shaped(&(struct hv_fake_options){ .guest = script, .guest_name = "script" });
	seen.hold = true;
	start();
	assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(hv->ops->pause(hv, &err), 0);
	hv->ops->go_on(hv, 0);
	assert_int_equal(seen.ios, 1);
	assert_int_equal(hv->ops->resume(hv, &err), 0);
	assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(seen.ios, 2);
	/* The other way round. */
	assert_int_equal(hv->ops->pause(hv, &err), 0);
	assert_int_equal(hv->ops->resume(hv, &err), 0);
	assert_int_equal(seen.ios, 2);
	hv->ops->go_on(hv, 0);
	assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(seen.ios, 3);
}

static void a_script_gives_pages_back(void **state)
{
	make_shaped(&(struct hv_fake_options){ .guest = "give_back 0x3000\ngive_back 0x5000\n",
					       .guest_name = "script" });
	start();
	assert_int_equal(loop_turn(loop), 0);
	assert_int_equal(seen.invalidations, 2);
}

static void every_gsi_can_be_pulsed(void **state)
{
	make_shaped(&(struct hv_fake_options){ 0 });
	start();
	for (unsigned gsi = 1; gsi < HV_FAKE_GSIS; gsi++) {
		hv->ops->pulse(hv, gsi);
		assert_int_equal(hv_fake_pulses(hv, gsi), 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mapping_is_the_guests_memory),
		TEST(pages_that_were_given_back_cannot_be_had),
		TEST(only_ram_is_mapped),
		TEST(reads_of_register_pages_reach_nobody),
		TEST(writes_to_register_pages_are_reported),
		TEST(rep_movs_reads_register_pages),
		TEST(register_pages_lie_in_a_registered_range),
		TEST(register_pages_are_made_once_between_shape_and_start),
		TEST(a_hypervisor_without_register_pages_reports_all),
		TEST(doorbells_are_told_later_and_once),
		TEST(silent_doorbells_clear_bits),
		TEST(doorbells_end_with_the_shape),
		TEST(a_hypervisor_without_doorbells_reports_all),
		TEST(mapping_and_pages_fail_on_demand),
		TEST(a_held_vcpu_waits_for_go_on),
		TEST(a_held_script_goes_on_with_its_next_step),
		TEST(a_held_script_that_is_paused_goes_on_after_both),
		TEST(a_script_gives_pages_back),
		TEST(every_gsi_can_be_pulsed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
