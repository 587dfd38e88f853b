/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: see cli.h. */
#include "api/ctl/cli.h"

#include "vmm/lib/rundir.h"
#include "vmm/lib/version.h"

#include <errno.h>
#include <stdlib.h>

const struct option ctl_options[] = {
	{ .name = "--json",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct ctl, out.json),
	  .help = "print JSON, for programs" },
	{ .name = "--run-dir",
	  .kind = OPTION_TEXT,
	  .value = "DIR",
	  .at = offsetof(struct ctl, run_dir),
	  .completes = COMPLETE_DIRECTORY,
	  .help = "where instances are [$" RUNDIR_BASE_ENV " or " RUNDIR_BASE_DEFAULT "]" },
	{ .name = "--version",
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct ctl, version),
	  .help = "print the version" },
	{ .name = "--help",
	  .letter = 'h',
	  .kind = OPTION_FLAG,
	  .at = offsetof(struct ctl, help),
	  .help = "print this" },
	{ 0 },
};

const struct command *ctl_find(const char *name)
{
	for (const struct command *const *c = ctl_commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}

/* ---- values ------------------------------------------------------------------- */

/* A decimal number, and what is behind it. */
static int number(const char *text, uint64_t *out, const char **rest)
{
	unsigned long long n;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno)
		return -errno;
	*out = n;
	*rest = end;
	return 0;
}

static int number_value(const struct option *o, const char *value, uint64_t *out, struct err *e)
{
	const char *rest = "";
	uint64_t n = 0;
	int rc = number(value, &n, &rest);

	if (rc == 0 && o->kind == OPTION_MIB && (*rest == 'G' || *rest == 'g')) {
		rc = n > UINT64_MAX / 1024 ? -ERANGE : 0;
		n *= 1024;
		rest++;
	} else if (o->kind == OPTION_MIB && (*rest == 'M' || *rest == 'm')) {
		rest++;
	}
	if (rc < 0 || *rest)
		return err_set(e, -EINVAL, "%s '%s': not a number%s", o->name, value,
			       o->kind == OPTION_MIB ? " of MiB (512, 512M, 2G)" : "");
	if (n < o->min)
		return err_set(e, -EINVAL, "%s '%s': at least %llu", o->name, value,
			       (unsigned long long)o->min);
	if (o->max && n > o->max)
		return err_set(e, -EINVAL, "%s '%s': at most %llu", o->name, value,
			       (unsigned long long)o->max);
	*out = n;
	return 0;
}

static int list_value(const struct option *o, const char *value, void *at, struct err *e)
{
	struct option_list list;

	memcpy(&list, at, sizeof(list));
	if (list.n == OPTION_LIST_MAX)
		return err_set(e, -EINVAL, "%s: at most %d of them", o->name, OPTION_LIST_MAX);
	list.items[list.n++] = value;
	memcpy(at, &list, sizeof(list));
	return 0;
}

static int store(const struct option *o, const char *value, void *base, struct err *e)
{
	char *at = (char *)base + o->at;
	uint64_t n = 0;
	int rc;

	switch (o->kind) {
	case OPTION_FLAG:
		memcpy(at, &(bool){ true }, sizeof(bool));
		return 0;
	case OPTION_TEXT:
		memcpy(at, &value, sizeof(value));
		return 0;
	case OPTION_LIST:
		return list_value(o, value, at, e);
	case OPTION_NUMBER:
	case OPTION_MIB:
		break;
	}
	rc = number_value(o, value, &n, e);
	if (rc == 0)
		memcpy(at, &n, sizeof(n));
	return rc;
}

/* ---- options ------------------------------------------------------------------ */

/* The option that `arg` names, in either form; `*value` is what is behind its '='. */
static const struct option *find(const struct option *table, const char *arg,
				 const char **value)
{
	const char *equals = strchr(arg, '=');
	size_t n = equals ? (size_t)(equals - arg) : strlen(arg);

	for (; table && table->name; table++) {
		if (strlen(table->name) == n && memcmp(table->name, arg, n) == 0) {
			*value = equals ? equals + 1 : NULL;
			return table;
		}
		if (table->letter && arg[1] == table->letter && !arg[2]) {
			*value = NULL;
			return table;
		}
	}
	return NULL;
}

static int unknown(const struct cli *cli, const char *arg, struct err *e)
{
	return err_set(e, -EINVAL, "unknown option '%s'; try: xenolithctl %s%s--help", arg,
		       cli->command ? cli->command->name : "", cli->command ? " " : "");
}

