# SPDX-License-Identifier: Apache-2.0
"""Firecracker's answers, word for word: the cases that its clients and tests rely on."""
import os

import pytest

from harness import NOT_STARTED, PAUSED, RUNNING, Http

D = "An error occurred when deserializing the json body of a request: "
AFTER = "The requested operation is not supported after starting the microVM."
BEFORE = "The requested operation is not supported before starting the microVM."
NO_FILE = "No such file or directory (os error 2)"
VCPUS = ("Machine config error: The number of vCPUs must be greater than 0, less than 32 and "
         "must be 1 or an even number if SMT is enabled.")
MEMORY = ("Machine config error: The memory size (MiB) is either 0, or not a multiple of the "
          "configured page size.")
CREATE_DRIVE = "Drive config error: Unable to create the virtio block device: "
BACKING = "Virtio backend error: Error manipulating the backing file: "
PATCH_DRIVE = "Drive config error: Unable to patch the block device: "
VERIFY = " Please verify the request arguments."


def machine(**more):
    return {"vcpu_count": 1, "mem_size_mib": 128, **more}


def drive(**more):
    return {"drive_id": "d", "is_root_device": False, "path_on_host": "IMAGE", **more}


def net(**more):
    return {"iface_id": "n", "host_dev_name": "TAP", **more}


# Before the start: (method, path, body, answer). What serde_json says about a body is told up
# to where it says that; the line and the column are its own.
FAULTS = [
    ("GET", "/foo", None, "Invalid request method and/or path: GET foo."),
    ("GET", "/vm/foo", None, "Invalid request method and/or path: GET vm."),
    ("PUT", "/vm", {}, "Invalid request method and/or path: PUT vm."),
    ("PUT", "/foo/bar", {}, "Invalid request method and/or path: PUT foo."),
    ("PATCH", "/boot-source", {"x": 1}, "Invalid request method and/or path: PATCH boot-source."),
    ("PATCH", "/logger", {"level": "Error"}, "Invalid request method and/or path: PATCH logger."),
    ("DELETE", "/vm", None, "Invalid request method and/or path: DELETE vm."),
    ("GET", "/", {}, "GET request cannot have a body."),
    ("PUT", "/machine-config", None, "Empty PUT request."),
    ("PUT", "/nowhere", None, "Empty PUT request."),
    ("PATCH", "/machine-config", None, "Empty PATCH request."),
    ("PATCH", "/machine-config", {}, "Empty PATCH request."),
    ("DELETE", "/drives/d", {}, "Empty Delete request."),
    ("PUT", "/drives", drive(), "The ID cannot be empty."),
    ("DELETE", "/drives", None, "The ID cannot be empty."),
    ("PATCH", "/network-interfaces/", net(), "The ID cannot be empty."),
    ("PUT", "/drives/a-b", drive(),
     "API Resource IDs can only contain alphanumeric characters and underscores."),
    ("PUT", "/drives/x", drive(), "The id from the path does not match the id from the body!"),
    ("PUT", "/network-interfaces/x", net(),
     "The id from the path [x] does not match the id from the body [n]!"),

    ("PUT", "/actions", " ", D + "EOF while parsing a value at line 1 column 1."),
    ("PUT", "/actions", "{", D + "EOF while parsing an object at line 1 column 1."),
    ("PUT", "/actions", {"action_type": "InstanceStart", "x": 1},
     D + "unknown field `x`, expected `action_type` at "),
    ("PUT", "/actions", {"action_type": "foo"},
     D + "unknown variant `foo`, expected one of `FlushMetrics`, `InstanceStart`, "
     "`SendCtrlAltDel` at "),
    ("PATCH", "/vm", {"state": "foo"},
     D + "unknown variant `foo`, expected `Paused` or `Resumed` at "),
    ("PUT", "/machine-config", '{"mem_size_mib": 128}',
     D + "missing field `vcpu_count` at line 1 column 21."),
    ("PUT", "/machine-config", '{"vcpu_count": 2}',
     D + "missing field `mem_size_mib` at line 1 column 17."),
    ("PUT", "/machine-config", {"vcpu_count": "-2", "mem_size_mib": 1},
     D + 'invalid type: string "-2", expected u8 at '),
    ("PUT", "/machine-config", machine(smt="x"),
     D + 'invalid type: string "x", expected a boolean at '),
    ("PUT", "/machine-config", machine(mem_size_mib=1 << 64),
     D + "invalid type: floating point "),
    ("PUT", "/machine-config", machine(cpu_template="x"),
     D + "unknown variant `x`, expected one of `C3`, `T2`, `T2S`, `None`, `T2CL`, `T2A` at "),
    ("PUT", "/machine-config", machine(vcpu_count=0), VCPUS),
    ("PUT", "/machine-config", machine(vcpu_count=33), VCPUS),
    ("PUT", "/machine-config", machine(vcpu_count=3, smt=True), VCPUS),
    ("PATCH", "/machine-config", {"vcpu_count": 33}, VCPUS),
    ("PUT", "/machine-config", machine(mem_size_mib=0), MEMORY),
    ("PATCH", "/machine-config", {"mem_size_mib": 0}, MEMORY),

    ("PUT", "/boot-source", {"kernel_image_path": "foo.bar"},
     "Boot source error: The kernel file cannot be opened: " + NO_FILE),
    ("PUT", "/boot-source", {"kernel_image_path": "KERNEL", "initrd_path": "foo.bar"},
     "Boot source error: The initrd file cannot be opened due to invalid path or invalid "
     "permissions. " + NO_FILE),
    ("PUT", "/boot-source", {"kernel_image_path": "foo.bar", "boot_args": "\u00e9"},
     "Boot source error: The kernel file cannot be opened: " + NO_FILE),

    ("PUT", "/drives/d", {"drive_id": "d", "path_on_host": "IMAGE"},
     D + "missing field `is_root_device` at "),
    ("PUT", "/drives/d", drive(path_on_host="foo.bar"),
     CREATE_DRIVE + BACKING + NO_FILE + " foo.bar"),
    ("PATCH", "/drives/d", {"drive_id": "d", "path_on_host": "IMAGE"}, BEFORE),
    ("DELETE", "/drives/d", None, BEFORE),
    ("PUT", "/network-interfaces/n", net(guest_mac="06:00:00:00:00"),
     D + "The provided MAC address is invalid."),
    ("PUT", "/network-interfaces/n", net(mtu=10),
     "Network config error: Could not create the network device: MTU 10 is out of range "
     "[68, 65535]"),
    ("PUT", "/network-interfaces/n", net(mtu=65536),
     D + "invalid value: integer `65536`, expected u16 at "),
    ("PATCH", "/network-interfaces/n", {"iface_id": "n"}, BEFORE),

    ("PUT", "/logger", {"log_path": "/nonexistent/log"},
     "Logger error: Failed to open target file: " + NO_FILE),
    ("PUT", "/actions", {"action_type": "InstanceStart"},
     "Start microvm error: Cannot start microvm without kernel configuration."),
    ("PUT", "/actions", {"action_type": "FlushMetrics"}, BEFORE),
    ("PUT", "/actions", {"action_type": "SendCtrlAltDel"}, BEFORE),
    ("PATCH", "/vm", {"state": "Paused"}, BEFORE),
    ("PATCH", "/vm", {"state": "Resumed"}, BEFORE),
    ("PUT", "/snapshot/create", {"snapshot_path": "a", "mem_file_path": "b"}, BEFORE),
    ("GET", "/balloon/statistics", None, BEFORE),
    ("PATCH", "/balloon", {"amount_mib": 0}, BEFORE),
    ("PATCH", "/hotplug/memory", {"requested_size_mib": 512}, BEFORE),
    ("PATCH", "/pmem/p", {"id": "p"}, BEFORE),
]

