# SPDX-License-Identifier: Apache-2.0
"""Firecracker's clients: the calls that each makes, in its order and with its time-outs, from
its command line on, as scripts for tests/system/tools/replay.c. docs/api.md, "Clients", says
what each lacks here.

What Xenolith does not serve answers 400 at once, with a reason, and the machine boots without
it: what follows is the client's own order of calls with those left out."""

import dataclasses
import json

# Milliseconds. go-openapi's default is for calls that the SDK gives no time-out of its own.
READY, CALL, DRIVE, OPENAPI = 3000, 500, 250, 30000

UP = "/init reached"
SIGTERM, TERMINATED, POWERED_OFF, BAD_CONFIG = 15, 143, 2, 152

# By design, or until snapshots come.
ABSENT = {"/balloon", "/balloon/statistics", "/cpu-config", "/entropy", "/hotplug/memory", "/mmds",
          "/mmds/config", "/pmem/p0", "/snapshot/create", "/snapshot/load", "/vsock"}

# firectl's default, and fewer characters on the console.
FIRECTL_ARGS = "ro console=ttyS0 noapic reboot=k panic=1 pci=off nomodules quiet"


@dataclasses.dataclass
class World:
    """Where the client is: its directory and instance, and what is there to boot."""
    dir: str
    id: str
    kernel: str
    root: str
    tap: str
    program: str = "xenolith"


class Client:
    """A script, and what has to come of it."""

    def __init__(self, world, *options):
        self.world = world
        self.serial = f"{world.dir}/serial"
        self.setup = ""  # for the shell, before
        self.files = {}  # text by path, likewise
        self.lines, self.wanted = [], []
        self.line(f"spawn {world.program} --api-sock {world.dir}/api.sock --id {world.id} "
                  f"--serial file:{self.serial} {' '.join(options)}".rstrip())

    def line(self, text, want=0):
        self.lines.append(text)
        self.wanted.append(want)

    def fresh(self):
        self.lines.append("fresh")

    def ready(self, path, timeout=READY):
        self.line(f"ready {timeout} {path}", 200)

    def call(self, method, path, body=None, timeout=CALL, want=None):
        text = "" if body is None else " " + json.dumps(body)
        if path in ABSENT:
            want = 400
        self.line(f"call {timeout} {method} {path}{text}",
                  want or (200 if method == "GET" else 204))

    def put(self, path, body, **more):
        self.call("PUT", path, body, **more)

    def drive(self, name, path, root=False):
        """With the fields that the SDK always sends."""
        self.put(f"/drives/{name}", {"drive_id": name, "is_root_device": root,
                                     "is_read_only": root, "path_on_host": path}, timeout=DRIVE)

    def boot(self, args=FIRECTL_ARGS):
        self.put("/boot-source", {"kernel_image_path": self.world.kernel, "boot_args": args})
        self.drive("root_drive", self.world.root, root=True)

    def action(self, name, timeout=OPENAPI):
        self.put("/actions", {"action_type": name}, timeout=timeout)

    def start(self):
        self.action("InstanceStart")
        self.up()

    def up(self):
        self.line(f"until 60000 {self.serial} {UP}")

    def press(self, timeout=OPENAPI):
        """An orderly end."""
        self.action("SendCtrlAltDel", timeout)
        self.line("exit 20000", POWERED_OFF)

    def terminate(self):
        self.line(f"kill {SIGTERM}")
        self.line("exit 20000", TERMINATED)

    def text(self):
        return "\n".join(self.lines) + "\n"

    def check(self, output, context=""):
        """What replay printed is what was wanted; the answers by `METHOD PATH`."""
        said = [json.loads(line) for line in output.splitlines() if line.startswith('{"line"')]
        answers = {}
        for got, want in zip(said, self.wanted):
            assert got["status"] == want, f"{got}, not {want}\n{output}\n{context}"
            kind, *words = got["line"].split()
            if kind != "call":
                continue
            print(f"{got['us'] / 1000:7.2f} ms {want} {' '.join(words[1:])}")
            assert want != 400 or got["body"]["fault_message"], got
            answers[" ".join(words[1:3])] = got["body"]
        assert len(said) == len(self.wanted), f"{output}\n{context}"
        return answers


def drive_paths(answers):
    return {d["drive_id"]: d["path_on_host"] for d in answers["GET /vm/config"]["drives"]}


