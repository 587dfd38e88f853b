/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The serial port's connection to the host when it is a terminal, or a Unix socket that
 * clients connect to.
 *
 * A socket has one client at a time: a new one takes over from the one before, so that
 * a console whose client hangs can always be reached. The socket belongs to its owner
 * alone (mode 0600). What the guest printed while nobody was connected, at most the
 * latest SERIAL_OUT_BYTES, is what the next client sees first.
 *
 * Input from the host: connections.
 */
#ifndef DEVICES_CONSOLE_H
#define DEVICES_CONSOLE_H

#include "devices/serial.h"
#include "vmm/lib/err.h"

struct console;

/*
 * A copy of one of our standard descriptors that fits serial.h: a terminal is opened once
 * more, non-blocking, so that those who share it notice nothing; where that is not allowed
 * the shared one becomes non-blocking. `access` is O_RDONLY or O_WRONLY. Before the
 * sandbox closes. A descriptor of the caller's, or -errno.
 */
MUST_CHECK int console_copy(int fd, int access);

/*
 * Create, bind and listen on the socket at `path`; before the sandbox closes. An existing
 * file at `path` is an error. Returns the descriptor or -errno with the reason.
 */
MUST_CHECK int console_listen(const char *path, struct err *e);

/*
 * Connect the clients of `fd` (taken over) to `serial` (borrowed for life). 0 or -ENOMEM;
 * on error `fd` stays the caller's.
 */
MUST_CHECK int console_create(struct console **out, struct loop *loop, int fd,
			      struct serial *serial);

/*
 * Closes all connections and the socket. No turn of the loop may follow, so flush the
 * serial port before this. NULL is allowed.
 */
void console_destroy(struct console *c);

#endif
