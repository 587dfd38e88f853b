/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small helpers on numbers and bytes that every layer uses: overflow-checked
 * arithmetic, rounding, and unaligned little-endian stores for tables that a
 * guest reads (ACPI, start_info).
 */
#ifndef VMM_LIB_BYTES_H
#define VMM_LIB_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define PAGE_BYTES UINT64_C(4096)

/* *out = a + b; false (and *out untouched) when that wraps around 2^64. */
static inline MUST_CHECK bool add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*out = sum;
	return true;
}

/* Round down to a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t to)
{
	return v & ~(to - 1);
}

/* Round up to a power of two; the caller knows that v + to does not wrap. */
static inline uint64_t align_up(uint64_t v, uint64_t to)
{
	return align_down(v + to - 1, to);
}

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Little-endian stores at any alignment. */
static inline void put_le16(void *at, uint16_t v)
{
	memcpy(at, &v, sizeof(v));
}

static inline void put_le32(void *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

static inline void put_le64(void *at, uint64_t v)
{
	memcpy(at, &v, sizeof(v));
}

#endif
