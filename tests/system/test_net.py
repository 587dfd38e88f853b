# SPDX-License-Identifier: Apache-2.0
"""Networks: guest and dom0 by a tap, two guests by a bridge; nothing stalls, nothing is lost
from the counters."""

import os
import re
import time

import pytest

from lab import Guest

HOST, GUEST, OTHER = "172.20.0.1", "172.20.0.2", "172.20.0.3"
SOAK_SECONDS = int(os.environ.get("SOAK_SECONDS", "5"))


@pytest.fixture
def tap(io, nothing_left):
    """Makes tap interfaces, removed at the end."""
    made = []

    def make(name, *options, address=True, mtu=1500):
        io.debian(f"/usr/bin/ip tuntap add mode tap name {name} vnet_hdr {' '.join(options)}")
        made.append(name)
        io.run(f"ip link set {name} mtu {mtu} up")
        if address:
            io.run(f"ip addr add {HOST}/24 dev {name}")
        return name

    yield make
    for name in made:
        io.run(f"ip link del {name}")


@pytest.fixture
def guest(io, nothing_left):
    with Guest(io) as guest:
        yield guest


@pytest.fixture
def server(io):
    """iperf3 in dom0."""
    io.debian("iperf3 -s -D -I /run/iperf3.pid")
    yield
    io.run("kill $(tr -d '\\0' < /run/iperf3.pid)", check=False)


def set_up(guest, address=GUEST, mtu=1500):
    guest.run(f"ip link set eth0 mtu {mtu} up && ip addr add {address}/24 dev eth0")


def iperf(guest, *options, to=HOST, how_long="-t 1"):
    """Bits a second that arrived: the last sum. The rest stays in the guest, whose console
    needs a millisecond a character here."""
    out = guest.run(f"iperf3 -c {to} {how_long} -J {' '.join(options)} > /tmp/iperf || "
                    "{ tail -n 4 /tmp/iperf; false; } && grep -A 9 '\"sum' /tmp/iperf | "
                    "grep bits_per_second | tail -n 1", timeout=90)
    return float(re.search(r":\s*([\d.e+]+)", out).group(1))


def statistics(lab, name):
    path = f"/sys/class/net/{name}/statistics"
    names = "rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_dropped", "tx_dropped"
    line = "cat " + " ".join(f"{path}/{n}" for n in names)
    return dict(zip(names, map(int, lab.run(line).split())))


def test_ping_both_ways(tap, guest, io):
    guest.network("net", tap("tap0"), guest_mac="06:00:ac:14:00:02")
    guest.boot()
    assert "06:00:ac:14:00:02" in guest.run("ip link show eth0")
    set_up(guest)
    for size in 56, 1400, 8000:
        assert " 0% packet loss" in guest.run(f"ping -c 3 -i 0.2 -s {size} {HOST}")
        assert " 0% packet loss" in io.run(f"ping -c 3 -i 0.2 -s {size} {GUEST}")
    guest.finish()


ETHERNET = 14 # bytes of its header
OFF = "tx off rx off sg off tso off gso off gro off"


def test_tcp_both_ways_with_every_mtu_and_without_offloads(tap, guest, io, server):
    guest.network("net", tap("tap0", mtu=9000), mtu=9000)
    guest.boot(mem=192)
    assert "mtu 9000" in guest.run("ip link show eth0")
    set_up(guest, mtu=9000)
    for offloads in True, False:
        if not offloads:
            guest.run(f"ethtool -K eth0 {OFF}")
            io.debian(f"ethtool -K tap0 {OFF}")
        for mtu in 9000, 1500:
            io.run(f"ip link set tap0 mtu {mtu}")
            guest.run(f"ip link set eth0 mtu {mtu}")
            before = statistics(io, "tap0")
            for direction in "", "-R":
                assert iperf(guest, direction, how_long="-n 1M") > 1e6
            after = statistics(io, "tap0")
            for way in "rx", "tx":
                count, size = (after[f"{way}_{unit}"] - before[f"{way}_{unit}"]
                               for unit in ("packets", "bytes"))
                # Segments of up to 64 KiB pass as one packet, or none does; what goes the
                # other way are small ones, too many of them for a large MTU to show.
                if not offloads:
                    assert size <= count * (mtu + ETHERNET), (way, count, size)
                elif mtu == 1500:
                    assert size > count * (mtu + ETHERNET), (way, count, size)
    guest.finish()


