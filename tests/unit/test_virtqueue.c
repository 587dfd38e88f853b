/* SPDX-License-Identifier: Apache-2.0 */
/* The split virtqueue between a driver that is played here and the device's side. */
#include "devices/virtqueue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/fake/vring_driver.h"

#define RAM_BYTES (4 * MIB)
#define RING UINT64_C(0x10000)
#define DATA UINT64_C(0x100000)
#define TABLE UINT64_C(0x80000)
#define NUM 8

struct world {
	struct ram_fake ram;
	struct vring_driver driver;
	struct virtqueue q;
	struct virtq_chain chain;
	struct gmem_ops rewriting;
	int (*map)(void *ctx, gpa_t at, void *host, unsigned pages, bool *there);
};

static void start(struct world *w, unsigned num, bool event_idx, bool indirect)
{
	memset(w, 0, sizeof(*w));
	ram_fake_init(&w->ram, RAM_BYTES);
	vring_driver_init(&w->driver, &w->ram, RING, num, event_idx);
	assert_int_equal(
		virtqueue_start(&w->q, &w->ram.gmem, &w->driver.where, event_idx, indirect), 0);
}

/* Asserts, too, that no view is left in use: ram_fake_free would abort. */
static void stop(struct world *w)
{
	virtqueue_stop(&w->q);
	ram_fake_free(&w->ram);
}

static unsigned busy_heads(const struct virtqueue *q)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(q->busy); i++)
		n += (unsigned)__builtin_popcountll(q->busy[i]);
	return n;
}

static int pop(struct world *w)
{
	return virtqueue_pop(&w->q, &w->chain);
}

static void push(struct world *w, uint32_t written)
{
	virtqueue_push(&w->q, w->chain.head, w->chain.view, written);
}

/* One whole round: add, take, give back, reap. */
static void round_trip(struct world *w)
{
	const struct vring_seg seg = { DATA, 512, true };
	int head = vring_add(&w->driver, &seg, 1);
	uint32_t id, len;

	assert_true(head >= 0);
	assert_int_equal(pop(w), 1);
	assert_int_equal(w->chain.head, head);
	push(w, 77);
	virtqueue_publish(&w->q);
	assert_true(vring_reap(&w->driver, &id, &len));
	assert_int_equal(id, head);
	assert_int_equal(len, 77);
}

/* ---- start ----------------------------------------------------------------------- */

struct layout_case {
	const char *what;
	uint32_t num;
	uint64_t desc, avail, used;
	const char *fault;
};

#define AT_END(bytes) (RAM_BYTES - (bytes))

