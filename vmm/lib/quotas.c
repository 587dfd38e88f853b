/* SPDX-License-Identifier: Apache-2.0 */
/* Quotas for domains that create domains: see quotas.h. */
#include "vmm/lib/quotas.h"

#include <errno.h>
#include <stdlib.h>

#define VCPUS_PER_DOMAIN 2

static const struct key {
	const char *name;
	size_t at; /* in struct quotas */
	uint64_t max;
	bool required;
} keys[] = {
	{ "domains", offsetof(struct quotas, domains), 32000, true },
	{ "memory-mib", offsetof(struct quotas, memory_mib), UINT32_MAX, true },
	{ "vcpus", offsetof(struct quotas, vcpus), UINT32_MAX, false },
	{ "event-channels", offsetof(struct quotas, event_channels), UINT32_MAX, false },
	{ "grant-frames", offsetof(struct quotas, grant_frames), UINT32_MAX, false },
	{ "paging-pages", offsetof(struct quotas, paging_pages), UINT32_MAX, false },
};

/* The key that `text` begins with, and '='. */
static const struct key *find_key(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t n = strlen(keys[i].name);

		if (strncmp(text, keys[i].name, n) == 0 && text[n] == '=')
			return &keys[i];
	}
	return NULL;
}

/* A number at *text, and what comes after it there. */
static bool read_number(const char **text, uint64_t max, uint64_t *out)
{
	char *end;

	if (**text < '0' || **text > '9')
		return false;
	errno = 0;
	*out = strtoull(*text, &end, 10);
	*text = end;
	return errno == 0 && *out > 0 && *out <= max && (*end == ',' || *end == '\0');
}

static int read_key(const char **text, struct quotas *q, struct err *e)
{
	const struct key *k = find_key(*text);
	uint64_t old, value;

	if (!k)
		return err_set(e, -EINVAL, "no quota at '%.32s'", *text);
	memcpy(&old, (char *)q + k->at, sizeof(old));
	if (old)
		return err_set(e, -EINVAL, "%s is given twice", k->name);
	*text += strlen(k->name) + 1;
	if (!read_number(text, k->max, &value))
		return err_set(e, -EINVAL, "%s is a number from 1 to %llu", k->name,
			       (unsigned long long)k->max);
	memcpy((char *)q + k->at, &value, sizeof(value));
	if (**text == ',')
		++*text;
	else
		*text = NULL;
	return 0;
}

static int check_required(const struct quotas *q, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint64_t value;

		memcpy(&value, (const char *)q + keys[i].at, sizeof(value));
		if (keys[i].required && !value)
			return err_set(e, -EINVAL, "%s is missing", keys[i].name);
	}
	return 0;
}

static void fill_in(struct quotas *q)
{
	if (!q->vcpus)
		q->vcpus = VCPUS_PER_DOMAIN * q->domains;
	/* A part for each domain and one for each vCPU. */
	if (!q->event_channels)
		q->event_channels =
			QUOTAS_EVENT_CHANNELS(0) * q->domains +
			(QUOTAS_EVENT_CHANNELS(1) - QUOTAS_EVENT_CHANNELS(0)) * q->vcpus;
	if (!q->grant_frames)
		q->grant_frames = QUOTAS_GRANT_FRAMES * q->domains;
	if (!q->paging_pages)
		q->paging_pages = QUOTAS_PAGING_PAGES * q->domains;
}

int quotas_parse(const char *text, struct quotas *out, struct err *e)
{
	struct quotas q = { 0 };
	int rc;

	do {
		rc = read_key(&text, &q, e);
	} while (rc == 0 && text);
	if (rc == 0)
		rc = check_required(&q, e);
	if (rc < 0)
		return rc;
	fill_in(&q);
	*out = q;
	return 0;
}