def test_counters_add_up(tap, guest, io, server):
    """The guest's, the tap's and the monitor's are the same."""
    guest.network("net", tap("tap0"))
    guest.boot()
    set_up(guest)
    iperf(guest, how_long="-n 1M")
    iperf(guest, "-R", how_long="-n 1M")
    iperf(guest, "-u", "-b 2M", "-l 500")
    # Linux counts a packet when it collects its buffer, which it must have time for.
    guest.run("sleep 1; ip link set eth0 down")
    ours = statistics(guest, "eth0")
    theirs = statistics(io, "tap0")
    guest.ok("PUT", "/actions", {"action_type": "FlushMetrics"})
    assert ours["tx_packets"] == theirs["rx_packets"]
    assert ours["rx_packets"] + ours["rx_dropped"] == theirs["tx_packets"]
    line = [text for text in guest.log().splitlines() if " counts net net " in text][-1]
    counts = {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", line)}
    assert counts["tx_packets"] == ours["tx_packets"], line
    assert counts["rx_packets"] == theirs["tx_packets"], line
    assert counts["tx_bytes"] == theirs["rx_bytes"], line
    guest.finish()


def flood(lab, packets=2000):
    """More packets to the guest than its ring has buffers; how many went."""
    return int(lab.run(f"udp send {GUEST} 9 {packets}"))


def test_a_flood_at_a_guest_that_does_not_read(tap, guest, io):
    """Neither its program nor, while it is paused, its kernel: the receive ring fills up, and
    goes on when it runs (the class of CVE-2020-16843)."""
    io.run("cp /bin/udp /run/udp.img && truncate -s 1M /run/udp.img")
    guest.drive("udp", "/run/udp.img", is_read_only=True)
    guest.network("net", tap("tap0"))
    guest.boot()
    set_up(guest)
    guest.run("cat /dev/vdb > /tmp/udp; chmod +x /tmp/udp; /tmp/udp hold 9 > /tmp/held & "
              "while ! grep -q holds /tmp/held; do sleep 0.1; done")
    assert flood(io) > 300
    assert " 0% packet loss" in guest.run(f"ping -c 3 -i 0.2 {HOST}")
    guest.ok("PATCH", "/vm", {"state": "Paused"})
    guest.ok("PUT", "/actions", {"action_type": "FlushMetrics"})
    stalls = guest.counts()["rx_stalls"]
    assert flood(io) > 300
    guest.ok("PATCH", "/vm", {"state": "Resumed"})
    assert " 0% packet loss" in io.run(f"sleep 1; ping -c 3 -i 0.2 {GUEST}")
    assert " 0% packet loss" in guest.run(f"ping -c 3 -i 0.2 {HOST}")
    guest.finish()
    assert guest.counts()["rx_stalls"] > stalls, guest.log()


def test_queues_for_each_vcpu(tap, guest, server):
    guest.configure(vcpus=2, mem=192)
    guest.network("net", tap("tap0", "multi_queue"))
    guest.boot(vcpus=2, mem=192)
    set_up(guest)
    assert re.findall(r"Combined:\s+(\d+)", guest.run("ethtool -l eth0")) == ["2", "2"]
    for queues, direction in (1, ""), (2, "-R"), (2, ""):
        guest.run(f"ethtool -L eth0 combined {queues}")
        assert iperf(guest, "-P 2", direction, how_long="-n 512K") > 0
    guest.finish()


def test_a_rate_limit_holds_both_ways_and_can_be_lifted(tap, guest, server):
    limit = {"bandwidth": {"size": 62500, "refill_time": 1000}}  # 0.5 Mbit/s
    guest.network("net", tap("tap0"), rx_rate_limiter=limit, tx_rate_limiter=limit)
    guest.boot()
    set_up(guest)
    # 256 KiB, of which a quarter may come at once; slow emulation passes 3 Mbit/s.
    for direction in "", "-R":
        rate = iperf(guest, direction, "-w 16K", how_long="-n 256K")
        assert rate < 0.8e6, rate
    lifted = {"bandwidth": {"size": 0, "refill_time": 0}}
    guest.ok("PATCH", "/network-interfaces/net", {"iface_id": "net", "rx_rate_limiter": lifted,
                                                  "tx_rate_limiter": lifted})
    for direction in "", "-R":
        assert iperf(guest, direction, how_long="-n 1M") > 1.2e6
    guest.finish()


@pytest.fixture
def bridge(io, nothing_left):
    io.run(f"ip link add br0 type bridge && ip addr add {HOST}/24 dev br0 && ip link set br0 up")
    yield "br0"
    io.run("ip link del br0")


def test_two_guests_on_a_bridge(bridge, tap, io, nothing_left):
    with Guest(io) as one, Guest(io) as two:
        for i, guest in enumerate((one, two)):
            name = tap(f"tap{i}", address=False)
            io.run(f"ip link set {name} master {bridge}")
            guest.network("net", name, guest_mac=f"06:00:ac:14:00:0{2 + i}")
            guest.boot(mem=192)
        set_up(one, GUEST)
        set_up(two, OTHER)
        assert " 0% packet loss" in one.run(f"ping -c 3 -i 0.2 {OTHER}")
        assert " 0% packet loss" in two.run(f"ping -c 3 -i 0.2 {GUEST}")
        two.run("iperf3 -s -D")
        for direction in "", "-R":
            assert iperf(one, direction, to=OTHER, how_long="-n 1M") > 1e6
        one.finish()
        assert " 0% packet loss" in two.run(f"ping -c 3 -i 0.2 {HOST}")
        two.finish()


def resident(monitor):
    """Bytes of memory that the monitor itself has."""
    status = monitor.lab.run(f"cat /proc/{monitor.pids()[1]}/status")
    return int(re.search(r"RssAnon:\s+(\d+)", status).group(1)) << 10


def test_everything_at_once(tap, guest, io, server):
    """TCP both ways, pings, a UDP flood, offloads on and off, with a disk at work: no stall,
    no leak. SOAK_SECONDS says for how long."""
    io.debian("iperf3 -s -D -p 5202")
    io.run("truncate -s 32M /disks/soak")
    guest.drive("d", "/disks/soak", cache_type="Writeback")
    guest.network("net", tap("tap0"))
    guest.boot(mem=256, vcpus=2)
    set_up(guest)
    iperf(guest)
    before = resident(guest)
    end = time.monotonic() + SOAK_SECONDS
    rounds = 0
    while time.monotonic() < end:
        switch = "off" if rounds % 2 else "on"
        guest.run(f"ethtool -K eth0 tso {switch} gso {switch} gro {switch}; "
                  f"iperf3 -c {HOST} -t 4 -J > /tmp/a & a=$!; "
                  f"iperf3 -c {HOST} -p 5202 -R -t 4 -J > /tmp/b & b=$!; "
                  "fio --name=x --filename=/dev/vdb --direct=1 --rw=randrw --bs=16k --size=32M "
                  "--runtime=4 --time_based --verify=crc32c --verify_state_save=0 "
                  "> /tmp/c & c=$!; "
                  f"ping -i 0.1 -c 30 {HOST} > /tmp/d; wait $a && wait $b && wait $c",
                  timeout=120)
        flood(io)
        assert " 0% packet loss" in guest.run(f"ping -c 3 -i 0.2 {HOST}")
        rounds += 1
    assert rounds > 0
    assert resident(guest) < before + (1 << 20)
    guest.finish()
    io.run("rm -f /disks/soak; killall iperf3", check=False)
