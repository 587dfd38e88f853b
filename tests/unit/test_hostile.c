/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attacks of tests/system/hostile on devices in this process, so that the sanitizers
 * see what a hostile guest does to them.
 */
#include "tests/system/hostile/hostile.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "devices/bus.h"
#include "devices/virtio_mmio.h"
#include "devices/virtio_net.h"
#include "tests/fake/blk_guest.h"
#include "vmm/lib/log.h"

#define RAM (64 * MIB)
#define ARENA (2 * MIB)
#define DISKS 2 /* buffered, direct */
#define NETS 2 /* one queue pair, two */
#define DEVICES (DISKS + NETS)
#define SCALE 5

struct world {
	struct loop *loop;
	struct ram_fake ram;
	struct bus bus;
	struct virtio_blk *blk[DISKS];
	struct virtio_net *net[NETS];
	struct virtio_mmio mmio[DEVICES];
	int files[DISKS], hosts[NETS][TAP_QUEUES_MAX];
	unsigned pulses;
	struct host host;
};

/* The taps are sockets, which have no offloads nor queues to be told of. */
int __wrap_tap_set_queues(struct tap *t, unsigned active);
int __wrap_tap_set_header(struct tap *t, int bytes);
int __wrap_tap_set_offloads(struct tap *t, unsigned tun_f);

int __wrap_tap_set_queues(struct tap *t, unsigned active)
{
	t->attached = active;
	return 0;
}
int __wrap_tap_set_header(struct tap *t, int bytes)
{
	(void)t;
	(void)bytes;
	return 0;
}
int __wrap_tap_set_offloads(struct tap *t, unsigned tun_f)
{
	(void)t;
	(void)tun_f;
	return 0;
}

/* ---- what attacks run on ---- */

static void nothing(struct loop_op *op, int res)
{
	(void)op;
	(void)res;
}

/* A turn that does not wait: as after each access in the monitor. */
static void turn(struct world *w)
{
	struct loop_op nop = { .done = nothing };

	loop_defer(w->loop, &nop);
	while (nop.busy)
		assert(loop_turn(w->loop) == 0);
}

static uint64_t host_read(void *ctx, uint64_t addr, unsigned width)
{
	struct world *w = ctx;

	return bus_read(&w->bus, BUS_MMIO, addr, width);
}

static void host_write(void *ctx, uint64_t addr, unsigned width, uint64_t value)
{
	struct world *w = ctx;

	bus_write(&w->bus, BUS_MMIO, addr, width, value);
	turn(w);
}

static void host_wait(void *ctx)
{
	struct loop_timer t = { .op.done = nothing };
	struct world *w = ctx;

	loop_timeout(w->loop, &t, 1);
	while (t.op.busy)
		assert(loop_turn(w->loop) == 0);
}

