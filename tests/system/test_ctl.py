# SPDX-License-Identifier: Apache-2.0
"""xenolithctl on Xen, as somebody at a terminal of dom0 uses it."""

import os
import pty
import select
import subprocess
import time

import pytest

from lab import LAB, LIFETIME

RUN = "xenolithctl run --kernel /guest/vmlinux"
DISK = f"{RUN} --disk /guest/debian.ext4,ro"
RAM = f"{RUN} --initrd /guest/initramfs.cpio"


@pytest.fixture(autouse=True)
def clean(lab, nothing_left):
    """No run directory outlives a test, either."""
    yield
    lab.run("for i in $(seq 50); do [ -z \"$(ls /run/xenolith)\" ] && exit; sleep 0.1; done; "
            # It is to spoil no other test.
            "for left in $(ls /run/xenolith); do echo $left; xenolithctl kill $left; done; exit 1")


class Terminal:
    """A command in dom0, on a terminal that reaches from here into the guest."""

    def __init__(self, lab, line):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [LAB, "run", "--timeout", str(LIFETIME), "--tty", line], env=lab.env, stdin=slave,
            stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.seen = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self.master)

    def expect(self, text, seconds=60):
        end = time.monotonic() + seconds
        while text not in self.seen:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                raise AssertionError(f"no {text!r} in {self.seen!r}") from None
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.master, text)

    def command(self, line, answer):
        """A line for the guest's shell; what it echoes is not its answer."""
        self.type(line + b"\r")
        self.expect(b"\r\n")
        self.expect(answer)


def test_a_command_and_its_status(lab):
    done = lab.run(f"{DISK} -c 'grep -c processor /proc/cpuinfo; ls -d /usr/bin/fio; "
                   f"echo \"6 * 7 = $((6 * 7))\"; exit 42' --cpus 2", check=False)
    assert done.stdout.splitlines() == ["2", "/usr/bin/fio", "6 * 7 = 42"]
    assert done.returncode == 42


def test_a_command_without_a_disk(lab):
    done = lab.run(f"{RAM} -c 'busybox id -u; exit 3'", check=False)
    assert (done.returncode, done.stdout) == (3, "0\n")


def test_a_command_writes_to_the_disk(lab):
    """It is there in the next one: the disk was written to before the end."""
    lab.run("cp /guest/debian.ext4 /run/ctl.ext4")
    run = f"{RUN} -d /run/ctl.ext4,writeback"
    lab.run(f"{run} -c 'echo kept > /file'")
    assert lab.run(f"{run} -c 'cat /file'") == "kept\n"
    lab.run("rm /run/ctl.ext4")


@pytest.mark.parametrize("act, status", [("reboot", 0), ("poweroff", 2), ("panic", 4)])
def test_the_guest_s_end(lab, act, status):
    done = lab.run(f"{RAM} -a xenolith.act={act} < /dev/null", check=False)
    assert done.returncode == status
    assert "/init reached" in done.stdout


def test_no_shell(lab):
    done = lab.run(f"{RAM} -a rdinit=/nonexistent --timeout 60 -c true --args 'console=ttyS0 "
                   "panic=1' --disk /guest/stock.cpio,ro", check=False)
    assert done.returncode == 125
    # The kernel's last words are shown.
    assert "Kernel panic - not syncing: " in done.stdout


@pytest.mark.parametrize("victim", ["ctl", "keeper", "monitor"])
def test_killed(lab, victim):
    """Of three processes any one may be killed: nothing is left."""
    process = lab.popen(f"echo $$ > /run/ctl.pid; exec {RAM} --name vm -a xenolith.act=busy",
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT)
    lab.run("for i in $(seq 100); do xenolithctl api -i vm GET / 2> /dev/null | grep -q Running "
            "&& exit; sleep 0.2; done; exit 1")
    lab.run({"ctl": "kill -9 $(cat /run/ctl.pid)",
             "keeper": "kill -9 $(cat /run/xenolith/vm/pid)",
             "monitor": "k=$(cat /run/xenolith/vm/pid); "
                        "kill -9 $(cat /proc/$k/task/$k/children)"}[victim])
    process.communicate(timeout=60)
    assert process.returncode == (255 if victim == "ctl" else 137)
    lab.run("for i in $(seq 100); do pidof xenolith xenolithctl > /dev/null || exit 0; "
            "sleep 0.1; done; exit 1")


def test_detach_and_attach(lab):
    with Terminal(lab, f"{RAM} --name vm") as terminal:
        terminal.expect(b"/init reached")
        terminal.command(b"echo $((6*7))", b"42\r\n")
        terminal.type(b"\x1dd")
        terminal.expect(b"vm runs on; xenolithctl console vm attaches again")
        assert terminal.process.wait(timeout=30) == 0
    with Terminal(lab, "xenolithctl console") as terminal:
        terminal.expect(b"vm: Ctrl-] d detaches")
        # Ctrl-C is the guest's shell's, not ours.
        terminal.type(b"\x03")
        terminal.expect(b"^C")
        terminal.expect(b"# ")
        terminal.command(b"echo $((6*8))", b"48\r\n")
        terminal.type(b"exit\r")
        terminal.expect(b"vm has ended")
        assert terminal.process.wait(timeout=30) == 0


def test_create_start_stop(lab):
    lab.run("xenolithctl create web -k /guest/vmlinux --initrd /guest/initramfs.cpio "
            "-a xenolith.act=idle")
    lab.run("xenolithctl start web && (xenolithctl console web --no-input & c=$!; "
            "sleep 4; kill $c) | grep -q '/init reached'")
    lab.run("xenolithctl pause web && xenolithctl resume web")
    assert "web: stopped" in lab.run("xenolithctl stop web")
