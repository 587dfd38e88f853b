/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.0 and 1.1 as Firecracker's clients know it: requests out of a stream of
 * bytes, in pieces of any size, and the heads of responses.
 *
 * Why not a library: what clients rely on is not what libraries do. Heads are
 * byte-exact (no reason phrase, no Date), a request that cannot be parsed is answered
 * in JSON and the connection lives on, methods are refused before paths are looked
 * at, lines end at 1024 bytes, and chunked bodies do not exist. docs/api.md has what
 * libmicrohttpd and others do instead.
 *
 * Input from clients: every byte fed. Bounded: a line, the body of the request that
 * is being received, and what the bytes of one http_feed make.
 */
#ifndef API_HTTP_H
#define API_HTTP_H

#include "api/text.h"
#include "vmm/lib/err.h"

/* The longest request line or header line, with its CR LF. */
#define HTTP_LINE_MAX 1024

/* The longest head that http_reply_head writes. */
#define HTTP_HEAD_MAX 256

enum http_method { HTTP_GET, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };

enum http_kind {
	HTTP_REQUEST, /* carry it out and reply */
	HTTP_CONTINUE, /* reply 100, the client waits for it */
	HTTP_ERROR, /* reply 400 with `error` */
};

/* What is to be replied to. */
struct http_item {
	struct http_item *next;
	enum http_kind kind;
	enum http_method method;
	struct text path; /* from its first '/', or empty; valid UTF-8 without NUL */
	struct text body; /* empty when there is none */
	bool chunked; /* chunks may follow, which are taken for the next request */
	struct err error;
	char data[]; /* path and body */
};

enum http_state {
	HTTP_AT_REQUEST_LINE,
	HTTP_AT_HEADER,
	HTTP_AT_BODY,
	HTTP_SKIP_HEAD, /* of a request that was answered with an error */
	HTTP_SKIP_BODY,
};

/* Private to http.c; here so that it can be part of a connection. */
struct http_parser {
	size_t body_max;
	enum http_state state;
	char line[HTTP_LINE_MAX];
	size_t line_len;
	bool line_cut; /* the line was longer than `line`, which holds its last byte */
	enum http_method method;
	char path[HTTP_LINE_MAX];
	size_t path_len;
	bool has_length, expect, chunked;
	uint32_t content_length;
	uint32_t body_left; /* bytes of the body still to come (or to skip) */
	struct http_item *pending; /* waits for its body */
	struct http_item *first, **last;
};

/* Start at a request line. Bodies longer than `body_max` are refused. */
void http_init(struct http_parser *p, size_t body_max);

/* Free what was received and not taken. */
void http_fini(struct http_parser *p);

/*
 * Parse what was received. Items come out of http_next in the order of arrival. An
 * error drops the requests before it that were not taken yet ("All previous
 * unanswered requests will be dropped"), but for those that had a chunked body: they are
 * told that bodies are not sent so, and the error is in that body. 0, or -ENOMEM: the connection is lost.
 */
MUST_CHECK int http_feed(struct http_parser *p, const char *data, size_t len);

/* The next item, which is the caller's to free(); NULL when there is none. */
struct http_item *http_next(struct http_parser *p);

/* "GET" and so on. */
const char *http_method_name(enum http_method m);

/*
 * Write the head of a response, which is not NUL-terminated, and return its length.
 * Statuses 100 and 204 have no body; others have one of `body_len` bytes.
 */
size_t http_reply_head(char out[HTTP_HEAD_MAX], unsigned status, bool deprecated,
		       size_t body_len);

/* The whole answer to a connection too many, after which it is closed. */
extern const char http_too_many[];

#endif
