# SPDX-License-Identifier: Apache-2.0
"""Hosts that are not as they should be: one clear line, exit status 1, nothing left."""

import gzip
import subprocess

import pytest

from lab import ALONE, Lab

START = "xenolith --api-sock /run/bad.sock < /dev/null"


def refused(lab, line, *words):
    """One error line with these words, exit status 1, no socket left."""
    done = lab.run(line, check=False)
    errors = [text for text in done.stdout.splitlines() if ":ERROR] " in text]
    assert done.returncode == 1 and len(errors) == 1, done.stdout
    for word in words:
        assert word in errors[0]
    assert lab.run("[ ! -e /run/bad.sock ]", check=False).returncode == 0


def test_without_xen_devices(lab, nothing_left):
    lab.run("mv /dev/xen /dev/xen.away")
    try:
        refused(lab, START, "/dev/xen/privcmd", "not a Xen domain")
    finally:
        lab.run("mv /dev/xen.away /dev/xen")


def test_without_permission(lab, nothing_left):
    lab.run("chmod 1777 /run; grep -q nobody /etc/passwd || "
            "echo nobody:x:65534:65534::/:/bin/sh >> /etc/passwd")
    refused(lab, f"su nobody -c '{START}'", "/dev/xen/privcmd", "root")


def test_more_memory_than_the_host_has(monitor):
    monitor.configure("xenolith.act=idle", mem=1 << 20)
    free = monitor.lab.domains()[1]
    status, answer = monitor.request("PUT", "/actions", {"action_type": "InstanceStart"})
    assert status == 400
    assert "1048576 MiB" in answer["fault_message"]
    why = "not enough free memory" if ALONE else "quota of this driver domain has no room"
    assert why in answer["fault_message"]
    assert monitor.ok("GET", "/")["state"] == "Not started"
    # Nothing was taken away from the host, and a machine that fits starts.
    assert abs(monitor.lab.domains()[1] - free) < 512
    monitor.ok("PATCH", "/machine-config", {"mem_size_mib": 64})
    monitor.ok("PUT", "/actions", {"action_type": "InstanceStart"})
    monitor.wait_up()


def test_just_more_than_is_free_takes_nothing(monitor):
    free_mib = monitor.lab.domains()[1] // 256
    monitor.configure(mem=free_mib + 64)
    status, answer = monitor.request("PUT", "/actions", {"action_type": "InstanceStart"})
    assert status == 400, answer
    assert abs(monitor.lab.domains()[1] // 256 - free_mib) < 8


def test_another_hypervisors_interface_is_refused(files, tmp_path):
    """Debian 12's own Xen, 4.17: its domctls differ."""
    package = "xen-hypervisor-4.17-amd64"
    done = subprocess.run(["apt-get", "download", package], cwd=tmp_path)
    if done.returncode:
        pytest.skip(f"apt has no {package}")
    subprocess.run(["dpkg", "-x", *tmp_path.glob("*.deb"), tmp_path], check=True)
    xen = tmp_path / "xen"
    xen.write_bytes(gzip.decompress(next(tmp_path.glob("boot/xen-*.gz")).read_bytes()))
    with Lab("old", "--no-driver", "--xen", str(xen), *files) as lab:
        done = lab.run(START, check=False)
        assert done.returncode == 1
        assert "Xen 4.17 speaks another domctl interface" in done.stdout
