/* SPDX-License-Identifier: Apache-2.0 */
/* api/http: what the parser makes of bytes, whole and one at a time. */
#include "api/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define BODY_MAX 20
#define A1000 A100 A100 A100 A100 A100 A100 A100 A100 A100 A100
#define A100                                                                                         \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaa"

/* What came out, one line an item. */
struct seen {
	char text[4096];
};

static void take_items(struct http_parser *p, struct seen *out)
{
	struct http_item *item;

	while ((item = http_next(p))) {
		size_t used = strlen(out->text);
		char *at = out->text + used;
		size_t room = sizeof(out->text) - used;

		if (item->kind == HTTP_CONTINUE)
			snprintf(at, room, "100\n");
		else if (item->kind == HTTP_ERROR)
			snprintf(at, room, "400 %s\n", item->error.text);
		else
			snprintf(at, room, "%s <%.*s> <%.*s>\n", http_method_name(item->method),
				 TEXT_ARGS(item->path), TEXT_ARGS(item->body));
		free(item);
	}
}

/* Feed in pieces of `piece` bytes, taking what came out after each. */
static void feed(struct seen *out, const char *in, size_t len, size_t piece)
{
	struct http_parser p;

	out->text[0] = '\0';
	http_init(&p, BODY_MAX);
	for (size_t at = 0; at < len; at += piece) {
		assert_int_equal(http_feed(&p, in + at, min_size(piece, len - at)), 0);
		take_items(&p, out);
	}
	http_fini(&p);
}

struct http_case {
	const char *name;
	const char *in;
	const char *out;
};

