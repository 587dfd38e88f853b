/* SPDX-License-Identifier: Apache-2.0 */
/* boot/elf: what is a kernel, and what exactly is wrong with what is none. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "boot/elf.h"
#include "boot/file.h"
#include "tests/fake/kernel_fake.h"

#define RAM (32 * MIB)
#define ALL sizeof(struct kernel_fake)

static int parse_fd(int fd, uint64_t ram, struct elf_kernel *out, struct err *e)
{
	struct gmem m;
	int rc;

	gmem_init(&m, ram, NULL, NULL); /* parsing touches no memory */
	rc = elf_parse(fd, &m, out, e);
	close(fd);
	return rc;
}

static int parse(const struct kernel_fake *k, size_t size, struct elf_kernel *out,
		 struct err *e)
{
	return parse_fd(kernel_fake_fd(k, size), RAM, out, e);
}

/* ---- what is refused -------------------------------------------------------- */

static void spoil_magic(struct kernel_fake *k)
{
	k->header.e_ident[1] = 'e';
}
static void make_bzimage(struct kernel_fake *k)
{
	memcpy(k->header.e_ident, "MZ", 2);
}
static void make_32_bit(struct kernel_fake *k)
{
	k->header.e_ident[EI_CLASS] = ELFCLASS32;
}
static void make_big_endian(struct kernel_fake *k)
{
	k->header.e_ident[EI_DATA] = ELFDATA2MSB;
}
static void make_arm(struct kernel_fake *k)
{
	k->header.e_machine = EM_AARCH64;
}
static void make_object(struct kernel_fake *k)
{
	k->header.e_type = ET_REL;
}
static void spoil_phentsize(struct kernel_fake *k)
{
	k->header.e_phentsize = 32;
}
static void many_headers(struct kernel_fake *k)
{
	k->header.e_phnum = 10000;
}
static void one_header_too_many(struct kernel_fake *k)
{
	k->header.e_phnum = ELF_SEGMENTS_MAX + 1;
}
static void headers_beyond_end(struct kernel_fake *k)
{
	k->header.e_phoff = ALL - 10;
}
static void headers_wrap(struct kernel_fake *k)
{
	k->header.e_phoff = UINT64_MAX - 8;
}
static void no_load(struct kernel_fake *k)
{
	k->program[KERNEL_TEXT].p_type = PT_NULL;
	k->program[KERNEL_DATA].p_type = PT_NULL;
}
static void no_headers(struct kernel_fake *k)
{
	k->header.e_phnum = 0;
}
static void data_wraps(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_offset = UINT64_MAX - 8;
}
static void data_beyond_end(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_offset = ALL - 31;
}
static void more_file_than_memory(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_memsz = 31;
}
static void memory_wraps(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_paddr = UINT64_MAX - 0xfff;
}
static void below_1_mib(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_paddr = MIB - 1;
}
static void beyond_ram(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_paddr = RAM - KERNEL_FAKE_BSS + 1;
}
static void overlap(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_paddr -= 1;
}
static void overlap_from_below(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_paddr = KERNEL_FAKE_TEXT - KERNEL_FAKE_BSS + 1;
}
static void overlap_around(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_paddr = KERNEL_FAKE_TEXT - 0x100;
}
static void no_notes(struct kernel_fake *k)
{
	k->program[KERNEL_NOTES].p_type = PT_NULL;
}
static void other_type(struct kernel_fake *k)
{
	k->entry.header.n_type = 17;
}
static void other_name(struct kernel_fake *k)
{
	memcpy(k->entry.name, "GNU", 4);
}
static void name_without_end(struct kernel_fake *k)
{
	k->entry.header.n_namesz = 3;
}
static void notes_beyond_end(struct kernel_fake *k)
{
	k->program[KERNEL_NOTES].p_offset += 1;
}
static void notes_wrap(struct kernel_fake *k)
{
	k->program[KERNEL_NOTES].p_offset = UINT64_MAX - 8;
}
static void huge_name(struct kernel_fake *k)
{
	k->other.header.n_namesz = UINT32_MAX;
}
static void huge_desc(struct kernel_fake *k)
{
	k->other.header.n_descsz = UINT32_MAX;
}
static void huge_both(struct kernel_fake *k)
{
	k->other.header.n_namesz = UINT32_MAX;
	k->other.header.n_descsz = UINT32_MAX;
}
static void desc_one_too_long(struct kernel_fake *k)
{
	k->entry.header.n_descsz = 9;
}
static void desc_of_5(struct kernel_fake *k)
{
	k->entry.header.n_descsz = 5;
}
static void desc_of_0(struct kernel_fake *k)
{
	k->entry.header.n_descsz = 0;
}
static void entry_above_4_gib(struct kernel_fake *k)
{
	put_le64(k->entry.desc, 4 * GIB + KERNEL_FAKE_ENTRY);
}
static void entry_before_text(struct kernel_fake *k)
{
	put_le64(k->entry.desc, KERNEL_FAKE_TEXT - 1);
}
static void entry_after_bss(struct kernel_fake *k)
{
	put_le64(k->entry.desc, KERNEL_FAKE_TEXT + sizeof(k->text) + KERNEL_FAKE_BSS);
}

