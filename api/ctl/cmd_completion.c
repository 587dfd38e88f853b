/* SPDX-License-Identifier: Apache-2.0 */
/* xenolithctl completion: scripts for shells, and the names that they offer. */
#include "api/ctl/cmd.h"
#include "api/ctl/completion.h"
#include "api/ctl/instances.h"

static int print_instances(const struct ctl *ctl)
{
	struct instances list;
	struct err e;

	if (instances_list(&list, ctl->run_dir, &e) < 0)
		return out_error(&ctl->out, CTL_FAILED, "%s", e.text);
	for (size_t i = 0; i < list.n; i++)
		if (list.items[i].alive)
			fprintf(ctl->out.to, "%s\n", list.items[i].name);
	instances_free(&list);
	return CTL_OK;
}

static int completion(const struct ctl *ctl, const void *options, unsigned n,
		      const char *const *words)
{
	(void)options;
	(void)n;
	if (strcmp(words[0], "bash") == 0)
		completion_bash(ctl->out.to);
	else if (strcmp(words[0], "zsh") == 0)
		completion_zsh(ctl->out.to);
	else if (strcmp(words[0], "instances") == 0)
		return print_instances(ctl);
	else
		return out_error(&ctl->out, CTL_BAD_ARGS,
				 "completion '%s': bash or zsh (or instances)", words[0]);
	return CTL_OK;
}

const struct command cmd_completion = {
	.name = "completion",
	.words = "SHELL",
	.words_min = 1,
	.words_max = 1,
	.completes = COMPLETE_SHELL,
	.help = "print a script that completes command lines",
	.text = "For bash, read it with `. <(xenolithctl completion bash)`; for zsh, save it as\n"
		"_xenolithctl in a directory of $fpath. `make install` installs both.\n"
		"`completion instances` prints the names that they offer.\n",
	.run = completion,
};
