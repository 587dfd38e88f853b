# SPDX-License-Identifier: Apache-2.0
"""What is booted: kernels, initrds and command lines, good and bad, and what the guest
finds in memory."""
import os
import re
import struct
import time

import pytest

import elf
from harness import Http, NOT_STARTED, RUNNING

RAM = 128 << 20
START_INFO_MAGIC = 0x336ec578
DEFAULT_ARGS = ("reboot=k panic=1 nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux "
                "i8042.dumbkbd swiotlb=noforce")


def refused(vm, kernel, expected, prepared=False, **boot):
    """A boot source that cannot be started: told at once or at the start, by name; then
    everything is as before, and a good kernel boots."""
    before = vm.get("/machine-config").json
    response = vm.boot_source(boot.pop("path", kernel), **boot)
    if response.status == 204:
        if prepared:
            vm.let_prepare()
        response = vm.action("InstanceStart")
        assert response.fault.startswith("Start microvm error: ")
    else:
        assert response.fault.startswith("Boot source error: ")
    assert re.search(expected, response.fault), response.fault
    assert vm.state() == NOT_STARTED
    assert vm.get("/machine-config").json == before
    return response.fault


def boots(vm, kernel, **boot):
    vm.start(kernel, **boot)
    assert vm.state() == RUNNING


@pytest.mark.parametrize("name", elf.BAD)
def test_bad_kernel(vm, kernel, name):
    data, expected = elf.BAD[name]
    bad = vm.write("bad", data)
    fault = refused(vm, bad, expected)
    assert "kernel" in fault
    assert refused(vm, bad, expected) == fault
    boots(vm, kernel)


@pytest.mark.parametrize("name", elf.BAD)
def test_bad_kernel_prepared_before_the_start(vm, kernel, name):
    """With the machine given, images are loaded before the client says start."""
    assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 128}).status == 204
    data, expected = elf.BAD[name]
    assert "kernel" in refused(vm, vm.write("bad", data), expected, prepared=True)
    boots(vm, kernel)


def test_bad_kernels_leak_no_descriptors(vm, kernel):
    paths = [vm.write(f"bad{i}", data) for i, (data, _) in enumerate(elf.BAD.values())]
    boot = {"initrd_path": kernel}
    vm.boot_source(paths[0], **boot)
    before = vm.fds()
    for path in paths * 2:
        vm.boot_source(path, **boot)
        vm.action("InstanceStart")
    vm.boot_source(kernel, initrd_path="/nonexistent")
    assert vm.fds() == before


@pytest.mark.parametrize("name", elf.GOOD)
def test_good_kernel(vm, name):
    image, entry = elf.GOOD[name]
    boots(vm, vm.write("vmlinux", image.build()))
    vm.finish()
    assert vm.dump()["entry"]["ip"] == entry


@pytest.mark.parametrize("path,expected", [
    ("/nonexistent/vmlinux", r"kernel.*No such file or directory \(os error 2\)"),
    ("", "kernel.*No such file"), (".", "kernel.*not a regular file"),
    ("/dev/null", "kernel.*not a regular file"), ("/dev/zero", "kernel.*not a regular file"),
    ("fifo", "kernel.*not a regular file"), ("/etc/passwd/x", "kernel.*Not a directory")])
def test_kernel_that_is_no_file(vm, kernel, path, expected):
    os.mkfifo(vm.path("fifo"))
    refused(vm, kernel, expected, path=path)
    boots(vm, kernel)


@pytest.mark.parametrize("path,expected", [
    ("/nonexistent/initrd", r"initrd.*No such file or directory \(os error 2\)"),
    ("", "initrd"), (".", "initrd.*not a regular file"), ("/dev/zero", "initrd.*regular file")])
def test_initrd_that_is_no_file(vm, kernel, path, expected):
    refused(vm, kernel, expected, initrd_path=path)
    boots(vm, kernel)


@pytest.mark.parametrize("size", [
    0, RAM - (1 << 20) + 1, RAM, RAM + 1, 1 << 30, 1 << 40,
    RAM - elf.BASE - 2 * len(elf.TEXT) + 1])  # one byte into the kernel
def test_initrd_of_a_bad_size(vm, kernel, size):
    path = vm.write("initrd", b"")
    os.truncate(path, size)
    fault = refused(vm, kernel, "initrd.*(fit|empty)", initrd_path=path)
    assert size == 0 or (str(size) in fault and "128 MiB" in fault)
    boots(vm, kernel)


def test_initrd_that_just_fits(vm, kernel):
    path = vm.write("initrd", b"")
    os.truncate(path, RAM - elf.BASE - 2 * len(elf.TEXT))
    boots(vm, kernel, initrd_path=path)


