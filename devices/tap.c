/* SPDX-License-Identifier: Apache-2.0 */
/* Tap interfaces: see tap.h. */
#include "devices/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define TAP_FLAGS (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)

/*
 * One more queue of the interface. `req` names it, and afterwards holds the name that the
 * kernel chose for one with %d in it.
 */
static int open_queue(struct ifreq *req, int flags)
{
	int rc, fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	req->ifr_flags = (short)flags;
	if (ioctl(fd, TUNSETIFF, req) == 0)
		return fd;
	rc = -errno;
	(void)close(fd);
	return rc;
}

/*
 * An existing interface wants IFF_MULTI_QUEUE exactly when it was created with it, and
 * says nothing but EINVAL; one that is to be created takes what comes first.
 */
static int open_queues(struct tap *t, struct ifreq *req, unsigned queues)
{
	const int multi = TAP_FLAGS | IFF_MULTI_QUEUE;
	int flags = queues > 1 ? multi : TAP_FLAGS;
	int fd = open_queue(req, flags);

	if (fd == -EINVAL) {
		flags = queues > 1 ? TAP_FLAGS : multi;
		fd = open_queue(req, flags);
	}
	if (fd < 0)
		return fd;
	t->fds[t->n_queues++] = fd;
	while (flags == multi && t->n_queues < queues) {
		fd = open_queue(req, flags);
		if (fd < 0)
			return fd;
		t->fds[t->n_queues++] = fd;
	}
	return 0;
}

static bool takes(const struct tap *t, unsigned tun_f)
{
	return ioctl(t->fds[0], TUNSETOFFLOAD, (unsigned long)tun_f) == 0;
}

static void probe_offloads(struct tap *t)
{
	t->offload_csum = takes(t, TUN_F_CSUM);
	t->offload_tso4 = takes(t, TUN_F_CSUM | TUN_F_TSO4);
	t->offload_tso6 = takes(t, TUN_F_CSUM | TUN_F_TSO6);
	t->offload_ufo = takes(t, TUN_F_CSUM | TUN_F_UFO);
	t->offload_uso = takes(t, TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6);
}

static const char *reason(int rc)
{
	switch (-rc) {
	case EINVAL:
		return "not a tap interface";
	case EBUSY:
		return "in use by another process";
	default:
		return strerror(-rc);
	}
}

int tap_open(struct tap **out, const char *name, unsigned queues, struct err *e)
{
	struct ifreq req = { 0 };
	struct tap *t;
	int rc;

	if (name[0] == '\0' || strlen(name) >= sizeof(req.ifr_name))
		return err_set(e, -EINVAL, "tap %s: the name has no or too many characters",
			       name);
	memcpy(req.ifr_name, name, strlen(name));
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, -ENOMEM, "tap %s: %s", name, strerror(ENOMEM));
	rc = open_queues(t, &req, queues < TAP_QUEUES_MAX ? queues : TAP_QUEUES_MAX);
	if (rc < 0) {
		(void)err_set(e, rc, "tap %s: cannot be opened: %s", name, reason(rc));
		tap_close(t);
		return rc;
	}
	t->attached = t->n_queues;
	probe_offloads(t);
	rc = tap_set_offloads(t, 0);
	if (rc < 0) {
		(void)err_set(e, rc, "tap %s: offloads: %s", name, strerror(-rc));
		tap_close(t);
		return rc;
	}
	*out = t;
	return 0;
}

int tap_set_offloads(struct tap *t, unsigned tun_f)
{
	return takes(t, tun_f) ? 0 : -errno;
}

int tap_set_header(struct tap *t, int bytes)
{
	return ioctl(t->fds[0], TUNSETVNETHDRSZ, &bytes) == 0 ? 0 : -errno;
}

static int attach(int fd, bool yes)
{
	struct ifreq req = { 0 };

	req.ifr_flags = yes ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE;
	return ioctl(fd, TUNSETQUEUE, &req) == 0 ? 0 : -errno;
}

int tap_set_queues(struct tap *t, unsigned active)
{
	int rc;

	for (; t->attached < active; t->attached++) {
		rc = attach(t->fds[t->attached], true);
		if (rc < 0)
			return rc;
	}
	for (; t->attached > active; t->attached--) {
		rc = attach(t->fds[t->attached - 1], false);
		if (rc < 0)
			return rc;
	}
	return 0;
}

void tap_close(struct tap *t)
{
	if (!t)
		return;
	for (unsigned i = 0; i < t->n_queues; i++)
		(void)close(t->fds[i]);
	free(t);
}
