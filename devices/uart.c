/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 16550A: see uart.h. The interrupt line is computed anew after everything that may
 * change it, so that an edge is a real one: a cause that is pending already raises none.
 *
 * Input from the guest: register writes.
 */
#include "devices/uart.h"

#include <assert.h>
#include <linux/serial_reg.h>

#define IER_BITS (UART_IER_MSI | UART_IER_RLSI | UART_IER_THRI | UART_IER_RDI)
#define MCR_BITS (UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_OUT1 | UART_MCR_RTS | UART_MCR_DTR)
/* Both of these read as ones in IIR while the FIFOs are enabled (16550A). */
#define IIR_FIFO 0xc0

void uart_reset(struct uart *u)
{
	*u = (struct uart){ .dll = 1 };
}

static bool fifo_on(const struct uart *u)
{
	return u->fcr & UART_FCR_ENABLE_FIFO;
}

static unsigned capacity(const struct uart *u)
{
	return fifo_on(u) ? UART_FIFO_BYTES : 1;
}

static unsigned trigger_level(const struct uart *u)
{
	static const unsigned levels[] = { 1, 4, 8, 14 };

	return fifo_on(u) ? levels[u->fcr >> UART_FCR_R_TRIG_SHIFT] : 1;
}

/*
 * The cause of highest priority, as IIR names it (data sheet, table IV). Bytes below
 * the trigger level are reported as a character timeout at once: no more will come
 * soon, for what had come is in the FIFO already.
 */
