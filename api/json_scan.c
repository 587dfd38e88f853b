/* SPDX-License-Identifier: Apache-2.0 */
/* Strict check of JSON: see json_scan.h. Input from clients: all of it. */
#include "api/json_scan.h"

#include <assert.h>
#include <errno.h>

/* cJSON copies a number into a buffer of this size. */
#define NUMBER_MAX 63

enum expect {
	A_VALUE,
	VALUE_OR_CLOSE, /* after [ */
	NAME,
	NAME_OR_CLOSE, /* after { */
	COLON,
	COMMA_OR_CLOSE,
	NOTHING /* the value is complete */
};

struct scan {
	struct text json;
	size_t at; /* what is looked at */
	enum expect expect;
	unsigned depth;
	char open[JSON_DEPTH_MAX]; /* '{' or '[' of each level */
	struct err *e;
};

int json_scan_error(struct err *e, struct text json, size_t at, const char *what)
{
	size_t line = 1, start = 0;

	at = min_size(at, json.len);
	for (size_t i = 0; i < at; i++) {
		if (json.at[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	return err_set(e, -EBADMSG, "%s at line %zu column %zu", what, line, at - start);
}

/* The character that is looked at is the wrong one. */
static int fail(struct scan *s, const char *what)
{
	return json_scan_error(s->e, s->json, s->at + 1, what);
}

static bool at_end(const struct scan *s)
{
	return s->at == s->json.len;
}

/* The next character; -1 at the end. */
static int peek(const struct scan *s)
{
	return at_end(s) ? -1 : (unsigned char)s->json.at[s->at];
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(int c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Four hexadecimal digits. */
static int scan_unit(struct scan *s, unsigned *out)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		int digit = hex_value(peek(s));

		if (at_end(s))
			return fail(s, "EOF while parsing a string");
		if (digit < 0)
			return fail(s, "invalid escape");
		v = v << 4 | (unsigned)digit;
		s->at++;
	}
	*out = v;
	return 0;
}

/* After "\u": one character, which may take two units (UTF-16). */
static int scan_unicode(struct scan *s)
{
	unsigned high = 0, low = 0;
	int rc = scan_unit(s, &high);

	if (rc < 0)
		return rc;
	if (high == 0)
		return fail(s, "NUL character in a string");
	if (high < 0xd800 || high > 0xdfff)
		return 0;
	if (high > 0xdbff || s->json.len - s->at < 2 || s->json.at[s->at] != '\\' ||
	    s->json.at[s->at + 1] != 'u')
		return fail(s, "lone surrogate in hex escape");
	s->at += 2;
	rc = scan_unit(s, &low);
	if (rc == 0 && (low < 0xdc00 || low > 0xdfff))
		rc = fail(s, "lone surrogate in hex escape");
	return rc;
}

static int scan_escape(struct scan *s)
{
	int c = peek(s);

	if (c < 0)
		return fail(s, "EOF while parsing a string");
	/* memchr with the length: strchr would find the terminating NUL. */
	if (c != 'u' && !memchr("\"\\/bfnrt", c, 8))
		return fail(s, "invalid escape");
	s->at++;
	return c == 'u' ? scan_unicode(s) : 0;
}

/* From the opening quote to after the closing one. */
static int scan_string(struct scan *s)
{
	size_t start = ++s->at;
	struct text content;
	int rc = 0;

	while (rc == 0 && peek(s) != '"') {
		int c = peek(s);

		if (c < 0)
			return fail(s, "EOF while parsing a string");
		if (c < 0x20)
			return fail(
				s,
				"control character (\\u0000-\\u001F) found while parsing a string");
		s->at++;
		if (c == '\\')
			rc = scan_escape(s);
	}
	if (rc < 0)
		return rc;
	content = text(s->json.at + start, s->at - start);
	if (text_utf8_len(content) != content.len)
		return fail(s, "invalid unicode code point");
	s->at++;
	return 0;
}

static int scan_digits(struct scan *s)
{
	if (at_end(s))
		return fail(s, "EOF while parsing a value");
	if (!is_digit(peek(s)))
		return fail(s, "invalid number");
	while (is_digit(peek(s)))
		s->at++;
	return 0;
}

static int scan_exponent(struct scan *s)
{
	s->at++;
	if (peek(s) == '+' || peek(s) == '-')
		s->at++;
	return scan_digits(s);
}

static int scan_number(struct scan *s)
{
	size_t start = s->at;
	size_t digits;
	int rc;

	if (peek(s) == '-')
		s->at++;
	digits = s->at;
	rc = scan_digits(s);
	if (rc < 0)
		return rc;
	if (s->json.at[digits] == '0' && s->at - digits > 1)
		return json_scan_error(s->e, s->json, digits + 2, "invalid number");
	if (peek(s) == '.') {
		s->at++;
		rc = scan_digits(s);
	}
	if (rc == 0 && (peek(s) == 'e' || peek(s) == 'E'))
		rc = scan_exponent(s);
	if (rc == 0 && s->at - start > NUMBER_MAX)
		rc = fail(s, "number out of range");
	return rc;
}

static int scan_word(struct scan *s, const char *word)
{
	for (; *word; word++, s->at++) {
		if (at_end(s))
			return fail(s, "EOF while parsing a value");
		if (peek(s) != *word)
			return fail(s, "expected ident");
	}
	return 0;
}

static int open_level(struct scan *s, char c)
{
	if (s->depth == JSON_DEPTH_MAX)
		return fail(s, "recursion limit exceeded");
	s->open[s->depth++] = c;
	s->at++;
	s->expect = c == '{' ? NAME_OR_CLOSE : VALUE_OR_CLOSE;
	return 0;
}

/* A value is complete: what may follow depends on what it is part of. */
static void value_done(struct scan *s)
{
	s->expect = s->depth ? COMMA_OR_CLOSE : NOTHING;
}

static int scan_scalar(struct scan *s, int c)
{
	if (c == '"')
		return scan_string(s);
	if (c == '-' || is_digit(c))
		return scan_number(s);
	if (c == 't')
		return scan_word(s, "true");
	if (c == 'f')
		return scan_word(s, "false");
	if (c == 'n')
		return scan_word(s, "null");
	return fail(s, "expected value");
}

static int scan_value(struct scan *s, int c)
{
	int rc;

	if (c == '{' || c == '[')
		return open_level(s, (char)c);
	rc = scan_scalar(s, c);
	if (rc == 0)
		value_done(s);
	return rc;
}

static int scan_name(struct scan *s, int c)
{
	if (c != '"')
		return fail(s, c == '}' ? "trailing comma" : "key must be a string");
	s->expect = COLON;
	return scan_string(s);
}

static bool in_object(const struct scan *s)
{
	return s->depth && s->open[s->depth - 1] == '{';
}

static int scan_close(struct scan *s)
{
	s->at++;
	s->depth--;
	value_done(s);
	return 0;
}

static int scan_comma(struct scan *s, int c)
{
	bool object = in_object(s);

	if (c != ',')
		return fail(s, object ? "expected `,` or `}`" : "expected `,` or `]`");
	s->at++;
	s->expect = object ? NAME : A_VALUE;
	return 0;
}

static int scan_colon(struct scan *s, int c)
{
	if (c != ':')
		return fail(s, "expected `:`");
	s->at++;
	s->expect = A_VALUE;
	return 0;
}

static bool may_close(enum expect expect)
{
	return expect == NAME_OR_CLOSE || expect == VALUE_OR_CLOSE || expect == COMMA_OR_CLOSE;
}

static int scan_step(struct scan *s, int c)
{
	if (may_close(s->expect) && c == (in_object(s) ? '}' : ']'))
		return scan_close(s);
	switch (s->expect) {
	case A_VALUE:
		if (c == ']' && s->depth && !in_object(s))
			return fail(s, "trailing comma");
		return scan_value(s, c);
	case VALUE_OR_CLOSE:
		return scan_value(s, c);
	case NAME:
	case NAME_OR_CLOSE:
		return scan_name(s, c);
	case COLON:
		return scan_colon(s, c);
	case COMMA_OR_CLOSE:
		return scan_comma(s, c);
	case NOTHING:
		break;
	}
	return fail(s, "trailing characters");
}

/* The text ends before the value does. */
static int scan_eof(struct scan *s)
{
	if (s->expect == A_VALUE || s->expect == NAME)
		return fail(s, "EOF while parsing a value");
	return fail(s,
		    in_object(s) ? "EOF while parsing an object" : "EOF while parsing a list");
}

int json_scan_check(struct text json, struct err *e)
{
	struct scan s = { .json = json, .expect = A_VALUE, .e = e };

	for (;;) {
		int rc;

		s.at = json_scan_blanks(json, s.at);
		if (at_end(&s))
			return s.expect == NOTHING ? 0 : scan_eof(&s);
		rc = scan_step(&s, peek(&s));
		if (rc < 0)
			return rc;
	}
}

size_t json_scan_blanks(struct text json, size_t at)
{
	/* Not isspace: form feed and vertical tab are no blanks in JSON. */
	while (at < json.len && memchr(" \t\r\n", json.at[at], 4))
		at++;
	return at;
}

/* After the string that starts at `at`. */
static size_t skip_string(struct text json, size_t at)
{
	for (at++; at < json.len && json.at[at] != '"'; at++)
		if (json.at[at] == '\\')
			at++;
	return at + 1;
}

static size_t skip_nested(struct text json, size_t at)
{
	unsigned depth = 0;

	do {
		char c = json.at[at];

		if (c == '"') {
			at = skip_string(json, at);
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		at++;
	} while (depth && at < json.len);
	return at;
}

size_t json_scan_end(struct text json, size_t value)
{
	char c;

	assert(value < json.len);
	c = json.at[value];
	if (c == '"')
		return skip_string(json, value);
	if (c == '{' || c == '[')
		return skip_nested(json, value);
	while (value < json.len && !memchr(" \t\r\n,]}", json.at[value], 7))
		value++;
	return value;
}

struct json_member json_scan_member(struct text json, size_t object, unsigned n)
{
	struct json_member m = { .value_end = object };

	for (unsigned i = 0; i <= n; i++) {
		/* Past the brace before the first member, the comma before the others. */
		size_t name = json_scan_blanks(json, m.value_end);

		name = json_scan_blanks(json, name + 1);
		m.name_end = skip_string(json, name);
		m.value = json_scan_blanks(json, m.name_end) + 1;
		m.value = json_scan_blanks(json, m.value);
		m.value_end = json_scan_end(json, m.value);
	}
	return m;
}

size_t json_scan_element(struct text json, size_t list, unsigned n)
{
	size_t end = list;

	for (unsigned i = 0;; i++) {
		/* Past the bracket before the first element, the comma before the others. */
		size_t at = json_scan_blanks(json, json_scan_blanks(json, end) + 1);

		if (i == n)
			return at;
		end = json_scan_end(json, at);
	}
}
