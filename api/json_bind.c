/* SPDX-License-Identifier: Apache-2.0 */
/* Objects to values by a table: see json_bind.h. Input from clients: the text. */
#include "api/json_bind.h"

#include "api/json_scan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>

/* How much of a client's text an error message repeats. */
#define ECHO_MAX 64

int json_open(struct json_doc *d, struct text text, struct err *e)
{
	int rc = json_scan_check(text, e);

	if (rc < 0)
		return rc;
	d->text = text;
	d->tree = cJSON_ParseWithLengthOpts(text.at, text.len, NULL, false);
	/* The text was checked, so that only memory can be missing. */
	if (!d->tree)
		return err_set(e, -ENOMEM, "out of memory");
	return 0;
}

void json_close(struct json_doc *d)
{
	cJSON_Delete(d->tree);
}

struct json_object json_top(const struct json_doc *d)
{
	return (struct json_object){ d, d->tree, json_scan_blanks(d->text, 0) };
}

struct json_object json_member_object(const struct json_object *o, unsigned n)
{
	const cJSON *tree = o->tree->child;

	for (unsigned i = 0; i < n; i++)
		tree = tree->next;
	return (struct json_object){ o->doc, tree,
				     json_scan_member(o->doc->text, o->at, n).value };
}

struct json_object json_element(const struct json_object *list, unsigned n)
{
	const cJSON *tree = list->tree->child;

	for (unsigned i = 0; i < n; i++)
		tree = tree->next;
	return (struct json_object){ list->doc, tree,
				     json_scan_element(list->doc->text, list->at, n) };
}

/* A value as the text has it. */
static struct text raw_value(const struct json_object *v)
{
	size_t end = json_scan_end(v->doc->text, v->at);

	return text(v->doc->text.at + v->at, end - v->at);
}

