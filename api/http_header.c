/* SPDX-License-Identifier: Apache-2.0 */
/* Request line and headers: see http_header.h. Input from clients: all of it. */
#include "api/http_header.h"

#include <errno.h>

/* How much of a client's text an error message repeats. */
#define ECHO_MAX 128

static const char *const method_names[] = {
	[HTTP_GET] = "GET",
	[HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH",
	[HTTP_DELETE] = "DELETE",
};

const char *http_method_name(enum http_method m)
{
	return method_names[m];
}

static bool parse_method(struct text name, enum http_method *out)
{
	for (unsigned i = 0; i < ARRAY_SIZE(method_names); i++) {
		if (text_is(name, method_names[i])) {
			*out = (enum http_method)i;
			return true;
		}
	}
	return false;
}

/*
 * The path of a URI in absolute form ("http://host/path") or of one that is a path.
 * Anything else has none, which is the same as "/" to Firecracker and so to us.
 */
static struct text uri_path(struct text uri)
{
	const char *slash;

	if (!text_starts(uri, "http://"))
		return text(uri.at, text_starts(uri, "/") ? uri.len : 0);
	uri = text(uri.at + strlen("http://"), uri.len - strlen("http://"));
	slash = memchr(uri.at, '/', uri.len);
	if (!slash)
		return text(uri.at, 0);
	return text(slash, uri.len - (size_t)(slash - uri.at));
}

bool http_looks_like_request(struct text line)
{
	struct text rest = line;
	struct text method = text_split(&rest, ' ');

	text_split(&rest, ' ');
	return !memchr(method.at, ':', method.len) && text_starts(rest, "HTTP/");
}

int http_request_line(struct http_parser *p, struct text line, struct err *e)
{
	struct text rest = line;
	struct text method = text_split(&rest, ' ');
	struct text uri = text_split(&rest, ' ');
	struct text path = uri_path(uri);

	/* The shortest line has two blanks: after the method and after the URI. */
	if (method.len + uri.len + 2 > line.len)
		return err_set(e, -EINVAL, "Invalid request.");
	if (!parse_method(method, &p->method))
		return err_set(e, -EINVAL, "Invalid HTTP Method: Unsupported HTTP method.");
	if (uri.len == 0)
		return err_set(e, -EINVAL, "Invalid URI: Empty URI not allowed.");
	if (text_utf8_len(uri) != uri.len || memchr(uri.at, '\0', uri.len))
		return err_set(e, -EINVAL, "Invalid URI: Cannot parse URI as UTF-8.");
	if (!text_is(rest, "HTTP/1.0") && !text_is(rest, "HTTP/1.1"))
		return err_set(e, -EINVAL, "Invalid HTTP Version: Unsupported HTTP version.");
	memcpy(p->path, path.at, path.len);
	p->path_len = path.len;
	return 0;
}

static int bad_value(struct err *e, struct text name, struct text value)
{
	struct text n = text_cut(name, ECHO_MAX);
	struct text v = text_cut(value, ECHO_MAX);

	return err_set(e, -EINVAL,
		       "Invalid header. Reason: Invalid value. Key:%.*s; Value:%.*s",
		       TEXT_ARGS(n), TEXT_ARGS(v));
}

static bool parse_u32(struct text t, uint32_t *out)
{
	uint64_t v = 0;

	if (t.len == 0)
		return false;
	for (size_t i = 0; i < t.len; i++) {
		if (t.at[i] < '0' || t.at[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(t.at[i] - '0');
		if (v > UINT32_MAX)
			return false;
	}
	*out = (uint32_t)v;
	return true;
}

static int content_length(struct http_parser *p, struct text name, struct text value,
			  struct err *e)
{
	uint32_t length;

	if (!parse_u32(text_trim(value), &length))
		return bad_value(e, name, value);
	/* Two that differ: nobody can tell where the body ends (RFC 9112 §6.3). */
	if (p->has_length && p->content_length != length)
		return bad_value(e, name, value);
	p->has_length = true;
	p->content_length = length;
	return 0;
}

/* Replies are sent as they are ("identity"): a client that rules this out gets none. */
static int accept_encoding(struct text value, struct err *e)
{
	struct text rest = text_trim(value);
	bool identity = memmem(rest.at, rest.len, "identity", strlen("identity"));

	if (rest.len == 0)
		return err_set(e, -EINVAL, "Invalid request.");
	while (rest.len) {
		struct text coding = text_split(&rest, ',');
		struct text t = text_trim(coding);

		if (text_is(t, "identity;q=0") || (text_is(t, "*;q=0") && !identity))
			return bad_value(e, text("Accept-Encoding", 15), coding);
	}
	return 0;
}

int http_header(struct http_parser *p, struct text line, struct err *e)
{
	struct text value = line;
	struct text key = text_split(&value, ':');
	struct text name = text_trim(key);

	if (text_utf8_len(line) != line.len)
		return err_set(e, -EINVAL,
			       "Invalid header. Reason: Header contains invalid characters. "
			       "Key: invalid utf-8 sequence");
	if (key.len == line.len) {
		key = text_cut(key, ECHO_MAX);
		return err_set(
			e, -EINVAL,
			"Invalid header. Reason: Header is incorrectly formatted. Key: %.*s",
			TEXT_ARGS(key));
	}
	if (text_is_nocase(name, "Content-Length"))
		return content_length(p, key, value, e);
	if (text_is_nocase(name, "Accept-Encoding"))
		return accept_encoding(value, e);
	if (text_is_nocase(name, "Expect") && text_is(text_trim(value), "100-continue"))
		p->expect = true;
	if (text_is_nocase(name, "Transfer-Encoding") && text_is(text_trim(value), "chunked"))
		p->chunked = true;
	return 0;
}
