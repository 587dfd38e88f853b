/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's end of the API: HTTP/1.1 with JSON bodies over a Unix stream socket, one
 * request after the other on one connection. A request ends after a time-out, or when
 * a descriptor of the caller's (its signals) becomes readable.
 *
 * Input from the server: everything received. A reply is bounded.
 */
#ifndef API_CTL_CLIENT_H
#define API_CTL_CLIENT_H

#include "vmm/lib/err.h"

#include <cjson/cJSON.h>
#include <stdio.h>

#define CLIENT_TIMEOUT_MS 30000
#define CLIENT_REPLY_MAX (4u << 20)

struct client {
	int fd; /* -1: not connected */
	int cancel_fd; /* -1: none; readable: give up */
	unsigned timeout_ms; /* of one request */
	FILE *progress; /* where to say that a request takes long; NULL: nowhere */
};

/*
 * Connect to the socket at `path`. 0, or -errno with a reason: -ENOENT or -ECONNREFUSED
 * when nobody listens there. To be closed by client_close.
 */
MUST_CHECK int client_open(struct client *c, const char *path, struct err *e);

/* Closes the connection; may be called twice. */
void client_close(struct client *c);

/*
 * Make a request. `body` (borrowed) may be NULL. `*answer` is the JSON of the reply, NULL
 * when it has none; to be freed with cJSON_Delete; `answer` may be NULL. Returns the HTTP
 * status when it is 2xx, else -errno with the reason: -EREMOTEIO is a refusal of the
 * server in its own words, -ECANCELED the descriptor, -ETIMEDOUT the time.
 */
MUST_CHECK int client_call(struct client *c, const char *method, const char *path,
			   const cJSON *body, cJSON **answer, struct err *e);

/* The same with a body as text, which is sent as it is, whatever it is; NULL: none. */
MUST_CHECK int client_send(struct client *c, const char *method, const char *path,
			   const char *body, cJSON **answer, struct err *e);

/* One request on a connection of its own: see client_call. */
MUST_CHECK int client_once(const char *socket, const char *method, const char *path,
			   const cJSON *body, cJSON **answer, struct err *e);

#endif
