/* SPDX-License-Identifier: Apache-2.0 */
/* xenolithctl: see ctl.h. */
#include "api/ctl/cli.h"

#include <signal.h>

int main(int argc, char **argv)
{
	struct cli cli;
	struct err e;
	int status;

	/* A pipe that is closed is told by write, so that a running VM can be ended. */
	signal(SIGPIPE, SIG_IGN);
	if (cli_parse(&cli, argc, argv, &e) < 0)
		status = out_error(&cli.ctl.out, CTL_BAD_ARGS, "%s", e.text);
	else
		status = cli_run(&cli);
	cli_free(&cli);
	if (fflush(stdout) != 0 && status == CTL_OK)
		status = CTL_FAILED;
	return status;
}
