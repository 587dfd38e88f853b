/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenolithctl: its commands and options are tables. From them come the parser, --help,
 * shell completion and the manual page.
 *
 * A command is a `const struct command` in a file of its own, named cmd_*.c, and a line
 * in the list in commands.c. Its options are written by the parser to a structure of its own.
 */
#ifndef API_CTL_CTL_H
#define API_CTL_CTL_H

#include "api/ctl/out.h"
#include "vmm/lib/err.h"
#include "vmm/lib/exit.h"

/* How a command ends; `run` also ends as the guest did. */
#define CTL_OK 0
#define CTL_FAILED EXIT_HOST_ERROR
#define CTL_BAD_ARGS EXIT_BAD_ARGS

/* What all commands have. */
struct ctl {
	const char *run_dir; /* where the instances are; never NULL after parsing */
	struct out out;
	bool help, version;
};

enum option_kind {
	OPTION_FLAG, /* bool */
	OPTION_TEXT, /* const char *, borrowed from argv */
	OPTION_NUMBER, /* uint64_t, decimal; `min` to `max` */
	OPTION_MIB, /* uint64_t in MiB: 512, 512M, 2G; `min` to `max` MiB */
	OPTION_LIST, /* struct option_list: may be given several times */
};

/* What a shell may offer for a value or a word. */
enum completion {
	COMPLETE_NOTHING,
	COMPLETE_FILE,
	COMPLETE_DIRECTORY,
	COMPLETE_INSTANCE,
	COMPLETE_COMMAND,
	COMPLETE_SHELL,
};

#define OPTION_LIST_MAX 32

struct option_list {
	unsigned n;
	const char *items[OPTION_LIST_MAX];
};

struct option {
	const char *name; /* "--memory"; NULL ends a table */
	char letter; /* the short form, or 0 */
	enum option_kind kind;
	const char *value; /* what to call the value in the help; NULL for flags */
	size_t at; /* in the command's structure */
	uint64_t min, max; /* of numbers; max 0: any */
	enum completion completes;
	const char *help; /* one line; the default in [brackets] */
};

struct command {
	const char *name;
	const char *words; /* how the words after it look in the usage: "NAME", "[NAME]", "" */
	unsigned words_min, words_max;
	enum completion completes; /* the first word */
	const char *help; /* one line */
	const char *text; /* more, for its --help and the manual; lines end in \n; NULL: none */
	const struct option *options; /* NULL: none */
	size_t options_size; /* of the structure they are written to */
	const void *defaults; /* its initial content; NULL: zeros */
	/*
	 * Do it. `options` is the filled-in structure, `words` (n of them, NULL behind the
	 * last) what is not an option. Returns the exit status, having said on standard
	 * error why it is not 0.
	 */
	int (*run)(const struct ctl *ctl, const void *options, unsigned n,
		   const char *const *words);
};

/* All commands in the order of the help, NULL behind the last; and the options of all. */
extern const struct command *const ctl_commands[];
extern const struct option ctl_options[];

/* The command of this name, or NULL. */
const struct command *ctl_find(const char *name);

#endif
