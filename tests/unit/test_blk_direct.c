/* SPDX-License-Identifier: Apache-2.0 */
/* The block device with O_DIRECT: through bounce memory, in pieces, in turns. */
#include "tests/fake/blk_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_mmio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "devices/blk_bounce.h"
#include "vmm/lib/log.h"

#define DISK (8 * MIB)
#define SECTORS (DISK / DISK_SECTOR)

#define REQ(t, s, l)                             \
	{                                        \
		.type = t, .sector = s, .len = l \
	}

static const struct blk_guest_options direct = { .bytes = DISK, .direct = true };

/* ---- what the host says ----------------------------------------------------------- */

static struct {
	unsigned align; /* that statx(2) tells; 0: the real one */
	bool no_buffers; /* none can be registered */
	int fail; /* what writes end with */
	bool no_memory, no_mapping; /* for the next allocation */
	unsigned fixed, largest;
} host;

static struct {
	struct loop_op nop, *op;
} failing[512];
static unsigned n_failing;

int __wrap_statx(int fd, const char *name, int flags, unsigned mask, struct statx *x);
int __real_statx(int fd, const char *name, int flags, unsigned mask, struct statx *x);
void *__wrap_calloc(size_t n, size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_loop_buffer_add(struct loop *l, void *base, size_t len);
int __real_loop_buffer_add(struct loop *l, void *base, size_t len);
void __wrap_loop_write_fixed(struct loop *l, struct loop_op *op, loop_file_t f, int buffer,
			     const void *at, size_t len, uint64_t off);
void __real_loop_write_fixed(struct loop *l, struct loop_op *op, loop_file_t f, int buffer,
			     const void *at, size_t len, uint64_t off);

int __wrap_statx(int fd, const char *name, int flags, unsigned mask, struct statx *x)
{
	int rc = __real_statx(fd, name, flags, mask, x);

	if (host.align)
		x->stx_dio_offset_align = x->stx_dio_mem_align = host.align;
	return rc;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return host.no_memory ? NULL : __real_calloc(n, size);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	return host.no_mapping ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, off);
}

int __wrap_loop_buffer_add(struct loop *l, void *base, size_t len)
{
	return host.no_buffers ? -ENOMEM : __real_loop_buffer_add(l, base, len);
}

static void failed(struct loop_op *nop, int res)
{
	struct loop_op *op =
		failing[(size_t)((char *)nop - (char *)failing) / sizeof(*failing)].op;

	(void)res;
	op->busy = false;
	op->done(op, host.fail);
}

void __wrap_loop_write_fixed(struct loop *l, struct loop_op *op, loop_file_t f, int buffer,
			     const void *at, size_t len, uint64_t off)
{
	host.fixed++;
	if (len > host.largest)
		host.largest = (unsigned)len;
	if (!host.fail) {
		__real_loop_write_fixed(l, op, f, buffer, at, len, off);
		return;
	}
	op->busy = true;
	failing[n_failing].op = op;
	failing[n_failing].nop.done = failed;
	loop_defer(l, &failing[n_failing++].nop);
}

static uint8_t *ram(struct blk_guest *g, uint64_t at)
{
	return g->ram.bytes + at;
}

static void start(struct blk_guest *g, const struct blk_guest_options *o)
{
	memset(&host, 0, sizeof(host));
	n_failing = 0;
	blk_guest_start(g, o);
}

static void assert_file(struct blk_guest *g, uint64_t at, const uint8_t *bytes, size_t len)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	assert_int_equal(pread(g->fd, buf, len, (off_t)at), len);
	assert_memory_equal(buf, bytes, len);
	free(buf);
}

static void put_random(uint8_t *at, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)rand_r(&seed);
}

/* ---- the pool ---------------------------------------------------------------------- */

