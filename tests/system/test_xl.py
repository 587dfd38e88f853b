# SPDX-License-Identifier: Apache-2.0
"""Debian's xl makes guests of every kind beside ours: the patched Xen is still a Xen.

xl runs in dom0, with a store and a keeper of consoles that stay until the lab ends: a store
cannot be started twice. All guests have Debian's kernel. What those of kind PV and PVH say goes
to xenconsoled; the HVM guest uses a serial port, and that is its QEMU's.
"""

import pytest

from lab import UP, Guest, entry

# Without what only costs time: self-tests, keys for signatures, the search of 256 buses for an
# AGP bridge. An orderly shutdown runs a program that the initramfs does not have by that name.
CONFIG = """name = "{kind}"
type = "{kind}"
kernel = "{kernel}"
ramdisk = "/run/stock.cpio"
extra = 'console={console} quiet panic=1 xenolith.act=idle cryptomgr.notests=1 pci=noearly \
initcall_blacklist=load_system_certificate_list \
"sysctl.kernel.poweroff_cmd=/bin/busybox poweroff -f"'
memory = 256
vcpus = 1
tsc_mode = "native"
on_poweroff = "destroy"
on_reboot = "destroy"
on_crash = "destroy"
"""
# From QEMU nothing but the machine and a serial port; xl has it start the kernel, by the BIOS.
HVM = """serial = "file:/run/log/guest-hvm.log"
vga = "none"
nographic = 1
vnc = 0
usb = 0
"""
QEMU = "pidof xen-qemu-system-i386"


class Guests:
    """xl in dom0."""

    def __init__(self, lab):
        self.dom0 = lab.dom0
        stock = entry("lab/guest/stock.sh")
        for source, dest in ((stock / "vmlinuz", "/run/vmlinuz"),
                             (stock / "vmlinux", "/run/stock"),
                             (stock / "initramfs.cpio", "/run/stock.cpio"),
                             (entry("lab/xl/build.sh") / "xl.tar", "/run/xl.tar")):
            lab("put", "--dom0", str(source), dest)
        # A file system of its own: dom0's first one holds what the driver domain started from.
        self.dom0.run("mkdir /xl && mount -t tmpfs xl /xl && tar -x -C /xl -f /run/xl.tar "
                      "&& rm /run/xl.tar && /xl/start")

    def xl(self, line):
        return self.dom0.run(f"chroot /xl xl {line}")

    def create(self, kind):
        hvm = kind == "hvm"
        text = CONFIG.format(kind=kind, console="ttyS0" if hvm else "hvc0",
                             kernel="/run/vmlinuz" if hvm else "/run/stock")
        self.dom0.put_text(f"/run/{kind}.cfg", text + (HVM if hvm else ""))
        self.xl(f"create /run/{kind}.cfg")

    def wait(self, condition, seconds=90):
        done = self.dom0.run(f"for i in $(seq {seconds * 2}); do {condition} && exit 0; "
                             f"sleep 0.5; done; exit 1", timeout=seconds + 30, check=False)
        assert done.returncode == 0, (condition, self.dom0.run(
            "chroot /xl xl list; tail -n 20 /run/log/* /xl/var/log/xen/*", check=False).stdout)

    def wait_up(self, kind):
        self.wait(f"grep -q '{UP}' /run/log/guest-{kind}.log")

    def names(self):
        """Domains that xl made: the store has no names of ours."""
        words = [line.split()[0] for line in self.xl("list").splitlines()[1:]]
        return {word for word in words if word != "Domain-0" and not word.startswith("(")}


@pytest.fixture(scope="module")
def guests(lab):
    return Guests(lab)


def test_guests_of_xl_come_and_go_beside_ours(lab, guests, nothing_left):
    with Guest(lab) as ours:
        ours.boot(root=None)
        alone = set(lab.domains()[0])
        for kind in "pv", "pvh", "hvm":
            guests.create(kind)
        for kind in "pv", "pvh", "hvm":
            guests.wait_up(kind)
        assert guests.names() == {"pv", "pvh", "hvm"}
        assert len(lab.domains()[0]) == len(alone) + 3
        lab.dom0.run(QEMU)
        assert ours.run("echo $((6 * 7))") == "42\n"

        guests.xl("destroy pv")
        guests.xl("shutdown -w pvh")
        guests.xl("shutdown -w hvm")
        guests.wait(f"! {QEMU} > /dev/null")
        guests.wait("[ $(chroot /xl xl list | grep -cE '^(pv|pvh|hvm) ') = 0 ]")
        assert set(lab.domains()[0]) == alone
        assert ours.run("echo $((6 * 7))") == "42\n"
        ours.finish()
