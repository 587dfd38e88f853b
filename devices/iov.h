/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of memory segments, as chains have them: a driver may cut a request into segments
 * wherever it likes (virtio 1.2 §2.7.4), so offsets here run over the whole list.
 *
 * Input from the guest: what the segments hold, which changes under the reader.
 */
#ifndef DEVICES_IOV_H
#define DEVICES_IOV_H

#include <sys/uio.h>

#include "vmm/lib/bytes.h"

/*
 * Copy [off, off + len) of the list to `dst`, each byte once, or `src` to there. Returns
 * how many bytes that were: less than `len` when the list ends before.
 */
size_t iov_read(const struct iovec *iov, unsigned n, size_t off, void *dst, size_t len);
size_t iov_write(const struct iovec *iov, unsigned n, size_t off, const void *src, size_t len);

/*
 * The segments that make up [off, off + len), which lies in the list, into out[0, max).
 * Returns how many they are; when that is more than `max`, out holds the first ones.
 */
unsigned iov_slice(const struct iovec *iov, unsigned n, size_t off, size_t len,
		   struct iovec *out, unsigned max);

/* Drop the first `bytes`, of those that there are, from the list. */
void iov_advance(struct iovec **iov, unsigned *n, size_t bytes);

#endif
