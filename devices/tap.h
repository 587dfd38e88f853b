/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tap interface of the host, by name: an existing one, or one that is created and then
 * lives as long as it is open. With IFF_VNET_HDR, non-blocking; several queues where the
 * interface is multi-queue.
 */
#ifndef DEVICES_TAP_H
#define DEVICES_TAP_H

#include <linux/if_tun.h>

#include "vmm/lib/err.h"

/* Linux 6.2; both or none. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define TAP_QUEUES_MAX 4

struct tap {
	unsigned n_queues;
	unsigned attached; /* the first ones; all after tap_open */
	int fds[TAP_QUEUES_MAX];
	unsigned offload_csum, offload_tso4, offload_tso6, offload_ufo,
		offload_uso; /* 1: TUNSETOFFLOAD takes it */
};

/*
 * Open up to `queues` queues: one on an interface that is not multi-queue. 0 or -errno; `e`
 * names the operation and the interface.
 */
MUST_CHECK int tap_open(struct tap **out, const char *name, unsigned queues, struct err *e);

/*
 * What the guest takes: TUN_F_* bits of <linux/if_tun.h>; and the length of its header. 0
 * or -errno.
 */
MUST_CHECK int tap_set_offloads(struct tap *t, unsigned tun_f);
MUST_CHECK int tap_set_header(struct tap *t, int bytes);

/*
 * Attach the first `active` (1..n_queues) queues and detach the others: the kernel spreads
 * packets over those that are attached, and gives none to the others. 0 or -errno.
 */
MUST_CHECK int tap_set_queues(struct tap *t, unsigned active);

/* Close and free. NULL is allowed. */
void tap_close(struct tap *t);

#endif