struct refusal {
	const char *name;
	void (*spoil)(struct kernel_fake *k);
	size_t size;
	const char *reason;
};

#define NO_NOTE "no Xen PHYS32_ENTRY note: not a PVH kernel (CONFIG_PVH in Linux)"

static struct refusal refusals[] = {
	{ "refuses_empty_file", NULL, 0, "truncated: 0 bytes, no ELF header" },
	{ "refuses_truncated_elf_header", NULL, 63, "truncated: 63 bytes, no ELF header" },
	{ "refuses_other_file", spoil_magic, ALL, "not an ELF file" },
	{ "refuses_bzimage", make_bzimage, ALL,
	  "not an ELF file (a bzImage? The uncompressed vmlinux is needed)" },
	{ "refuses_32_bit", make_32_bit, ALL, "not a 64-bit ELF file" },
	{ "refuses_big_endian", make_big_endian, ALL, "not a little-endian ELF file" },
	{ "refuses_other_machine", make_arm, ALL, "not for x86-64" },
	{ "refuses_object_file", make_object, ALL,
	  "not an executable: neither ET_EXEC nor ET_DYN" },
	{ "refuses_other_phentsize", spoil_phentsize, ALL,
	  "program headers are not 56 bytes each" },
	{ "refuses_10000_program_headers", many_headers, ALL,
	  "10000 program headers, more than 64" },
	{ "refuses_65_program_headers", one_header_too_many, ALL,
	  "65 program headers, more than 64" },
	{ "refuses_truncated_program_headers", NULL, 231,
	  "truncated: program headers at 0x40 in a file of 231 bytes" },
	{ "refuses_program_headers_beyond_end", headers_beyond_end, ALL,
	  "truncated: program headers at 0x16e in a file of 376 bytes" },
	{ "refuses_program_headers_that_wrap", headers_wrap, ALL,
	  "truncated: program headers at 0xfffffffffffffff7 in a file of 376 bytes" },
	{ "refuses_no_program_headers", no_headers, ALL, "no segment to load" },
	{ "refuses_nothing_to_load", no_load, ALL, "no segment to load" },
	{ "refuses_truncated_segment", NULL, 327,
	  "segment 1: truncated: 0x20 bytes at 0x128 in a file of 0x147" },
	{ "refuses_segment_data_that_wraps", data_wraps, ALL,
	  "segment 1: truncated: 0x20 bytes at 0xfffffffffffffff7 in a file of 0x178" },
	{ "refuses_segment_data_beyond_end", data_beyond_end, ALL,
	  "segment 1: truncated: 0x20 bytes at 0x159 in a file of 0x178" },
	{ "refuses_more_in_file_than_in_memory", more_file_than_memory, ALL,
	  "segment 1: 0x20 bytes in the file for 0x1f in memory" },
	{ "refuses_segment_that_wraps", memory_wraps, ALL,
	  "segment 1: 0x3000 bytes at 0xfffffffffffff000 wrap around 2^64" },
	{ "refuses_segment_below_1_mib", below_1_mib, ALL,
	  "segment 1: at 0xfffff, below 0x100000" },
	{ "refuses_segment_beyond_ram", beyond_ram, ALL,
	  "segment 1: 0x1ffd001..0x2000001 is outside the 32 MiB of RAM" },
	{ "refuses_overlap", overlap, ALL, "segments 0 and 1 overlap at 0x100003f" },
	{ "refuses_overlap_from_below", overlap_from_below, ALL,
	  "segments 0 and 1 overlap at 0x1000000" },
	{ "refuses_overlap_around", overlap_around, ALL,
	  "segments 0 and 1 overlap at 0x1000000" },
	{ "refuses_no_notes", no_notes, ALL, NO_NOTE },
	{ "refuses_notes_of_other_types", other_type, ALL, NO_NOTE },
	{ "refuses_notes_of_other_names", other_name, ALL, NO_NOTE },
	{ "refuses_note_name_without_end", name_without_end, ALL, NO_NOTE },
	{ "refuses_notes_beyond_end", notes_beyond_end, ALL,
	  "segment 2: truncated: 0x30 bytes at 0x149 in a file of 0x178" },
	{ "refuses_notes_that_wrap", notes_wrap, ALL,
	  "segment 2: truncated: 0x30 bytes at 0xfffffffffffffff7 in a file of 0x178" },
	{ "refuses_note_with_huge_name", huge_name, ALL,
	  "segment 2: a note is longer than it" },
	{ "refuses_note_with_huge_descriptor", huge_desc, ALL,
	  "segment 2: a note is longer than it" },
	{ "refuses_note_with_huge_parts", huge_both, ALL,
	  "segment 2: a note is longer than it" },
	{ "refuses_note_one_byte_too_long", desc_one_too_long, ALL,
	  "segment 2: a note is longer than it" },
	{ "refuses_descriptor_of_5_bytes", desc_of_5, ALL,
	  "PHYS32_ENTRY note: 5 bytes in place of 4 or 8" },
	{ "refuses_empty_descriptor", desc_of_0, ALL,
	  "PHYS32_ENTRY note: 0 bytes in place of 4 or 8" },
	{ "refuses_entry_above_4_gib", entry_above_4_gib, ALL,
	  "entry 0x101000010 is above 4 GiB" },
	{ "refuses_entry_before_segments", entry_before_text, ALL,
	  "entry 0xffffff is in no segment" },
	{ "refuses_entry_after_segments", entry_after_bss, ALL,
	  "entry 0x1003040 is in no segment" },
};

