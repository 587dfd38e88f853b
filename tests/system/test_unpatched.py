# SPDX-License-Identifier: Apache-2.0
"""An unpatched Xen 4.20: the full HVM emulation is chosen, and the rest is the same."""

import pytest

from lab import Monitor
from test_end import GUEST_ENDS


@pytest.mark.parametrize("act, status", GUEST_ENDS)
def test_guest_boots_and_ends(unpatched, act, status):
    with Monitor(unpatched) as monitor:
        monitor.start(f"xenolith.act={act}")
        assert monitor.wait_exit(90) == status, monitor.log()
        assert monitor.log().count("full HVM profile") == 1
    assert unpatched.domains()[0] == {}


def test_pause_resume_and_sigterm(unpatched):
    with Monitor(unpatched) as monitor:
        monitor.start("xenolith.act=idle", vcpus=2)
        monitor.wait_up()
        monitor.ok("PATCH", "/vm", {"state": "Paused"})
        monitor.ok("PATCH", "/vm", {"state": "Resumed"})
        monitor.lab.run(f"kill -TERM {monitor.pids()[0]}")
        assert monitor.wait_exit() == 143
    assert unpatched.domains()[0] == {}
