/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drives, network interfaces and their rate limiters, to actions: a part of json_body.
 * Returns and errors are those of json_body(); messages about values are Firecracker's.
 *
 * Input from clients: the objects and the ids.
 */
#ifndef API_JSON_DEVICES_H
#define API_JSON_DEVICES_H

#include "api/action.h"
#include "api/json_bind.h"

/* PUT and PATCH of a drive. */
MUST_CHECK int json_drive(const struct json_object *o, struct action *out, struct err *e);
MUST_CHECK int json_drive_patch(const struct json_object *o, struct action *out, struct err *e);

/* PUT and PATCH of a network interface. */
MUST_CHECK int json_net(const struct json_object *o, struct action *out, struct err *e);
MUST_CHECK int json_net_patch(const struct json_object *o, struct action *out, struct err *e);

/* A token bucket, which leaves `out` as it is when it is not given. */
MUST_CHECK int json_bucket(struct token_bucket_config *out, const struct value *bucket,
			   struct err *e);

/* Whether a drive or interface may have this id: 1..64 of [A-Za-z0-9_]. 0 or -EINVAL. */
MUST_CHECK int json_device_id(struct text id, struct err *e);

#endif
