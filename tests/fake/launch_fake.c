/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Becoming a monitor on the fake hypervisor: one process, which XENOLITH_FAKE_*
 * directs (README.md). A variable that cannot be understood is the test's mistake,
 * not a failure that the monitor should see: the process ends with status 98.
 */
#include "vmm/hv/launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/hv_fake.h"

#define EXIT_BAD_SCRIPT 98
#define SCRIPT_MAX (1u << 20)

static void refuse(const char *what, const char *why)
{
	fprintf(stderr, "fake hypervisor: %s: %s\n", what, why);
	exit(EXIT_BAD_SCRIPT);
}

/* The whole file, to be freed. */
static char *read_script(const char *path)
{
	FILE *in = fopen(path, "r");
	char *text = calloc(1, SCRIPT_MAX);
	size_t n;

	if (!in || !text)
		refuse(path, strerror(errno));
	n = fread(text, 1, SCRIPT_MAX, in);
	if (ferror(in) || n == SCRIPT_MAX || memchr(text, '\0', n))
		refuse(path, "cannot be read, is too long or holds a NUL");
	fclose(in);
	return text;
}

static uint64_t ram_from_env(void)
{
	const char *text = getenv("XENOLITH_FAKE_RAM_MIB");
	char *end;
	uint64_t mib;

	if (!text)
		return 0;
	mib = strtoull(text, &end, 10);
	if (*end || mib == 0)
		refuse("XENOLITH_FAKE_RAM_MIB", "not a number of MiB");
	return mib;
}

static bool flag_from_env(const char *name)
{
	const char *text = getenv(name);

	if (text && strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
		refuse(name, "neither 0 nor 1");
	return text && *text == '1';
}

int hv_fake_from_env(struct hv **out, struct err *e)
{
	struct hv_fake_options o = {
		.ram_mib = ram_from_env(),
		.guest_name = getenv("XENOLITH_FAKE_GUEST"),
		.fail = getenv("XENOLITH_FAKE_FAIL"),
		.no_pages = flag_from_env("XENOLITH_FAKE_NO_PAGES"),
		.no_doorbells = flag_from_env("XENOLITH_FAKE_NO_DOORBELLS"),
		.dump = getenv("XENOLITH_FAKE_DUMP"),
		.dump_mem = getenv("XENOLITH_FAKE_DUMP_MEM"),
	};
	char *script = o.guest_name ? read_script(o.guest_name) : NULL;
	int rc;

	o.guest = script;
	rc = hv_fake_create(out, &o, e);
	free(script);
	if (rc == -EINVAL)
		refuse("XENOLITH_FAKE_*", e->text);
	return rc;
}

int launch(int (*monitor)(void *ctx, struct hv *hv), void *ctx, const struct quotas *builder,
	   struct err *e)
{
	struct hv *hv;
	int rc = hv_fake_from_env(&hv, e);

	if (rc == 0 && builder->domains) {
		hv->ops->close(hv);
		rc = err_set(e, -EPERM, "--builder: there is no Xen here");
	}
	return rc < 0 ? rc : monitor(ctx, hv);
}