static void refuses(void **state)
{
	const struct refusal *r = *state;
	struct elf_kernel out = { .entry = 77 };
	struct kernel_fake k;
	struct err e;

	kernel_fake_init(&k);
	if (r->spoil != NULL)
		r->spoil(&k);
	assert_int_equal(parse(&k, r->size, &out, &e), -EINVAL);
	assert_string_equal(e.text, r->reason);
	assert_int_equal(out.entry, 77);
}

static void refuses_long_notes(void **state)
{
	struct {
		struct kernel_fake k;
		uint8_t rest[ELF_NOTES_MAX];
	} big = { 0 };
	Elf64_Phdr *notes = &big.k.program[KERNEL_NOTES];
	struct elf_kernel out;
	struct err e;

	kernel_fake_init(&big.k);
	notes->p_filesz = ELF_NOTES_MAX;
	assert_int_equal(parse_fd(bytes_fd(&big, sizeof(big)), RAM, &out, &e), 0);
	notes->p_filesz = ELF_NOTES_MAX + 1;
	assert_int_equal(parse_fd(bytes_fd(&big, sizeof(big)), RAM, &out, &e), -EINVAL);
	assert_string_equal(e.text, "segment 2: 16385 bytes of notes, more than 16384");
}

static void refuses_directory(void **state)
{
	struct elf_kernel out;
	struct err e;

	assert_int_equal(parse_fd(open("/", O_RDONLY), RAM, &out, &e), -EINVAL);
	assert_string_equal(e.text, "not a regular file");
}