static unsigned host_now_ms(void *ctx)
{
	struct timespec t;

	(void)ctx;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (unsigned)(t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

/* ---- the devices ---- */

static void pulse(void *ctx, unsigned gsi)
{
	(void)gsi;
	((struct world *)ctx)->pulses++;
}

static void add(struct world *w, unsigned window, struct virtio_dev *d)
{
	struct bus_range r;

	virtio_mmio_init(&w->mmio[window], d);
	r = virtio_mmio_range(&w->mmio[window], WINDOWS + window * PAGE_BYTES);
	assert(bus_add(&w->bus, &r) == 0);
}

static void add_disk(struct world *w, unsigned i, const struct dev_env *env)
{
	static const struct rate_limiter_config unlimited;
	const struct blk_guest_options o = { .bytes = 4 * MIB, .direct = i == 1 };
	const struct blk_setup s = { .id = "disk",
				     .env = env,
				     .gsi = 16 + i,
				     .queues = 1 + i,
				     .disk = blk_guest_disk(&o, &w->files[i]),
				     .writeback = true,
				     .limit = &unlimited };

	assert(virtio_blk_create(&w->blk[i], &s) == 0);
	add(w, i, virtio_blk_dev(w->blk[i]));
}

static void add_net(struct world *w, unsigned i, const struct dev_env *env)
{
	static const struct rate_limiter_config unlimited;
	struct tap *tap = calloc(1, sizeof(*tap));
	const struct net_setup s = { .id = "net",
				     .env = env,
				     .gsi = 20 + i,
				     .tap = tap,
				     .rx_limit = &unlimited,
				     .tx_limit = &unlimited };

	assert(tap != NULL);
	tap->n_queues = tap->attached = i + 1;
	for (unsigned q = 0; q <= i; q++) {
		int fds[2];

		assert(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds) == 0);
		tap->fds[q] = fds[0];
		w->hosts[i][q] = fds[1];
	}
	assert(virtio_net_create(&w->net[i], &s) == 0);
	add(w, DISKS + i, virtio_net_dev(w->net[i]));
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct dev_env env = { .pulse = pulse, .ctx = w };

	assert(w != NULL);
	assert(loop_create(&w->loop, 64) == 0);
	ram_fake_init(&w->ram, RAM);
	w->ram.hole = RAM / 2;
	w->ram.hole_bytes = PAGE_BYTES;
	env.loop = w->loop;
	env.gmem = &w->ram.gmem;
	for (unsigned i = 0; i < DISKS; i++)
		add_disk(w, i, &env);
	for (unsigned i = 0; i < NETS; i++)
		add_net(w, i, &env);
	w->host = (struct host){ .read = host_read,
				 .write = host_write,
				 .wait = host_wait,
				 .now_ms = host_now_ms,
				 .ctx = w,
				 .arena = w->ram.bytes + RAM - ARENA,
				 .arena_gpa = RAM - ARENA,
				 .arena_len = ARENA,
				 .hole = RAM / 2,
				 .scale = SCALE };
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	host_wait(w);
	for (unsigned i = 0; i < DISKS; i++) {
		virtio_blk_destroy(w->blk[i]);
		(void)close(w->files[i]);
	}
	for (unsigned i = 0; i < NETS; i++) {
		virtio_net_destroy(w->net[i]);
		for (unsigned q = 0; q <= i; q++)
			(void)close(w->hosts[i][q]);
	}
	loop_destroy(w->loop);
	gmem_fini(&w->ram.gmem); /* asserts that no view is in use */
	ram_fake_free(&w->ram);
	free(w);
	return 0;
}

/* ---- the attacks ---- */

static void drain(struct world *w)
{
	uint8_t bytes[512];

	for (unsigned i = 0; i < NETS; i++) {
		for (unsigned q = 0; q <= i; q++) {
			while (recv(w->hosts[i][q], bytes, sizeof(bytes), 0) > 0)
				;
		}
	}
}

static void run(struct world *w, const struct attack *table)
{
	const char *why;
	struct dev d;

	for (unsigned window = 0; window < DEVICES; window++) {
		for (const struct attack *a = table; a->name != NULL; a++) {
			assert_true(dev_find(&d, &w->host, window));
			if (a->device != 0 && a->device != d.id)
				continue;
			why = a->run(&d);
			if (why != NULL)
				fail_msg("window %u: %s: %s", window, a->name, why);
			drain(w);
			why = dev_works(&d);
			if (why != NULL)
				fail_msg("window %u: after %s: %s", window, a->name, why);
		}
	}
}

static void attacks_on_registers_are_survived(void **state)
{
	run(*state, register_attacks);
}
static void attacks_on_queue_areas_are_survived(void **state)
{
	run(*state, area_attacks);
}
static void attacks_on_descriptors_are_survived(void **state)
{
	run(*state, chain_attacks);
}
static void attacks_by_block_requests_are_survived(void **state)
{
	run(*state, blk_attacks);
}
static void attacks_by_packets_are_survived(void **state)
{
	run(*state, net_attacks);
}
static void storms_are_survived(void **state)
{
	run(*state, storm_attacks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attacks_on_registers_are_survived),
		cmocka_unit_test(attacks_on_queue_areas_are_survived),
		cmocka_unit_test(attacks_on_descriptors_are_survived),
		cmocka_unit_test(attacks_by_block_requests_are_survived),
		cmocka_unit_test(attacks_by_packets_are_survived),
		cmocka_unit_test(storms_are_survived),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
