/* SPDX-License-Identifier: Apache-2.0 */
/* Failures on demand: the nth call of an operation. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/hv_fake_priv.h"

const char *const fake_op_names[FAKE_OPS] = {
	[FAKE_OPEN] = "open",		[FAKE_SHAPE] = "shape",	  [FAKE_MEM_READ] = "mem_read",
	[FAKE_MEM_WRITE] = "mem_write", [FAKE_MAP] = "map",	  [FAKE_PAGES] = "pages",
	[FAKE_DOORBELL] = "doorbell",	[FAKE_LINE] = "line",	  [FAKE_START] = "start",
	[FAKE_PAUSE] = "pause",		[FAKE_RESUME] = "resume",
};

static bool find_op(const char *name, enum fake_op *out)
{
	for (unsigned i = 0; i < FAKE_OPS; i++) {
		if (strcmp(name, fake_op_names[i]) == 0) {
			*out = (enum fake_op)i;
			return true;
		}
	}
	return false;
}

static bool find_errno(const char *name, int *out)
{
	static const struct {
		const char *name;
		int number;
	} numbers[] = {
		{ "EPERM", EPERM },   { "ENOENT", ENOENT }, { "EIO", EIO },
		{ "EAGAIN", EAGAIN }, { "ENOMEM", ENOMEM }, { "EACCES", EACCES },
		{ "EFAULT", EFAULT }, { "EBUSY", EBUSY },   { "EINVAL", EINVAL },
		{ "ENOSPC", ENOSPC }, { "EPIPE", EPIPE },   { "EOPNOTSUPP", EOPNOTSUPP },
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (strcmp(name, numbers[i].name) == 0)
			*out = numbers[i].number;
	return *out != 0;
}

static bool parse_fault(const char *text, struct fake_fault *out)
{
	char op[16], number[16], rest;
	unsigned long long nth = 1;
	int n = sscanf(text, "%15[a-z_]:%15[A-Z]%c%llu%c", op, number, &rest, &nth, &rest);

	if (n != 2 && (n != 4 || rest != ':'))
		return false;
	out->rc = 0;
	if (nth == 0 || !find_op(op, &out->op) || !find_errno(number, &out->rc))
		return false;
	out->rc = -out->rc;
	out->nth = nth;
	return true;
}

int fake_faults_parse(struct hv_fake *f, const char *text, struct err *e)
{
	char *copy = strdup(text), *rest = copy, *one;
	int rc = 0;

	if (!copy)
		abort();
	while (rc == 0 && (one = strsep(&rest, ","))) {
		if (f->n_faults == FAKE_FAULTS_MAX ||
		    !parse_fault(one, &f->faults[f->n_faults++]))
			rc = err_set(e, -EINVAL, "XENOLITH_FAKE_FAIL: %s: not op:ERRNO[:nth]",
				     one);
	}
	free(copy);
	return rc;
}

int fake_call(struct hv_fake *f, enum fake_op op)
{
	uint64_t nth = ++f->calls[op];

	for (unsigned i = 0; i < f->n_faults; i++)
		if (f->faults[i].op == op && f->faults[i].nth == nth)
			return f->faults[i].rc;
	return 0;
}
