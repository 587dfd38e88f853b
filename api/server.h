/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API server: HTTP/1.1 on a Unix stream socket, driven by the loop. One request
 * is carried out at a time, in the order of arrival; no connection can hold up the
 * VM or another connection.
 *
 * Input from clients: every byte read from a connection. Bounded: connections, head
 * lines, body size, unsent output.
 */
#ifndef API_SERVER_H
#define API_SERVER_H

#include "api/action.h"
#include "vmm/lib/loop.h"

#define API_CONNECTIONS_MAX 10
#define API_LINE_MAX 1024
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
 * are refused. Returns 0 or -errno; on error `fd` stays the caller's.
 */
MUST_CHECK int api_server_create(struct api_server **out, struct loop *loop, int fd,
				 size_t body_max, action_handler handler, void *ctx);

/* Closes all connections. Call it before loop_destroy; operations in flight end with the ring. */
void api_server_destroy(struct api_server *s);

#endif
