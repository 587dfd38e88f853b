/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF64 kernels for the PVH entry: what has to be copied where, and where to start.
 *
 * Input from files: the whole of it is untrusted. Headers and notes are read once into
 * private memory and checked there; what comes out describes only memory that the
 * guest has, from 1 MiB upwards, and data that the file had when it was looked at.
 */
#ifndef BOOT_ELF_H
#define BOOT_ELF_H

#include "vmm/lib/err.h"
#include "vmm/lib/gmem.h"

/* More program headers than this are refused; Linux has five. */
#define ELF_SEGMENTS_MAX 64

/* Bytes of notes in one PT_NOTE segment; Linux has some 500. */
#define ELF_NOTES_MAX 16384

/* A PT_LOAD segment with memory. */
struct elf_segment {
	unsigned index; /* of its program header, for messages */
	uint64_t offset, filesz; /* in the file */
	uint64_t paddr, memsz; /* in guest memory; filesz <= memsz */
};

struct elf_kernel {
	uint32_t entry; /* XEN_ELFNOTE_PHYS32_ENTRY, inside one of the segments */
	unsigned n_segments; /* at least 1; no two of them overlap in memory */
	struct elf_segment segment[ELF_SEGMENTS_MAX];
};

/*
 * Parse the kernel behind `fd` for a guest with the RAM of `m` (of which nothing is
 * touched). 0, or -EINVAL (-errno when reading fails) with the part that is wrong and
 * why. Physical addresses are taken as they are, in ET_DYN files too.
 */
MUST_CHECK int elf_parse(int fd, const struct gmem *m, struct elf_kernel *out, struct err *e);

/* The first segment that shares memory with [at, at + len), or NULL. */
const struct elf_segment *elf_overlap(const struct elf_kernel *k, uint64_t at, uint64_t len);

#endif
