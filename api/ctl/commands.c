/* SPDX-License-Identifier: Apache-2.0 */
/* The list of the commands. */
#include "api/ctl/cmd.h"

/* clang-format off */
const struct command *const ctl_commands[] = {
	&cmd_run,
	&cmd_create,
	&cmd_start,
	&cmd_pause,
	&cmd_resume,
	&cmd_stop,
	&cmd_kill,
	&cmd_console,
	&cmd_config,
	&cmd_ps,
	&cmd_top,
	&cmd_logs,
	&cmd_metrics,
	&cmd_api,
	&cmd_completion,
	NULL,
};