/* To serde_json a number of which 64 bits are not enough is floating point, too. */
static bool is_integer(struct text number)
{
	uint64_t v = 0;

	for (size_t i = 0; i < number.len; i++) {
		unsigned digit = (unsigned)(unsigned char)number.at[i] - '0';

		if (i == 0 && number.at[i] == '-')
			continue;
		if (digit > 9 || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	return true;
}

/* What serde calls the value that it did not expect. */
static void describe(const struct json_object *v, char *out, size_t size)
{
	struct text raw = text_cut(raw_value(v), ECHO_MAX);

	if (cJSON_IsObject(v->tree))
		snprintf(out, size, "map");
	else if (cJSON_IsArray(v->tree))
		snprintf(out, size, "sequence");
	else if (cJSON_IsNull(v->tree))
		snprintf(out, size, "null");
	else if (cJSON_IsBool(v->tree))
		snprintf(out, size, "boolean `%.*s`", TEXT_ARGS(raw));
	else if (cJSON_IsString(v->tree))
		snprintf(out, size, "string %.*s", TEXT_ARGS(raw));
	else
		snprintf(out, size, "%s `%.*s`", is_integer(raw) ? "integer" : "floating point",
			 TEXT_ARGS(raw));
}

/* "invalid type: ..." or "invalid value: ...", at the value. */
static int unexpected(const struct json_object *v, const char *how, const char *expected,
		      struct err *e)
{
	bool nested = cJSON_IsObject(v->tree) || cJSON_IsArray(v->tree);
	size_t at = nested ? v->at + 1 : json_scan_end(v->doc->text, v->at);
	char found[ECHO_MAX + 32];
	char what[256];

	describe(v, found, sizeof(found));
	snprintf(what, sizeof(what), "invalid %s: %s, expected %s", how, found, expected);
	return json_scan_error(e, v->doc->text, at, what);
}

/* "`a`", "`a` or `b`", "one of `a`, `b`, `c`". */
static void list_names(char *out, size_t size, const char *const *names, unsigned count)
{
	size_t used = 0;

	if (count > 2)
		used += (size_t)snprintf(out, size, "one of ");
	for (unsigned i = 0; i < count; i++) {
		const char *between = i == 0 ? "" : count == 2 ? " or " : ", ";

		used += (size_t)snprintf(out + used, size - used, "%s`%s`", between, names[i]);
		assert(used < size); /* the names are ours */
	}
}

/* A name that is none of those that are known. */
struct stranger {
	const char *kind; /* "field" or "variant" */
	const char *name;
	const char *const *known;
	unsigned count;
};

/* "unknown field `x`, expected ...", before offset `at`. */
static int unknown(const struct json_object *o, size_t at, const struct stranger *s,
		   struct err *e)
{
	struct text cut = text_cut(text(s->name, strlen(s->name)), ECHO_MAX);
	char expected[256];
	char what[ECHO_MAX + sizeof(expected) + 64];

	list_names(expected, sizeof(expected), s->known, s->count);
	snprintf(what, sizeof(what), "unknown %s `%.*s`, expected %s", s->kind, TEXT_ARGS(cut),
		 expected);
	return json_scan_error(e, o->doc->text, at, what);
}

static int unknown_field(const struct json_object *o, unsigned n, const char *name,
			 const struct field *fields, struct err *e)
{
	size_t at = json_scan_member(o->doc->text, o->at, n).name_end;
	const char *names[FIELDS_MAX];
	unsigned count = 0;

	for (; fields->name; fields++) {
		assert(count < FIELDS_MAX);
		if (!fields->unlisted)
			names[count++] = fields->name;
	}
	return unknown(o, at, &(struct stranger){ "field", name, names, count }, e);
}

static const struct {
	const char *name;
	uint64_t max;
} integers[] = {
	[FIELD_U8] = { "u8", UINT8_MAX },
	[FIELD_U16] = { "u16", UINT16_MAX },
	[FIELD_U64] = { "u64", UINT64_MAX },
	[FIELD_USIZE] = { "usize", UINT64_MAX },
};

static int bind_number(const struct json_object *v, const struct field *f, struct value *out,
		       struct err *e)
{
	const char *expected = integers[f->type].name;
	uint64_t max = integers[f->type].max;
	struct text raw = raw_value(v);
	uint64_t number = 0;

	if (!cJSON_IsNumber(v->tree) || !is_integer(raw))
		return unexpected(v, "type", expected, e);
	/* From the text: cJSON's double is exact up to 2^53 only. A '-' is no digit. */
	for (size_t i = 0; i < raw.len; i++) {
		unsigned digit = (unsigned)(unsigned char)raw.at[i] - '0';

		if (digit > 9 || number > (max - digit) / 10)
			return unexpected(v, "value", expected, e);
		number = number * 10 + digit;
	}
	out->u.number = number;
	return 0;
}

static bool same_name(const struct field *f, const char *a, const char *b)
{
	return (f->any_case ? strcasecmp(a, b) : strcmp(a, b)) == 0;
}

static int bind_variant(const struct json_object *v, const struct field *f, struct value *out,
			struct err *e)
{
	size_t end = json_scan_end(v->doc->text, v->at);
	const char *name = v->tree->valuestring;
	unsigned count;

	if (!cJSON_IsString(v->tree))
		return json_scan_error(e, v->doc->text, v->at + 1, "expected value");
	for (count = 0; f->variants[count]; count++) {
		if (same_name(f, name, f->variants[count])) {
			out->u.variant = count;
			return 0;
		}
	}
	return unknown(v, end, &(struct stranger){ "variant", name, f->variants, count }, e);
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = memchr(digits, c, sizeof(digits) - 1);

	return at ? (int)(at - digits) % 16 : -1;
}

/* Six times two digits with colons between them. */
static bool parse_mac(const char *s, uint8_t mac[6])
{
	if (strlen(s) != 17)
		return false;
	for (unsigned i = 0; i < 6; i++, s += 3) {
		int high = hex_digit(s[0]), low = hex_digit(s[1]);

		if (high < 0 || low < 0 || (i < 5 && s[2] != ':'))
			return false;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static int bind_mac(const struct json_object *v, struct value *out, struct err *e)
{
	if (!cJSON_IsString(v->tree))
		return unexpected(v, "type", "a string", e);
	if (!parse_mac(v->tree->valuestring, out->u.mac))
		return json_scan_error(e, v->doc->text, json_scan_end(v->doc->text, v->at),
				       "The provided MAC address is invalid.");
	return 0;
}

static int bind_value(const struct json_object *v, const struct field *f, struct value *out,
		      struct err *e)
{
	switch (f->type) {
	case FIELD_U8:
	case FIELD_U16:
	case FIELD_U64:
	case FIELD_USIZE:
		return bind_number(v, f, out, e);
	case FIELD_VARIANT:
		return bind_variant(v, f, out, e);
	case FIELD_BOOL:
		if (!cJSON_IsBool(v->tree))
			return unexpected(v, "type", "a boolean", e);
		out->u.flag = cJSON_IsTrue(v->tree);
		return 0;
	case FIELD_STRING:
		if (!cJSON_IsString(v->tree))
			return unexpected(v, "type", "a string", e);
		out->u.string = v->tree->valuestring;
		return 0;
	case FIELD_MAC:
		return bind_mac(v, out, e);
	case FIELD_OBJECT:
		out->u.object = *v;
		return 0;
	}
	assert(false);
	return -EINVAL;
}

static const struct field *find_field(const struct field *fields, const char *name)
{
	for (; fields->name; fields++)
		if (strcmp(fields->name, name) == 0)
			return fields;
	return NULL;
}

/* What an object's members are bound to. */
struct binding {
	const struct field *fields;
	struct value *values;
	bool strict; /* unknown fields are refused */
};

static int bind_member(const struct json_object *o, unsigned n, const cJSON *member,
		       const struct binding *b, struct err *e)
{
	const struct field *f = find_field(b->fields, member->string);
	struct json_object v;
	struct value *out;
	char what[64];

	if (!f)
		return b->strict ? unknown_field(o, n, member->string, b->fields, e) : 0;
	out = &b->values[f - b->fields];
	if (out->seen) {
		snprintf(what, sizeof(what), "duplicate field `%s`", f->name);
		return json_scan_error(e, o->doc->text,
				       json_scan_member(o->doc->text, o->at, n).name_end, what);
	}
	out->seen = true;
	if (f->nullable && cJSON_IsNull(member))
		return 0;
	out->given = true;
	v = json_member_object(o, n);
	return bind_value(&v, f, out, e);
}

static int missing_field(const struct json_object *o, const char *name, struct err *e)
{
	char what[64];

	snprintf(what, sizeof(what), "missing field `%s`", name);
	return json_scan_error(e, o->doc->text, json_scan_end(o->doc->text, o->at), what);
}

static int bind(const struct json_object *o, const char *what, const struct binding *b,
		struct err *e)
{
	const struct field *fields = b->fields;
	const cJSON *member;
	unsigned n = 0;

	if (!cJSON_IsObject(o->tree))
		return unexpected(o, "type", what, e);
	for (unsigned i = 0; fields[i].name; i++)
		b->values[i] = (struct value){ 0 };
	for (member = o->tree->child; member; member = member->next) {
		int rc = bind_member(o, n++, member, b, e);

		if (rc < 0)
			return rc;
	}
	for (unsigned i = 0; fields[i].name; i++)
		if (fields[i].required && !b->values[i].seen)
			return missing_field(o, fields[i].name, e);
	return 0;
}

int json_bind(const struct json_object *o, const char *what, const struct field *fields,
	      struct value *values, struct err *e)
{
	return bind(o, what, &(struct binding){ fields, values, .strict = true }, e);
}

int json_bind_known(const struct json_object *o, const char *what, const struct field *fields,
		    struct value *values, struct err *e)
{
	return bind(o, what, &(struct binding){ fields, values, .strict = false }, e);
}

int json_list_size(const struct json_object *list, struct err *e)
{
	if (!cJSON_IsArray(list->tree))
		return unexpected(list, "type", "a sequence", e);
	return cJSON_GetArraySize(list->tree);
}

bool json_copy_string(char *out, size_t size, const struct value *v)
{
	size_t len = v->given ? strlen(v->u.string) : 0;

	if (len >= size)
		return false;
	if (len)
		memcpy(out, v->u.string, len);
	out[len] = '\0';
	return true;
}
