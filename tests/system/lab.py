# SPDX-License-Identifier: Apache-2.0
"""The lab as the tests see it: a driver domain, monitors in it, and their API on the host."""

import http.client
import json
import os
import pathlib
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / "lab" / "lab"

SOAK = "SOAK_SECONDS" in os.environ  # the long form of tests
LIFETIME = 4 * 3600 if SOAK else 3600  # seconds of a lab, and at most of what runs in it
ALONE = os.environ.get("LAB_DOMAIN") == "dom0"  # no driver domain
DEBIAN = "/debian"  # where dom0 has mounted the image of lab/guest/debian.sh

BOOT_ARGS = "console=ttyS0 quiet reboot=k panic=1 xenolith.mark"
UP = "/init reached"


def entry(*command):
    """The cache entry that a build script prints."""
    done = subprocess.run([ROOT / command[0], *command[1:]], stdout=subprocess.PIPE, check=True)
    return pathlib.Path(done.stdout.decode().strip())


class Domain:
    """Where commands run: the lab's driver domain, or its dom0."""

    def __init__(self, lab, *where):
        self.lab = lab
        self.where = where

    def run(self, line, timeout=60, check=True):
        """A line for the domain's shell: its output, or the whole result with check=False."""
        done = self.lab("run", *self.where, "--timeout", str(timeout), line,
                        timeout=timeout + 30, check=check)
        return done.stdout if check else done

    def popen(self, line, timeout=LIFETIME, **kwargs):
        return subprocess.Popen([LAB, "run", *self.where, "--timeout", str(timeout), line],
                                env=self.lab.env, **kwargs)

    def put_text(self, path, text):
        local = pathlib.Path(self.lab.scratch.name, "put")
        local.write_text(text)
        self.lab("put", *self.where, str(local), path)

    def domains(self):
        """What the hypervisor says: ({domid: flags} of micro-VMs, free pages)."""
        return self.lab.domains()

    def debian(self, line, **kwargs):
        """The same in the image with Debian's programs (fixture `io`)."""
        return self.run(f"chroot {DEBIAN} {line}", **kwargs)

    def forward(self, path):
        local = pathlib.Path(self.lab.scratch.name, f"s{time.monotonic_ns()}")
        self.lab("forward", *self.where, f"{local}:{path}")
        return local


class Lab(Domain):
    """One Xen, for as long as the `with` block lasts: with a driver domain, where commands
    run, or with a dom0 alone if LAB_DOMAIN says so or `up` does. `dom0` is dom0 in any case."""

    def __init__(self, name, *up, processors=1):
        super().__init__(self)
        self.env = {**os.environ, "LAB_NAME": f"{name}-{os.getpid()}"}
        if processors != 1:
            self.env["LAB_SMP"] = str(processors)
        self.up = up
        self.dom0 = Domain(self, "--domain", "dom0")
        self.scratch = tempfile.TemporaryDirectory(prefix="xenolith-system.")
        self.not_ours = {0}

    def __enter__(self):
        alone = ALONE or "--unpatched" in self.up or "--no-driver" in self.up
        if alone:
            self.env.setdefault("LAB_DOM0_MEM", "2048")
        up = ("up", "--owner-pid", str(os.getpid()), "--lifetime", str(LIFETIME), *self.up)
        # Twice in some hundred starts a driver domain stood still while it booted, on a machine
        # that was busy with other tests. What is told of the first try is to find out why.
        first = self(*up, "--timeout", "150", timeout=240, check=False)
        if first.returncode:
            print(f"lab: a second try\n{first.stdout}", file=sys.stderr)
            self(*up, timeout=300)
        if not alone:
            self.not_ours |= set(self.domains()[0])
        return self

    def __exit__(self, *_):
        self("down", timeout=60)
        self.scratch.cleanup()

    def __call__(self, *args, timeout=60, check=True):
        done = subprocess.run([LAB, *args], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, text=True, errors="replace")
        if check and done.returncode:
            raise AssertionError(f"lab {' '.join(args)}: {done.returncode}\n{done.stdout}")
        return done

    def domains(self):
        lines = [line.split() for line in self.dom0.run("domains").splitlines()]
        guests = {int(f[0]): int(f[1], 16) for f in lines if f[0] != "free"}
        free = next(int(f[1]) for f in lines if f[0] == "free")
        return {k: v for k, v in guests.items() if k not in self.not_ours}, free