def test_kernel_that_goes_away(vm, kernel):
    """It was opened when it was given; what it is then does not matter any more."""
    path = vm.write("vmlinux", elf.good().build())
    assert vm.boot_source(path).status == 204
    os.unlink(path)
    assert vm.action("InstanceStart").status == 204


def test_kernel_that_shrinks(vm, kernel):
    path = vm.write("vmlinux", elf.good().build())
    assert vm.boot_source(path).status == 204
    os.truncate(path, 100)
    assert "kernel" in vm.action("InstanceStart").fault
    boots(vm, kernel)


def test_an_unreadable_file_changes_nothing(vm, kernel):
    assert vm.boot_source(kernel, boot_args="keep me").status == 204
    before = vm.get("/vm/config").json
    assert vm.boot_source("/nonexistent").status == 400
    assert vm.boot_source(kernel, initrd_path="/nonexistent").status == 400
    assert vm.get("/vm/config").json == before
    assert vm.action("InstanceStart").status == 204
    vm.finish()
    assert vm.dump()["cmdline"].endswith("keep me")


# ---- command lines ----

def test_longest_command_line(xenolith, kernel):
    vm = xenolith()
    args = "x" * 2047
    boots(vm, kernel, boot_args=args)
    vm.finish()
    assert vm.dump()["cmdline"] == args


@pytest.mark.parametrize("args,expected", [
    ("x" * 2048, "boot_args: 2048 bytes"), ("a\nb", "boot_args: byte 1"),
    ("\x7f", "boot_args: byte 0"), ("quiet \u00e9", "boot_args: byte 6")])
def test_bad_command_line(vm, kernel, args, expected):
    fault = refused(vm, kernel, expected, boot_args=args)
    assert fault.startswith("Boot source error: ")  # at once, not at the start
    boots(vm, kernel)


@pytest.mark.parametrize("args,ours,expected", [
    (None, False, DEFAULT_ARGS), ("", False, ""), ("quiet  x", False, "quiet  x"),
    ("", True, "pci=off"), ("quiet", True, "pci=off quiet"),
    (None, True, "pci=off " + DEFAULT_ARGS), ("pci=nomsi", True, "pci=nomsi"),
    ("init=/x -- pci=1", True, "pci=off init=/x -- pci=1")])
def test_command_line_of_the_guest(xenolith, kernel, args, ours, expected):
    vm = xenolith(*([] if ours else ["--plain-boot-args"]))
    boots(vm, kernel, **({} if args is None else {"boot_args": args}))
    vm.finish()
    got = vm.dump()["cmdline"]
    if ours:
        # There may be more of ours: they come before the client's.
        assert got.endswith(expected.replace("pci=off", "", 1).strip())
        assert ("pci=off" in got.split()) == ("pci=off" in expected.split())
    else:
        assert got == expected


# ---- memory ----

def test_more_memory_than_the_host_has(xenolith, kernel):
    vm = xenolith(env={"XENOLITH_FAKE_RAM_MIB": "300"})
    assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 301}).status == 204
    fault = refused(vm, kernel, "not enough free memory for 301 MiB")
    assert fault == ("Start microvm error: the host has not enough free memory for 301 MiB")
    assert vm.patch("/machine-config", {"mem_size_mib": 300}).status == 204
    boots(vm, kernel)
    vm.finish()
    assert vm.dump()["shape"] == {"vcpus": 1, "ram": 300 << 20}


@pytest.mark.parametrize("mib", [2**43, 2**34, 1000000])
def test_absurd_memory(vm, kernel, mib):
    assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": mib}).status == 204
    refused(vm, kernel, f"not enough free memory for {mib} MiB")
    assert vm.patch("/machine-config", {"mem_size_mib": 128}).status == 204
    boots(vm, kernel)


def test_too_little_memory(vm, kernel):
    assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 1}).status == 204
    refused(vm, kernel, "1 MiB of RAM")
    assert vm.patch("/machine-config", {"mem_size_mib": 16}).status == 204
    refused(vm, kernel, "outside the 16 MiB of RAM")
    assert vm.patch("/machine-config", {"mem_size_mib": 17}).status == 204
    boots(vm, kernel)


def test_a_segment_in_the_hole(vm, kernel):
    assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 4096}).status == 204
    for paddr, memsz in ((0xd0000000, 4096), (0xc0000000, 1), (0xbfffffff, 2), (0xffffffff, 2)):
        bad = elf.Elf([elf.text(), elf.Segment(b"x", paddr, memsz=memsz), elf.notes()])
        refused(vm, vm.write("bad", bad.build()), "outside")
    boots(vm, kernel)


