# SPDX-License-Identifier: Apache-2.0
"""The systems that tests/bench/io measures, and how each makes a guest.

Every guest is the same program, io_guest, as PID 1. What differs is who made the machine
around it: our monitor, in dom0 with the bundled kernel or Debian's stock one or in a driver
domain, there also without parts of the hypervisor; or Debian's xl, whose guest has the same
stock kernel and dom0's back ends or QEMU behind its disk.
"""

import dataclasses
import json
import os
import pathlib
import re
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DISK_MIB = 128
PEER = "10.0.0.1"


@dataclasses.dataclass(frozen=True)
class System:
    title: str
    group: str  # one machine's: the monitor's guests in dom0 or in a driver domain, or xl's
    kernel: str
    mem_mib: int
    disk: str  # as the guest sees it
    net: str  # "": it has none of its own
    backend: str = ""  # of the disk, as xl's configuration says it
    without: int = 0  # XENOLITH_FEAT_* that the monitor does without

    @property
    def is_ours(self):
        return self.group != "xl"


def in_driver(title, without=0):
    return System(title, "driver", "bundled", 128, "/dev/vda", "eth0", without=without)


SYSTEMS = {
    "bundled": System("xenolith", "ours", "bundled", 128, "/dev/vda", "eth0"),
    "stock": System("xenolith", "ours", "stock", 256, "/dev/vda", "eth0"),
    "driver": in_driver("driver"),
    "pv": System("PV", "xl", "stock", 256, "/dev/xvda", "eth0", "/dev/loop0,raw,xvda,w"),
    "qdisk": System("qdisk", "xl", "stock", 256, "/dev/xvda", "",
                    "/run/disk,raw,xvda,w,backendtype=qdisk"),
}
# What each part of the hypervisor is worth: the same, without it, and less work. guest_copy is
# not among them: it has no part in what a guest does.
PARTS = {
    "no-irq-port": in_driver("- irq port", 0x20),
    "no-pulse": in_driver("- irq p., pulse", 0x220),
    "no-doorbell": in_driver("- doorbell", 0x10),
    "no-server": in_driver("- server flags", 0x40),
    "no-part": in_driver("- all of them", 0x278),
}
SYSTEMS.update(PARTS)
TRACED = ("bundled", "driver")
PARTS_WORK = r"random read|TCP from"
# The front ends that a guest of the group has no use for.
OTHER_MODULES = {"ours": r"/xen-", "xl": r"/(virtio|failover|net_failover)"}

# A guest that does not end is ended, and the others go on; `failed` tells which.
COMMON = """#!/bin/sh
dd if=/dev/zero of=/run/disk bs=1M count={mib} 2> /dev/null
cp /guest/io_guest /bin/io_guest
io_guest serve > /dev/null 2>&1 &
"""
# An interface gets its address as soon as it is there.
OURS = """modprobe tun
one() {{ # NAME CONFIG
	(until ip link show tap0 > /dev/null 2>&1; do sleep 0.01; done
	 ip addr add {peer}/24 dev tap0; ip link set tap0 up) &
	timeout 60 xenolith --config-file "/guest/$2" --no-api --serial "file:/out/$1.serial" \\
		--log-path "/out/$1.log" < /dev/null || echo "$1: exit status $?" >> /out/failed
	wait $!
}}
traced() {{ # NAME CONFIG
	mv /bin/xenolith /bin/xenolith.real
	printf '#!/bin/sh\\nexec strace -f -c -o /out/%s.strace /bin/xenolith.real "$@"\\n' \\
		"$1" > /bin/xenolith
	chmod +x /bin/xenolith
	one "$1" "$2"
	mv /bin/xenolith.real /bin/xenolith
}}
"""
# blkback wants a block device: the same file, through a loop device.
XL = """mkdir /xl
tar -x -C /xl -f /guest/xl.tar && rm /guest/xl.tar
/xl/start || exit 1
losetup /dev/loop0 /run/disk
echo {peer}/24 > /run/vif-address
one() {{ # NAME CONFIG
	timeout 60 chroot /xl xl create -F "/guest/$2" > "/out/$1.log" 2>&1 || {{
		echo "$1: exit status $?" >> /out/failed
		chroot /xl xl destroy "$1" >> "/out/$1.log" 2>&1
	}}
	cp "/run/log/guest-$1.log" "/out/$1.serial"
}}
"""


def does(key, name):
    """Whether a system does this work."""
    return key not in PARTS or re.search(PARTS_WORK, name)


