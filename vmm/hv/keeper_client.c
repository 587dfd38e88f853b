/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the keeper: see keeper_client.h. */
#include "vmm/hv/keeper_client.h"

#include <errno.h>
#include <sys/socket.h>

int keeper_take_answer(struct keeper_client *c, struct keeper_answer *a, struct err *e)
{
	ssize_t n;

	do
		n = recv(c->sock, a, sizeof(*a), 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*a))
		return err_set(e, -EPIPE, "the keeper process is gone");
	c->info = (struct keeper_info){ .domid = a->domid,
					.profile = (enum keeper_profile)a->profile,
					.version = a->version,
					.hypercalls = a->hypercalls,
					.start_ns = a->start_ns };
	if (a->rc < 0 && e)
		*e = a->e;
	return a->rc;
}

int keeper_ask(struct keeper_client *c, const struct keeper_request *q, struct keeper_answer *a,
	       struct err *e)
{
	if (send(c->sock, q, sizeof(*q), MSG_NOSIGNAL) != (ssize_t)sizeof(*q))
		return err_set(e, -EPIPE, "the keeper process is gone");
	return keeper_take_answer(c, a, e);
}

int keeper_ask_plain(struct keeper_client *c, enum keeper_request_type type, struct err *e)
{
	const struct keeper_request q = { .type = type };
	struct keeper_answer a;

	return keeper_ask(c, &q, &a, e);
}
