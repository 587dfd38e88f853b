/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's fixed registers, reached through the bus as a guest does. */
#include "devices/platform.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct events {
	unsigned poweroff, reset, booted;
};

static void on_poweroff(void *ctx)
{
	((struct events *)ctx)->poweroff++;
}

static void on_reset(void *ctx)
{
	((struct events *)ctx)->reset++;
}

static void on_booted(void *ctx)
{
	((struct events *)ctx)->booted++;
}

struct machine {
	struct bus bus;
	struct platform platform;
	struct events events;
};

static void start(struct machine *m)
{
	const struct platform_events events = { on_poweroff, on_reset, on_booted, &m->events };

	*m = (struct machine){ 0 };
	assert_int_equal(platform_attach(&m->platform, &m->bus, &events), 0);
}

static void writes_cause_the_event_they_should(void **state)
{
	static const struct {
		enum bus_space space;
		uint64_t addr;
		unsigned size;
		uint64_t value;
		struct events want;
	} cases[] = {
		/* Sleep control: SLP_EN with the type of S5, and nothing else. */
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 1, 0x34, { .poweroff = 1 } },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 1, 0xf7, { .poweroff = 1 } },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 1, 0x14, { 0 } },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 1, 0x20, { 0 } },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 1, 0x24, { 0 } },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 1, 0x3c, { 0 } },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 2, 0x8034, { .poweroff = 1 } },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 4, 0x34, { 0 } }, /* too wide */
		{ BUS_PIO, LAYOUT_SLEEP_STATUS, 1, 0x34, { 0 } },
		{ BUS_PIO, LAYOUT_SLEEP_STATUS, 1, 0x80, { 0 } },
		{ BUS_PIO, LAYOUT_RESET, 1, LAYOUT_RESET_VALUE, { .reset = 1 } },
		{ BUS_PIO, LAYOUT_RESET, 1, 0, { 0 } },
		{ BUS_PIO, LAYOUT_RESET, 1, 6, { 0 } },
		{ BUS_PIO, LAYOUT_SLEEP_STATUS, 2, LAYOUT_RESET_VALUE << 8, { .reset = 1 } },
		{ BUS_MMIO, LAYOUT_BOOT_TIMER, 1, 123, { .booted = 1 } },
		{ BUS_MMIO, LAYOUT_BOOT_TIMER, 4, 123, { .booted = 1 } },
		{ BUS_MMIO, LAYOUT_BOOT_TIMER, 1, 122, { 0 } },
		{ BUS_MMIO, LAYOUT_BOOT_TIMER + 1, 1, 123, { 0 } },
		{ BUS_MMIO, LAYOUT_BOOT_TIMER + 4096, 1, 123, { 0 } },
		{ BUS_PIO, 0x42, 1, 0xff, { 0 } },
		{ BUS_PIO, 0x43, 1, 0xb0, { 0 } },
		{ BUS_PIO, 0x61, 1, 1, { 0 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine m;

		start(&m);
		bus_write(&m.bus, cases[i].space, cases[i].addr, cases[i].size, cases[i].value);
		assert_int_equal(m.events.poweroff, cases[i].want.poweroff);
		assert_int_equal(m.events.reset, cases[i].want.reset);
		assert_int_equal(m.events.booted, cases[i].want.booted);
	}
}

static void registers_read_as_they_should(void **state)
{
	static const struct {
		enum bus_space space;
		uint64_t addr;
		unsigned size;
		uint64_t value;
	} cases[] = {
		{ BUS_PIO, 0x42, 1, 0 }, /* a counter that is at its end */
		{ BUS_PIO, 0x43, 1, 0 },
		{ BUS_PIO, 0x61, 1, 0 },
		{ BUS_PIO, 0x41, 1, 0xff }, /* not claimed */
		{ BUS_PIO, 0x60, 1, 0xff },
		{ BUS_PIO, LAYOUT_SLEEP_CONTROL, 1, 0 },
		{ BUS_PIO, LAYOUT_SLEEP_STATUS, 1, 0 },
		{ BUS_PIO, LAYOUT_RESET, 1, 0 },
		{ BUS_PIO, LAYOUT_RESET + 1, 1, 0xff },
		{ BUS_MMIO, LAYOUT_BOOT_TIMER, 1, 0 },
	};
	struct machine m;

	start(&m);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(bus_read(&m.bus, cases[i].space, cases[i].addr, cases[i].size),
				 cases[i].value);
}

static void sleep_control_keeps_the_type_but_not_the_command(void **state)
{
	struct machine m;

	start(&m);
	bus_write(&m.bus, BUS_PIO, LAYOUT_SLEEP_CONTROL, 1, 0xff);
	assert_int_equal(bus_read(&m.bus, BUS_PIO, LAYOUT_SLEEP_CONTROL, 1), 0x1c);
	assert_int_equal(bus_read(&m.bus, BUS_PIO, LAYOUT_SLEEP_CONTROL, 2), 0x1c);
}

/* Every port that the bus claims costs the guest a round trip: they are few. */
static void no_more_ports_are_claimed_than_needed(void **state)
{
	struct machine m;
	uint64_t ports = 0;

	start(&m);
	for (unsigned i = 0; i < m.bus.n; i++)
		if (m.bus.ranges[i].space == BUS_PIO)
			ports += m.bus.ranges[i].last - m.bus.ranges[i].first + 1;
	assert_int_equal(ports, 6);
	assert_int_equal(m.bus.n, 4);
}

static void without_its_event_there_is_no_boot_timer(void **state)
{
	const struct platform_events events = { on_poweroff, on_reset, NULL, NULL };
	struct platform platform;
	struct bus bus = { 0 };

	assert_int_equal(platform_attach(&platform, &bus, &events), 0);
	assert_int_equal(bus.n, 3);
	bus_write(&bus, BUS_MMIO, LAYOUT_BOOT_TIMER, 1, 123);
	assert_int_equal(bus_read(&bus, BUS_MMIO, LAYOUT_BOOT_TIMER, 1), 0xff);
}

static void a_bus_that_is_taken_is_reported(void **state)
{
	const struct platform_events events = { on_poweroff, on_reset, on_booted, NULL };
	struct machine m;
	struct platform other;

	start(&m);
	assert_int_equal(platform_attach(&other, &m.bus, &events), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_cause_the_event_they_should),
		cmocka_unit_test(registers_read_as_they_should),
		cmocka_unit_test(sleep_control_keeps_the_type_but_not_the_command),
		cmocka_unit_test(no_more_ports_are_claimed_than_needed),
		cmocka_unit_test(without_its_event_there_is_no_boot_timer),
		cmocka_unit_test(a_bus_that_is_taken_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