/* Sizes for 8 descriptors: 128, 22 and 70 bytes. */
static const struct layout_case layouts[] = {
	{ "as it should be", 8, 0x1000, 0x2000, 0x3000, NULL },
	{ "side by side", 8, 0x1000, 0x1080, 0x1098, NULL },
	{ "in another order", 8, 0x1060, 0x1046, 0x1000, NULL },
	{ "at address 0", 8, 0, 0x2000, 0x3000, NULL },
	{ "desc at the end", 8, AT_END(128), 0x2000, 0x3000, NULL },
	{ "avail at the end", 8, 0x1000, AT_END(22), 0x3000, NULL },
	{ "used at the end", 8, 0x1000, 0x2000, AT_END(72), NULL },
	{ "one descriptor", 1, 0x1000, 0x2000, 0x3000, NULL },
	{ "the largest", 256, 0x1000, 0x2000, 0x3000, NULL },
	{ "no descriptors", 0, 0x1000, 0x2000, 0x3000,
	  "its size is not a power of two from 1 to 256" },
	{ "not a power of two", 7, 0x1000, 0x2000, 0x3000,
	  "its size is not a power of two from 1 to 256" },
	{ "too large", 512, 0x10000, 0x20000, 0x30000,
	  "its size is not a power of two from 1 to 256" },
	{ "too large for 16 bits", 65536 + 8, 0x1000, 0x2000, 0x3000,
	  "its size is not a power of two from 1 to 256" },
	{ "the sign bit", 0x80000000, 0x1000, 0x2000, 0x3000,
	  "its size is not a power of two from 1 to 256" },
	{ "desc not aligned", 8, 0x1008, 0x2000, 0x3000,
	  "its descriptor table is not aligned to 16" },
	{ "avail not aligned", 8, 0x1000, 0x2001, 0x3000,
	  "its available ring is not aligned to 2" },
	{ "used not aligned", 8, 0x1000, 0x2000, 0x3002, "its used ring is not aligned to 4" },
	{ "desc behind the end", 8, AT_END(112), 0x2000, 0x3000,
	  "its descriptor table is not in RAM" },
	{ "avail behind the end", 8, 0x1000, AT_END(20), 0x3000,
	  "its available ring is not in RAM" },
	{ "used behind the end", 8, 0x1000, 0x2000, AT_END(68), "its used ring is not in RAM" },
	{ "desc outside", 8, RAM_BYTES, 0x2000, 0x3000, "its descriptor table is not in RAM" },
	{ "avail in the hole", 8, 0x1000, 0xd0000000, 0x3000,
	  "its available ring is not in RAM" },
	{ "used above all", 8, 0x1000, 0x2000, UINT64_C(1) << 40,
	  "its used ring is not in RAM" },
	{ "desc wraps", 8, UINT64_MAX - 15, 0x2000, 0x3000,
	  "its descriptor table is not in RAM" },
	{ "avail wraps", 8, 0x1000, UINT64_MAX - 1, 0x3000,
	  "its available ring is not in RAM" },
	{ "used wraps", 8, 0x1000, 0x2000, UINT64_MAX - 3, "its used ring is not in RAM" },
	{ "avail in desc", 8, 0x1000, 0x107e, 0x3000, "its areas overlap" },
	{ "used in desc", 8, 0x1000, 0x2000, 0x107c, "its areas overlap" },
	{ "used in avail", 8, 0x1000, 0x2000, 0x2014, "its areas overlap" },
	{ "desc in used", 8, 0x3040, 0x2000, 0x3000, "its areas overlap" },
	{ "all the same", 8, 0x1000, 0x1000, 0x1000, "its areas overlap" },
	{ "desc cannot be mapped", 8, 0x200000, 0x2000, 0x3000, "its areas cannot be mapped" },
	{ "avail cannot be mapped", 8, 0x1000, 0x200ffe - 4, 0x3000,
	  "its areas cannot be mapped" },
	{ "used cannot be mapped", 8, 0x1000, 0x2000, 0x200000 - 4,
	  "its areas cannot be mapped" },
};

static void areas_are_checked(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		const struct layout_case *c = &layouts[i];
		const struct virtq_layout where = { c->num, gpa(c->desc), gpa(c->avail),
						    gpa(c->used) };
		struct virtqueue q = { 0 };
		struct ram_fake ram;
		int rc;

		ram_fake_init(&ram, RAM_BYTES);
		ram.hole = 0x200000;
		ram.hole_bytes = PAGE_BYTES;
		rc = virtqueue_start(&q, &ram.gmem, &where, true, true);
		if (rc != (c->fault ? -EPROTO : 0) || virtqueue_ready(&q) != (rc == 0) ||
		    strcmp(q.fault ? q.fault : "", c->fault ? c->fault : "") != 0)
			fail_msg("%s: %d, %s", c->what, rc, q.fault ? q.fault : "no fault");
		virtqueue_stop(&q);
		assert_false(virtqueue_ready(&q));
		ram_fake_free(&ram);
	}
}

static void start_fails_when_memory_cannot_be_viewed(void **state)
{
	static const struct gmem_ops no_views = { 0 };
	const struct virtq_layout where = { 8, gpa(0x1000), gpa(0x2000), gpa(0x3000) };
	struct virtqueue q = { 0 };
	struct gmem m;

	gmem_init(&m, RAM_BYTES, &no_views, NULL);
	assert_int_equal(virtqueue_start(&q, &m, &where, false, false), -ENOMEM);
	assert_false(virtqueue_ready(&q));
	assert_null(q.fault);
}

static void queue_starts_again_from_zero(void **state)
{
	struct world w;

	start(&w, NUM, false, false);
	for (unsigned i = 0; i < 5; i++)
		round_trip(&w);
	virtqueue_stop(&w.q);
	virtqueue_stop(&w.q);
	vring_driver_init(&w.driver, &w.ram, RING + 0x4000, NUM, false);
	assert_int_equal(virtqueue_start(&w.q, &w.ram.gmem, &w.driver.where, false, false), 0);
	round_trip(&w);
	assert_int_equal(w.q.counts.chains, 6);
	stop(&w);
}

