/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fake domain's memory: RAM in a memfd, so that it can be mapped a second time
 * elsewhere, as a foreign mapping is; and register pages, which the guest reads without
 * anybody being asked.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fake/hv_fake_priv.h"
#include "vmm/lib/layout.h"

/* ---- RAM ---- */

/* What lies in RAM as a whole lies in one of the two pieces: gmem checked. */
static uint8_t *host(const struct hv_fake *f, gpa_t at)
{
	return at.v >= GMEM_HOLE_END ? f->high + (at.v - GMEM_HOLE_END) : f->low + at.v;
}

/* The high piece follows the low one in the file. */
static uint64_t file_offset(const struct hv_fake *f, gpa_t at)
{
	return at.v >= GMEM_HOLE_END ? f->ram.low + (at.v - GMEM_HOLE_END) : at.v;
}

static bool given_back(const struct hv_fake *f, uint64_t first, uint64_t last)
{
	for (unsigned i = 0; i < f->n_given; i++)
		if (f->given[i] <= last && f->given[i] + PAGE_BYTES > first)
			return true;
	return false;
}

static int check(struct hv_fake *f, enum fake_op op, gpa_t at, size_t len)
{
	int rc = fake_call(f, op);

	if (rc == 0 && !gmem_contains(&f->ram, at, len))
		rc = -EFAULT;
	if (rc == 0 && len && given_back(f, at.v, at.v + len - 1))
		rc = -ENXIO;
	return rc;
}

int fake_mem_read(void *ctx, gpa_t at, void *dst, size_t len)
{
	struct hv_fake *f = ctx;
	int rc = check(f, FAKE_MEM_READ, at, len);

	if (rc == 0 && len)
		memcpy(dst, host(f, at), len);
	return rc;
}

int fake_mem_write(void *ctx, gpa_t at, const void *src, size_t len)
{
	struct hv_fake *f = ctx;
	int rc = check(f, FAKE_MEM_WRITE, at, len);

	if (rc == 0 && len)
		memcpy(host(f, at), src, len);
	return rc;
}

/* As privcmd does it: what was there before is gone, and so is a page that is not there. */
int fake_mem_map(void *ctx, gpa_t at, void *to, unsigned pages, bool *there)
{
	struct hv_fake *f = ctx;
	int rc = fake_call(f, FAKE_MAP);
	unsigned good = 0;

	if (at.v % PAGE_BYTES || (uintptr_t)to % PAGE_BYTES || pages < 1) {
		fprintf(stderr, "fake hypervisor: map %#llx %u\n", (unsigned long long)at.v,
			pages);
		abort();
	}
	if (rc == 0 && !gmem_contains(&f->ram, at, pages * PAGE_BYTES))
		rc = -EFAULT;
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < pages; i++) {
		uint64_t page = at.v + i * PAGE_BYTES;

		there[i] = !given_back(f, page, page);

		if (mmap((uint8_t *)to + i * PAGE_BYTES, PAGE_BYTES,
			 there[i] ? PROT_READ | PROT_WRITE : PROT_NONE, MAP_SHARED | MAP_FIXED,
			 f->ram_fd, (off_t)file_offset(f, gpa(page))) == MAP_FAILED)
			return -errno;
		good += there[i];
	}
	f->counts.pages_mapped += good;
	return good ? 0 : -EINVAL;
}

/* The guest's own accesses are not calls of the monitor: not counted, never failing. */
static int own_read(void *ctx, gpa_t at, void *dst, size_t len)
{
	memcpy(dst, host(ctx, at), len);
	return 0;
}

static int own_write(void *ctx, gpa_t at, const void *src, size_t len)
{
	memcpy(host(ctx, at), src, len);
	return 0;
}

static const struct gmem_ops own_mem = { .read = own_read, .write = own_write };

static uint8_t *map_ram(int fd, uint64_t offset, uint64_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
			(off_t)offset);

	return at == MAP_FAILED ? NULL : at;
}

int fake_ram_open(struct hv_fake *f)
{
	gmem_init(&f->ram, 0, &own_mem, f);
	f->ram_fd = memfd_create("fake-ram", MFD_CLOEXEC);
	return f->ram_fd < 0 ? -errno : 0;
}

