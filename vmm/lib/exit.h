/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit statuses of the program: how the VM ended. docs/exit-status.md explains them
 * to users. 1, 152 and 153 mean what they mean for Firecracker.
 */
#ifndef VMM_LIB_EXIT_H
#define VMM_LIB_EXIT_H

enum exit_code {
	EXIT_GUEST_REBOOT = 0,
	EXIT_HOST_ERROR = 1,
	EXIT_GUEST_POWEROFF = 2,
	EXIT_GUEST_HALT = 3,
	EXIT_GUEST_CRASH = 4,
	EXIT_GUEST_TRIPLE_FAULT = 5,
	EXIT_GUEST_OTHER = 6,
	EXIT_KEEPER_LOST = 7,
	EXIT_SIGNALLED = 128, /* + the signal that ended the program */
	EXIT_BAD_CONFIG = 152,
	EXIT_BAD_ARGS = 153,
};

#endif
