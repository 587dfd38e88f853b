# SPDX-License-Identifier: Apache-2.0
"""A guest that breaks every rule of virtio (hostile/): its monitor survives all of it, and
its neighbour notices nothing."""

import os
import re

from lab import Guest, Monitor

MEM = 128
SCALE = int(os.environ.get("HOSTILE_SCALE", "1"))
# The kernel is to leave the last MiB alone: the hostile driver's rings are there.
ARGS = f"mem={MEM - 32}M hostile.end={MEM} hostile.scale={SCALE}"


def test_a_hostile_guest_harms_nobody(io, nothing_left):
    io.run("truncate -s 16M /disks/hostile1 /disks/hostile2 /disks/good")
    for name in "tap0", "tap1":
        io.debian(f"/usr/bin/ip tuntap add mode tap name {name} vnet_hdr")
        io.run(f"ip link set {name} up")
    io.run("ip addr add 172.20.0.1/24 dev tap1")
    try:
        with Guest(io) as good, Monitor(io) as bad:
            good.drive("d", "/disks/good", cache_type="Writeback")
            good.network("net", "tap1")
            good.boot()
            good.run("ip link set eth0 up && ip addr add 172.20.0.2/24 dev eth0")
            good.send("while [ ! -e /tmp/stop ]; do dd if=/dev/urandom of=/dev/vdb bs=64k "
                      "count=4 conv=fsync 2> /dev/null && ping -c 1 -W 5 172.20.0.1 > /dev/null "
                      "|| exit 1; sleep 0.5; done & echo $! > /tmp/pid")
            good.answer()
            bad.drive("a", "/disks/hostile1", cache_type="Writeback")
            bad.drive("b", "/disks/hostile2", direct=True)
            bad.network("net", "tap0")
            bad.start(ARGS, mem=MEM, initrd="/guest/hostile.cpio")
            assert bad.wait_exit(600 + 30 * SCALE) == 2, bad.log()[-3000:] + bad.serial()[-3000:]
            said = bad.serial()
            assert not re.findall(r"^hostile: .*FAIL:.*", said, re.M), said
            assert "hostile: done, 3 devices, 0 failed" in said, said[-3000:]
            assert "3 devices taken from" in said and "3 devices given back" in said, said
            good.run("kill -0 $(cat /tmp/pid) && touch /tmp/stop && wait $(cat /tmp/pid)")
            good.finish()
    finally:
        io.run("ip link del tap0; ip link del tap1; rm -f /disks/hostile? /disks/good",
               check=False)
