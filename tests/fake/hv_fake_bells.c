/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doorbells. As with event channels, who is told learns it later, once for all that was
 * rung meanwhile, and once after it was set up.
 */
#include <errno.h>

#include "tests/fake/hv_fake_priv.h"
#include "vmm/lib/bytes.h"

static struct hv_fake *fake(struct hv *hv)
{
	return CONTAINER_OF(hv, struct hv_fake, hv);
}

static bool overlaps(const struct fake_bell *a, const struct fake_bell *b)
{
	return a->b.addr == b->b.addr && (a->clears || b->clears || a->b.data == b->b.data);
}

static int add(struct hv_fake *f, const struct fake_bell *bell, struct err *e)
{
	int rc = fake_call(f, FAKE_DOORBELL);

	if (f->options.no_doorbells)
		return err_set(e, -EOPNOTSUPP, "fake doorbell: %s", strerror(EOPNOTSUPP));
	if (rc < 0)
		return err_set(e, rc, "fake doorbell: %s", strerror(-rc));
	if (f->state != FAKE_SHAPED)
		return err_set(e, -ENOENT, "fake doorbell: there is no server");
	if (f->n_bells == HV_DOORBELLS_MAX)
		return err_set(e, -ENOSPC, "fake doorbell: %s", strerror(ENOSPC));
	for (unsigned i = 0; i < f->n_bells; i++)
		if (overlaps(&f->bells[i], bell))
			return err_set(e, -EEXIST, "fake doorbell: %s", strerror(EEXIST));
	f->bells[f->n_bells++] = *bell;
	return 0;
}

static void tell_soon(struct hv_fake *f, struct fake_bell *bell)
{
	bell->rung = true;
	if (!f->rings.busy)
		loop_defer(f->loop, &f->rings);
}

int fake_doorbell(struct hv *hv, const struct hv_doorbell *b, struct err *e)
{
	struct hv_fake *f = fake(hv);
	int rc = add(f, &(struct fake_bell){ .b = *b }, e);

	if (rc == 0 && f->loop)
		tell_soon(f, &f->bells[f->n_bells - 1]);
	return rc;
}

int fake_clears(struct hv *hv, uint64_t addr, gpa_t word, struct err *e)
{
	struct hv_fake *f = fake(hv);
	const uint8_t *at = fake_pages_find(f, word.v, word.v + 3);
	struct fake_bell bell = { .b.addr = addr };

	if (!at || word.v % 4)
		return err_set(e, -EINVAL, "fake doorbell: no register page at %#llx",
			       (unsigned long long)word.v);
	bell.clears = (uint32_t *)(void *)(f->pages + (at - f->pages));
	return add(f, &bell, e);
}

int fake_line(struct hv *hv, unsigned gsi, struct err *e)
{
	struct hv_fake *f = fake(hv);
	int rc = fake_call(f, FAKE_LINE);

	if (gsi == 0 || gsi >= HV_FAKE_GSIS)
		return err_set(e, -EINVAL, "fake line: no GSI %u", gsi);
	if (rc == 0 && f->state != FAKE_SHAPED)
		rc = -ENOENT;
	return rc < 0 ? err_set(e, rc, "fake line: %s", strerror(-rc)) : 0;
}

bool fake_bells_rung(struct hv_fake *f, const struct hv_io *io)
{
	if (io->space != HV_MMIO || !io->write || io->indirect || io->count != 1 ||
	    io->size != 4)
		return false;
	for (unsigned i = 0; i < f->n_bells; i++) {
		struct fake_bell *bell = &f->bells[i];

		if (bell->b.addr != io->addr ||
		    (!bell->clears && bell->b.data != (uint32_t)io->data))
			continue;
		if (bell->clears) {
			__atomic_fetch_and(bell->clears, ~(uint32_t)io->data, __ATOMIC_SEQ_CST);
			f->silent++;
		} else {
			tell_soon(f, bell);
		}
		return true;
	}
	return false;
}

void fake_bells_tell(struct loop_op *op, int res)
{
	struct hv_fake *f = CONTAINER_OF(op, struct hv_fake, rings);

	(void)res;
	for (unsigned i = 0; i < f->n_bells; i++) {
		if (!f->bells[i].rung)
			continue;
		f->bells[i].rung = false;
		f->counts.rings++;
		f->listener.rung(f->listener.ctx, f->bells[i].b.which);
	}
}
