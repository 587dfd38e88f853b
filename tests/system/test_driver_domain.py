# SPDX-License-Identifier: Apache-2.0
"""Two driver domains beside each other: B, the lab's own, and A, which dom0 starts beside it.
Each runs VMs of its own and knows of no others; when A is killed, its VMs are gone and nothing
else is, at whatever moment that is."""

import json
import os
import random
import re
import time

import pytest

from lab import SOAK, DriverDomain, Guest

KILLS = int(os.environ.get("DRIVER_KILLS", "3"))
SEED = int(os.environ.get("DRIVER_SEED", time.time_ns() % 1000000 if SOAK else 1))
HOST, GUEST = "172.20.0.1", "172.20.0.2"    # the same in both: their networks are two
REFUSED = "error 1\n"
FREE = re.compile("^free (.*)$", re.M)
ENDS = 2    # a VM that powered itself off: what its keeper exits with

# What A does by itself: two micro-VMs at a time, of which each is launched, works with its
# disk and its network, and ends; then the next one. It ends itself when dom0 sends it a letter
# for /proc/sysrq-trigger: without its network if it is `o`. Linux 6.1 marks the queues of virtio
# devices as broken before it powers off, and its virtio_net waits for ever for such a queue to
# have no more used buffers (virtnet_poll_cleantx) when packets are under way.
START = """#!/bin/sh
modprobe tun
vms() {
	truncate -s 4M /run/$1.disk
	while :; do
		(until ip link set tap$1 up; do sleep 0.1; done
		 ip addr add 172.20.$1.1/24 dev tap$1) 2> /dev/null &
		xenolith --id vm$1 --config-file /lab/vm$1.json --no-api --serial file:/run/$1.serial \
			--log-path /run/$1.log < /dev/null
		echo "micro-VM: $?"
		wait
	done
}
vms 1 &
vms 2 &
how=$(nc -l -p 99)
[ "$how" != o ] || ip link set eth0 down
echo "$how" > /proc/sysrq-trigger
"""
JOB = """
ip link set eth0 up
ip addr add 172.20.{n}.2/24 dev eth0
dd if=/dev/urandom of=/dev/vdb bs=64k count=40 conv=fsync
ping -c 5 -i 0.1 172.20.{n}.1
dd if=/dev/vdb of=/dev/null bs=4k count=400 iflag=direct
exit
"""

# A's files, packed in dom0, which has all of them.
PACK = """
set -e
mkdir -p /run/a/bin /run/a/lib /run/a/etc /run/a/root
cp -a /bin/xenolith /bin/domain /run/a/bin
cp -a /lib/x86_64-linux-gnu /run/a/lib
cp -a /lib64 /guest /run/a
cp -a /etc/dropbear /run/a/etc
cp -a /root/.ssh /run/a/root
cd /run/a
find * ! -type d | cpio -o -H newc > /run/a.files 2> /dev/null
head -c 512 /dev/zero >> /run/a.files
rm -rf /run/a
"""
PID = "[ -s /run/second.pid ]"
READY = "grep -q 'lab: ready' /run/second.console"
# Start A, wait for a condition and then for some time; say how many domains there are; end A.
RUN = """
rm -f /run/second.*
(lab-driver {name} {address} /run/a.files 256 < /dev/null > /run/second.out 2>&1 &)
for i in $(seq 1000); do {condition} && break; sleep 0.05; done 2> /dev/null
if ! {condition}; then
	echo "never: {condition}"
	cat /run/second.out /run/second.console /run/second.log
	exit 1
fi
sleep {delay}
keeper=$(cat /run/second.pid)
monitor=$(cat /proc/$keeper/task/$keeper/children)
domid=$(sed -n 's/.*, domain \\([0-9]*\\),.*/\\1/p' /run/second.log 2> /dev/null)
domains | grep -vc free
{how}
"""
# It may be told that it is ready before it listens.
INSIDE = """for i in $(seq 100); do
	echo {letter} | nc -w 1 {address} 99 && break
	[ -d /proc/$keeper ] || break
	sleep 0.1
done"""
FROM_DOM0 = {
    "the keeper killed": "kill -KILL $keeper",
    "the monitor killed": "kill -KILL ${monitor:-$keeper}",
    "both killed": "kill -KILL $keeper $monitor",
}
WAYS = FROM_DOM0 | {
    "destroyed": "domain destroy $domid",
    "panicked": INSIDE.format(letter="c", address=DriverDomain.ADDRESS),
    "powered off": INSIDE.format(letter="o", address=DriverDomain.ADDRESS),
    "rebooted": INSIDE.format(letter="b", address=DriverDomain.ADDRESS),
}
SPREAD = 8  # seconds: more than two VMs after each other take
HEAP = 2    # pages that may be fewer for the whole test: of Xen's heap, parts of pages are in use


