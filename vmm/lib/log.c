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

static struct {
	int fd;
	enum log_level level;
	uint64_t dropped;
} log_state = { .fd = STDERR_FILENO, .level = LOG_INFO };

uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t clock_ms(void)
{
	return clock_ns() / 1000000;
}

int log_open(const char *path)
{
	int fd;

	if (!path) {
		log_state.fd = STDERR_FILENO;
		return 0;
	}
	/* O_RDWR: a FIFO without a reader yet would refuse O_WRONLY (ENXIO). */
	fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return -errno;
	log_state.fd = fd;
	return 0;
}

void log_set_level(enum log_level level)
{
	log_state.level = level;
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

uint64_t log_dropped(void)
{
	return log_state.dropped;
}

/* No guest or client byte reaches a terminal as a control character. */
static void make_printable(char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

static PRINTF_LIKE(3, 0) void emit(enum log_level level, const char *module, const char *fmt,
				   va_list args)
{
	static const char *const names[] = { "off", "error", "warn", "info", "debug" };
	char line[LINE_MAX_BYTES];
	uint64_t now = clock_ns();
	int head, text;
	size_t len;

	head = snprintf(line, sizeof(line), "%llu.%06llu %s %s ",
			(unsigned long long)(now / 1000000000),
			(unsigned long long)(now / 1000 % 1000000), names[level], module);
	text = vsnprintf(line + head, sizeof(line) - (size_t)head, fmt, args);
	if (text < 0)
		return;
	len = min_size((size_t)head + (size_t)text, sizeof(line) - 2);
	make_printable(line, len);
	line[len++] = '\n';
	if (write(log_state.fd, line, len) != (ssize_t)len)
		log_state.dropped++;
}

void log_line(enum log_level level, const char *module, const char *fmt, ...)
{
	int saved = errno;
	va_list args;

	if (level > log_state.level)
		return;
	va_start(args, fmt);
	emit(level, module, fmt, args);
	va_end(args);
	errno = saved;
}

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
		return false;
	}
	limit->used++;
	return true;
}

void log_guest(struct log_guest *limit, const char *module, const char *fmt, ...)
{
	va_list args;

	if (log_state.level < LOG_WARN || !take_token(limit))
		return;
	if (limit->suppressed) {
		log_warn(module, "%u lines left out", limit->suppressed);
		limit->suppressed = 0;
	}
	va_start(args, fmt);
	emit(LOG_WARN, module, fmt, args);
	va_end(args);
}
