/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP requests out of bytes: see http.h. Input from clients: all of it. */
#include "api/http.h"

#include "api/http_header.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void http_init(struct http_parser *p, size_t body_max)
{
	memset(p, 0, sizeof(*p));
	p->body_max = body_max;
	p->last = &p->first;
}

void http_fini(struct http_parser *p)
{
	struct http_item *item;

	while ((item = http_next(p)))
		free(item);
	free(p->pending);
	p->pending = NULL;
}

static void push(struct http_parser *p, struct http_item *item)
{
	*p->last = item;
	p->last = &item->next;
}

struct http_item *http_next(struct http_parser *p)
{
	struct http_item *item = p->first;

	if (!item)
		return NULL;
	p->first = item->next;
	if (!p->first)
		p->last = &p->first;
	item->next = NULL;
	return item;
}

/*
 * Forget the requests that nobody took; errors stay, they are answers. So do requests
 * with chunks behind them: the error is in these.
 */
static void drop_requests(struct http_parser *p)
{
	struct http_item *item = p->first;

	p->first = NULL;
	p->last = &p->first;
	while (item) {
		struct http_item *next = item->next;

		item->next = NULL;
		if (item->kind == HTTP_ERROR || item->chunked)
			push(p, item);
		else
			free(item);
		item = next;
	}
}

static int push_error(struct http_parser *p, const struct err *e)
{
	struct http_item *item = calloc(1, sizeof(*item));

	if (!item)
		return -ENOMEM;
	drop_requests(p);
	item->kind = HTTP_ERROR;
	item->error = *e;
	push(p, item);
	return 0;
}

static int push_continue(struct http_parser *p)
{
	struct http_item *item = calloc(1, sizeof(*item));

	if (!item)
		return -ENOMEM;
	item->kind = HTTP_CONTINUE;
	push(p, item);
	return 0;
}

static void begin_request(struct http_parser *p)
{
	p->state = HTTP_AT_REQUEST_LINE;
	p->line_len = 0;
	p->line_cut = false;
	p->has_length = false;
	p->expect = false;
	p->chunked = false;
	p->content_length = 0;
}

/* Copy method and path of the request and make room for its body. */
static int make_pending(struct http_parser *p)
{
	struct http_item *item;

	item = calloc(1, sizeof(*item) + p->path_len + p->content_length);
	if (!item)
		return -ENOMEM;
	item->kind = HTTP_REQUEST;
	item->method = p->method;
	item->chunked = p->chunked;
	memcpy(item->data, p->path, p->path_len);
	item->path = text(item->data, p->path_len);
	item->body = text(item->data + p->path_len, p->content_length);
	p->pending = item;
	p->body_left = p->content_length;
	return 0;
}

/*
 * The rest of a request that is refused is skipped as its head says, so that the next
 * one is understood. A client that asked before sending the body does not send it.
 */
static void skip_body(struct http_parser *p)
{
	p->body_left = p->expect ? 0 : p->content_length;
	if (p->body_left)
		p->state = HTTP_SKIP_BODY;
	else
		begin_request(p);
}

static int refuse_length(struct http_parser *p)
{
	struct err e;

	err_set(&e, -EINVAL,
		"Request payload with size %u is larger than the limit of %zu allowed by server.",
		p->content_length, p->body_max);
	skip_body(p);
	return push_error(p, &e);
}

static void finish_request(struct http_parser *p)
{
	push(p, p->pending);
	p->pending = NULL;
	begin_request(p);
}

/* The blank line after the headers. */
static int head_done(struct http_parser *p)
{
	int rc;

	if (p->content_length > p->body_max)
		return refuse_length(p);
	rc = make_pending(p);
	if (rc < 0)
		return rc;
	if (p->body_left == 0) {
		finish_request(p);
		return 0;
	}
	p->state = HTTP_AT_BODY;
	return p->expect ? push_continue(p) : 0;
}

