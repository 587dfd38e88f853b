/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A serial port: the 16550A of uart.h between the guest and two descriptors of the host
 * (terminal, pipe, file, socket). Output goes through a buffer of SERIAL_OUT_BYTES, a
 * line at a time: when nobody reads, bytes are dropped and counted, never waited for.
 * Input is read only as fast as the guest takes it, and reading ends for good at the end
 * of the file.
 *
 * The process must ignore SIGPIPE. A terminal must be O_NONBLOCK, a regular file must
 * not: io_uring would block the loop in the one and never wait for the other. Whether a
 * pipe or socket blocks does not matter. console.h opens descriptors that fit.
 *
 * Input from the guest: register writes. Input from the host: bytes on `in_fd`.
 */
#ifndef DEVICES_SERIAL_H
#define DEVICES_SERIAL_H

#include "devices/bus.h"
#include "devices/env.h"
#include "devices/rate_limiter.h"

#define SERIAL_OUT_BYTES (64 * KIB)
/* How long serial_flush waits for a reader. */
#define SERIAL_FLUSH_MS 100

struct serial;

struct serial_backend {
	int in_fd, out_fd; /* -1: none; may be the same. Owned by the caller. */
	/*
	 * Called once, when the port uses the descriptors no more: both are at their
	 * end, or another backend has taken over. Until then they must stay open. May
	 * be NULL; is not called by serial_destroy.
	 */
	void (*released)(void *ctx);
	void *ctx;
};

struct serial_counts {
	uint64_t out_bytes; /* written by the guest */
	uint64_t out_dropped; /* of these, never written to a backend */
	uint64_t out_limited; /* of these, dropped by the rate limiter */
	uint64_t out_errors; /* writes that failed */
	uint64_t in_bytes; /* given to the guest */
	uint64_t interrupts;
};

/* `env` is borrowed for life (copied). 0 or -ENOMEM. */
MUST_CHECK int serial_create(struct serial **out, const struct dev_env *env, unsigned gsi,
			     const struct serial_backend *backend);

/* The range to put on the bus, with this device's handlers. */
struct bus_range serial_range(struct serial *s, uint64_t base);

/*
 * Replace the backend (a Unix socket's client came or went). Bytes still buffered go
 * to the new one; while there is no out_fd, the latest SERIAL_OUT_BYTES are kept for
 * it. The old one's operations are cancelled first: it is in use until `released`.
 */
void serial_set_backend(struct serial *s, const struct serial_backend *backend);

/*
 * From now on let the guest print as many bytes as a bucket has tokens, full now; others
 * are dropped and counted. A bucket that does not limit lets all through.
 */
void serial_set_limit(struct serial *s, const struct token_bucket_config *limit);

/*
 * The guest's end: write out what is buffered, for at most SERIAL_FLUSH_MS if the
 * reader does not read, and let go of the backend. Turns the loop meanwhile.
 * Afterwards the port has no operation in flight.
 */
void serial_flush(struct serial *s);

/* What was counted so far. */
struct serial_counts serial_counts(const struct serial *s);

/*
 * Free the port. What serial_flush did not end must not end any more: without it, the
 * loop must not turn again.
 */
void serial_destroy(struct serial *s);

#endif
