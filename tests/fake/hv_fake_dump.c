/* SPDX-License-Identifier: Apache-2.0 */
/* The summary that a test reads when the monitor has ended: README.md lists its keys. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fake/hv_fake_priv.h"

#define START_INFO_CMDLINE 24 /* offset of cmdline_paddr in hvm_start_info */
#define START_INFO_BYTES 4096
#define DUMP_MAX (1u << 20)

static const char *space_name(enum hv_space space)
{
	return space == HV_PIO ? "pio" : "mmio";
}

static void dump_string(FILE *out, const char *s, size_t len)
{
	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c < ' ' || c > '~' || c == '"' || c == '\\')
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* Hexadecimal, or null where there is neither RAM nor a register page. */
static void dump_hex(FILE *out, const struct hv_fake *f, uint64_t at, uint64_t len)
{
	const uint8_t *page = fake_pages_find(f, at, at + len - 1);
	uint8_t *bytes;

	if (len > DUMP_MAX || (!page && !gmem_contains(&f->ram, gpa(at), len))) {
		fputs("null", out);
		return;
	}
	bytes = malloc(len + 1);
	if (!bytes)
		abort();
	if (page)
		memcpy(bytes, page, len);
	else if (gmem_read(&f->ram, gpa(at), bytes, len) < 0)
		abort();
	fputc('"', out);
	for (uint64_t i = 0; i < len; i++)
		fprintf(out, "%02x", bytes[i]);
	fputc('"', out);
	free(bytes);
}

static void dump_calls(FILE *out, const struct hv_fake *f)
{
	fputs(",\n\"calls\": {", out);
	for (unsigned i = 0; i < FAKE_OPS; i++)
		fprintf(out, "%s\"%s\": %llu", i ? ", " : "", fake_op_names[i],
			(unsigned long long)f->calls[i]);
	fputc('}', out);
}

static void dump_domain(FILE *out, const struct hv_fake *f)
{
	static const char *const states[] = { "shell", "shaped", "running", "paused", "ended" };

	fprintf(out, "\"state\": \"%s\",\n\"end\": ", states[f->state]);
	if (f->ending)
		dump_string(out, f->ending, strlen(f->ending));
	else
		fputs("null", out);
	fputs(",\n\"shape\": ", out);
	if (hv_fake_shape(&f->hv))
		fprintf(out, "{\"vcpus\": %u, \"ram\": %llu}", f->shape.vcpus,
			(unsigned long long)f->shape.ram);
	else
		fputs("null", out);
	fputs(",\n\"ranges\": [", out);
	for (unsigned i = 0; i < f->n_ranges; i++)
		fprintf(out, "%s{\"space\": \"%s\", \"first\": %llu, \"last\": %llu}",
			i ? ", " : "", space_name(f->ranges[i].space),
			(unsigned long long)f->ranges[i].first,
			(unsigned long long)f->ranges[i].last);
	fputs("],\n\"pages\": ", out);
	if (f->pages)
		fprintf(out, "{\"first\": %llu, \"n\": %u}", (unsigned long long)f->pages_at,
			f->n_pages);
	else
		fputs("null", out);
}

static void dump_entry(FILE *out, struct hv_fake *f)
{
	uint64_t at = f->entry.start_info.v, cmdline = 0;
	char text[4096] = { 0 };

	if (!hv_fake_entry(&f->hv)) {
		fputs(",\n\"entry\": null, \"start_info\": null, \"cmdline\": null", out);
		return;
	}
	fprintf(out, ",\n\"entry\": {\"ip\": %u, \"start_info\": %llu},\n\"start_info\": ",
		f->entry.ip, (unsigned long long)at);
	dump_hex(out, f, at, START_INFO_BYTES);
	fputs(",\n\"cmdline\": ", out);
	if (gmem_read(&f->ram, gpa(at + START_INFO_CMDLINE), &cmdline, sizeof(cmdline)) < 0 ||
	    gmem_read(&f->ram, gpa(cmdline), text, sizeof(text) - 1) < 0)
		fputs("null", out);
	else
		dump_string(out, text, strlen(text));
}

static void dump_io(FILE *out, const struct hv_fake *f)
{
	uint64_t total = f->counts.ioreqs + f->unclaimed;
	const char *comma = "";

	fputs(",\n\"pulses\": {", out);
	for (unsigned i = 0; i < HV_FAKE_GSIS; i++) {
		if (!f->pulses[i])
			continue;
		fprintf(out, "%s\"%u\": %llu", comma, i, (unsigned long long)f->pulses[i]);
		comma = ", ";
	}
	fprintf(out,
		"},\n\"ios\": %llu, \"unclaimed\": %llu, \"page_reads\": %llu, "
		"\"rings\": %llu, \"silent\": %llu, \"held\": %u,\n\"log\": [",
		(unsigned long long)f->counts.ioreqs, (unsigned long long)f->unclaimed,
		(unsigned long long)f->page_reads, (unsigned long long)f->counts.rings,
		(unsigned long long)f->silent, f->held);
	for (unsigned i = 0; i < total && i < FAKE_LOG_MAX; i++) {
		const struct hv_io *io = &f->log[i].io;

		fprintf(out,
			"%s\n {\"space\": \"%s\", \"write\": %s, \"indirect\": %s, "
			"\"size\": %u, \"count\": %u, \"addr\": %llu, \"data\": %llu, "
			"\"claimed\": %s}",
			i ? "," : "", space_name(io->space), io->write ? "true" : "false",
			io->indirect ? "true" : "false", io->size, io->count,
			(unsigned long long)io->addr, (unsigned long long)io->data,
			f->log[i].claimed ? "true" : "false");
	}
	fputc(']', out);
}

/* The regions that XENOLITH_FAKE_DUMP_MEM asks for, by the words that name them. */
static void dump_memory(FILE *out, const struct hv_fake *f)
{
	char *copy = strdup(f->options.dump_mem ? f->options.dump_mem : ""), *rest = copy;
	const char *comma = "";
	char *one;

	if (!copy)
		abort();
	fputs(",\n\"memory\": {", out);
	while ((one = strsep(&rest, ","))) {
		char *colon = strchr(one, ':');

		if (!colon)
			continue;
		fprintf(out, "%s\"%s\": ", comma, one);
		dump_hex(out, f, strtoull(one, NULL, 0), strtoull(colon + 1, NULL, 0));
		comma = ", ";
	}
	fputc('}', out);
	free(copy);
}

void fake_dump(struct hv_fake *f)
{
	FILE *out = fopen(f->options.dump, "w");

	if (!out) {
		fprintf(stderr, "XENOLITH_FAKE_DUMP: %s: %s\n", f->options.dump,
			strerror(errno));
		abort();
	}
	fputs("{", out);
	dump_domain(out, f);
	dump_calls(out, f);
	dump_entry(out, f);
	dump_io(out, f);
	dump_memory(out, f);
	fputs("}\n", out);
	if (fclose(out) != 0)
		abort();
}