def configuration(n):
    return {
        "machine-config": {"vcpu_count": n, "mem_size_mib": 96},
        "boot-source": {"kernel_image_path": "/guest/vmlinux",
                        "initrd_path": "/guest/initramfs.cpio",
                        "boot_args": "console=ttyS0 quiet reboot=k panic=1 "
                                     "xenolith.act=run:/dev/vda"},
        "drives": [{"drive_id": "job", "path_on_host": f"/lab/job{n}",
                    "is_root_device": False, "is_read_only": True},
                   {"drive_id": "disk", "path_on_host": f"/run/{n}.disk",
                    "is_root_device": False, "cache_type": "Writeback"}],
        "network-interfaces": [{"iface_id": "net", "host_dev_name": f"tap{n}"}],
    }


@pytest.fixture(scope="module")
def both(lab):
    if not lab.not_ours > {0}:
        pytest.skip("the lab has no driver domain: LAB_DOMAIN=dom0")
    for domain in lab, lab.dom0:
        domain.run("modprobe tun")
    yield lab
    lab.dom0.run("rm -rf /run/a /run/a.files")


def busy(vm, word):
    """Boot it with a disk and a network of its own domain, and have it work with both."""
    domain = vm.lab
    domain.run("modprobe tun; truncate -s 8M /run/busy.disk")
    vm.drive("disk", "/run/busy.disk", cache_type="Writeback")
    vm.network("net", "busy")
    vm.boot(root=None)
    domain.run(f"ip link set busy up && ip addr add {HOST}/24 dev busy")
    vm.run(f"ip link set eth0 up && ip addr add {GUEST}/24 dev eth0")
    assert " 0% packet loss" in domain.run(f"ping -c 3 {GUEST}")
    vm.run(f"echo {word} > /dev/vda && sync")
    assert domain.run("head -n 1 /run/busy.disk") == f"{word}\n"
    vm.run("""
        i=0
        while [ ! -e /tmp/stop ]; do
            dd if=/dev/urandom of=/dev/vda bs=64k seek=1 count=4 conv=fsync 2> /dev/null &&
                ping -c 1 -W 5 %s > /dev/null || exit 1
            i=$((i + 1)); echo $i > /tmp/rounds; sleep 0.2
        done & echo $! > /tmp/pid; while [ ! -s /tmp/rounds ]; do sleep 0.1; done""" % HOST)


def goes_on(vm, rounds=2):
    """It does so, without an error so far."""
    vm.run(f"end=$(($(cat /tmp/rounds) + {rounds})); while kill -0 $(cat /tmp/pid) && "
           "[ $(cat /tmp/rounds) -lt $end ]; do sleep 0.1; done; kill -0 $(cat /tmp/pid)",
           timeout=120)


def finish(vm):
    goes_on(vm)
    vm.run("touch /tmp/stop && wait $(cat /tmp/pid)")
    vm.finish()
    vm.lab.run("rm /run/busy.disk")


def state(lab, builder):
    """What there is of domains, their pages and event channels, free memory, quotas in use,
    interfaces and monitors, as dom0 sees it."""
    return lab.dom0.run(
        # Without the flags, which say who happens to run.
        "domains | sed 's/^\\([0-9]* \\)[^ ]* /\\1/'; "
        "for i in $(domains | sed -n 's/^\\([0-9]*\\) .*/\\1/p'); do domain ports $i; done; "
        f"hvowner quotas {builder}; ls /sys/class/net; pidof xenolith | tr ' ' '\\n' | sort")


