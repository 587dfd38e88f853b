/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cJSON does not do. It takes control characters for blanks, accepts "01" and
 * "1.", bytes that are not UTF-8 and any nesting, keeps numbers as doubles, and does
 * not tell where a member of an object was. So each text is first checked here against
 * RFC 8259, without recursion, and numbers and positions are looked up in the text.
 *
 * Input from clients: the text.
 */
#ifndef API_JSON_SCAN_H
#define API_JSON_SCAN_H

#include "api/text.h"
#include "vmm/lib/err.h"

/* Nesting beyond this is refused; nothing in the API needs more than 6. */
#define JSON_DEPTH_MAX 16

/*
 * Whether `json` is one JSON value that cJSON understands in the same way; strings
 * hold no NUL. 0, or -EBADMSG with serde_json's words and "at line L column C".
 */
MUST_CHECK int json_scan_check(struct text json, struct err *e);

/* Offsets of one member of an object: just after its name, and of its value. */
struct json_member {
	size_t name_end;
	size_t value, value_end;
};

/*
 * Where the n-th member (from 0) of the object at offset `object` is. The text was
 * checked and the member exists.
 */
struct json_member json_scan_member(struct text json, size_t object, unsigned n);

/*
 * The offset of the n-th element (from 0) of the list at offset `list`. The text was checked
 * and the element exists.
 */
size_t json_scan_element(struct text json, size_t list, unsigned n);

/* The offset after the value at offset `value` of a checked text. */
size_t json_scan_end(struct text json, size_t value);

/* The offset of the first byte that is not blank, from `at` on. */
size_t json_scan_blanks(struct text json, size_t at);

/* Set "<text> at line L column C", for the place just before offset `at`. -EBADMSG. */
int json_scan_error(struct err *e, struct text json, size_t at, const char *what);

#endif
