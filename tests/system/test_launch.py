# SPDX-License-Identifier: Apache-2.0
"""A micro-VM's life through its API: the calls that every client makes."""

import json
import re
import subprocess

import pytest

from lab import ROOT, SOAK, Console, Monitor, entry

XEN_DOMINF_PAUSED = 1 << 3

def readme_example():
    """The curl commands of the README, as they stand there."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- example -->\n```sh\n(.*?)```", text, re.S).group(1)
    return block


def test_the_readmes_curl_example_launches_pauses_resumes_and_ends(monitor):
    script = readme_example()
    assert script.count("curl") >= 8
    monitor.lab("put", str(entry("lab/guest/rootfs.sh") / "rootfs.ext4"), "/guest/rootfs.ext4")
    monitor.lab.run("modprobe tun")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], timeout=120, text=True,
                          env={"PATH": "/usr/bin:/bin", "API": str(monitor.socket)},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    for state in "Running", "Paused":
        assert f'"state":"{state}"' in done.stdout
    monitor.wait_up()
    monitor.lab.run(f"kill -TERM $(cat {monitor.dir}/pid)")
    assert monitor.wait_exit() == 143


def test_guest_reports_up_and_the_boot_timer_is_logged(monitor):
    monitor.start("xenolith.act=idle")
    monitor.wait_up()
    monitor.wait_for(f"grep -q 'Guest-boot-time =' {monitor.dir}/log")
    assert monitor.ok("GET", "/")["state"] == "Running"


def test_paused_guest_makes_no_progress(monitor):
    monitor.start("xenolith.act=idle")
    monitor.wait_up()
    for _ in range(2):
        monitor.ok("PATCH", "/vm", {"state": "Paused"})
    assert monitor.ok("GET", "/")["state"] == "Paused"
    domid = next(iter(monitor.lab.domains()[0]))
    flags = monitor.lab.domains()[0][domid]
    assert flags & XEN_DOMINF_PAUSED
    for _ in range(2):
        monitor.ok("PATCH", "/vm", {"state": "Resumed"})
    assert not monitor.lab.domains()[0][domid] & XEN_DOMINF_PAUSED
    assert monitor.ok("GET", "/")["state"] == "Running"


@pytest.mark.parametrize("vcpus, mem", [(1, 48), (2, 128), (4, 300), (1, 3500),
                                         (32 if SOAK else 8, 256)])
def test_guest_has_the_vcpus_and_memory_it_was_given(lab, nothing_left, vcpus, mem):
    with Monitor(lab, serial="unix:/run/console.sock") as monitor:
        with Console(lab, "/run/console.sock") as console:
            monitor.start(vcpus=vcpus, mem=mem)
            console.expect("# ", 240)
            console.send("nproc; grep MemTotal /proc/meminfo\n")
            got = console.expect("kB")
            assert re.search(rf"^{vcpus}\r?$", got, re.M), got
            total = int(re.search(r"MemTotal: +(\d+)", got).group(1)) // 1024
            assert 0.75 * mem - 24 < total <= mem, got
            console.send("poweroff -f\n")
            assert monitor.wait_exit(120) == 2


def test_machine_config_may_change_after_memory_was_populated(monitor):
    monitor.configure(vcpus=1, mem=64)
    monitor.configure(vcpus=2, mem=96)
    monitor.start("xenolith.act=idle", vcpus=2, mem=80)
    monitor.wait_up()
    assert len(monitor.lab.domains()[0]) == 1


def test_console_carries_bytes_both_ways(lab, nothing_left):
    with Monitor(lab, serial="unix:/run/console.sock") as monitor:
        with Console(lab, "/run/console.sock") as console:
            monitor.start()
            console.expect("# ")
            console.send("echo $((6 * 7))-answer\n")
            assert "42-answer" in console.expect("42-answer")
            # 5 KB in one go: every byte arrives, in order.
            console.send("seq 1 1000 | tr '\\n' ' '; echo done-$((1 + 1))\n")
            got = console.expect("done-2", 120)
            numbers = re.findall(r"\d+", got[got.index(" 2 3 4 "):])
            assert numbers[:999] == [str(n) for n in range(2, 1001)]
            console.send("reboot -f\n")
            assert monitor.wait_exit() == 0


def test_console_without_a_reader_does_not_hold_up_the_guest(lab, nothing_left):
    """Standard output is a full pipe that nobody reads, and the kernel says a lot."""
    lab.run("rm -f /run/unread; mkfifo /run/unread; (sleep 600 < /run/unread) > /dev/null 2>&1 & "
            "head -c 65536 /dev/zero > /run/unread")
    with Monitor(lab, serial="stdio", redirect="< /dev/null > /run/unread") as monitor:
        monitor.start("ignore_loglevel xenolith.act=reboot")
        assert monitor.wait_exit() == 0
        assert monitor.counts()["out"] > 4000, monitor.log()
    lab.run("killall sleep; rm -f /run/unread", check=False)


def test_get_vm_config_can_be_given_back_as_config_file(lab, nothing_left):
    with Monitor(lab) as first:
        first.configure("xenolith.act=reboot", vcpus=2, mem=96)
        config = first.ok("GET", "/vm/config")
    lab.put_text("/run/config.json", json.dumps(config))
    done = lab.run("xenolith --config-file /run/config.json --no-api < /dev/null", check=False)
    assert done.returncode == 0, done.stdout
