/* SPDX-License-Identifier: Apache-2.0 */
/* The language of scripted guests: see README.md. */
#include "tests/fake/guest.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/hv_fake.h"

/* What follows a step's name: A address or port, V value, E optional value, T text. */
static const struct syntax {
	const char *name;
	const char *operands;
	enum guest_step_kind kind;
	uint8_t size;
} syntaxes[] = {
	{ "out8", "AV", GUEST_OUT, 1 },	     { "out16", "AV", GUEST_OUT, 2 },
	{ "out32", "AV", GUEST_OUT, 4 },     { "in8", "AE", GUEST_IN, 1 },
	{ "in16", "AE", GUEST_IN, 2 },	     { "in32", "AE", GUEST_IN, 4 },
	{ "write8", "AV", GUEST_WRITE, 1 },  { "write16", "AV", GUEST_WRITE, 2 },
	{ "write32", "AV", GUEST_WRITE, 4 }, { "write64", "AV", GUEST_WRITE, 8 },
	{ "read8", "AE", GUEST_READ, 1 },    { "read16", "AE", GUEST_READ, 2 },
	{ "read32", "AE", GUEST_READ, 4 },   { "read64", "AE", GUEST_READ, 8 },
	{ "outs", "AT", GUEST_OUTS, 1 },     { "outs_back", "AT", GUEST_OUTS_BACK, 1 },
	{ "ins", "AV", GUEST_INS, 1 },	     { "print", "T", GUEST_PRINT, 1 },
	{ "input", "T", GUEST_INPUT, 1 },    { "wait", "AV", GUEST_WAIT, 8 },
	{ "sleep", "V", GUEST_SLEEP, 8 },    { "end", "H", GUEST_END, 1 },
	{ "lost", "", GUEST_LOST, 1 },	     { "loop", "", GUEST_LOOP, 1 },
	{ "idle", "", GUEST_IDLE, 1 },	     { "give_back", "A", GUEST_GIVE_BACK, 8 },
};

static const char *const ends[] = {
	[HV_END_POWEROFF] = "poweroff",	  [HV_END_REBOOT] = "reboot", [HV_END_CRASH] = "crash",
	[HV_END_TRIPLE_FAULT] = "triple", [HV_END_OTHER] = "other",
};

/* A line that is being parsed. */
struct cursor {
	const char *at;
	const char *fault; /* NULL: none so far */
};

static void skip_blanks(struct cursor *c)
{
	while (*c->at == ' ' || *c->at == '\t')
		c->at++;
}

static bool at_end(struct cursor *c)
{
	skip_blanks(c);
	return *c->at == '\0' || *c->at == '#';
}

static void word(struct cursor *c, char *out, size_t size)
{
	size_t n = 0;

	skip_blanks(c);
	while (isgraph((unsigned char)*c->at) && n + 1 < size)
		out[n++] = *c->at++;
	out[n] = '\0';
	if (n == 0)
		c->fault = "an operand is missing";
}

static uint64_t number(struct cursor *c)
{
	char digits[32], *end;
	uint64_t v;

	word(c, digits, sizeof(digits));
	errno = 0;
	v = strtoull(digits, &end, 0);
	if (!c->fault && (errno || *end || !isdigit((unsigned char)digits[0])))
		c->fault = "not a number";
	return v;
}

static char escape(struct cursor *c)
{
	static const char from[] = "nrte\\\"0", to[] = "\n\r\t\033\\\"";
	const char *p;
	char hex[3];

	if (*c->at == 'x' && isxdigit((unsigned char)c->at[1]) &&
	    isxdigit((unsigned char)c->at[2])) {
		memcpy(hex, c->at + 1, 2);
		hex[2] = '\0';
		c->at += 3;
		return (char)strtoul(hex, NULL, 16);
	}
	p = *c->at ? strchr(from, *c->at) : NULL;
	if (!p) {
		c->fault = "unknown escape";
		return 0;
	}
	c->at++;
	return to[p - from];
}

