/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of a 16550A (National Semiconductor PC16550D, "data sheet" below), wired
 * as on a PC: OUT2 lets its interrupt through to the interrupt controller. Only the chip:
 * where bytes come from and go to is serial.c's.
 *
 * Two things differ from hardware. Sending takes no time, so the transmitter is always
 * empty. And the far end honours RTS: it sends nothing before the guest has asserted
 * RTS or enabled the receive interrupt, so that input which was there before the guest
 * opened the port is not thrown away by the driver's set-up.
 *
 * Input from the guest: register writes.
 */
#ifndef DEVICES_UART_H
#define DEVICES_UART_H

#include "vmm/lib/bytes.h"

#define UART_REGISTERS 8
#define UART_FIFO_BYTES 16

struct uart {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t errors; /* the error bits of LSR */
	uint8_t delta; /* the change bits of MSR */
	bool thr_pending; /* the transmit interrupt's cause */
	bool line, raised; /* the interrupt line, and whether it rose */
	unsigned rx_first, rx_count;
	uint8_t rx[UART_FIFO_BYTES];
};

/* The state after a master reset, and 115200 baud (Linux divides by the divisor). */
void uart_reset(struct uart *u);

/* Registers are numbered as in <linux/serial_reg.h>, 0 to 7. */
uint8_t uart_read(struct uart *u, unsigned reg);

/* True when the write sent `value` out of the port. */
bool uart_write(struct uart *u, unsigned reg, uint8_t value);

/* How many bytes the far end may send now. */
unsigned uart_room(const struct uart *u);

/* A byte arrives; there is room. */
void uart_receive(struct uart *u, uint8_t byte);

/* Whether the interrupt line has risen since the last call. */
bool uart_raised(struct uart *u);

#endif
