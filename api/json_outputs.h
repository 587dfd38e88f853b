/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where log, metrics and the serial port's output go, to actions: a part of json_body.
 * Returns and errors are those of json_body().
 *
 * Input from clients: the objects.
 */
#ifndef API_JSON_OUTPUTS_H
#define API_JSON_OUTPUTS_H

#include "api/action.h"
#include "api/json_bind.h"

/* Bodies of PUT /logger, /metrics and /serial. */
MUST_CHECK int json_logger(const struct json_object *o, struct action *out, struct err *e);
MUST_CHECK int json_metrics(const struct json_object *o, struct action *out, struct err *e);
MUST_CHECK int json_serial(const struct json_object *o, struct action *out, struct err *e);

#endif
