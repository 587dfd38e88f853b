/* SPDX-License-Identifier: Apache-2.0 */
/* The 16550A's registers, used as drivers use them. */
#include "devices/uart.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <linux/serial_reg.h>

#define FIFO_ON UART_FCR_ENABLE_FIFO

/* A port as a driver leaves it when it has opened it: FIFOs, interrupts let through. */
static struct uart opened(uint8_t ier)
{
	struct uart u;

	uart_reset(&u);
	(void)uart_write(&u, UART_LCR, UART_LCR_WLEN8);
	(void)uart_write(&u, UART_FCR, FIFO_ON);
	(void)uart_write(&u, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	(void)uart_read(&u, UART_MSR);
	(void)uart_write(&u, UART_IER, ier);
	return u;
}

static void receive(struct uart *u, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		uart_receive(u, (uint8_t)i);
}

static void reset_values(void **state)
{
	static const struct {
		unsigned reg;
		uint8_t value;
	} cases[] = {
		{ UART_RX, 0 },
		{ UART_IER, 0 },
		{ UART_IIR, UART_IIR_NO_INT },
		{ UART_LCR, 0 },
		{ UART_MCR, 0 },
		{ UART_LSR, UART_LSR_THRE | UART_LSR_TEMT },
		{ UART_MSR, UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS },
		{ UART_SCR, 0 },
	};
	struct uart u;

	uart_reset(&u);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(uart_read(&u, cases[i].reg), cases[i].value);
	/* Linux divides by the divisor that it finds. */
	(void)uart_write(&u, UART_LCR, UART_LCR_DLAB);
	assert_int_equal(uart_read(&u, UART_DLL), 1);
	assert_int_equal(uart_read(&u, UART_DLM), 0);
}

static void registers_keep_the_bits_they_have(void **state)
{
	static const struct {
		uint8_t lcr;
		unsigned reg;
		uint8_t written, read;
	} cases[] = {
		{ 0, UART_IER, 0xff, 0x0f },
		{ 0, UART_LCR, 0x5f, 0x5f },
		{ 0, UART_MCR, 0xff, 0x1f },
		{ 0, UART_SCR, 0xa5, 0xa5 },
		{ UART_LCR_DLAB, UART_SCR, 0x5a, 0x5a },
		{ UART_LCR_DLAB, UART_DLL, 0x0c, 0x0c },
		{ UART_LCR_DLAB, UART_DLM, 0xfe, 0xfe },
		{ 0, UART_LSR, 0x1f, UART_LSR_THRE | UART_LSR_TEMT },
		{ 0, UART_MSR, 0x0f, UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart u;

		uart_reset(&u);
		(void)uart_write(&u, UART_LCR, cases[i].lcr);
		assert_false(uart_write(&u, cases[i].reg, cases[i].written));
		assert_int_equal(uart_read(&u, cases[i].reg), cases[i].read);
	}
}

static void divisor_latch_hides_data_and_ier(void **state)
{
	struct uart u = opened(UART_IER_RDI);

	uart_receive(&u, 'x');
	(void)uart_write(&u, UART_LCR, UART_LCR_DLAB);
	assert_false(uart_write(&u, UART_DLL, 3));
	(void)uart_write(&u, UART_DLM, 0xff);
	assert_int_equal(uart_read(&u, UART_DLL), 3);
	(void)uart_write(&u, UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(uart_read(&u, UART_IER), UART_IER_RDI);
	assert_int_equal(uart_read(&u, UART_RX), 'x');
}

/* ---- how Linux finds out what it has --------------------------------------------- */

static uint8_t poke(struct uart *u, unsigned reg, uint8_t value, unsigned then_read)
{
	(void)uart_write(u, reg, value);
	return uart_read(u, then_read);
}

static void linux_probe_finds_a_16550a(void **state)
{
	struct uart u;
	uint8_t a, b;

	uart_reset(&u);
	/* There is an interrupt enable register of four bits. */
	assert_int_equal(poke(&u, UART_IER, 0, UART_IER) & 0x0f, 0);
	assert_int_equal(poke(&u, UART_IER, 0x0f, UART_IER) & 0x0f, 0x0f);
	(void)uart_write(&u, UART_IER, 0);
	/* Loopback ties RTS to CTS and OUT2 to DCD. */
	a = poke(&u, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS, UART_MSR);
	assert_int_equal(a & 0xf0, UART_MSR_DCD | UART_MSR_CTS);
	(void)uart_write(&u, UART_MCR, 0);
	/* Both FIFO bits: neither an 8250, nor a 16550 with its broken FIFO. */
	(void)uart_write(&u, UART_LCR, UART_LCR_CONF_MODE_B);
	(void)uart_write(&u, UART_EFR, 0);
	(void)uart_write(&u, UART_LCR, 0);
	assert_int_equal(poke(&u, UART_FCR, FIFO_ON, UART_IIR) >> 6, 3);
	/* No enhanced features (16C650, 16C850): register 2 is never 0. */
	assert_int_not_equal(poke(&u, UART_LCR, UART_LCR_CONF_MODE_A, UART_EFR), 0);
	assert_int_not_equal(poke(&u, UART_LCR, UART_LCR_CONF_MODE_B, UART_EFR), 0);
	/* No second bank with a copy of MCR (NS16550A of a Super I/O). */
	(void)uart_write(&u, UART_LCR, 0);
	a = uart_read(&u, UART_MCR);
	(void)uart_write(&u, UART_MCR, a ^ UART_MCR_LOOP);
	b = poke(&u, UART_LCR, 0xe0, 2);
	(void)uart_write(&u, UART_LCR, 0);
	(void)uart_write(&u, UART_MCR, a);
	assert_false((a ^ b) & UART_MCR_LOOP);
	/* No FIFO of 64 bytes (16750), with or without the divisor latch. */
	assert_int_equal(poke(&u, UART_FCR, FIFO_ON | UART_FCR7_64BYTE, UART_IIR) >> 5, 6);
	(void)uart_write(&u, UART_LCR, UART_LCR_CONF_MODE_A);
	assert_int_equal(poke(&u, UART_FCR, FIFO_ON | UART_FCR7_64BYTE, UART_IIR) >> 5, 6);
	(void)uart_write(&u, UART_LCR, 0);
	/* No unit enable bit (XScale). */
	assert_int_equal(poke(&u, UART_IER, UART_IER_UUE, UART_IER), 0);
}

/* Else Linux distrusts the transmit interrupt and polls with a timer. */
static void enabling_thri_again_asserts_it_again(void **state)
{
	struct uart u = opened(0);

	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(poke(&u, UART_IER, UART_IER_THRI, UART_IIR) & 0x0f,
				 UART_IIR_THRI);
		(void)uart_write(&u, UART_IER, 0);
	}
}

/* ---- interrupts ------------------------------------------------------------------ */

static void causes_have_their_priority_and_their_cure(void **state)
{
	struct uart u = opened(0x0f);

	receive(&u, UART_FIFO_BYTES + 1); /* overrun, data, */
	(void)uart_write(&u, UART_MCR, UART_MCR_LOOP); /* modem lines change, */
	(void)uart_write(&u, UART_MCR, UART_MCR_OUT2); /* and THRI is pending */
	assert_int_equal(uart_read(&u, UART_IIR), 0xc0 | UART_IIR_RLSI);
	assert_int_equal(uart_read(&u, UART_IIR), 0xc0 | UART_IIR_RLSI);
	assert_int_equal(uart_read(&u, UART_LSR),
			 UART_LSR_THRE | UART_LSR_TEMT | UART_LSR_OE | UART_LSR_DR);
	assert_int_equal(uart_read(&u, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT | UART_LSR_DR);
	for (unsigned i = 0; i < UART_FIFO_BYTES; i++) {
		assert_int_equal(uart_read(&u, UART_IIR), 0xc0 | UART_IIR_RDI);
		assert_int_equal(uart_read(&u, UART_RX), i);
	}
	assert_int_equal(uart_read(&u, UART_IIR), 0xc0 | UART_IIR_THRI);
	assert_int_equal(uart_read(&u, UART_IIR), 0xc0 | UART_IIR_MSI);
	assert_int_equal(uart_read(&u, UART_MSR) & UART_MSR_ANY_DELTA,
			 UART_MSR_DDCD | UART_MSR_DDSR | UART_MSR_DCTS);
	assert_int_equal(uart_read(&u, UART_IIR), 0xc0 | UART_IIR_NO_INT);
}

static void iir_ends_a_transmit_interrupt_only_when_it_reports_it(void **state)
{
	struct uart u = opened(UART_IER_RDI | UART_IER_THRI);

	uart_receive(&u, 'x');
	assert_int_equal(uart_read(&u, UART_IIR) & UART_IIR_ID, UART_IIR_RDI);
	(void)uart_read(&u, UART_RX);
	assert_int_equal(uart_read(&u, UART_IIR) & 0x0f, UART_IIR_THRI);
	assert_int_equal(uart_read(&u, UART_IIR) & 0x0f, UART_IIR_NO_INT);
	assert_true(uart_write(&u, UART_TX, 'y'));
	assert_int_equal(uart_read(&u, UART_IIR) & 0x0f, UART_IIR_THRI);
}

static void each_cause_needs_its_enable_bit(void **state)
{
	static const struct {
		uint8_t ier, id;
	} cases[] = {
		{ 0, UART_IIR_NO_INT },		  { UART_IER_RDI, UART_IIR_RDI },
		{ UART_IER_THRI, UART_IIR_THRI }, { UART_IER_RLSI, UART_IIR_RLSI },
		{ UART_IER_MSI, UART_IIR_MSI },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart u = opened(cases[i].ier);

		(void)uart_raised(&u);
		(void)uart_read(&u, UART_IIR);
		(void)uart_write(&u, UART_TX, 'x');
		receive(&u, UART_FIFO_BYTES + 1);
		(void)uart_write(&u, UART_MCR, UART_MCR_OUT2);
		(void)uart_write(&u, UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
		(void)uart_write(&u, UART_MCR, UART_MCR_OUT2);
		assert_int_equal(uart_raised(&u), cases[i].ier != 0);
		assert_int_equal(uart_read(&u, UART_IIR) & 0x0f, cases[i].id);
	}
}

static void the_line_rises_once_for_what_is_pending(void **state)
{
	struct uart u = opened(UART_IER_THRI | UART_IER_RDI);

	assert_true(uart_raised(&u)); /* THRI was enabled */
	for (unsigned i = 0; i < 16; i++)
		(void)uart_write(&u, UART_TX, 'x');
	uart_receive(&u, 'x');
	assert_false(uart_raised(&u)); /* still high */
	(void)uart_read(&u, UART_RX);
	(void)uart_read(&u, UART_IIR);
	(void)uart_write(&u, UART_TX, 'x');
	assert_true(uart_raised(&u));
	assert_false(uart_raised(&u));
	(void)uart_write(&u, UART_IER, 0);
	(void)uart_write(&u, UART_IER, UART_IER_THRI);
	assert_true(uart_raised(&u));
}

static void out2_lets_interrupts_through(void **state)
{
	struct uart u = opened(0);

	(void)uart_write(&u, UART_MCR, UART_MCR_RTS);
	(void)uart_write(&u, UART_IER, UART_IER_THRI);
	assert_int_equal(u.line, false);
	assert_false(uart_raised(&u));
	(void)uart_write(&u, UART_MCR, UART_MCR_RTS | UART_MCR_OUT2);
	assert_true(uart_raised(&u));
	(void)uart_write(&u, UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
	assert_int_equal(u.line, false);
}

/* A driver of the 16450's time reads one byte an interrupt. */
static void without_fifo_every_byte_is_an_edge(void **state)
{
	struct uart u = opened(UART_IER_RDI);

	(void)uart_write(&u, UART_FCR, 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(uart_room(&u), 1);
		uart_receive(&u, (uint8_t)i);
		assert_int_equal(uart_room(&u), 0);
		assert_true(uart_raised(&u));
		assert_int_equal(uart_read(&u, UART_IIR), UART_IIR_RDI);
		assert_int_equal(uart_read(&u, UART_RX), i);
	}
}

/* ---- FIFO, loopback, modem lines ------------------------------------------------- */

static void trigger_level_tells_data_from_timeout(void **state)
{
	static const struct {
		uint8_t fcr;
		unsigned level;
	} cases[] = {
		{ FIFO_ON | UART_FCR_TRIGGER_1, 1 },
		{ FIFO_ON | UART_FCR_TRIGGER_4, 4 },
		{ FIFO_ON | UART_FCR_TRIGGER_8, 8 },
		{ FIFO_ON | UART_FCR_TRIGGER_14, 14 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart u = opened(UART_IER_RDI);

		(void)uart_write(&u, UART_FCR, cases[i].fcr);
		for (unsigned n = 1; n <= UART_FIFO_BYTES; n++) {
			uart_receive(&u, 0);
			assert_int_equal(uart_read(&u, UART_IIR) & 0x0f,
					 n < cases[i].level ? UART_IIR_RX_TIMEOUT :
							      UART_IIR_RDI);
		}
	}
}

static void fifo_control_empties_what_it_should(void **state)
{
	static const struct {
		uint8_t before, after;
		unsigned received, left;
	} cases[] = {
		{ FIFO_ON, FIFO_ON, 5, 5 },
		{ FIFO_ON, FIFO_ON | UART_FCR_CLEAR_RCVR, 5, 0 },
		{ FIFO_ON, FIFO_ON | UART_FCR_CLEAR_XMIT, 5, 5 },
		{ FIFO_ON, 0, 5, 0 },
		{ 0, FIFO_ON, 1, 1 },
		{ 0, FIFO_ON | UART_FCR_CLEAR_RCVR, 1, 0 },
		{ 0, 0, 1, 1 },
		{ 0, UART_FCR_CLEAR_RCVR, 1, 1 }, /* ignored while the FIFO is off */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart u = opened(0);

		(void)uart_write(&u, UART_FCR, cases[i].before);
		receive(&u, cases[i].received);
		(void)uart_write(&u, UART_FCR, cases[i].after);
		assert_int_equal(u.rx_count, cases[i].left);
	}
}

static void loopback_returns_what_is_sent(void **state)
{
	struct uart u = opened(0);

	(void)uart_write(&u, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	assert_int_equal(uart_room(&u), 0);
	for (unsigned i = 0; i < 2 * UART_FIFO_BYTES; i++)
		assert_false(uart_write(&u, UART_TX, (uint8_t)i));
	assert_true(uart_read(&u, UART_LSR) & UART_LSR_OE);
	for (unsigned i = 0; i < UART_FIFO_BYTES; i++)
		assert_int_equal(uart_read(&u, UART_RX), i);
	assert_false(uart_read(&u, UART_LSR) & UART_LSR_DR);
	/* Without FIFO the newest byte wins. */
	(void)uart_write(&u, UART_FCR, 0);
	(void)uart_write(&u, UART_TX, 1);
	(void)uart_write(&u, UART_TX, 2);
	assert_true(uart_read(&u, UART_LSR) & UART_LSR_OE);
	assert_int_equal(uart_read(&u, UART_RX), 2);
}

static void loopback_ties_outputs_to_inputs(void **state)
{
	static const struct {
		uint8_t mcr, msr;
	} cases[] = {
		{ UART_MCR_DTR, UART_MSR_DSR },
		{ UART_MCR_RTS, UART_MSR_CTS },
		{ UART_MCR_OUT1, UART_MSR_RI },
		{ UART_MCR_OUT2, UART_MSR_DCD },
		{ 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart u;

		uart_reset(&u);
		(void)uart_write(&u, UART_MCR, UART_MCR_LOOP | cases[i].mcr);
		assert_int_equal(uart_read(&u, UART_MSR) & 0xf0, cases[i].msr);
	}
}

/* The ring indicator counts when it ends, the others at each change. */
static void modem_changes_are_remembered_until_read(void **state)
{
	struct uart u;

	uart_reset(&u);
	(void)uart_write(&u, UART_MCR, UART_MCR_LOOP);
	(void)uart_read(&u, UART_MSR);
	(void)uart_write(&u, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1);
	assert_int_equal(uart_read(&u, UART_MSR), UART_MSR_RI);
	(void)uart_write(&u, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(uart_read(&u, UART_MSR), UART_MSR_TERI);
	(void)uart_write(&u, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	(void)uart_write(&u, UART_MCR, UART_MCR_LOOP);
	assert_int_equal(uart_read(&u, UART_MSR), UART_MSR_DCTS);
	assert_int_equal(uart_read(&u, UART_MSR), 0);
}

static void the_far_end_honours_rts(void **state)
{
	static const struct {
		uint8_t mcr, ier;
		unsigned room;
	} cases[] = {
		{ 0, 0, 0 },
		{ UART_MCR_DTR | UART_MCR_OUT2, 0, 0 }, /* only a console is open */
		{ UART_MCR_RTS, 0, UART_FIFO_BYTES },
		{ 0, UART_IER_RDI, UART_FIFO_BYTES },
		{ 0, UART_IER_THRI, 0 },
		{ UART_MCR_RTS | UART_MCR_LOOP, UART_IER_RDI, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct uart u = opened(cases[i].ier);

		(void)uart_write(&u, UART_MCR, cases[i].mcr);
		assert_int_equal(uart_room(&u), cases[i].room);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_values),
		cmocka_unit_test(registers_keep_the_bits_they_have),
		cmocka_unit_test(divisor_latch_hides_data_and_ier),
		cmocka_unit_test(linux_probe_finds_a_16550a),
		cmocka_unit_test(enabling_thri_again_asserts_it_again),
		cmocka_unit_test(causes_have_their_priority_and_their_cure),
		cmocka_unit_test(iir_ends_a_transmit_interrupt_only_when_it_reports_it),
		cmocka_unit_test(each_cause_needs_its_enable_bit),
		cmocka_unit_test(the_line_rises_once_for_what_is_pending),
		cmocka_unit_test(out2_lets_interrupts_through),
		cmocka_unit_test(without_fifo_every_byte_is_an_edge),
		cmocka_unit_test(trigger_level_tells_data_from_timeout),
		cmocka_unit_test(fifo_control_empties_what_it_should),
		cmocka_unit_test(loopback_returns_what_is_sent),
		cmocka_unit_test(loopback_ties_outputs_to_inputs),
		cmocka_unit_test(modem_changes_are_remembered_until_read),
		cmocka_unit_test(the_far_end_honours_rts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
