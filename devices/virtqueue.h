/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split virtqueue (virtio 1.2 §2.7), device side, and the only code that walks
 * descriptors. Indirect descriptors (§2.7.5.3) and VIRTIO_F_EVENT_IDX (§2.7.7, §2.7.10) are
 * served when negotiated.
 *
 * Input from the guest: the three areas, and everything in them, at any time. Each field
 * is read once, into private memory, before it is looked at; what the device wrote it
 * never reads back. A driver that breaks the rules gets -EPROTO, with the reason in
 * `fault`: the caller makes DEVICE_NEEDS_RESET of it (virtio_fault).
 */
#ifndef DEVICES_VIRTQUEUE_H
#define DEVICES_VIRTQUEUE_H

#include <sys/uio.h>

#include "vmm/lib/gmem.h"

/* QueueNumMax. A chain has no more descriptors than its queue (§2.7.5.3.1). */
#define VIRTQ_SIZE_MAX 256
#define VIRTQ_SEGS_MAX VIRTQ_SIZE_MAX

/* Where the driver put the areas, as it wrote them into the registers. */
struct virtq_layout {
	uint32_t num;
	gpa_t desc, avail, used;
};

/*
 * A descriptor chain that was taken. iov[0, n_out) is device-readable, iov[n_out, n_out +
 * n_in) device-writable, all of it inside `view`. Headers must be copied out, once, before they
 * are looked at. No segment is empty; both lengths together are below 4 GiB.
 */
struct virtq_chain {
	uint16_t head;
	unsigned n_out, n_in;
	uint32_t out_len, in_len; /* bytes */
	struct gmem_view *view; /* a reference; virtqueue_push gives it back */
	struct iovec iov[VIRTQ_SEGS_MAX];
};

struct virtq_counts {
	uint64_t chains; /* taken */
	uint64_t notifications; /* QueueNotify writes or doorbells; counted by virtio.c */
	uint64_t interrupts_wanted; /* virtqueue_wants_interrupt said yes */
};

/* Private to virtqueue.c, but for `fault` and `counts`. Zero-initialise. */
struct virtqueue {
	struct gmem *gmem;
	struct gmem_view *view; /* holds the areas; NULL: not ready */
	const void *desc;
	const void *avail;
	void *used;
	uint16_t num;
	bool event_idx, indirect;
	bool notify_off; /* we said that we need no notification */
	uint16_t next_avail; /* the next entry of the available ring to take */
	uint16_t next_used; /* where the next used element goes */
	uint16_t published; /* the used index that the driver sees */
	uint16_t signalled; /* the used index when an interrupt was last decided upon */
	unsigned in_flight; /* chains taken and not pushed */
	uint64_t busy[VIRTQ_SIZE_MAX / 64]; /* their heads */
	const char *fault; /* why a call returned -EPROTO; static text */
	struct virtq_counts counts;
};

/*
 * Make the queue ready. The size must be a power of two from 1 to VIRTQ_SIZE_MAX; the areas
 * must be aligned (§2.7: 16, 2, 4), lie in RAM as a whole and not overlap each other.
 * `event_idx` and `indirect`: what was negotiated. 0; -EPROTO with `fault` set, the queue
 * stays not ready; -ENOMEM. Not on a queue that is ready.
 */
MUST_CHECK int virtqueue_start(struct virtqueue *q, struct gmem *m,
			       const struct virtq_layout *where, bool event_idx, bool indirect);

/* Not ready any more; nothing is in flight. Allowed on a queue that is not ready. */
void virtqueue_stop(struct virtqueue *q);

static inline bool virtqueue_ready(const struct virtqueue *q)
{
	return q->view != NULL;
}

/*
 * Take the next chain: 1, 0 when there is none, or -EPROTO on an index that runs ahead by
 * more than the queue's size, a head out of range or in flight, a `next` out of range, a
 * loop, a chain that is longer than the queue, an empty segment, memory that is not RAM, a
 * readable segment after a writable one, an indirect descriptor that was not negotiated, is
 * nested, has NEXT set too, or whose table is empty or no multiple of 16 bytes, or longer
 * than the queue (§2.7.5). `c` is meaningful only after 1.
 */
MUST_CHECK int virtqueue_pop(struct virtqueue *q, struct virtq_chain *c);

/* How many chains are there to take, by what the driver says now: unchecked, a hint. */
unsigned virtqueue_waiting(const struct virtqueue *q);

/*
 * Give a chain back, of whose device-writable part the first `written` bytes were written.
 * The driver sees it after virtqueue_publish.
 */
void virtqueue_push(struct virtqueue *q, uint16_t head, struct gmem_view *view,
		    uint32_t written);

/* Let the driver see what was pushed (§2.7.8): a release store, which pairs with the
 * driver's barrier after it has read used.idx. */
void virtqueue_publish(struct virtqueue *q);

/*
 * Whether the driver wants an interrupt for what was published since it was last asked
 * (§2.7.7). After virtqueue_publish; contains the full barrier between writing used.idx and
 * reading what the driver wants.
 */
MUST_CHECK bool virtqueue_wants_interrupt(struct virtqueue *q);

/*
 * Tell the driver that it need not notify (a hint), or that it must (§2.7.10). On returns
 * true when chains have become available meanwhile, so that the caller must look once more: no
 * notification comes for those.
 */
void virtqueue_notify_off(struct virtqueue *q);
MUST_CHECK bool virtqueue_notify_on(struct virtqueue *q);

#endif