static int header_line(struct http_parser *p, struct text line)
{
	struct err e;

	if (line.len == 0)
		return head_done(p);
	if (http_header(p, line, &e) == 0)
		return 0;
	p->state = HTTP_SKIP_HEAD;
	return push_error(p, &e);
}

/*
 * A request line. One that does not even look like one is not followed by headers
 * either: *lost is set, for the caller to drop what else was received.
 */
static int request_line(struct http_parser *p, struct text line, bool *lost)
{
	struct err e;

	if (http_request_line(p, line, &e) == 0) {
		p->state = HTTP_AT_HEADER;
		return 0;
	}
	*lost = !http_looks_like_request(line);
	if (!*lost)
		p->state = HTTP_SKIP_HEAD;
	return push_error(p, &e);
}

/*
 * A line of a head that was refused. Firecracker's clients need not finish such a head:
 * the next request may follow at once, and no header looks like a request line.
 */
static int skipped_line(struct http_parser *p, struct text line, bool was_cut, bool *lost)
{
	if (was_cut)
		return 0;
	if (http_looks_like_request(line)) {
		begin_request(p);
		return request_line(p, line, lost);
	}
	if (line.len == 0)
		skip_body(p);
	else if (http_header(p, line, NULL) < 0)
		return 0; /* wanted for Content-Length only; the error was answered */
	return 0;
}

/* A whole line is in p->line, with its CR LF. */
static int line_done(struct http_parser *p, bool *lost)
{
	struct text line = text(p->line, p->line_len - 2);
	bool was_cut = p->line_cut;

	p->line_len = 0;
	p->line_cut = false;
	switch (p->state) {
	case HTTP_AT_REQUEST_LINE:
		return request_line(p, line, lost);
	case HTTP_AT_HEADER:
		return header_line(p, line);
	case HTTP_SKIP_HEAD:
		return skipped_line(p, line, was_cut, lost);
	case HTTP_AT_BODY:
	case HTTP_SKIP_BODY:
		break;
	}
	assert(false); /* bodies have no lines */
	return 0;
}

/* p->line is full and has no end: complain once, then wait for the end of the head. */
static int line_overflow(struct http_parser *p)
{
	struct text shown = text_cut(text(p->line, p->line_len), 128);
	enum http_state was = p->state;
	struct err e;

	if (was == HTTP_AT_HEADER)
		err_set(&e, -EINVAL,
			"Invalid header. Reason: Invalid content length. Header: %.*s",
			TEXT_ARGS(shown));
	else
		err_set(&e, -EINVAL, "Invalid request.");
	p->state = HTTP_SKIP_HEAD;
	p->line[0] = p->line[p->line_len - 1]; /* may be the CR of its CR LF */
	p->line_len = 1;
	p->line_cut = true;
	return was == HTTP_SKIP_HEAD ? 0 : push_error(p, &e);
}

static int take_line_byte(struct http_parser *p, char c, bool *lost)
{
	p->line[p->line_len++] = c;
	if (c == '\n' && p->line_len >= 2 && p->line[p->line_len - 2] == '\r')
		return line_done(p, lost);
	if (p->line_len == HTTP_LINE_MAX)
		return line_overflow(p);
	return 0;
}

/* Take what belongs to the body; returns how much that was. */
static size_t take_body(struct http_parser *p, struct text in)
{
	size_t n = min_size(in.len, p->body_left);
	size_t at = p->content_length - p->body_left;

	if (p->state == HTTP_AT_BODY)
		memcpy(p->pending->data + p->path_len + at, in.at, n);
	p->body_left -= (uint32_t)n;
	if (p->body_left)
		return n;
	if (p->state == HTTP_AT_BODY)
		finish_request(p);
	else
		begin_request(p);
	return n;
}

int http_feed(struct http_parser *p, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		bool lost = false;
		int rc;

		if (p->state == HTTP_AT_BODY || p->state == HTTP_SKIP_BODY) {
			at += take_body(p, text(data + at, len - at));
			continue;
		}
		rc = take_line_byte(p, data[at++], &lost);
		if (rc < 0)
			return rc;
		if (lost)
			return 0;
	}
	return 0;
}