/* These come out the same in pieces of any size. */
static const struct http_case cases[] = {
	{ "no headers", "GET / HTTP/1.1\r\n\r\n", "GET </> <>\n" },
	{ "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", "GET </> <>\n" },
	{ "body", "PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "PUT </a> <abc>\n" },
	{ "length of zero is no body", "PUT /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
	  "PUT </a> <>\n" },
	{ "body with line ends", "PATCH /a HTTP/1.1\r\ncontent-length : 6 \r\n\r\na\r\n\r\nb",
	  "PATCH </a> <a\r\n\r\nb>\n" },
	{ "pipeline", "GET /a HTTP/1.1\r\n\r\nDELETE /b HTTP/1.1\r\n\r\n",
	  "GET </a> <>\nDELETE </b> <>\n" },
	{ "body and next",
	  "PUT /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\n\r\n",
	  "PUT </a> <x>\nGET </b> <>\n" },
	{ "absolute form", "GET http://localhost:80/a/b HTTP/1.1\r\n\r\n", "GET </a/b> <>\n" },
	{ "absolute form without a path", "GET http://localhost HTTP/1.1\r\n\r\n",
	  "GET <> <>\n" },
	{ "neither form", "GET foo HTTP/1.1\r\n\r\n", "GET <> <>\n" },
	{ "query stays", "GET /a?b HTTP/1.1\r\n\r\n", "GET </a?b> <>\n" },
	{ "unknown headers", "GET / HTTP/1.1\r\nHost: a:b\r\nX:\r\nAccept: x/y\r\n\r\n",
	  "GET </> <>\n" },
	{ "chunked is ignored", "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
	  "PUT </> <>\n" },
	{ "asks before the body",
	  "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
	  "100\nPUT </> <x>\n" },
	{ "asks without a body", "PUT / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
	  "PUT </> <>\n" },
	{ "expects something else", "PUT / HTTP/1.1\r\nExpect: x\r\nContent-Length: 1\r\n\r\nx",
	  "PUT </> <x>\n" },
	{ "same length twice",
	  "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
	  "PUT </> <x>\n" },
	{ "identity allowed",
	  "GET / HTTP/1.1\r\nAccept-Encoding: gzip, identity, *;q=0\r\n\r\n", "GET </> <>\n" },
	{ "longest request line", "GET /" A1000 "aaaaaaaa HTTP/1.1\r\n\r\n",
	  "GET </" A1000 "aaaaaaaa> <>\n" },
	{ "longest header line", "GET / HTTP/1.1\r\n12345678901234567890:" A1000 "a\r\n\r\n",
	  "GET </> <>\n" },
	{ "bare line feeds end nothing", "GET / HTTP/1.1\r\nX: a\nb\r\n\r\n", "GET </> <>\n" },
	{ "longest body", "PUT / HTTP/1.1\r\nContent-Length: 20\r\n\r\n12345678901234567890",
	  "PUT </> <12345678901234567890>\n" },

	{ "unknown method", "POST / HTTP/1.1\r\n\r\n",
	  "400 Invalid HTTP Method: Unsupported HTTP method.\n" },
	{ "methods have a case", "get / HTTP/1.1\r\n\r\n",
	  "400 Invalid HTTP Method: Unsupported HTTP method.\n" },
	{ "unknown version", "GET / HTTP/2.0\r\n\r\n",
	  "400 Invalid HTTP Version: Unsupported HTTP version.\n" },
	{ "two blanks", "GET  / HTTP/1.1\r\n", "400 Invalid URI: Empty URI not allowed.\n" },
	{ "URI that is not UTF-8", "GET /\xff HTTP/1.1\r\n\r\n",
	  "400 Invalid URI: Cannot parse URI as UTF-8.\n" },
	{ "no request line", "hello\r\n", "400 Invalid request.\n" },
	{ "blank line", "\r\n", "400 Invalid request.\n" },
	{ "header without a colon", "GET / HTTP/1.1\r\nabc\r\n\r\n",
	  "400 Invalid header. Reason: Header is incorrectly formatted. Key: abc\n" },
	{ "header that is not UTF-8", "GET / HTTP/1.1\r\na: \xc3\r\n\r\n",
	  "400 Invalid header. Reason: Header contains invalid characters. "
	  "Key: invalid utf-8 sequence\n" },
	{ "length that is no number", "PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
	  "400 Invalid header. Reason: Invalid value. Key:Content-Length; Value: x\n" },
	{ "length without a value", "PUT / HTTP/1.1\r\nContent-Length:\r\n\r\n",
	  "400 Invalid header. Reason: Invalid value. Key:Content-Length; Value:\n" },
	{ "length with a sign", "PUT / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
	  "400 Invalid header. Reason: Invalid value. Key:Content-Length; Value: +1\n" },
	{ "length of 2^32", "PUT / HTTP/1.1\r\nContent-Length: 4294967296\r\n\r\n",
	  "400 Invalid header. Reason: Invalid value. Key:Content-Length; Value: 4294967296\n" },
	{ "lengths that differ",
	  "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
	  "400 Invalid header. Reason: Invalid value. Key:Content-Length; Value: 2\n" },
	{ "identity refused", "GET / HTTP/1.1\r\nAccept-Encoding: gzip, identity;q=0\r\n\r\n",
	  "400 Invalid header. Reason: Invalid value. Key:Accept-Encoding; "
	  "Value: identity;q=0\n" },
	{ "everything refused", "GET / HTTP/1.1\r\nAccept-Encoding: gzip,*;q=0\r\n\r\n",
	  "400 Invalid header. Reason: Invalid value. Key:Accept-Encoding; Value:*;q=0\n" },
	{ "empty encoding", "GET / HTTP/1.1\r\nAccept-Encoding: \r\n\r\n",
	  "400 Invalid request.\n" },
	{ "request line too long", "GET /" A1000 "aaaaaaaaa HTTP/1.1\r\nA: b\r\n\r\n",
	  "400 Invalid request.\n" },
	{ "header line too long", "GET / HTTP/1.1\r\nX:" A1000 "12345678901234567890a\r\n\r\n",
	  "400 Invalid header. Reason: Invalid content length. Header: X:" A100
	  "aaaaaaaaaaaaaaaaaaaaaaaaaa\n" },

	{ "body too long, then the next",
	  "PUT / HTTP/1.1\r\nContent-Length: 21\r\n\r\n123456789012345678901"
	  "GET / HTTP/1.1\r\n\r\n",
	  "400 Request payload with size 21 is larger than the limit of 20 allowed by server.\n"
	  "GET </> <>\n" },
	{ "body too long that was not sent, then the next",
	  "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 21\r\n\r\n"
	  "GET / HTTP/1.1\r\n\r\n",
	  "400 Request payload with size 21 is larger than the limit of 20 allowed by server.\n"
	  "GET </> <>\n" },
	{ "head and body of a refused request are skipped",
	  "POST / HTTP/1.1\r\nbad\r\n" A1000 A1000 "\r\nContent-Length: 18\r\n\r\n"
	  "GET / HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
	  "400 Invalid HTTP Method: Unsupported HTTP method.\nGET </b> <>\n" },
	{ "the next request, without an end of the refused head",
	  "POST / HTTP/1.1\r\nGET / HTTP/2.0\r\nContent-Length: 9\r\nGET /b HTTP/1.1\r\n\r\n",
	  "400 Invalid HTTP Method: Unsupported HTTP method.\n"
	  "400 Invalid HTTP Version: Unsupported HTTP version.\nGET </b> <>\n" },
	{ "a header that ends like a request line",
	  "GET / HTTP/1.1\r\nbad\r\nA: b HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
	  "400 Invalid header. Reason: Header is incorrectly formatted. Key: bad\n"
	  "GET </b> <>\n" },
	{ "one error a head", "GET / HTTP/1.1\r\na\r\nb\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
	  "400 Invalid header. Reason: Header is incorrectly formatted. Key: a\n"
	  "GET </b> <>\n" },
};

static void same_in_pieces_of_any_size(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 7, 1023, 1024, 1025, 100000 };
	struct seen seen;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t j = 0; j < ARRAY_SIZE(pieces); j++) {
			feed(&seen, cases[i].in, strlen(cases[i].in), pieces[j]);
			if (strcmp(seen.text, cases[i].out) != 0)
				print_message("%s, pieces of %zu\n", cases[i].name, pieces[j]);
			assert_string_equal(seen.text, cases[i].out);
		}
	}
}

