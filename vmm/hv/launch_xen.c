/* SPDX-License-Identifier: Apache-2.0 */
/* Two processes, one domain: see launch.h. */
#include "vmm/hv/launch.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/hv/hv_xen.h"
#include "vmm/hv/keeper.h"
#include "vmm/hv/xen_build.h"
#include "vmm/lib/exit.h"
#include "vmm/lib/log.h"

static int run_monitor(int sock, int (*monitor)(void *ctx, struct hv *hv), void *ctx)
{
	struct hv *hv;
	struct err e;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		log_error("monitor", "PR_SET_NO_NEW_PRIVS: %s", strerror(errno));
		return EXIT_HOST_ERROR;
	}
	if (hv_xen_open(&hv, sock, &e) < 0) {
		log_error("monitor", "%s", e.text);
		return EXIT_HOST_ERROR;
	}
	return monitor(ctx, hv);
}

int launch(int (*monitor)(void *ctx, struct hv *hv), void *ctx, const struct quotas *right,
	   struct err *e)
{
	struct xen_builder *builder;
	int socks[2], status;
	pid_t child;
	int rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0)
		return err_set(e, -errno, "socketpair: %s", strerror(errno));
	/* Forked first: no privileged descriptor ever exists in the monitor. */
	child = fork();
	if (child < 0) {
		rc = err_set(e, -errno, "fork: %s", strerror(errno));
		goto out_close;
	}
	if (child == 0) {
		close(socks[0]);
		_exit(run_monitor(socks[1], monitor, ctx));
	}
	close(socks[1]);
	rc = xen_builder_open(&builder, right, e);
	if (rc < 0) {
		/* Its keeper never said a word: the monitor would only add a second error. */
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		close(socks[0]);
		return rc;
	}
	status = keeper_run(&xen_builder_ops, builder, socks[0], child);
	close(socks[0]);
	xen_builder_close(builder);
	return status;

out_close:
	close(socks[0]);
	close(socks[1]);
	return rc;
}
