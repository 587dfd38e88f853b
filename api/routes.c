/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to actions: see routes.h. Input from clients: all of it. */
#include "api/routes.h"

#include "api/json.h"
#include "api/json_devices.h"

#include <errno.h>

/* How much of a client's path an error message repeats. */
#define ECHO_MAX 256

/* A path begins with these tokens. */
#define TOKENS_MAX 3

enum content {
	EMPTY, /* no body, `kind` is the action */
	JSON, /* `body` is what it says and makes the action */
	ABSENT, /* a body is not looked at; `kind` refuses, and `what` is not there */
};

struct route {
	enum http_method method;
	const char *tokens[TOKENS_MAX];
	enum content content;
	enum action_kind kind;
	enum json_body body;
	bool has_id; /* the second token is the id of a drive or interface */
	bool body_optional; /* of a PATCH */
	const char *what;
};

/* The first row that matches counts: longer paths before those that they begin with. */
static const struct route routes[] = {
	{ HTTP_GET, { "" }, EMPTY, .kind = ACTION_GET_INSTANCE },
	{ HTTP_GET, { "version" }, EMPTY, .kind = ACTION_GET_VERSION },
	{ HTTP_GET, { "machine-config" }, EMPTY, .kind = ACTION_GET_MACHINE_CONFIG },
	{ HTTP_GET, { "vm", "config" }, EMPTY, .kind = ACTION_GET_VM_CONFIG },
	{ HTTP_PUT, { "machine-config" }, JSON, .body = JSON_MACHINE_CONFIG },
	{ HTTP_PATCH, { "machine-config" }, JSON, .body = JSON_MACHINE_CONFIG_PATCH },
	{ HTTP_PUT, { "boot-source" }, JSON, .body = JSON_BOOT_SOURCE },
	{ HTTP_PUT, { "drives" }, JSON, .body = JSON_DRIVE, .has_id = true },
	{ HTTP_PATCH, { "drives" }, JSON, .body = JSON_DRIVE_PATCH, .has_id = true },
	{ HTTP_DELETE, { "drives" }, EMPTY, .kind = ACTION_DELETE_DEVICE, .has_id = true },
	{ HTTP_PUT, { "network-interfaces" }, JSON, .body = JSON_NET, .has_id = true },
	{ HTTP_PATCH, { "network-interfaces" }, JSON, .body = JSON_NET_PATCH, .has_id = true },
	{ HTTP_DELETE,
	  { "network-interfaces" },
	  EMPTY,
	  .kind = ACTION_DELETE_DEVICE,
	  .has_id = true },
	{ HTTP_PUT, { "logger" }, JSON, .body = JSON_LOGGER },
	{ HTTP_PUT, { "metrics" }, JSON, .body = JSON_METRICS },
	{ HTTP_PUT, { "serial" }, JSON, .body = JSON_SERIAL },
	{ HTTP_PUT, { "actions" }, JSON, .body = JSON_ACTION },
	{ HTTP_PATCH, { "vm" }, JSON, .body = JSON_VM_STATE },

/* What Firecracker has and Xenolith, by design, has not. */
#define BALLOON .what = "balloon device"
	{ HTTP_GET, { "balloon", "statistics" }, ABSENT, ACTION_ABSENT_POST, BALLOON },
	{ HTTP_PATCH, { "balloon", "statistics" }, ABSENT, ACTION_ABSENT_POST, BALLOON },
	{ HTTP_GET, { "balloon", "hinting", "status" }, ABSENT, ACTION_ABSENT_POST, BALLOON },
	{ HTTP_PATCH,
	  { "balloon", "hinting", "start" },
	  ABSENT,
	  ACTION_ABSENT_POST,
	  .body_optional = true,
	  BALLOON },
	{ HTTP_PATCH,
	  { "balloon", "hinting", "stop" },
	  ABSENT,
	  ACTION_ABSENT_POST,
	  .body_optional = true,
	  BALLOON },
	{ HTTP_GET, { "balloon" }, ABSENT, ACTION_ABSENT, BALLOON },
	{ HTTP_PUT, { "balloon" }, ABSENT, ACTION_ABSENT_PRE, BALLOON },
	{ HTTP_PATCH, { "balloon" }, ABSENT, ACTION_ABSENT_POST, BALLOON },
#define MEMORY .what = "memory that can be plugged in"
	{ HTTP_GET, { "hotplug", "memory" }, ABSENT, ACTION_ABSENT_POST, MEMORY },
	{ HTTP_PUT, { "hotplug", "memory" }, ABSENT, ACTION_ABSENT_PRE, MEMORY },
	{ HTTP_PATCH, { "hotplug", "memory" }, ABSENT, ACTION_ABSENT_POST, MEMORY },
#define MMDS .what = "metadata service (MMDS)"
	{ HTTP_PUT, { "mmds", "config" }, ABSENT, ACTION_ABSENT_PRE, MMDS },
	{ HTTP_GET, { "mmds" }, ABSENT, ACTION_ABSENT, MMDS },
	{ HTTP_PUT, { "mmds" }, ABSENT, ACTION_ABSENT, MMDS },
	{ HTTP_PATCH, { "mmds" }, ABSENT, ACTION_ABSENT, MMDS },
#define PMEM .has_id = true, .what = "pmem devices"
	{ HTTP_PUT, { "pmem" }, ABSENT, ACTION_ABSENT_DEVICE, PMEM },
	{ HTTP_PATCH, { "pmem" }, ABSENT, ACTION_ABSENT_POST, PMEM },
	{ HTTP_DELETE, { "pmem" }, ABSENT, ACTION_DELETE_DEVICE, PMEM },
#define SNAPSHOTS .what = "snapshots"
	{ HTTP_PUT, { "snapshot", "create" }, ABSENT, ACTION_ABSENT_POST, SNAPSHOTS },
	{ HTTP_PUT, { "snapshot", "load" }, ABSENT, ACTION_ABSENT_PRE, SNAPSHOTS },
	{ HTTP_PUT, { "cpu-config" }, ABSENT, ACTION_ABSENT_PRE, .what = "CPU templates" },
	{ HTTP_PUT, { "entropy" }, ABSENT, ACTION_ABSENT_PRE, .what = "entropy device" },
	{ HTTP_PUT, { "vsock" }, ABSENT, ACTION_ABSENT_PRE, .what = "vsock device" },
};

