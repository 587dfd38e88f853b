/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: one line an event, `<monotonic seconds> <level> <module> <text>`, to a
 * descriptor that is opened before the sandbox closes. The descriptor and the level
 * are the only global state of the program. Writing never blocks and never fails
 * the caller: lines that cannot be written are dropped and counted.
 */
#ifndef VMM_LIB_LOG_H
#define VMM_LIB_LOG_H

#include "vmm/lib/bytes.h"

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * Send the log to the file or FIFO at `path` (created when missing, appended to,
 * O_NONBLOCK); NULL is standard error. Returns 0 or -errno.
 */
MUST_CHECK int log_open(const char *path);

/* Lines above `level` are not written; LOG_INFO until this is called. */
void log_set_level(enum log_level level);

/*
 * Parse Firecracker's level names, in any case: Off, Error, Warn, Warning, Info,
 * Debug, Trace (the same as Debug here). Returns 0 or -EINVAL.
 */
MUST_CHECK int log_level_parse(const char *name, enum log_level *out);

/* Lines dropped so far because the log's reader did not read. */
uint64_t log_dropped(void);

/* Through the macros below; `module` is the part of the monitor that speaks. */
void log_line(enum log_level level, const char *module, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(module, ...) log_line(LOG_ERROR, module, __VA_ARGS__)
#define log_warn(module, ...) log_line(LOG_WARN, module, __VA_ARGS__)
#define log_info(module, ...) log_line(LOG_INFO, module, __VA_ARGS__)
#define log_debug(module, ...) log_line(LOG_DEBUG, module, __VA_ARGS__)

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

/* A line at LOG_WARN, within `limit`. */
void log_guest(struct log_guest *limit, const char *module, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Milliseconds of CLOCK_MONOTONIC. */
uint64_t clock_ms(void);

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_ns(void);

#endif
