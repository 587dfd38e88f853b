/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an attack does with a domain of the attacker's own beside hypercalls (hvgen.h).
 */
#ifndef TESTS_SYSTEM_HVOWNS_H
#define TESTS_SYSTEM_HVOWNS_H

#include "tests/system/tools/hvgen.h"

/* Let a domain start with a context of which some is not as it should be: whether it did. */
static bool vm_start_anyhow(struct proxy *p, struct attack *a, uint32_t vm)
{
	struct context *c = scratch;
	unsigned n = (unsigned)draw_below(a, 5);

	context_init(c);
	if (draw_below(a, 2))
		context_long(c, 0x9000, 0x7f0000000000);
	for (unsigned i = 0; i < n; i++) {
		uint64_t v = draw_value(a), at = draw_below(a, sizeof(*c) - 4);

		memcpy((char *)c + at, &v, 4);
	}
	proxy_put(p, PAGE, c, sizeof(*c));
	if (vm_load_context(p, vm, sizeof(*c)))
		return false;
	return proxy_plain_domctl(p, XEN_DOMCTL_unpausedomain, vm) == 0;
}

#endif