# ---- what lies where ----

class Memory:
    """Guest memory by the dump's regions."""

    def __init__(self, dump):
        self.regions = [(int(key.split(":")[0], 0), bytes.fromhex(data))
                        for key, data in dump["memory"].items()]

    def read(self, at, size):
        for start, data in self.regions:
            if start <= at and at + size <= start + len(data):
                return data[at - start:at - start + size]
        raise KeyError(hex(at))


def run_and_dump(xenolith, kernel, machine=None, **boot):
    initrd_at = ((machine or {}).get("mem_size_mib", 128) << 20) - 12288
    regions = [(0, 0x100000), (elf.BASE, 4 * len(elf.TEXT)), (min(initrd_at, 0xc0000000 - 12288),
                                                               12288)]
    vm = xenolith(env={"XENOLITH_FAKE_DUMP_MEM": ",".join(f"{a:#x}:{n}" for a, n in regions)})
    if machine:
        assert vm.put("/machine-config", machine).status == 204
    boots(vm, kernel, **boot)
    vm.finish()
    dump = vm.dump()
    return dump, Memory(dump)


def test_the_kernel_is_where_it_belongs(xenolith, kernel):
    dump, memory = run_and_dump(xenolith, kernel)
    assert dump["entry"]["ip"] == elf.BASE
    assert memory.read(elf.BASE, len(elf.TEXT)) == elf.TEXT
    assert memory.read(elf.BASE + len(elf.TEXT), 3 * len(elf.TEXT)) == bytes(3 * len(elf.TEXT))


def start_info(dump):
    raw = bytes.fromhex(dump["start_info"])
    names = ("magic", "version", "flags", "nr_modules", "modlist", "cmdline", "rsdp", "memmap",
             "memmap_entries")
    return dict(zip(names, struct.unpack_from("<IIIIQQQQI", raw)))


def memory_map(dump, memory):
    info = start_info(dump)
    return [struct.unpack("<QQI4x", memory.read(info["memmap"] + 24 * i, 24))
            for i in range(info["memmap_entries"])]


def test_start_info(xenolith, kernel):
    dump, memory = run_and_dump(xenolith, kernel)
    info = start_info(dump)
    assert (info["magic"], info["version"], info["flags"]) == (START_INFO_MAGIC, 1, 0)
    assert info["nr_modules"] == 0
    ranges = memory_map(dump, memory)
    assert ranges == sorted(ranges)
    assert sum(size for _, size, kind in ranges if kind == 1) <= RAM
    assert max(at + size for at, size, kind in ranges if kind == 1) == RAM
    for (at, size, _), (after, *_) in zip(ranges, ranges[1:]):
        assert at + size <= after
    # None of what the guest must find may lie in memory that it takes for free RAM
    # beyond the first MiB, or in no memory at all.
    assert info["rsdp"] < 1 << 20 and info["cmdline"] < 1 << 20


def test_initrd(xenolith, kernel, tmp):
    data = bytes(range(251)) * 20
    path = os.path.join(tmp, "initrd")
    with open(path, "wb") as f:
        f.write(data)
    dump, memory = run_and_dump(xenolith, kernel, initrd_path=path)
    info = start_info(dump)
    assert info["nr_modules"] == 1
    at, size = struct.unpack("<QQ", memory.read(info["modlist"], 16))
    assert size == len(data) and at % 4096 == 0 and at + size <= RAM
    assert memory.read(at, size) == data


def test_memory_above_4_gib(xenolith, kernel, tmp):
    path = os.path.join(tmp, "initrd")
    with open(path, "wb") as f:
        f.write(b"initrd" * 100)
    dump, memory = run_and_dump(xenolith, kernel, {"vcpu_count": 1, "mem_size_mib": 5 * 1024},
                                initrd_path=path)
    ram = [(at, at + size) for at, size, kind in memory_map(dump, memory) if kind == 1]
    assert (1 << 32, 6 << 30) in ram
    assert max(end for _, end in ram if end < 1 << 32) == 3 << 30
    at, size = struct.unpack("<QQ", memory.read(start_info(dump)["modlist"], 16))
    assert at + size <= 3 << 30
    assert memory.read(at, size) == b"initrd" * 100


def table(memory, at):
    length = struct.unpack("<I", memory.read(at + 4, 4))[0]
    data = memory.read(at, length)
    assert sum(data) % 256 == 0, f"checksum of {data[:4]}"
    return data


