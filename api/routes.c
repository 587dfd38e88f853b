/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to actions: see routes.h. Input from clients: all of it. */
#include "api/routes.h"

#include "api/json.h"
#include "api/json_devices.h"

#include <errno.h>

/* How much of a client's path an error message repeats. */
#define ECHO_MAX 256

/* First and second token of a path; NULL: any. */
struct pattern {
	enum http_method method;
	const char *first, *second;
};

enum content {
	EMPTY, /* no body, `kind` is the action */
	JSON, /* `body` is what it says and makes the action */
};

struct route {
	struct pattern at;
	enum content content;
	enum action_kind kind;
	enum json_body body;
	bool has_id; /* the second token is the id of a drive or interface */
};

static const struct route routes[] = {
	{ { HTTP_GET, "", NULL }, EMPTY, .kind = ACTION_GET_INSTANCE },
	{ { HTTP_GET, "version", NULL }, EMPTY, .kind = ACTION_GET_VERSION },
	{ { HTTP_GET, "machine-config", NULL }, EMPTY, .kind = ACTION_GET_MACHINE_CONFIG },
	{ { HTTP_GET, "vm", "config" }, EMPTY, .kind = ACTION_GET_VM_CONFIG },
	{ { HTTP_PUT, "machine-config", NULL }, JSON, .body = JSON_MACHINE_CONFIG },
	{ { HTTP_PATCH, "machine-config", NULL }, JSON, .body = JSON_MACHINE_CONFIG_PATCH },
	{ { HTTP_PUT, "boot-source", NULL }, JSON, .body = JSON_BOOT_SOURCE },
	{ { HTTP_PUT, "drives", NULL }, JSON, .body = JSON_DRIVE, .has_id = true },
	{ { HTTP_PATCH, "drives", NULL }, JSON, .body = JSON_DRIVE_PATCH, .has_id = true },
	{ { HTTP_DELETE, "drives", NULL }, EMPTY, .kind = ACTION_DELETE_DEVICE, .has_id = true },
	{ { HTTP_PUT, "network-interfaces", NULL }, JSON, .body = JSON_NET, .has_id = true },
	{ { HTTP_PATCH, "network-interfaces", NULL },
	  JSON,
	  .body = JSON_NET_PATCH,
	  .has_id = true },
	{ { HTTP_DELETE, "network-interfaces", NULL },
	  EMPTY,
	  .kind = ACTION_DELETE_DEVICE,
	  .has_id = true },
	{ { HTTP_PUT, "actions", NULL }, JSON, .body = JSON_ACTION },
	{ { HTTP_PATCH, "vm", NULL }, JSON, .body = JSON_VM_STATE },
};

/* What Firecracker serves and this version does not. */
static const struct pattern unserved[] = {
	{ HTTP_PUT, "pmem", NULL },	   { HTTP_PATCH, "pmem", NULL },
	{ HTTP_DELETE, "pmem", NULL },	   { HTTP_GET, "balloon", NULL },
	{ HTTP_PUT, "balloon", NULL },	   { HTTP_PATCH, "balloon", NULL },
	{ HTTP_GET, "mmds", NULL },	   { HTTP_PUT, "mmds", NULL },
	{ HTTP_PATCH, "mmds", NULL },	   { HTTP_GET, "hotplug", "memory" },
	{ HTTP_PUT, "hotplug", "memory" }, { HTTP_PATCH, "hotplug", "memory" },
	{ HTTP_PUT, "snapshot", NULL },	   { HTTP_PUT, "cpu-config", NULL },
	{ HTTP_PUT, "entropy", NULL },	   { HTTP_PUT, "logger", NULL },
	{ HTTP_PUT, "metrics", NULL },	   { HTTP_PUT, "serial", NULL },
	{ HTTP_PUT, "vsock", NULL },
};

static bool matches(const struct pattern *p, enum http_method method, struct text first,
		    struct text second)
{
	return p->method == method && text_is(first, p->first) &&
	       (!p->second || text_is(second, p->second));
}

static const struct route *find_route(enum http_method method, struct text first,
				      struct text second)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (matches(&routes[i].at, method, first, second))
			return &routes[i];
	return NULL;
}

static bool is_unserved(enum http_method method, struct text first, struct text second)
{
	for (size_t i = 0; i < ARRAY_SIZE(unserved); i++)
		if (matches(&unserved[i], method, first, second))
			return true;
	return false;
}

/* Which methods have a body is checked before the path is: NULL when all is well. */
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

/* Nothing is at this path for this method. */
static int no_route(enum http_method method, struct text first, struct text second,
		    struct err *e)
{
	const char *name = http_method_name(method);

	first = text_cut(first, ECHO_MAX);
	if (is_unserved(method, first, second))
		return err_set(e, -EINVAL,
			       "%s /%.*s is not served by this version of Xenolith.", name,
			       TEXT_ARGS(first));
	return err_set(e, -EINVAL, "Invalid request method and/or path: %s %.*s.", name,
		       TEXT_ARGS(first));
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

static int make_action(const struct route *r, struct text id, struct text body,
		       struct action *out, struct err *e)
{
	int rc = r->has_id ? json_device_id(id, e) : 0;

	if (rc < 0)
		return rc;
	if (r->content == JSON) {
		rc = json_parse_body(r->body, body, out, e);
		return rc == 0 && r->has_id ? compare_ids(id, out, e) : rc;
	}
	memset(out, 0, sizeof(*out));
	out->kind = r->kind;
	return 0;
}

int route_request(const struct http_item *request, struct action *out, struct err *e)
{
	enum http_method method = request->method;
	struct text rest = request->path;
	const struct route *r;
	struct text first, second;
	const char *fault = body_fault(method, request->body.len > 0);

	while (text_starts(rest, "/"))
		rest = text(rest.at + 1, rest.len - 1);
	first = text_split(&rest, '/');
	second = text_split(&rest, '/');
	r = find_route(method, first, second);
	/* A part of Firecracker's API takes PATCH without a body; it is not served anyway. */
	if (fault && (r || !is_unserved(method, first, second)))
		return err_set(e, -EINVAL, "%s", fault);
	if (!r)
		return no_route(method, first, second, e);
	return make_action(r, second, request->body, out, e);
}
