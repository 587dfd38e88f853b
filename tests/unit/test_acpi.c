/* SPDX-License-Identifier: Apache-2.0 */
/* boot/acpi: the tables as a guest reads them, from the RSDP on. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "boot/acpi.h"
#include "vmm/lib/layout.h"

static uint64_t get_le(const uint8_t *bytes, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | bytes[n];
	return v;
}

static uint8_t sum(const uint8_t *bytes, size_t len)
{
	uint8_t s = 0;

	while (len-- > 0)
		s = (uint8_t)(s + bytes[len]);
	return s;
}

/* A machine with `n` devices, one page and one GSI after the other. */
static struct boot_machine machine(unsigned vcpus, unsigned n)
{
	struct boot_machine m = { .vcpus = vcpus, .n_virtio = n };

	for (unsigned i = 0; i < n && i < BOOT_VIRTIO_MAX; i++) {
		m.virtio[i].window = gpa(LAYOUT_VIRTIO + i * PAGE_BYTES);
		m.virtio[i].gsi = LAYOUT_VIRTIO_GSI + i;
	}
	return m;
}

static void build(struct acpi_tables *t, unsigned vcpus, unsigned n)
{
	const struct boot_machine m = machine(vcpus, n);
	struct err e;

	memset(t, 0xff, sizeof(*t));
	assert_int_equal(acpi_build(t, &m, &e), 0);
	assert_in_range(t->len, 1, LAYOUT_ACPI_END - LAYOUT_ACPI);
}

/* The table at a guest address: inside the area, of this kind, whole and summed up. */
static const uint8_t *table(const struct acpi_tables *t, uint64_t address, const char *name)
{
	const uint8_t *at;
	uint64_t len;

	assert_in_range(address, LAYOUT_ACPI, LAYOUT_ACPI + t->len - 36);
	assert_int_equal(address % 8, 0);
	at = t->bytes + (address - LAYOUT_ACPI);
	assert_memory_equal(at, name, 4);
	len = get_le(at + 4, 4);
	assert_in_range(len, 36, t->len - (address - LAYOUT_ACPI));
	assert_int_equal(sum(at, len), 0);
	assert_memory_equal(at + 10, "XENOLTXENOLITH", 14);
	return at;
}

static const uint8_t *xsdt_of(const struct acpi_tables *t)
{
	const uint8_t *xsdt = table(t, get_le(t->bytes + 24, 8), "XSDT");

	assert_int_equal(get_le(xsdt + 4, 4), 36 + 2 * 8);
	assert_int_equal(xsdt[8], 1);
	return xsdt;
}

static const uint8_t *fadt_of(const struct acpi_tables *t)
{
	return table(t, get_le(xsdt_of(t) + 36, 8), "FACP");
}

static const uint8_t *madt_of(const struct acpi_tables *t)
{
	return table(t, get_le(xsdt_of(t) + 44, 8), "APIC");
}

static const uint8_t *dsdt_of(const struct acpi_tables *t)
{
	return table(t, get_le(fadt_of(t) + 140, 8), "DSDT");
}

static void rsdp_is_revision_2(void **state)
{
	struct acpi_tables t;

	build(&t, 1, 0);
	assert_memory_equal(t.bytes, "RSD PTR ", 8);
	assert_memory_equal(t.bytes + 9, "XENOLT", 6);
	assert_int_equal(t.bytes[15], 2);
	assert_int_equal(get_le(t.bytes + 16, 4), 0); /* no RSDT */
	assert_int_equal(get_le(t.bytes + 20, 4), 36);
	assert_int_equal(sum(t.bytes, 20), 0);
	assert_int_equal(sum(t.bytes, 36), 0);
	assert_int_equal(get_le(t.bytes + 33, 3), 0);
}

static void assert_port(const uint8_t *gas, unsigned port)
{
	static const uint8_t head[] = { 1, 8, 0, 1 }; /* a byte in I/O space */

	assert_memory_equal(gas, head, 4);
	assert_int_equal(get_le(gas + 4, 8), port);
}

