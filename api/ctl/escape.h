/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is typed at a console, and how to leave it: Ctrl-] begins a command to us, of
 * one key. d detaches, q ends, Ctrl-] is sent to the guest, anything else is no command
 * and is not sent.
 */
#ifndef API_CTL_ESCAPE_H
#define API_CTL_ESCAPE_H

#include "vmm/lib/bytes.h"

#define ESCAPE_KEY 0x1d

enum escape_action { ESCAPE_NONE, ESCAPE_DETACH, ESCAPE_QUIT, ESCAPE_UNKNOWN };

struct escape {
	bool pending; /* Ctrl-] was typed */
};

/*
 * Take `n` bytes typed; those that are for the guest are moved to the front of `bytes`,
 * their number is put into `*keep`. What follows a command is dropped.
 */
enum escape_action escape_feed(struct escape *s, char *bytes, size_t n, size_t *keep);

#endif