static uint8_t cause(const struct uart *u)
{
	if (u->ier & UART_IER_RLSI && u->errors)
		return UART_IIR_RLSI;
	if (u->ier & UART_IER_RDI && u->rx_count)
		return u->rx_count < trigger_level(u) ? UART_IIR_RX_TIMEOUT : UART_IIR_RDI;
	if (u->ier & UART_IER_THRI && u->thr_pending)
		return UART_IIR_THRI;
	if (u->ier & UART_IER_MSI && u->delta)
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

/* In loopback mode OUT2's pin is inactive, whatever the register says. */
static void update_line(struct uart *u)
{
	bool high = (u->mcr & (UART_MCR_OUT2 | UART_MCR_LOOP)) == UART_MCR_OUT2 &&
		    cause(u) != UART_IIR_NO_INT;

	if (high && !u->line)
		u->raised = true;
	u->line = high;
}

bool uart_raised(struct uart *u)
{
	bool raised = u->raised;

	u->raised = false;
	return raised;
}

/* Modem status lines: a terminal that is always there, or our own outputs. */
static uint8_t modem_lines(const struct uart *u)
{
	if (!(u->mcr & UART_MCR_LOOP))
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (uint8_t)((u->mcr & UART_MCR_RTS ? UART_MSR_CTS : 0) |
			 (u->mcr & UART_MCR_DTR ? UART_MSR_DSR : 0) |
			 (u->mcr & UART_MCR_OUT1 ? UART_MSR_RI : 0) |
			 (u->mcr & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static void write_mcr(struct uart *u, uint8_t value)
{
	uint8_t before = modem_lines(u), after, changed;

	u->mcr = value & MCR_BITS;
	after = modem_lines(u);
	changed = before ^ after;
	if (changed & UART_MSR_DCD)
		u->delta |= UART_MSR_DDCD;
	if (changed & before & UART_MSR_RI) /* only its end counts */
		u->delta |= UART_MSR_TERI;
	if (changed & UART_MSR_DSR)
		u->delta |= UART_MSR_DDSR;
	if (changed & UART_MSR_CTS)
		u->delta |= UART_MSR_DCTS;
}

/*
 * Disabling the FIFO empties it. Enabling it keeps the byte that the receive buffer
 * holds: Linux enables the receive interrupt first, and would lose that byte.
 */
static void write_fcr(struct uart *u, uint8_t value)
{
	bool enable = value & UART_FCR_ENABLE_FIFO;

	if ((fifo_on(u) && !enable) || (enable && value & UART_FCR_CLEAR_RCVR))
		u->rx_count = 0;
	u->fcr = enable ? value & (UART_FCR_TRIGGER_MASK | UART_FCR_ENABLE_FIFO) : 0;
}

/* Enabling the transmit interrupt while the transmitter is empty is a cause of it. */
static void write_ier(struct uart *u, uint8_t value)
{
	if (value & ~u->ier & UART_IER_THRI)
		u->thr_pending = true;
	u->ier = value & IER_BITS;
}

/* Overrun: the FIFO keeps what it has, the single buffer takes the new byte. */
static void push(struct uart *u, uint8_t byte)
{
	if (u->rx_count == capacity(u)) {
		u->errors |= UART_LSR_OE;
		if (fifo_on(u))
			return;
		u->rx_count = 0;
	}
	u->rx[(u->rx_first + u->rx_count++) % UART_FIFO_BYTES] = byte;
}

static uint8_t pop(struct uart *u)
{
	uint8_t byte = u->rx[u->rx_first];

	if (!u->rx_count)
		return 0;
	u->rx_first = (u->rx_first + 1) % UART_FIFO_BYTES;
	u->rx_count--;
	return byte;
}

/* The transmitter is empty again at once: its interrupt stays pending if it was. */
static bool transmit(struct uart *u, uint8_t byte)
{
	u->thr_pending = true;
	if (!(u->mcr & UART_MCR_LOOP))
		return true;
	push(u, byte);
	return false;
}

/* Reading IIR ends a transmit interrupt if that is what it reports. */
static uint8_t read_iir(struct uart *u)
{
	uint8_t id = cause(u);

	if (id == UART_IIR_THRI)
		u->thr_pending = false;
	return fifo_on(u) ? id | IIR_FIFO : id;
}

static uint8_t read_lsr(struct uart *u)
{
	uint8_t v = UART_LSR_THRE | UART_LSR_TEMT | u->errors;

	u->errors = 0;
	return u->rx_count ? v | UART_LSR_DR : v;
}

static uint8_t read_msr(struct uart *u)
{
	uint8_t v = modem_lines(u) | u->delta;

	u->delta = 0;
	return v;
}

static uint8_t read_register(struct uart *u, unsigned reg)
{
	bool dlab = u->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_RX:
		return dlab ? u->dll : pop(u);
	case UART_IER:
		return dlab ? u->dlm : u->ier;
	case UART_IIR:
		return read_iir(u);
	case UART_LCR:
		return u->lcr;
	case UART_MCR:
		return u->mcr;
	case UART_LSR:
		return read_lsr(u);
	case UART_MSR:
		return read_msr(u);
	default:
		return u->scr;
	}
}

static bool write_register(struct uart *u, unsigned reg, uint8_t value)
{
	bool dlab = u->lcr & UART_LCR_DLAB;

	switch (reg) {
	case UART_TX:
		if (!dlab)
			return transmit(u, value);
		u->dll = value;
		break;
	case UART_IER:
		if (dlab)
			u->dlm = value;
		else
			write_ier(u, value);
		break;
	case UART_FCR:
		write_fcr(u, value);
		break;
	case UART_LCR:
		u->lcr = value;
		break;
	case UART_MCR:
		write_mcr(u, value);
		break;
	case UART_SCR:
		u->scr = value;
		break;
	default: /* LSR and MSR are read-only outside of factory tests */
		break;
	}
	return false;
}

uint8_t uart_read(struct uart *u, unsigned reg)
{
	uint8_t value;

	assert(reg < UART_REGISTERS);
	value = read_register(u, reg);
	update_line(u);
	return value;
}

bool uart_write(struct uart *u, unsigned reg, uint8_t value)
{
	bool sent;

	assert(reg < UART_REGISTERS);
	sent = write_register(u, reg, value);
	update_line(u);
	return sent;
}

unsigned uart_room(const struct uart *u)
{
	if (u->mcr & UART_MCR_LOOP)
		return 0;
	if (!(u->mcr & UART_MCR_RTS) && !(u->ier & UART_IER_RDI))
		return 0;
	return capacity(u) - u->rx_count;
}

void uart_receive(struct uart *u, uint8_t byte)
{
	push(u, byte);
	update_line(u);
}
