/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with one block device on a file, for tests: the device, its transport, a driver
 * that makes requests of any shape, and the file's contents to compare with.
 */
#ifndef TESTS_FAKE_BLK_GUEST_H
#define TESTS_FAKE_BLK_GUEST_H

#include <linux/virtio_blk.h>

#include "devices/virtio_blk.h"
#include "tests/fake/virtio_driver.h"

#define BLK_GUEST_QUEUE 256
#define BLK_GUEST_RAM (32 * MIB)
/* Where requests keep header, ranges and status (a page each), and their data. */
#define BLK_GUEST_PAGES (1 * MIB)
#define BLK_GUEST_DATA (8 * MIB)

#define BLK_BIT(f) (UINT64_C(1) << VIRTIO_BLK_F_##f)

struct blk_guest_options {
	const char *path; /* of the disk; NULL: a file without a name, of `bytes` */
	uint64_t bytes;
	bool read_only, direct, unsafe; /* unsafe: cache_type */
	unsigned queues; /* 0: one */
	uint64_t decline; /* features */
	const struct rate_limiter_config *limit;
	const char *id; /* NULL: "rootfs" */
};

struct blk_guest {
	struct loop *loop;
	struct ram_fake ram;
	struct virtio_blk *blk;
	struct virtio_mmio mmio;
	struct virtio_driver driver;
	int fd; /* the disk's file, to look at */
	unsigned pulses;
	uint32_t used_head, used_len; /* the latest that blk_guest_reap took */
};

/* One request; what is 0 is as usual. */
struct blk_guest_req {
	uint32_t type;
	uint64_t sector;
	uint64_t data; /* guest address; 0: BLK_GUEST_DATA + page * 64 KiB */
	uint32_t len;
	unsigned page; /* which of BLK_GUEST_PAGES */
	unsigned queue;
};

/* A started device. Aborts when that fails. */
void blk_guest_start(struct blk_guest *g, const struct blk_guest_options *o);

/* Reset it, check that nothing is left in flight, and let go. */
void blk_guest_stop(struct blk_guest *g);

/* Reset, and wait for it. */
void blk_guest_reset(struct blk_guest *g);

/* A disk of the same kind, on a new file of `bytes`; `fd` to look at it. */
struct disk *blk_guest_disk(const struct blk_guest_options *o, int *fd);

/* The contents that files have in the beginning, and what tests write. */
uint8_t blk_guest_pattern(uint64_t at);

/* Add a request to its queue, in three segments (two without data): its head. */
int blk_guest_add(struct blk_guest *g, const struct blk_guest_req *r);

/* Only write its header to its page; the address of the status byte. */
uint64_t blk_guest_header(struct blk_guest *g, const struct blk_guest_req *r);

/* Notify, when the device wants that. */
void blk_guest_kick(struct blk_guest *g, unsigned queue);

/* Take the next used element; false when there is none. */
bool blk_guest_reap(struct blk_guest *g, unsigned queue);

/* Turn the loop until `n` more are used, or for `ms`. */
void blk_guest_wait(struct blk_guest *g, unsigned queue, unsigned n);
void blk_guest_run(struct blk_guest *g, uint64_t ms);

/* Add, notify, wait: the status byte. */
uint8_t blk_guest_do(struct blk_guest *g, const struct blk_guest_req *r);

/* The status byte of a request's page. */
uint8_t *blk_guest_status(struct blk_guest *g, unsigned page);

#endif