static void refuses_fifo(void **state)
{
	struct elf_kernel out;
	struct err e;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(parse_fd(fds[0], RAM, &out, &e), -EINVAL);
	assert_string_equal(e.text, "not a regular file");
	close(fds[1]);
}

static void reports_bad_descriptor(void **state)
{
	struct elf_kernel out;
	struct err e;

	assert_int_equal(parse_fd(-1, RAM, &out, &e), -EBADF);
	assert_string_equal(e.text, "cannot be examined: Bad file descriptor");
}

static void reports_descriptor_that_cannot_be_read(void **state)
{
	struct elf_kernel out;
	struct kernel_fake k;
	char path[64];
	struct err e;
	int fd;

	kernel_fake_init(&k);
	fd = kernel_fake_fd(&k, ALL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(parse_fd(open(path, O_WRONLY), RAM, &out, &e), -EBADF);
	assert_string_equal(e.text, "reading at 0: Bad file descriptor");
	close(fd);
}

static void read_reports_file_that_shrank(void **state)
{
	int fd = bytes_fd("12345678", 8);
	uint8_t bytes[8];
	uint64_t size;
	struct err e;

	assert_int_equal(file_size(fd, &size, &e), 0);
	assert_int_equal(ftruncate(fd, 5), 0);
	assert_int_equal(file_read(fd, 0, bytes, size, &e), -EIO);
	assert_string_equal(e.text, "ends at 0x5 now: it shrank");
	close(fd);
}

/* ---- reads that fail or stop early ------------------------------------------ */

static struct {
	unsigned at; /* the read that goes wrong, from 1; 0: none */
	int error; /* its errno; 0: it is cut to one byte */
	unsigned reads;
} broken;

ssize_t __real_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at);

ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at)
{
	if (++broken.reads != broken.at)
		return __real_pread(fd, buf, len, at);
	if (broken.error == 0)
		return __real_pread(fd, buf, 1, at);
	errno = broken.error;
	return -1;
}

/* Parse a good kernel while read number `at` goes wrong; the number of reads. */
static unsigned parse_broken(unsigned at, int error, int expect)
{
	struct elf_kernel out;
	struct kernel_fake k;
	struct err e;
	int rc;

	kernel_fake_init(&k);
	broken.at = at;
	broken.error = error;
	broken.reads = 0;
	rc = parse(&k, ALL, &out, &e);
	broken.at = 0;
	assert_int_equal(rc, expect);
	return broken.reads;
}

static void reports_any_read_that_fails(void **state)
{
	/* ELF header, program headers, notes: each is read once. */
	assert_int_equal(parse_broken(0, 0, 0), 3);
	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(parse_broken(i, EIO, -EIO), i);
}

static void continues_reads_that_stop_early(void **state)
{
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(parse_broken(i, EINTR, 0), 4);
		assert_int_equal(parse_broken(i, 0, 0), 4);
	}
}

/* ---- what is accepted ------------------------------------------------------- */

