/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, each in its cmd_NAME.c; commands.c has them in order. */
#ifndef API_CTL_CMD_H
#define API_CTL_CMD_H

#include "api/ctl/ctl.h"

extern const struct command cmd_run, cmd_create;
extern const struct command cmd_start, cmd_pause, cmd_resume; /* cmd_state.c */
extern const struct command cmd_stop, cmd_kill; /* cmd_stop.c */
extern const struct command cmd_console, cmd_config, cmd_api;
extern const struct command cmd_ps, cmd_top, cmd_logs, cmd_metrics, cmd_completion;

#endif