static void queue_that_is_not_ready_has_nothing(void **state)
{
	struct virtqueue q = { 0 };
	struct virtq_chain c;

	assert_int_equal(virtqueue_pop(&q, &c), 0);
	virtqueue_notify_off(&q);
	assert_false(virtqueue_notify_on(&q));
	virtqueue_publish(&q);
	assert_false(virtqueue_wants_interrupt(&q));
}

/* ---- chains ---------------------------------------------------------------------- */

static void check_seg(const struct world *w, unsigned i, uint64_t at, size_t len)
{
	/* The view is other memory than ram.bytes, with the same contents. */
	memset(w->ram.bytes + at, (int)(0x11 * (i + 1)), len);
	assert_int_equal(w->chain.iov[i].iov_len, len);
	assert_memory_equal(w->chain.iov[i].iov_base, w->ram.bytes + at, len);
}

static const struct vring_seg request[] = {
	{ DATA, 16, false },
	{ DATA + 0x1ffe, 5000, false },
	{ DATA + 0x8000, 4096, true },
	{ DATA + 0xa001, 1, true },
};

static void check_request(const struct world *w)
{
	assert_int_equal(w->chain.n_out, 2);
	assert_int_equal(w->chain.n_in, 2);
	assert_int_equal(w->chain.out_len, 5016);
	assert_int_equal(w->chain.in_len, 4097);
	for (unsigned i = 0; i < ARRAY_SIZE(request); i++)
		check_seg(w, i, request[i].at, request[i].len);
}

static void pop_gives_the_segments_in_order(void **state)
{
	struct world w;
	int head;

	start(&w, NUM, false, false);
	assert_int_equal(pop(&w), 0);
	head = vring_add(&w.driver, request, ARRAY_SIZE(request));
	assert_int_equal(pop(&w), 1);
	assert_int_equal(w.chain.head, head);
	check_request(&w);
	assert_int_equal(pop(&w), 0);
	assert_int_equal(w.q.in_flight, 1);
	push(&w, 0);
	assert_int_equal(w.q.in_flight, 0);
	assert_int_equal(busy_heads(&w.q), 0);
	stop(&w);
}

static void indirect_table_may_lie_at_any_address(void **state)
{
	struct world w;

	for (uint64_t at = TABLE + PAGE_BYTES - 20; at < TABLE + PAGE_BYTES; at++) {
		start(&w, NUM, false, true);
		assert_true(vring_add_indirect(&w.driver, request, ARRAY_SIZE(request), at) >=
			    0);
		assert_int_equal(pop(&w), 1);
		check_request(&w);
		push(&w, 0);
		stop(&w);
	}
}

static void indirect_table_may_follow_direct_descriptors(void **state)
{
	struct world w;

	start(&w, NUM, false, true);
	vring_set_desc(&w.driver.desc[5], request[0].at, request[0].len, VRING_DESC_F_NEXT, 2);
	vring_set_desc(&w.driver.desc[2], request[1].at, request[1].len, VRING_DESC_F_NEXT, 7);
	/* WRITE says nothing here. */
	vring_set_desc(&w.driver.desc[7], TABLE, 32, VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE,
		       0xffff);
	vring_set_desc((void *)(w.ram.bytes + TABLE), request[2].at, request[2].len,
		       VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 1);
	vring_set_desc((void *)(w.ram.bytes + TABLE + 16), request[3].at, request[3].len,
		       VRING_DESC_F_WRITE, 0xffff);
	vring_make_available(&w.driver, 5);
	assert_int_equal(pop(&w), 1);
	assert_int_equal(w.chain.head, 5);
	check_request(&w);
	push(&w, 0);
	stop(&w);
}

static void chain_may_be_as_long_as_the_queue(void **state)
{
	struct vring_seg segs[VIRTQ_SIZE_MAX];
	struct world w;

	for (unsigned i = 0; i < ARRAY_SIZE(segs); i++)
		segs[i] = (struct vring_seg){ DATA + 16 * i, 16, i >= 100 };
	for (unsigned indirect = 0; indirect < 2; indirect++) {
		start(&w, VIRTQ_SIZE_MAX, false, true);
		if (indirect)
			assert_int_equal(vring_add_indirect(&w.driver, segs, ARRAY_SIZE(segs),
							    TABLE),
					 0);
		else
			assert_int_equal(vring_add(&w.driver, segs, ARRAY_SIZE(segs)), 0);
		assert_int_equal(pop(&w), 1);
		assert_int_equal(w.chain.n_out, 100);
		assert_int_equal(w.chain.n_in, 156);
		push(&w, 0);
		stop(&w);
	}
}