static void text_operand(struct cursor *c, struct guest_step *s)
{
	skip_blanks(c);
	if (*c->at++ != '"') {
		c->fault = "a \"text\" is missing";
		return;
	}
	s->text = calloc(1, GUEST_TEXT_MAX);
	if (!s->text)
		abort();
	while (*c->at != '"' && !c->fault) {
		if (*c->at == '\0' || s->len == GUEST_TEXT_MAX) {
			c->fault = "the text has no end, or is too long";
			return;
		}
		if (*c->at != '\\') {
			s->text[s->len++] = *c->at++;
			continue;
		}
		c->at++;
		s->text[s->len++] = escape(c);
	}
	c->at += *c->at == '"';
	if (s->len == 0)
		c->fault = "the text is empty";
}

static void end_operand(struct cursor *c, struct guest_step *s)
{
	char name[16];

	word(c, name, sizeof(name));
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		if (strcmp(name, ends[i]) == 0) {
			s->value = i;
			return;
		}
	}
	c->fault = "no such end: poweroff, reboot, crash, triple or other";
}

static void value_operand(struct cursor *c, struct guest_step *s)
{
	s->value = number(c);
	s->has_value = true;
	if (s->size < 8 && s->value >> s->size * 8 && s->kind != GUEST_INS)
		c->fault = "the value is too large";
}

static void operand(struct cursor *c, struct guest_step *s, char kind)
{
	switch (kind) {
	case 'A':
		s->addr = number(c);
		break;
	case 'E':
		if (!at_end(c))
			value_operand(c, s);
		break;
	case 'V':
		value_operand(c, s);
		break;
	case 'T':
		text_operand(c, s);
		break;
	case 'H':
		end_operand(c, s);
		break;
	default:
		abort();
	}
}

static const char *check(const struct guest_step *s)
{
	if (s->kind == GUEST_WAIT && s->addr >= HV_FAKE_GSIS)
		return "no such GSI";
	if (s->kind == GUEST_INS && (s->value == 0 || s->value > GUEST_TEXT_MAX))
		return "too many bytes, or none";
	return NULL;
}

/* One line that is not empty; what is wrong with it, or NULL. */
static const char *parse_step(const char *line, struct guest_step *s)
{
	struct cursor c = { .at = line };
	char name[16];

	word(&c, name, sizeof(name));
	for (size_t i = 0; i < ARRAY_SIZE(syntaxes); i++) {
		const struct syntax *x = &syntaxes[i];

		if (strcmp(name, x->name) != 0)
			continue;
		s->kind = x->kind;
		s->size = x->size;
		for (const char *o = x->operands; *o && !c.fault; o++)
			operand(&c, s, *o);
		if (!c.fault && !at_end(&c))
			return "something is left at its end";
		return c.fault ? c.fault : check(s);
	}
	return "no such step";
}

static int parse_line(struct guest *g, char *line, unsigned number_of_line, struct err *e)
{
	struct cursor c = { .at = line };
	struct guest_step *s = &g->steps[g->n];
	const char *fault;

	if (at_end(&c))
		return 0;
	s->line = number_of_line;
	g->n++;
	fault = parse_step(line, s);
	if (fault)
		return err_set(e, -EINVAL, "%s:%u: %s: %s", g->name, number_of_line, line,
			       fault);
	return 0;
}

int guest_parse(struct guest *g, const char *name, const char *script, struct err *e)
{
	char *copy = strdup(script), *rest = copy, *line;
	unsigned n = 0;
	size_t lines = 1;
	int rc = 0;

	*g = (struct guest){ .name = name };
	for (const char *p = script; *p; p++)
		lines += *p == '\n';
	g->steps = calloc(lines, sizeof(*g->steps));
	if (!copy || !g->steps)
		abort();
	while (rc == 0 && (line = strsep(&rest, "\n")))
		rc = parse_line(g, line, ++n, e);
	free(copy);
	if (rc < 0)
		guest_free(g);
	return rc;
}

void guest_free(struct guest *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->steps[i].text);
	free(g->steps);
	*g = (struct guest){ 0 };
}
