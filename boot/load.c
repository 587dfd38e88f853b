/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a PVH guest.
 *
 * Input from files: kernel headers by way of elf_parse, and bytes that are copied to
 * the guest unseen.
 */
#include "boot/load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "boot/acpi.h"
#include "boot/elf.h"
#include "boot/file.h"
#include "boot/pvh.h"
#include "vmm/lib/layout.h"

/*
 * Bytes that go to the guest at once. Each piece costs a read and at least one
 * hypercall, so it should be large; it is read and copied at once, so it should stay
 * in the cache.
 */
#define LOAD_CHUNK ((size_t)(256 * KIB))

/* A load under way. */
struct loader {
	const struct gmem *m;
	struct elf_kernel kernel;
	uint8_t *chunk; /* LOAD_CHUNK bytes */
};

/* A part of a file, and where it goes. */
struct piece {
	uint64_t offset, len;
	uint64_t to;
};

/* Whether there is RAM beside the tables at all. */
static int check_ram(const struct gmem *m, struct err *e)
{
	if (m->low > LAYOUT_KERNEL_MIN)
		return 0;
	return err_set(e, -EINVAL, "%" PRIu64 " MiB of RAM: at least 2 are needed",
		       m->low / MIB);
}

static int copy_piece(const struct loader *l, int fd, struct piece p, struct err *e)
{
	size_t n;
	int rc;

	while (p.len > 0) {
		n = p.len < LOAD_CHUNK ? (size_t)p.len : LOAD_CHUNK;
		rc = file_read(fd, p.offset, l->chunk, n, e);
		if (rc != 0)
			return rc;
		rc = gmem_write(l->m, gpa(p.to), l->chunk, n);
		if (rc != 0)
			return err_set(e, rc, "copying %zu bytes to %#" PRIx64 ": %s", n, p.to,
				       strerror(-rc));
		p.offset += n;
		p.to += n;
		p.len -= n;
	}
	return 0;
}

static int load_kernel(struct loader *l, int fd, struct err *e)
{
	const struct elf_segment *s;
	int rc;

	rc = elf_parse(fd, l->m, &l->kernel, e);
	if (rc != 0)
		return rc;
	for (unsigned i = 0; i < l->kernel.n_segments; i++) {
		s = &l->kernel.segment[i];
		rc = copy_piece(l, fd, (struct piece){ s->offset, s->filesz, s->paddr }, e);
		if (rc != 0)
			return err_prefix(e, rc, "segment %u", s->index);
	}
	return 0;
}

/* At the end of RAM below the hole: what a kernel takes for itself is at the start. */
static int place_initrd(const struct loader *l, uint64_t len, uint64_t *at, struct err *e)
{
	const uint64_t low = l->m->low;
	const struct elf_segment *s;
	uint64_t to;

	if (len == 0)
		return err_set(e, -EINVAL, "the file is empty");
	if (len > low - LAYOUT_KERNEL_MIN)
		return err_set(e, -EINVAL,
			       "%" PRIu64 " bytes do not fit into %" PRIu64
			       " MiB of RAM, less the first",
			       len, low / MIB);
	to = align_down(low - len, PAGE_BYTES);
	s = elf_overlap(&l->kernel, to, len);
	if (s != NULL)
		return err_set(e, -EINVAL,
			       "%" PRIu64 " bytes do not fit into %" PRIu64
			       " MiB of RAM beside the kernel, whose segment %u"
			       " ends at %#" PRIx64,
			       len, low / MIB, s->index, s->paddr + s->memsz);
	*at = to;
	return 0;
}

static int load_initrd(const struct loader *l, int fd, struct boot_images *images,
		       struct err *e)
{
	uint64_t len, at = 0;
	int rc;

	rc = file_size(fd, &len, e);
	if (rc == 0)
		rc = place_initrd(l, len, &at, e);
	if (rc == 0)
		rc = copy_piece(l, fd, (struct piece){ 0, len, at }, e);
	if (rc != 0)
		return rc;
	images->initrd = gpa(at);
	images->initrd_len = len;
	return 0;
}

int boot_load_images(const struct gmem *m, int kernel_fd, int initrd_fd,
		     struct boot_images *out, struct err *e)
{
	struct loader l = { .m = m };
	struct boot_images images = { 0 };
	int rc;

	rc = check_ram(m, e);
	if (rc != 0)
		return rc;
	l.chunk = malloc(LOAD_CHUNK);
	if (l.chunk == NULL)
		return err_set(e, -ENOMEM, "no memory to load the kernel with");
	rc = load_kernel(&l, kernel_fd, e);
	if (rc != 0) {
		rc = err_prefix(e, rc, "kernel");
	} else if (initrd_fd >= 0) {
		rc = load_initrd(&l, initrd_fd, &images, e);
		if (rc != 0)
			rc = err_prefix(e, rc, "initrd");
	}
	free(l.chunk);
	if (rc != 0)
		return rc;
	images.entry = l.kernel.entry;
	*out = images;
	return 0;
}

static int put_table(const struct gmem *m, uint64_t at, const void *table, size_t len,
		     struct err *e)
{
	int rc = gmem_write(m, gpa(at), table, len);

	if (rc != 0)
		return err_set(e, rc, "writing %zu bytes of tables to %#" PRIx64 ": %s", len,
			       at, strerror(-rc));
	return 0;
}

int boot_load_tables(const struct gmem *m, const struct boot_images *images,
		     const struct boot_machine *machine, gpa_t *start_info, struct err *e)
{
	const size_t cmdline_len = strlen(machine->cmdline) + 1;
	struct acpi_tables acpi;
	struct pvh_tables pvh;
	int rc;

	if (cmdline_len > LAYOUT_CMDLINE_MAX)
		return err_set(e, -EINVAL, "command line: %zu bytes, more than %u",
			       cmdline_len - 1, LAYOUT_CMDLINE_MAX - 1);
	rc = check_ram(m, e);
	if (rc == 0)
		rc = acpi_build(&acpi, machine, e);
	if (rc != 0)
		return rc;
	pvh_build(&pvh, m, images);
	rc = put_table(m, LAYOUT_ACPI, acpi.bytes, acpi.len, e);
	if (rc == 0)
		rc = put_table(m, LAYOUT_CMDLINE, machine->cmdline, cmdline_len, e);
	if (rc == 0)
		rc = put_table(m, LAYOUT_START_INFO, &pvh, sizeof(pvh), e);
	if (rc == 0)
		*start_info = gpa(LAYOUT_START_INFO);
	return rc;
}
