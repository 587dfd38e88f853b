/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that leave a console: see escape.h. */
#include "api/ctl/escape.h"

static enum escape_action command(char key)
{
	switch (key) {
	case 'd':
		return ESCAPE_DETACH;
	case 'q':
		return ESCAPE_QUIT;
	default:
		return ESCAPE_UNKNOWN;
	}
}

enum escape_action escape_feed(struct escape *s, char *bytes, size_t n, size_t *keep)
{
	size_t out = 0;

	*keep = 0;
	for (size_t i = 0; i < n; i++) {
		if (!s->pending && bytes[i] == ESCAPE_KEY) {
			s->pending = true;
		} else if (s->pending && bytes[i] != ESCAPE_KEY) {
			s->pending = false;
			*keep = out;
			return command(bytes[i]);
		} else {
			s->pending = false;
			bytes[out++] = bytes[i];
		}
	}
	*keep = out;
	return ESCAPE_NONE;
}
