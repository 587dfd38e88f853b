# SPDX-License-Identifier: Apache-2.0
"""Xen with its assertions on two processors: domains run while others look at them."""

import pytest

from lab import Lab, Monitor, entry
from test_patches import FEATURES, passes


@pytest.fixture(scope="module")
def two(dom0_files):
    xen = entry("hypervisor-patches/build.sh", "--debug") / "xen"
    with Lab("two", "--no-driver", "--xen", xen, *dom0_files, processors=2) as lab:
        yield lab


def test_private_operations(two):
    done = two.run(f"hvabi {FEATURES}", timeout=240, check=False)
    passes(done, 130)
    assert "some vCPUs: the domain goes" in done.stdout


def test_domains_that_own_domains(two):
    passes(two.run("hvowner 3000 6", timeout=240, check=False), 130)


def test_guest_with_two_vcpus(two):
    with Monitor(two) as monitor:
        monitor.start("xenolith.act=idle", vcpus=2)
        monitor.wait_up()
        monitor.ok("PATCH", "/vm", {"state": "Paused"})
        monitor.ok("PATCH", "/vm", {"state": "Resumed"})
        monitor.lab.run(f"kill -TERM {monitor.pids()[0]}")
        assert monitor.wait_exit() == 143, monitor.log()
    assert two.domains()[0] == {}
