# SPDX-License-Identifier: Apache-2.0
"""Drives: what may be put and patched, in which order they are, and what the guest's command
line says of them."""
import json
import os
import socket

import pytest

from harness import PAUSED, RUNNING, wait_until

CREATE = "Drive config error: Unable to create the virtio block device: "
FILE = "Virtio backend error: Error manipulating the backing file: "
PATCH = "Drive config error: Unable to patch the block device: "
PLEASE = " Please verify the request arguments."
KEYS = ["drive_id", "partuuid", "is_root_device", "cache_type", "is_read_only", "path_on_host",
        "rate_limiter", "io_engine", "socket"]
BUCKET = {"size": 1000, "one_time_burst": 10, "refill_time": 100}


@pytest.fixture
def disk(tmp):
    """disk(): the path of a new file of 1 MiB."""
    made = []

    def make(size=1 << 20):
        path = os.path.join(tmp, f"disk{len(made)}")
        with open(path, "wb") as f:
            f.truncate(size)
        made.append(path)
        return path

    return make


def body(name, path, root=False, **more):
    return {"drive_id": name, "path_on_host": path, "is_root_device": root, **more}


def put(vm, name, path, root=False, **more):
    return vm.put(f"/drives/{name}", body(name, path, root, **more))


def patch(vm, name, **fields):
    return vm.patch(f"/drives/{name}", {"drive_id": name, **fields})


def drives(vm):
    return vm.get("/vm/config").json["drives"]


def order(vm):
    """The drives as the guest finds them, the root device with a `*`."""
    return " ".join(d["drive_id"] + "*" * d["is_root_device"] for d in drives(vm))


# ---- before the start ----

def test_a_drive_has_firecrackers_nine_keys(vm, disk):
    path = disk()
    assert put(vm, "d", path).status == 204
    assert list(drives(vm)[0].items()) == list(zip(KEYS, (
        "d", None, False, "Unsafe", False, path, None, "Sync", None)))
    limiter = {"bandwidth": BUCKET, "ops": None}
    assert put(vm, "d", path, True, is_read_only=True, cache_type="Writeback", partuuid="0-1",
               io_engine="Async", rate_limiter=limiter, socket=None).status == 204
    assert list(drives(vm)[0].items()) == list(zip(KEYS, (
        "d", "0-1", True, "Writeback", True, path, limiter, "Async", None)))


def test_direct_is_told_only_to_those_who_use_it(vm, disk):
    path = disk()
    assert put(vm, "d", path, direct=False).status == 204
    assert list(drives(vm)[0]) == KEYS
    assert put(vm, "d", path, direct=True).status == 204
    assert list(drives(vm)[0]) == KEYS + ["direct"] and drives(vm)[0]["direct"] is True
    assert "`direct`" not in put(vm, "d", path, x=1).fault


def test_the_root_device_is_first_and_others_keep_their_order(vm, disk):
    path = disk()
    for name, root, expected in (
            ("a", False, "a"), ("b", False, "a b"), ("r", True, "r* a b"),
            ("c", False, "r* a b c"), ("b", False, "r* a b c"), ("r", False, "r a b c"),
            ("c", True, "c* r a b"), ("c", True, "c* r a b")):
        assert put(vm, name, path, root).status == 204
        assert order(vm) == expected


def test_a_second_root_device(vm, disk):
    path = disk()
    put(vm, "a", path, True)
    put(vm, "b", path)
    for name in ("b", "c"):
        old = drives(vm)
        assert put(vm, name, path, True).fault == (
            "Drive config error: A root block device already exists!")
        assert drives(vm) == old


def test_a_drive_is_replaced_as_a_whole(vm, disk):
    first, second = disk(), disk()
    put(vm, "d", first, is_read_only=True, rate_limiter={"ops": BUCKET}, partuuid="x",
        cache_type="Writeback", io_engine="Async", direct=True)
    put(vm, "d", second)
    assert drives(vm) == [dict(zip(KEYS, ("d", None, False, "Unsafe", False, second, None,
                                          "Sync", None)))]


