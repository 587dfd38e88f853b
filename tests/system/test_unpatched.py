# SPDX-License-Identifier: Apache-2.0
"""An unpatched Xen 4.20: the full HVM emulation is chosen, and the rest is the same."""

import re

import pytest

from lab import BOOT_ARGS, Monitor, entry
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


def test_power_button(unpatched):
    """One of the 8259's lines: raised with another operation."""
    with Monitor(unpatched) as monitor:
        monitor.start("xenolith.act=idle")
        monitor.wait_up()
        monitor.ok("PUT", "/actions", {"action_type": "SendCtrlAltDel"})
        assert monitor.wait_exit() == 2, monitor.log()
    assert unpatched.domains()[0] == {}


def test_disks_work_with_its_interrupts(unpatched):
    """GSIs above 15, raised with the two operations that it has."""
    unpatched("put", str(entry("lab/guest/rootfs.sh") / "rootfs.ext4"), "/guest/root")
    unpatched.put_text("/guest/script", "head -c 3000000 /dev/urandom > /a && cp /a /b && sync "
                       "&& cmp /a /b && echo copied\nexit\n")
    unpatched.run("truncate -s 4096 /guest/script")
    with Monitor(unpatched) as monitor:
        for name in "root", "script":
            monitor.ok("PUT", f"/drives/{name}", {"drive_id": name, "cache_type": "Writeback",
                                                  "path_on_host": f"/guest/{name}",
                                                  "is_root_device": name == "root"})
        monitor.ok("PUT", "/boot-source",
                   {"kernel_image_path": "/guest/vmlinux",
                    "boot_args": f"{BOOT_ARGS} xenolith.act=run:/dev/vdb"})
        monitor.ok("PUT", "/actions", {"action_type": "InstanceStart"})
        assert monitor.wait_exit(120) == 2, monitor.log()
        assert "copied" in monitor.serial() and "exit status 0" in monitor.serial()
        assert int(re.search(r"drive root .* write_bytes=(\d+)", monitor.log())[1]) > 6000000
    assert unpatched.domains()[0] == {}