int fake_ram_make(struct hv_fake *f, uint64_t size)
{
	gmem_init(&f->ram, size, &own_mem, f);
	if (ftruncate(f->ram_fd, (off_t)size) < 0)
		return -ENOMEM;
	f->low = map_ram(f->ram_fd, 0, f->ram.low);
	if (f->ram.high)
		f->high = map_ram(f->ram_fd, f->ram.low, f->ram.high);
	return f->low && (f->high || !f->ram.high) ? 0 : -ENOMEM;
}

void fake_ram_free(struct hv_fake *f)
{
	if (f->low)
		munmap(f->low, f->ram.low);
	if (f->high)
		munmap(f->high, f->ram.high);
	if (f->pages)
		munmap(f->pages, f->n_pages * PAGE_BYTES);
	f->low = f->high = f->pages = NULL;
	/* What is still mapped somewhere must not be touched any more. */
	if (ftruncate(f->ram_fd, 0) < 0)
		abort();
	f->n_pages = f->n_given = 0;
	gmem_init(&f->ram, 0, &own_mem, f);
}

void fake_ram_give_back(struct hv_fake *f, gpa_t at)
{
	if (at.v % PAGE_BYTES || !gmem_contains(&f->ram, at, PAGE_BYTES) ||
	    f->n_given == FAKE_GIVEN_MAX) {
		fprintf(stderr, "fake hypervisor: no page at %#llx to give back\n",
			(unsigned long long)at.v);
		abort();
	}
	f->given[f->n_given++] = at.v;
}

/* ---- register pages ---- */

static bool registered(const struct hv_fake *f, uint64_t first, uint64_t last)
{
	for (unsigned i = 0; i < f->n_ranges; i++)
		if (f->ranges[i].space == HV_MMIO && first >= f->ranges[i].first &&
		    last <= f->ranges[i].last)
			return true;
	return false;
}

int fake_pages_make(struct hv_fake *f, gpa_t at, unsigned n, struct err *e)
{
	uint64_t bytes = n * PAGE_BYTES;
	void *host_pages;

	if (n < 1 || n > HV_PAGES_MAX || at.v % PAGE_BYTES || at.v < LAYOUT_VIRTIO ||
	    at.v - LAYOUT_VIRTIO > LAYOUT_VIRTIO_MAX * LAYOUT_VIRTIO_WINDOW - bytes ||
	    !registered(f, at.v, at.v + bytes - 1))
		return err_set(e, -EINVAL, "keeper: %u register pages at %#llx", n,
			       (unsigned long long)at.v);
	host_pages =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (host_pages == MAP_FAILED)
		return err_set(e, -ENOMEM, "fake pages: %s", strerror(ENOMEM));
	f->pages = host_pages;
	f->pages_at = at.v;
	f->n_pages = n;
	return 0;
}

const uint8_t *fake_pages_find(const struct hv_fake *f, uint64_t first, uint64_t last)
{
	if (!f->pages || first < f->pages_at || last < first ||
	    last >= f->pages_at + f->n_pages * PAGE_BYTES)
		return NULL;
	return f->pages + (first - f->pages_at);
}

/* REP MOVS out of a page: each element goes to where the next one belongs. */
static void read_indirect(const struct hv_fake *f, const struct hv_io *io)
{
	uint64_t step = io->backwards ? 0 - (uint64_t)io->size : io->size;
	uint64_t from = io->addr, to = io->data;

	for (uint32_t i = 0; i < io->count; i++, from += step, to += step)
		if (gmem_write(&f->ram, gpa(to), f->pages + (from - f->pages_at), io->size) < 0)
			return;
}

bool fake_pages_read(struct hv_fake *f, struct hv_io *io, uint64_t first, uint64_t last)
{
	const uint8_t *at = fake_pages_find(f, first, last);

	if (!at || io->write || io->space != HV_MMIO)
		return false;
	f->page_reads++;
	if (io->indirect) {
		read_indirect(f, io);
		return true;
	}
	io->data = 0;
	memcpy(&io->data, at, io->size);
	return true;
}
