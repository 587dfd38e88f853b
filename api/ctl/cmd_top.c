/* SPDX-License-Identifier: Apache-2.0 */
/* xenolithctl top: the instances of this host again and again, the busiest first. */
#include "api/ctl/cmd.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "api/ctl/screen.h"
#include "api/ctl/survey_rows.h"
#include "api/ctl/table.h"
#include "vmm/lib/log.h"

#define DELAY_MS_MIN 100
#define DELAY_MS_MAX 3600000

struct top_options {
	const char *delay;
	uint64_t count;
	bool batch;
};

static const struct top_options defaults = { .delay = "1" };

static const struct option options[] = {
	{ .name = "--delay",
	  .letter = 'd',
	  .kind = OPTION_TEXT,
	  .value = "SECONDS",
	  .at = offsetof(struct top_options, delay),
	  .help = "between two looks, from 0.1 to 3600 [1]" },
	{ .name = "--count",
	  .letter = 'n',
	  .kind = OPTION_NUMBER,
	  .value = "N",
	  .at = offsetof(struct top_options, count),
	  .help = "end after so many looks" },
	{ .name = "--batch",
	  .letter = 'b',
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct top_options, batch),
	  .help = "print one table after the other, also to a terminal" },
	{ 0 },
};

static const struct out_column columns[] = {
	COLUMN_ID,     COLUMN_STATE,   COLUMN_CPU_PERCENT, COLUMN_CPU_TIME,  COLUMN_AGE,
	COLUMN_VCPUS,  COLUMN_MEMORY,  COLUMN_PSS,	   COLUMN_DISK_READ, COLUMN_DISK_WRITE,
	COLUMN_NET_IN, COLUMN_NET_OUT, COLUMN_PID,
};

/* The lines above the rows: the sums, an empty one, the titles. */
#define LINES_ABOVE 3

struct top {
	const struct ctl *ctl;
	uint64_t delay_ms, count;
	struct survey before, now;
	cJSON *rows; /* of `now` */
	uint64_t looks;
};

/* Seconds with up to three decimals, as milliseconds; 0: that is no such number. */
static uint64_t parse_delay(const char *text)
{
	uint64_t ms = 0, unit = 1000;
	bool decimals = false;

	if (!isdigit((unsigned char)*text))
		return 0;
	for (; *text; text++) {
		if (*text == '.' && !decimals) {
			decimals = true;
			continue;
		}
		if (!isdigit((unsigned char)*text) || unit == 1 || ms > DELAY_MS_MAX)
			return 0;
		if (decimals)
			unit /= 10;
		ms = decimals ? ms + (uint64_t)(*text - '0') * unit :
				ms * 10 + (uint64_t)(*text - '0') * 1000;
	}
	return ms >= DELAY_MS_MIN && ms <= DELAY_MS_MAX ? ms : 0;
}