static void the_pool_gives_what_is_asked_for_or_less(void **state)
{
	const size_t piece = BLK_BOUNCE_PIECE;
	struct blk_run run[BLK_BOUNCE_PIECES], none;
	struct blk_bounce p;
	struct loop *l;

	assert_int_equal(loop_create(&l, 8), 0);
	assert_int_equal(blk_bounce_create(&p, l), 0);
	for (unsigned i = 0; i < BLK_BOUNCE_PIECES; i++) {
		run[i] = blk_bounce_take(&p, i % 2 ? 1 : piece);
		assert_int_equal(run[i].n, 1);
		assert_int_equal(run[i].first, i);
		assert_ptr_equal(blk_bounce_at(&p, run[i]), p.base + i * piece);
	}
	none = blk_bounce_take(&p, 1);
	assert_int_equal(none.n, 0);
	/* Holes of one, two and three pieces; the longest comes first. */
	blk_bounce_give(&p, &run[5]);
	assert_int_equal(run[5].n, 0);
	blk_bounce_give(&p, &run[10]);
	blk_bounce_give(&p, &run[11]);
	for (unsigned i = 61; i < 64; i++)
		blk_bounce_give(&p, &run[i]);
	none = blk_bounce_take(&p, 100 * piece);
	assert_int_equal(none.first, 61);
	assert_int_equal(none.n, 3);
	none = blk_bounce_take(&p, piece + 1);
	assert_int_equal(none.first, 10);
	assert_int_equal(none.n, 2);
	none = blk_bounce_take(&p, piece + 1);
	assert_int_equal(none.first, 5);
	assert_int_equal(none.n, 1);
	none = blk_bounce_take(&p, piece);
	assert_int_equal(none.n, 0);
	blk_bounce_destroy(&p, l);
	assert_int_equal(blk_bounce_create(&p, l), 0);
	none = blk_bounce_take(&p, 1000 * piece);
	assert_int_equal(none.n, BLK_BOUNCE_RUN_MAX);
	none = blk_bounce_take(&p, SIZE_MAX / 2);
	assert_int_equal(none.n, BLK_BOUNCE_RUN_MAX);
	assert_int_equal(p.free, 0);
	blk_bounce_destroy(&p, l);
	blk_bounce_destroy(&p, l); /* once more does no harm */
	for (unsigned i = 0; i <= LOOP_BUFFERS_MAX; i++) {
		assert_int_equal(blk_bounce_create(&p, l), 0);
		assert_true(p.index >= 0);
		blk_bounce_destroy(&p, l);
	}
	loop_destroy(l);
}

/* ---- requests ---------------------------------------------------------------------- */

static void reads_and_writes_go_in_pieces(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
	} cases[] = {
		{ 0, 512 },
		{ 1, 4096 },
		{ 8, BLK_BOUNCE_PIECE },
		{ 9, BLK_BOUNCE_PIECE + 512 },
		{ SECTORS - 1, 512 },
		{ 3, BLK_BOUNCE_PIECE * BLK_BOUNCE_RUN_MAX },
		{ 5, 3 * MIB + 512 },
		{ 5, 0 },
	};

	for (unsigned registered = 0; registered < 2; registered++) {
		struct blk_guest g;

		memset(&host, 0, sizeof(host));
		host.no_buffers = !registered;
		blk_guest_start(&g, &direct);
		for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
			struct blk_guest_req r =
				REQ(VIRTIO_BLK_T_OUT, cases[i].sector, cases[i].len);

			put_random(ram(&g, BLK_GUEST_DATA), r.len, i);
			assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
			assert_int_equal(g.used_len, 1);
			if (r.len)
				assert_file(&g, r.sector * 512, ram(&g, BLK_GUEST_DATA), r.len);
			memset(ram(&g, BLK_GUEST_DATA), 0, r.len + 1);
			r.type = VIRTIO_BLK_T_IN;
			assert_int_equal(blk_guest_do(&g, &r), VIRTIO_BLK_S_OK);
			assert_int_equal(g.used_len, r.len + 1);
			assert_int_equal(*ram(&g, BLK_GUEST_DATA + r.len), 0);
			if (r.len)
				assert_file(&g, r.sector * 512, ram(&g, BLK_GUEST_DATA), r.len);
		}
		assert_int_equal(host.fixed > 0, registered);
		assert_int_equal(host.largest,
				 registered ? BLK_BOUNCE_PIECE * BLK_BOUNCE_RUN_MAX : 0);
		blk_guest_stop(&g);
	}
}