def configure_as_go_sdk(c, mem=128, stubs=()):
    """The handlers of firecracker-go-sdk up to the start, in its order."""
    c.ready("/machine-config")
    c.put("/logger", {"log_path": f"{c.world.dir}/fc.log", "level": "Debug", "show_level": True,
                      "show_log_origin": False})
    c.put("/metrics", {"metrics_path": f"{c.world.dir}/fc.metrics"})
    c.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": mem, "smt": False,
                              "track_dirty_pages": False})
    c.call("GET", "/machine-config")
    c.boot()
    for name, path in stubs:
        c.drive(name, path)
    c.put("/network-interfaces/1", {"iface_id": "1", "host_dev_name": c.world.tap,
                                    "guest_mac": "06:00:ac:10:00:02"})
    c.put("/vsock", {"guest_cid": 3, "uds_path": f"{c.world.dir}/vsock", "vsock_id": "agent"},
          timeout=OPENAPI)


def go_sdk(world):
    c = Client(world, "--no-seccomp")
    configure_as_go_sdk(c)
    c.put("/mmds/config", {"version": "V1", "network_interfaces": ["1"],
                           "ipv4_address": "169.254.169.254"})
    c.start()
    c.press()  # Machine.Shutdown
    return c


def firectl(world):
    """Its memory and its command line, and metadata after the start."""
    c = Client(world)
    configure_as_go_sdk(c, mem=512)
    c.action("InstanceStart")
    c.put("/mmds", {"latest": {"meta-data": {}}})
    c.up()
    c.terminate()  # StopVMM
    return c


def firecracker_containerd(world):
    """Stub drives that become others while the guest runs."""
    stub, layer = f"{world.dir}/stub", f"{world.dir}/layer"
    c = Client(world)
    c.setup = f"truncate -s 512 {stub}; truncate -s 4M {layer}"
    c.ready("/machine-config")
    # Its configuration's default, which must be left out.
    c.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 128, "cpu_template": "T2"},
          want=400)
    configure_as_go_sdk(c, stubs=[("stub0", stub), ("stub1", stub)])
    c.start()
    c.call("PATCH", "/drives/stub0", {"drive_id": "stub0", "path_on_host": layer}, timeout=DRIVE)
    c.call("PATCH", "/vm", {"state": "Paused"})
    c.call("PATCH", "/vm", {"state": "Resumed"})
    c.call("GET", "/mmds")
    c.call("GET", "/balloon")
    c.call("GET", "/vm/config")
    c.press()
    return c


def from_file_as_kata(world, **more):
    """Its configuration: placeholders for drives, log and metrics by FIFOs, which it reads."""
    c = Client(world, "--config-file", f"{world.dir}/config.json")
    stubs = [f"drive_{i}" for i in range(4)]
    c.setup = (f"cd {world.dir} && touch {' '.join(stubs)} && truncate -s 4M layer && "
               "for f in log metrics; do mkfifo $f.fifo; cat $f.fifo > $f 2> /dev/null & done")
    drives = [{"drive_id": s, "path_on_host": f"{world.dir}/{s}", "is_root_device": False,
               "is_read_only": False} for s in stubs]
    root = {"drive_id": "rootfs", "path_on_host": world.root, "is_root_device": True,
            "is_read_only": True}
    config = {"boot-source": {"kernel_image_path": world.kernel,
                              "boot_args": "console=ttyS0 reboot=k panic=1 noapic quiet"},
              "machine-config": {"vcpu_count": 1, "mem_size_mib": 256, "smt": False},
              "drives": [root, *drives],
              "network-interfaces": [{"iface_id": "eth0", "host_dev_name": world.tap}],
              "logger": {"log_path": f"{world.dir}/log.fifo", "level": "Debug"},
              "metrics": {"metrics_path": f"{world.dir}/metrics.fifo"}, **more}
    c.files[f"{world.dir}/config.json"] = json.dumps(config)
    return c


def kata(world):
    c = from_file_as_kata(world)
    c.ready("/", timeout=10000)
    c.up()
    c.call("PATCH", "/drives/drive_0", {"drive_id": "drive_0",
                                        "path_on_host": f"{world.dir}/layer"})
    c.call("GET", "/vm/config")
    c.terminate()
    return c


def kata_with_vsock(world):
    """As it comes: told what is not there, before anything runs."""
    c = from_file_as_kata(world, vsock={"guest_cid": 3, "uds_path": f"{world.dir}/hvsock"})
    c.line("exit 5000", BAD_CONFIG)
    return c


