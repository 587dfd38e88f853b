/* SPDX-License-Identifier: Apache-2.0 */
/* The script for bash: see completion.h. */
#include "api/ctl/completion.h"

static const char *const kinds[] = {
	[COMPLETE_NOTHING] = "nothing",	    [COMPLETE_FILE] = "file",
	[COMPLETE_DIRECTORY] = "directory", [COMPLETE_INSTANCE] = "instance",
	[COMPLETE_COMMAND] = "command",	    [COMPLETE_SHELL] = "shell",
};

/* `command` NULL: options of all commands. */
static void value_cases(FILE *to, const char *command, const struct option *o)
{
	const char *c = command ? command : "*";

	for (; o && o->name; o++) {
		if (!o->value)
			continue;
		fprintf(to, "\t%s:%s", c, o->name);
		if (o->letter)
			fprintf(to, " | %s:-%c", c, o->letter);
		fprintf(to, ") echo %s ;;\n", kinds[o->completes]);
	}
}

static void option_names(FILE *to, const struct option *o)
{
	for (; o && o->name; o++) {
		fprintf(to, " %s", o->name);
		if (o->letter)
			fprintf(to, " -%c", o->letter);
	}
}

static void tables(FILE *to)
{
	fputs("\n# What completes the value of option $2 of command $1, if it has one.\n"
	      "_xenolithctl_value() {\n\tcase $1:$2 in\n",
	      to);
	for (const struct command *const *c = ctl_commands; *c; c++)
		value_cases(to, (*c)->name, (*c)->options);
	value_cases(to, NULL, ctl_options);
	fputs("\tesac\n}\n\n# The options of command $1.\n_xenolithctl_options() {\n\tcase $1 in\n",
	      to);
	for (const struct command *const *c = ctl_commands; *c; c++) {
		if (!(*c)->options)
			continue;
		fprintf(to, "\t%s) echo '", (*c)->name);
		option_names(to, (*c)->options);
		fputs("' ;;\n", to);
	}
	fputs("\tesac\n\techo '", to);
	option_names(to, ctl_options);
	fputs("'\n}\n\n# What completes the first word behind command $1.\n"
	      "_xenolithctl_word() {\n\tcase $1 in\n\t'') echo command ;;\n",
	      to);
	for (const struct command *const *c = ctl_commands; *c; c++)
		if ((*c)->completes != COMPLETE_NOTHING)
			fprintf(to, "\t%s) echo %s ;;\n", (*c)->name, kinds[(*c)->completes]);
	fputs("\tesac\n}\n\n_xenolithctl_commands() {\n\techo '", to);
	for (const struct command *const *c = ctl_commands; *c; c++)
		fprintf(to, " %s", (*c)->name);
	fputs("'\n}\n", to);
}

/* Words as bash splits them: `--option=value` is three. */
static const char main_part[] =
	"\n"
	"# What of kind $1 begins with $2.\n"
	"_xenolithctl_offer() {\n"
	"\tcase $1 in\n"
	"\tfile) compgen -f -- \"$2\" ;;\n"
	"\tdirectory) compgen -d -- \"$2\" ;;\n"
	"\tinstance) compgen -W \"$(\"$program\" completion instances \\\n"
	"\t\t${run_dir:+--run-dir \"$run_dir\"} 2> /dev/null)\" -- \"$2\" ;;\n"
	"\tcommand) compgen -W \"$(_xenolithctl_commands)\" -- \"$2\" ;;\n"
	"\toption) compgen -W \"$(_xenolithctl_options \"$command\")\" -- \"$2\" ;;\n"
	"\tshell) compgen -W 'bash zsh' -- \"$2\" ;;\n"
	"\tesac\n"
	"}\n"
	"\n"
	"_xenolithctl() {\n"
	"\tlocal program=$1 current=${COMP_WORDS[COMP_CWORD]}\n"
	"\tlocal command='' run_dir='' option='' kind='' words=0 word i\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tif [[ $option ]]; then\n"
	"\t\t\t[[ $word != = ]] || continue\n"
	"\t\t\t[[ $option != --run-dir ]] || run_dir=$word\n"
	"\t\t\toption=''\n"
	"\t\telif [[ $word == -* ]]; then\n"
	"\t\t\t[[ ! $(_xenolithctl_value \"$command\" \"$word\") ]] || option=$word\n"
	"\t\telif [[ ! $command ]]; then\n"
	"\t\t\tcommand=$word\n"
	"\t\telse\n"
	"\t\t\twords=$((words + 1))\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tif [[ $option ]]; then\n"
	"\t\tkind=$(_xenolithctl_value \"$command\" \"$option\")\n"
	"\t\t[[ $current != = ]] || current=''\n"
	"\telif [[ $current == -* ]]; then\n"
	"\t\tkind=option\n"
	"\telif ((words == 0)); then\n"
	"\t\tkind=$(_xenolithctl_word \"$command\")\n"
	"\tfi\n"
	"\t[[ $kind != file && $kind != directory ]] || compopt -o filenames\n"
	"\tmapfile -t COMPREPLY < <(_xenolithctl_offer \"$kind\" \"$current\")\n"
	"}\n"
	"complete -F _xenolithctl xenolithctl\n";

void completion_bash(FILE *to)
{
	fputs("# Completion of xenolithctl for bash, made by `xenolithctl completion bash`.\n",
	      to);
	tables(to);
	fputs(main_part, to);
}
