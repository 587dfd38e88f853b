/* SPDX-License-Identifier: Apache-2.0 */
/* The script for zsh: see completion.h. */
#include "api/ctl/completion.h"

static const char *const actions[] = {
	[COMPLETE_NOTHING] = "",
	[COMPLETE_FILE] = "_files",
	[COMPLETE_DIRECTORY] = "_files -/",
	[COMPLETE_INSTANCE] = "_xenolithctl_instances",
	[COMPLETE_COMMAND] = "_xenolithctl_commands",
	[COMPLETE_SHELL] = "(bash zsh)",
};

/* Text within single quotes; what means something to _arguments and _describe is escaped. */
static void quoted(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", to);
		else if (*text == '[' || *text == ']' || *text == ':' || *text == '\\')
			fprintf(to, "\\%c", *text);
		else
			fputc(*text, to);
	}
}

/* One form of an option: `name`, and `=` when its value may be in the same word. */
static void option_form(FILE *to, const struct option *o, const char *name, const char *equals)
{
	fprintf(to, " \\\n\t\t\t'%s%s%s[", o->kind == OPTION_LIST ? "*" : "", name,
		o->value ? equals : "");
	quoted(to, o->help);
	fputc(']', to);
	if (o->value) {
		fprintf(to, ":%s:%s", o->value, actions[o->completes]);
	}
	fputc('\'', to);
}

static void options(FILE *to, const struct option *o)
{
	for (; o && o->name; o++) {
		char letter[] = { '-', o->letter, '\0' };

		option_form(to, o, o->name, "=");
		if (o->letter)
			option_form(to, o, letter, "");
	}
}

static void command_case(FILE *to, const struct command *c)
{
	fprintf(to, "\t%s)\n\t\t_arguments -s", c->name);
	options(to, c->options);
	options(to, ctl_options);
	if (c->words_max && *actions[c->completes])
		fprintf(to, " \\\n\t\t\t'1:word:%s'", actions[c->completes]);
	else if (c->words_max)
		fputs(" \\\n\t\t\t'*:word:'", to);
	fputs("\n\t\t;;\n", to);
}

static void commands(FILE *to)
{
	fputs("\n_xenolithctl_commands() {\n\tlocal -a commands=(\n", to);
	for (const struct command *const *c = ctl_commands; *c; c++) {
		fprintf(to, "\t\t'%s:", (*c)->name);
		quoted(to, (*c)->help);
		fputs("'\n", to);
	}
	fputs("\t)\n\t_describe -t commands command commands\n}\n", to);
}

void completion_zsh(FILE *to)
{
	fputs("#compdef xenolithctl\n"
	      "# Completion of xenolithctl for zsh, made by `xenolithctl completion zsh`.\n"
	      "\n"
	      "_xenolithctl_instances() {\n"
	      "\tlocal dir=${opt_args[--run-dir]:-$run_dir}\n"
	      "\tlocal -a names=(${(f)\"$($program completion instances \\\n"
	      "\t\t${dir:+--run-dir} ${dir:+$dir} 2> /dev/null)\"})\n"
	      "\t_describe -t instances instance names\n"
	      "}\n",
	      to);
	commands(to);
	fputs("\n"
	      "_xenolithctl() {\n"
	      "\tlocal curcontext=$curcontext program=$words[1] run_dir= state line\n"
	      "\ttypeset -A opt_args\n"
	      "\t_arguments -C -s",
	      to);
	options(to, ctl_options);
	fputs(" \\\n\t\t\t'1:command:_xenolithctl_commands' \\\n\t\t\t'*::word:->words' && return\n"
	      "\t[[ $state == words ]] || return 1\n"
	      "\trun_dir=$opt_args[--run-dir]\n"
	      "\tcase $words[1] in\n",
	      to);
	for (const struct command *const *c = ctl_commands; *c; c++)
		command_case(to, *c);
	fputs("\tesac\n"
	      "}\n"
	      "\n"
	      "_xenolithctl \"$@\"\n",
	      to);
}
