# SPDX-License-Identifier: Apache-2.0
"""Every way a VM ends: the exit status says which, and nothing is left."""

import re

import pytest

from lab import BOOT_ARGS, SOAK, Monitor

GUEST_ENDS = [("reboot", 0), ("poweroff", 2), ("halt", 3), ("panic", 4), ("triple", 5)]


@pytest.mark.parametrize("act, status", GUEST_ENDS)
def test_guest_ends_itself(monitor, act, status):
    monitor.start(f"xenolith.act={act}")
    assert monitor.wait_exit() == status, monitor.log()
    assert f"exit status {status}" in monitor.log()


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("signal, status", [("TERM", 143), ("INT", 130), ("HUP", 129)])
def test_signal_to_the_program(monitor, signal, status, paused):
    monitor.start("xenolith.act=busy")
    monitor.wait_up()
    if paused:
        monitor.ok("PATCH", "/vm", {"state": "Paused"})
    monitor.lab.run(f"kill -{signal} {monitor.pids()[0]}")
    assert monitor.wait_exit() == status, monitor.log()
    assert monitor.lab.run(f"ls {monitor.api_path}", check=False).returncode != 0


def test_signal_before_the_start(monitor):
    monitor.configure()
    monitor.lab.run(f"kill -TERM {monitor.pids()[0]}")
    assert monitor.wait_exit() == 143


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("victim", ["keeper", "monitor"])
def test_killed_half_takes_all_with_it(monitor, victim, started):
    monitor.configure("xenolith.act=busy")
    if started:
        monitor.ok("PUT", "/actions", {"action_type": "InstanceStart"})
        monitor.wait_up()
    keeper, child = monitor.pids()
    monitor.lab.run(f"kill -KILL {keeper if victim == 'keeper' else child}")
    # Who started the program sees signal 9 when it was the keeper; SSH has no word for it.
    assert monitor.wait_exit() == (255 if victim == "keeper" else 137), monitor.log()
    monitor.wait_for(f"[ ! -d /proc/{keeper} ] && [ ! -d /proc/{child} ] && "
                     f"[ ! -e {monitor.api_path} ] && [ $(domains | wc -l) = 2 ]", 10)


def test_both_halves_killed_at_once(monitor):
    monitor.start("xenolith.act=busy")
    monitor.wait_up()
    keeper, child = monitor.pids()
    monitor.lab.run(f"kill -KILL {keeper} {child}")
    monitor.wait_exit()
    monitor.wait_for("[ $(domains | wc -l) = 2 ]", 10)


def test_socket_of_another_is_left_alone(monitor):
    done = monitor.lab.run(f"xenolith --api-sock {monitor.api_path} < /dev/null", check=False)
    assert done.returncode == 1
    assert monitor.api_path in done.stdout
    assert monitor.ok("GET", "/")["state"] == "Not started"


def test_second_monitor_starts_at_once_on_the_same_path(lab, nothing_left):
    line = (f"xenolith --api-sock /run/again.sock --serial none --config-file /run/reboot.json "
            f"< /dev/null || exit 1; ")
    lab.put_text("/run/reboot.json", config("xenolith.act=reboot"))
    lab.run(line * 3)


def config(args, mem=64):
    return f"""{{"boot-source": {{"kernel_image_path": "/guest/vmlinux",
                 "initrd_path": "/guest/initramfs.cpio",
                 "boot_args": "{BOOT_ARGS} {args}"}},
                 "machine-config": {{"vcpu_count": 1, "mem_size_mib": {mem}}},
                 "drives": []}}"""


def test_many_launches_every_way_of_ending(lab, nothing_left):
    """Five ways, in turn; all in one shell, as fast as they go."""
    for act, _ in GUEST_ENDS:
        lab.put_text(f"/run/{act}.json", config(f"xenolith.act={act}"))
    lab.put_text("/run/many", MANY)
    done = lab.run(f"sh /run/many {LAUNCHES}", timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert len(re.findall(r"^\d+ \w+ ok$", done.stdout, re.M)) == LAUNCHES, done.stdout[-4000:]


LAUNCHES = 100 if SOAK else 25
MANY = """
set -u
cd /run
fail() { echo "$*"; exit 1; }
free=$(domains | sed -n 's/^free //p')
n=0
while [ $n -lt $1 ]; do
	for end in reboot:0 poweroff:2 halt:3 panic:4 triple:5; do
		act=${end%:*} want=${end#*:}
		n=$((n + 1))
		xenolith --api-sock /run/h.sock --id n$n --serial file:/run/h.serial \\
			--config-file /run/$act.json --log-path /run/h.log < /dev/null
		got=$?
		[ $got = $want ] || { cat h.log; fail "launch $n: $act gave $got"; }
		[ ! -e h.sock ] || fail "launch $n: socket left"
		[ -z "$(pidof xenolith)" ] || fail "launch $n: process left"
		[ "$(domains | wc -l)" = 2 ] || { domains; fail "launch $n: domain left"; }
		rm -f h.serial h.log
		echo "$n $act ok"
	done
done
now=$(domains | sed -n 's/^free //p')
[ $((free - now)) -lt 512 ] || fail "memory lost: $free pages before, $now after"
"""
