/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small PVH kernel for tests: a file with every part that elf_parse looks at, which
 * a test spoils before it writes it out.
 */
#ifndef TESTS_FAKE_KERNEL_FAKE_H
#define TESTS_FAKE_KERNEL_FAKE_H

#include <elf.h>

#include "vmm/lib/bytes.h"

#define KERNEL_FAKE_TEXT 0x1000000 /* where it goes; its data follow at once */
#define KERNEL_FAKE_ENTRY (KERNEL_FAKE_TEXT + 0x10)
#define KERNEL_FAKE_BSS 0x3000

struct kernel_note {
	Elf64_Nhdr header;
	char name[4]; /* "Xen" */
	uint8_t desc[8];
};

struct kernel_fake {
	Elf64_Ehdr header;
	Elf64_Phdr program[3]; /* text, data and BSS, notes */
	uint8_t text[64];
	uint8_t data[32];
	struct kernel_note other, entry; /* a note of another type first */
};

enum { KERNEL_TEXT, KERNEL_DATA, KERNEL_NOTES };

/* A kernel that is in order. */
void kernel_fake_init(struct kernel_fake *k);

/* The first `size` bytes of it as an anonymous file. Aborts when there is none. */
int kernel_fake_fd(const struct kernel_fake *k, size_t size);

/* Any bytes as an anonymous file. */
int bytes_fd(const void *bytes, size_t len);

#endif
