/* SPDX-License-Identifier: Apache-2.0 */
/* The hypervisor interface without a hypervisor: see hv_fake.h. */
#include "tests/fake/hv_fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

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

/* ---- memory ---- */

static uint8_t *map_ram(uint64_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void free_ram(struct hv_fake *f)
{
	if (f->low)
		munmap(f->low, f->ram.low);
	if (f->high)
		munmap(f->high, f->ram.high);
	f->low = f->high = NULL;
	gmem_init(&f->ram, 0, &f->hv.ops->mem, f);
}

/* What lies in RAM as a whole lies in one of the two pieces: gmem checked. */
static uint8_t *host(const struct hv_fake *f, gpa_t at)
{
	return at.v >= GMEM_HOLE_END ? f->high + (at.v - GMEM_HOLE_END) : f->low + at.v;
}

static int fake_read(void *ctx, gpa_t at, void *dst, size_t len)
{
	struct hv_fake *f = ctx;
	int rc = fake_call(f, FAKE_MEM_READ);

	if (rc == 0 && !gmem_contains(&f->ram, at, len))
		rc = -EFAULT;
	if (rc == 0 && len)
		memcpy(dst, host(f, at), len);
	return rc;
}

static int fake_write(void *ctx, gpa_t at, const void *src, size_t len)
{
	struct hv_fake *f = ctx;
	int rc = fake_call(f, FAKE_MEM_WRITE);

	if (rc == 0 && !gmem_contains(&f->ram, at, len))
		rc = -EFAULT;
	if (rc == 0 && len)
		memcpy(host(f, at), src, len);
	return rc;
}

/* The guest's own accesses are not calls of the monitor: not counted, never failing. */
static int own_read(void *ctx, gpa_t at, void *dst, size_t len)
{
	memcpy(dst, host(ctx, at), len);
	return 0;
}

static int own_write(void *ctx, gpa_t at, const void *src, size_t len)
{
	memcpy(host(ctx, at), src, len);
	return 0;
}

static const struct gmem_ops own_mem = { .read = own_read, .write = own_write };

/* ---- making the domain ---- */

static void empty(struct hv_fake *f)
{
	free_ram(f);
	f->n_ranges = 0;
	f->state = FAKE_SHELL;
}

static int populate(struct hv_fake *f, const struct hv_shape *s, struct err *e)
{
	uint64_t ram_mib = f->options.ram_mib ? f->options.ram_mib : HV_FAKE_RAM_MIB;

	if (s->ram / MIB > ram_mib)
		goto no_memory;
	gmem_init(&f->ram, s->ram, &own_mem, f);
	f->low = map_ram(f->ram.low);
	if (f->ram.high)
		f->high = map_ram(f->ram.high);
	if (f->low && (f->high || !f->ram.high))
		return 0;

no_memory:
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

/* ---- the guest ---- */

static bool claimed(const struct hv_fake *f, const struct hv_io *io)
{
	/* A repeated port access stays at its port, a memory access moves. */
	uint64_t bytes = io->space == HV_PIO ? io->size : (uint64_t)io->size * io->count;
	uint64_t first = io->addr, last;

	if (io->space == HV_MMIO && io->backwards)
		first -= (uint64_t)io->size * (io->count - 1);
	if (!add_u64(first, bytes - 1, &last))
		return false;
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
	uint64_t nth = f->counts.ioreqs + f->unclaimed;
	bool ours = claimed(f, io);

	if (ours) {
		f->counts.ioreqs++;
		f->listener.io(f->listener.ctx, io);
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

/* Let the guest do some steps; decide when it goes on. */
static void slice(struct hv_fake *f)
{
	enum guest_result r = GUEST_GO_ON;
	uint64_t ms = POLL_MS;

	for (unsigned i = 0; i < SLICE_STEPS && r == GUEST_GO_ON; i++) {
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
	free_ram(f);
	free(f);
}

static const struct hv_ops fake_ops = {
	.shape = fake_shape,
	.mem = { .read = fake_read, .write = fake_write },
	.start = fake_start,
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
	int rc = 0;

	if (!f)
		return err_set(e, -ENOMEM, "out of memory");
	f->hv.ops = &fake_ops;
	f->options = *o;
	f->slice.done = slice_done;
	f->nap.op.done = nap_done;
	gmem_init(&f->ram, 0, &own_mem, f);
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
		free(f);
		return rc;
	}
	*out = &f->hv;
	return 0;
}