def settles(lab, builder, before):
    """Until everything is as before; tells how many pages fewer are free."""
    end = time.monotonic() + 45
    while True:
        now = state(lab, builder)
        then, free = (int(FREE.search(text).group(1)) for text in (before, now))
        if FREE.sub("", now) == FREE.sub("", before) and then - free <= HEAP:
            return then - free
        assert time.monotonic() < end, f"before:\n{before}\nnow:\n{now}"
        time.sleep(0.3)


def plan(random_):
    """How each A ends, and when: at moments spread over the time from its own launch, or over
    what its VMs do."""
    delays = [(i + random_.random()) / KILLS * SPREAD for i in range(KILLS)]
    ways = [name for _ in range(KILLS // len(WAYS) + 1)
            for name in random_.sample(sorted(WAYS), len(WAYS))]
    random_.shuffle(delays)
    for i, (way, delay) in enumerate(zip(ways, delays)):
        early = way in FROM_DOM0 and i % 3 == 2
        yield way, PID if early else READY, delay * (0.6 if early else 1)


def test_a_killed_driver_domain_leaves_nothing(both, nothing_left):
    """DRIVER_KILLS says how often, DRIVER_SEED repeats a run."""
    lab = both
    dom0 = lab.dom0
    for n in 1, 2:
        dom0.put_text(f"/run/a/lab/vm{n}.json", json.dumps(configuration(n)))
        job = JOB.format(n=n)
        dom0.put_text(f"/run/a/lab/job{n}", job + " " * (512 - len(job)))
    dom0.put_text("/run/a/lab/start", START)
    dom0.run("chmod 755 /run/a/lab/start\n" + PACK)
    (builder,) = lab.not_ours - {0}
    print(f"DRIVER_SEED={SEED}")
    most = 0
    with Guest(lab) as good:
        busy(good, "B")
        before = state(lab, builder)
        alone = len([line for line in before.splitlines() if line.count(" ") == 2])
        for way, condition, delay in plan(random.Random(SEED)):
            said = dom0.run(RUN.format(name=DriverDomain.NAME, address=DriverDomain.ADDRESS,
                                       condition=condition, delay=f"{delay:.2f}", how=WAYS[way]),
                            timeout=180)
            others = int(said.split()[0]) - alone
            most = max(most, others - 1)
            try:
                lost = settles(lab, builder, before)
            except AssertionError:
                print(way, condition, delay, dom0.run("cat /run/second.*"))
                raise
            print(f"{way} {delay:.2f} s after {condition}: {others} domains gone, {lost} pages")
            goes_on(good)
            ended = dom0.run("cat /run/second.console /run/second.log 2> /dev/null || :")
            ended = ended.split("micro-VM: ")
            assert {text.split()[0] for text in ended[1:]} <= {str(ENDS)}, ended
        assert most >= (1 if KILLS < 10 else 2), "A was never killed with its VMs running"
        finish(good)


def info(domain, domid):
    return domain.run(f"domain info {domid}", check=False).stdout


def test_two_driver_domains_run_vms(both, nothing_left):
    lab = both
    lab.dom0.run(PACK)
    (b,) = lab.not_ours - {0}
    before = state(lab, b)
    with DriverDomain(lab, "/run/a.files", 256) as domain_a:
        (a,) = lab.domains()[0]
        with Guest(lab) as in_b:
            busy(in_b, "B")
            (vm_b,) = set(lab.domains()[0]) - {a}
            with Guest(domain_a) as in_a:
                busy(in_a, "A")
                (vm_a,) = set(lab.domains()[0]) - {a, vm_b}
                goes_on(in_b)
                goes_on(in_a)
                assert int(info(domain_a, vm_a)) > 0 and int(info(lab, vm_b)) > 0
                for domain, others in (domain_a, (0, b, vm_b)), (lab, (0, a, vm_a)):
                    assert [info(domain, i) for i in others] == [REFUSED] * 3
                for vm, domain, word in (in_a, domain_a, "A"), (in_b, lab, "B"):
                    assert vm.run("head -n 1 /dev/vda") == f"{word}\n"
                    assert domain.run("head -n 1 /run/busy.disk") == f"{word}\n"
                finish(in_a)
            finish(in_b)
    settles(lab, b, before)