static void every_entry_may_be_taken_before_one_is_given_back(void **state)
{
	const struct vring_seg seg = { DATA, 1, false };
	struct gmem_view *views[NUM];
	uint32_t id, len;
	struct world w;

	start(&w, NUM, false, false);
	for (unsigned i = 0; i < NUM; i++)
		assert_int_equal(vring_add(&w.driver, &seg, 1), i);
	for (unsigned i = 0; i < NUM; i++) {
		assert_int_equal(pop(&w), 1);
		assert_int_equal(w.chain.head, i);
		views[i] = w.chain.view;
	}
	assert_int_equal(pop(&w), 0);
	assert_int_equal(w.q.in_flight, NUM);
	for (unsigned i = 0; i < NUM; i++)
		virtqueue_push(&w.q, (uint16_t)(NUM - 1 - i), views[i], i);
	assert_false(vring_reap(&w.driver, &id, &len));
	virtqueue_publish(&w.q);
	for (unsigned i = 0; i < NUM; i++) {
		assert_true(vring_reap(&w.driver, &id, &len));
		assert_int_equal(id, NUM - 1 - i);
		assert_int_equal(len, i);
	}
	assert_false(vring_reap(&w.driver, &id, &len));
	stop(&w);
}

static void indices_wrap_around(void **state)
{
	struct world w;

	for (unsigned event_idx = 0; event_idx < 2; event_idx++) {
		start(&w, NUM, event_idx, false);
		for (unsigned i = 0; i < 0x10000 + 2 * NUM; i++)
			round_trip(&w);
		stop(&w);
	}
}

static void stop_forgets_what_is_in_flight(void **state)
{
	const struct vring_seg seg = { DATA, 1, false };
	struct world w;

	start(&w, NUM, false, false);
	vring_add(&w.driver, &seg, 1);
	assert_int_equal(pop(&w), 1);
	gmem_put(&w.ram.gmem, w.chain.view);
	virtqueue_stop(&w.q);
	assert_int_equal(w.q.in_flight, 0);
	assert_int_equal(busy_heads(&w.q), 0);
	stop(&w);
}

/* ---- what a driver must not do --------------------------------------------------- */

enum { N = VRING_DESC_F_NEXT, W = VRING_DESC_F_WRITE, I = VRING_DESC_F_INDIRECT };

struct bad_case {
	const char *what;
	struct vring_desc desc[4], table[4];
	bool no_indirect; /* not negotiated */
	uint16_t head, ahead;
	const char *fault;
};

#define OUTSIDE "a descriptor's memory is not RAM"
#define NO_TABLE "an indirect table is not in RAM"
#define NO_WHOLE_TABLE "an indirect table is empty or not of whole descriptors"
#define ORDER "a readable descriptor follows a writable one"
#define NEXT_RANGE "the next descriptor is out of range"
#define TOO_LONG "a chain is longer than the queue"
#define HOLE 0x200000

