/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF64 kernels: System V ABI, chapters 4 and 5; notes as in
 * xen/include/public/elfnote.h.
 *
 * Input from files: ELF header, program headers, notes. Every number in them is any
 * number; sums are made with add_u64 or in a type that holds them.
 */
#include "boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>

#include "boot/file.h"
#include "vmm/lib/layout.h"

/* xen/include/public/elfnote.h; name "Xen", with its NUL. */
#define XEN_NOTE_NAME "Xen"
#define XEN_NOTE_PHYS32_ENTRY 18

/* Private copies of what the decisions are made on. */
struct source {
	int fd;
	uint64_t size;
	Elf64_Ehdr header;
	Elf64_Phdr program[ELF_SEGMENTS_MAX];
};

/* What is wrong with an ELF header; NULL: nothing. */
static const char *header_fault(const Elf64_Ehdr *h)
{
	if (memcmp(h->e_ident, "MZ", 2) == 0)
		return "not an ELF file (a bzImage? The uncompressed vmlinux is needed)";
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return "not an ELF file";
	if (h->e_ident[EI_CLASS] != ELFCLASS64)
		return "not a 64-bit ELF file";
	if (h->e_ident[EI_DATA] != ELFDATA2LSB)
		return "not a little-endian ELF file";
	if (h->e_machine != EM_X86_64)
		return "not for x86-64";
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return "not an executable: neither ET_EXEC nor ET_DYN";
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return "program headers are not 56 bytes each";
	return NULL;
}

static int read_headers(struct source *s, struct err *e)
{
	const Elf64_Ehdr *h = &s->header;
	const char *fault;
	uint64_t end;
	size_t len;
	int rc;

	if (s->size < sizeof(*h))
		return err_set(e, -EINVAL, "truncated: %" PRIu64 " bytes, no ELF header",
			       s->size);
	rc = file_read(s->fd, 0, &s->header, sizeof(s->header), e);
	if (rc != 0)
		return rc;
	fault = header_fault(h);
	if (fault != NULL)
		return err_set(e, -EINVAL, "%s", fault);
	if (h->e_phnum > ELF_SEGMENTS_MAX)
		return err_set(e, -EINVAL, "%u program headers, more than %u", h->e_phnum,
			       ELF_SEGMENTS_MAX);
	len = h->e_phnum * sizeof(Elf64_Phdr);
	if (!add_u64(h->e_phoff, len, &end) || end > s->size)
		return err_set(e, -EINVAL,
			       "truncated: program headers at %#" PRIx64
			       " in a file of %" PRIu64 " bytes",
			       h->e_phoff, s->size);
	return file_read(s->fd, h->e_phoff, s->program, len, e);
}

/* Whether a program header's data lies in the file. */
static int check_data(const struct source *s, unsigned i, struct err *e)
{
	const Elf64_Phdr *p = &s->program[i];
	uint64_t end;

	if (!add_u64(p->p_offset, p->p_filesz, &end) || end > s->size)
		return err_set(e, -EINVAL,
			       "segment %u: truncated: %#" PRIx64 " bytes at %#" PRIx64
			       " in a file of %#" PRIx64,
			       i, p->p_filesz, p->p_offset, s->size);
	return 0;
}

/* Whether a PT_LOAD's memory is the guest's, and where a kernel may be. */
static int check_memory(const struct gmem *m, unsigned i, const Elf64_Phdr *p, struct err *e)
{
	uint64_t end;

	if (p->p_filesz > p->p_memsz)
		return err_set(e, -EINVAL,
			       "segment %u: %#" PRIx64 " bytes in the file for %#" PRIx64
			       " in memory",
			       i, p->p_filesz, p->p_memsz);
	if (!add_u64(p->p_paddr, p->p_memsz, &end))
		return err_set(e, -EINVAL,
			       "segment %u: %#" PRIx64 " bytes at %#" PRIx64
			       " wrap around 2^64",
			       i, p->p_memsz, p->p_paddr);
	if (p->p_paddr < LAYOUT_KERNEL_MIN)
		return err_set(e, -EINVAL, "segment %u: at %#" PRIx64 ", below %#x", i,
			       p->p_paddr, LAYOUT_KERNEL_MIN);
	if (!gmem_contains(m, gpa(p->p_paddr), p->p_memsz))
		return err_set(e, -EINVAL,
			       "segment %u: %#" PRIx64 "..%#" PRIx64 " is outside the %" PRIu64
			       " MiB of RAM",
			       i, p->p_paddr, end, (m->low + m->high) / MIB);
	return 0;
}

const struct elf_segment *elf_overlap(const struct elf_kernel *k, uint64_t at, uint64_t len)
{
	const struct elf_segment *s;

	for (unsigned i = 0; i < k->n_segments; i++) {
		s = &k->segment[i];
		/* Differences, which cannot wrap, in place of ends. */
		if (at < s->paddr ? s->paddr - at < len : at - s->paddr < s->memsz)
			return s;
	}
	return NULL;
}

static int add_segment(const struct source *s, const struct gmem *m, unsigned i,
		       struct elf_kernel *k, struct err *e)
{
	const Elf64_Phdr *p = &s->program[i];
	const struct elf_segment *other;
	int rc;