def kata_with_ht_enabled(world):
    """Of its old model, which Firecracker does not know any more either."""
    c = from_file_as_kata(world, **{"machine-config": {"vcpu_count": 1, "mem_size_mib": 256,
                                                       "ht_enabled": False}})
    c.line("exit 5000", BAD_CONFIG)
    return c


def firecracker_python(world):
    c = Client(world, "--log-path", f"{world.dir}/log")
    c.ready("/")
    c.put("/boot-source", {"kernel_image_path": world.kernel, "initrd_path": None,
                           "boot_args": "console=ttyS0 reboot=k panic=1 pci=off quiet"})
    c.drive("rootfs", world.root, root=True)
    c.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 128})
    c.put("/network-interfaces/eth0", {"iface_id": "eth0", "host_dev_name": world.tap})
    c.put("/mmds/config", {"version": "V2", "network_interfaces": ["eth0"]})
    c.put("/mmds", {"latest": {}})
    c.put("/vsock", {"guest_cid": 3, "uds_path": f"{world.dir}/v.sock"})
    c.start()
    c.call("PATCH", "/vm", {"state": "Paused"})
    c.put("/snapshot/create", {"snapshot_type": "Full", "snapshot_path": f"{world.dir}/snapshot",
                               "mem_file_path": f"{world.dir}/memory"})
    c.call("PATCH", "/vm", {"state": "Resumed"})
    c.call("GET", "/vm/config")
    c.call("GET", "/")
    c.press(CALL)
    return c


def nullstyle(world):
    """@nullstyle/firecracker: the whole surface."""
    c = Client(world)
    c.ready("/")
    c.call("GET", "/version")
    c.put("/logger", {"log_path": f"{world.dir}/fc.log"})
    c.put("/metrics", {"metrics_path": f"{world.dir}/fc.metrics"})
    c.put("/serial", {"serial_out_path": c.serial})
    c.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 96})
    c.call("PATCH", "/machine-config", {"mem_size_mib": 128})
    c.boot()
    c.put("/network-interfaces/eth0", {"iface_id": "eth0", "host_dev_name": world.tap,
                                       "mtu": 1400})
    for path in "/cpu-config", "/entropy", "/balloon", "/hotplug/memory", "/pmem/p0", "/vsock":
        c.put(path, {"x": 1})
    c.start()
    c.call("PATCH", "/network-interfaces/eth0", {"iface_id": "eth0"})
    c.call("GET", "/balloon/statistics")
    c.action("FlushMetrics", CALL)
    c.call("GET", "/")
    c.terminate()
    return c


def restorer(world):
    """hypeman, vm0, buildbuddy, e2b: GET / until it answers, then a snapshot; told at once that
    there is none, they can boot. A connection for every call."""
    c = Client(world)
    c.fresh()
    c.ready("/")
    c.put("/snapshot/load", {"snapshot_path": f"{world.dir}/snapshot", "resume_vm": True,
                             "mem_backend": {"backend_type": "File",
                                             "backend_path": f"{world.dir}/memory"}})
    c.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 128})
    c.boot()
    c.start()
    c.press()
    return c


BOOTING = (go_sdk, firectl, firecracker_containerd, kata, firecracker_python, nullstyle, restorer)
CLIENTS = (*BOOTING, kata_with_vsock, kata_with_ht_enabled)


def check_more(client, answers, read):
    """What is to be seen of each afterwards; `read` gives a file's text."""
    world = client.world
    if "GET /machine-config" in answers:
        assert answers["GET /machine-config"]["vcpu_count"] == 1
    if "GET /" in answers:
        assert (answers["GET /"]["id"], answers["GET /"]["state"]) == (world.id, "Running")
    replaced = {"drive_0", "stub0"} & drive_paths(answers).keys() if "GET /vm/config" in answers \
        else ()
    for drive in replaced:
        assert drive_paths(answers)[drive] == f"{world.dir}/layer"
    if "config.json" in client.lines[0] and client.wanted[-1] == TERMINATED:
        assert "exit status 143" in read(f"{world.dir}/log")
        assert json.loads(read(f"{world.dir}/metrics").splitlines()[-1])
    if client.wanted[-1] == BAD_CONFIG:
        assert any(what in read(f"{world.dir}/output") for what in ("vsock", "ht_enabled"))
