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

enum field_type {
	FIELD_U8,
	FIELD_U16,
	FIELD_U64,
	FIELD_USIZE,
	FIELD_BOOL,
	FIELD_STRING,
	FIELD_VARIANT,
	FIELD_MAC, /* a string, "06:00:00:00:00:01" */
	FIELD_OBJECT, /* whatever is there: json_bind finds out */
};

struct field {
	const char *name; /* NULL ends a table */
	enum field_type type;
	bool required;
	bool nullable; /* null is the same as absent */
	bool any_case; /* of a variant's letters */
	bool unlisted; /* known, but errors do not name it among those that are */
	const char *const *variants; /* of a FIELD_VARIANT, ended by NULL */
};

/* More fields than this no object has. */
#define FIELDS_MAX 16

/* A checked text and its tree. */
struct json_doc {
	struct text text;
	cJSON *tree;
};

/* A value of the document, mostly an object. */
struct json_object {
	const struct json_doc *doc;
	const cJSON *tree;
	size_t at; /* its offset in the text */
};

/* What a field got; which member of `u` counts depends on the field's type. */
struct value {
	bool seen; /* in the object, be it null */
	bool given; /* has a value */
	union {
		uint64_t number;
		bool flag;
		unsigned variant; /* index of the variant */
		const char *string; /* lives as long as the document; no NUL inside */
		uint8_t mac[6];
		struct json_object object;
	} u;
};

/*
 * Parse `text`, which the document borrows. -EBADMSG with the reason, -ENOMEM.
 * json_close frees the tree.
 */
MUST_CHECK int json_open(struct json_doc *d, struct text text, struct err *e);
void json_close(struct json_doc *d);

/* The document's top, whatever it is. */
struct json_object json_top(const struct json_doc *d);

/* The n-th member of an object, or element of a list, whatever it is. */
struct json_object json_member_object(const struct json_object *o, unsigned n);
struct json_object json_element(const struct json_object *list, unsigned n);

/* How many elements a list has, or -EBADMSG with the reason when it is none. */
MUST_CHECK int json_list_size(const struct json_object *list, struct err *e);

/*
 * Fill values[i] for fields[i] from the object. `what` is its name in errors ("struct
 * MachineConfig"). 0, or -EBADMSG with the reason.
 */
MUST_CHECK int json_bind(const struct json_object *o, const char *what,
			 const struct field *fields, struct value *values, struct err *e);

/* The same for objects in which fields that nobody knows are ignored. */
MUST_CHECK int json_bind_known(const struct json_object *o, const char *what,
			       const struct field *fields, struct value *values, struct err *e);

/* Copy a FIELD_STRING, "" when it was not given; false when it does not fit. */
MUST_CHECK bool json_copy_string(char *out, size_t size, const struct value *v);

#endif
