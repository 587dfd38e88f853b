/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of the API: see server.h. A connection waits for one operation at a time,
 * either to receive or to send; while replies are unsent nothing is received, so that
 * what a client can make us keep is bounded.
 *
 * Input from clients: what is received. Descriptors that come with it (SCM_RIGHTS) are
 * closed by the kernel, because recv gives it no place to put them.
 */
#include "api/server.h"

#include "api/http.h"
#include "api/json.h"
#include "api/routes.h"
#include "vmm/lib/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * gcc's analyzer (12.2) loses sight of what is stored in a connection, whose index it
 * does not know, and takes each reply for a leak. The tests run with LeakSanitizer.
 */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define RECEIVE_BYTES 4096
#define ACCEPT_RETRY_MS 100

struct connection {
	struct loop_op op;
	struct api_server *server;
	int fd; /* -1: not in use */
	struct http_parser parser;
	char in[RECEIVE_BYTES];
	char *out; /* head and body of a reply */
	size_t out_len, out_sent;
};

struct api_server {
	struct loop *loop;
	int fd;
	size_t body_max;
	action_handler handler;
	void *ctx;
	struct api_counts *counts; /* NULL: nobody wants to know */
	struct loop_op accept;
	struct loop_timer accept_retry;
	bool accept_failed; /* since the last connection */
	struct connection connections[API_CONNECTIONS_MAX];
	int waiting_fd; /* -1, or the connection that gets the next free place */
	struct loop_op refuse;
	int refused_fd; /* -1, or the connection that is one too many */
	struct action action; /* too big for the stack; used within one call */
};

static void accept_next(struct api_server *s);
static void next_item(struct connection *c);
static void received(struct loop_op *op, int res);
static void sent(struct loop_op *op, int res);

/* ---- replies ---- */

/* Queue a reply; `body` (may be NULL) is freed. */
static int reply(struct connection *c, unsigned status, bool deprecated, char *body)
{
	size_t body_len = body ? strlen(body) : 0;
	char head[HTTP_HEAD_MAX];
	size_t head_len = http_reply_head(head, status, deprecated, body_len);
	char *out = malloc(head_len + body_len);

	if (out) {
		memcpy(out, head, head_len);
		if (body)
			memcpy(out + head_len, body, body_len);
	}
	free(body);
	c->out = out;
	c->out_len = head_len + body_len;
	c->out_sent = 0;
	return out ? 0 : -ENOMEM;
}

static int reply_json(struct connection *c, unsigned status, bool deprecated, char *body)
{
	return body ? reply(c, status, deprecated, body) : -ENOMEM;
}

static bool is_deprecated(const struct action *a)
{
	return (a->kind == ACTION_PUT_MACHINE_CONFIG ||
		a->kind == ACTION_PATCH_MACHINE_CONFIG) &&
	       a->u.machine.deprecated;
}

static void count(struct api_counts *c, const struct http_item *item, const struct reply *r,
		  uint64_t begin_ns)
{
	if (!c)
		return;
	api_counts_add(c, item, r->kind == REPLY_FAULT, clock_ns() - begin_ns);
	c->deprecated += r->deprecated;
}

static int carry_out(struct connection *c, const struct http_item *request)
{
	struct api_server *s = c->server;
	struct reply r = { .kind = REPLY_FAULT };
	uint64_t begin = clock_ns();

	if (route_request(request, &s->action, &r.fault) == 0) {
		s->handler(s->ctx, &s->action, &r);
		r.deprecated = r.deprecated || is_deprecated(&s->action);
	}
	count(s->counts, request, &r, begin);
	log_debug("api", "%s request: %s", http_method_name(request->method),
		  r.kind == REPLY_FAULT ? "refused" : "done");
	if (r.kind == REPLY_NO_CONTENT)
		return reply(c, 204, r.deprecated, NULL);
	return reply_json(c, r.kind == REPLY_FAULT ? 400 : 200, r.deprecated, json_reply(&r));
}

static int answer(struct connection *c, const struct http_item *item)
{
	switch (item->kind) {
	case HTTP_CONTINUE:
		return reply(c, 100, false, NULL);
	case HTTP_ERROR:
		if (c->server->counts)
			c->server->counts->invalid++;
		return reply_json(c, 400, false, json_http_error(item->error.text));
	case HTTP_REQUEST:
		break;
	}
	return carry_out(c, item);
}

/* ---- connections ---- */

static void open_connection(struct connection *c, int fd)
{
	c->fd = fd;
	c->op.done = received;
	http_init(&c->parser, c->server->body_max);
	next_item(c);
}

/* The operation in flight, if any, is of no interest any more. */
static void drop_connection(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
	http_fini(&c->parser);
	free(c->out);
	c->out = NULL;
}

/* Close it; who waits for a place gets this one. */
static void close_connection(struct connection *c)
{
	struct api_server *s = c->server;
	int next = s->waiting_fd;

	drop_connection(c);
	if (next < 0)
		return;
	s->waiting_fd = -1;
	open_connection(c, next);
	accept_next(s);
}

static void receive(struct connection *c)
{
	c->op.done = received;
	loop_recv(c->server->loop, &c->op, c->fd, c->in, sizeof(c->in));
}

static void send_rest(struct connection *c)
{
	c->op.done = sent;
	loop_send(c->server->loop, &c->op, c->fd, c->out + c->out_sent,
		  c->out_len - c->out_sent);
}