static int option(struct cli *cli, int argc, char *const *argv, int *i, struct err *e)
{
	const char *arg = argv[(*i)++], *value = NULL;
	void *base = cli->options;
	const struct option *o;

	o = cli->command ? find(cli->command->options, arg, &value) : NULL;
	if (!o) {
		base = &cli->ctl;
		o = find(ctl_options, arg, &value);
	}
	if (!o)
		return unknown(cli, arg, e);
	if (o->kind == OPTION_FLAG && value)
		return err_set(e, -EINVAL, "%s takes no value", o->name);
	if (o->kind != OPTION_FLAG && !value) {
		if (*i >= argc)
			return err_set(e, -EINVAL, "%s needs a value: %s", o->name, o->value);
		value = argv[(*i)++];
	}
	return store(o, value, base, e);
}

static int set_command(struct cli *cli, const char *name, struct err *e)
{
	const struct command *c = ctl_find(name);

	if (!c)
		return err_set(e, -EINVAL,
			       "unknown command '%s'; xenolithctl --help lists them", name);
	cli->command = c;
	if (c->options_size == 0)
		return 0;
	cli->options = calloc(1, c->options_size);
	if (!cli->options)
		return err_set(e, -ENOMEM, "out of memory");
	if (c->defaults)
		memcpy(cli->options, c->defaults, c->options_size);
	return 0;
}

static int word(struct cli *cli, const char *text, struct err *e)
{
	if (!cli->command)
		return set_command(cli, text, e);
	if (cli->n_words == CLI_WORDS_MAX)
		return err_set(e, -EINVAL, "too many words");
	cli->words[cli->n_words++] = text;
	return 0;
}

static int count_words(const struct cli *cli, struct err *e)
{
	const struct command *c = cli->command;

	if (!c || cli->ctl.help)
		return 0;
	if (cli->n_words < c->words_min)
		return err_set(e, -EINVAL, "missing %s; usage: xenolithctl %s %s", c->words,
			       c->name, c->words);
	if (cli->n_words > c->words_max)
		return err_set(e, -EINVAL, "unexpected '%s'; usage: xenolithctl %s %s",
			       cli->words[c->words_max], c->name, c->words);
	return 0;
}

int cli_parse(struct cli *cli, int argc, char *const *argv, struct err *e)
{
	bool options = true;
	int rc = 0;

	*cli = (struct cli){ .ctl.out = { .to = stdout, .err = stderr } };
	for (int i = 1; i < argc && rc == 0;) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
			i++;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			rc = option(cli, argc, argv, &i, e);
		} else {
			rc = word(cli, argv[i++], e);
		}
	}
	cli->ctl.run_dir = rundir_base(cli->ctl.run_dir);
	return rc < 0 ? rc : count_words(cli, e);
}

void cli_free(struct cli *cli)
{
	free(cli->options);
	cli->options = NULL;
}

/* ---- help --------------------------------------------------------------------- */

static void print_options(FILE *to, const struct option *o)
{
	char left[64];

	for (; o && o->name; o++) {
		char letter[] = { '-', o->letter, ',', ' ', '\0' };

		(void)snprintf(left, sizeof(left), "%s%s%s%s", o->letter ? letter : "    ",
			       o->name, o->value ? " " : "", o->value ? o->value : "");
		fprintf(to, "  %-26s %s\n", left, o->help);
	}
}

static void command_help(FILE *to, const struct command *c)
{
	fprintf(to, "xenolithctl %s: %s\n\nusage: xenolithctl %s%s%s%s\n", c->name, c->help,
		c->name, c->options ? " [OPTION]..." : "", *c->words ? " " : "", c->words);
	if (c->text)
		fprintf(to, "\n%s", c->text);
	if (c->options) {
		fputs("\noptions:\n", to);
		print_options(to, c->options);
	}
	fputs("\noptions of all commands:\n", to);
	print_options(to, ctl_options);
}

void cli_help(FILE *to, const struct command *c)
{
	if (c) {
		command_help(to, c);
		return;
	}
	fputs("xenolithctl: run micro-VMs, and look after those that run.\n\n"
	      "usage: xenolithctl COMMAND [OPTION | WORD]...\n\ncommands:\n",
	      to);
	for (const struct command *const *p = ctl_commands; *p; p++)
		fprintf(to, "  %-10s %s\n", (*p)->name, (*p)->help);
	fputs("\noptions of all commands:\n", to);
	print_options(to, ctl_options);
	fputs("\nxenolithctl COMMAND --help tells the rest.\n", to);
}

int cli_run(const struct cli *cli)
{
	const struct command *c = cli->command;

	if (cli->ctl.version) {
		puts("xenolithctl v" XENOLITH_VERSION);
		return CTL_OK;
	}
	if (cli->ctl.help) {
		cli_help(stdout, c);
		return CTL_OK;
	}
	if (!c) {
		cli_help(stderr, NULL);
		return CTL_BAD_ARGS;
	}
	return c->run(&cli->ctl, cli->options, cli->n_words, cli->words);
}
