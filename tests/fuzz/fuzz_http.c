/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from a connection. The first byte is the size of the pieces that the rest
 * arrives in. When nothing is refused, the pieces must not matter.
 */
#include "api/http.h"
#include "api/routes.h"

#include <stdlib.h>

#define BODY_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What came out, as far as it can differ. */
struct outcome {
	uint64_t sum; /* of the requests' bytes, in order */
	unsigned items, errors;
};

static void add(struct outcome *o, struct text t)
{
	for (size_t i = 0; i < t.len; i++)
		o->sum = o->sum * 31 + (uint8_t)t.at[i];
	o->sum = o->sum * 31 + t.len;
}

static void take(struct http_parser *p, struct outcome *o)
{
	static struct action action;
	struct http_item *item;
	struct err e;

	while ((item = http_next(p))) {
		o->items++;
		if (item->kind == HTTP_ERROR)
			o->errors++;
		if (item->kind == HTTP_REQUEST) {
			add(o, item->path);
			add(o, item->body);
			if (route_request(item, &action, &e) < 0 && e.text[0] == '\0')
				abort();
		}
		free(item);
	}
}

static struct outcome run(const uint8_t *data, size_t len, size_t piece)
{
	struct outcome o = { 0 };
	struct http_parser p;

	http_init(&p, BODY_MAX);
	for (size_t at = 0; at < len; at += piece) {
		if (http_feed(&p, (const char *)data + at, min_size(piece, len - at)) < 0)
			abort();
		take(&p, &o);
	}
	http_fini(&p);
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct outcome pieces, whole;

	if (len < 2)
		return 0;
	pieces = run(data + 1, len - 1, data[0] ? data[0] : 1);
	whole = run(data + 1, len - 1, len);
	if (!pieces.errors &&
	    (whole.errors || pieces.items != whole.items || pieces.sum != whole.sum))
		abort();
	return 0;
}