# After it, running and paused; there is a drive "d".
FAULTS_STARTED = [
    ("PUT", "/actions", {"action_type": "InstanceStart"}, AFTER),
    ("PUT", "/boot-source", {"kernel_image_path": "KERNEL"}, AFTER),
    ("PUT", "/machine-config", machine(vcpu_count=4), AFTER),
    ("PATCH", "/machine-config", {"vcpu_count": 4}, AFTER),
    ("PUT", "/logger", {"level": "Info"}, AFTER),
    ("PUT", "/metrics", {"metrics_path": "m"}, AFTER),
    ("PUT", "/serial", {"serial_out_path": "s"}, AFTER),
    ("PUT", "/vsock", {"guest_cid": 3, "uds_path": "v"}, AFTER),
    ("PUT", "/entropy", {}, AFTER),
    ("PUT", "/balloon", {"amount_mib": 1, "deflate_on_oom": True}, AFTER),
    ("PUT", "/cpu-config", {}, AFTER),
    ("PUT", "/mmds/config", {"version": "V2", "network_interfaces": ["n"]}, AFTER),
    ("PUT", "/snapshot/load", {"snapshot_path": "s"}, AFTER),
    ("PUT", "/hotplug/memory", {"total_size_mib": 1024}, AFTER),
    ("PUT", "/drives/e", {**drive(), "drive_id": "e"}, "PCI is not enabled"),
    ("PUT", "/network-interfaces/n", net(), "PCI is not enabled"),
    ("PUT", "/pmem/p", {"id": "p", "path_on_host": "IMAGE"}, "PCI is not enabled"),
    ("DELETE", "/drives/d", None, "PCI is not enabled"),
    ("DELETE", "/network-interfaces/n", None, "PCI is not enabled"),
    ("DELETE", "/pmem/p", None, "PCI is not enabled"),
    # What the state forbids is not looked at closely.
    ("PUT", "/machine-config", machine(vcpu_count=33), AFTER),
    ("PATCH", "/machine-config", {"huge_pages": "2M"}, AFTER),
    ("PUT", "/boot-source", {"kernel_image_path": "KERNEL", "boot_args": "x" * 5000}, AFTER),
    ("PUT", "/drives/e", {"drive_id": "e", "is_root_device": False}, "PCI is not enabled"),
    ("PUT", "/network-interfaces/n", net(mtu=10), "PCI is not enabled"),

    ("PATCH", "/boot-source", {"x": 1}, "Invalid request method and/or path: PATCH boot-source."),
    ("PATCH", "/drives/x", {"drive_id": "x", "path_on_host": "IMAGE"},
     PATCH_DRIVE + "Failed perform action on device: Device not found" + VERIFY),
    ("PATCH", "/drives/d", {"drive_id": "d"},
     PATCH_DRIVE + "Block: Running method expected different backend." + VERIFY),
    ("PATCH", "/drives/d", {"drive_id": "d", "path_on_host": "foo.bar"},
     PATCH_DRIVE + "Block: " + BACKING + NO_FILE + " foo.bar" + VERIFY),
    *(("PATCH", "/drives/d", {"drive_id": "d", "path_on_host": "IMAGE", field: value},
       D + f"unknown field `{field}`, expected one of `drive_id`, `path_on_host`, "
       "`rate_limiter` at ")
      for field, value in (("is_read_only", True), ("io_engine", "Sync"),
                           ("is_root_device", False))),
]


