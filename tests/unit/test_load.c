/* SPDX-License-Identifier: Apache-2.0 */
/* boot/load: what lies where in guest memory after a load, and what stops one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "boot/load.h"
#include "boot/pvh.h"
#include "tests/fake/kernel_fake.h"
#include "tests/fake/ram_fake.h"
#include "vmm/lib/layout.h"

#define RAM (32 * MIB)
#define DATA (KERNEL_FAKE_TEXT + 64)

struct guest {
	struct ram_fake ram;
	struct kernel_fake kernel;
	struct boot_images images;
	struct boot_machine machine;
	struct err e;
};

static int setup(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	ram_fake_init(&g->ram, RAM);
	kernel_fake_init(&g->kernel);
	g->images.entry = 77;
	g->machine.vcpus = 1;
	g->machine.cmdline = "quiet";
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct guest *g = *state;

	ram_fake_free(&g->ram);
	free(g);
	return 0;
}

/* Load the kernel, and an initrd from `initrd_fd` unless negative; closes both. */
static int load(struct guest *g, int initrd_fd)
{
	int fd = kernel_fake_fd(&g->kernel, sizeof(g->kernel));
	int rc = boot_load_images(&g->ram.gmem, fd, initrd_fd, &g->images, &g->e);

	close(fd);
	if (initrd_fd >= 0)
		close(initrd_fd);
	return rc;
}

/* An initrd of `len` bytes that can be told apart. */
static int initrd(size_t len)
{
	int fd = memfd_create("initrd", MFD_CLOEXEC);
	uint8_t *bytes;

	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	bytes = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i % 251 + 1);
	munmap(bytes, len);
	return fd;
}

static void assert_initrd(const struct guest *g, size_t len)
{
	const uint8_t *bytes = g->ram.bytes + g->images.initrd.v;

	assert_int_equal(g->images.initrd_len, len);
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != i % 251 + 1)
			fail_msg("byte %zu of the initrd differs", i);
}

static void kernel_lies_at_its_addresses(void **state)
{
	struct guest *g = *state;
	static const uint8_t zero[KERNEL_FAKE_BSS - 32];

	assert_int_equal(load(g, -1), 0);
	assert_int_equal(g->images.entry, KERNEL_FAKE_ENTRY);
	assert_int_equal(g->images.initrd_len, 0);
	assert_memory_equal(g->ram.bytes + KERNEL_FAKE_TEXT, g->kernel.text, 64);
	assert_memory_equal(g->ram.bytes + DATA, g->kernel.data, 32);
	assert_memory_equal(g->ram.bytes + DATA + 32, zero, sizeof(zero));
	assert_int_equal(g->ram.written, 64 + 32); /* BSS is not */
}

static void initrd_lies_at_end_of_ram(void **state)
{
	struct guest *g = *state;

	assert_int_equal(load(g, initrd(5000)), 0);
	assert_int_equal(g->images.entry, KERNEL_FAKE_ENTRY);
	assert_int_equal(g->images.initrd.v, RAM - 2 * PAGE_BYTES);
	assert_initrd(g, 5000);
}

static void large_parts_go_in_pieces(void **state)
{
	struct guest *g = *state;
	const size_t len = 5 * MIB + 123;

	assert_int_equal(load(g, initrd(len)), 0);
	assert_initrd(g, len);
	assert_int_equal(g->ram.written, 64 + 32 + len);
	assert_in_range(g->ram.largest, 60 * KIB, MIB);
}

static void initrd_may_touch_the_kernel(void **state)
{
	struct guest *g = *state;
	const size_t len = RAM - KERNEL_FAKE_TEXT - 4 * PAGE_BYTES; /* BSS ends before */

	assert_int_equal(load(g, initrd(len)), 0);
	assert_initrd(g, len);
}

static void refuses_initrd_that_overlaps_kernel(void **state)
{
	struct guest *g = *state;
	const size_t len = RAM - KERNEL_FAKE_TEXT - 4 * PAGE_BYTES + 1;

	assert_int_equal(load(g, initrd(len)), -EINVAL);
	assert_string_equal(g->e.text,
			    "initrd: 16760833 bytes do not fit into 32 MiB of RAM beside"
			    " the kernel, whose segment 1 ends at 0x1003040");
	assert_int_equal(g->images.entry, 77);
}

