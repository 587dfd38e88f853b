/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON objects to C values by a table of fields, with the rules and the words of
 * serde_json as Firecracker uses it: unknown and duplicate fields are refused, types
 * are exact, and errors name the field and where it is.
 *
 * Input from clients: the text.
 */
#ifndef API_JSON_BIND_H
#define API_JSON_BIND_H

#include "api/text.h"
#include "vmm/lib/err.h"

#include <cjson/cJSON.h>

enum field_type { FIELD_U8, FIELD_USIZE, FIELD_BOOL, FIELD_STRING, FIELD_VARIANT };

struct field {
	const char *name; /* NULL ends a table */
	enum field_type type;
	bool required;
	bool nullable; /* null is the same as absent */
	const char *const *variants; /* of a FIELD_VARIANT, ended by NULL */
};

/* More fields than this no object has. */
#define FIELDS_MAX 16

/* What a field got; which member of `u` counts depends on the field's type. */
struct value {
	bool seen; /* in the object, be it null */
	bool given; /* has a value */
	union {
		uint64_t number;
		bool flag;
		unsigned variant; /* index of the variant */
		const char *string; /* lives as long as the document; no NUL inside */
	} u;
};

/* A checked text and its tree. */
struct json_doc {
	struct text text;
	cJSON *tree;
};

/*
 * Parse `text`, which the document borrows. -EBADMSG with the reason, -ENOMEM.
 * json_close frees the tree.
 */
MUST_CHECK int json_open(struct json_doc *d, struct text text, struct err *e);
void json_close(struct json_doc *d);

/* An object of the document. */
struct json_object {
	const struct json_doc *doc;
	const cJSON *tree;
	size_t at; /* its offset in the text */
};

/* The document's top, whatever it is. */
struct json_object json_top(const struct json_doc *d);

/* The n-th member of an object, whatever it is. */
struct json_object json_member_object(const struct json_object *o, unsigned n);

/*
 * Fill values[i] for fields[i] from the object. `what` is its name in errors ("struct
 * MachineConfig"). 0, or -EBADMSG with the reason.
 */
MUST_CHECK int json_bind(const struct json_object *o, const char *what,
			 const struct field *fields, struct value *values, struct err *e);

#endif