static const struct bad_case bad[] = {
	{ "the index jumps", .ahead = NUM + 1, .fault = "the available index has jumped" },
	{ "the index goes back", .ahead = 0xffff, .fault = "the available index has jumped" },
	{ "head behind the end", .head = NUM, .fault = "a head is out of range" },
	{ "largest head", .head = 0xffff, .fault = "a head is out of range" },
	{ "no length", { { DATA, 0, 0, 0 } }, .fault = "a descriptor is empty" },
	{ "no length, later",
	  { { DATA, 1, N, 1 }, { DATA, 0, W, 0 } },
	  .fault = "a descriptor is empty" },
	{ "behind the end", { { RAM_BYTES - 1, 2, 0, 0 } }, .fault = OUTSIDE },
	{ "outside", { { RAM_BYTES, 1, 0, 0 } }, .fault = OUTSIDE },
	{ "in the hole", { { 0xd0000000, 4, W, 0 } }, .fault = OUTSIDE },
	{ "wraps", { { UINT64_MAX, 2, W, 0 } }, .fault = OUTSIDE },
	{ "wraps, long", { { UINT64_MAX - 1, UINT32_MAX, W, 0 } }, .fault = OUTSIDE },
	{ "all the length there is", { { DATA, UINT32_MAX, 0, 0 } }, .fault = OUTSIDE },
	{ "cannot be mapped", { { HOLE, 1, 0, 0 } }, .fault = OUTSIDE },
	{ "cannot be mapped, at its end", { { HOLE - 1, 2, W, 0 } }, .fault = OUTSIDE },
	{ "readable after writable",
	  { { DATA, 1, N | W, 1 }, { DATA, 1, 0, 0 } },
	  .fault = ORDER },
	{ "next behind the end", { { DATA, 1, N, NUM } }, .fault = NEXT_RANGE },
	{ "largest next", { { DATA, 1, N, 0xffff } }, .fault = NEXT_RANGE },
	{ "next is itself", { { DATA, 1, N, 0 } }, .fault = "a chain is a loop" },
	{ "loop of two",
	  { { DATA, 1, N, 1 }, { DATA, 1, N, 0 } },
	  .fault = "a chain is a loop" },
	{ "loop behind the head",
	  { { DATA, 1, N | W, 1 }, { DATA, 1, N | W, 2 }, { DATA, 1, N | W, 1 } },
	  .fault = "a chain is a loop" },
	{ "indirect, not negotiated",
	  { { TABLE, 16, I, 0 } },
	  { { DATA, 1, 0, 0 } },
	  .no_indirect = true,
	  .fault = "an indirect descriptor, which was not negotiated" },
	{ "indirect in indirect",
	  { { TABLE, 16, I, 0 } },
	  { { TABLE, 16, I, 0 } },
	  .fault = "an indirect descriptor in an indirect table" },
	{ "indirect in indirect, later",
	  { { TABLE, 32, I, 0 } },
	  { { DATA, 1, N, 1 }, { TABLE, 16, I, 0 } },
	  .fault = "an indirect descriptor in an indirect table" },
	{ "indirect with next",
	  { { TABLE, 16, I | N, 1 }, { DATA, 1, 0, 0 } },
	  { { DATA, 1, 0, 0 } },
	  .fault = "an indirect descriptor has a next one" },
	{ "empty table", { { TABLE, 0, I, 0 } }, .fault = NO_WHOLE_TABLE },
	{ "half a table", { { TABLE, 8, I, 0 } }, .fault = NO_WHOLE_TABLE },
	{ "table and a half", { { TABLE, 24, I, 0 } }, .fault = NO_WHOLE_TABLE },
	{ "table of almost 4 GiB", { { TABLE, UINT32_MAX, I, 0 } }, .fault = NO_WHOLE_TABLE },
	{ "long table",
	  { { TABLE, 16 * (NUM + 1), I, 0 } },
	  { { DATA, 1, 0, 0 } },
	  .fault = "an indirect table is longer than the queue" },
	{ "longest table",
	  { { TABLE, UINT32_MAX - 15, I, 0 } },
	  .fault = "an indirect table is longer than the queue" },
	{ "table outside", { { RAM_BYTES - 16, 32, I, 0 } }, .fault = NO_TABLE },
	{ "table wraps", { { UINT64_MAX - 7, 16, I, 0 } }, .fault = NO_TABLE },
	{ "table cannot be mapped", { { HOLE, 16, I, 0 } }, .fault = NO_TABLE },
	{ "next behind the table's end",
	  { { TABLE, 32, I, 0 } },
	  { { DATA, 1, N, 2 }, { DATA, 1, 0, 0 }, { DATA, 1, 0, 0 } },
	  .fault = NEXT_RANGE },
	{ "loop in a table",
	  { { TABLE, 32, I, 0 } },
	  { { DATA, 1, N, 1 }, { DATA, 1, N, 0 } },
	  .fault = "a chain is a loop" },
	{ "readable in a table after writable",
	  { { DATA, 1, N | W, 1 }, { TABLE, 16, I, 0 } },
	  { { DATA, 1, 0, 0 } },
	  .fault = ORDER },
};

static void fill_bad(struct world *w, const struct bad_case *c)
{
	memcpy(w->driver.desc, c->desc, sizeof(c->desc));
	memcpy(w->ram.bytes + TABLE, c->table, sizeof(c->table));
	w->driver.avail->ring[0] = c->head;
	w->driver.avail->idx = c->ahead ? c->ahead : 1;
	w->ram.hole = HOLE;
	w->ram.hole_bytes = PAGE_BYTES;
}

