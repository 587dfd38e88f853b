/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of the API, each by its table of fields, to actions. They come as bodies
 * of requests and as sections of the configuration file.
 *
 * Input from clients: the objects.
 */
#ifndef API_JSON_BODY_H
#define API_JSON_BODY_H

#include "api/json.h"
#include "api/json_bind.h"

/*
 * Make an action, kind and all, of an object. 0; -EBADMSG when the object has not the
 * form that it should have, -EINVAL when it is refused, -EDOM when only its values are and
 * kind and id are valid, with the reason.
 */
MUST_CHECK int json_body(enum json_body body, const struct json_object *o, struct action *out,
			 struct err *e);

#endif
