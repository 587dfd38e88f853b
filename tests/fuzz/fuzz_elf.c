/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz boot/elf and the copying behind it: any file is refused with a reason, or what
 * is loaded lies in RAM from 1 MiB up and the entry is inside it.
 */
#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

#include "boot/elf.h"
#include "boot/load.h"
#include "vmm/lib/layout.h"

#define RAM (32 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int ram_read(void *ctx, gpa_t at, void *dst, size_t len)
{
	(void)ctx, (void)at;
	memset(dst, 0, len);
	return 0;
}

/* Look at every byte, so that the sanitizers see where it comes from. */
static int ram_write(void *ctx, gpa_t at, const void *src, size_t len)
{
	const uint8_t *bytes = src;
	unsigned *sum = ctx;

	assert(at.v >= LAYOUT_KERNEL_MIN && at.v + len <= RAM);
	for (size_t i = 0; i < len; i++)
		*sum += bytes[i];
	return 0;
}

static const struct gmem_ops ram_ops = { .read = ram_read, .write = ram_write };

static void check(const struct elf_kernel *k)
{
	const struct elf_segment *s;
	bool inside = false;

	assert(k->n_segments >= 1 && k->n_segments <= ELF_SEGMENTS_MAX);
	for (unsigned i = 0; i < k->n_segments; i++) {
		s = &k->segment[i];
		assert(s->filesz <= s->memsz && s->paddr + s->memsz <= RAM);
		inside = inside || (k->entry >= s->paddr && k->entry < s->paddr + s->memsz);
	}
	assert(inside);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	struct err e = { "" };
	struct boot_images images;
	struct elf_kernel k;
	unsigned sum = 0;
	struct gmem m;
	int rc;

	if (fd < 0)
		fd = memfd_create("kernel", MFD_CLOEXEC);
	if (ftruncate(fd, 0) != 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
		return 0;
	gmem_init(&m, RAM, &ram_ops, &sum);
	rc = elf_parse(fd, &m, &k, &e);
	assert((rc == 0) == (e.text[0] == '\0'));
	if (rc == 0) {
		check(&k);
		rc = boot_load_images(&m, fd, -1, &images, &e);
		assert(rc == 0 && images.entry == k.entry);
	}
	return 0;
}
