/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request asks for and what comes back, free of HTTP and JSON. api/ makes
 * actions out of requests; vmm/control.c carries them out and fills in the reply.
 */
#ifndef API_ACTION_H
#define API_ACTION_H

#include "vmm/lib/config.h"

enum action_kind {
	ACTION_GET_INSTANCE, /* GET / */
	ACTION_GET_VERSION,
	ACTION_GET_MACHINE_CONFIG,
	ACTION_PUT_MACHINE_CONFIG,
	ACTION_PATCH_MACHINE_CONFIG,
	ACTION_PUT_BOOT_SOURCE,
	ACTION_PUT_DRIVE,
	ACTION_PATCH_DRIVE,
	ACTION_PUT_NET,
	ACTION_PATCH_NET,
	ACTION_DELETE_DEVICE, /* a drive or an interface */
	ACTION_PUT_LOGGER,
	ACTION_PUT_METRICS,
	ACTION_PUT_SERIAL,
	ACTION_GET_VM_CONFIG,
	ACTION_INSTANCE_START,
	ACTION_SEND_CTRL_ALT_DEL,
	ACTION_FLUSH_METRICS,
	ACTION_PAUSE,
	ACTION_RESUME,
	/*
	 * What Firecracker has and Xenolith does not: at any time, before or after the start,
	 * and a device, which can be added before the start and, with PCI, after it.
	 */
	ACTION_ABSENT,
	ACTION_ABSENT_PRE,
	ACTION_ABSENT_POST,
	ACTION_ABSENT_DEVICE,
	ACTION_KINDS
};

struct action {
	enum action_kind kind;
	bool refused; /* in any case: where the state allows it, for the reason in `why` */
	struct err why;
	union {
		struct machine_update machine;
		struct boot_source boot;
		struct drive_config drive;
		struct drive_update drive_update;
		struct net_config net;
		struct net_update net_update;
		const char *absent; /* what is not there */
		struct logger_config logger;
		struct metrics_config metrics;
		struct serial_config serial;
	} u;
};

enum instance_state { INSTANCE_NOT_STARTED, INSTANCE_RUNNING, INSTANCE_PAUSED };

enum reply_kind {
	REPLY_NO_CONTENT, /* 204 */
	REPLY_FAULT, /* 400, `fault` */
	REPLY_INSTANCE, /* 200: id, state, version */
	REPLY_VERSION, /* 200: version */
	REPLY_MACHINE_CONFIG, /* 200: config->machine */
	REPLY_VM_CONFIG, /* 200: config */
};

struct reply {
	enum reply_kind kind;
	bool deprecated; /* add the Deprecation header */
	struct err fault;
	const char *id, *version; /* borrowed from the VM */
	enum instance_state state;
	const struct vm_config *config; /* borrowed from the VM */
};

/* Carries an action out at once; `ctx` as given to the server. */
typedef void (*action_handler)(void *ctx, const struct action *a, struct reply *r);

#endif
