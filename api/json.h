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
#include "api/text.h"

/* What the body of a request says. */
enum json_body {
	JSON_MACHINE_CONFIG,
	JSON_MACHINE_CONFIG_PATCH,
	JSON_BOOT_SOURCE,
	JSON_ACTION, /* of PUT /actions */
	JSON_VM_STATE, /* of PATCH /vm */
	JSON_DRIVE,
	JSON_DRIVE_PATCH,
	JSON_NET, /* of PUT /network-interfaces */
	JSON_NET_PATCH,
	JSON_LOGGER,
	JSON_METRICS,
	JSON_SERIAL,
	JSON_BODIES
};

/*
 * Parse the body of a request into `out`, its kind included. `e` gets the whole fault
 * message. 0, -EINVAL or -ENOMEM; -EDOM when the values are refused, which does not matter
 * to those who may not do it at all: `out` then has kind and id.
 */
MUST_CHECK int json_parse_body(enum json_body body, struct text text, struct action *out,
			       struct err *e);

/* The most actions that a configuration can stand for. */
#define JSON_CONFIG_ACTIONS (5 + CONFIG_DEVICES_MAX)

/*
 * Parse a whole configuration (--config-file; what GET /vm/config prints is accepted)
 * into the actions that it stands for, at most `max` of them, in the order in which
 * they are to be carried out. `boot-source` is mandatory. Sections of devices that
 * this version does not have are refused unless null or an empty list; sections that
 * nobody knows are ignored, as Firecracker does. Returns the number of actions, or
 * -EINVAL or -ENOMEM with the reason.
 */
MUST_CHECK int json_parse_config(const char *text, size_t len, struct action *out, unsigned max,
				 struct err *e);

/*
 * The body of a reply (not for REPLY_NO_CONTENT), as a malloc'ed string; NULL when
 * memory is short.
 */
char *json_reply(const struct reply *r);

/* The body of the answer to a request that is no HTTP, malloc'ed or NULL as above. */
char *json_http_error(const char *reason);

#endif
