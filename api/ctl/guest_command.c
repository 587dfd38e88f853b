/* SPDX-License-Identifier: Apache-2.0 */
/* A command as a guest's only process: see guest_command.h. */
#include "api/ctl/guest_command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Marks are this, the token, '-', a letter, the status after 'E', and a line end. */
#define MARK '\036'

/* ---- the kernel's command line ------------------------------------------------- */

struct text {
	char *at;
	size_t n, size;
};

static void put(struct text *t, char c)
{
	if (t->n + 1 < t->size)
		t->at[t->n] = c;
	t->n++;
}

static void put_plain(struct text *t, const char *s)
{
	while (*s)
		put(t, *s++);
}

/*
 * As an argument of printf %b inside single quotes inside the kernel's double quotes,
 * which know no escapes themselves.
 */
static void put_encoded(struct text *t, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c > 0x7e || strchr("\"'\\", c)) {
			put_plain(t, "\\0");
			put(t, (char)('0' + (c >> 6)));
			put(t, (char)('0' + (c >> 3 & 7)));
			put(t, (char)('0' + (c & 7)));
		} else {
			put(t, (char)c);
		}
	}
}

/* Inside the single quotes of a shell, and then encoded. */
static void put_quoted(struct text *t, const char *s)
{
	const char one[] = "'";

	put_encoded(t, one);
	for (; *s; s++) {
		char c[] = { *s, '\0' };

		put_encoded(t, *s == '\'' ? "'\\''" : c);
	}
	put_encoded(t, one);
}

/* What is not there cannot be mounted, or is already: what these say comes before the mark. */
#define PREPARE                                                                             \
	"unset IFS;set +f;export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:" \
	"/usr/bin:/sbin:/bin;cd /;m(){ mount -t $1 $1 $2||busybox mount -t $1 $1 $2;};"     \
	"m proc /proc;m sysfs /sys;m devtmpfs /dev;"

int guest_command_args(char *out, size_t size, const char *command, const char *token,
		       bool input)
{
	struct text t = { .at = out, .size = size };

	/* Without word splitting the text need not be quoted: double quotes are taken. */
	put_plain(&t, "-- -c \"set -f;IFS=;eval $(printf %b '");
	put_encoded(&t, PREPARE);
	if (!input)
		put_encoded(&t, "stty raw -echo;[ -c /dev/null ]&&exec </dev/null;");
	put_encoded(&t, "printf '\\036");
	put_encoded(&t, token);
	put_encoded(&t, "-B\\n';sh -c ");
	put_quoted(&t, command);
	put_encoded(&t, ";s=$?;sync;printf '\\036");
	put_encoded(&t, token);
	put_encoded(&t, "-E%d\\n' $s;while :;do sleep 99;done");
	put_plain(&t, "')\"");
	if (t.n >= size)
		return -E2BIG;
	out[t.n] = '\0';
	return (int)t.n;
}

/* ---- what comes back ----------------------------------------------------------- */

static void keep_tail(struct guest_output *g, char c)
{
	if (g->n_tail == sizeof(g->tail)) {
		memmove(g->tail, g->tail + sizeof(g->tail) / 2, sizeof(g->tail) / 2);
		g->n_tail = sizeof(g->tail) / 2;
	}
	g->tail[g->n_tail++] = c;
}

/* Bytes that are no mark. */
static size_t pass(struct guest_output *g, const char *bytes, size_t n, char *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (g->stage == GUEST_BOOTING)
			keep_tail(g, bytes[i]);
		else if (g->stage == GUEST_COMMAND && !(g->crlf && bytes[i] == '\r'))
			out[kept++] = bytes[i];
	}
	return kept;
}

/* Whether the bytes held, the last one a line feed, are a mark; then act on it. */
static bool mark(struct guest_output *g)
{
	size_t n = strlen(g->token);
	const char *rest = g->held + 1 + n;
	bool crlf;
	char *end;
	long status;

	if (g->n_held < n + 4 || memcmp(g->held + 1, g->token, n) != 0 || rest[0] != '-')
		return false;
	g->held[g->n_held - 1] = '\0';
	crlf = g->held[g->n_held - 2] == '\r';
	if (g->stage == GUEST_BOOTING && rest[1] == 'B') {
		g->stage = GUEST_COMMAND;
		g->crlf = crlf;
		return true;
	}
	status = strtol(rest + 2, &end, 10);
	if (g->stage != GUEST_COMMAND || rest[1] != 'E' || end == rest + 2 || status < 0 ||
	    status > 255) {
		g->held[g->n_held - 1] = '\n';
		return false;
	}
	g->stage = GUEST_DONE;
	g->status = (int)status;
	return true;
}

/* Whether the bytes held may become a mark. */
static bool may_be_mark(const struct guest_output *g)
{
	size_t n = strlen(g->token);

	if (g->held[0] != MARK || g->n_held >= sizeof(g->held) - 1)
		return false;
	return memcmp(g->held + 1, g->token, g->n_held - 1 < n ? g->n_held - 1 : n) == 0;
}

size_t guest_output_feed(struct guest_output *g, const char *bytes, size_t n, char *out)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		g->held[g->n_held++] = bytes[i];
		if (bytes[i] == '\n' && g->held[0] == MARK && mark(g)) {
			g->n_held = 0;
			continue;
		}
		if (bytes[i] != '\n' && may_be_mark(g))
			continue;
		/* A new mark may begin with the byte that ended this one. */
		if (bytes[i] == MARK && g->n_held > 1) {
			kept += pass(g, g->held, g->n_held - 1, out + kept);
			g->held[0] = MARK;
			g->n_held = 1;
			continue;
		}
		kept += pass(g, g->held, g->n_held, out + kept);
		g->n_held = 0;
	}
	return kept;
}
