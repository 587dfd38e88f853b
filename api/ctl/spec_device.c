/* SPDX-License-Identifier: Apache-2.0 */
/* --disk and --net: see spec_device.h. */
#include "api/ctl/spec_device.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *spec_absolute(const char *path)
{
	char cwd[PATH_MAX], *full = NULL;

	if (*path == '/' || !getcwd(cwd, sizeof(cwd)))
		return strdup(path);
	return asprintf(&full, "%s/%s", cwd, path) < 0 ? NULL : full;
}

/* ---- words behind the first one ------------------------------------------------ */

struct word {
	const char *name;
	size_t len;
	const char *value; /* NULL: none; not terminated */
	size_t value_len;
};

/* The word at `*at`, which moves to the next; false at the end. */
static bool next_word(const char **at, struct word *w)
{
	const char *equals;
	size_t n;

	if (!**at)
		return false;
	++*at; /* the comma */
	n = strcspn(*at, ",");
	equals = memchr(*at, '=', n);
	*w = (struct word){ .name = *at, .len = equals ? (size_t)(equals - *at) : n };
	if (equals) {
		w->value = equals + 1;
		w->value_len = (size_t)(*at + n - w->value);
	}
	*at += n;
	return true;
}

static bool is(const struct word *w, const char *name, bool value)
{
	return strlen(name) == w->len && memcmp(name, w->name, w->len) == 0 &&
	       value == (w->value != NULL);
}

static int add_text(cJSON *object, const char *key, const struct word *w)
{
	char *text = strndup(w->value, w->value_len);
	const cJSON *added = text ? cJSON_AddStringToObject(object, key, text) : NULL;

	free(text);
	return added ? 0 : -ENOMEM;
}

/* "100", "64K", "10M", "1G". */
static int amount(const struct word *w, double *out)
{
	char text[24], *end;
	unsigned long long n;
	unsigned shift = 0;

	if (w->value_len == 0 || w->value_len >= sizeof(text) || *w->value < '0' ||
	    *w->value > '9')
		return -EINVAL;
	memcpy(text, w->value, w->value_len);
	text[w->value_len] = '\0';
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end && !end[1])
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
	if (errno || (*end && !shift) || n > UINT64_C(1) << 40)
		return -EINVAL;
	/* Numbers of JSON are exact up to 2^53 in most readers. */
	*out = (double)n * (double)(UINT64_C(1) << shift);
	return *out <= 9007199254740992.0 ? 0 : -EINVAL;
}

/* A bucket that holds a second's worth, in each of the limiters named. */
static int add_limit(cJSON *object, const char *const *limiters, const char *kind,
		     const struct word *w)
{
	double size = 0;
	int rc = amount(w, &size);

	for (; rc == 0 && *limiters; limiters++) {
		cJSON *limiter = cJSON_GetObjectItemCaseSensitive(object, *limiters);
		cJSON *bucket;

		if (!limiter)
			limiter = cJSON_AddObjectToObject(object, *limiters);
		bucket = cJSON_AddObjectToObject(limiter, kind);
		if (!cJSON_AddNumberToObject(bucket, "size", size) ||
		    !cJSON_AddNumberToObject(bucket, "refill_time", 1000))
			rc = -ENOMEM;
	}
	return rc;
}

/* What the words of both kinds have in common; 1: not one of those. */
static int common_word(cJSON *object, const char *id_key, const char *const *limiters,
		       const char *ops, const struct word *w)
{
	if (is(w, "id", true)) {
		cJSON_DeleteItemFromObjectCaseSensitive(object, id_key);
		return add_text(object, id_key, w);
	}
	if (is(w, "bps", true))
		return add_limit(object, limiters, "bandwidth", w);
	if (is(w, ops, true))
		return add_limit(object, limiters, "ops", w);
	return 1;
}