static void refuses_initrd_larger_than_ram(void **state)
{
	struct guest *g = *state;

	assert_int_equal(load(g, initrd(RAM + 1)), -EINVAL);
	assert_string_equal(g->e.text, "initrd: 33554433 bytes do not fit into 32 MiB of RAM,"
				       " less the first");
	assert_int_equal(load(g, initrd(31 * MIB + 1)), -EINVAL);
	assert_string_equal(g->e.text, "initrd: 32505857 bytes do not fit into 32 MiB of RAM,"
				       " less the first");
}

/* All of RAM but the first MiB is not too large as such; the kernel is in its way. */
static void refuses_initrd_of_all_ram(void **state)
{
	struct guest *g = *state;

	assert_int_equal(load(g, initrd(31 * MIB)), -EINVAL);
	assert_string_equal(g->e.text,
			    "initrd: 32505856 bytes do not fit into 32 MiB of RAM beside"
			    " the kernel, whose segment 0 ends at 0x1000040");
}

static void refuses_empty_initrd(void **state)
{
	struct guest *g = *state;

	assert_int_equal(load(g, bytes_fd("", 0)), -EINVAL);
	assert_string_equal(g->e.text, "initrd: the file is empty");
}

static void refuses_initrd_that_is_no_file(void **state)
{
	struct guest *g = *state;

	assert_int_equal(load(g, open("/", O_RDONLY)), -EINVAL);
	assert_string_equal(g->e.text, "initrd: not a regular file");
}

static void initrd_stays_below_the_hole(void **state)
{
	struct guest *g = *state;

	g->ram.gmem.high = GIB;
	assert_int_equal(load(g, initrd(PAGE_BYTES)), 0);
	assert_int_equal(g->images.initrd.v, RAM - PAGE_BYTES);
}

static void refuses_bad_kernel_with_its_reason(void **state)
{
	struct guest *g = *state;

	g->kernel.header.e_machine = EM_386;
	assert_int_equal(load(g, -1), -EINVAL);
	assert_string_equal(g->e.text, "kernel: not for x86-64");
	assert_int_equal(g->images.entry, 77);
	assert_int_equal(g->ram.writes, 0);
}

static void reports_failed_copy(void **state)
{
	struct guest *g = *state;

	g->ram.fail_write = 2;
	assert_int_equal(load(g, -1), -EIO);
	assert_string_equal(g->e.text, "kernel: segment 1: copying 32 bytes to 0x1000040:"
				       " Input/output error");
	g->ram.writes = 0;
	g->ram.fail_write = 3;
	assert_int_equal(load(g, initrd(10)), -EIO);
	assert_string_equal(g->e.text, "initrd: copying 10 bytes to 0x1fff000:"
				       " Input/output error");
	assert_int_equal(g->images.entry, 77);
}

static void cut_file(void *fd)
{
	assert_int_equal(ftruncate(*(int *)fd, 0x130), 0);
}

static void reports_kernel_that_shrinks_meanwhile(void **state)
{
	struct guest *g = *state;
	int fd = kernel_fake_fd(&g->kernel, sizeof(g->kernel));

	g->ram.on_write = cut_file;
	g->ram.on_write_ctx = &fd;
	assert_int_equal(boot_load_images(&g->ram.gmem, fd, -1, &g->images, &g->e), -EIO);
	assert_string_equal(g->e.text, "kernel: segment 1: ends at 0x130 now: it shrank");
	close(fd);
}

/* ---- tables ----------------------------------------------------------------- */

static int load_tables(struct guest *g)
{
	gpa_t start_info = gpa(77);
	int rc;

	rc = boot_load_tables(&g->ram.gmem, &g->images, &g->machine, &start_info, &g->e);
	assert_int_equal(start_info.v, rc == 0 ? 0x6000 : 77);
	return rc;
}

static void tables_lie_where_start_info_says(void **state)
{
	struct guest *g = *state;
	struct pvh_start_info info;
	struct pvh_module module;
	const uint8_t *ram = g->ram.bytes;

	assert_int_equal(load(g, initrd(5000)), 0);
	assert_int_equal(load_tables(g), 0);
	memcpy(&info, ram + 0x6000, sizeof(info));
	assert_int_equal(info.magic, PVH_MAGIC);
	assert_string_equal((const char *)ram + info.cmdline_paddr, "quiet");
	assert_memory_equal(ram + info.rsdp_paddr, "RSD PTR ", 8);
	assert_int_equal(info.memmap_entries, 3);
	memcpy(&module, ram + info.modlist_paddr, sizeof(module));
	assert_int_equal(module.paddr, g->images.initrd.v);
	assert_int_equal(module.size, 5000);
}