/* Answer what came, one request a turn of the loop; when nothing is left, receive. */
static void next_item(struct connection *c)
{
	struct http_item *item = http_next(&c->parser);
	int rc;

	if (!item) {
		receive(c);
		return;
	}
	rc = answer(c, item);
	free(item);
	if (rc < 0)
		close_connection(c); /* no memory for a reply: the client gets none */
	else
		send_rest(c);
}

static void received(struct loop_op *op, int res)
{
	struct connection *c = CONTAINER_OF(op, struct connection, op);

	if (res == -EINTR || res == -EAGAIN)
		receive(c);
	else if (res <= 0 || http_feed(&c->parser, c->in, (size_t)res) < 0)
		close_connection(c);
	else
		next_item(c);
}

static void sent(struct loop_op *op, int res)
{
	struct connection *c = CONTAINER_OF(op, struct connection, op);

	if (res <= 0 && res != -EINTR && res != -EAGAIN) {
		close_connection(c);
		return;
	}
	c->out_sent += res > 0 ? (size_t)res : 0;
	if (c->out_sent < c->out_len) {
		send_rest(c);
		return;
	}
	free(c->out);
	c->out = NULL;
	next_item(c);
}

/* ---- accepting ---- */

static struct connection *free_connection(struct api_server *s)
{
	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++)
		if (s->connections[i].fd < 0)
			return &s->connections[i];
	return NULL;
}

static void accept_next(struct api_server *s)
{
	loop_accept(s->loop, &s->accept, s->fd);
}

/*
 * Whether a client has hung up that we have not yet heard of: its place is as good as
 * free. Without this, clients that connect anew for each request are now and then told
 * that they are too many when they are ten.
 */
static bool place_gets_free(const struct api_server *s)
{
	struct pollfd fds[API_CONNECTIONS_MAX];

	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++)
		fds[i] = (struct pollfd){ .fd = s->connections[i].fd };
	if (poll(fds, API_CONNECTIONS_MAX, 0) <= 0)
		return false;
	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++)
		if (fds[i].revents & POLLHUP)
			return true;
	return false;
}

/* Tell a client that there are too many; accepting goes on when it was told. */
static void refuse(struct api_server *s, int fd)
{
	s->refused_fd = fd;
	loop_send(s->loop, &s->refuse, fd, http_too_many, strlen(http_too_many));
}

static void refused(struct loop_op *op, int res)
{
	struct api_server *s = CONTAINER_OF(op, struct api_server, refuse);

	(void)res; /* whether the client took it is its affair */
	close(s->refused_fd);
	s->refused_fd = -1;
	accept_next(s);
}

/* What is wrong (no descriptors, no memory) does not pass at once: wait a little. */
static void accept_failed(struct api_server *s, int error)
{
	if (!s->accept_failed)
		log_warn("api", "accept: %s", strerror(error));
	s->accept_failed = true;
	loop_timeout(s->loop, &s->accept_retry, ACCEPT_RETRY_MS);
}

static void retry_accept(struct loop_op *op, int res)
{
	(void)res;
	accept_next(CONTAINER_OF(op, struct api_server, accept_retry.op));
}

static void accepted(struct loop_op *op, int res)
{
	struct api_server *s = CONTAINER_OF(op, struct api_server, accept);
	struct connection *c = free_connection(s);

	if (res < 0) {
		accept_failed(s, -res);
		return;
	}
	s->accept_failed = false;
	if (c) {
		open_connection(c, res);
		accept_next(s);
	} else if (place_gets_free(s)) {
		s->waiting_fd = res;
	} else {
		refuse(s, res);
	}
}

/* ---- the server ---- */

static int listen_error(struct err *e, int error, const char *path)
{
	if (error == EADDRINUSE)
		return err_set(e, -error,
			       "Failed to open the API socket at: %s. "
			       "Check that it is not already used.",
			       path);
	return err_set(e, -error, "Failed to open the API socket at: %s: %s", path,
		       strerror(error));
}

int api_listen(const char *path, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd;

	if (len >= sizeof(address.sun_path))
		return listen_error(e, ENAMETOOLONG, path);
	if (len == 0)
		return listen_error(e, ENOENT, path); /* Linux would choose an abstract name */
	memcpy(address.sun_path, path, len);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return listen_error(e, errno, path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, SOMAXCONN) < 0) {
		int error = errno;

		close(fd);
		return listen_error(e, error, path);
	}
	return fd;
}

int api_server_create(struct api_server **out, struct loop *loop, int fd, size_t body_max,
		      action_handler handler, void *ctx)
{
	struct api_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->fd = fd;
	s->body_max = body_max;
	s->handler = handler;
	s->ctx = ctx;
	s->waiting_fd = s->refused_fd = -1;
	s->accept.done = accepted;
	s->accept_retry.op.done = retry_accept;
	s->refuse.done = refused;
	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++) {
		s->connections[i].server = s;
		s->connections[i].fd = -1;
	}
	accept_next(s);
	*out = s;
	return 0;
}

void api_server_count(struct api_server *s, struct api_counts *counts)
{
	s->counts = counts;
}

void api_server_destroy(struct api_server *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < API_CONNECTIONS_MAX; i++) {
		struct connection *c = &s->connections[i];

		if (c->fd < 0)
			continue;
		/* An operation in flight holds the socket: end it before its buffer goes. */
		shutdown(c->fd, SHUT_RDWR);
		drop_connection(c);
	}
	if (s->waiting_fd >= 0)
		close(s->waiting_fd);
	if (s->refused_fd >= 0)
		close(s->refused_fd);
	close(s->fd);
	free(s);
}