class DriverDomain(Domain):
    """One that dom0 starts beside the lab's own, with the same files or those of an archive in
    dom0. It is gone after the `with` block."""

    NAME, ADDRESS = "second", "10.0.2.17"

    def __init__(self, lab, archive="/lab/driver/files", mib=1024):
        super().__init__(lab, "--domain", self.NAME)
        self.start = f"lab-driver {self.NAME} {self.ADDRESS} {archive} {mib}"

    def __enter__(self):
        self.lab.dom0.run(self.start, timeout=120)
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        """Its keeper in dom0, and with it everything; waits until it is so."""
        self.lab.dom0.run(
            f"read pid < /run/{self.NAME}.pid; kill -KILL $pid; "
            f"while kill -0 $pid || [ -e /sys/class/net/{self.NAME}0 ]; do sleep 0.1; done "
            f"2> /dev/null", check=False)
        self.lab("disconnect", "--domain", self.NAME)


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

    def configure(self, args="", vcpus=1, mem=128, kernel="/guest/vmlinux",
                  initrd="/guest/initramfs.cpio"):
        self.ok("PUT", "/machine-config", {"vcpu_count": vcpus, "mem_size_mib": mem})
        source = {"kernel_image_path": kernel, "boot_args": f"{BOOT_ARGS} {args}".strip()}
        if initrd:
            source["initrd_path"] = initrd
        self.ok("PUT", "/boot-source", source)

    def drive(self, name, path, root=False, **more):
        self.ok("PUT", f"/drives/{name}", {"drive_id": name, "path_on_host": path,
                                           "is_root_device": root, **more})

    def network(self, name, tap, **more):
        self.ok("PUT", f"/network-interfaces/{name}", {"iface_id": name,
                                                       "host_dev_name": tap, **more})

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


class Console:
    """A client of the serial port's Unix socket."""

    def __init__(self, lab, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(lab.forward(path)))
        self.text = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text.encode())

    def expect(self, what, seconds=60):
        """Everything up to `what`; what follows is kept for the next call."""
        deadline = time.monotonic() + seconds
        while what not in self.text:
            self.socket.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                got = self.socket.recv(65536)
            except TimeoutError:
                got = b""
            assert got, f"no {what!r} in {self.text!r}"
            self.text += got.decode(errors="replace")
        at = self.text.index(what) + len(what)
        got, self.text = self.text[:at], self.text[at:]
        return got


class Guest(Monitor):
    """A monitor whose guest takes commands: act=run:/dev/ttyS0 of lab/guest/README.md.
    By default it boots from the Debian image, which it cannot write to."""

    def __init__(self, lab, *options):
        self.console = None
        self.commands = 0
        path = f"/run/console{Monitor.count + 1}"
        super().__init__(lab, *options, serial=f"unix:{path}")
        self.serial_path = path
        self.said = ""

    def __exit__(self, *what):
        if self.console:
            self.console.socket.close()
        super().__exit__(*what)

    def serial(self):
        return self.said + (self.console.text if self.console else "")

    def boot(self, args="", root="/guest/debian.ext4", read_only=True, **kwargs):
        """`root` None: no root drive, the initramfs instead."""
        if root:
            self.drive("root", root, root=True, is_read_only=read_only)
            kwargs.setdefault("initrd", None)
        self.console = Console(self.lab, self.serial_path)
        self.start(f"xenolith.act=run:/dev/ttyS0 {args}".strip(), **kwargs)
        self.said += self.console.expect("xenolith: run\n", 120)

    def run(self, line, timeout=60, check=True):
        """A line for the guest's shell: its output, or (status, output) with check=False."""
        self.send(line)
        return self.answer(timeout, check)

    def send(self, line):
        """Begin it; answer() gives what came of it."""
        self.commands += 1
        self.console.send(f"{line}\necho @{self.commands}@ $?@\n")

    def answer(self, timeout=60, check=True):
        mark = f"@{self.commands}@ "
        out = self.console.expect(mark, timeout)
        status = int(self.console.expect("@\n")[:-2])
        out = out[:-len(mark)]
        self.said += out
        if not check:
            return status, out
        assert status == 0, f"{status}: {out}\n{self.log()}"
        return out

    def finish(self):
        """Power off, and see that it does."""
        self.console.send("exit\n")
        assert self.wait_exit() == 2, self.log()
