/* SPDX-License-Identifier: Apache-2.0 */
/* A small PVH kernel for tests: see kernel_fake.h. */
#include "tests/fake/kernel_fake.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define AT(member) offsetof(struct kernel_fake, member)

static Elf64_Phdr load(uint64_t offset, uint64_t filesz, uint64_t paddr, uint64_t memsz)
{
	return (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = offset,
		.p_vaddr = paddr,
		.p_paddr = paddr,
		.p_filesz = filesz,
		.p_memsz = memsz,
	};
}

static struct kernel_note note(uint32_t type)
{
	return (struct kernel_note){
		.header = { .n_namesz = 4, .n_descsz = 8, .n_type = type },
		.name = "Xen",
	};
}

void kernel_fake_init(struct kernel_fake *k)
{
	memset(k, 0, sizeof(*k));
	memcpy(k->header.e_ident, ELFMAG, SELFMAG);
	k->header.e_ident[EI_CLASS] = ELFCLASS64;
	k->header.e_ident[EI_DATA] = ELFDATA2LSB;
	k->header.e_ident[EI_VERSION] = EV_CURRENT;
	k->header.e_type = ET_EXEC;
	k->header.e_machine = EM_X86_64;
	k->header.e_phoff = AT(program);
	k->header.e_phentsize = sizeof(Elf64_Phdr);
	k->header.e_phnum = ARRAY_SIZE(k->program);
	k->program[KERNEL_TEXT] =
		load(AT(text), sizeof(k->text), KERNEL_FAKE_TEXT, sizeof(k->text));
	k->program[KERNEL_DATA] = load(AT(data), sizeof(k->data),
				       KERNEL_FAKE_TEXT + sizeof(k->text), KERNEL_FAKE_BSS);
	k->program[KERNEL_NOTES] = load(AT(other), 2 * sizeof(struct kernel_note), 0, 0);
	k->program[KERNEL_NOTES].p_type = PT_NOTE;
	k->program[KERNEL_NOTES].p_align = 4;
	memset(k->text, 0x90, sizeof(k->text));
	memset(k->data, 'd', sizeof(k->data));
	k->other = note(6);
	k->entry = note(18);
	put_le64(k->entry.desc, KERNEL_FAKE_ENTRY);
}

int bytes_fd(const void *bytes, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (fd < 0 || pwrite(fd, bytes, len, 0) != (ssize_t)len)
		abort();
	return fd;
}

int kernel_fake_fd(const struct kernel_fake *k, size_t size)
{
	return bytes_fd(k, size);
}
