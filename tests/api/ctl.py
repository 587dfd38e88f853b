# SPDX-License-Identifier: Apache-2.0
"""Running xenolithctl: with pipes, with a terminal, and what it may have left."""
import os
import pty
import select
import subprocess
import time

from harness import TIMEOUT, binary, wait_until


def ctl_binary():
    return os.path.join(os.path.dirname(binary()), "xenolithctl")


class Terminal:
    """A command of xenolithctl on a terminal of its own."""

    def __init__(self, argv, env):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(argv, env=env, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        self.slave = slave      # stays open: how it is set can be looked at
        self.seen = b""

    def expect(self, text):
        """Wait for it; returns what came before it, and forgets both."""
        end = time.monotonic() + TIMEOUT
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} never came: {self.seen!r}"
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 65536)
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.master, text)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Ctl:
    """xenolithctl with a run directory of its own."""

    def __init__(self, tmp):
        self.tmp = tmp
        self.run_dir = os.path.join(tmp, "run")
        self.open = []
        self.guests = 0

    def env(self, guest=None, **more):
        env = {**os.environ, "XENOLITH": binary(), "XENOLITH_RUN_DIR": self.run_dir, **more}
        if guest is not None:
            self.guests += 1
            env["XENOLITH_FAKE_GUEST"] = os.path.join(self.tmp, f"guest{self.guests}")
            with open(env["XENOLITH_FAKE_GUEST"], "w", encoding="utf-8") as f:
                f.write(guest)
        return env

    def __call__(self, *args, guest=None, env=None, **more):
        """Run it to its end."""
        more.setdefault("stdin", subprocess.DEVNULL if "input" not in more else None)
        return subprocess.run([ctl_binary(), *args], env=self.env(guest, **(env or {})),
                              capture_output=True, timeout=TIMEOUT, check=False, **more)

    def good(self, *args, **more):
        done = self(*args, **more)
        assert done.returncode == 0, done
        return done

    def start(self, *args, guest=None, env=None, **more):
        """Start it with pipes."""
        more = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                **more}
        process = subprocess.Popen([ctl_binary(), *args], env=self.env(guest, **(env or {})),
                                   start_new_session=True, **more)
        self.open.append(process)
        return process

    def terminal(self, *args, guest=None, env=None):
        terminal = Terminal([ctl_binary(), *args], self.env(guest, **(env or {})))
        self.open.append(terminal)
        return terminal

    # ---- what there is

    def instances(self):
        return sorted(os.listdir(self.run_dir)) if os.path.isdir(self.run_dir) else []

    def pid(self, name):
        with open(os.path.join(self.run_dir, name, "pid"), encoding="ascii") as f:
            return int(f.read())

    def wait_for(self, name):
        """Until the instance's console is there."""
        wait_until(lambda: os.path.exists(os.path.join(self.run_dir, name, "console.socket")),
                   f"instance {name}")

    def processes(self):
        """Everything that was started with our run directory, but zombies."""
        mark, found = f"XENOLITH_RUN_DIR={self.run_dir}\0".encode(), []
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/environ", "rb") as f:
                    if mark in f.read():
                        found.append(int(entry))
            except (OSError, ValueError):
                continue
        return found

    def nothing_left(self):
        wait_until(lambda: not self.processes(), f"the end of {self.processes()}")
        assert self.instances() == []

    def finish(self):
        """End what a failed test left."""
        for p in self.open:
            if isinstance(p, Terminal):
                p.close()
                continue
            if p.poll() is None:
                p.kill()
            p.communicate()
        for pid in self.processes():
            os.kill(pid, 9)