def test_ids(vm, disk):
    path = disk()
    for name in ("a", "_", "rootfs_1", "0", "A" * 64):
        assert put(vm, name, path).status == 204
    for name in ("a-b", "a.b", "a%20b", "%61", "a?b", "\u00e9", "a:b"):
        assert put(vm, name, path).fault == (
            "API Resource IDs can only contain alphanumeric characters and underscores.")
    assert "64 characters" in put(vm, "A" * 65, path).fault
    for where in ("/drives", "/drives/"):
        assert vm.put(where, body("a", path)).fault == "The ID cannot be empty."
        assert vm.patch(where, {"drive_id": "a"}).fault == "The ID cannot be empty."
        assert vm.request("DELETE", where).fault == "The ID cannot be empty."
    for method in ("PUT", "PATCH"):
        sent = body("b", path) if method == "PUT" else {"drive_id": "b"}
        assert vm.request(method, "/drives/a", sent).fault == (
            "The id from the path does not match the id from the body!")
    assert len(drives(vm)) == 5


def test_vhost_user_is_not_supported(vm, disk):
    path = disk()
    sent = {"drive_id": "d", "is_root_device": False, "socket": path}
    for more in ({}, {"path_on_host": path}):
        fault = vm.put("/drives/d", {**sent, **more}).fault
        assert fault == CREATE + "a vhost-user backend (socket) is not supported."
    assert CREATE in vm.put("/drives/d", {"drive_id": "d", "is_root_device": False}).fault
    assert drives(vm) == []


@pytest.mark.parametrize("partuuid", ["", " ", "a b", 'a"b', "a\tb", "\u00e9", "x" * 65])
def test_a_partuuid_is_one_word(vm, disk, partuuid):
    assert "partuuid" in put(vm, "d", disk(), True, partuuid=partuuid).fault
    assert drives(vm) == []


def test_how_many_there_may_be(vm, kernel, disk):
    path = disk()
    for i in range(32):
        assert put(vm, f"d{i}", path, i == 7, is_read_only=True).status == 204
    old = drives(vm)
    assert "32" in put(vm, "more", path).fault
    assert drives(vm) == old
    assert put(vm, "d3", path).status == 204
    vm.start(kernel)


# ---- rate limiters ----

@pytest.mark.parametrize("given,shown", [
    (None, None), ({}, None), ({"bandwidth": None, "ops": None}, None),
    ({"ops": BUCKET}, {"bandwidth": None, "ops": BUCKET}),
    ({"bandwidth": BUCKET}, {"bandwidth": BUCKET, "ops": None}),
    ({"bandwidth": BUCKET, "ops": BUCKET}, {"bandwidth": BUCKET, "ops": BUCKET}),
    ({"ops": {"size": 5, "refill_time": 6}},
     {"bandwidth": None, "ops": {"size": 5, "one_time_burst": None, "refill_time": 6}}),
    ({"ops": {"size": 5, "refill_time": 6, "one_time_burst": 0}},
     {"bandwidth": None, "ops": {"size": 5, "one_time_burst": None, "refill_time": 6}}),
    ({"ops": {**BUCKET, "size": 0}, "bandwidth": {**BUCKET, "refill_time": 0}}, None),
    ({"ops": {**BUCKET, "unknown": {"x": []}}}, {"bandwidth": None, "ops": BUCKET}),
    ({"ops": {"size": 2**64 - 1, "refill_time": 2**64 - 1, "one_time_burst": 2**64 - 1}},
     {"bandwidth": None, "ops": {"size": 2**64 - 1, "one_time_burst": 2**64 - 1,
                                 "refill_time": 2**64 - 1}})])
def test_rate_limiters(vm, disk, given, shown):
    assert put(vm, "d", disk(), rate_limiter=given).status == 204
    assert json.dumps(drives(vm)[0]["rate_limiter"]) == json.dumps(shown)


@pytest.mark.parametrize("given,fault", [
    ({"bytes": BUCKET}, "unknown field `bytes`, expected `bandwidth` or `ops`"),
    ({"ops": {}}, "missing field `size`"), ({"ops": {"size": 1}}, "missing field `refill_time`"),
    ({"ops": {**BUCKET, "size": -1}}, "expected u64"),
    ({"ops": {**BUCKET, "size": 2**64}}, "expected u64"),
    ({"ops": {**BUCKET, "refill_time": "1"}}, "expected u64"),
    ({"ops": {**BUCKET, "one_time_burst": 0.5}}, "expected u64"),
    ({"ops": [1]}, "expected struct TokenBucketConfig"),
    (BUCKET, "unknown field `size`")])
