/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor interface without a hypervisor: see hv_fake.h. */
#include "tests/fake/hv_fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/fake/hv_fake_priv.h"
#include "vmm/lib/config.h"
#include "vmm/lib/log.h"

/* Steps of the guest before everyone else gets a turn. */
#define SLICE_STEPS 32
/* How often a guest that polls is let look again. */
#define POLL_MS 1

static struct hv_fake *fake(struct hv *hv)
{
	return CONTAINER_OF(hv, struct hv_fake, hv);
}

static const struct hv_fake *const_fake(const struct hv *hv)
{
	return (const struct hv_fake *)(const void *)hv;
}

_Static_assert(offsetof(struct hv_fake, hv) == 0, "const_fake");

static int not_now(struct err *e, const char *op)
{
	return err_set(e, -EPERM, "keeper: %s is not permitted now", op);
}

/* ---- making the domain ---- */

static void empty(struct hv_fake *f)
{
	fake_ram_free(f);
	f->n_ranges = f->n_bells = 0;
	f->pages_asked = false;
	f->held = 0;
	f->state = FAKE_SHELL;
}

static int populate(struct hv_fake *f, const struct hv_shape *s, struct err *e)
{
	uint64_t ram_mib = f->options.ram_mib ? f->options.ram_mib : HV_FAKE_RAM_MIB;

	if (s->ram / MIB <= ram_mib && fake_ram_make(f, s->ram) == 0)
		return 0;
	empty(f);
	return err_set(e, -ENOMEM, "the host has not enough free memory for %llu MiB",
		       (unsigned long long)(s->ram / MIB));
}

static int fake_shape(struct hv *hv, const struct hv_shape *s, const struct hv_range *ranges,
		      unsigned n, struct err *e)
{
	struct hv_fake *f = fake(hv);
	int rc = fake_call(f, FAKE_SHAPE);

	if (f->state != FAKE_SHELL && f->state != FAKE_SHAPED)
		return not_now(e, "shape");
	empty(f);
	if (rc < 0)
		return err_set(e, rc, "fake shape: %s", strerror(-rc));
	if (s->vcpus < 1 || s->vcpus > CONFIG_VCPUS_MAX)
		return err_set(e, -EINVAL, "keeper: %u vCPUs are out of range", s->vcpus);
	if (s->ram == 0 || s->ram % MIB)
		return err_set(e, -EINVAL, "keeper: RAM size %#llx is no multiple of 1 MiB",
			       (unsigned long long)s->ram);
	if (n > FAKE_RANGES_MAX)
		return err_set(e, -ENOSPC, "fake shape: %u ranges", n);
	rc = populate(f, s, e);
	if (rc < 0)
		return rc;
	f->shape = *s;
	memcpy(f->ranges, ranges, n * sizeof(*ranges));
	f->n_ranges = n;
	f->state = FAKE_SHAPED;
	return 0;
}

static int fake_pages(struct hv *hv, gpa_t at, unsigned n, void **out, struct err *e)
{
	struct hv_fake *f = fake(hv);
	int rc = fake_call(f, FAKE_PAGES);

	if (f->state != FAKE_SHAPED || f->pages_asked)
		return not_now(e, "pages");
	if (f->options.no_pages)
		return err_set(e, -EOPNOTSUPP, "fake pages: %s", strerror(EOPNOTSUPP));
	f->pages_asked = true;
	if (rc < 0)
		return err_set(e, rc, "fake pages: %s", strerror(-rc));
	rc = fake_pages_make(f, at, n, e);
	if (rc == 0)
		*out = f->pages;
	return rc;
}

/* ---- the guest ---- */

/* Let a script that stopped go on, now or when its guest is resumed. */
static void wake(struct hv_fake *f)
{
	if (f->state == FAKE_PAUSED)
		f->stalled = f->guest.n > 0;
	else if (f->state == FAKE_RUNNING && f->guest.n && !f->slice.busy)
		loop_defer(f->loop, &f->slice);
}

static void misuse(const char *what, unsigned vcpu)
{
	fprintf(stderr, "fake hypervisor: %s: vCPU %u\n", what, vcpu);
	abort();
}

static void fake_go_on(struct hv *hv, unsigned vcpu)
{
	struct hv_fake *f = fake(hv);

	if (vcpu >= CONFIG_VCPUS_MAX || !(f->held >> vcpu & 1))
		misuse("go_on for one that does not wait", vcpu);
	f->held &= ~(UINT32_C(1) << vcpu);
	if (vcpu == 0)
		wake(f);
}

/* First and last byte of all that it accesses; false when that wraps around. */
static bool extent(const struct hv_io *io, uint64_t *first, uint64_t *last)
{
	/* A repeated port access stays at its port, a memory access moves. */
	uint64_t bytes = io->space == HV_PIO ? io->size : (uint64_t)io->size * io->count;

	*first = io->addr;
	if (io->space == HV_MMIO && io->backwards)
		*first -= (uint64_t)io->size * (io->count - 1);
	return add_u64(*first, bytes - 1, last);
}