static void change_nothing(struct kernel_fake *k)
{
	(void)k;
}
static void make_dyn(struct kernel_fake *k)
{
	k->header.e_type = ET_DYN;
}
static void desc_of_4(struct kernel_fake *k)
{
	k->entry.header.n_descsz = 4;
	put_le32(k->entry.desc + 4, UINT32_MAX); /* not part of it */
}
static void notes_end_with_desc_of_4(struct kernel_fake *k)
{
	k->entry.header.n_descsz = 4;
	k->program[KERNEL_NOTES].p_filesz -= 4;
}
static void notes_have_a_rest(struct kernel_fake *k)
{
	/* The entry's note first, then 11 bytes that are no note. */
	k->other = k->entry;
	k->program[KERNEL_NOTES].p_filesz = sizeof(k->other) + 11;
}
static void notes_aligned_to_8(struct kernel_fake *k)
{
	static const char gnu[] = "GNU\0\0"; /* 5 bytes, so 4 would find another place */
	uint8_t *n = k->text;

	/* 12 + 5 -> 24, 4 -> 32: the entry's header; its descriptor at 48. */
	k->program[KERNEL_NOTES].p_align = 8;
	k->program[KERNEL_NOTES].p_offset = offsetof(struct kernel_fake, text);
	k->program[KERNEL_NOTES].p_filesz = 56;
	memset(n, 0, sizeof(k->text));
	memcpy(n, &(Elf64_Nhdr){ 5, 4, 3 }, 12);
	memcpy(n + 12, gnu, 5);
	memcpy(n + 32, &(Elf64_Nhdr){ 4, 8, 18 }, 12);
	memcpy(n + 44, "Xen", 4);
	put_le64(n + 48, KERNEL_FAKE_ENTRY);
}
static void entry_in_second_notes(struct kernel_fake *k)
{
	k->program[KERNEL_DATA] = k->program[KERNEL_NOTES];
	k->program[KERNEL_DATA].p_filesz = sizeof(k->other);
	k->program[KERNEL_NOTES].p_offset += sizeof(k->other);
	k->program[KERNEL_NOTES].p_filesz = sizeof(k->entry);
}
static void up_to_end_of_ram(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_paddr = RAM - KERNEL_FAKE_BSS;
}
static void from_1_mib(struct kernel_fake *k)
{
	k->program[KERNEL_DATA].p_paddr = MIB;
}

static struct refusal acceptances[] = {
	{ "accepts_exec", change_nothing, 2, NULL },
	{ "accepts_dyn", make_dyn, 2, NULL },
	{ "accepts_descriptor_of_4_bytes", desc_of_4, 2, NULL },
	{ "accepts_descriptor_of_4_bytes_at_end", notes_end_with_desc_of_4, 2, NULL },
	{ "accepts_rest_that_is_no_note", notes_have_a_rest, 2, NULL },
	{ "accepts_notes_aligned_to_8", notes_aligned_to_8, 2, NULL },
	{ "accepts_entry_in_second_notes", entry_in_second_notes, 1, NULL },
	{ "accepts_segment_up_to_end_of_ram", up_to_end_of_ram, 2, NULL },
	{ "accepts_segment_from_1_mib", from_1_mib, 2, NULL },
};

static void accepts(void **state)
{
	const struct refusal *r = *state;
	struct err e = { "" };
	struct elf_kernel out;
	struct kernel_fake k;

	kernel_fake_init(&k);
	r->spoil(&k);
	assert_int_equal(parse(&k, ALL, &out, &e), 0);
	assert_string_equal(e.text, "");
	assert_int_equal(out.entry, KERNEL_FAKE_ENTRY);
	assert_int_equal(out.n_segments, r->size);
}

static void reports_segments(void **state)
{
	const struct elf_segment *s;
	struct elf_kernel out;
	struct kernel_fake k;
	struct err e;

	kernel_fake_init(&k);
	k.program[KERNEL_TEXT].p_memsz = 0; /* nothing to load: left out */
	k.program[KERNEL_TEXT].p_filesz = 0;
	put_le64(k.entry.desc, KERNEL_FAKE_TEXT + 64 + KERNEL_FAKE_BSS - 1);
	assert_int_equal(parse(&k, ALL, &out, &e), 0);
	assert_int_equal(out.n_segments, 1);
	s = &out.segment[0];
	assert_int_equal(s->index, 1);
	assert_int_equal(s->offset, offsetof(struct kernel_fake, data));
	assert_int_equal(s->filesz, 32);
	assert_int_equal(s->paddr, KERNEL_FAKE_TEXT + 64);
	assert_int_equal(s->memsz, KERNEL_FAKE_BSS);
}

