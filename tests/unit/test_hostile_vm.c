/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The malicious driver of tests/system/hostile against the whole monitor on the fake
 * hypervisor, so that the sanitizers watch what it does to it. After each attack a reset
 * must make the device work again.
 */
#include "tests/system/hostile/hostile.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/fake/hv_fake.h"
#include "tests/fake/kernel_fake.h"
#include "vmm/vm.h"

#define RAM_MIB 64
#define ARENA (2 * MIB)
#define DISK_BYTES (16 * MIB)
#define SCALE 3 /* percent of what the real guest does */

static const struct attack *const tables[] = { register_attacks, area_attacks, chain_attacks,
					       blk_attacks,	 net_attacks,  storm_attacks };

static struct {
	struct loop *loop;
	struct hv *hv;
	struct vm *vm;
	struct gmem_view *view;
	struct host host;
	int kernel, disk;
	char direct[64]; /* a file that O_DIRECT works on; "": there is none */
	char tap[IFNAMSIZ]; /* "": there can be none */
	unsigned windows;
} world;

/* ---- what the attacks run on ---- */

static uint64_t access_read(void *ctx, uint64_t addr, unsigned width)
{
	return hv_fake_in(world.hv, HV_MMIO, addr, (uint8_t)width);
}

/* The only vCPU waits until its access is done. */
static void access_write(void *ctx, uint64_t addr, unsigned width, uint64_t value)
{
	hv_fake_out(world.hv, HV_MMIO, addr, (uint8_t)width, value);
	while (hv_fake_held(world.hv, 0))
		assert_int_equal(loop_turn(world.loop), 0);
}

static void time_up(struct loop_op *op, int res)
{
}

static void wait_ms(void *ctx)
{
	static struct loop_timer timer = { .op.done = time_up };

	loop_timeout(world.loop, &timer, 1);
	while (timer.op.busy)
		assert_int_equal(loop_turn(world.loop), 0);
}

static unsigned now_ms(void *ctx)
{
	return (unsigned)clock_ms();
}

/* ---- the machine ---- */

