# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: the lab, once for all tests, and what is put into it."""

import os
import pathlib
import subprocess

import pytest

from lab import ROOT, Lab, Monitor, entry


def tool(directory, name, *sources):
    """A program of tools/, built with the patched Xen's headers, and sources of ours."""
    xen = pathlib.Path((ROOT / "build" / "xen").read_text().strip())
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-D__XEN_TOOLS__", "-O2",
                    f"-I{ROOT}", "-isystem", xen / "include", "-o", directory / name,
                    ROOT / "tests/system/tools" / f"{name}.c", *sources, "-lxencall",
                    "-lxenforeignmemory", "-lxenevtchn", "-lxendevicemodel", "-luring"],
                   check=True)
    return directory / name


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """What every dom0 gets, as `--put` arguments of the lab."""
    variant = os.environ.get("VARIANT", "release")
    tools = tmp_path_factory.mktemp("tools")
    put = {
        ROOT / "build" / variant / "xenolith": "/bin/xenolith",
        tool(tools, "domains"): "/bin/domains",
        tool(tools, "hvabi"): "/bin/hvabi",
        tool(tools, "hvops", *ROOT.glob("vmm/hv/*.c"), *ROOT.glob("vmm/lib/*.c")):
            "/bin/hvops",
        entry("lab/guest/build.sh") / "vmlinux": "/guest/vmlinux",
        entry("lab/guest/initramfs.sh") / "initramfs.cpio": "/guest/initramfs.cpio",
    }
    return [arg for src, dest in put.items() for arg in ("--put", f"{src}:{dest}")]


@pytest.fixture(scope="session")
def lab(files):
    with Lab("tests", *files) as lab:
        yield lab


@pytest.fixture(scope="session")
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
