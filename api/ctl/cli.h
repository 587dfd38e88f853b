/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: parsing it by the tables of ctl.h, and --help. */
#ifndef API_CTL_CLI_H
#define API_CTL_CLI_H

#include "api/ctl/ctl.h"

#include <stdio.h>

#define CLI_WORDS_MAX 64

struct cli {
	struct ctl ctl;
	const struct command *command; /* NULL: none was given */
	void *options; /* the command's, to be freed by cli_free */
	unsigned n_words;
	const char *words[CLI_WORDS_MAX + 1];
};

/*
 * `[OPTION]... COMMAND [OPTION | WORD]...`; a value follows as the next argument or after
 * '='; `--` ends the options. Options of all commands may be anywhere. 0, or -EINVAL with
 * a reason; to be freed in any case. Words are counted unless --help is given.
 */
MUST_CHECK int cli_parse(struct cli *cli, int argc, char *const *argv, struct err *e);

/* Frees what cli_parse allocated. */
void cli_free(struct cli *cli);

/* Carry out what was parsed: the command, or --help or --version. Returns the exit status. */
MUST_CHECK int cli_run(const struct cli *cli);

/* The text of --help: of one command, or of the program when `c` is NULL. */
void cli_help(FILE *to, const struct command *c);

#endif