static void make_disks(void)
{
	int fd;

	world.disk = bytes_fd("", 0);
	assert_int_equal(ftruncate(world.disk, DISK_BYTES), 0);
	snprintf(world.direct, sizeof(world.direct), "hostile-disk.XXXXXX");
	fd = mkostemp(world.direct, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
	close(fd);
	fd = open(world.direct, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0) {
		unlink(world.direct);
		world.direct[0] = '\0';
	} else {
		close(fd);
	}
}

static void put_drive(const char *id, const char *path, bool direct)
{
	struct drive_config d = { .cache = CACHE_WRITEBACK, .direct = direct };
	struct err e;

	snprintf(d.id, sizeof(d.id), "%s", id);
	snprintf(d.path, sizeof(d.path), "%s", path);
	if (vm_put_drive(world.vm, &d, &e) < 0)
		fail_msg("%s", e.text);
	world.windows++;
}

/* Up, so that packets pass. */
static void put_net(void)
{
	struct net_config n = { .id = "net" };
	struct ifreq up = { .ifr_flags = IFF_UP };
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct err e;

	snprintf(world.tap, sizeof(world.tap), "xnlh%u", (unsigned)getpid());
	memcpy(n.host_dev_name, world.tap, sizeof(n.host_dev_name));
	if (vm_put_net(world.vm, &n, &e) < 0) {
		print_message("no network: %s\n", e.text);
		world.tap[0] = '\0';
	} else {
		memcpy(up.ifr_name, world.tap, sizeof(up.ifr_name));
		assert_int_equal(ioctl(s, SIOCSIFFLAGS, &up), 0);
		world.windows++;
	}
	close(s);
}

static void put_boot(void)
{
	struct boot_source b = { .present = true };
	struct kernel_fake kernel;
	struct err e;

	kernel_fake_init(&kernel);
	world.kernel = kernel_fake_fd(&kernel, sizeof(kernel));
	snprintf(b.kernel_image_path, sizeof(b.kernel_image_path), "/proc/self/fd/%d",
		 world.kernel);
	if (vm_set_boot(world.vm, &b, &e) < 0)
		fail_msg("%s", e.text);
}

static void start(void)
{
	struct gmem *m = &world.vm->gmem;
	struct err e;

	if (vm_start(world.vm, &e) < 0)
		fail_msg("%s", e.text);
	world.view = gmem_get(m);
	assert_non_null(world.view);
	world.host = (struct host){
		.read = access_read,
		.write = access_write,
		.wait = wait_ms,
		.now_ms = now_ms,
		.arena = gmem_ptr(m, world.view, gpa(RAM_MIB * MIB - ARENA), ARENA),
		.arena_gpa = RAM_MIB * MIB - ARENA,
		.arena_len = ARENA,
		.scale = SCALE,
	};
	assert_non_null(world.host.arena);
	/* A page that is given back, well away from the others. */
	world.host.hole = RAM_MIB * MIB / 2;
	hv_fake_give_back(world.hv, gpa(world.host.hole));
}

static int set_up(void **state)
{
	const struct vm_params params = { .id = "hostile", .serial_in = -1, .serial_out = -1 };
	const struct machine_config machine = { .vcpu_count = 2, .mem_size_mib = RAM_MIB };
	char path[64];
	struct err e;

	log_set_level(LOG_ERROR); /* of what the guest does wrong there is no end */
	alarm(110);
	assert_int_equal(loop_create(&world.loop, 256), 0);
	assert_int_equal(hv_fake_create(&world.hv, &(struct hv_fake_options){ 0 }, &e), 0);
	assert_int_equal(vm_create(&world.vm, world.loop, world.hv, &params, &e), 0);
	vm_set_machine(world.vm, &machine);
	put_boot();
	make_disks();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", world.disk);
	put_drive("a", path, false);
	if (world.direct[0])
		put_drive("b", world.direct, true);
	put_net();
	start();
	return 0;
}

static int tear_down(void **state)
{
	gmem_put(&world.vm->gmem, world.view);
	vm_stop(world.vm);
	vm_destroy(world.vm);
	loop_destroy(world.loop);
	close(world.kernel);
	close(world.disk);
	if (world.direct[0])
		unlink(world.direct);
	return 0;
}

/* ---- the attacks ---- */

static void run_attack(struct dev *d, const struct attack *a)
{
	const char *why;

	if (a->device && a->device != d->id)
		return;
	why = a->run(d);
	if (why)
		fail_msg("%s: %s", a->name, why);
	why = dev_works(d);
	if (why)
		fail_msg("%s: afterwards %s", a->name, why);
}

static void attack_window(unsigned window)
{
	struct dev d;
	const char *why;

	if (window >= world.windows)
		skip();
	assert_true(dev_find(&d, &world.host, window));
	why = dev_works(&d);
	if (why)
		fail_msg("before any attack: %s", why);
	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (const struct attack *a = tables[t]; a->name; a++)
			run_attack(&d, a);
}

static void buffered_drive_survives_every_attack(void **state)
{
	attack_window(0);
}

static void second_device_survives_every_attack(void **state)
{
	attack_window(1);
}

static void third_device_survives_every_attack(void **state)
{
	attack_window(2);
}

static void monitor_still_answers_and_has_counted_the_faults(void **state)
{
	const struct virtio_dev *d = virtio_blk_dev(world.vm->devices.devices[0]->blk);

	assert_true(d->counts.faults > 20);
	assert_true(d->counts.resets > 20);
	assert_true(world.hv->ops->counts(world.hv).rings > 20);
	assert_false(world.vm->ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffered_drive_survives_every_attack),
		cmocka_unit_test(second_device_survives_every_attack),
		cmocka_unit_test(third_device_survives_every_attack),
		cmocka_unit_test(monitor_still_answers_and_has_counted_the_faults),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
