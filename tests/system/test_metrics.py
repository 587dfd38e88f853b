# SPDX-License-Identifier: Apache-2.0
"""Metrics of a real guest are what it did, by its own counters."""

import json

import pytest

from lab import Guest

HOST, GUEST = "172.20.0.1", "172.20.0.2"


@pytest.fixture
def world(io, nothing_left):
    """A disk of 16 MiB and a tap."""
    io.run("rm -rf /disks/m; mkdir /disks/m; truncate -s 16M /disks/m/d")
    io.debian("/usr/bin/ip tuntap add mode tap name tap0 vnet_hdr")
    io.run(f"ip link set tap0 up && ip addr add {HOST}/24 dev tap0")
    yield io
    io.run("ip link del tap0; rm -rf /disks/m")


def total(lines, group, name):
    """What a counter came to: lines tell what was added."""
    sub = name.split(".")
    values = [line.get(group, {}) for line in lines]
    for part in sub:
        values = [v.get(part, {} if part != sub[-1] else 0) for v in values]
    return sum(values)


def disk_statistics(guest):
    """Linux, Documentation/block/stat.rst; for it a flush is a write, too."""
    fields = [int(f) for f in guest.run("cat /sys/block/vdb/stat").split()]
    return {"read_count": fields[0], "read_bytes": fields[2] * 512, "write_count": fields[4] - fields[15],
            "write_bytes": fields[6] * 512, "flush_count": fields[15]}


def net_statistics(lab, name, *names):
    path = f"/sys/class/net/{name}/statistics"
    return [int(n) for n in lab.run("cat " + " ".join(f"{path}/{n}" for n in names)).split()]


def interrupts(guest):
    """Of all virtio devices, as the guest has them."""
    lines = [line.split() for line in guest.run("grep virtio /proc/interrupts").splitlines()]
    return sum(int(line[1]) for line in lines)


def test_metrics_are_what_the_guest_did(world):
    with Guest(world, "--metrics-period-ms", "2000") as guest:
        guest.ok("PUT", "/metrics", {"metrics_path": f"{guest.dir}/metrics", "emit_id": True})
        guest.drive("d", "/disks/m/d", cache_type="Writeback")
        guest.network("net", "tap0")
        guest.boot()
        guest.run(f"ip link set eth0 up && ip addr add {GUEST}/24 dev eth0")
        guest.run("dd if=/dev/urandom of=/dev/vdb bs=4k count=100 oflag=direct conv=fsync")
        guest.run("dd if=/dev/vdb of=/dev/null bs=64k count=50 iflag=direct")
        guest.run("dd if=/dev/vdb of=/dev/null bs=512 count=20 skip=64 iflag=direct")
        guest.run(f"ping -c 20 -i 0.1 -s 1000 {HOST}")
        guest.run("ip link set eth0 down; sync")
        disk = disk_statistics(guest)
        sent, sent_bytes = net_statistics(guest, "eth0", "tx_packets", "tx_bytes")
        taken = interrupts(guest)
        before = net_statistics(world, "tap0", "tx_packets", "tx_bytes")
        guest.ok("PUT", "/actions", {"action_type": "FlushMetrics"})
        after = net_statistics(world, "tap0", "tx_packets", "tx_bytes")
        text = world.run(f"cat {guest.dir}/metrics")
        guest.finish()
        at_end = world.run(f"cat {guest.dir}/metrics")

    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) > 2 and all(line["id"] == "anonymous-instance" for line in lines)
    assert {name: total(lines, "block_d", name) for name in disk} == disk
    for kind in "read", "write", "flush":
        assert total(lines, "block_d", f"{kind}_agg.sum_us") > 0
        agg = lines[-1]["block_d"][f"{kind}_agg"]
        assert 0 < agg["min_us"] <= agg["max_us"]
    assert total(lines, "net_net", "tx_packets_count") == sent >= 20
    assert total(lines, "net_net", "tx_bytes_count") == sent_bytes
    # dom0 may have something to say to the network at any time.
    for name, low, high in zip(("rx_packets_count", "rx_bytes_count"), before, after):
        assert low <= total(lines, "net_net", name) <= high
    assert before[0] >= 20
    assert total(lines, "net_net", "tap_write_agg.sum_us") > 0
    raised = sum(total(lines, group, "interrupt_count") for group in ("block", "net"))
    # An edge that comes before the one before was taken is not one more.
    assert 0 < taken <= raised
    for group, name in (("vcpu", "exit_io_out"), ("xen", "ioreq_count"), ("xen", "dm_op_count"),
                        ("uart", "out_bytes"), ("io_uring", "enter_count"),
                        ("block_d", "queue_event_count"), ("net_net", "tx_queue_event_count")):
        assert total(lines, group, name) > 0, (group, name)
    assert total(lines, "logger", "missed_metrics_count") == 0
    # One more at the end, which came after the last one asked for.
    last = at_end.splitlines()
    assert last[:len(lines)] == text.splitlines() and len(last) > len(lines)
    assert total([json.loads(line) for line in last[len(lines):]], "uart", "out_bytes") > 0
