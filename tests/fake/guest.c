/* SPDX-License-Identifier: Apache-2.0 */
/* Running a scripted guest: see guest.h. */
#include "tests/fake/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/fake/hv_fake.h"
#include "vmm/lib/layout.h"

#define MCR (LAYOUT_SERIAL + 4)
#define MCR_DTR_RTS 0x03
#define LSR (LAYOUT_SERIAL + 5)
#define LSR_DATA_READY 0x01
#define LSR_THR_EMPTY 0x20

static void fail(const struct guest *g, const struct guest_step *s, uint64_t got)
{
	dprintf(STDERR_FILENO, "fake guest: %s:%u: expected %#llx, got %#llx\n", g->name,
		s->line, (unsigned long long)s->value, (unsigned long long)got);
	_exit(GUEST_EXPECT_FAILED);
}

static uint64_t mask(uint64_t v, uint8_t size)
{
	return size < 8 ? v & ((UINT64_C(1) << size * 8) - 1) : v;
}

/* A read or write of memory: RAM is the guest's own, the rest may be a device. */
static void write_mem(struct hv *hv, const struct guest_step *s)
{
	if (gmem_write(hv_fake_memory(hv), gpa(s->addr), &s->value, s->size) < 0)
		hv_fake_out(hv, HV_MMIO, s->addr, s->size, s->value);
}

static uint64_t read_mem(struct hv *hv, const struct guest_step *s)
{
	uint64_t v = 0;

	if (gmem_read(hv_fake_memory(hv), gpa(s->addr), &v, s->size) < 0)
		v = hv_fake_in(hv, HV_MMIO, s->addr, s->size);
	return v;
}

static void expect(const struct guest *g, const struct guest_step *s, uint64_t got)
{
	if (s->has_value && mask(got, s->size) != s->value)
		fail(g, s, mask(got, s->size));
}

/* REP OUTSB or INSB: one access that points at its data. */
static void string_io(struct guest *g, struct hv *hv, const struct guest_step *s)
{
	struct hv_io io = {
		.space = HV_PIO,
		.write = s->kind != GUEST_INS,
		.indirect = true,
		.backwards = s->kind == GUEST_OUTS_BACK,
		.size = 1,
		.count = (uint32_t)(s->kind == GUEST_INS ? s->value : s->len),
		.addr = s->addr,
		.data = GUEST_SCRATCH,
	};

	if (io.write && gmem_write(hv_fake_memory(hv), gpa(io.data), s->text, s->len) < 0)
		fail(g, s, 0);
	if (io.backwards)
		io.data += s->len - 1;
	hv_fake_access(hv, &io);
}

/* One character, when the port takes one; as Linux' console writes it. */
static enum guest_result print(struct guest *g, struct hv *hv, const struct guest_step *s)
{
	if (g->pos == s->len)
		return GUEST_STOPS;
	if (!(hv_fake_in(hv, HV_PIO, LSR, 1) & LSR_THR_EMPTY))
		return GUEST_POLLS;
	hv_fake_out(hv, HV_PIO, LAYOUT_SERIAL, 1, (uint8_t)s->text[g->pos++]);
	return GUEST_GO_ON;
}

static enum guest_result input(struct guest *g, struct hv *hv, const struct guest_step *s)
{
	struct guest_step one = *s;
	uint64_t got;

	if (g->pos == s->len)
		return GUEST_STOPS;
	/* Nothing is sent to a guest that has not opened the port. */
	if (g->pos == 0)
		hv_fake_out(hv, HV_PIO, MCR, 1, MCR_DTR_RTS);
	if (!(hv_fake_in(hv, HV_PIO, LSR, 1) & LSR_DATA_READY))
		return GUEST_POLLS;
	got = hv_fake_in(hv, HV_PIO, LAYOUT_SERIAL, 1);
	one.value = (uint8_t)s->text[g->pos++];
	if (got != one.value)
		fail(g, &one, got);
	return GUEST_GO_ON;
}

/* GUEST_STOPS: the step is done. */
static enum guest_result access_step(struct guest *g, struct hv *hv, const struct guest_step *s)
{
	switch (s->kind) {
	case GUEST_OUT:
		hv_fake_out(hv, HV_PIO, s->addr, s->size, s->value);
		return GUEST_STOPS;
	case GUEST_IN:
		expect(g, s, hv_fake_in(hv, HV_PIO, s->addr, s->size));
		return GUEST_STOPS;
	case GUEST_WRITE:
		write_mem(hv, s);
		return GUEST_STOPS;
	case GUEST_READ:
		expect(g, s, read_mem(hv, s));
		return GUEST_STOPS;
	case GUEST_OUTS:
	case GUEST_OUTS_BACK:
	case GUEST_INS:
		string_io(g, hv, s);
		return GUEST_STOPS;
	case GUEST_PRINT:
		return print(g, hv, s);
	case GUEST_INPUT:
		return input(g, hv, s);
	case GUEST_WAIT:
		return hv_fake_pulses(hv, (unsigned)s->addr) < s->value ? GUEST_POLLS :
									  GUEST_STOPS;
	case GUEST_GIVE_BACK:
		hv_fake_give_back(hv, gpa(s->addr));
		return GUEST_STOPS;
	case GUEST_SLEEP:
	case GUEST_END:
	case GUEST_LOST:
	case GUEST_LOOP:
	case GUEST_IDLE:
		break;
	}
	abort();
}

static void next(struct guest *g)
{
	g->at++;
	g->pos = 0;
}

enum guest_result guest_run(struct guest *g, struct hv *hv, uint64_t *ms)
{
	const struct guest_step *s;
	enum guest_result r;

	if (g->at == g->n)
		return GUEST_STOPS;
	s = &g->steps[g->at];
	if (s->kind == GUEST_IDLE)
		return GUEST_STOPS;
	if (s->kind == GUEST_LOOP) {
		g->at = 0;
		return GUEST_GO_ON;
	}
	if (s->kind == GUEST_SLEEP) {
		*ms = s->value;
		next(g);
		return GUEST_SLEEPS;
	}
	if (s->kind == GUEST_END || s->kind == GUEST_LOST) {
		next(g);
		if (s->kind == GUEST_END)
			hv_fake_end(hv, (enum hv_end)s->value);
		else
			hv_fake_lose(hv, "the fake guest said so");
		return GUEST_STOPS;
	}
	r = access_step(g, hv, s);
	if (r != GUEST_STOPS)
		return r;
	next(g);
	return GUEST_GO_ON;
}