static bool claimed(const struct hv_fake *f, const struct hv_io *io, uint64_t first,
		    uint64_t last)
{
	for (unsigned i = 0; i < f->n_ranges; i++) {
		const struct hv_range *r = &f->ranges[i];

		if (r->space == io->space && first >= r->first && last <= r->last)
			return true;
	}
	return false;
}

void hv_fake_access(struct hv *hv, struct hv_io *io)
{
	struct hv_fake *f = fake(hv);
	uint64_t nth = f->counts.ioreqs + f->unclaimed, first, last;
	bool in_space = extent(io, &first, &last), ours;

	if (io->vcpu >= CONFIG_VCPUS_MAX || f->held >> io->vcpu & 1)
		misuse("an access of one that waits", io->vcpu);
	if (in_space && fake_pages_read(f, io, first, last))
		return;
	ours = in_space && claimed(f, io, first, last);
	if (ours && fake_bells_rung(f, io))
		return;
	if (ours) {
		f->counts.ioreqs++;
		if (!f->listener.io(f->listener.ctx, io))
			f->held |= UINT32_C(1) << io->vcpu;
	} else {
		f->unclaimed++;
		if (!io->write && !io->indirect)
			io->data = UINT64_MAX;
	}
	if (nth < FAKE_LOG_MAX)
		f->log[nth] = (struct fake_access){ .io = *io, .claimed = ours };
}

uint64_t hv_fake_in(struct hv *hv, enum hv_space space, uint64_t addr, uint8_t size)
{
	struct hv_io io = { .space = space, .size = size, .count = 1, .addr = addr };

	hv_fake_access(hv, &io);
	return size < 8 ? io.data & ((UINT64_C(1) << size * 8) - 1) : io.data;
}

void hv_fake_out(struct hv *hv, enum hv_space space, uint64_t addr, uint8_t size,
		 uint64_t value)
{
	struct hv_io io = { .space = space,
			    .write = true,
			    .size = size,
			    .count = 1,
			    .addr = addr,
			    .data = value };

	hv_fake_access(hv, &io);
}

void hv_fake_end(struct hv *hv, enum hv_end end)
{
	static const char *const names[] = {
		[HV_END_POWEROFF] = "poweroff", [HV_END_REBOOT] = "reboot",
		[HV_END_CRASH] = "crash",	[HV_END_TRIPLE_FAULT] = "triple",
		[HV_END_OTHER] = "other",
	};
	struct hv_fake *f = fake(hv);

	if (f->state == FAKE_ENDED)
		return;
	f->state = FAKE_ENDED;
	f->ending = names[end];
	f->listener.ended(f->listener.ctx, end);
}

void hv_fake_lose(struct hv *hv, const char *why)
{
	struct hv_fake *f = fake(hv);

	if (f->state == FAKE_ENDED)
		return;
	f->state = FAKE_ENDED;
	f->ending = "lost";
	f->listener.lost(f->listener.ctx, why);
}

void hv_fake_give_back(struct hv *hv, gpa_t at)
{
	struct hv_fake *f = fake(hv);

	fake_ram_give_back(f, at);
	if (f->listener.invalidate)
		f->listener.invalidate(f->listener.ctx);
}

/* Let the guest do some steps; decide when it goes on. */
static void slice(struct hv_fake *f)
{
	enum guest_result r = GUEST_GO_ON;
	uint64_t ms = POLL_MS;

	for (unsigned i = 0; i < SLICE_STEPS && r == GUEST_GO_ON; i++) {
		if (f->held & 1)
			return;
		f->stalled = f->state == FAKE_PAUSED;
		if (f->state != FAKE_RUNNING)
			return;
		r = guest_run(&f->guest, &f->hv, &ms);
	}
	if (r == GUEST_GO_ON)
		loop_defer(f->loop, &f->slice);
	else if (r == GUEST_POLLS || r == GUEST_SLEEPS)
		loop_timeout(f->loop, &f->nap, ms);
}

static void slice_done(struct loop_op *op, int res)
{
	(void)res;
	slice(CONTAINER_OF(op, struct hv_fake, slice));
}

static void nap_done(struct loop_op *op, int res)
{
	(void)res;
	slice(CONTAINER_OF(op, struct hv_fake, nap.op));
}

/* ---- running ---- */

static int fake_start(struct hv *hv, const struct hv_entry *entry, struct err *e)
{
	struct hv_fake *f = fake(hv);
	int rc = fake_call(f, FAKE_START);

	if (f->state != FAKE_SHAPED || !f->listener.io)
		return not_now(e, "start");
	if (rc < 0)
		return err_set(e, rc, "fake start: %s", strerror(-rc));
	f->entry = *entry;
	f->state = FAKE_RUNNING;
	f->counts.start_ns = clock_ns();
	if (f->guest.n)
		loop_defer(f->loop, &f->slice);
	return 0;
}

