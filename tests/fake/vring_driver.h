/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's side of a split virtqueue, for tests: a driver that keeps the rules, and
 * pointers to its areas for tests that break them. Addresses are guest-physical, and data
 * is in ram->bytes. Its mistakes abort.
 */
#ifndef TESTS_FAKE_VRING_DRIVER_H
#define TESTS_FAKE_VRING_DRIVER_H

#include <linux/virtio_ring.h>

#include "devices/virtqueue.h"
#include "tests/fake/ram_fake.h"

struct vring_seg {
	uint64_t at;
	uint32_t len;
	bool writable; /* by the device */
};

struct vring_driver {
	struct ram_fake *ram;
	struct virtq_layout where;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	bool event_idx;
	uint16_t avail_idx; /* where the next head goes */
	uint16_t told; /* avail_idx when it was last decided whether to notify */
	uint16_t used_idx; /* the next element to reap */
	unsigned n_free;
	uint16_t free; /* the first one */
	uint16_t next[VIRTQ_SIZE_MAX]; /* of each descriptor, in its chain or the free list */
};

/* How much RAM the areas need from an address that is a multiple of 16. */
uint64_t vring_bytes(unsigned num);

/* Put zeroed areas of a queue of `num` descriptors at `at`. */
void vring_driver_init(struct vring_driver *v, struct ram_fake *ram, uint64_t at, unsigned num,
		       bool event_idx);

/*
 * Make a chain of the segments and make it available: its head, or -ENOSPC when too few
 * descriptors are free. The indirect one takes one descriptor and puts its table at
 * `table`.
 */
int vring_add(struct vring_driver *v, const struct vring_seg *segs, unsigned n);
int vring_add_indirect(struct vring_driver *v, const struct vring_seg *segs, unsigned n,
		       uint64_t table);

/* Only the last step: an entry in the available ring, and its index. */
void vring_make_available(struct vring_driver *v, uint16_t head);

/* Whether the device wants to be notified of what was added since this was last asked. */
bool vring_wants_kick(struct vring_driver *v);

/* Take the next used element and free its chain. False when there is none. */
bool vring_reap(struct vring_driver *v, uint32_t *head, uint32_t *written);

/* Ask for an interrupt at the next used element, or for none. */
void vring_want_interrupt(struct vring_driver *v, bool on);

/* Fill in a descriptor, wherever it lies. */
void vring_set_desc(struct vring_desc *d, uint64_t at, uint32_t len, uint16_t flags,
		    uint16_t next);

#endif
