/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON in and out, on top of cJSON: bodies of requests to actions, replies to bodies,
 * and the configuration file. Every field is checked for its type; unknown and
 * duplicate fields are refused; nesting is bounded before cJSON sees the text.
 *
 * Input from clients: all text given to the parse functions.
 */
#ifndef API_JSON_H
#define API_JSON_H

#include "api/action.h"

/* Nesting beyond this is refused; nothing in the API needs more than 6. */
#define JSON_DEPTH_MAX 16

/*
 * Parse the body of a request into `out`, whose `kind` tells which body is expected
 * (ACTION_PUT_MACHINE_CONFIG, ACTION_PATCH_MACHINE_CONFIG, ACTION_PUT_BOOT_SOURCE).
 * `e` gets the whole fault message. 0 or -EINVAL.
 */
MUST_CHECK int json_parse_body(const char *text, size_t len, struct action *out, struct err *e);

/* The body of PUT /actions: sets out->kind. */
MUST_CHECK int json_parse_action(const char *text, size_t len, struct action *out, struct err *e);

/* The body of PATCH /vm: sets out->kind to ACTION_PAUSE or ACTION_RESUME. */
MUST_CHECK int json_parse_vm_state(const char *text, size_t len, struct action *out,
				   struct err *e);

/*
 * Parse a whole configuration (--config-file; what GET /vm/config prints is accepted)
 * into the actions that it stands for, at most `max` of them, in the order in which
 * they are to be carried out. `boot-source` is mandatory. Sections of devices that
 * this version does not have are refused unless null or empty. Returns their number
 * or -EINVAL.
 */
MUST_CHECK int json_parse_config(const char *text, size_t len, struct action *out, unsigned max,
				 struct err *e);

/*
 * The body of a reply (not for REPLY_NO_CONTENT), as a malloc'ed string; NULL when
 * memory is short.
 */
char *json_reply(const struct reply *r);

#endif
