# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: the lab, once for all tests, and what is put into it."""

import os
import pathlib
import subprocess

import pytest

from lab import ROOT, Lab, Monitor, entry


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """What every dom0 gets, as `--put` arguments of the lab."""
    xen = pathlib.Path((ROOT / "build" / "xen").read_text().strip())
    domains = tmp_path_factory.mktemp("tools") / "domains"
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-D__XEN_TOOLS__", "-O2",
                    "-isystem", xen / "include", "-o", domains,
                    ROOT / "tests/system/tools/domains.c", "-lxencall"], check=True)
    variant = os.environ.get("VARIANT", "release")
    put = {
        ROOT / "build" / variant / "xenolith": "/bin/xenolith",
        domains: "/bin/domains",
        entry("lab/guest/build.sh") / "vmlinux": "/guest/vmlinux",
        entry("lab/guest/initramfs.sh") / "initramfs.cpio": "/guest/initramfs.cpio",
    }
    return [arg for src, dest in put.items() for arg in ("--put", f"{src}:{dest}")]


@pytest.fixture(scope="session")
def lab(files):
    with Lab("tests", *files) as lab:
        yield lab


@pytest.fixture(scope="module")
def unpatched(files):
    with Lab("unpatched", "--unpatched", *files) as lab:
        yield lab


@pytest.fixture
def nothing_left(lab):
    """Fails the test when a domain, its memory or a process outlives it."""
    before = lab.domains()[1]
    yield
    guests, free = lab.domains()
    assert guests == {}, "domains left"
    assert abs(free - before) < 512, "pages lost"
    assert lab.run("pidof xenolith", check=False).stdout.strip() == ""


@pytest.fixture
def monitor(lab, nothing_left):
    with Monitor(lab, "--boot-timer") as monitor:
        yield monitor