def test_bad_rate_limiters(vm, disk, kernel, given, fault):
    path = disk()
    assert fault in put(vm, "d", path, rate_limiter=given).fault
    assert drives(vm) == []
    put(vm, "d", path)
    vm.start(kernel)
    old = drives(vm)
    assert fault in patch(vm, "d", rate_limiter=given).fault
    assert drives(vm) == old


# ---- after the start ----

@pytest.mark.parametrize("state", [RUNNING, PAUSED])
def test_patch(vm, kernel, disk, state):
    first, second = disk(), disk()
    put(vm, "d", first, rate_limiter={"bandwidth": BUCKET})
    put(vm, "e", first)
    vm.go_to(state, kernel)
    assert patch(vm, "d", path_on_host=second).status == 204
    assert patch(vm, "d", rate_limiter={"ops": {**BUCKET, "size": 7}}).status == 204
    got = drives(vm)
    assert got[0]["path_on_host"] == second and got[1]["path_on_host"] == first
    assert got[0]["rate_limiter"] == {"bandwidth": BUCKET, "ops": {**BUCKET, "size": 7}}
    assert got[1]["rate_limiter"] is None
    assert patch(vm, "d", path_on_host=first,
                 rate_limiter={"bandwidth": {**BUCKET, "size": 0}}).status == 204
    got = drives(vm)[0]
    assert got["path_on_host"] == first
    assert got["rate_limiter"] == {"bandwidth": None, "ops": {**BUCKET, "size": 7}}
    for nothing in ({}, None):
        assert patch(vm, "d", path_on_host=first, rate_limiter=nothing).status == 204
    assert patch(vm, "d", rate_limiter={}).status == 204
    assert drives(vm)[0] == got


def test_patches_that_are_refused(vm, kernel, disk):
    path = disk()
    put(vm, "d", path, True)
    vm.start(kernel)
    old = drives(vm)
    for name in ("x", "D", "dd"):
        assert patch(vm, name, path_on_host=path).fault == (
            PATCH + "Failed perform action on device: Device not found" + PLEASE)
    for fields in ({}, {"path_on_host": None}, {"rate_limiter": None}):
        assert patch(vm, "d", **fields).fault == (
            PATCH + "Block: Running method expected different backend." + PLEASE)
    for field, value in (("is_read_only", True), ("io_engine", "Sync"), ("direct", True),
                         ("is_root_device", True), ("cache_type", "Unsafe")):
        assert (f"unknown field `{field}`, expected one of `drive_id`, `path_on_host`, "
                "`rate_limiter`") in patch(vm, "d", **{field: value}).fault
    assert put(vm, "e", path).fault == "PCI is not enabled"
    assert vm.request("DELETE", "/drives/d").fault == "PCI is not enabled"
    assert drives(vm) == old


def test_the_configuration_is_free_again_after_a_failed_start(vm, kernel, disk):
    put(vm, "d", disk(), True)
    assert "kernel" in vm.action("InstanceStart").fault
    assert put(vm, "d", disk()).status == 204
    assert put(vm, "e", disk(), True).status == 204
    vm.start(kernel)
    assert order(vm) == "e* d"


# ---- files ----

BAD_PATHS = {
    "foo.bar": "No such file or directory (os error 2) foo.bar",
    "": "No such file or directory (os error 2) ",
    "/etc/passwd/x": "Not a directory (os error 20) /etc/passwd/x",
    ".": "Is a directory (os error 21) .",
    "fifo": "Invalid argument (os error 22) fifo: neither a regular file nor a block device",
    "/dev/null": "Invalid argument (os error 22) /dev/null: neither a regular file nor a block "
                 "device",
    "socket": "Invalid argument (os error 22) socket: neither a regular file nor a block device",
    "/" + "x" * 300: "File name too long (os error 36) /" + "x" * 300,
}


