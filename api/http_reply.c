/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heads of responses: see http.h. Byte for byte what Firecracker writes, because
 * clients and their tests compare them: a blank after the status and no reason.
 */
#include "api/http.h"

#include <assert.h>
#include <stdio.h>

const char http_too_many[] = "HTTP/1.1 503\r\n"
			     "Server: Firecracker API\r\n"
			     "Connection: close\r\n"
			     "Content-Length: 40\r\n\r\n"
			     "{ \"error\": \"Too many open connections\" }";

size_t http_reply_head(char out[HTTP_HEAD_MAX], unsigned status, bool deprecated,
		       size_t body_len)
{
	bool has_body = status != 100 && status != 204;
	int n;

	n = snprintf(out, HTTP_HEAD_MAX,
		     "HTTP/1.1 %u \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n%s",
		     status, deprecated ? "Deprecation: true\r\n" : "");
	assert(n > 0 && n < HTTP_HEAD_MAX);
	if (has_body)
		n += snprintf(out + n, HTTP_HEAD_MAX - (size_t)n,
			      "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			      body_len);
	assert(n < HTTP_HEAD_MAX - 2);
	memcpy(out + n, "\r\n", 2);
	return (size_t)n + 2;
}
