/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A malicious driver for virtio-mmio devices: a table of attacks, each of which leaves the
 * device broken, and a check after each that a reset makes it work again. The attacks know
 * nothing of where they run: guest.c runs them as the first process of a micro-VM, with
 * raw access to physical memory.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096u
#define WINDOWS 0xd0000000u /* where the windows begin, one a page */
#define WINDOWS_MAX 32
#define RINGS 3
#define RING_NUM 8 /* descriptors; few, so that their limits are near */

/* What an attack runs on. The arena is contiguous guest memory that nobody else uses. */
struct host {
	uint64_t (*read)(void *ctx, uint64_t addr, unsigned width);
	void (*write)(void *ctx, uint64_t addr, unsigned width, uint64_t value);
	void (*wait)(void *ctx); /* let the device work for a millisecond */
	unsigned (*now_ms)(void *ctx);
	void *ctx;
	uint8_t *arena;
	uint64_t arena_gpa;
	size_t arena_len; /* ARENA_MIN or more; its end is the end of RAM */
	uint64_t hole; /* a page of RAM that was given back to the hypervisor; 0: none */
	unsigned scale; /* percent of the usual number of repetitions */
};

/* Pages of the arena. */
enum {
	AT_RINGS = 0, /* three pages a ring */
	AT_TABLE = 3 * RINGS, /* an indirect table */
	AT_HEADER = AT_TABLE + 2,
	AT_DATA,
	DATA_PAGES = 64,
	AT_SCRATCH = AT_DATA + DATA_PAGES,
	ARENA_MIN = (AT_SCRATCH + 16) * PAGE,
};

struct ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	unsigned num;
	uint16_t next, seen; /* available and used index */
};

struct dev {
	const struct host *h;
	uint64_t base;
	uint32_t id; /* VIRTIO_ID_* */
	uint64_t offered;
	uint64_t capacity; /* sectors */
	uint64_t seed;
	unsigned n_rings;
	struct ring ring[RINGS];
};

/* ---- dev.c: a driver as it should be ---- */

uint32_t get(struct dev *d, unsigned off);
void set(struct dev *d, unsigned off, uint32_t value);
uint64_t page_gpa(const struct dev *d, unsigned page);
void *page_at(const struct dev *d, unsigned page);
uint64_t random64(struct dev *d);

/* Each is false when the device does not play along. */
bool dev_reset(struct dev *d);
bool dev_negotiate(struct dev *d, uint64_t without);
void ring_place(struct dev *d, unsigned q, unsigned num, uint64_t desc, uint64_t avail,
		uint64_t used);
bool ring_setup(struct dev *d, unsigned q, unsigned num);
/* From reset to DRIVER_OK with all that is offered but `without`. */
bool dev_start(struct dev *d, unsigned num, uint64_t without);

void desc_set(struct ring *r, unsigned i, uint64_t gpa, uint32_t len, uint16_t flags,
	      uint16_t next);
void ring_offer(struct ring *r, uint16_t head);
void ring_kick(struct dev *d, unsigned q);
/* Whether another used element came, in time. */
bool ring_used(struct dev *d, unsigned q, unsigned ms);
bool faulted(struct dev *d);
bool faulted_soon(struct dev *d);

/* The queue that is attacked, and a valid chain of three descriptors from 0 for it. */
unsigned main_queue(const struct dev *d);
void valid_chain(struct dev *d);
/* A request; its status, or -1. The data is at AT_DATA. */
int blk_request(struct dev *d, uint32_t type, uint64_t sector, uint32_t len, bool writable);
/* Find the device; false when the window is empty. */
bool dev_find(struct dev *d, const struct host *h, unsigned window);
/* Reset it and let it do something plain: NULL, or what went wrong. */
const char *dev_works(struct dev *d);

/* ---- attacks ---- */

struct attack {
	const char *name;
	uint32_t device; /* VIRTIO_ID_*, 0: any */
	const char *(*run)(struct dev *d); /* NULL, or what went wrong */
};

/* Each ends with a name that is NULL. */
extern const struct attack register_attacks[], area_attacks[], chain_attacks[], blk_attacks[],
	net_attacks[], storm_attacks[];

#endif