def entry(command):
    return pathlib.Path(subprocess.check_output([ROOT / command], text=True).strip())


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def less(what):
    """The same work, an eighth of it, for what takes long: traced, or on two processors."""
    *words, amount = what.split()
    return " ".join([*words, str(int(amount) // 8)]) if words else what


def compile_guest(directory):
    out = directory / "io_guest"
    subprocess.run(["gcc", "-O2", "-static", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-o", out,
                    ROOT / "tests/bench/io_guest.c"], check=True)
    return out


def pack(tree, out):
    names = sorted(str(path.relative_to(tree)) for path in tree.rglob("*"))
    with open(out, "wb") as file:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tree,
                       input="\n".join(names).encode(), stdout=file, check=True)
    return out


def initramfs(directory, program, group="", stock=None):
    """The program, and of the stock kernel the modules that the group's guests need."""
    tree = directory / f"tree-{group}"
    (tree / "dev").mkdir(parents=True, exist_ok=True)
    (tree / "bench").write_bytes(program.read_bytes())
    (tree / "bench").chmod(0o755)
    if stock:
        with open(stock / "initramfs.cpio", "rb") as file:
            subprocess.run(["cpio", "--quiet", "-idu", "lib/modules/*"], cwd=tree, stdin=file,
                           check=True)
        wanted = [line for line in (tree / "lib/modules/load.guest").read_text().splitlines()
                  if not re.search(OTHER_MODULES[group] + r"|/(ext4|jbd2|mbcache|crc)", line)]
        (tree / "modules").write_text("".join(f"{line}\n" for line in wanted))
    return pack(tree, directory / f"io-{group}.cpio")


def monitor_config(system, args, direct):
    name = f"-{system.group}" if system.kernel == "stock" else "-"
    return json.dumps({
        "machine-config": {"vcpu_count": 1, "mem_size_mib": system.mem_mib},
        "boot-source": {"kernel_image_path": f"/guest/{system.kernel}",
                        "initrd_path": f"/guest/io{name}.cpio",
                        "boot_args": "console=ttyS0 quiet reboot=k panic=1 "
                                     f"rdinit=/bench -- {args}"},
        "drives": [{"drive_id": "data", "path_on_host": "/run/disk", "is_root_device": False,
                    "cache_type": "Writeback", **({"direct": True} if direct else {})}],
        "network-interfaces": [{"iface_id": "net", "host_dev_name": "tap0"}],
    })


def xl_config(system, name, args):
    """tsc_mode: as our guests have it. By default Xen emulates the instruction here."""
    extra = f"console=hvc0 quiet reboot=k panic=1 rdinit=/bench -- {args}"
    return f"""name = "{name}"
type = "pvh"
kernel = "/guest/{system.kernel}"
ramdisk = "/guest/io-{system.group}.cpio"
extra = "{extra}"
memory = {system.mem_mib}
vcpus = 1
tsc_mode = "native"
disk = [ "{system.backend}" ]
vif = [ "mac=00:16:3e:00:00:01" ]
on_reboot = "destroy"
on_crash = "destroy"
"""


class Machine:
    """One boot of the lab, which makes all guests of a group."""

    def __init__(self, group, names, work, args):
        self.group, self.names, self.work, self.args = group, names, work, args

    def files(self, directory):
        """What goes into dom0, but for the guests' configurations."""
        program = compile_guest(directory)
        kernels = {SYSTEMS[n].kernel for n in self.names}
        ours = self.group != "xl"
        put = {program: "/guest/io_guest"}
        if "bundled" in kernels:
            put[entry("lab/guest/build.sh") / "vmlinux"] = "/guest/bundled"
            put[initramfs(directory, program)] = "/guest/io-.cpio"
        if "stock" in kernels:
            stock = entry("lab/guest/stock.sh")
            put[stock / "vmlinux"] = "/guest/stock"
            put[initramfs(directory, program, self.group, stock)] = \
                f"/guest/io-{self.group}.cpio"
        if ours:
            put[ROOT / "build/release/xenolith"] = "/bin/xenolith"
            put[pathlib.Path("/usr/bin/strace")] = "/bin/strace"
        else:
            put[entry("lab/xl/build.sh") / "xl.tar"] = "/guest/xl.tar"
        return put

    def jobs(self):
        """Name of the job, text of its configuration, mask of what it does without."""
        for key in self.names:
            system = SYSTEMS[key]
            todo = {"nothing": "none"} if system.is_ours else {}
            for name, (what, _) in self.work.items():
                if (system.net or "DISK" in what) and does(key, name):
                    todo[slug(name)] = what.replace("DISK", system.disk).replace("IF", system.net)
            if self.args.strace and key in TRACED:
                todo.update({f"{name}-traced": less(what) for name, what in todo.items()})
            if self.args.parallel:
                todo = {name: less(what) for name, what in todo.items()}
            for name, what in todo.items():
                name = f"{key}-{name}"
                yield (name, monitor_config(system, what, self.args.direct)
                       if system.is_ours else xl_config(system, name, what),
                       system.without | self.args.without)

    def run(self, directory):
        """The results' directory; None, when the machine failed and has said why."""
        directory.mkdir(parents=True, exist_ok=True)
        put = self.files(directory)
        script = COMMON.format(mib=DISK_MIB)
        script += (XL if self.group == "xl" else OURS).format(peer=PEER)
        for name, text, without in self.jobs():
            config = directory / f"{name}.config"
            config.write_text(text)
            put[config] = f"/guest/{config.name}"
            how = "traced" if name.endswith("-traced") else "one"
            script += f"export XENOLITH_HV_WITHOUT={without:#x}\n{how} {name} {config.name}\n"
        (directory / "job").write_text(script + "exit 0\n")
        out = directory / "out"
        command = [ROOT / "lab/lab", "batch", "--timeout", str(self.args.timeout),
                   "--out", out, *([] if self.args.parallel else ["--icount"])]
        if self.group == "driver":
            command.append("--driver")
        for source, dest in put.items():
            command += ["--put", f"{source}:{dest}"]
        env = {**os.environ, **({"LAB_SMP": "2"} if self.args.parallel else {})}
        done = subprocess.run([*command, directory / "job"], text=True, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode == 0:
            return out
        print(f"the lab failed ({done.returncode}): "
              f"{shlex.join(map(str, command))}\n{done.stdout}")
        return None
