# SPDX-License-Identifier: Apache-2.0
"""Run directories, and xenolithctl."""
import fcntl
import json
import os
import struct
import subprocess

from harness import TIMEOUT, binary

CTL = os.environ.get("XENOLITHCTL") or os.path.join(os.path.dirname(binary()), "xenolithctl")
F_OFD_SETLK = 37


class Instances:
    """A run directory, with monitors or what looks like their directories."""

    def __init__(self, directory, xenolith):
        self.dir = os.path.join(directory, "run")
        os.mkdir(self.dir, 0o700)
        self.xenolith = xenolith
        self.locks = []

    def add(self, name, pid, api=None, alive=True):
        path = os.path.join(self.dir, name)
        os.mkdir(path, 0o700)
        if api:
            os.symlink(api, os.path.join(path, "api.socket"))
        lock = open(os.path.join(path, "pid"), "w", encoding="utf-8")
        lock.write(f"{pid}\n")
        lock.flush()
        if alive:
            fcntl.fcntl(lock, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
            self.locks.append(lock)
        else:
            lock.close()
        return path

    def start(self, name, *args, **more):
        return self.xenolith("--id", name, *args, env={"XENOLITH_RUN_DIR": self.dir}, **more)

    def argv(self, *args):
        return [CTL, *args, "--run-dir", self.dir]

    def run(self, *args, status=0, **more):
        """What a command prints."""
        done = subprocess.run(self.argv(*args), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=TIMEOUT, check=False, **more)
        assert done.returncode == status, done
        assert status != 0 or done.stderr == "", done
        return done.stdout

    def rows(self, *args):
        return {row["name"]: row for row in json.loads(self.run(*args, "--json"))}