static void check_fault(struct world *w, const char *what, const char *fault, unsigned taken)
{
	int rc = pop(w);

	if (rc != -EPROTO || !w->q.fault || strcmp(w->q.fault, fault) != 0)
		fail_msg("%s: %d, %s", what, rc, w->q.fault ? w->q.fault : "no fault");
	/* Nothing has changed. That no view is kept is what stop() will see. */
	assert_int_equal(w->q.in_flight, taken);
	assert_int_equal(busy_heads(&w->q), taken);
	assert_int_equal(w->q.next_avail, taken);
	assert_int_equal(pop(w), -EPROTO);
}

static void pop_refuses_what_a_driver_must_not_do(void **state)
{
	struct world w;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		start(&w, NUM, false, !bad[i].no_indirect);
		fill_bad(&w, &bad[i]);
		check_fault(&w, bad[i].what, bad[i].fault, 0);
		stop(&w);
	}
}

static void pop_refuses_a_head_in_flight(void **state)
{
	const struct vring_seg seg = { DATA, 1, false };
	struct world w;

	start(&w, VIRTQ_SIZE_MAX, false, false);
	for (unsigned i = 0; i < 130; i++)
		vring_add(&w.driver, &seg, 1);
	for (unsigned i = 0; i < 130; i++) {
		assert_int_equal(pop(&w), 1);
		if (i != 129)
			push(&w, 0);
	}
	vring_make_available(&w.driver, 129);
	assert_int_equal(pop(&w), -EPROTO);
	assert_string_equal(w.q.fault, "a head is in flight already");
	push(&w, 0);
	assert_int_equal(pop(&w), 1);
	push(&w, 0);
	stop(&w);
}

static void pop_refuses_a_table_that_makes_the_chain_too_long(void **state)
{
	struct vring_seg segs[NUM];
	struct world w;

	start(&w, NUM, false, true);
	for (unsigned i = 0; i < NUM; i++)
		segs[i] = (struct vring_seg){ DATA, 1, false };
	vring_add_indirect(&w.driver, segs, NUM, TABLE);
	w.driver.desc[1] = w.driver.desc[0];
	vring_set_desc(&w.driver.desc[0], DATA, 1, VRING_DESC_F_NEXT, 1);
	check_fault(&w, "direct and indirect", TOO_LONG, 0);
	stop(&w);
}

/* RAM that is large enough for that, but little of it is ever touched. */
static void pop_refuses_4_gib(void **state)
{
	struct vring_seg segs[] = { { DATA, 0x7fffffff, false },
				    { DATA, 0x7fffffff, true },
				    { DATA, 1, true },
				    { DATA, 1, true } };
	struct world w;

	memset(&w, 0, sizeof(w));
	ram_fake_init(&w.ram, 3 * GIB);
	vring_driver_init(&w.driver, &w.ram, RING, NUM, false);
	assert_int_equal(virtqueue_start(&w.q, &w.ram.gmem, &w.driver.where, false, false), 0);
	vring_add(&w.driver, segs, 3);
	assert_int_equal(pop(&w), 1);
	assert_int_equal(w.chain.out_len + w.chain.in_len, UINT32_MAX);
	push(&w, 0);
	vring_add(&w.driver, segs, 4);
	assert_int_equal(pop(&w), -EPROTO);
	assert_string_equal(w.q.fault, "a chain has 4 GiB or more");
	stop(&w);
}

static void pop_refuses_when_no_view_is_to_be_had(void **state)
{
	static const struct gmem_ops no_views = { 0 };
	const struct vring_seg seg = { DATA, 1, false };
	const struct gmem_ops *ops;
	struct world w;

	start(&w, NUM, false, false);
	vring_add(&w.driver, &seg, 1);
	ops = w.ram.gmem.ops;
	w.ram.gmem.ops = &no_views;
	check_fault(&w, "no view", "guest memory cannot be mapped", 0);
	w.ram.gmem.ops = ops;
	assert_int_equal(pop(&w), 1);
	push(&w, 0);
	stop(&w);
}

/*
 * The guest changes everything while the memory of a descriptor, or of a table, is being
 * mapped: between what is checked and what is used.
 */
static int map_and_rewrite(void *ctx, gpa_t at, void *host, unsigned pages, bool *there)
{
	struct world *w = CONTAINER_OF(ctx, struct world, ram);
	struct vring_desc *table = (void *)(w->ram.bytes + TABLE);

	for (unsigned i = 0; i < NUM; i++) {
		vring_set_desc(&w->driver.desc[i], 1, UINT32_MAX, N | W | I, 0xffff);
		/* What was not read yet is read now, and must be good. */
		if (at.v > TABLE)
			vring_set_desc(&table[i], 1, UINT32_MAX, N | W | I, 0xffff);
		w->driver.avail->ring[i] = 0xffff;
	}
	return w->map(ctx, at, host, pages, there);
}

