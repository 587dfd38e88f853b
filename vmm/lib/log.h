/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line an event, in the form of Firecracker's,
 *
 *   2026-11-22T10:00:00.123456789 [ID:THREAD:LEVEL:FILE:LINE] MODULE TEXT
 *
 * where the time is UTC and LEVEL and FILE:LINE are shown when they were asked for. Where
 * it goes and what is shown is the only global state of the program. Writing never waits
 * for a reader and never fails the caller: lines that cannot be written are dropped and
 * counted, and the next one that can be is preceded by one that says how many.
 */
#ifndef VMM_LIB_LOG_H
#define VMM_LIB_LOG_H

#include "vmm/lib/bytes.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Longer names of modules and threads are cut. */
#define LOG_NAME_MAX 64

/*
 * Send the log to the file or FIFO at `path` (created when missing, appended to,
 * O_NONBLOCK; a FIFO needs no reader yet); NULL is standard error. What was open before is
 * closed. Returns 0 or -errno, and the log goes on where it went.
 */
MUST_CHECK int log_open(const char *path);

/* Lines above `level` are not written; LOG_INFO until this is called. */
void log_set_level(enum log_level level);

/* Only modules whose name begins with `prefix` speak; "" (until this is called): all. */
void log_set_module(const char *prefix);

/*
 * Whether lines show their level. Until this is called those on standard error do, which
 * people read, and those in files do not, which is Firecracker's default.
 */
void log_show_level(bool show);

/* Whether lines show file and line of the source; not, until this is called. */
void log_show_origin(bool show);

/* The instance's id, and which of the program's processes speaks. */
void log_set_id(const char *id);
void log_set_thread(const char *name);

/*
 * Parse Firecracker's level names, in any case: Off, Error, Warn, Warning, Info,
 * Debug, Trace (the same as Debug here). Returns 0 or -EINVAL.
 */
MUST_CHECK int log_level_parse(const char *name, enum log_level *out);

/* Since the start, in this process. */
struct log_counts {
	uint64_t dropped; /* lines that could not be written */
	uint64_t limited; /* lines of guests that were left out */
};
struct log_counts log_counts(void);

/* Where a line comes from; `module` is the part of the monitor that speaks. */
struct log_at {
	const char *module, *file;
	unsigned line;
};

#define LOG_AT(m) ((struct log_at){ .module = (m), .file = __FILE__, .line = __LINE__ })

/* Through the macros below. */
void log_line(enum log_level level, struct log_at at, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(module, ...) log_line(LOG_ERROR, LOG_AT(module), __VA_ARGS__)
#define log_warn(module, ...) log_line(LOG_WARN, LOG_AT(module), __VA_ARGS__)
#define log_info(module, ...) log_line(LOG_INFO, LOG_AT(module), __VA_ARGS__)
#define log_debug(module, ...) log_line(LOG_DEBUG, LOG_AT(module), __VA_ARGS__)

/*
 * For lines that a guest can trigger: a token bucket per device. At most
 * LOG_GUEST_BURST lines at once and one more each second; what was left out is
 * counted in the next line that is printed. Zero-initialise.
 */
#define LOG_GUEST_BURST 5

struct log_guest {
	uint64_t refill_ms;
	unsigned used;
	unsigned suppressed;
};

/* A line at LOG_WARN, within `limit`. Through the macro. */
void log_guest_line(struct log_guest *limit, struct log_at at, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

#define log_guest(limit, module, ...) log_guest_line(limit, LOG_AT(module), __VA_ARGS__)

/* A time in ns since 1970 (UTC) as in the lines above. */
#define LOG_TIME_BYTES sizeof("2026-11-22T10:00:00.123456789")
void log_time(char out[LOG_TIME_BYTES], uint64_t ns);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t clock_ms(void);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_ns(void);

/* Milliseconds of CLOCK_REALTIME, since 1970. */
uint64_t clock_utc_ms(void);

#endif