/* A request's path, taken apart. */
struct path {
	struct text tokens[TOKENS_MAX]; /* those that are not there are empty */
};

static struct path split_path(struct text rest)
{
	struct path p;

	while (text_starts(rest, "/"))
		rest = text(rest.at + 1, rest.len - 1);
	for (unsigned i = 0; i < TOKENS_MAX; i++)
		p.tokens[i] = text_split(&rest, '/');
	return p;
}

static const struct route *find_route(enum http_method method, const struct path *p)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		const struct route *r = &routes[i];
		bool match = r->method == method;

		for (unsigned t = 0; match && t < TOKENS_MAX && r->tokens[t]; t++)
			match = text_is(p->tokens[t], r->tokens[t]);
		if (match)
			return r;
	}
	return NULL;
}

/* Which methods have a body matters before the path does: NULL when all is well. */
static const char *body_fault(enum http_method method, bool has_body)
{
	switch (method) {
	case HTTP_GET:
		return has_body ? "GET request cannot have a body." : NULL;
	case HTTP_PUT:
		return has_body ? NULL : "Empty PUT request.";
	case HTTP_PATCH:
		return has_body ? NULL : "Empty PATCH request.";
	case HTTP_DELETE:
		return has_body ? "Empty Delete request." : NULL;
	}
	return NULL;
}

/* The id in the path is that in the body. */
static int compare_ids(struct text id, const struct action *a, struct err *e)
{
	bool drive = a->kind == ACTION_PUT_DRIVE || a->kind == ACTION_PATCH_DRIVE;
	const char *in_body = a->kind == ACTION_PUT_DRIVE   ? a->u.drive.id :
			      a->kind == ACTION_PATCH_DRIVE ? a->u.drive_update.id :
			      a->kind == ACTION_PUT_NET	    ? a->u.net.id :
							      a->u.net_update.id;

	if (text_is(id, in_body))
		return 0;
	if (drive)
		return err_set(e, -EINVAL,
			       "The id from the path does not match the id from the body!");
	return err_set(e, -EINVAL,
		       "The id from the path [%.*s] does not match the id from the body [%s]!",
		       TEXT_ARGS(id), in_body);
}

/* Whether a request can be understood is asked before the state, its values after it. */
static int parse_body(const struct route *r, struct text id, struct text body,
		      struct action *out, struct err *e)
{
	int rc = json_parse_body(r->body, body, out, e);

	if (rc < 0 && rc != -EDOM)
		return rc;
	if (rc == -EDOM) {
		out->refused = true;
		out->why = *e;
	}
	return r->has_id ? compare_ids(id, out, e) : 0;
}

static int make_action(const struct route *r, struct text id, struct text body,
		       struct action *out, struct err *e)
{
	int rc = r->has_id ? json_device_id(id, e) : 0;

	if (rc < 0)
		return rc;
	if (r->content == JSON)
		return parse_body(r, id, body, out, e);
	memset(out, 0, sizeof(*out));
	out->kind = r->kind;
	out->u.absent = r->what;
	return 0;
}

int route_request(const struct http_item *request, struct action *out, struct err *e)
{
	enum http_method method = request->method;
	struct path p = split_path(request->path);
	const struct route *r = find_route(method, &p);
	const char *fault = body_fault(method, request->body.len > 0);
	struct text first = text_cut(p.tokens[0], ECHO_MAX);

	if (fault && !(r && r->body_optional))
		return err_set(e, -EINVAL, "%s", fault);
	if (!r)
		return err_set(e, -EINVAL, "Invalid request method and/or path: %s %.*s.",
			       http_method_name(method), TEXT_ARGS(first));
	return make_action(r, p.tokens[1], request->body, out, e);
}

bool route_at(size_t i, struct route_info *out)
{
	const struct route *r = &routes[i];

	if (i >= ARRAY_SIZE(routes))
		return false;
	*out = (struct route_info){ .method = r->method, .has_id = r->has_id };
	for (unsigned t = 0; t < TOKENS_MAX; t++)
		out->tokens[t] = r->tokens[t];
	return true;
}
