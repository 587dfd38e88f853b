/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The monitor's end of the keeper's socket: one request, one answer, waited for.
 */
#ifndef VMM_HV_KEEPER_CLIENT_H
#define VMM_HV_KEEPER_CLIENT_H

#include "vmm/hv/keeper.h"

struct keeper_client {
	int sock; /* the owner's */
	struct keeper_info info; /* of the latest answer */
};

/* Wait for an answer: the first one, which comes unasked. Its rc, or -EPIPE; a reason. */
MUST_CHECK int keeper_take_answer(struct keeper_client *c, struct keeper_answer *a,
				  struct err *e);

/* Ask, and wait for the answer. Its rc, or -EPIPE; with a reason. */
MUST_CHECK int keeper_ask(struct keeper_client *c, const struct keeper_request *q,
			  struct keeper_answer *a, struct err *e);

/* The same for a request without fields. */
MUST_CHECK int keeper_ask_plain(struct keeper_client *c, enum keeper_request_type type,
				struct err *e);

#endif
