# SPDX-License-Identifier: Apache-2.0
"""What the hypervisor refuses: it is told, nothing changes, and the next try works."""
import itertools
import os

import pytest

import elf
from harness import NOT_STARTED, PAUSED, RUNNING, wait_until

MEMORY = f"{elf.BASE:#x}:{2 * len(elf.TEXT)}"


def intact(dump):
    """Whether the whole kernel was loaded, and nothing else."""
    return bytes.fromhex(dump["memory"][MEMORY]) == elf.TEXT + bytes(len(elf.TEXT))


def faulty(xenolith, fail):
    return xenolith(env={"XENOLITH_FAKE_FAIL": fail, "XENOLITH_FAKE_DUMP_MEM": MEMORY})


@pytest.mark.parametrize("op,expected", [
    ("shape:EIO", "Start microvm error: fake shape: Input/output error"),
    ("shape:ENOMEM", "Start microvm error: fake shape: Cannot allocate memory"),
    ("start:EIO", "Start microvm error: fake start: Input/output error"),
    ("mem_write:EFAULT", "Bad address")])
def test_start_fails_and_the_next_one_works(xenolith, kernel, op, expected):
    vm = faulty(xenolith, op)
    assert vm.boot_source(kernel).status == 204
    fault = vm.action("InstanceStart").fault
    assert fault.startswith("Start microvm error: ") and expected in fault
    assert vm.state() == NOT_STARTED
    assert vm.action("InstanceStart").status == 204
    assert vm.state() == RUNNING
    vm.finish()
    assert intact(vm.dump())


@pytest.mark.parametrize("op,errno", [("shape", "EIO"), ("mem_write", "EIO"), ("start", "EPERM")])
def test_start_with_the_nth_call_failing(xenolith, kernel, op, errno):
    """n = 1, 2, ... until a start does not come that far."""
    for n in itertools.count(1):
        assert n < 100
        vm = faulty(xenolith, f"{op}:{errno}:{n}")
        initrd = vm.write("initrd", b"i" * 300000)  # two pieces
        assert vm.boot_source(kernel, initrd_path=initrd).status == 204
        first = vm.action("InstanceStart")
        if first.status == 204:
            break
        assert first.fault.startswith("Start microvm error: ")
        assert vm.state() == NOT_STARTED
        assert vm.action("InstanceStart").status == 204
        vm.finish()
        assert intact(vm.dump()), n
    assert n > (5 if op == "mem_write" else 1)


def test_failures_without_end(xenolith, kernel):
    vm = faulty(xenolith, ",".join(f"shape:ENOMEM:{n}" for n in range(1, 9)))
    assert vm.boot_source(kernel).status == 204
    for _ in range(8):
        assert "Cannot allocate memory" in vm.action("InstanceStart").fault
        assert vm.state() == NOT_STARTED
    assert vm.action("InstanceStart").status == 204


@pytest.mark.parametrize("op", ["shape:EIO", "mem_write:EIO"])
def test_preparing_fails_and_the_start_does_it_again(xenolith, kernel, op):
    """The client was not waiting for it: it learns of failures that stay."""
    vm = faulty(xenolith, op)
    assert vm.put("/machine-config", {"vcpu_count": 2, "mem_size_mib": 64}).status == 204
    assert vm.boot_source(kernel).status == 204
    wait_until(lambda: ":WARN] vm preparing the guest: " in vm.log(), "the warning")
    assert vm.state() == NOT_STARTED
    assert vm.action("InstanceStart").status == 204
    vm.finish()
    dump = vm.dump()
    assert intact(dump) and dump["shape"] == {"vcpus": 2, "ram": 64 << 20}


def test_pause_fails(xenolith, kernel):
    vm = faulty(xenolith, "pause:EIO")
    vm.start(kernel)
    assert "Input/output error" in vm.patch("/vm", {"state": "Paused"}).fault
    assert vm.state() == RUNNING
    vm.set_state("Paused")
    assert vm.state() == PAUSED


def test_resume_fails(xenolith, kernel):
    vm = faulty(xenolith, "resume:EIO")
    vm.start(kernel)
    vm.set_state("Paused")
    assert "Input/output error" in vm.patch("/vm", {"state": "Resumed"}).fault
    assert vm.state() == PAUSED
    vm.set_state("Resumed")
    assert vm.state() == RUNNING