static void fadt_is_hardware_reduced(void **state)
{
	const uint8_t *fadt;
	struct acpi_tables t;

	build(&t, 1, 0);
	fadt = fadt_of(&t);
	assert_int_equal(get_le(fadt + 4, 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(get_le(fadt + 40, 4), get_le(fadt + 140, 8));
	assert_int_equal(get_le(fadt + 109, 2), 0x34);
	assert_int_equal(get_le(fadt + 112, 4), 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4);
	assert_port(fadt + 116, 0x606);
	assert_int_equal(fadt[128], 1);
	assert_port(fadt + 244, 0x604);
	assert_port(fadt + 256, 0x605);
}

static void check_madt(unsigned vcpus)
{
	const uint8_t *madt, *entry;
	struct acpi_tables t;

	build(&t, vcpus, 0);
	madt = madt_of(&t);
	assert_int_equal(get_le(madt + 4, 4), 44 + vcpus * 8 + 12);
	assert_int_equal(get_le(madt + 36, 4), 0xfee00000);
	assert_int_equal(get_le(madt + 40, 4), 0); /* no 8259 */
	entry = madt + 44;
	for (unsigned i = 0; i < vcpus; i++, entry += 8) {
		assert_int_equal(get_le(entry, 2), 0x0800);
		assert_int_equal(entry[2], i);
		assert_int_equal(entry[3], 2 * i);
		assert_int_equal(get_le(entry + 4, 4), 1);
	}
	assert_int_equal(get_le(entry, 2), 0x0c01);
	assert_int_equal(entry[2] % 2, 1); /* no LAPIC's id */
	assert_int_equal(get_le(entry + 4, 4), 0xfec00000);
	assert_int_equal(get_le(entry + 8, 4), 0);
}

static void madt_lists_one_vcpu(void **state)
{
	check_madt(1);
}

static void madt_lists_32_vcpus(void **state)
{
	check_madt(32);
}

/* Where `what` stands in a table, exactly `times` times; the first of them. */
static const uint8_t *find(const uint8_t *in, const void *what, size_t len, unsigned times)
{
	const size_t size = get_le(in + 4, 4);
	const uint8_t *first = NULL;
	unsigned found = 0;

	for (size_t i = 36; i + len <= size; i++) {
		if (memcmp(in + i, what, len) != 0)
			continue;
		if (found++ == 0)
			first = in + i;
	}
	assert_int_equal(found, times);
	return first;
}

/* Memory32Fixed and Interrupt, ACPI 6.3 §6.4.3.4 and §6.4.3.6. */
static const uint8_t mem32[] = { 0x86, 9, 0, 1 }, irq[] = { 0x89, 6, 0, 3, 1 };

static void dsdt_agrees_with_layout(void **state)
{
	static const uint8_t s5[] = { 0x08, '_', 'S', '5', '_', 0x12 };
	static const uint8_t io[] = { 0x47, 1 };
	const uint8_t *dsdt, *at;
	struct acpi_tables t;

	build(&t, 1, 0);
	dsdt = dsdt_of(&t);
	assert_int_equal(dsdt[8], 2);
	at = find(dsdt, s5, sizeof(s5), 1);
	assert_int_equal(at[7], 2); /* two elements */
	assert_int_equal(at[8], 0x0a); /* a byte */
	assert_int_equal(at[9], LAYOUT_S5_TYPE);
	find(dsdt, "COM1", 4, 1);
	at = find(dsdt, io, sizeof(io), 1);
	assert_int_equal(get_le(at + 2, 2), LAYOUT_SERIAL);
	assert_int_equal(get_le(at + 4, 2), LAYOUT_SERIAL);
	assert_int_equal(at[7], 8);
	/* What belongs to the serial port is the first interrupt after it. */
	at = find(dsdt, irq, sizeof(irq), 2);
	assert_int_equal(get_le(at + 5, 4), LAYOUT_SERIAL_GSI);
}

/* The one place where `what` stands, after `from`. */
static const uint8_t *find_after(const uint8_t *in, const uint8_t *from, const char *what,
				 size_t len)
{
	const uint8_t *at = find(in, what, len, 1);

	assert_true(at > from);
	return at;
}

static void power_button_is_notified_by_an_edge(void **state)
{
	/* EisaId ("PNP0C0C"), and the edge-triggered interrupt as the layout has it. */
	static const char hid[] = { 'P', 'W', 'R',  'B',  0x08,	      '_',  'H',
				    'I', 'D', 0x0c, 0x41, (char)0xd0, 0x0c, 0x0c };
	static const char edge[] = { (char)0x89, 6, 0, 3, 1, LAYOUT_BUTTON_GSI, 0, 0, 0 };
	/* Method, one argument: If (Arg0 == GSI) { Notify (PWRB, 0x80) } */
	static const char evt[] = { 0x14,
				    0x13,
				    '_',
				    'E',
				    'V',
				    'T',
				    1,
				    (char)0xa0,
				    0x0c,
				    (char)0x93,
				    0x68,
				    0x0a,
				    LAYOUT_BUTTON_GSI,
				    (char)0x86,
				    'P',
				    'W',
				    'R',
				    'B',
				    0x0a,
				    (char)0x80 };
	const uint8_t *dsdt, *at;
	struct acpi_tables t;

	build(&t, 1, 0);
	dsdt = dsdt_of(&t);
	find(dsdt, hid, sizeof(hid), 1);
	at = find(dsdt,
		  "\x08_HID\x0d\x41"
		  "CPI0013",
		  15, 1);
	at = find_after(dsdt, at, edge, sizeof(edge));
	find_after(dsdt, at, evt, sizeof(evt));
}

static void power_button_has_an_interrupt_of_its_own(void **state)
{
	assert_int_not_equal(LAYOUT_BUTTON_GSI, LAYOUT_SERIAL_GSI);
	assert_in_range(LAYOUT_BUTTON_GSI, 1, LAYOUT_VIRTIO_GSI - 1);
}

static void no_device_costs_nothing(void **state)
{
	struct acpi_tables t;

	build(&t, 1, 0);
	find(dsdt_of(&t), "LNRO0005", 8, 0);
	find(dsdt_of(&t), "VR0", 3, 0);
	find(dsdt_of(&t), mem32, sizeof(mem32), 0);
}

static void check_device(const uint8_t *aml, size_t len, unsigned i)
{
	char name[] = "VR00";
	uint8_t copy[256] = { 0 };
	const uint8_t *at;

	/* A table of this device alone, for `find`. */
	assert_in_range(len, 1, sizeof(copy) - 36);
	put_le32(copy + 4, (uint32_t)(36 + len));
	memcpy(copy + 36, aml, len);
	name[2] = "0123456789ABCDEF"[i / 16];
	name[3] = "0123456789ABCDEF"[i % 16];
	find(copy, name, 4, 1);
	find(copy, "LNRO0005", 8, 1);
	at = find(copy, "_UID\x0c", 5, 1);
	assert_int_equal(get_le(at + 5, 4), i);
	at = find(copy, mem32, sizeof(mem32), 1);
	assert_int_equal(get_le(at + 4, 4), LAYOUT_VIRTIO + i * PAGE_BYTES);
	assert_int_equal(get_le(at + 8, 4), 0x1000);
	at = find(copy, irq, sizeof(irq), 1);
	assert_int_equal(get_le(at + 5, 4), LAYOUT_VIRTIO_GSI + i);
	/* DeviceOp, and a PkgLength of two bytes that ends it where the next one starts. */
	assert_int_equal(get_le(aml, 2), 0x825b);
	assert_int_equal(aml[2] >> 6, 1);
	assert_int_equal((unsigned)(aml[2] & 0xf) + ((unsigned)aml[3] << 4), len - 2);
}

static void dsdt_lists_32_devices(void **state)
{
	struct acpi_tables none, all;
	const uint8_t *dsdt;
	size_t start, len;

	build(&none, 32, 0);
	build(&all, 32, 32);
	dsdt = dsdt_of(&all);
	start = get_le(dsdt_of(&none) + 4, 4);
	len = get_le(dsdt + 4, 4) - start;
	assert_int_equal(len % 32, 0);
	len /= 32;
	for (unsigned i = 0; i < 32; i++)
		check_device(dsdt + start + i * len, len, i);
	madt_of(&all);
}

static void refuses_what_does_not_exist(void **state)
{
	struct boot_machine m[] = {
		machine(0, 0), machine(33, 0), machine(1, 33), machine(1, 2),
		machine(1, 2), machine(1, 2),  machine(1, 2),
	};
	static const char *const reasons[] = {
		"0 vCPUs, not 1 to 32",
		"33 vCPUs, not 1 to 32",
		"33 virtio devices, more than 32",
		"virtio device 1: no window can be at 0xd0001800",
		"virtio device 1: no window can be at 0x100000000",
		"virtio device 0: GSI 0, not 1 to 47",
		"virtio device 0: GSI 48, not 1 to 47",
	};
	struct acpi_tables t = { .len = 77 };
	struct err e;

	m[3].virtio[1].window = gpa(0xd0001800);
	m[4].virtio[1].window = gpa(4 * GIB);
	m[5].virtio[0].gsi = 0;
	m[6].virtio[0].gsi = 48;
	for (size_t i = 0; i < ARRAY_SIZE(m); i++) {
		assert_int_equal(acpi_build(&t, &m[i], &e), -EINVAL);
		assert_string_equal(e.text, reasons[i]);
		assert_int_equal(t.len, 77);
	}
}

static void accepts_the_outermost_gsis_and_windows(void **state)
{
	struct boot_machine m = machine(1, 2);
	struct acpi_tables t;
	const uint8_t *at;
	struct err e;

	m.virtio[0].gsi = 47;
	m.virtio[1].gsi = 1;
	m.virtio[1].window = gpa(4 * GIB - PAGE_BYTES);
	assert_int_equal(acpi_build(&t, &m, &e), 0);
	at = find(dsdt_of(&t), "\x89\x06\x00\x03\x01\x2f", 6, 1);
	assert_non_null(at);
	find(dsdt_of(&t), "\x86\x09\x00\x01\x00\xf0\xff\xff", 8, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(rsdp_is_revision_2),
		cmocka_unit_test(fadt_is_hardware_reduced),
		cmocka_unit_test(madt_lists_one_vcpu),
		cmocka_unit_test(madt_lists_32_vcpus),
		cmocka_unit_test(dsdt_agrees_with_layout),
		cmocka_unit_test(power_button_is_notified_by_an_edge),
		cmocka_unit_test(power_button_has_an_interrupt_of_its_own),
		cmocka_unit_test(no_device_costs_nothing),
		cmocka_unit_test(dsdt_lists_32_devices),
		cmocka_unit_test(refuses_what_does_not_exist),
		cmocka_unit_test(accepts_the_outermost_gsis_and_windows),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
