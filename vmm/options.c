/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: see options.h. */
#include "vmm/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/server.h"
#include "vmm/lib/config.h"
#include "vmm/lib/rundir.h"

/* Check a flag's value and remember it. */
typedef int (*flag_handler)(struct options *o, const char *value, struct err *e);

static int set_id(struct options *o, const char *value, struct err *e)
{
	if (!config_id_valid(value))
		return err_set(e, -EINVAL,
			       "Invalid instance ID '%s': 1 to %d letters, digits and '-'",
			       value, CONFIG_ID_MAX);
	o->id = value;
	return 0;
}

static int set_level(struct options *o, const char *value, struct err *e)
{
	if (log_level_parse(value, &o->level) < 0)
		return err_set(e, -EINVAL,
			       "Invalid --level '%s': Off, Error, Warn, Info, Debug or Trace",
			       value);
	return 0;
}

static int set_serial(struct options *o, const char *value, struct err *e)
{
	if (strcmp(value, "stdio") == 0)
		o->serial = SERIAL_STDIO;
	else if (strcmp(value, "none") == 0)
		o->serial = SERIAL_NONE;
	else if (strncmp(value, "file:", 5) == 0)
		o->serial = SERIAL_FILE;
	else if (strcmp(value, "socket") == 0 || strncmp(value, "unix:", 5) == 0)
		o->serial = SERIAL_SOCKET;
	else
		return err_set(e, -EINVAL,
			       "Invalid --serial '%s': stdio, none, socket, file:PATH or "
			       "unix:PATH",
			       value);
	if (!strchr(value, ':'))
		return 0;
	o->serial_path = value + 5;
	if (!*o->serial_path)
		return err_set(e, -EINVAL, "Invalid --serial '%s': the path is missing", value);
	return 0;
}

/* Up to 32 bits of decimal digits. */
static bool parse_number(const char *value, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(value, &end, 10);
	return !errno && !*end && end != value && *value != '-' && *out <= UINT32_MAX;
}

static int set_body_max(struct options *o, const char *value, struct err *e)
{
	unsigned long n;

	if (!parse_number(value, &n))
		return err_set(e, -EINVAL, "Invalid --http-api-max-payload-size '%s'", value);
	o->body_max = n;
	return 0;
}

static int set_builder(struct options *o, const char *value, struct err *e)
{
	int rc = quotas_parse(value, &o->builder, e);

	return rc < 0 ? err_prefix(e, rc, "Invalid --builder") : 0;
}

/* What the original's launcher measured before it started us: taken, and not used. */
static int check_number(struct options *o, const char *value, struct err *e)
{
	(void)o;
	if (!*value || value[strspn(value, "0123456789")])
		return err_set(e, -EINVAL, "Invalid number of microseconds '%s'", value);
	return 0;
}

static int set_metrics_period(struct options *o, const char *value, struct err *e)
{
	unsigned long n;

	if (!parse_number(value, &n) || n == 0)
		return err_set(e, -EINVAL, "Invalid --metrics-period-ms '%s'", value);
	o->metrics_period_ms = n;
	return 0;
}

static const struct flag {
	const char *name;
	const char *value; /* what to call it in the help; NULL: the flag stands alone */
	flag_handler set; /* NULL: just remember it, at `at` in struct options */
	size_t at; /* a string, or a bool for flags that stand alone */
	const char *help;
} flags[] = {
	{ "--api-sock", "PATH", NULL, offsetof(struct options, api_sock),
	  "Unix socket of the API [" RUNDIR_API " in the run directory]" },
	{ "--id", "ID", set_id, 0,
	  "name of this instance: letters, digits, '-' [" OPTIONS_ID_DEFAULT "]" },
	{ "--config-file", "FILE", NULL, offsetof(struct options, config_file),
	  "configure from a JSON file (the form of GET /vm/config) and start" },
	{ "--no-api", NULL, NULL, offsetof(struct options, no_api),
	  "serve no API; needs --config-file" },
	{ "--serial", "WHERE", set_serial, 0,
	  "serial port: stdio, none, socket, file:PATH, unix:PATH [stdio]" },
	{ "--run-dir", "DIR", NULL, offsetof(struct options, run_dir),
	  "where the run directories are [$" RUNDIR_BASE_ENV " or " RUNDIR_BASE_DEFAULT "]" },
	{ "--run-log", NULL, NULL, offsetof(struct options, run_log),
	  "log to the file " RUNDIR_LOG " in the run directory" },
	{ "--boot-timer", NULL, NULL, offsetof(struct options, boot_timer),
	  "log when the guest writes 123 to address 0xc0000000" },
	{ "--plain-boot-args", NULL, NULL, offsetof(struct options, plain_boot_args),
	  "leave boot_args as they are: no pci=off, noapic stays; root= is added" },
	{ "--builder", "QUOTAS", set_builder, 0,
	  "let the VM create domains, from dom0 only: domains=N,memory-mib=N[,...]" },
	{ "--log-path", "FILE", NULL, offsetof(struct options, log_path),
	  "log to a file or FIFO [standard error]" },
	{ "--level", "LEVEL", set_level, 0, "Off, Error, Warn, Info, Debug or Trace [Info]" },
	{ "--module", "NAME", NULL, offsetof(struct options, module),
	  "log only modules whose name begins so" },
	{ "--show-level", NULL, NULL, offsetof(struct options, show_level),
	  "show the level of log lines in files, too" },
	{ "--show-log-origin", NULL, NULL, offsetof(struct options, show_origin),
	  "show the source file and line of log lines" },
	{ "--metrics-path", "FILE", NULL, offsetof(struct options, metrics_path),
	  "write metrics to a file or FIFO [none]" },
	{ "--metrics-period-ms", "MS", set_metrics_period, 0,
	  "time between two lines of metrics [60000]" },
	{ "--http-api-max-payload-size", "BYTES", set_body_max, 0,
	  "longest request body accepted [51200]" },
	{ "--no-seccomp", NULL, NULL, offsetof(struct options, no_seccomp),
	  "accepted; there is no system call filter yet" },
	{ "--start-time-us", "N", check_number, 0, "accepted from a launcher, not used" },
	{ "--start-time-cpu-us", "N", check_number, 0, "likewise" },
	{ "--parent-cpu-time-us", "N", check_number, 0, "likewise" },
	{ "--version", NULL, NULL, offsetof(struct options, version), "print the version" },
	{ "--help", NULL, NULL, offsetof(struct options, help), "print this (-h)" },
};

