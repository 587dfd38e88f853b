/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server: HTTP/1.1 on a Unix stream socket, driven by the loop. One request
 * is carried out at a time, in the order of arrival; no connection can hold up the
 * VM or another connection. Connections live until the client closes them: half a
 * request may wait for its other half for ever.
 *
 * Input from clients: every byte read from a connection. Bounded: connections, head
 * lines, body size, and unsent output: one reply a connection, and nothing more is
 * read from a client that does not take it.
 */
#ifndef API_SERVER_H
#define API_SERVER_H

#include "api/action.h"
#include "api/counts.h"
#include "vmm/lib/loop.h"

#define API_CONNECTIONS_MAX 10
#define API_BODY_MAX_DEFAULT 51200

struct api_server;

/*
 * Create, bind and listen on the socket at `path`; done before the sandbox closes.
 * An existing file at `path` is an error (-EADDRINUSE), whoever it belongs to.
 * Returns the descriptor or -errno with the reason.
 */
MUST_CHECK int api_listen(const char *path, struct err *e);

/*
 * Serve on `fd` (taken over). Requests whose body is longer than `body_max` bytes
 * are refused. `handler` is called from loop_turn with each request. Returns 0 or
 * -errno; on error `fd` stays the caller's.
 */
MUST_CHECK int api_server_create(struct api_server **out, struct loop *loop, int fd,
				 size_t body_max, action_handler handler, void *ctx);

/* Count the requests there (borrowed for life) from now on. */
void api_server_count(struct api_server *s, struct api_counts *counts);

/*
 * Closes all connections and the socket. No turn of the loop may follow: operations in
 * flight end with the ring, so call it right before loop_destroy. NULL is allowed.
 */
void api_server_destroy(struct api_server *s);

#endif