/* Guest memory that O_DIRECT would not take. */
static void segments_need_no_alignment(void **state)
{
	struct vring_seg segs[2 + 41];
	struct blk_guest_req r = REQ(VIRTIO_BLK_T_OUT, 7, 0);
	uint8_t bytes[41 * 1000];
	struct blk_guest g;
	unsigned left = 40 * 1024, n = 1;

	start(&g, &direct);
	segs[0] = (struct vring_seg){ BLK_GUEST_PAGES, 16, false };
	for (unsigned i = 0; left; i++, n++) {
		segs[n] = (struct vring_seg){ BLK_GUEST_DATA + i * 3001 + 1,
					      left < 1000 ? left : 1000, false };
		put_random(ram(&g, segs[n].at), segs[n].len, i);
		memcpy(bytes + i * 1000, ram(&g, segs[n].at), segs[n].len);
		left -= segs[n].len;
	}
	segs[n] = (struct vring_seg){ blk_guest_header(&g, &r), 1, true };
	vring_add(&g.driver.queues[0], segs, n + 1);
	blk_guest_kick(&g, 0);
	blk_guest_wait(&g, 0, 1);
	assert_int_equal(*blk_guest_status(&g, 0), VIRTIO_BLK_S_OK);
	assert_file(&g, 7 * 512, bytes, 40 * 1024);
	for (unsigned i = 1; i < n; i++) {
		segs[i].writable = true;
		memset(ram(&g, segs[i].at), 0, segs[i].len);
	}
	r.type = VIRTIO_BLK_T_IN;
	segs[n] = (struct vring_seg){ blk_guest_header(&g, &r), 1, true };
	vring_add(&g.driver.queues[0], segs, n + 1);
	blk_guest_kick(&g, 0);
	blk_guest_wait(&g, 0, 1);
	assert_int_equal(*blk_guest_status(&g, 0), VIRTIO_BLK_S_OK);
	for (unsigned i = 1; i < n; i++)
		assert_memory_equal(bytes + (i - 1) * 1000, ram(&g, segs[i].at), segs[i].len);
	blk_guest_stop(&g);
}

static void add(struct blk_guest *g, uint32_t type, unsigned i, uint32_t len)
{
	struct blk_guest_req r = { type, i * UINT64_C(128), 0, len, i, 0 };

	assert_true(blk_guest_add(g, &r) >= 0);
}

/* They need four times the memory that there is, and get it in turns. */
static void more_requests_than_memory_take_turns(void **state)
{
	enum { N = 64, LEN = 64 * KIB };
	struct blk_guest g;

	start(&g, &direct);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < N; i++) {
			put_random(ram(&g, BLK_GUEST_DATA + i * LEN), LEN, i + round * N);
			add(&g, VIRTIO_BLK_T_OUT, i, LEN);
		}
		blk_guest_kick(&g, 0);
		blk_guest_wait(&g, 0, N);
		assert_file(&g, 0, ram(&g, BLK_GUEST_DATA), N * LEN);
		memset(ram(&g, BLK_GUEST_DATA), 0, N * LEN);
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(*blk_guest_status(&g, i), VIRTIO_BLK_S_OK);
			add(&g, VIRTIO_BLK_T_IN, i, LEN);
		}
		blk_guest_kick(&g, 0);
		blk_guest_wait(&g, 0, N);
		assert_file(&g, 0, ram(&g, BLK_GUEST_DATA), N * LEN);
	}
	blk_guest_stop(&g);
}

