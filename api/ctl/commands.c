/* SPDX-License-Identifier: Apache-2.0 */
/* The list of the commands. */
#include "api/ctl/cmd.h"

const struct command *const ctl_commands[] = {
	&cmd_start, &cmd_pause, &cmd_resume, &cmd_api, &cmd_ps, &cmd_top, NULL,
};
