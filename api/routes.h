/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request asks for: the table of methods and paths. The first token of a path
 * decides (the first two for /vm/config and /hotplug/memory), the second is the id of
 * a drive or interface; what comes after it is not looked at, as in Firecracker.
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

#endif