/* These depend on what was received together. */
static const struct http_case together[] = {
	{ "an error drops the requests before it",
	  "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\n\r\n",
	  "400 Invalid HTTP Method: Unsupported HTTP method.\n" },
	{ "an error does not drop errors, nor what comes after it",
	  "POST / HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\nGET / HTTP/3\r\n\r\n"
	  "GET /b HTTP/1.1\r\n\r\n",
	  "400 Invalid HTTP Method: Unsupported HTTP method.\n"
	  "400 Invalid HTTP Version: Unsupported HTTP version.\n"
	  "GET </b> <>\n" },
	{ "chunks do not drop the request that they belong to",
	  "GET /a HTTP/1.1\r\n\r\nPUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
	  "5\r\nhello\r\n0\r\n\r\n",
	  "PUT </b> <>\n400 Invalid request.\n" },
	{ "what is no HTTP drops all that came with it",
	  "GET /a HTTP/1.1\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
	  "400 Invalid request.\n" },
};

static void errors_drop_what_came_together(void **state)
{
	struct seen seen;

	for (size_t i = 0; i < ARRAY_SIZE(together); i++) {
		feed(&seen, together[i].in, strlen(together[i].in), 100000);
		assert_string_equal(seen.text, together[i].out);
	}
}

static void connection_lives_on_after_no_http(void **state)
{
	struct http_parser p;
	struct seen seen = { "" };

	http_init(&p, BODY_MAX);
	assert_int_equal(http_feed(&p, "a b\r\nrest", 9), 0);
	take_items(&p, &seen);
	assert_int_equal(http_feed(&p, "GET / HTTP/1.1\r\n\r\n", 18), 0);
	take_items(&p, &seen);
	assert_string_equal(seen.text, "400 Invalid request.\nGET </> <>\n");
	http_fini(&p);
}

static void refuses_nul_in_uri(void **state)
{
	static const char in[] = "GET /a\0b HTTP/1.1\r\n\r\n";
	struct seen seen;

	feed(&seen, in, sizeof(in) - 1, 1);
	assert_string_equal(seen.text, "400 Invalid URI: Cannot parse URI as UTF-8.\n");
}

static void fini_frees_what_was_not_taken(void **state)
{
	static const char in[] =
		"GET /a HTTP/1.1\r\n\r\nPUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx";
	struct http_parser p;

	http_init(&p, BODY_MAX);
	assert_int_equal(http_feed(&p, in, sizeof(in) - 1), 0);
	http_fini(&p); /* a leak is AddressSanitizer's to find */
}

#define HEAD "Server: Firecracker API\r\nConnection: keep-alive\r\n"

static void heads_are_exact(void **state)
{
	static const struct {
		unsigned status;
		bool deprecated;
		size_t body;
		const char *head;
	} heads[] = {
		{ 100, false, 0, "HTTP/1.1 100 \r\n" HEAD "\r\n" },
		{ 204, false, 0, "HTTP/1.1 204 \r\n" HEAD "\r\n" },
		{ 204, true, 0, "HTTP/1.1 204 \r\n" HEAD "Deprecation: true\r\n\r\n" },
		{ 200, false, 36,
		  "HTTP/1.1 200 \r\n" HEAD
		  "Content-Type: application/json\r\nContent-Length: 36\r\n\r\n" },
		{ 400, true, 1,
		  "HTTP/1.1 400 \r\n" HEAD "Deprecation: true\r\n"
		  "Content-Type: application/json\r\nContent-Length: 1\r\n\r\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		char out[HTTP_HEAD_MAX];
		size_t len = http_reply_head(out, heads[i].status, heads[i].deprecated,
					     heads[i].body);

		assert_int_equal(len, strlen(heads[i].head));
		assert_memory_equal(out, heads[i].head, len);
	}
}

static void longest_head_fits(void **state)
{
	char out[HTTP_HEAD_MAX];

	assert_true(http_reply_head(out, 400, true, SIZE_MAX) < HTTP_HEAD_MAX);
}

static void too_many_has_its_length(void **state)
{
	const char *body = strstr(http_too_many, "\r\n\r\n") + 4;

	assert_int_equal(strlen(body), 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_in_pieces_of_any_size),
		cmocka_unit_test(errors_drop_what_came_together),
		cmocka_unit_test(connection_lives_on_after_no_http),
		cmocka_unit_test(refuses_nul_in_uri),
		cmocka_unit_test(fini_frees_what_was_not_taken),
		cmocka_unit_test(heads_are_exact),
		cmocka_unit_test(longest_head_fits),
		cmocka_unit_test(too_many_has_its_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
