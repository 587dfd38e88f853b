/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A serial port (National Semiconductor PC16550D), eight registers from its
 * base. Output goes to a descriptor through a bounded buffer: when nobody reads, bytes
 * are dropped and counted, never waited for. Input is read only as fast as the guest
 * takes it.
 *
 * Input from the guest: register writes. Input from the host: bytes on `in_fd`.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include "devices/bus.h"
#include "devices/env.h"

struct serial;

struct serial_backend {
	int in_fd, out_fd; /* -1: none; may be the same. Owned by the caller. */
};

struct serial_counts {
	uint64_t out_bytes, out_dropped, in_bytes, interrupts;
};

/* `env` is borrowed for life (copied). 0 or -ENOMEM. */
MUST_CHECK int serial_create(struct serial **out, const struct dev_env *env, unsigned gsi,
			     const struct serial_backend *backend);

/* The range to put on the bus, with this device's handlers. */
struct bus_range serial_range(struct serial *s, uint64_t base);

/*
 * Replace the backend (a Unix socket's client came or went). Bytes still buffered go
 * to the new one.
 */
void serial_set_backend(struct serial *s, const struct serial_backend *backend);

/* Write out what is buffered, without waiting for a reader that does not read. */
void serial_flush(struct serial *s);

struct serial_counts serial_counts(const struct serial *s);

/* The loop must not run any more, or be about to be destroyed. */
void serial_destroy(struct serial *s);

#endif
