# SPDX-License-Identifier: Apache-2.0
"""Firecracker's clients, as tests/clients.py has them, on Xen: in dom0, where they would be.
Those that are refused before anything runs are played on the fake hypervisor only."""

import itertools
import sys
import urllib.parse

import pytest
import requests_unixsocket

from lab import ROOT, Monitor

sys.path.insert(0, str(ROOT / "tests"))
import clients  # pylint: disable=wrong-import-position

NUMBERS = itertools.count(1)


@pytest.fixture
def world(io, nothing_left):
    name = f"client-{next(NUMBERS)}"
    io.run(f"mkdir -p /run/{name}")
    io.debian("/usr/bin/ip tuntap add mode tap name tap0")
    yield clients.World(dir=f"/run/{name}", id=name, kernel="/guest/vmlinux",
                        root="/guest/debian.ext4", tap="tap0")
    io.run("ip link del tap0", check=False)


@pytest.mark.parametrize("client", clients.BOOTING, ids=lambda c: c.__name__)
def test_client(io, world, client):
    c = client(world)
    if c.setup:
        io.run(c.setup)
    for path, text in {**c.files, f"{world.dir}/script": c.text()}.items():
        io.put_text(path, text)
    done = io.run(f"replay {world.dir}/api.sock < {world.dir}/script 2> {world.dir}/output",
                  check=False, timeout=150)
    more = io.run(f"cat {world.dir}/output {c.serial}", check=False).stdout
    answers = c.check(done.stdout, more)
    assert done.returncode == 0, more
    clients.check_more(c, answers, lambda path: io.run(f"cat {path}"))


def test_python_requests_over_a_unix_socket(lab, nothing_left):
    """The idiom of Firecracker's own tests."""
    with Monitor(lab) as monitor:
        api = requests_unixsocket.Session()
        url = "http+unix://" + urllib.parse.quote_plus(str(monitor.socket))
        for path, body in [
                ("/machine-config", {"vcpu_count": 1, "mem_size_mib": 64}),
                ("/boot-source", {"kernel_image_path": "/guest/vmlinux",
                                  "initrd_path": "/guest/initramfs.cpio",
                                  "boot_args": "console=ttyS0 quiet reboot=k panic=1"}),
                ("/actions", {"action_type": "InstanceStart"})]:
            assert api.put(url + path, json=body).status_code == 204
        assert api.get(url + "/").json()["state"] == "Running"
        assert "fault_message" in api.put(url + "/vsock", json={"guest_cid": 3}).json()
        monitor.wait_up()
        press = api.put(url + "/actions", json={"action_type": "SendCtrlAltDel"})
        assert press.status_code == 204
        assert monitor.wait_exit() == 2