def test_no_hypervisor(xenolith):
    vm = xenolith(env={"XENOLITH_FAKE_FAIL": "open:EACCES"}, wait=False)
    assert vm.wait() == 1
    assert ":ERROR] xenolith fake open: Permission denied\n" in vm.log()


@pytest.mark.parametrize("env", [
    {"XENOLITH_FAKE_FAIL": "shape"}, {"XENOLITH_FAKE_FAIL": "shape:EXYZ"},
    {"XENOLITH_FAKE_FAIL": "jump:EIO"}, {"XENOLITH_FAKE_FAIL": "shape:EIO:0"},
    {"XENOLITH_FAKE_FAIL": "shape:EIO:2x"}, {"XENOLITH_FAKE_RAM_MIB": "many"},
    {"XENOLITH_FAKE_NO_PAGES": "yes"}, {"XENOLITH_FAKE_NO_DOORBELLS": "yes"},
    {"XENOLITH_FAKE_GUEST": "/nonexistent"}])
def test_the_fake_refuses_what_it_does_not_understand(xenolith, env):
    vm = xenolith(env=env, wait=False)
    assert vm.wait() == 98
    assert list(env)[0] in vm.log() or "/nonexistent" in vm.log()
    _remove_socket(vm)


@pytest.mark.parametrize("script,line", [
    ("out8 1", 1), ("\n\nout8 0x3f8 256", 3), ("jump", 1), ('print "x', 1), ("print x", 1),
    ("end sometime", 1), ("sleep", 1), ("sleep -1", 1), ("idle 3", 1), ('print "\\q"', 1),
    ("wait 48 1", 1), ("in8 0x3f8 0x", 1)])
def test_the_fake_refuses_bad_scripts(xenolith, script, line):
    vm = xenolith(guest=script, wait=False)
    assert vm.wait() == 98
    assert f"guest:{line}: " in vm.log()
    _remove_socket(vm)


def test_the_fake_notices_what_was_not_expected(xenolith, kernel):
    vm = xenolith(guest="in8 0x80 0xff\nin8 0x80 0xfe\n")
    vm.start(kernel)
    assert vm.wait() == 99
    assert "guest:2: expected 0xfe, got 0xff" in vm.log()
    _remove_socket(vm)


def _remove_socket(vm):
    """The fake ended the process, which could not clean up."""
    import os
    if os.path.exists(vm.sock_path):
        os.unlink(vm.sock_path)


@pytest.mark.parametrize("op", ["shape", "mem_write", "doorbell", "line", "start"])
def test_start_fails_and_the_next_one_has_its_devices(xenolith, kernel, tap, op):
    vm = xenolith(env={"XENOLITH_FAKE_FAIL": f"{op}:EIO,{op}:EIO:2"},
                  guest="read32 0xd0000008 2\nread32 0xd0000100 3\nread32 0xd0001008 2\n"
                        "read32 0xd0001100 1\nread32 0xd0002008 1\nend poweroff\n")
    disks = [vm.write(f"disk{n}", bytes(n * 512)) for n in range(4)]

    def put_drive(name, path, root=False):
        return vm.put(f"/drives/{name}", {"drive_id": name, "path_on_host": path,
                                          "is_root_device": root}).status

    vm.boot_source(kernel)
    assert put_drive("a", disks[1]) == put_drive("r", disks[2], True) == 204
    assert vm.put("/network-interfaces/n", {"iface_id": "n",
                                            "host_dev_name": tap()}).status == 204
    before = vm.fds()
    assert vm.action("InstanceStart").fault.startswith("Start microvm error: ")
    assert vm.fds() <= before
    assert put_drive("r", disks[3], True) == 204
    assert vm.action("InstanceStart").status == 400
    assert vm.fds() <= before
    assert vm.action("InstanceStart").status == 204
    assert vm.wait() == 3, vm.log()


def test_start_without_a_file_that_went_away(xenolith, kernel):
    """It was open, the failed start took it, and the next one has to open it again."""
    vm = faulty(xenolith, "start:EIO")
    path = vm.write("disk", bytes(512))
    body = {"drive_id": "d", "path_on_host": path, "is_root_device": False}
    vm.boot_source(kernel)
    assert vm.put("/drives/d", body).status == 204
    assert "fake start" in vm.action("InstanceStart").fault
    os.unlink(path)
    fault = vm.action("InstanceStart").fault
    assert fault.startswith("Start microvm error: ") and f"(os error 2) {path}" in fault
    assert vm.state() == NOT_STARTED
    vm.write("disk", bytes(512))
    assert vm.action("InstanceStart").status == 204