static void tables_can_be_written_again(void **state)
{
	struct guest *g = *state;

	g->machine.cmdline = "a longer command line";
	assert_int_equal(load_tables(g), 0);
	g->machine.cmdline = "short";
	assert_int_equal(load_tables(g), 0);
	assert_string_equal((const char *)g->ram.bytes + LAYOUT_CMDLINE, "short");
}

static void refuses_long_command_line(void **state)
{
	struct guest *g = *state;
	char text[LAYOUT_CMDLINE_MAX + 1];

	memset(text, 'a', sizeof(text));
	text[LAYOUT_CMDLINE_MAX] = '\0';
	g->machine.cmdline = text;
	assert_int_equal(load_tables(g), -EINVAL);
	assert_string_equal(g->e.text, "command line: 4096 bytes, more than 4095");
	assert_int_equal(g->ram.writes, 0);
	text[LAYOUT_CMDLINE_MAX - 1] = '\0';
	assert_int_equal(load_tables(g), 0);
	assert_string_equal((const char *)g->ram.bytes + LAYOUT_CMDLINE, text);
}

static void refuses_impossible_machine(void **state)
{
	struct guest *g = *state;

	g->machine.vcpus = 33;
	assert_int_equal(load_tables(g), -EINVAL);
	assert_string_equal(g->e.text, "33 vCPUs, not 1 to 32");
	assert_int_equal(g->ram.writes, 0);
}

static void reports_failed_table(void **state)
{
	static const char *const reasons[] = {
		"to 0xe0000: Input/output error",
		"to 0x7000: Input/output error",
		"to 0x6000: Input/output error",
	};
	struct guest *g = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		g->ram.writes = 0;
		g->ram.fail_write = i + 1;
		assert_int_equal(load_tables(g), -EIO);
		assert_non_null(strstr(g->e.text, reasons[i]));
	}
}

static void refuses_ram_of_1_mib(void **state)
{
	struct guest *g = *state;

	g->ram.gmem.low = MIB;
	assert_int_equal(load(g, -1), -EINVAL);
	assert_string_equal(g->e.text, "1 MiB of RAM: at least 2 are needed");
	assert_int_equal(load_tables(g), -EINVAL);
	assert_string_equal(g->e.text, "1 MiB of RAM: at least 2 are needed");
	g->ram.gmem.low = 0;
	assert_int_equal(load(g, initrd(10)), -EINVAL);
	assert_string_equal(g->e.text, "0 MiB of RAM: at least 2 are needed");
}

static void loads_into_ram_of_2_mib(void **state)
{
	struct guest *g = *state;

	g->ram.gmem.low = 2 * MIB;
	g->kernel.program[KERNEL_TEXT].p_paddr = MIB;
	g->kernel.program[KERNEL_DATA].p_paddr = MIB + PAGE_BYTES;
	put_le64(g->kernel.entry.desc, MIB);
	assert_int_equal(load(g, initrd(10)), 0);
	assert_int_equal(g->images.initrd.v, 2 * MIB - PAGE_BYTES);
	assert_int_equal(load_tables(g), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(kernel_lies_at_its_addresses),
		TEST(initrd_lies_at_end_of_ram),
		TEST(large_parts_go_in_pieces),
		TEST(initrd_may_touch_the_kernel),
		TEST(refuses_initrd_that_overlaps_kernel),
		TEST(refuses_initrd_larger_than_ram),
		TEST(refuses_initrd_of_all_ram),
		TEST(refuses_empty_initrd),
		TEST(refuses_initrd_that_is_no_file),
		TEST(initrd_stays_below_the_hole),
		TEST(refuses_bad_kernel_with_its_reason),
		TEST(reports_failed_copy),
		TEST(reports_kernel_that_shrinks_meanwhile),
		TEST(tables_lie_where_start_info_says),
		TEST(tables_can_be_written_again),
		TEST(refuses_long_command_line),
		TEST(refuses_impossible_machine),
		TEST(reports_failed_table),
		TEST(refuses_ram_of_1_mib),
		TEST(loads_into_ram_of_2_mib),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
