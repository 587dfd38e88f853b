/* SPDX-License-Identifier: Apache-2.0 */
/* Errors with their reason: see err.h. */
#include "vmm/lib/err.h"

#include <stdarg.h>
#include <stdio.h>

int err_set(struct err *e, int rc, const char *fmt, ...)
{
	va_list args;

	if (!e)
		return rc;
	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	return rc;
}

int err_prefix(struct err *e, int rc, const char *fmt, ...)
{
	struct err reason;
	va_list args;
	size_t used;

	if (!e)
		return rc;
	reason = *e;
	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	used = strlen(e->text);
	snprintf(e->text + used, sizeof(e->text) - used, ": %s", reason.text);
	return rc;
}