/* Firecracker's flags for what Xenolith does not have. */
static const struct {
	const char *name, *why;
} refused[] = {
	{ "--seccomp-filter",
	  "there is no system call filter yet, and it will be Xenolith's own" },
	{ "--metadata", "there is no metadata service (MMDS)" },
	{ "--mmds-size-limit", "there is no metadata service (MMDS)" },
	{ "--enable-pci", "devices are virtio-mmio, there is no PCI" },
	{ "--describe-snapshot", "there are no snapshots" },
	{ "--snapshot-version", "there are no snapshots" },
};

static int unknown_flag(const char *name, struct err *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (strcmp(refused[i].name, name) == 0)
			return err_set(e, -EOPNOTSUPP, "The argument '%s' is not supported: %s",
				       name, refused[i].why);
	return err_set(e, -EINVAL, "Found argument '%s' which wasn't expected", name);
}

static const struct flag *find_flag(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (strcmp(flags[i].name, name) == 0)
			return &flags[i];
	return NULL;
}

/* Parse the flag at argv[*i] and advance. */
static int parse_one(struct options *o, int argc, char *const *argv, int *i, unsigned *seen,
		     struct err *e)
{
	const struct flag *f = find_flag(argv[*i]);
	const char *value = NULL;

	if (!f)
		return unknown_flag(argv[*i], e);
	if (*seen & 1u << (f - flags))
		return err_set(e, -EINVAL, "The argument '%s' was provided more than once",
			       f->name);
	*seen |= 1u << (f - flags);
	if (f->value) {
		if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
			return err_set(
				e, -EINVAL,
				"The argument '%s' requires a value, but none was supplied",
				f->name);
		value = argv[++*i];
	}
	++*i;
	if (f->set)
		return f->set(o, value, e);
	if (f->value)
		memcpy((char *)o + f->at, &value, sizeof(value));
	else
		memcpy((char *)o + f->at, &(bool){ true }, sizeof(bool));
	return 0;
}

/* These win over whatever else there is, mistakes included; --help over --version. */
static bool wants_text(struct options *o, int argc, char *const *argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			o->help = true;
		if (strcmp(argv[i], "--version") == 0)
			o->version = true;
	}
	return o->help || o->version;
}

int options_parse(struct options *o, int argc, char *const *argv, struct err *e)
{
	unsigned seen = 0;
	int rc = 0;

	*o = (struct options){ .id = OPTIONS_ID_DEFAULT,
			       .level = LOG_INFO,
			       .body_max = API_BODY_MAX_DEFAULT };
	if (wants_text(o, argc, argv))
		return 0;
	for (int i = 1; i < argc && rc == 0;)
		rc = parse_one(o, argc, argv, &i, &seen, e);
	if (rc == 0 && o->no_api && !o->config_file)
		return err_set(e, -EINVAL, "The argument '--no-api' requires '--config-file'");
	if (rc == 0 && o->run_log && o->log_path)
		return err_set(e, -EINVAL, "The argument '--run-log' excludes '--log-path'");
	return rc;
}

void options_help(void)
{
	puts("xenolith: run one PVH micro-VM on Xen, driven by JSON over a Unix socket.\n"
	     "The API is Firecracker's; see docs/api.md.\n\n"
	     "usage: xenolith [OPTION [VALUE]]...\n");
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		printf("  %-28s %-6s %s\n", flags[i].name, flags[i].value ? flags[i].value : "",
		       flags[i].help);
	puts("\nExit status: 0 the guest rebooted, 2 it powered off, 3 halted, 4 crashed,\n"
	     "5 took a triple fault, 6 ended otherwise; 1 the host failed, 7 the keeper\n"
	     "process was lost, 128+N ended by signal N, 152 bad configuration, 153 bad\n"
	     "arguments.");
}
