/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consoles: see console.h. The serial port says when it has let go of a client's
 * descriptor; only then is it closed, so there may be more of them than the one in use.
 *
 * Input from the host: connections.
 */
#include "devices/console.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/lib/log.h"

/* One in use, one that waits until that one is released, and the newest. */
#define CLIENTS 3
/* How long to wait when a connection cannot be accepted for lack of something. */
#define RETRY_MS 1000

/* Opening this device anew would make another terminal (Linux, devices.txt). */
#define PTMX_MAJOR 5
#define PTMX_MINOR 2

struct client {
	int fd; /* -1: free */
};

struct console {
	struct loop *loop;
	struct serial *serial;
	int listen_fd;
	struct loop_op accept;
	struct loop_timer retry;
	struct client clients[CLIENTS];
};

/* ---- terminals ----------------------------------------------------------------- */

static int reopen(int fd, int access)
{
	char path[32];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (st.st_rdev == makedev(PTMX_MAJOR, PTMX_MINOR))
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int console_copy(int fd, int access)
{
	bool tty = isatty(fd);
	int copy = tty ? reopen(fd, access) : -1;
	int flags;

	if (copy >= 0)
		return copy;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return -errno;
	flags = fcntl(copy, F_GETFL);
	if (tty && fcntl(copy, F_SETFL, flags | O_NONBLOCK) < 0) {
		int error = errno;

		(void)close(copy);
		return -error;
	}
	return copy;
}

/* ---- the socket ---------------------------------------------------------------- */

static int bind_private(int fd, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	if (len == 0) /* Linux would choose an abstract name */
		return -ENOENT;
	memcpy(address.sun_path, path, len);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	/* Nobody can connect before listen. */
	if (chmod(path, S_IRUSR | S_IWUSR) < 0 || listen(fd, 1) < 0) {
		int error = errno;

		(void)unlink(path);
		return -error;
	}
	return 0;
}

int console_listen(const char *path, struct err *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = fd < 0 ? -errno : bind_private(fd, path);

	if (rc == 0)
		return fd;
	if (fd >= 0)
		(void)close(fd);
	return err_set(e, rc, "serial socket %s: %s", path, strerror(-rc));
}

/* ---- clients ------------------------------------------------------------------- */

static void client_released(void *ctx)
{
	struct client *client = ctx;

	(void)close(client->fd);
	client->fd = -1;
}

static struct client *free_client(struct console *c)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (c->clients[i].fd < 0)
			return &c->clients[i];
	return NULL;
}

static void connect_client(struct console *c, int fd)
{
	struct client *client = free_client(c);
	struct serial_backend backend = { fd, fd, client_released, client };

	if (!client) { /* cannot be: see CLIENTS */
		(void)close(fd);
		return;
	}
	client->fd = fd;
	log_debug("console", "client connected");
	serial_set_backend(c->serial, &backend);
}

static void accepted(struct loop_op *op, int res)
{
	struct console *c = CONTAINER_OF(op, struct console, accept);

	if (res >= 0) {
		connect_client(c, res);
	} else if (res != -ECONNABORTED && res != -EINTR) {
		/* A client waits in the queue: trying again at once would fail again. */
		log_warn("console", "accept: %s", strerror(-res));
		loop_timeout(c->loop, &c->retry, RETRY_MS);
		return;
	}
	loop_accept(c->loop, &c->accept, c->listen_fd);
}

static void retry_accept(struct loop_op *op, int res)
{
	struct console *c = CONTAINER_OF(op, struct console, retry.op);

	(void)res;
	loop_accept(c->loop, &c->accept, c->listen_fd);
}

int console_create(struct console **out, struct loop *loop, int fd, struct serial *serial)
{
	struct console *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->serial = serial;
	c->listen_fd = fd;
	c->accept.done = accepted;
	c->retry.op.done = retry_accept;
	for (unsigned i = 0; i < CLIENTS; i++)
		c->clients[i].fd = -1;
	loop_accept(loop, &c->accept, fd);
	*out = c;
	return 0;
}

void console_destroy(struct console *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < CLIENTS; i++)
		if (c->clients[i].fd >= 0)
			(void)close(c->clients[i].fd);
	(void)close(c->listen_fd);
	free(c);
}
