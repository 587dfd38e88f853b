/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables. Section numbers are those of ACPI 6.3. The AML comes from iasl (see
 * boot/dsdt.asl and boot/virtio.asl); the other tables are made here.
 *
 * Nothing here comes from the guest or a file.
 */
#include "boot/acpi.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "boot/dsdt_aml.h"
#include "boot/virtio_aml.h"
#include "vmm/lib/config.h"
#include "vmm/lib/layout.h"

/* §5.2.6: the header of all tables but the RSDP. */
enum {
	HEADER_LENGTH = 4,
	HEADER_REVISION = 8,
	HEADER_CHECKSUM = 9,
	HEADER_OEM_ID = 10,
	HEADER_OEM_TABLE_ID = 16,
	HEADER_OEM_REVISION = 24,
	HEADER_CREATOR_ID = 28,
	HEADER_CREATOR_REVISION = 32,
	HEADER_BYTES = 36,
};

/* §5.2.5.3 */
enum {
	RSDP_CHECKSUM = 8,
	RSDP_OEM_ID = 9,
	RSDP_REVISION = 15,
	RSDP_LENGTH = 20,
	RSDP_XSDT = 24,
	RSDP_EXTENDED_CHECKSUM = 32,
	RSDP_BYTES_V1 = 20,
	RSDP_BYTES = 36,
};

/* §5.2.9 */
enum {
	FADT_DSDT = 40,
	FADT_IAPC_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
	FADT_BYTES = 276,
};

/*
 * §5.2.9, fixed feature flags; the buttons are no fixed hardware: one is a device of
 * boot/dsdt.asl, the other is not there.
 */
#define FADT_PWR_BUTTON (1U << 4)
#define FADT_SLP_BUTTON (1U << 5)
#define FADT_RESET_REG_SUP (1U << 10)
#define FADT_HW_REDUCED (1U << 20)

/* §5.2.9.3 */
#define BOOT_ARCH_NO_VGA (1U << 2)
#define BOOT_ARCH_NO_ASPM (1U << 4)
#define BOOT_ARCH_NO_CMOS_RTC (1U << 5)

/* §5.2.12; no PCAT_COMPAT among the flags: there is no 8259. */
enum {
	MADT_LAPIC_ADDRESS = 36,
	MADT_ENTRIES = 44,
	MADT_LAPIC = 0,
	MADT_LAPIC_BYTES = 8,
	MADT_IOAPIC = 1,
	MADT_IOAPIC_BYTES = 12,
};

/* Odd, where the LAPICs have even ids. */
#define IOAPIC_ID 1

#define XSDT_TABLES 2
#define TABLE_ALIGN 16

/* Stand in boot/virtio.asl for what differs from device to device. */
#define HOLE_NAME "VR00"
#define HOLE_UID "\x01\x00\x00\xa5"
#define HOLE_WINDOW "\x02\x00\x00\xa5"
#define HOLE_GSI "\x03\x00\x00\xa5"

#define DEVICE_BYTES (sizeof(virtio_aml) - HEADER_BYTES)

_Static_assert(RSDP_BYTES + HEADER_BYTES + XSDT_TABLES * 8 + FADT_BYTES + MADT_ENTRIES +
			       CONFIG_VCPUS_MAX * MADT_LAPIC_BYTES + MADT_IOAPIC_BYTES +
			       sizeof(dsdt_aml) + BOOT_VIRTIO_MAX * DEVICE_BYTES +
			       5UL * TABLE_ALIGN <=
		       ACPI_BYTES_MAX,
	       "ACPI tables do not fit");
_Static_assert(ACPI_BYTES_MAX <= LAYOUT_ACPI_END - LAYOUT_ACPI, "ACPI area is too small");

/* `len` zero bytes at the end, aligned. */
static uint8_t *reserve(struct acpi_tables *t, size_t len)
{
	const size_t at = align_up(t->len, TABLE_ALIGN);

	assert(at + len <= sizeof(t->bytes));
	t->len = at + len;
	return t->bytes + at;
}

/* Where the guest sees what `table` points to. */
static uint64_t address(const struct acpi_tables *t, const uint8_t *table)
{
	return LAYOUT_ACPI + (uint64_t)(table - t->bytes);
}