static void accepts_64_program_headers(void **state)
{
	struct {
		struct kernel_fake k;
		Elf64_Phdr program[ELF_SEGMENTS_MAX];
	} big = { 0 };
	struct elf_kernel out;
	struct err e;

	kernel_fake_init(&big.k);
	memcpy(big.program, big.k.program, sizeof(big.k.program));
	for (unsigned i = 3; i < ELF_SEGMENTS_MAX; i++) {
		big.program[i] = big.k.program[KERNEL_TEXT];
		big.program[i].p_paddr = MIB + i * PAGE_BYTES;
	}
	big.k.header.e_phoff = sizeof(big.k);
	big.k.header.e_phnum = ELF_SEGMENTS_MAX;
	assert_int_equal(parse_fd(bytes_fd(&big, sizeof(big)), RAM, &out, &e), 0);
	assert_int_equal(out.n_segments, 63);
}

static void ram_has_a_hole(void **state)
{
	struct elf_kernel out;
	struct kernel_fake k;
	struct err e;

	kernel_fake_init(&k);
	k.program[KERNEL_DATA].p_paddr = 4 * GIB;
	assert_int_equal(parse_fd(kernel_fake_fd(&k, ALL), 4 * GIB, &out, &e), 0);
	k.program[KERNEL_DATA].p_paddr = 3 * GIB;
	assert_int_equal(parse_fd(kernel_fake_fd(&k, ALL), 4 * GIB, &out, &e), -EINVAL);
	assert_string_equal(e.text, "segment 1: 0xc0000000..0xc0003000 is outside"
				    " the 4096 MiB of RAM");
}

static void overlap_finds_segment(void **state)
{
	const struct elf_kernel k = {
		.n_segments = 2,
		.segment = { { .paddr = 100, .memsz = 10 }, { .paddr = 200, .memsz = 10 } },
	};

	assert_null(elf_overlap(&k, 90, 10));
	assert_null(elf_overlap(&k, 110, 90));
	assert_null(elf_overlap(&k, 210, UINT64_MAX));
	assert_ptr_equal(elf_overlap(&k, 90, 11), &k.segment[0]);
	assert_ptr_equal(elf_overlap(&k, 109, 1), &k.segment[0]);
	assert_ptr_equal(elf_overlap(&k, 0, UINT64_MAX), &k.segment[0]);
	assert_ptr_equal(elf_overlap(&k, 110, 91), &k.segment[1]);
	assert_ptr_equal(elf_overlap(&k, 205, UINT64_MAX), &k.segment[1]);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(refuses_long_notes),
		cmocka_unit_test(refuses_directory),
		cmocka_unit_test(refuses_fifo),
		cmocka_unit_test(reports_bad_descriptor),
		cmocka_unit_test(reports_descriptor_that_cannot_be_read),
		cmocka_unit_test(read_reports_file_that_shrank),
		cmocka_unit_test(reports_any_read_that_fails),
		cmocka_unit_test(continues_reads_that_stop_early),
		cmocka_unit_test(reports_segments),
		cmocka_unit_test(accepts_64_program_headers),
		cmocka_unit_test(ram_has_a_hole),
		cmocka_unit_test(overlap_finds_segment),
	};
	struct CMUnitTest tests[ARRAY_SIZE(refusals) + ARRAY_SIZE(acceptances) +
				ARRAY_SIZE(others)] = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		tests[n++] = (struct CMUnitTest){ refusals[i].name, refuses, NULL, NULL,
						  &refusals[i] };
	for (size_t i = 0; i < ARRAY_SIZE(acceptances); i++)
		tests[n++] = (struct CMUnitTest){ acceptances[i].name, accepts, NULL, NULL,
						  &acceptances[i] };
	memcpy(tests + n, others, sizeof(others));
	return cmocka_run_group_tests_name("elf", tests, NULL, NULL);
}