	rc = check_data(s, i, e);
	if (rc == 0)
		rc = check_memory(m, i, p, e);
	if (rc != 0 || p->p_memsz == 0)
		return rc;
	other = elf_overlap(k, p->p_paddr, p->p_memsz);
	if (other != NULL)
		return err_set(e, -EINVAL, "segments %u and %u overlap at %#" PRIx64,
			       other->index, i,
			       other->paddr > p->p_paddr ? other->paddr : p->p_paddr);
	k->segment[k->n_segments++] = (struct elf_segment){
		.index = i,
		.offset = p->p_offset,
		.filesz = p->p_filesz,
		.paddr = p->p_paddr,
		.memsz = p->p_memsz,
	};
	return 0;
}

static int collect_segments(const struct source *s, const struct gmem *m, struct elf_kernel *k,
			    struct err *e)
{
	int rc;

	for (unsigned i = 0; i < s->header.e_phnum; i++) {
		if (s->program[i].p_type != PT_LOAD)
			continue;
		rc = add_segment(s, m, i, k, e);
		if (rc != 0)
			return rc;
	}
	if (k->n_segments == 0)
		return err_set(e, -EINVAL, "no segment to load");
	return 0;
}

struct note {
	Elf64_Nhdr header;
	const uint8_t *name, *desc; /* n_namesz and n_descsz bytes */
};

/*
 * Take the note at `*at`, which has room for a header, and step over it; name and
 * descriptor are padded to `align`. False when the note is longer than its segment.
 */
static bool next_note(const uint8_t *notes, size_t len, size_t align, size_t *at,
		      struct note *n)
{
	uint64_t desc, end;

	memcpy(&n->header, notes + *at, sizeof(n->header));
	/* 32-bit numbers, added in 64 bits: no wrap. */
	desc = *at + align_up(sizeof(n->header) + (uint64_t)n->header.n_namesz, align);
	end = desc + n->header.n_descsz;
	if (end > len)
		return false;
	n->name = notes + *at + sizeof(n->header);
	n->desc = notes + desc;
	*at = min_size(align_up(end, align), len);
	return true;
}

static bool is_entry_note(const struct note *n)
{
	return n->header.n_type == XEN_NOTE_PHYS32_ENTRY &&
	       n->header.n_namesz == sizeof(XEN_NOTE_NAME) &&
	       memcmp(n->name, XEN_NOTE_NAME, sizeof(XEN_NOTE_NAME)) == 0;
}

static int read_entry(const struct note *n, uint32_t *entry, struct err *e)
{
	uint64_t v = 0;

	if (n->header.n_descsz != 4 && n->header.n_descsz != 8)
		return err_set(e, -EINVAL, "PHYS32_ENTRY note: %u bytes in place of 4 or 8",
			       n->header.n_descsz);
	memcpy(&v, n->desc, n->header.n_descsz);
	if (v > UINT32_MAX)
		return err_set(e, -EINVAL, "entry %#" PRIx64 " is above 4 GiB", v);
	*entry = (uint32_t)v;
	return 0;
}

/* Look through the notes of one segment. 1 found, 0 not there, -errno. */
static int search_notes(const struct source *s, unsigned i, uint32_t *entry, struct err *e)
{
	const Elf64_Phdr *p = &s->program[i];
	const size_t align = p->p_align == 8 ? 8 : 4;
	uint8_t notes[ELF_NOTES_MAX];
	struct note n;
	size_t at = 0;
	int rc;

	rc = check_data(s, i, e);
	if (rc != 0)
		return rc;
	if (p->p_filesz > sizeof(notes))
		return err_set(e, -EINVAL,
			       "segment %u: %" PRIu64 " bytes of notes, more than %u", i,
			       p->p_filesz, ELF_NOTES_MAX);
	rc = file_read(s->fd, p->p_offset, notes, p->p_filesz, e);
	if (rc != 0)
		return rc;
	while (p->p_filesz - at >= sizeof(n.header)) {
		if (!next_note(notes, p->p_filesz, align, &at, &n))
			return err_set(e, -EINVAL, "segment %u: a note is longer than it", i);
		if (!is_entry_note(&n))
			continue;
		rc = read_entry(&n, entry, e);
		return rc == 0 ? 1 : rc;
	}
	return 0;
}

static int find_entry(const struct source *s, uint32_t *entry, struct err *e)
{
	int rc;

	for (unsigned i = 0; i < s->header.e_phnum; i++) {
		if (s->program[i].p_type != PT_NOTE)
			continue;
		rc = search_notes(s, i, entry, e);
		if (rc != 0)
			return rc < 0 ? rc : 0;
	}
	return err_set(e, -EINVAL,
		       "no Xen PHYS32_ENTRY note: not a PVH kernel (CONFIG_PVH in Linux)");
}

int elf_parse(int fd, const struct gmem *m, struct elf_kernel *out, struct err *e)
{
	struct source s = { .fd = fd };
	struct elf_kernel k = { 0 };
	int rc;

	rc = file_size(fd, &s.size, e);
	if (rc == 0)
		rc = read_headers(&s, e);
	if (rc == 0)
		rc = collect_segments(&s, m, &k, e);
	if (rc == 0)
		rc = find_entry(&s, &k.entry, e);
	if (rc != 0)
		return rc;
	if (elf_overlap(&k, k.entry, 1) == NULL)
		return err_set(e, -EINVAL, "entry %#x is in no segment", k.entry);
	*out = k;
	return 0;
}