@pytest.fixture
def fill(kernel, tmp, request):
    """fill(body): with the files and the tap that its words in capitals stand for."""
    with open(os.path.join(tmp, "image"), "wb") as f:
        f.truncate(1 << 20)
    names = {"KERNEL": kernel, "IMAGE": f.name}

    def replace(body):
        if not isinstance(body, dict):
            return body
        if "TAP" in body.values() and "TAP" not in names:
            names["TAP"] = request.getfixturevalue("tap")()
        return {k: names.get(v, v) if isinstance(v, str) else v for k, v in body.items()}

    return replace


def told(vm, fill, cases):
    for method, path, body, expected in cases:
        fault = vm.request(method, path, fill(body)).fault
        if expected.startswith(D) and not expected.endswith("."):
            assert fault.startswith(expected), (method, path, body)
        elif expected.startswith(D + "The"):
            assert fault.startswith(expected[:-1]), (method, path, body)
        else:
            assert fault == expected, (method, path, body)


def test_faults_before_the_start(vm, fill):
    told(vm, fill, FAULTS)
    assert vm.state() == NOT_STARTED


@pytest.mark.parametrize("state", [RUNNING, PAUSED])
def test_faults_after_the_start(vm, kernel, fill, state):
    assert vm.put("/drives/d", fill(drive())).status == 204
    vm.go_to(state, kernel)
    told(vm, fill, FAULTS_STARTED)
    assert vm.state() == state


def test_a_second_root_device(vm, fill):
    assert vm.put("/drives/a", fill({**drive(), "drive_id": "a", "is_root_device": True})) \
        .status == 204
    assert vm.put("/drives/d", fill(drive(is_root_device=True))).fault == (
        "Drive config error: A root block device already exists!")


def test_a_mac_that_is_in_use(vm, tap):
    mac = "06:00:00:00:00:01"
    for i in ("1", "2"):
        body = {"iface_id": i, "host_dev_name": tap(), "guest_mac": mac}
        response = vm.put(f"/network-interfaces/{i}", body)
    assert response.fault == f"Network config error: The MAC address is already in use: {mac}"


def test_metrics_twice(vm, tmp):
    body = {"metrics_path": os.path.join(tmp, "metrics")}
    assert vm.put("/metrics", body).status == 204
    assert vm.put("/metrics", body).fault == (
        "Metrics error: Cannot initialize the metrics system due to bad user input: "
        "Reinitialization of metrics not allowed.")


def test_a_start_that_failed_is_repeated(vm, kernel, fill):
    assert vm.action("InstanceStart").status == 400
    assert vm.put("/boot-source", fill({"kernel_image_path": "IMAGE"})).status == 204
    assert vm.action("InstanceStart").fault.startswith("Start microvm error: ")
    vm.start(kernel)
    assert vm.action("InstanceStart").fault == AFTER


def test_pause_and_resume_are_idempotent(vm, kernel):
    vm.start(kernel)
    for state, shown in (("Paused", PAUSED), ("Paused", PAUSED), ("Resumed", RUNNING),
                         ("Resumed", RUNNING)):
        assert vm.patch("/vm", {"state": state}).status == 204
        assert vm.state() == shown


def test_the_limit_has_its_length(vm):
    """The body of the answer is 149 bytes long, as the original's: one of them is an escape."""
    with Http(vm.sock_path) as http:
        http.send(b"PUT /machine-config HTTP/1.1\r\nContent-Length: 51201\r\n\r\n")
        response = http.response()
    assert response.json == {"error": (
        "Request payload with size 51201 is larger than the limit of 51200 allowed by server.\n"
        "All previous unanswered requests will be dropped.")}
    assert len(response.body.replace(b"\\n", b"\n")) == 149
