/* SPDX-License-Identifier: Apache-2.0 */
/* The log: see log.h. */
#include "vmm/lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define NS_PER_S UINT64_C(1000000000)

enum shown { SHOW_DEFAULT, SHOW_NOT, SHOW };

static struct {
	int fd;
	enum log_level level;
	enum shown show_level;
	bool show_origin;
	char id[LOG_NAME_MAX + 1], thread[LOG_NAME_MAX + 1], module[LOG_NAME_MAX + 1];
	struct log_counts counts;
	uint64_t told; /* of counts.dropped */
} log_state = {
	.fd = STDERR_FILENO,
	.level = LOG_INFO,
	.id = "anonymous-instance",
	.thread = "xenolith",
};

/* ---- clocks ---- */

static uint64_t clock_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void)
{
	return clock_of(CLOCK_MONOTONIC);
}

uint64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

uint64_t clock_utc_ms(void)
{
	return clock_of(CLOCK_REALTIME) / 1000000;
}

/*
 * Not gmtime_r, which looks for the time zone's file at its first call. The year begins in
 * March here, so that the day that is not always there is its last one.
 */
void log_time(char out[LOG_TIME_BYTES], uint64_t ns)
{
	uint64_t seconds = ns / NS_PER_S;
	unsigned of_day = (unsigned)(seconds % 86400);
	unsigned day = (unsigned)(seconds / 86400) + 719468; /* since 0000-03-01 */
	unsigned era = day / 146097, of_era = day % 146097; /* of 400 years */
	unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
	unsigned month = (5 * of_year + 2) / 153; /* from March */
	unsigned of_month = of_year - (153 * month + 2) / 5;

	year += era * 400 + (month >= 10);
	month = month < 10 ? month + 3 : month - 9;
	(void)snprintf(out, LOG_TIME_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%09u", year % 10000,
		       month % 100, (of_month + 1) % 100, of_day / 3600, of_day / 60 % 60,
		       of_day % 60, (unsigned)(ns % NS_PER_S));
}

/* ---- settings ---- */

int log_open(const char *path)
{
	int fd = STDERR_FILENO;

	/* O_RDWR: a FIFO without a reader yet would refuse O_WRONLY (ENXIO). */
	if (path)
		fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
			  0600);
	if (fd < 0)
		return -errno;
	if (log_state.fd != STDERR_FILENO)
		(void)close(log_state.fd);
	log_state.fd = fd;
	return 0;
}

void log_set_level(enum log_level level)
{
	log_state.level = level;
}

static void set_name(char out[LOG_NAME_MAX + 1], const char *name)
{
	size_t len = min_size(strlen(name), LOG_NAME_MAX);

	memcpy(out, name, len);
	out[len] = '\0';
}

void log_set_module(const char *prefix)
{
	set_name(log_state.module, prefix);
}

void log_set_id(const char *id)
{
	set_name(log_state.id, id);
}

void log_set_thread(const char *name)
{
	set_name(log_state.thread, name);
}

void log_show_level(bool show)
{
	log_state.show_level = show ? SHOW : SHOW_NOT;
}

void log_show_origin(bool show)
{
	log_state.show_origin = show;
}

int log_level_parse(const char *name, enum log_level *out)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {
		{ "off", LOG_OFF },	 { "error", LOG_ERROR }, { "warn", LOG_WARN },
		{ "warning", LOG_WARN }, { "info", LOG_INFO },	 { "debug", LOG_DEBUG },
		{ "trace", LOG_DEBUG },
	};

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (strcasecmp(name, levels[i].name) == 0) {
			*out = levels[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

struct log_counts log_counts(void)
{
	return log_state.counts;
}

/* ---- lines ---- */

/* A line being made: what does not fit is left out. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
};

static PRINTF_LIKE(2, 0) void append_args(struct line *l, const char *fmt, va_list args)
{
	size_t room = sizeof(l->text) - 1 - l->len;
	int n = vsnprintf(l->text + l->len, room, fmt, args);

	if (n > 0)
		l->len += min_size((size_t)n, room - 1);
}

static PRINTF_LIKE(2, 3) void append(struct line *l, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	append_args(l, fmt, args);
	va_end(args);
}

static bool shows_level(void)
{
	if (log_state.show_level == SHOW_DEFAULT)
		return log_state.fd == STDERR_FILENO;
	return log_state.show_level == SHOW;
}

static void append_head(struct line *l, enum log_level level, struct log_at at)
{
	static const char *const names[] = { "OFF", "ERROR", "WARN", "INFO", "DEBUG" };
	char time[LOG_TIME_BYTES];

	log_time(time, clock_of(CLOCK_REALTIME));
	append(l, "%s [%s:%s", time, log_state.id, log_state.thread);
	if (shows_level())
		append(l, ":%s", names[level]);
	if (log_state.show_origin)
		append(l, ":%s:%u", at.file, at.line);
	append(l, "] %s ", at.module);
}

/* No guest or client byte reaches a terminal as a control character. */
static void make_printable(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

static bool finish(struct line *l)
{
	make_printable(l->text, l->len);
	l->text[l->len++] = '\n';
	return write(log_state.fd, l->text, l->len) == (ssize_t)l->len;
}

/* Who reads the log is to know of its gaps. False when that cannot be written either. */
static bool tell_dropped(void)
{
	uint64_t n = log_state.counts.dropped - log_state.told;
	struct line l = { .len = 0 };

	if (n == 0)
		return true;
	append_head(&l, LOG_WARN, LOG_AT("log"));
	append(&l, "lines lost: %llu", (unsigned long long)n);
	if (!finish(&l))
		return false;
	log_state.told += n;
	return true;
}

static PRINTF_LIKE(3, 0) void emit(enum log_level level, struct log_at at, const char *fmt,
				   va_list args)
{
	struct line l = { .len = 0 };

	append_head(&l, level, at);
	append_args(&l, fmt, args);
	if (!tell_dropped() || !finish(&l))
		log_state.counts.dropped++;
}

static bool is_wanted(enum log_level level, struct log_at at)
{
	return level <= log_state.level &&
	       strncmp(at.module, log_state.module, strlen(log_state.module)) == 0;
}

void log_line(enum log_level level, struct log_at at, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	if (!is_wanted(level, at))
		return;
	va_start(args, fmt);
	emit(level, at, fmt, args);
	va_end(args);
	errno = saved;
}

/* ---- lines of guests ---- */

/* One token comes back each second; returns whether a line may be printed. */
static bool take_token(struct log_guest *limit)
{
	uint64_t now = clock_ms();
	uint64_t back = (now - limit->refill_ms) / 1000;

	if (limit->refill_ms == 0)
		limit->refill_ms = now;
	else if (back > 0) {
		limit->used -= back < limit->used ? (unsigned)back : limit->used;
		limit->refill_ms += back * 1000;
	}
	if (limit->used >= LOG_GUEST_BURST) {
		limit->suppressed++;
		log_state.counts.limited++;
		return false;
	}
	limit->used++;
	return true;
}

void log_guest_line(struct log_guest *limit, struct log_at at, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	if (!is_wanted(LOG_WARN, at) || !take_token(limit))
		return;
	if (limit->suppressed) {
		log_line(LOG_WARN, at, "%u lines left out", limit->suppressed);
		limit->suppressed = 0;
	}
	va_start(args, fmt);
	emit(LOG_WARN, at, fmt, args);
	va_end(args);
	errno = saved;
}
