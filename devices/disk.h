/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is behind a block device: a regular file or a block device of the host, raw, opened
 * once. Knows sizes, alignments and what the file system can do; requests go through the
 * loop, by virtio_blk.c.
 */
#ifndef DEVICES_DISK_H
#define DEVICES_DISK_H

#include "vmm/lib/err.h"
#include "vmm/lib/loop.h"

#define DISK_SECTOR 512

struct disk {
	int fd;
	bool read_only;
	bool direct; /* O_DIRECT: through a bounce pool */
	bool block_device;
	/* size; a rest below a sector is not reachable, with a warning in the log */
	uint64_t bytes;
	/* logical, bytes: 512 for files, what the device says otherwise, and no less than what
	 * O_DIRECT asks for */
	uint32_t block_size;
	uint32_t physical_block_size; /* bytes */
	uint32_t direct_align; /* bytes: what O_DIRECT asks of offsets, lengths and memory */
	bool can_discard, can_write_zeroes; /* fallocate(2) punches holes, zeroes ranges here */

	/* Of virtio_blk.c: */
	loop_file_t file; /* of its loop */
	unsigned in_flight; /* requests */
	struct loop_op last; /* the flush before it is closed */
	struct virtio_blk *owner;
	struct disk *next;
};

struct disk_options {
	bool read_only;
	bool direct;
};

/*
 * Open what is at `path`. Neither a FIFO nor a directory, terminal or socket is accepted; a
 * file of zero bytes is. With O_DIRECT the size must be a multiple of the block size. 0 or
 * -errno; `e` holds strerror's text with "(os error N)" and the path, as Firecracker words it:
 * "No such file or directory (os error 2) PATH", and a reason of ours after it where that
 * says too little.
 */
MUST_CHECK int disk_open(struct disk **out, const char *path, const struct disk_options *o,
			 struct err *e);

/* Look at its size again. 0 or -errno, and the old one stays. */
MUST_CHECK int disk_rescan(struct disk *d);

/* Close and free. NULL is allowed. It is in no loop any more. */
void disk_close(struct disk *d);

#endif
