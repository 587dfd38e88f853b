# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: the lab, once for all tests, and what is put into it."""

import os
import pathlib
import subprocess

import pytest

from lab import DEBIAN, ROOT, Lab, Monitor, entry

BUILD = ROOT / "build" / os.environ.get("VARIANT", "release")


def tool(directory, name, *sources):
    """A program of tools/, built with the patched Xen's headers, and sources of ours."""
    xen = pathlib.Path((ROOT / "build" / "xen").read_text().strip())
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-D__XEN_TOOLS__", "-O2",
                    f"-I{ROOT}", "-isystem", xen / "include", "-o", directory / name,
                    ROOT / "tests/system/tools" / f"{name}.c", *sources, "-lxencall",
                    "-lxenforeignmemory", "-lxenevtchn", "-lxendevicemodel", "-luring"],
                   check=True)
    return directory / name


def static(directory, name, *sources):
    """A program that runs anywhere: in a guest, too."""
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-static", f"-I{ROOT}", "-o",
                    directory / name, *sources], check=True)
    return directory / name


def hostile(directory):
    """An initramfs whose init is the program of hostile/."""
    tree = directory / "hostile"
    tree.mkdir()
    static(tree, "init", *sorted((ROOT / "tests/system/hostile").glob("*.c")))
    with open(directory / "hostile.cpio", "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=b"init\n", stdout=out,
                       cwd=tree, check=True)
    return directory / "hostile.cpio"


def arguments(option, files):
    return [arg for src, dest in files.items() for arg in (option, f"{src}:{dest}")]


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    return tmp_path_factory.mktemp("tools")


@pytest.fixture(scope="session")
def dom0_files(tools):
    """What dom0 gets beside a monitor: what asks the hypervisor, and what tries it."""
    return arguments("--put-dom0", {
        tool(tools, "domain"): "/bin/domain",
        tool(tools, "domains"): "/bin/domains",
        tool(tools, "hvabi"): "/bin/hvabi",
        tool(tools, "hvowner"): "/bin/hvowner",
        tool(tools, "hvstate"): "/bin/hvstate",
        BUILD / "xenolith": "/bin/xenolith",
        entry("lab/guest/build.sh") / "vmlinux": "/guest/vmlinux",
        entry("lab/guest/initramfs.sh") / "initramfs.cpio": "/guest/initramfs.cpio",
    })


@pytest.fixture(scope="session")
def files(tools, dom0_files):
    """What goes into every lab."""
    return dom0_files + arguments("--put", {
        BUILD / "xenolith": "/bin/xenolith",
        BUILD / "xenolithctl": "/bin/xenolithctl",
        tools / "domain": "/bin/domain",
        tools / "domains": "/bin/domains",
        tool(tools, "hvinside"): "/bin/hvinside",
        tool(tools, "hvops", *ROOT.glob("vmm/hv/*.c"), *ROOT.glob("vmm/lib/*.c")):
            "/bin/hvops",
        entry("lab/guest/build.sh") / "vmlinux": "/guest/vmlinux",
        entry("lab/guest/initramfs.sh") / "initramfs.cpio": "/guest/initramfs.cpio",
        entry("lab/guest/debian.sh") / "debian.ext4": "/guest/debian.ext4",
        entry("lab/guest/stock.sh") / "vmlinux": "/guest/stock",
        entry("lab/guest/stock.sh") / "initramfs.cpio": "/guest/stock.cpio",
        hostile(tools): "/guest/hostile.cpio",
        static(tools, "udp", ROOT / "tests/system/tools/udp.c"): "/bin/udp",
        static(tools, "replay", ROOT / "tests/system/tools/replay.c"): "/bin/replay",
    })


@pytest.fixture(scope="session")
def lab(files):
    with Lab("tests", "--mem", "7168", *files) as lab:
        yield lab


@pytest.fixture(scope="session")
def io(lab):
    """The lab with what disks and networks need: modules, Debian's programs (Lab.debian), and
    /disks (/mnt for those programs), an ext4 file system with room for 400 MiB."""
    lab.run(PREPARE_IO.format(debian=DEBIAN))
    return lab


PREPARE_IO = """
set -e
for module in crc32c_generic loop ext4 dm-mod dm-delay dm-flakey tun bridge; do
    modprobe $module
done
mkdir -p {debian} /disks
mount -o loop,ro /guest/debian.ext4 {debian}
for dir in dev proc sys run tmp; do
    mount -o bind /$dir {debian}/$dir
done
truncate -s 480M /run/disks.img
chroot {debian} /usr/sbin/mke2fs -q -t ext4 -m 0 -E lazy_itable_init=1 /run/disks.img
mount -o loop /run/disks.img /disks
mount -o bind /disks {debian}/mnt
"""


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