static void a_reset_ends_those_that_wait_for_memory(void **state)
{
	struct blk_guest g;

	start(&g, &direct);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 60; i++)
			add(&g, i % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, i, 64 * KIB);
		blk_guest_kick(&g, 0);
		for (unsigned i = 0; i < round; i++)
			assert_int_equal(loop_turn(g.loop), 0);
		blk_guest_reset(&g);
		virtio_driver_start(&g.driver, UINT64_MAX, 1, BLK_GUEST_QUEUE);
	}
	add(&g, VIRTIO_BLK_T_IN, 3, 64 * KIB);
	blk_guest_kick(&g, 0);
	blk_guest_wait(&g, 0, 1);
	assert_file(&g, 3 * 64 * KIB, ram(&g, BLK_GUEST_DATA + 3 * 64 * KIB), 64 * KIB);
	blk_guest_stop(&g);
}

static void errors_give_the_memory_back(void **state)
{
	struct blk_guest g;

	start(&g, &direct);
	host.fail = -EIO;
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 60; i++)
			add(&g, VIRTIO_BLK_T_OUT, i, 64 * KIB);
		blk_guest_kick(&g, 0);
		blk_guest_wait(&g, 0, 60);
		for (unsigned i = 0; i < 60; i++)
			assert_int_equal(*blk_guest_status(&g, i), VIRTIO_BLK_S_IOERR);
	}
	host.fail = 0;
	add(&g, VIRTIO_BLK_T_OUT, 0, 64 * KIB);
	blk_guest_kick(&g, 0);
	blk_guest_wait(&g, 0, 1);
	assert_int_equal(*blk_guest_status(&g, 0), VIRTIO_BLK_S_OK);
	blk_guest_stop(&g);
}

/* The driver is told the block size, and gets an error for what is no multiple of it. */
static void a_large_alignment_is_the_block_size(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} cases[] = {
		{ 8, 4096, VIRTIO_BLK_S_OK },	 { 1, 4096, VIRTIO_BLK_S_IOERR },
		{ 8, 512, VIRTIO_BLK_S_IOERR },	 { 8, 4608, VIRTIO_BLK_S_IOERR },
		{ 9, 3584, VIRTIO_BLK_S_IOERR }, { SECTORS - 8, 4096, VIRTIO_BLK_S_OK },
	};
	struct blk_guest g;

	memset(&host, 0, sizeof(host));
	host.align = 4096;
	blk_guest_start(&g, &direct);
	assert_int_equal(virtio_driver_read(&g.driver,
					    VIRTIO_MMIO_CONFIG +
						    offsetof(struct virtio_blk_config,
							     blk_size)),
			 4096);
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct blk_guest_req r = REQ(i % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT,
					     cases[i / 2].sector, cases[i / 2].len);

		assert_int_equal(blk_guest_do(&g, &r), cases[i / 2].status);
	}
	blk_guest_stop(&g);
}

/* The disk stays the caller's. */
static void creation_fails_without_memory(void **state)
{
	static const struct rate_limiter_config none;
	struct virtio_blk *b = NULL;
	struct dev_env env = { 0 };
	struct blk_setup s = { .id = "x", .env = &env, .queues = 1, .limit = &none };
	int fd;

	assert_int_equal(loop_create(&env.loop, 8), 0);
	s.disk = blk_guest_disk(&direct, &fd);
	for (unsigned i = 0; i < 2; i++) {
		host.no_memory = !i;
		host.no_mapping = i;
		assert_int_equal(virtio_blk_create(&b, &s), -ENOMEM);
		assert_null(b);
	}
	memset(&host, 0, sizeof(host));
	disk_close(s.disk);
	loop_destroy(env.loop);
	close(fd);
}

static int limit_time(void **state)
{
	alarm(60); /* a request that never ends */
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creation_fails_without_memory),
		cmocka_unit_test(the_pool_gives_what_is_asked_for_or_less),
		cmocka_unit_test(reads_and_writes_go_in_pieces),
		cmocka_unit_test(segments_need_no_alignment),
		cmocka_unit_test(more_requests_than_memory_take_turns),
		cmocka_unit_test(a_reset_ends_those_that_wait_for_memory),
		cmocka_unit_test(errors_give_the_memory_back),
		cmocka_unit_test(a_large_alignment_is_the_block_size),
	};

	log_set_level(LOG_OFF);
	return cmocka_run_group_tests(tests, limit_time, NULL);
}
