/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request asks for: the table of methods and paths. As many tokens of a path count
 * as the table has (mostly the first); the second may be the id of a drive or interface;
 * what comes after them is not looked at, as in Firecracker. The table has all of
 * Firecracker's paths: actions of those that Xenolith does not serve are refusals.
 *
 * Input from clients: method, path and body.
 */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api/action.h"
#include "api/http.h"

/*
 * Make an action of a request (HTTP_REQUEST). 0; -EINVAL or -ENOMEM with the fault
 * message for the client.
 */
MUST_CHECK int route_request(const struct http_item *request, struct action *out,
			     struct err *e);

/* A row of the table. */
struct route_info {
	enum http_method method;
	const char *tokens[3]; /* of the path; NULL after the last one */
	bool has_id; /* an id follows the first token */
};

/* The i-th row; false when there is none. For the test that compares it with openapi.yaml. */
bool route_at(size_t i, struct route_info *out);

#endif
