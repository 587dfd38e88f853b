# SPDX-License-Identifier: Apache-2.0
"""The lab as the tests see it: a dom0, monitors in it, and their API on the host."""

import http.client
import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / "lab" / "lab"

BOOT_ARGS = "console=ttyS0 quiet reboot=k panic=1 xenolith.mark"
UP = "/init reached"


def entry(*command):
    """The cache entry that a build script prints."""
    done = subprocess.run([ROOT / command[0], *command[1:]], stdout=subprocess.PIPE, check=True)
    return pathlib.Path(done.stdout.decode().strip())


class Lab:
    """One Xen with a dom0, for as long as the `with` block lasts."""

    def __init__(self, name, *up):
        self.env = {**os.environ, "LAB_NAME": f"{name}-{os.getpid()}"}
        self.up = up
        self.scratch = tempfile.TemporaryDirectory(prefix="xenolith-system.")

    def __enter__(self):
        self.lab("up", "--owner-pid", str(os.getpid()), "--lifetime", "3600", *self.up,
                 timeout=240)
        return self

    def __exit__(self, *_):
        self.lab("down", timeout=60)
        self.scratch.cleanup()

    def lab(self, *args, timeout=60, check=True):
        done = subprocess.run([LAB, *args], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, text=True, errors="replace")
        if check and done.returncode:
            raise AssertionError(f"lab {' '.join(args)}: {done.returncode}\n{done.stdout}")
        return done

    def run(self, line, timeout=60, check=True):
        """A line for dom0's shell: its output, or the whole result with check=False."""
        done = self.lab("run", "--timeout", str(timeout), line, timeout=timeout + 30,
                        check=check)
        return done.stdout if check else done

    def popen(self, line, timeout=600, **kwargs):
        return subprocess.Popen([LAB, "run", "--timeout", str(timeout), line], env=self.env,
                                **kwargs)

    def put_text(self, path, text):
        local = pathlib.Path(self.scratch.name, "put")
        local.write_text(text)
        self.lab("put", str(local), path)

    def domains(self):
        """What the hypervisor says: ({domid: flags} without dom0, free pages)."""
        lines = [line.split() for line in self.run("domains").splitlines()]
        guests = {int(f[0]): int(f[1], 16) for f in lines if f[0] != "free" and f[0] != "0"}
        free = next(int(f[1]) for f in lines if f[0] == "free")
        return guests, free

    def forward(self, dom0_path):
        local = pathlib.Path(self.scratch.name, f"s{time.monotonic_ns()}")
        self.lab("forward", f"{local}:{dom0_path}")
        return local


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Monitor:
    """A monitor in dom0; its serial port goes to a file there, or to `serial`."""

    count = 0

    def __init__(self, lab, *options, serial=None, redirect="", forward=True):
        Monitor.count += 1
        self.lab = lab
        self.dir = f"/run/vm{Monitor.count}"
        self.api_path = f"{self.dir}/api.sock"
        self.serial_path = f"{self.dir}/serial"
        serial = serial or f"file:{self.serial_path}"
        command = ["exec", "xenolith", "--api-sock", self.api_path, "--serial", serial,
                   "--log-path", f"{self.dir}/log", *options]
        line = f"mkdir -p {self.dir}; echo $$ > {self.dir}/pid; {shlex.join(command)} {redirect}"
        self.output = tempfile.TemporaryFile("w+", errors="replace")
        self.process = lab.popen(line, stdin=subprocess.DEVNULL, stdout=self.output,
                                 stderr=subprocess.STDOUT)
        self.socket = None
        if forward:
            self.wait_for(f"[ -S {self.api_path} ]")
            self.socket = lab.forward(self.api_path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.lab.run(f"kill -KILL $(cat {self.dir}/pid)", check=False)
        self.process.wait(timeout=30)
        self.output.close()

    def wait_for(self, condition, seconds=40):
        """Until a shell condition holds in dom0, or the monitor is gone."""
        done = self.lab.run(f"for i in $(seq {seconds * 5}); do {condition} && exit 0; "
                            f"sleep 0.2; done; exit 1", timeout=seconds + 20, check=False)
        if done.returncode == 0:
            return
        self.output.seek(0)
        raise AssertionError(f"never came: {condition}\nstatus {self.process.poll()}\n"
                             f"{done.stdout}\n{self.output.read()}\n{self.log()}\n"
                             f"{self.serial()}")

    def request(self, method, path, body=None, timeout=20):
        connection = UnixConnection(self.socket, timeout)
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def ok(self, method, path, body=None):
        status, answer = self.request(method, path, body)
        assert status in (200, 204), (method, path, status, answer, self.log())
        return answer

    def configure(self, args="", vcpus=1, mem=128):
        self.ok("PUT", "/machine-config", {"vcpu_count": vcpus, "mem_size_mib": mem})
        self.ok("PUT", "/boot-source", {"kernel_image_path": "/guest/vmlinux",
                                        "initrd_path": "/guest/initramfs.cpio",
                                        "boot_args": f"{BOOT_ARGS} {args}".strip()})

    def start(self, *args, **kwargs):
        self.configure(*args, **kwargs)
        self.ok("PUT", "/actions", {"action_type": "InstanceStart"})

    def wait_up(self):
        self.wait_for(f"grep -q '{UP}' {self.serial_path}")

    def wait_exit(self, timeout=60):
        return self.process.wait(timeout=timeout)

    def pids(self):
        """(keeper, monitor)"""
        keeper = self.lab.run(f"cat {self.dir}/pid").strip()
        monitor = self.lab.run(f"cat /proc/{keeper}/task/{keeper}/children").split()[0]
        return int(keeper), int(monitor)

    def log(self):
        return self.lab.run(f"cat {self.dir}/log", check=False).stdout

    def serial(self):
        return self.lab.run(f"cat {self.serial_path}", check=False).stdout

    def counts(self):
        """The numbers of the log's last `counts` lines."""
        return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", self.log())}