static void start_rewriting(struct world *w, bool indirect)
{
	start(w, NUM, false, indirect);
	w->map = w->ram.gmem.ops->map;
	w->rewriting = *w->ram.gmem.ops;
	w->rewriting.map = map_and_rewrite;
	w->ram.gmem.ops = &w->rewriting;
}

static void what_was_checked_is_what_is_used(void **state)
{
	const struct vring_seg segs[] = { { DATA, 512, false } };
	struct world w;

	for (unsigned n = 1; n <= 2; n++) {
		bool indirect = n == 2;
		unsigned maps;

		start_rewriting(&w, indirect);
		maps = w.ram.maps;
		if (indirect)
			assert_int_equal(vring_add_indirect(&w.driver, segs, 1, TABLE), 0);
		else
			assert_int_equal(vring_add(&w.driver, segs, 1), 0);
		assert_int_equal(pop(&w), 1);
		assert_int_equal(w.ram.maps, maps + n); /* so it was rewritten */
		assert_int_equal(w.chain.head, 0);
		assert_int_equal(w.chain.n_out, 1);
		assert_int_equal(w.chain.n_in, 0);
		assert_int_equal(w.chain.out_len, 512);
		check_seg(&w, 0, DATA, 512);
		push(&w, 0);
		stop(&w);
	}
}

/* ---- interrupts ------------------------------------------------------------------ */

static void add_and_publish(struct world *w, unsigned n)
{
	const struct vring_seg seg = { DATA, 1, true };

	for (unsigned i = 0; i < n; i++) {
		assert_true(vring_add(&w->driver, &seg, 1) >= 0);
		assert_int_equal(pop(w), 1);
		push(w, 1);
	}
	virtqueue_publish(&w->q);
}

static void reap_all(struct world *w)
{
	uint32_t id, len;

	while (vring_reap(&w->driver, &id, &len))
		;
}

static void interrupt_follows_the_flag(void **state)
{
	struct world w;

	start(&w, NUM, false, false);
	assert_false(virtqueue_wants_interrupt(&w.q)); /* nothing was published */
	add_and_publish(&w, 2);
	assert_true(virtqueue_wants_interrupt(&w.q));
	assert_false(virtqueue_wants_interrupt(&w.q)); /* nothing since */
	vring_want_interrupt(&w.driver, false);
	add_and_publish(&w, 1);
	assert_false(virtqueue_wants_interrupt(&w.q));
	vring_want_interrupt(&w.driver, true);
	add_and_publish(&w, 1);
	assert_true(virtqueue_wants_interrupt(&w.q));
	assert_int_equal(w.q.counts.interrupts_wanted, 2);
	stop(&w);
}

static void interrupt_comes_when_used_event_is_passed(void **state)
{
	struct world w;

	start(&w, NUM, true, false);
	for (unsigned i = 0; i < 0x10000 / 4 + 100; i++) {
		uint16_t *event = &w.driver.avail->ring[NUM];

		*event = w.q.published; /* the next one */
		add_and_publish(&w, 1);
		assert_true(virtqueue_wants_interrupt(&w.q));
		add_and_publish(&w, 1); /* it is behind us now */
		assert_false(virtqueue_wants_interrupt(&w.q));
		*event = (uint16_t)(w.q.published + 1); /* the next but one */
		add_and_publish(&w, 1);
		assert_false(virtqueue_wants_interrupt(&w.q));
		add_and_publish(&w, 1);
		assert_true(virtqueue_wants_interrupt(&w.q));
		reap_all(&w);
		*event = w.q.published; /* one for several */
		add_and_publish(&w, 3);
		assert_true(virtqueue_wants_interrupt(&w.q));
		reap_all(&w);
		/* Nothing but the event index matters. */
		w.driver.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	}
	stop(&w);
}

static void nothing_is_seen_before_it_is_published(void **state)
{
	const struct vring_seg seg = { DATA, 1, true };
	struct world w;
	uint32_t id, len;

	start(&w, NUM, false, false);
	vring_add(&w.driver, &seg, 1);
	assert_int_equal(pop(&w), 1);
	push(&w, 1);
	assert_false(virtqueue_wants_interrupt(&w.q));
	assert_false(vring_reap(&w.driver, &id, &len));
	virtqueue_publish(&w.q);
	w.driver.used->idx = 7; /* what the device wrote it does not write again */
	virtqueue_publish(&w.q);
	assert_int_equal(w.driver.used->idx, 7);
	stop(&w);
}