static int bad_word(const char *what, const char *text, const struct word *w, struct err *e)
{
	return err_set(e, -EINVAL, "%s '%s': '%.*s' is not understood", what, text,
		       (int)min_size(strcspn(w->name, ","), 100), w->name);
}

/* The first word, into `key` of a new object whose `id_key` is "NAMEn". */
static cJSON *begin(const char *first, const char *id_key, const char *name, unsigned n,
		    const char *key)
{
	cJSON *object = cJSON_CreateObject();
	char id[32];

	(void)snprintf(id, sizeof(id), "%s%u", name, n);
	cJSON_AddStringToObject(object, id_key, id);
	cJSON_AddStringToObject(object, key, first);
	return object;
}

/* ---- disks --------------------------------------------------------------------- */

static int disk_word(cJSON *disk, const struct word *w)
{
	static const char *const limiters[] = { "rate_limiter", NULL };
	bool added = true;

	if (is(w, "ro", false))
		added = cJSON_AddTrueToObject(disk, "is_read_only");
	else if (is(w, "direct", false))
		added = cJSON_AddTrueToObject(disk, "direct");
	else if (is(w, "writeback", false))
		added = cJSON_AddStringToObject(disk, "cache_type", "Writeback");
	else if (!is(w, "data", false))
		return common_word(disk, "drive_id", limiters, "iops", w);
	return added ? 0 : -ENOMEM;
}

int spec_disk(cJSON **out, const char *text, unsigned n, bool root, struct err *e)
{
	const char *at = text + strcspn(text, ",");
	char *file = strndup(text, (size_t)(at - text)),
	     *path = file ? spec_absolute(file) : NULL;
	cJSON *disk = path ? begin(path, "drive_id", "disk", n, "path_on_host") : NULL;
	int rc = disk ? 0 : err_set(e, -ENOMEM, "out of memory");
	struct word w;

	if (rc == 0 && !*file)
		rc = err_set(e, -EINVAL, "--disk '%s': the file is missing", text);
	while (rc == 0 && next_word(&at, &w)) {
		rc = disk_word(disk, &w);
		root = root && !is(&w, "data", false);
		if (rc != 0)
			rc = bad_word("--disk", text, &w, e);
	}
	free(file);
	free(path);
	if (rc == 0 && !cJSON_AddBoolToObject(disk, "is_root_device", root))
		rc = err_set(e, -ENOMEM, "out of memory");
	if (rc < 0)
		cJSON_Delete(disk);
	else
		*out = disk;
	return rc;
}

/* ---- networks ------------------------------------------------------------------ */

static int net_word(cJSON *net, const struct word *w)
{
	static const char *const limiters[] = { "rx_rate_limiter", "tx_rate_limiter", NULL };
	double n = 0;
	int rc;

	if (is(w, "mac", true))
		return add_text(net, "guest_mac", w);
	if (!is(w, "mtu", true))
		return common_word(net, "iface_id", limiters, "pps", w);
	rc = amount(w, &n);
	if (rc == 0 && !cJSON_AddNumberToObject(net, "mtu", n))
		rc = -ENOMEM;
	return rc;
}

int spec_net(cJSON **out, const char *text, unsigned n, struct err *e)
{
	const char *at = text + strcspn(text, ",");
	char *tap = strndup(text, (size_t)(at - text));
	cJSON *net = tap ? begin(tap, "iface_id", "eth", n, "host_dev_name") : NULL;
	int rc = net ? 0 : err_set(e, -ENOMEM, "out of memory");
	struct word w;

	if (rc == 0 && !*tap)
		rc = err_set(e, -EINVAL, "--net '%s': the tap is missing", text);
	while (rc == 0 && next_word(&at, &w)) {
		rc = net_word(net, &w);
		if (rc != 0)
			rc = bad_word("--net", text, &w, e);
	}
	free(tap);
	if (rc < 0)
		cJSON_Delete(net);
	else
		*out = net;
	return rc;
}
