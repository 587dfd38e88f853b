/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts that complete command lines of xenolithctl, made from its tables. */
#ifndef API_CTL_COMPLETION_H
#define API_CTL_COMPLETION_H

#include "api/ctl/ctl.h"

/* Print the one for bash, to be sourced. */
void completion_bash(FILE *to);

/* Print the one for zsh, a file to be named _xenolithctl in a directory of $fpath. */
void completion_zsh(FILE *to);

#endif