/* What makes the sum of all bytes 0 when the checksum itself is 0 still. */
static uint8_t checksum(const uint8_t *bytes, size_t len)
{
	unsigned sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += bytes[i];
	return (uint8_t)-sum;
}

/* Length and checksum of a complete table. */
static void seal(uint8_t *table, size_t len)
{
	put_le32(table + HEADER_LENGTH, (uint32_t)len);
	table[HEADER_CHECKSUM] = 0;
	table[HEADER_CHECKSUM] = checksum(table, len);
}

static void put_header(uint8_t *table, const char *signature, uint8_t revision)
{
	memcpy(table, signature, 4);
	table[HEADER_REVISION] = revision;
	memcpy(table + HEADER_OEM_ID, "XENOLT", 6);
	memcpy(table + HEADER_OEM_TABLE_ID, "XENOLITH", 8);
	put_le32(table + HEADER_OEM_REVISION, 1);
	memcpy(table + HEADER_CREATOR_ID, "XNLT", 4);
	put_le32(table + HEADER_CREATOR_REVISION, 1);
}

/* §5.2.3.2: a generic address structure for an 8-bit port. */
static void put_port(uint8_t *at, uint16_t port)
{
	at[0] = 1; /* system I/O space */
	at[1] = 8; /* bits wide */
	at[2] = 0; /* from bit 0 */
	at[3] = 1; /* byte access */
	put_le64(at + 4, port);
}

/* The four bytes of `hole` in a device's AML; there is exactly one such place. */
static uint8_t *find_hole(uint8_t *aml, const char *hole)
{
	uint8_t *found = NULL;

	for (size_t i = 0; i + 4 <= DEVICE_BYTES; i++) {
		if (memcmp(aml + i, hole, 4) != 0)
			continue;
		assert(found == NULL);
		found = aml + i;
	}
	assert(found != NULL);
	return found;
}

static void put_device(uint8_t *aml, unsigned i, const struct boot_virtio *v)
{
	static const char hex[] = "0123456789ABCDEF";
	uint8_t *name;

	memcpy(aml, virtio_aml + HEADER_BYTES, DEVICE_BYTES);
	name = find_hole(aml, HOLE_NAME);
	name[2] = (uint8_t)hex[i / 16 % 16];
	name[3] = (uint8_t)hex[i % 16];
	put_le32(find_hole(aml, HOLE_UID), i);
	put_le32(find_hole(aml, HOLE_WINDOW), (uint32_t)v->window.v);
	put_le32(find_hole(aml, HOLE_GSI), v->gsi);
}

static uint64_t add_dsdt(struct acpi_tables *t, const struct boot_machine *machine)
{
	const size_t len = sizeof(dsdt_aml) + machine->n_virtio * DEVICE_BYTES;
	uint8_t *dsdt = reserve(t, len);

	memcpy(dsdt, dsdt_aml, sizeof(dsdt_aml));
	for (unsigned i = 0; i < machine->n_virtio; i++)
		put_device(dsdt + sizeof(dsdt_aml) + i * DEVICE_BYTES, i, &machine->virtio[i]);
	seal(dsdt, len);
	return address(t, dsdt);
}

static uint64_t add_fadt(struct acpi_tables *t, uint64_t dsdt)
{
	uint8_t *fadt = reserve(t, FADT_BYTES);

	put_header(fadt, "FACP", 6);
	put_le32(fadt + FADT_DSDT, (uint32_t)dsdt);
	put_le16(fadt + FADT_IAPC_BOOT_ARCH,
		 BOOT_ARCH_NO_VGA | BOOT_ARCH_NO_ASPM | BOOT_ARCH_NO_CMOS_RTC);
	put_le32(fadt + FADT_FLAGS,
		 FADT_HW_REDUCED | FADT_RESET_REG_SUP | FADT_PWR_BUTTON | FADT_SLP_BUTTON);
	put_port(fadt + FADT_RESET_REG, LAYOUT_RESET);
	fadt[FADT_RESET_VALUE] = LAYOUT_RESET_VALUE;
	put_le64(fadt + FADT_X_DSDT, dsdt);
	put_port(fadt + FADT_SLEEP_CONTROL, LAYOUT_SLEEP_CONTROL);
	put_port(fadt + FADT_SLEEP_STATUS, LAYOUT_SLEEP_STATUS);
	seal(fadt, FADT_BYTES);
	return address(t, fadt);
}

