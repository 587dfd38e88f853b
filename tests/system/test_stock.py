# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernel finds the devices with its own modules, by ACPI, and uses them."""

import re

from lab import Guest


def found(guest):
    """What lab/guest/stock-init.sh printed: [(driver, what it made)]."""
    return re.findall(r"stock: virtio virtio\d+ (\w+) (\w+)", guest.said)


def test_stock_kernel_finds_and_uses_disk_and_network(io, nothing_left):
    io.run("truncate -s 16M /disks/stock")
    io.debian("/usr/bin/ip tuntap add mode tap name tap0 vnet_hdr multi_queue")
    io.run("ip addr add 172.20.0.1/24 dev tap0 && ip link set tap0 up")
    try:
        with Guest(io) as guest:
            guest.drive("d", "/disks/stock", cache_type="Writeback")
            guest.network("net", "tap0")
            guest.boot(kernel="/guest/stock", initrd="/guest/stock.cpio", mem=256)
            assert found(guest) == [("virtio_blk", "vda"), ("virtio_blk", "vdb"),
                                    ("virtio_net", "eth0")]
            assert "6.1" in guest.run("uname -r")
            guest.run("dd if=/dev/urandom of=/tmp/x bs=1M count=8; "
                      "dd if=/tmp/x of=/dev/vdb bs=1M conv=fsync; "
                      "dd if=/dev/vdb bs=1M count=8 iflag=direct | cmp - /tmp/x")
            guest.run("ip link set eth0 up && ip addr add 172.20.0.2/24 dev eth0")
            assert " 0% packet loss" in guest.run("ping -c 3 -i 0.2 172.20.0.1")
            assert " 0% packet loss" in io.run("ping -c 3 -i 0.2 172.20.0.2")
            guest.finish()
    finally:
        io.run("ip link del tap0; rm -f /disks/stock", check=False)