static int fake_pause(struct hv *hv, struct err *e)
{
	struct hv_fake *f = fake(hv);
	int rc = fake_call(f, FAKE_PAUSE);

	if (f->state != FAKE_RUNNING && f->state != FAKE_PAUSED)
		return not_now(e, "pause");
	if (rc < 0)
		return err_set(e, rc, "fake pause: %s", strerror(-rc));
	f->state = FAKE_PAUSED;
	return 0;
}

static int fake_resume(struct hv *hv, struct err *e)
{
	struct hv_fake *f = fake(hv);
	int rc = fake_call(f, FAKE_RESUME);

	if (f->state != FAKE_RUNNING && f->state != FAKE_PAUSED)
		return not_now(e, "resume");
	if (rc < 0)
		return err_set(e, rc, "fake resume: %s", strerror(-rc));
	f->state = FAKE_RUNNING;
	if (f->stalled)
		loop_defer(f->loop, &f->slice);
	f->stalled = false;
	return 0;
}

static void fake_pulse(struct hv *hv, unsigned gsi)
{
	if (gsi == 0 || gsi >= HV_FAKE_GSIS) {
		fprintf(stderr, "fake hypervisor: pulse on GSI %u\n", gsi);
		abort();
	}
	fake(hv)->pulses[gsi]++;
}

static void fake_listen(struct hv *hv, struct loop *loop, const struct hv_listener *listener)
{
	struct hv_fake *f = fake(hv);

	f->loop = loop;
	f->listener = *listener;
}

static struct hv_counts fake_counts(struct hv *hv)
{
	return fake(hv)->counts;
}

static const char *fake_describe(struct hv *hv)
{
	return fake(hv)->description;
}

static void fake_close(struct hv *hv)
{
	struct hv_fake *f = fake(hv);

	if (f->options.dump)
		fake_dump(f);
	guest_free(&f->guest);
	fake_ram_free(f);
	close(f->ram_fd);
	free(f);
}

static const struct hv_ops fake_ops = {
	.shape = fake_shape,
	.mem = { .read = fake_mem_read, .write = fake_mem_write, .map = fake_mem_map },
	.pages = fake_pages,
	.doorbell = fake_doorbell,
	.clears = fake_clears,
	.line = fake_line,
	.start = fake_start,
	.go_on = fake_go_on,
	.pause = fake_pause,
	.resume = fake_resume,
	.pulse = fake_pulse,
	.listen = fake_listen,
	.counts = fake_counts,
	.close = fake_close,
	.describe = fake_describe,
};

/* ---- for tests ---- */

uint64_t hv_fake_pulses(const struct hv *hv, unsigned gsi)
{
	return const_fake(hv)->pulses[gsi];
}

bool hv_fake_held(const struct hv *hv, unsigned vcpu)
{
	return const_fake(hv)->held >> vcpu & 1;
}

uint64_t hv_fake_silent(const struct hv *hv)
{
	return const_fake(hv)->silent;
}

uint64_t hv_fake_page_reads(const struct hv *hv)
{
	return const_fake(hv)->page_reads;
}

const struct hv_shape *hv_fake_shape(const struct hv *hv)
{
	return const_fake(hv)->low ? &const_fake(hv)->shape : NULL;
}

const struct hv_entry *hv_fake_entry(const struct hv *hv)
{
	return const_fake(hv)->state >= FAKE_RUNNING ? &const_fake(hv)->entry : NULL;
}

const struct gmem *hv_fake_memory(struct hv *hv)
{
	return &fake(hv)->ram;
}

/* ---- opening ---- */

int hv_fake_create(struct hv **out, const struct hv_fake_options *o, struct err *e)
{
	struct hv_fake *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	rc = fake_ram_open(f);
	if (rc < 0) {
		free(f);
		return err_set(e, rc, "fake hypervisor: memfd: %s", strerror(-rc));
	}
	f->hv.ops = &fake_ops;
	f->options = *o;
	f->slice.done = slice_done;
	f->nap.op.done = nap_done;
	f->rings.done = fake_bells_tell;
	snprintf(f->description, sizeof(f->description), "fake hypervisor");
	if (o->fail)
		rc = fake_faults_parse(f, o->fail, e);
	if (rc == 0 && o->guest)
		rc = guest_parse(&f->guest, o->guest_name, o->guest, e);
	if (rc == 0) {
		rc = fake_call(f, FAKE_OPEN);
		if (rc < 0)
			err_set(e, rc, "fake open: %s", strerror(-rc));
	}
	if (rc < 0) {
		guest_free(&f->guest);
		close(f->ram_fd);
		free(f);
		return rc;
	}
	*out = &f->hv;
	return 0;
}