@pytest.mark.parametrize("vcpus", [1, 2, 32])
def test_acpi_tables(xenolith, kernel, vcpus):
    dump, memory = run_and_dump(xenolith, kernel, {"vcpu_count": vcpus, "mem_size_mib": 128})
    assert dump["shape"] == {"vcpus": vcpus, "ram": RAM}
    rsdp = memory.read(start_info(dump)["rsdp"], 36)
    assert rsdp[:8] == b"RSD PTR " and sum(rsdp[:20]) % 256 == 0 and sum(rsdp) % 256 == 0
    xsdt = table(memory, struct.unpack_from("<Q", rsdp, 24)[0])
    assert xsdt[:4] == b"XSDT"
    tables = {}
    for at in struct.unpack(f"<{(len(xsdt) - 36) // 8}Q", xsdt[36:]):
        data = table(memory, at)
        tables[data[:4]] = data
    assert {b"FACP", b"APIC"} <= set(tables)
    madt, at, lapics = tables[b"APIC"], 44, []
    while at < len(madt):
        if madt[at] == 0:
            lapics.append(madt[at + 3])
        at += madt[at + 1]
    assert lapics == [2 * i for i in range(vcpus)]
    assert table(memory, struct.unpack_from("<Q", tables[b"FACP"], 140)[0])[:4] == b"DSDT"


# ---- preparing ----

QUIET = 0.05  # seconds without a request before it begins: PREPARE_QUIET_MS


def ask_without_a_pause(vm, seconds):
    """The longest time between two requests."""
    last, longest = time.monotonic(), 0.0
    end = last + seconds
    with Http(vm.sock_path) as http:
        while last < end:
            assert http.request("GET", "/").status == 200
            now = time.monotonic()
            last, longest = now, max(longest, now - last)
    return longest


def test_no_call_waits_while_clients_go_on_asking(xenolith, kernel):
    for _ in range(10):
        vm = xenolith()
        assert vm.boot_source(kernel).status == 204
        assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 64}).status == 204
        longest = ask_without_a_pause(vm, 4 * QUIET)
        vm.finish()
        if longest < 0.8 * QUIET:  # else this machine had no time for us
            assert vm.dump()["shape"] is None
            return
    pytest.skip("the machine is too busy")


def test_a_silent_client_finds_the_guest_prepared(xenolith, kernel):
    vm = xenolith()
    assert vm.boot_source(kernel).status == 204
    assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 64}).status == 204
    ask_without_a_pause(vm, 2 * QUIET)
    vm.let_prepare()
    vm.finish()
    assert vm.dump()["shape"] == {"vcpus": 1, "ram": 64 << 20}


def test_a_machine_changed_again_and_again(xenolith, kernel):
    """Each change drops what was prepared; what boots is the last of them."""
    vm = xenolith(env={"XENOLITH_FAKE_DUMP_MEM": f"{elf.BASE:#x}:{2 * len(elf.TEXT)}"})
    other = vm.write("other", elf.Elf([elf.text(data=b"y" * 12000), elf.notes()]).build())
    for mib in (64, 256, 100):
        assert vm.put("/machine-config", {"vcpu_count": mib // 32, "mem_size_mib": mib}).status == 204
        for path in (other, kernel, other, kernel):
            assert vm.boot_source(path).status == 204
            vm.let_prepare()
    assert vm.action("InstanceStart").status == 204
    vm.finish()
    dump = vm.dump()
    assert dump["shape"] == {"vcpus": 3, "ram": 100 << 20}
    # Nothing of the other kernel is left.
    assert Memory(dump).read(elf.BASE, 2 * len(elf.TEXT)) == elf.TEXT + bytes(len(elf.TEXT))


def test_nothing_of_a_failed_load_is_left(xenolith, kernel):
    """A kernel, or its first segments, may lie in memory when the rest of it fails."""
    at = elf.BASE + 0x10000
    vm = xenolith(env={"XENOLITH_FAKE_DUMP_MEM": f"{at:#x}:12000"})
    other = vm.write("other", elf.Elf([elf.text(), elf.Segment(b"y" * 12000, at),
                                       elf.notes()]).build())
    refused(vm, other, "initrd.*empty", initrd_path=vm.write("initrd", b""))
    boots(vm, kernel)
    vm.finish()
    assert Memory(vm.dump()).read(at, 12000) == bytes(12000)


def test_what_can_be_done_before_the_start_is_done_before(xenolith, kernel):
    vm = xenolith()
    assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 64}).status == 204
    assert vm.boot_source(kernel).status == 204
    time.sleep(0.3)
    vm.finish()
    dump = vm.dump()
    assert dump["state"] == "shaped" and dump["calls"]["mem_write"] > 0
