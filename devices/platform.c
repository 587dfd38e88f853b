/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's fixed registers. All are bytes; a wider access is its bytes one after
 * the other, lowest address first, as on an ISA bus.
 *
 * Input from the guest: register writes.
 */
#include "devices/platform.h"

/* The PIT's channel 2 and mode ports, and the gate that Linux calibrates with. */
#define PIT_CHANNEL_2 0x42
#define PIT_MODE 0x43
#define PIT_GATE 0x61

/* ACPI 6.5 §4.8.3.7, table 4.24: Sleep Control Register. */
#define SLP_TYP_SHIFT 2
#define SLP_TYP_MASK 0x1c
#define SLP_EN 0x20

#define BOOT_TIMER_BYTES 8
#define BOOT_TIMER_DONE 123

static uint64_t read_zero(void *dev, uint64_t off, unsigned size)
{
	(void)dev;
	(void)off;
	(void)size;
	return 0;
}

static void write_nothing(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	(void)dev;
	(void)off;
	(void)size;
	(void)value;
}

static void write_sleep_control(struct platform *p, uint8_t value)
{
	p->sleep_control = value & SLP_TYP_MASK; /* SLP_EN reads as 0 */
	if (value & SLP_EN && p->sleep_control >> SLP_TYP_SHIFT == LAYOUT_S5_TYPE)
		p->events.poweroff(p->events.ctx);
}

/*
 * The sleep status register has one bit, WAK_STS, that is set after a wake-up. This
 * machine never wakes up: it reads 0, and clearing it by writing 1 changes nothing.
 */
static void acpi_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct platform *p = dev;

	for (uint64_t port = LAYOUT_SLEEP_CONTROL + off; size--; port++, value >>= 8) {
		if (port == LAYOUT_SLEEP_CONTROL)
			write_sleep_control(p, (uint8_t)value);
		else if (port == LAYOUT_RESET && (uint8_t)value == LAYOUT_RESET_VALUE)
			p->events.reset(p->events.ctx);
	}
}

static uint64_t acpi_read(void *dev, uint64_t off, unsigned size)
{
	const struct platform *p = dev;

	(void)size; /* the registers above the first one read 0 */
	return off == 0 ? p->sleep_control : 0;
}

static void boot_timer_write(void *dev, uint64_t off, unsigned size, uint64_t value)
{
	struct platform *p = dev;

	(void)size;
	if (off == 0 && (uint8_t)value == BOOT_TIMER_DONE && p->events.booted)
		p->events.booted(p->events.ctx);
}

int platform_attach(struct platform *p, struct bus *bus, const struct platform_events *events)
{
	const struct bus_range ranges[] = {
		{ BUS_PIO, PIT_CHANNEL_2, PIT_MODE, "pit", p, read_zero, write_nothing },
		{ BUS_PIO, PIT_GATE, PIT_GATE, "pit_gate", p, read_zero, write_nothing },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, LAYOUT_RESET, "acpi", p, acpi_read,
		  acpi_write },
		{ BUS_MMIO, LAYOUT_BOOT_TIMER, LAYOUT_BOOT_TIMER + BOOT_TIMER_BYTES - 1,
		  "boot_timer", p, read_zero, boot_timer_write },
	};
	/* The boot timer is the last. */
	size_t n = ARRAY_SIZE(ranges) - (events->booted ? 0 : 1);

	*p = (struct platform){ .events = *events };
	for (size_t i = 0; i < n; i++) {
		int rc = bus_add(bus, &ranges[i]);

		if (rc)
			return rc;
	}
	return 0;
}