@pytest.fixture
def special(vm):
    """What is no file, where the monitor runs."""
    os.mkfifo(vm.path("fifo"))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(vm.path("socket"))


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_file_is_opened_when_it_is_put(vm, disk, special, path):
    fault = CREATE + FILE + BAD_PATHS[path]
    assert put(vm, "d", path).fault == fault
    assert drives(vm) == []
    put(vm, "d", disk())
    old = drives(vm)
    for root in (False, True):
        assert put(vm, "d", path, root, is_read_only=True).fault == fault
    assert put(vm, "e", path).fault == fault
    assert drives(vm) == old


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_file_is_opened_when_it_is_patched(vm, kernel, disk, special, path):
    good = disk()
    put(vm, "d", good)
    vm.start(kernel)
    old = drives(vm)
    assert patch(vm, "d", path_on_host=path, rate_limiter={"ops": BUCKET}).fault == (
        PATCH + "Block: " + FILE + BAD_PATHS[path] + PLEASE)
    assert drives(vm) == old
    assert patch(vm, "d", path_on_host=good).status == 204


@pytest.mark.parametrize("size", [0, 1, 512, 513, 1 << 40])
def test_a_file_of_any_size(vm, kernel, disk, size):
    assert put(vm, "d", disk(size)).status == 204
    vm.start(kernel)
    assert patch(vm, "d", path_on_host=disk(size)).status == 204


def test_a_file_that_goes_away(vm, kernel, disk):
    path = disk()
    put(vm, "d", path, True)
    os.unlink(path)
    vm.start(kernel)
    assert "No such file" in patch(vm, "d", path_on_host=path).fault


def test_a_read_only_drive_is_opened_for_reading(vm, kernel, disk):
    def modes():
        """How each disk is open."""
        proc, found = f"/proc/{vm.process.pid}", {}
        for fd in os.listdir(f"{proc}/fd"):
            try:
                name = os.path.basename(os.readlink(f"{proc}/fd/{fd}"))
                with open(f"{proc}/fdinfo/{fd}", encoding="ascii") as f:
                    flags = next(line for line in f if line.startswith("flags:")).split()[1]
            except FileNotFoundError:   # a connection that was closed meanwhile
                continue
            if name.startswith("disk"):
                found[name] = int(flags, 8) & os.O_ACCMODE
        return found

    put(vm, "r", disk(), is_read_only=True)
    put(vm, "w", disk())
    assert modes() == {"disk0": os.O_RDONLY, "disk1": os.O_RDWR}
    vm.start(kernel)
    assert patch(vm, "r", path_on_host=disk()).status == 204
    assert patch(vm, "w", path_on_host=disk()).status == 204
    assert modes() == {"disk2": os.O_RDONLY, "disk3": os.O_RDWR}


def test_drives_leak_no_descriptors(vm, kernel, disk):
    paths = [disk() for _ in range(3)]
    put(vm, "d", paths[0])
    put(vm, "r", paths[0], True)
    before = vm.fds()
    for path in paths * 2:
        assert put(vm, "d", path).status == 204
        assert "root block device" in put(vm, "d", path, True).fault
        assert "No such file" in put(vm, "d", path + "x").fault
    assert vm.fds() == before
    vm.start(kernel)
    before = vm.fds()
    for path in paths * 2:
        assert patch(vm, "d", path_on_host=path).status == 204
        assert "No such file" in patch(vm, "d", path_on_host=path + "x").fault
    assert vm.fds() == before


def test_a_drive_of_the_configuration_file_that_is_not_there(xenolith, kernel, tmp):
    path = os.path.join(tmp, "vm.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"boot-source": {"kernel_image_path": kernel},
                   "drives": [body("d", "foo.bar")]}, f)
    vm = xenolith("--config-file", path, wait=False)
    assert vm.wait() == 152
    assert CREATE + FILE + BAD_PATHS["foo.bar"] in vm.log()


# ---- the command line ----

@pytest.mark.parametrize("args,root,expected", [
    ("quiet", None, "quiet"), ("quiet", {}, "quiet root=/dev/vda rw"),
    ("quiet", {"is_read_only": True}, "quiet root=/dev/vda ro"),
    ("quiet", {"partuuid": "0eaa91a0-01"}, "quiet root=PARTUUID=0eaa91a0-01 rw"),
    ("quiet -- x", {}, "quiet root=/dev/vda rw -- x"),
    ("root=/dev/vda2 ro", {}, "root=/dev/vda2 ro"),
    ("ro quiet", {}, "ro quiet root=/dev/vda rw"), ("", {}, "root=/dev/vda rw")])
