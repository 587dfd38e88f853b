/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often clients asked for what, how often they were refused, and how long it took. Kept by
 * the server, read by the metrics.
 *
 * Input from clients: methods and paths.
 */
#ifndef API_COUNTS_H
#define API_COUNTS_H

#include "api/http.h"
#include "vmm/lib/latency.h"

#define API_METHODS 4
#define API_CALLS_MAX 40

struct api_call_count {
	uint64_t calls, fails;
};

/* Zero-initialise. */
struct api_counts {
	struct api_call_count calls[API_CALLS_MAX]; /* by the index of api_call() */
	struct latency latency[API_METHODS]; /* by enum http_method */
	uint64_t invalid; /* requests that are no HTTP, or for what there is not */
	uint64_t deprecated; /* requests with a field that is */
};

/* One of the calls that are counted. */
struct api_call {
	enum http_method method;
	const char *path; /* its first token */
	const char *name; /* in the metrics: Firecracker's, where it counts it */
};

/* The n-th of them, ordered by method; NULL: there are no more. */
const struct api_call *api_call(unsigned n);

/* A request was answered, `ns` after it was there. */
void api_counts_add(struct api_counts *c, const struct http_item *request, bool failed,
		    uint64_t ns);

#endif