/* ---- notifications --------------------------------------------------------------- */

static void notify_off_and_on_set_the_flag(void **state)
{
	const struct vring_seg seg = { DATA, 1, true };
	struct world w;

	start(&w, NUM, false, false);
	vring_add(&w.driver, &seg, 1);
	assert_true(vring_wants_kick(&w.driver));
	virtqueue_notify_off(&w.q);
	virtqueue_notify_off(&w.q);
	vring_add(&w.driver, &seg, 1);
	assert_false(vring_wants_kick(&w.driver));
	assert_true(virtqueue_notify_on(&w.q));
	assert_true(virtqueue_notify_on(&w.q));
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(pop(&w), 1);
		push(&w, 0);
	}
	assert_false(virtqueue_notify_on(&w.q));
	vring_add(&w.driver, &seg, 1);
	assert_true(vring_wants_kick(&w.driver));
	stop(&w);
}

static void driver_notifies_only_at_the_index_asked_for(void **state)
{
	const struct vring_seg seg = { DATA, 1, true };
	struct world w;

	start(&w, NUM, true, false);
	vring_add(&w.driver, &seg, 1);
	assert_true(vring_wants_kick(&w.driver));
	virtqueue_notify_off(&w.q);
	assert_int_equal(pop(&w), 1);
	push(&w, 0);
	assert_int_equal(pop(&w), 0); /* does not ask for it */
	vring_add(&w.driver, &seg, 1);
	assert_false(vring_wants_kick(&w.driver));
	assert_int_equal(w.driver.used->flags, 0); /* means nothing here (§2.7.10) */
	assert_true(virtqueue_notify_on(&w.q));
	assert_int_equal(pop(&w), 1);
	push(&w, 0);
	assert_false(virtqueue_notify_on(&w.q));
	vring_add(&w.driver, &seg, 1);
	assert_true(vring_wants_kick(&w.driver));
	stop(&w);
}

static void whoever_finds_nothing_is_notified_of_the_next(void **state)
{
	const struct vring_seg seg = { DATA, 1, true };
	struct world w;

	start(&w, NUM, true, false);
	for (unsigned i = 0; i < 3 * NUM; i++) {
		vring_add(&w.driver, &seg, 1);
		assert_true(vring_wants_kick(&w.driver));
		assert_int_equal(pop(&w), 1);
		push(&w, 0);
		assert_int_equal(pop(&w), 0);
		virtqueue_publish(&w.q);
		reap_all(&w);
	}
	stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(areas_are_checked),
		cmocka_unit_test(start_fails_when_memory_cannot_be_viewed),
		cmocka_unit_test(queue_starts_again_from_zero),
		cmocka_unit_test(queue_that_is_not_ready_has_nothing),
		cmocka_unit_test(pop_gives_the_segments_in_order),
		cmocka_unit_test(indirect_table_may_lie_at_any_address),
		cmocka_unit_test(indirect_table_may_follow_direct_descriptors),
		cmocka_unit_test(chain_may_be_as_long_as_the_queue),
		cmocka_unit_test(every_entry_may_be_taken_before_one_is_given_back),
		cmocka_unit_test(indices_wrap_around),
		cmocka_unit_test(stop_forgets_what_is_in_flight),
		cmocka_unit_test(pop_refuses_what_a_driver_must_not_do),
		cmocka_unit_test(pop_refuses_a_head_in_flight),
		cmocka_unit_test(pop_refuses_a_table_that_makes_the_chain_too_long),
		cmocka_unit_test(pop_refuses_4_gib),
		cmocka_unit_test(pop_refuses_when_no_view_is_to_be_had),
		cmocka_unit_test(what_was_checked_is_what_is_used),
		cmocka_unit_test(interrupt_follows_the_flag),
		cmocka_unit_test(interrupt_comes_when_used_event_is_passed),
		cmocka_unit_test(nothing_is_seen_before_it_is_published),
		cmocka_unit_test(notify_off_and_on_set_the_flag),
		cmocka_unit_test(driver_notifies_only_at_the_index_asked_for),
		cmocka_unit_test(whoever_finds_nothing_is_notified_of_the_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
