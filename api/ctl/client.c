/* SPDX-License-Identifier: Apache-2.0 */
/* The client's end of the API: see client.h. */
#include "api/ctl/client.h"

#include "vmm/lib/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_MAX 4096
#define LONG_MS 1000 /* what takes longer is told */
#define CLIENT_CONNECT_S 1

/* What has arrived of a reply. */
struct reply {
	char *text; /* NUL-terminated */
	size_t len, room;
	size_t head_len; /* with the blank line; 0: not whole yet */
	size_t body_len;
	int status;
};

int client_open(struct client *c, const char *path, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	/* Connecting waits while as many others wait for a monitor that is stopped. */
	const struct timeval limit = { .tv_sec = CLIENT_CONNECT_S };

	*c = (struct client){ .fd = -1, .cancel_fd = -1, .timeout_ms = CLIENT_TIMEOUT_MS };
	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(e, -ENAMETOOLONG, "API socket %s: the path is too long", path);
	memcpy(address.sun_path, path, strlen(path));
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 ||
	    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(c->fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int rc = errno == EAGAIN ? -ETIMEDOUT : -errno;

		client_close(c);
		return err_set(e, rc, "API socket %s: %s", path, strerror(-rc));
	}
	return 0;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* Until the socket is ready for `events`; 0 or -errno. */
static int wait_for(const struct client *c, short events, uint64_t deadline)
{
	struct pollfd fds[] = { { .fd = c->fd, .events = events },
				{ .fd = c->cancel_fd, .events = POLLIN } };
	uint64_t now;

	do {
		now = clock_ms();
		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(fds, ARRAY_SIZE(fds), (int)(deadline - now)) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECANCELED;
	} while (!fds[0].revents);
	return 0;
}

static int send_all(const struct client *c, const char *text, size_t len, uint64_t deadline)
{
	while (len) {
		int rc = wait_for(c, POLLOUT, deadline);
		ssize_t n;

		if (rc < 0)
			return rc;
		n = send(c->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* The head is whole: what it says. */
static int parse_head(struct reply *r)
{
	const char *line = r->text, *end = strstr(r->text, "\r\n\r\n");

	if (!end)
		return r->len > HEAD_MAX ? -EBADMSG : 0;
	r->head_len = (size_t)(end - r->text) + 4;
	if (sscanf(line, "HTTP/1.%*1[01] %3d", &r->status) != 1)
		return -EBADMSG;
	while ((line = strstr(line, "\r\n")) && line < end) {
		line += 2;
		if (strncasecmp(line, "Content-Length:", 15) == 0) {
			unsigned long n = strtoul(line + 15, NULL, 10);

			if (n > CLIENT_REPLY_MAX)
				return -EMSGSIZE;
			r->body_len = n;
		}
	}
	return 0;
}

static bool whole(const struct reply *r)
{
	return r->head_len && r->len >= r->head_len + r->body_len;
}

static int receive_some(const struct client *c, struct reply *r)
{
	ssize_t n;

	if (r->len + 1 >= r->room) {
		size_t room = r->room ? r->room * 2 : HEAD_MAX;
		char *text = realloc(r->text, room);

		if (!text)
			return -ENOMEM;
		r->text = text;
		r->room = room;
	}
	n = recv(c->fd, r->text + r->len, r->room - r->len - 1, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	r->len += (size_t)n;
	r->text[r->len] = '\0';
	return r->head_len ? 0 : parse_head(r);
}

static int receive(const struct client *c, struct reply *r, uint64_t deadline)
{
	uint64_t patience = clock_ms() + LONG_MS;
	bool quiet = !c->progress || patience >= deadline;
	int rc = 0;

	while (rc == 0 && !whole(r)) {
		rc = wait_for(c, POLLIN, quiet ? deadline : patience);
		if (rc == -ETIMEDOUT && !quiet) {
			fputs("waiting for the monitor ...\n", c->progress);
			quiet = true;
			rc = 0;
			continue;
		}
		if (rc == 0)
			rc = receive_some(c, r);
	}
	return rc;
}

static int send_request(const struct client *c, const char *method, const char *path,
			const char *body, uint64_t deadline)
{
	char *text = NULL;
	int n, rc;

	if (body)
		n = asprintf(&text,
			     "%s %s HTTP/1.1\r\nHost: localhost\r\n"
			     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			     method, path, strlen(body), body);
	else
		n = asprintf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path);
	if (n < 0)
		return -ENOMEM;
	rc = send_all(c, text, (size_t)n, deadline);
	free(text);
	return rc;
}

/* What the server says is wrong. */
static int refusal(const struct reply *r, const cJSON *json, struct err *e)
{
	const cJSON *why = cJSON_GetObjectItemCaseSensitive(json, "fault_message");

	if (!cJSON_IsString(why))
		why = cJSON_GetObjectItemCaseSensitive(json, "error");
	if (cJSON_IsString(why))
		return err_set(e, -EREMOTEIO, "%s", why->valuestring);
	return err_set(e, -EREMOTEIO, "the API answered with status %d", r->status);
}

static int take_reply(const struct reply *r, cJSON **answer, struct err *e)
{
	cJSON *json = NULL;
	int rc = r->status;

	if (r->body_len) {
		json = cJSON_ParseWithLength(r->text + r->head_len, r->body_len);
		if (!json)
			return err_set(e, -EBADMSG, "the API's answer is no JSON");
	}
	if (rc < 200 || rc > 299)
		rc = refusal(r, json, e);
	if (rc > 0 && answer)
		*answer = json;
	else
		cJSON_Delete(json);
	return rc;
}

int client_send(struct client *c, const char *method, const char *path, const char *body,
		cJSON **answer, struct err *e)
{
	uint64_t deadline = clock_ms() + c->timeout_ms;
	struct reply r = { 0 };
	int rc = send_request(c, method, path, body, deadline);

	if (answer)
		*answer = NULL;
	if (rc == 0)
		rc = receive(c, &r, deadline);
	if (rc < 0) {
		/* What may still arrive is no answer to the next request. */
		client_close(c);
		err_set(e, rc, "%s %s: %s", method, path,
			rc == -ECONNRESET || rc == -EPIPE ? "the monitor has ended" :
							    strerror(-rc));
	} else {
		rc = take_reply(&r, answer, e);
	}
	free(r.text);
	return rc;
}

int client_call(struct client *c, const char *method, const char *path, const cJSON *body,
		cJSON **answer, struct err *e)
{
	char *text = body ? cJSON_PrintUnformatted(body) : NULL;
	int rc;

	if (answer)
		*answer = NULL;
	if (body && !text)
		return err_set(e, -ENOMEM, "out of memory");
	rc = client_send(c, method, path, text, answer, e);
	cJSON_free(text);
	return rc;
}

int client_once(const char *socket, const char *method, const char *path, const cJSON *body,
		cJSON **answer, struct err *e)
{
	struct client c;
	int rc = client_open(&c, socket, e);

	if (answer)
		*answer = NULL;
	if (rc < 0)
		return rc;
	rc = client_call(&c, method, path, body, answer, e);
	client_close(&c);
	return rc;
}
