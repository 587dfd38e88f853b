# SPDX-License-Identifier: Apache-2.0
"""What may be asked for when: every method on every path, in every state."""
import pytest

from harness import NOT_STARTED, PAUSED, RUNNING

STATES = (NOT_STARTED, RUNNING, PAUSED)
METHODS = ("GET", "PUT", "PATCH", "DELETE")

BEFORE = "The requested operation is not supported before starting the microVM."
AFTER = "The requested operation is not supported after starting the microVM."
NO_HOTPLUG = "PCI is not enabled"
NOT_FOUND = "Device not found"
KERNEL = object()  # stands for the path of a good kernel
TAP = object()  # stands for the name of a tap

# (method, path, body, before the start, after it): a status, or what a fault says.
SERVED = [
    ("GET", "/", None, 200, 200),
    ("GET", "/version", None, 200, 200),
    ("GET", "/machine-config", None, 200, 200),
    ("GET", "/vm/config", None, 200, 200),
    ("PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 64}, 204, AFTER),
    ("PATCH", "/machine-config", {"vcpu_count": 2}, 204, AFTER),
    ("PUT", "/boot-source", {"kernel_image_path": KERNEL}, 204, AFTER),
    ("PUT", "/drives/d", {"drive_id": "d", "is_root_device": False, "path_on_host": KERNEL,
                          "is_read_only": True}, 204, NO_HOTPLUG),
    ("PATCH", "/drives/d", {"drive_id": "d", "path_on_host": KERNEL}, BEFORE, NOT_FOUND),
    ("DELETE", "/drives/d", None, BEFORE, NO_HOTPLUG),
    ("PUT", "/network-interfaces/n", {"iface_id": "n", "host_dev_name": TAP}, 204, NO_HOTPLUG),
    ("PATCH", "/network-interfaces/n", {"iface_id": "n"}, BEFORE, NOT_FOUND),
    ("DELETE", "/network-interfaces/n", None, BEFORE, NO_HOTPLUG),
    ("PUT", "/logger", {"level": "Info"}, 204, AFTER),
    ("PUT", "/metrics", {"metrics_path": "/dev/null"}, 204, AFTER),
    ("PUT", "/serial", {"serial_out_path": "/dev/null"}, 204, AFTER),
    ("PUT", "/actions", {"action_type": "InstanceStart"},
     "Cannot start microvm without kernel configuration.", AFTER),
    ("PUT", "/actions", {"action_type": "FlushMetrics"}, BEFORE, 204),
    ("PUT", "/actions", {"action_type": "SendCtrlAltDel"}, BEFORE, 204),
    ("PATCH", "/vm", {"state": "Paused"}, BEFORE, 204),
    ("PATCH", "/vm", {"state": "Resumed"}, BEFORE, 204),
]

# Firecracker has them, Xenolith by design has not: (method, path, what, before, after); the
# state matters first, as there. None: what is said is that it is not there.
BALLOON, MEMORY, MMDS = "balloon device", "memory that can be plugged in", "metadata service"
ABSENT = [
    ("GET", "/balloon", BALLOON, None, None),
    ("PUT", "/balloon", BALLOON, None, AFTER),
    ("PATCH", "/balloon", BALLOON, BEFORE, None),
    ("GET", "/balloon/statistics", BALLOON, BEFORE, None),
    ("PATCH", "/balloon/statistics", BALLOON, BEFORE, None),
    ("GET", "/balloon/hinting/status", BALLOON, BEFORE, None),
    ("PATCH", "/balloon/hinting/start", BALLOON, BEFORE, None),
    ("PATCH", "/balloon/hinting/stop", BALLOON, BEFORE, None),
    ("GET", "/hotplug/memory", MEMORY, BEFORE, None),
    ("PUT", "/hotplug/memory", MEMORY, None, AFTER),
    ("PATCH", "/hotplug/memory", MEMORY, BEFORE, None),
    ("GET", "/mmds", MMDS, None, None),
    ("PUT", "/mmds", MMDS, None, None),
    ("PATCH", "/mmds", MMDS, None, None),
    ("PUT", "/mmds/config", MMDS, None, AFTER),
    ("PUT", "/pmem/p0", "pmem devices", None, NO_HOTPLUG),
    ("PATCH", "/pmem/p0", "pmem devices", BEFORE, None),
    ("DELETE", "/pmem/p0", "pmem devices", BEFORE, NO_HOTPLUG),
    ("PUT", "/cpu-config", "CPU templates", None, AFTER),
    ("PUT", "/entropy", "entropy device", None, AFTER),
    ("PUT", "/vsock", "vsock device", None, AFTER),
    ("PUT", "/snapshot/create", "snapshots", BEFORE, None),
    ("PUT", "/snapshot/load", "snapshots", None, AFTER),
]

PATHS = sorted({p for _, p, *_ in SERVED + ABSENT} |
               {"/foo", "/vm/foo", "/machine-config2", "/Version", "/hotplug", "/drives",
                "/network-interfaces", "/pmem", "/snapshot", "/snapshot/foo", "/../version",
                "/%2e/version"})


def known():
    return {(m, p) for m, p, *_ in SERVED + ABSENT}


# What a path's second token says to PATCH /vm is not looked at, in Firecracker neither.
# Nor is it that of most others: what begins with a path that is known is the same.
NO_ID = ("/drives", "/network-interfaces", "/pmem")
UNKNOWN = [(m, p) for p in PATHS for m in METHODS
           if not any(m == k and (p + "/").startswith(q + "/") for k, q in known() if q != "/")
           and not (m == "PATCH" and p.startswith("/vm/"))
           and not (p in NO_ID and m != "GET") and (m, p) != ("GET", "/")]


def everything(vm):
    """All that a client can see."""
    return [vm.get(p).json for p in ("/", "/machine-config", "/vm/config")]


def first_word(body):
    """What tells bodies for one path from each other."""
    value = next(iter((body or {"": ""}).values()))
    return "" if value is KERNEL else value


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("method,path,body,before,after", SERVED,
                         ids=[f"{c[0]} {c[1]} {first_word(c[2])}" for c in SERVED])
def test_served(vm, kernel, request, state, method, path, body, before, after):
    vm.go_to(state, kernel)
    if body:
        body = {k: kernel if v is KERNEL else v for k, v in body.items()}
        body = {k: request.getfixturevalue("tap")() if v is TAP else v
                for k, v in body.items()}
    old = everything(vm)
    response = vm.request(method, path, body)
    expected = before if state == NOT_STARTED else after
    if isinstance(expected, int):
        assert response.status == expected, response
        return
    assert expected in response.fault
    assert everything(vm) == old


@pytest.mark.parametrize("state", STATES)
def test_what_is_absent_by_design(vm, kernel, state):
    vm.go_to(state, kernel)
    old = everything(vm)
    for method, path, what, before, after in ABSENT:
        bodies = {"GET": (None,), "DELETE": (None,)}.get(method, ({}, {"x": 1}, "no JSON"))
        for body in bodies:
            fault = vm.request(method, path, "{}" if body == {} else body).fault
            expected = before if state == NOT_STARTED else after
            if expected:
                assert fault == expected, (method, path)
            else:
                assert fault.startswith(f"Not supported: Xenolith has no {what}"), (method, path)
                assert "by design" in fault
    assert everything(vm) == old


@pytest.mark.parametrize("state", STATES)
def test_unknown(vm, kernel, state):
    vm.go_to(state, kernel)
    old = everything(vm)
    for method, path in UNKNOWN:
        body = '{"x": 1}' if method in ("PUT", "PATCH") else None
        first = path.lstrip("/").split("/")[0]
        assert vm.request(method, path, body).fault == (
            f"Invalid request method and/or path: {method} {first}."), (method, path)
    assert everything(vm) == old


@pytest.mark.parametrize("state", STATES)
def test_ids_and_bodies_come_before_the_state(vm, kernel, state):
    vm.go_to(state, kernel)
    for path in NO_ID:
        for method in ("PUT", "PATCH", "DELETE"):
            body = None if method == "DELETE" else "{}"
            assert vm.request(method, path, body).fault == "The ID cannot be empty."
            assert vm.request(method, path + "/", body).fault == "The ID cannot be empty."
            assert vm.request(method, path + "/a-b", body).fault == (
                "API Resource IDs can only contain alphanumeric characters and underscores.")
    for path in PATHS:
        assert vm.request("GET", path, "{}").fault == "GET request cannot have a body."
        assert vm.request("PUT", path).fault == "Empty PUT request."
        assert vm.request("DELETE", path, "{}").fault == "Empty Delete request."
        if "hinting" not in path:
            assert vm.request("PATCH", path).fault == "Empty PATCH request."
    for path in ("/balloon/hinting/start", "/balloon/hinting/stop"):
        assert "Empty" not in vm.request("PATCH", path).fault


def test_the_table_covers_the_whole_api():
    # A path that is served must not be taken for an unknown one by the tests above.
    assert len(UNKNOWN) > 50
    assert ("GET", "/foo") in UNKNOWN and ("DELETE", "/version") in UNKNOWN


def test_get_instance(xenolith, kernel):
    vm = xenolith("--id", "my-VM-1")
    for state in STATES:
        if state != NOT_STARTED:
            vm.go_to(state, kernel) if state == RUNNING else vm.set_state("Paused")
        got = vm.get("/").json
        assert list(got) == ["id", "state", "vmm_version", "app_name"]
        assert got["id"] == "my-VM-1"
        assert got["state"] == state
        assert got["app_name"] == "Firecracker"
        assert got["vmm_version"] == vm.get("/version").json["firecracker_version"]


def test_default_id(vm):
    assert vm.get("/").json["id"] == "anonymous-instance"


def test_machine_config_has_defaults(vm):
    assert vm.get("/machine-config").body == (
        b'{"vcpu_count":1,"mem_size_mib":128,"smt":false,"track_dirty_pages":false,'
        b'"huge_pages":"None"}')


def test_put_machine_config_replaces_and_patch_changes(vm):
    assert vm.put("/machine-config", {"vcpu_count": 4, "mem_size_mib": 256}).status == 204
    assert vm.patch("/machine-config", {"mem_size_mib": 512}).status == 204
    got = vm.get("/machine-config").json
    assert (got["vcpu_count"], got["mem_size_mib"]) == (4, 512)
    assert vm.patch("/machine-config", {"vcpu_count": 32}).status == 204
    assert vm.put("/machine-config", {"vcpu_count": 2, "mem_size_mib": 128}).status == 204
    got = vm.get("/machine-config").json
    assert (got["vcpu_count"], got["mem_size_mib"]) == (2, 128)


def test_a_template_is_deprecated(vm):
    response = vm.put("/machine-config",
                      {"vcpu_count": 1, "mem_size_mib": 64, "cpu_template": "None"})
    assert response.head == (b"HTTP/1.1 204 \r\nServer: Firecracker API\r\n"
                             b"Connection: keep-alive\r\nDeprecation: true\r\n\r\n")


def test_vm_config_has_every_key(vm, kernel):
    empty = vm.get("/vm/config").json
    assert set(empty) == {
        "balloon", "drives", "boot-source", "cpu-config", "logger", "machine-config", "metrics",
        "mmds-config", "network-interfaces", "vsock", "entropy", "pmem", "memory-hotplug"}
    for key in ("drives", "network-interfaces", "pmem"):
        assert empty[key] == []
    for key in ("logger", "metrics", "vsock", "balloon", "entropy", "cpu-config"):
        assert empty[key] is None
    assert empty["machine-config"] == vm.get("/machine-config").json
    vm.boot_source(kernel, boot_args="console=ttyS0")
    assert vm.get("/vm/config").json["boot-source"] == {
        "kernel_image_path": kernel, "initrd_path": None, "boot_args": "console=ttyS0"}


def test_pause_and_resume_twice(vm, kernel):
    vm.start(kernel)
    for state, shown in (("Paused", PAUSED), ("Resumed", RUNNING)) * 2:
        vm.set_state(state)
        assert vm.state() == shown
        vm.set_state(state)
        assert vm.state() == shown


def test_a_second_start_is_refused(vm, kernel):
    vm.start(kernel)
    assert vm.action("InstanceStart").fault == AFTER
    assert vm.state() == RUNNING
