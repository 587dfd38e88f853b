/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of a request's head, one at a time; http.c cuts them out of the stream.
 *
 * Input from clients: the lines.
 */
#ifndef API_HTTP_HEADER_H
#define API_HTTP_HEADER_H

#include "api/http.h"

/*
 * Whether a line is a request line, be it a bad one ("X Y HTTP/Z"), so that headers are
 * to be expected after it. No header is: their names have no blanks.
 */
bool http_looks_like_request(struct text line);

/* Method and path into `p`. -EINVAL with the reason. */
MUST_CHECK int http_request_line(struct http_parser *p, struct text line, struct err *e);

/* What the server heeds of a header, into `p`; others are ignored. -EINVAL with the reason. */
MUST_CHECK int http_header(struct http_parser *p, struct text line, struct err *e);

#endif