def test_where_the_root_file_system_is(xenolith, kernel, disk, args, root, expected):
    vm = xenolith("--plain-boot-args")
    path = disk()
    assert put(vm, "a", path).status == 204
    if root is not None:
        assert put(vm, "r", path, True, **root).status == 204
    vm.start(kernel, boot_args=args)
    vm.finish()
    assert vm.dump()["cmdline"] == expected


def test_arguments_too_long_for_root(vm, kernel, disk):
    path = disk()
    put(vm, "r", path, True)
    vm.boot_source(kernel, boot_args="x" * 2031)
    assert "boot_args" in vm.action("InstanceStart").fault
    put(vm, "r", path)
    assert vm.action("InstanceStart").status == 204


# ---- what the guest sees ----

BLOCK, NET = 2, 1
POWERED_OFF = 3


def device(n, kind, config):
    """Steps of a guest that finds the n-th device: its kind, four bytes of its configuration."""
    base = 0xd0000000 + n * 0x1000
    return (f"read32 {base:#x} 0x74726976\nread32 {base + 4:#x} 2\n"
            f"read32 {base + 8:#x} {kind}\nread32 {base + 0x100:#x} {config:#x}\n")


def test_the_guest_finds_the_devices_in_this_order(xenolith, kernel, disk, tap):
    vm = xenolith(guest="".join((device(0, BLOCK, 3), device(1, BLOCK, 1), device(2, BLOCK, 2),
                                 device(3, NET, 0x06ac1006), "end poweroff\n")))
    vm.put("/network-interfaces/n", {"iface_id": "n", "host_dev_name": tap(),
                                     "guest_mac": "06:10:ac:06:00:02"})
    for name, sectors in (("a", 9), ("b", 2), ("r", 3), ("a", 1)):
        assert put(vm, name, disk(sectors * 512), name == "r").status == 204
    vm.start(kernel)
    assert vm.wait() == POWERED_OFF, vm.log()


def test_the_guest_sees_all_that_there_may_be(xenolith, kernel, disk):
    vm = xenolith(guest="".join(device(n, BLOCK, n) for n in range(32)) + "end poweroff\n")
    for n in range(32):
        assert put(vm, f"d{n}", disk(n * 512)).status == 204
    vm.start(kernel)
    assert vm.wait() == POWERED_OFF, vm.log()


def test_the_guest_is_told_of_a_patch(xenolith, kernel, disk):
    base = 0xd0000000
    driver = "".join(f"write32 {base + at:#x} {value}\n" for at, value in (
        (0x70, 1), (0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11), (0x70, 15)))
    vm = xenolith(guest=device(0, BLOCK, 1) + driver + 'print "ready"\nwait 16 1\n' +
                  device(0, BLOCK, 7) + "end poweroff\n")
    put(vm, "d", disk(512))
    vm.start(kernel)
    wait_until(lambda: vm.stdout() == b"ready", "the guest's driver")
    assert patch(vm, "d", path_on_host=disk(7 * 512)).status == 204
    assert vm.wait() == POWERED_OFF, vm.log()


# ---- the configuration file ----

def test_what_get_vm_config_tells_is_accepted(xenolith, kernel, disk, tap):
    first = xenolith()
    first.boot_source(kernel, boot_args="a -- b")
    put(first, "a", disk(), rate_limiter={"ops": BUCKET})
    put(first, "r", disk(), True, is_read_only=True, partuuid="1-2", cache_type="Writeback",
        io_engine="Async", direct=True, rate_limiter={"bandwidth": {**BUCKET, "size": 0}})
    for i in range(2):
        first.put(f"/network-interfaces/n{i}", {
            "iface_id": f"n{i}", "host_dev_name": tap(), "guest_mac": f"06:00:AB:00:00:0{i}",
            **({"mtu": 9000, "tx_rate_limiter": {"ops": BUCKET}} if i else {})})
    told = first.get("/vm/config")
    assert len(told.json["drives"]) == 2 and len(told.json["network-interfaces"]) == 2
    first.finish()
    second = xenolith("--config-file", first.write("vm.json", told.body))
    assert second.state() == RUNNING
    assert second.get("/vm/config").body == told.body
    second.finish()
    assert second.dump()["cmdline"].endswith("a root=PARTUUID=1-2 ro -- b")
