/* SPDX-License-Identifier: Apache-2.0 */
/* Guest RAM for tests: a struct gmem in a memfd, with a record of what is done to it. */
#ifndef TESTS_FAKE_RAM_FAKE_H
#define TESTS_FAKE_RAM_FAKE_H

#include "vmm/lib/gmem.h"

struct ram_fake {
	struct gmem gmem;
	uint8_t *bytes; /* gmem.low of them */
	int fd; /* where they are */
	uint64_t hole, hole_bytes; /* pages that cannot be mapped */
	unsigned maps; /* calls */
	uint64_t written; /* bytes, all writes together */
	size_t largest; /* write */
	unsigned writes;
	unsigned fail_write; /* the n-th write fails with -EIO; 0: none does */
	void (*on_write)(void *ctx); /* called before each write, unless NULL */
	void *on_write_ctx;
};

/* `size` bytes of zeroes, at most 3 GiB. Aborts when there is no memory. */
void ram_fake_init(struct ram_fake *r, uint64_t size);

/* Free the bytes; the struct is the caller's. No view is in use. */
void ram_fake_free(struct ram_fake *r);

#endif