static uint64_t add_madt(struct acpi_tables *t, unsigned vcpus)
{
	const size_t len = MADT_ENTRIES + vcpus * MADT_LAPIC_BYTES + MADT_IOAPIC_BYTES;
	uint8_t *madt = reserve(t, len);
	uint8_t *entry = madt + MADT_ENTRIES;

	put_header(madt, "APIC", 5);
	put_le32(madt + MADT_LAPIC_ADDRESS, LAYOUT_LAPIC);
	for (unsigned i = 0; i < vcpus; i++, entry += MADT_LAPIC_BYTES) {
		entry[0] = MADT_LAPIC;
		entry[1] = MADT_LAPIC_BYTES;
		entry[2] = (uint8_t)i;
		entry[3] = (uint8_t)(2 * i); /* as Xen numbers them */
		put_le32(entry + 4, 1); /* enabled */
	}
	entry[0] = MADT_IOAPIC;
	entry[1] = MADT_IOAPIC_BYTES;
	entry[2] = IOAPIC_ID;
	put_le32(entry + 4, LAYOUT_IOAPIC);
	put_le32(entry + 8, 0); /* its first GSI */
	seal(madt, len);
	return address(t, madt);
}

static void put_rsdp(uint8_t *rsdp, uint64_t xsdt)
{
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + RSDP_OEM_ID, "XENOLT", 6);
	rsdp[RSDP_REVISION] = 2;
	put_le32(rsdp + RSDP_LENGTH, RSDP_BYTES);
	put_le64(rsdp + RSDP_XSDT, xsdt);
	rsdp[RSDP_CHECKSUM] = checksum(rsdp, RSDP_BYTES_V1);
	rsdp[RSDP_EXTENDED_CHECKSUM] = checksum(rsdp, RSDP_BYTES);
}

static int check_machine(const struct boot_machine *machine, struct err *e)
{
	const struct boot_virtio *v;

	if (machine->vcpus < 1 || machine->vcpus > CONFIG_VCPUS_MAX)
		return err_set(e, -EINVAL, "%u vCPUs, not 1 to %u", machine->vcpus,
			       CONFIG_VCPUS_MAX);
	if (machine->n_virtio > BOOT_VIRTIO_MAX)
		return err_set(e, -EINVAL, "%u virtio devices, more than %u", machine->n_virtio,
			       BOOT_VIRTIO_MAX);
	for (unsigned i = 0; i < machine->n_virtio; i++) {
		v = &machine->virtio[i];
		if (v->window.v % PAGE_BYTES != 0 || v->window.v > UINT32_MAX)
			return err_set(e, -EINVAL,
				       "virtio device %u: no window can be at %#" PRIx64, i,
				       v->window.v);
		if (v->gsi < 1 || v->gsi >= ACPI_GSI_MAX)
			return err_set(e, -EINVAL, "virtio device %u: GSI %u, not 1 to %u", i,
				       v->gsi, ACPI_GSI_MAX - 1);
	}
	return 0;
}

int acpi_build(struct acpi_tables *out, const struct boot_machine *machine, struct err *e)
{
	uint8_t *rsdp, *xsdt;
	int rc;

	rc = check_machine(machine, e);
	if (rc != 0)
		return rc;
	memset(out, 0, sizeof(*out));
	rsdp = reserve(out, RSDP_BYTES);
	xsdt = reserve(out, HEADER_BYTES + XSDT_TABLES * 8);
	put_header(xsdt, "XSDT", 1);
	put_le64(xsdt + HEADER_BYTES, add_fadt(out, add_dsdt(out, machine)));
	put_le64(xsdt + HEADER_BYTES + 8, add_madt(out, machine->vcpus));
	seal(xsdt, HEADER_BYTES + XSDT_TABLES * 8);
	put_rsdp(rsdp, address(out, xsdt));
	return 0;
}
