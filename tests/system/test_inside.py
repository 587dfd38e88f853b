# SPDX-License-Identifier: Apache-2.0
"""A compromised driver domain, beside another one that runs a VM: what Xen refuses it."""

import os

import pytest

from lab import ALONE, DriverDomain, Guest
from test_patches import passes

# Calls on others, and as many on its own domains; `make soak` makes more.
ATTACKS = int(os.environ.get("ATTACKS", "15000"))
SEED = int(os.environ.get("ATTACKS_SEED", "11"))
SLICE = 100000  # at a time: meanwhile the other domains stand still, and their connections wait

# What the other driver domain has: all of it is in dom0, too.
ARCHIVE = "/run/other.files"
PACK = f"""
set -e
cd /
find bin/xenolith lib/x86_64-linux-gnu lib64 guest etc/dropbear root/.ssh ! -type d |
    cpio -o -H newc > {ARCHIVE}
head -c 512 /dev/zero >> {ARCHIVE}
"""


def state(dom0, domids, name="before"):
    return dom0.run(f"HVSTATE_PAGES=/run/{name} hvstate show 0 {domids}", timeout=120)


def settled(dom0, domids):
    """The same, once the timers that were set have gone off. Every 11 minutes, and when its time
    is set, Linux tells Xen what time it is, and Xen tells every domain: not during the attack."""
    dom0.run("date -s @$(date +%s)")
    last, now = None, state(dom0, domids)
    while now != last:
        last, now = now, state(dom0, domids)
    return now


CHANGES = """
for domain in {domids}; do
    diff /run/before.$domain /run/after.$domain | sed -n 's/^+\\([0-9a-f]\\)/\\1/p' | head -4 |
        while read frame sum; do
            echo "domain $domain, frame $frame:"
            hvstate page $domain $frame | head -40
        done
done
"""


def unchanged(dom0, domids, before):
    after = state(dom0, domids, "after")
    if after != before:
        print(dom0.run(CHANGES.format(domids=domids), check=False).stdout)
    assert after == before


def attack(lab, vm, domids, calls, seed):
    """With everything that is not the attacker's paused: afterwards it is as before."""
    lab.dom0.run(f"ip link set {DriverDomain.NAME}0 down; hvstate pause {domids}")
    before = settled(lab.dom0, domids)
    passes(lab.run(f"hvinside {calls} {seed} {domids}", timeout=60 + calls // 200,
                   check=False), 20)
    unchanged(lab.dom0, domids, before)
    lab.dom0.run(f"hvstate unpause {domids}; ip link set {DriverDomain.NAME}0 up")
    assert vm.run("cat /tmp/word") == "mine\n"


def compromised(lab, calls):
    """The lab's own driver domain is the attacker, the one beside it has a VM."""
    lab.dom0.run(PACK)
    with DriverDomain(lab, ARCHIVE, 256) as other:
        (builder,) = lab.domains()[0]
        with Guest(other) as vm:
            vm.boot(root=None)
            vm.run("echo mine > /tmp/word")
            (own,) = set(lab.domains()[0]) - {builder}
            # What the attacker needs the first time is its own.
            passes(lab.run(f"hvinside 500 1 {builder} {own}", check=False), 20)
            for done in range(0, calls, SLICE):
                attack(lab, vm, f"{builder} {own}", min(SLICE, calls - done), SEED + done)
            vm.finish()
    lab.dom0.run(f"rm {ARCHIVE} /run/before.* /run/after.*")


@pytest.mark.skipif(ALONE, reason="LAB_DOMAIN=dom0: there is no driver domain")
def test_a_compromised_monitor_reaches_its_own_domains_only(lab, nothing_left):
    compromised(lab, ATTACKS)