static int look(struct top *t, struct err *e)
{
	struct survey s;
	int rc = survey_take(&s, t->ctl->run_dir, e);

	if (rc < 0)
		return rc;
	survey_free(&t->before);
	t->before = t->now;
	t->now = s;
	cJSON_Delete(t->rows);
	t->rows = survey_rows(&t->now, &t->before);
	t->looks++;
	return t->rows ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static void end(struct top *t)
{
	survey_free(&t->before);
	survey_free(&t->now);
	cJSON_Delete(t->rows);
}

static double sum(const cJSON *rows, const char *key)
{
	const cJSON *row;
	double total = 0;

	cJSON_ArrayForEach(row, rows)
	{
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(row, key);

		total += value ? value->valuedouble : 0;
	}
	return total;
}

/* The first line, cut at `width`. */
static void print_sums(const struct top *t, FILE *to, size_t width)
{
	char line[256], memory[UNITS_TEXT_MAX], pss[UNITS_TEXT_MAX], clock[16];
	int n = cJSON_GetArraySize(t->rows);
	time_t now = time(NULL);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(clock, sizeof(clock), "%T", &tm);
	(void)snprintf(line, sizeof(line),
		       "%s  %d instance%s  guests: %.0f vCPUs, %s  monitors: %.1f%% CPU, %s",
		       clock, n, n == 1 ? "" : "s", sum(t->rows, "vcpus"),
		       units_bytes(memory, (uint64_t)sum(t->rows, "memory_mib") * MIB),
		       sum(t->rows, "cpu_percent"),
		       units_bytes(pss, (uint64_t)sum(t->rows, "pss_bytes")));
	fprintf(to, "%.*s\n\n", width ? (int)width : (int)sizeof(line), line);
}

static int print(const struct top *t, FILE *to, size_t width, size_t rows)
{
	print_sums(t, to, width);
	return out_lines(to, t->rows, columns, ARRAY_SIZE(columns), width, rows);
}

/* ---- one table after the other ---- */

static void print_batch(const struct top *t)
{
	const struct out *o = &t->ctl->out;

	if (o->json) {
		out_value(o, t->rows);
	} else if (print(t, o->to, 0, 0) == 0) {
		fputc('\n', o->to);
	}
	fflush(o->to);
}

/* What the processors do is only known at the second look. */
static int batch(struct top *t, uint64_t count)
{
	uint64_t next_ms = clock_ms();
	struct err e;

	while (count == 0 || t->looks <= count) {
		if (look(t, &e) < 0)
			return out_error(&t->ctl->out, CTL_FAILED, "%s", e.text);
		if (t->looks > 1)
			print_batch(t);
		if (ferror(t->ctl->out.to))
			return CTL_FAILED;
		if (count && t->looks > count)
			break;
		next_ms += t->delay_ms;
		for (uint64_t now = clock_ms(); now < next_ms; now = clock_ms())
			(void)poll(NULL, 0, (int)(next_ms - now));
	}
	return CTL_OK;
}

/* ---- in place ---- */

static int draw(const struct top *t, struct screen *s)
{
	char *text = NULL;
	size_t len, rows = s->lines > LINES_ABOVE ? s->lines - LINES_ABOVE : 1;
	FILE *f = open_memstream(&text, &len);
	int rc = f ? print(t, f, s->columns, rows) : -ENOMEM;

	if (f && fclose(f) != 0)
		rc = -ENOMEM;
	if (rc == 0)
		rc = screen_draw(s, text);
	free(text);
	return rc;
}

/* Until it is time for the next look; false: it is time to go. */
static bool wait_for_next(const struct top *t, struct screen *s, uint64_t next_ms)
{
	for (uint64_t now = clock_ms(); now < next_ms; now = clock_ms()) {
		switch (screen_wait(s, (int)(next_ms - now))) {
		case SCREEN_KEY:
			if (s->key == 'q' || s->key == 'Q')
				return false;
			if (s->key == ' ')
				return true;
			break;
		case SCREEN_REDRAW:
			if (draw(t, s) < 0)
				return false;
			break;
		case SCREEN_END:
			return false;
		case SCREEN_TIME:
			break;
		}
	}
	return true;
}

static int in_place(struct top *t, struct screen *s, struct err *e)
{
	uint64_t next_ms;

	do {
		int rc = look(t, e);

		if (rc < 0)
			return rc;
		if (draw(t, s) < 0 || (t->count && t->looks >= t->count))
			return 0;
		/* From now: a host that is late is not to be asked the more. */
		next_ms = clock_ms() + t->delay_ms;
	} while (wait_for_next(t, s, next_ms));
	return 0;
}

static int top(const struct ctl *ctl, const void *given, unsigned n, const char *const *words)
{
	const struct top_options *o = given;
	struct top t = { .ctl = ctl, .count = o->count, .delay_ms = parse_delay(o->delay) };
	int out = fileno(ctl->out.to), status;
	struct screen screen;
	struct err e;

	(void)n;
	(void)words;
	if (t.delay_ms == 0)
		return out_error(&ctl->out, CTL_BAD_ARGS,
				 "--delay '%s': not seconds from 0.1 to 3600", o->delay);
	if (ctl->out.json || o->batch || !screen_possible(out)) {
		/* For ever only if that was asked for. */
		status = batch(&t, o->count || o->batch ? o->count : 1);
		end(&t);
		return status;
	}
	if (screen_open(&screen, STDIN_FILENO, out, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	status = in_place(&t, &screen, &e) < 0 ? CTL_FAILED : CTL_OK;
	end(&t);
	screen_close(&screen);
	return status == CTL_OK ? CTL_OK : out_error(&ctl->out, status, "%s", e.text);
}

const struct command cmd_top = {
	.name = "top",
	.words = "",
	.help = "show what the instances use, in place",
	.text = "The busiest come first. CPU% and TIME (of the processors), PSS (memory) and what\n"
		"reached disks are those of the monitor's two processes; what the guest computes\n"
		"is not in them. NET is what went through its taps, as the guest sees it.\n"
		"q leaves, the space bar looks again at once. Where standard output is no\n"
		"terminal, one table is printed, after a second of watching.\n",
	.options = options,
	.options_size = sizeof(struct top_options),
	.defaults = &defaults,
	.run = top,
};
