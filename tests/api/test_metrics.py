# SPDX-License-Identifier: Apache-2.0
"""Metrics: where lines go and when, what they tell, and what becomes of those that are lost."""
import fcntl
import json
import os
import re
import socket
import struct
import time

import pytest

from harness import NOT_STARTED, PAUSED, TOP, Http, wait_until
from virtio_guest import Device

AFTER = "The requested operation is not supported after starting the microVM."
BAD_INPUT = "Metrics error: Cannot initialize the metrics system due to bad user input: "
READ, WRITE, FLUSH, BAD = 0, 1, 4, 77
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


@pytest.fixture
def path(tmp):
    return os.path.join(tmp, "metrics")


@pytest.fixture
def fifo(path):
    os.mkfifo(path)
    return path


def put(vm, where, **more):
    response = vm.put("/metrics", {"metrics_path": where, **more})
    assert response.status == 204, response


def lines_of(where):
    """All of them, each of which is whole. A reader can see half of a write: what has no line
    feed yet is none of them, and stands in the next one if it never gets the rest."""
    with open(where, encoding="utf-8") as f:
        text = f.read()
    return [json.loads(line) for line in text.split("\n")[:-1]]


def flush(vm):
    response = vm.action("FlushMetrics")
    assert response.status == 204, response


def flushed(vm, where):
    """The line that the client has when it has its answer."""
    before = len(lines_of(where))
    flush(vm)
    lines = lines_of(where)
    assert len(lines) == before + 1
    return lines[-1]


def first_line(vm, where):
    wait_until(lambda: lines_of(where), "the first line")
    return lines_of(where)[0]


# ---- when ----

def test_a_line_at_the_start_on_demand_and_at_the_end(xenolith, kernel, path):
    vm = xenolith()
    put(vm, path)
    assert lines_of(path) == []
    vm.start(kernel)
    first_line(vm, path)
    flushed(vm, path)
    flushed(vm, path)
    assert vm.terminate() == 143
    assert len(lines_of(path)) == 4
    now = time.time() * 1000
    times = [line["utc_timestamp_ms"] for line in lines_of(path)]
    assert times == sorted(times) and now - 60000 < times[0] <= times[-1] <= now + 1


def test_a_vm_that_never_starts_tells_its_end(vm, path):
    put(vm, path)
    assert vm.terminate() == 143
    assert len(lines_of(path)) == 1


def test_lines_by_the_clock(xenolith, kernel, path):
    vm = xenolith("--metrics-period-ms", "30")
    put(vm, path)
    time.sleep(0.1)
    assert lines_of(path) == []  # not before the start
    vm.start(kernel)
    wait_until(lambda: len(lines_of(path)) >= 5, "five lines")
    times = [line["utc_timestamp_ms"] for line in lines_of(path)][:5]
    assert all(b - a >= 29 for a, b in zip(times[1:], times[2:]))


def test_the_usual_period_is_long(vm, kernel, path):
    put(vm, path)
    vm.start(kernel)
    first_line(vm, path)
    time.sleep(0.3)
    assert len(lines_of(path)) == 1


def test_no_lines_while_paused(xenolith, kernel, path):
    vm = xenolith("--metrics-period-ms", "20")
    put(vm, path)
    vm.start(kernel)
    first_line(vm, path)
    vm.set_state("Paused")
    time.sleep(0.05)
    seen = len(lines_of(path))
    time.sleep(0.2)
    assert len(lines_of(path)) == seen
    flushed(vm, path)  # those who ask get one
    vm.set_state("Paused")
    vm.set_state("Resumed")
    vm.set_state("Resumed")
    wait_until(lambda: len(lines_of(path)) >= seen + 3, "lines after the pause")


def test_flush_without_metrics_goes_to_the_log(vm, kernel):
    assert vm.action("FlushMetrics").fault.endswith("before starting the microVM.")
    vm.start(kernel)
    seen = vm.log().count("] counts hypercalls=")
    flush(vm)
    assert vm.log().count("] counts hypercalls=") == seen + 1


# ---- where ----

def test_only_once(vm, path):
    put(vm, path)
    for where in (path, path + "2", "/nonexistent/x"):
        assert vm.put("/metrics", {"metrics_path": where}).fault == (
            BAD_INPUT + "Reinitialization of metrics not allowed.")
    assert not os.path.exists(path + "2")


@pytest.mark.parametrize("where,why", [
    ("/nonexistent/m", "No such file or directory (os error 2)"),
    ("/", "Is a directory (os error 21)"),
    ("", "No such file or directory (os error 2)"),
    ("/" + "x" * 5000, "File name too long (os error 36)")], ids=["missing", "dir", "no", "long"])
def test_a_place_that_cannot_be(vm, path, where, why):
    assert vm.put("/metrics", {"metrics_path": where}).fault == BAD_INPUT + why
    put(vm, path)  # that did not count


@pytest.mark.parametrize("state", ["Running", PAUSED])
def test_not_once_the_guest_runs(vm, kernel, path, state):
    vm.go_to(state, kernel)
    assert vm.put("/metrics", {"metrics_path": path}).fault == AFTER
    assert not os.path.exists(path)


def test_the_option(xenolith, kernel, path):
    vm = xenolith("--metrics-path", path, "--id", "m-1")
    assert "Reinitialization" in vm.put("/metrics", {"metrics_path": path}).fault
    vm.start(kernel)
    assert "id" not in first_line(vm, path)


def test_the_option_with_a_place_that_cannot_be(xenolith):
    vm = xenolith("--metrics-path", "/nonexistent/m", wait=False)
    assert vm.wait() == 1
    assert "] monitor metrics file /nonexistent/m: " in vm.log()


def test_a_configuration_file_has_metrics(xenolith, kernel, tmp, path):
    config = os.path.join(tmp, "vm.json")
    with open(config, "w", encoding="utf-8") as f:
        json.dump({"boot-source": {"kernel_image_path": kernel},
                   "metrics": {"metrics_path": path, "emit_id": True}}, f)
    vm = xenolith("--config-file", config, "--no-api", "--id", "x", api=False, guest="end reboot")
    assert vm.wait() == 0
    lines = lines_of(path)
    assert lines and all(line["id"] == "x" for line in lines)
    assert lines[-1]["put_api_requests"]["actions_count"] == 0


# ---- FIFOs and disks that are full ----

def read_all(fd):
    data = b""
    while True:
        try:
            part = os.read(fd, 65536)
        except BlockingIOError:
            return data
        data += part


def test_a_fifo_needs_no_reader_and_keeps_what_is_written(vm, kernel, fifo):
    put(vm, fifo)
    vm.start(kernel)
    flush(vm)
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    first = read_all(fd)
    os.close(fd)
    flush(vm)
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    second = read_all(fd)
    os.close(fd)
    assert [len(x.splitlines()) for x in (first, second)] == [1, 1] or \
        len((first + second).splitlines()) == 3
    for line in (first + second).splitlines():
        json.loads(line)


class Reader:
    """What a FIFO had in it, line by line."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.data = b""

    def lines(self):
        self.data += read_all(self.fd)
        return [json.loads(line) for line in self.data.split(b"\n")[:-1]]

    def sum(self, group, name):
        return sum(line[group][name] for line in self.lines())


def test_a_full_fifo_holds_nobody_up_and_loses_whole_lines(vm, kernel, fifo):
    put(vm, fifo)
    vm.start(kernel)
    reader = Reader(fifo)
    wait_until(reader.lines, "the first line")
    start = time.monotonic()
    for _ in range(100):
        flush(vm)
    assert time.monotonic() - start < 10
    assert 3 < len(reader.lines()) < 100
    # What did not fit goes on by itself when there is room: then there is room for more.
    time.sleep(0.05)
    reader.lines()
    flush(vm)
    wait_until(lambda: reader.sum("put_api_requests", "actions_count") == 101, "the last line")
    lost = reader.sum("logger", "missed_metrics_count")
    assert lost > 0 and len(reader.lines()) + lost == 102
    os.close(reader.fd)


def test_a_reader_that_never_comes_does_not_delay_the_end(xenolith, kernel, fifo):
    vm = xenolith("--metrics-period-ms", "5")
    put(vm, fifo)
    vm.start(kernel)
    time.sleep(0.4)
    start = time.monotonic()
    assert vm.terminate() == 143
    assert time.monotonic() - start < 5
    assert re.search(r"\] metrics lines lost: \d+$", vm.log(), re.M)


def test_a_full_disk_ends_nothing_and_is_told_once(xenolith, kernel):
    vm = xenolith("--metrics-period-ms", "10")
    put(vm, "/dev/full")
    vm.start(kernel)
    for _ in range(3):
        flush(vm)
    time.sleep(0.1)
    assert vm.state() == "Running"
    assert vm.terminate() == 143
    assert vm.log().count("] metrics a line is lost: No space left on device") == 1


# ---- what ----

def test_id_and_properties(xenolith, kernel, path):
    properties = {"customer": "7", "quote\"": "a\nb\u00e9\u2028", "": ""}
    vm = xenolith("--id", "web-7")
    put(vm, path, emit_id=True, properties=properties, not_known={"x": 1})
    vm.start(kernel)
    line = first_line(vm, path)
    assert list(line)[:3] == ["utc_timestamp_ms", "id", "properties"]
    assert line["id"] == "web-7" and line["properties"] == properties
    assert flushed(vm, path)["properties"] == properties


@pytest.mark.parametrize("more", [{}, {"emit_id": False}, {"properties": None}])
def test_no_id_and_no_properties_unless_asked_for(vm, kernel, path, more):
    put(vm, path, **more)
    vm.start(kernel)
    assert not {"id", "properties"} & set(first_line(vm, path))


D = "An error occurred when deserializing the json body of a request: "


@pytest.mark.parametrize("body,fault", [
    ({}, D + "missing field `metrics_path`"),
    ({"metrics_path": None}, D + "invalid type: null, expected a string"),
    ({"metrics_path": 1}, D + "invalid type: integer `1`, expected a string"),
    ({"metrics_path": "/dev/null", "emit_id": 1}, D + "invalid type: integer `1`, expected a b"),
    ({"metrics_path": "/dev/null", "properties": []}, D + "invalid type of `properties`"),
    ({"metrics_path": "/dev/null", "properties": {"a": 1}}, D + "invalid type in `properties`"),
    ({"metrics_path": "/dev/null", "properties": {"a": "x" * 4096}},
     BAD_INPUT + "properties are longer than 4095 bytes.")], ids=lambda v: str(v)[:30])
def test_bodies_that_are_refused(vm, path, body, fault):
    assert vm.put("/metrics", body).fault.startswith(fault)
    put(vm, path)


def numbers(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from numbers(value)
    else:
        yield node


def documented():
    """The fields that docs/metrics.md names."""
    with open(os.path.join(TOP, "docs/metrics.md"), encoding="utf-8") as f:
        return set(re.findall(r"`([a-z][a-z0-9_]*)`", f.read()))


def names(node):
    if isinstance(node, dict):
        for name, value in node.items():
            yield name
            yield from names(value)


def test_every_field_is_a_number_and_is_documented(vm, kernel, path):
    put(vm, path)
    vm.start(kernel)
    line = first_line(vm, path)
    assert all(isinstance(n, int) and n >= 0 for n in numbers(line))
    # Those of the API are documented by what they are made of.
    calls = {n for n in names({k: v for k, v in line.items() if k.endswith("_api_requests")})
             if re.fullmatch(r"\w+_(count|fails)", n)}
    assert set(names(line)) - calls <= documented()
    assert {n.rpartition("_")[0] for n in calls} <= documented()


def test_api_calls_are_counted(vm, kernel, path):
    put(vm, path)
    vm.start(kernel)
    first_line(vm, path)
    base = flushed(vm, path)
    for _ in range(3):
        vm.get("/version")
    vm.get("/vm/config")
    vm.put("/drives/a", {"drive_id": "b"})
    vm.put("/machine-config", "{")
    vm.patch("/drives/a", {"drive_id": "a"})
    vm.set_state("Paused")
    vm.set_state("Resumed")
    vm.get("/nothing")
    with Http(vm.sock_path) as http:
        http.send(b"NO\r\n\r\n")
        http.response()
    line = flushed(vm, path)
    get, puts, patch = (line[f"{m}_api_requests"] for m in ("get", "put", "patch"))
    assert get["vmm_version_count"] == 3 and get["vm_config_count"] == 1
    assert (puts["drive_count"], puts["drive_fails"]) == (1, 1)
    assert (puts["machine_cfg_count"], puts["machine_cfg_fails"]) == (1, 1)
    assert (puts["actions_count"], puts["actions_fails"]) == (1, 0)
    assert (patch["drive_count"], patch["drive_fails"]) == (1, 1)
    assert (patch["vm_state_count"], patch["vm_state_fails"]) == (2, 0)
    assert line["api_server"]["invalid_requests_count"] == 2
    assert 0 < patch["agg"]["sum_us"] and patch["agg"]["max_us"] <= patch["agg"]["sum_us"]
    assert base["api_server"]["process_startup_time_us"] > 0
    assert base["latencies_us"]["instance_start"] > 0
    again = flushed(vm, path)
    assert again["get_api_requests"]["vmm_version_count"] == 0
    assert again["patch_api_requests"]["agg"]["sum_us"] == 0
    assert again["patch_api_requests"]["agg"]["max_us"] == patch["agg"]["max_us"]


def test_deprecated_calls_are_counted(vm, kernel, path):
    put(vm, path)
    vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 64, "cpu_template": "None"})
    vm.start(kernel)
    assert first_line(vm, path)["deprecated_api"]["deprecated_http_api_calls"] == 1


def test_lost_and_limited_log_lines_are_counted(xenolith, kernel, path):
    vm = xenolith(guest='sleep 50\n' + 'outs 0x9999 "x"\n' + 'write64 0x100 0\nout8 0x80 1\n' +
                  "".join(f"write32 {0xd0000070:#x} 99\n" for _ in range(20)) + 'print "ok"\n')
    put(vm, path)
    assert vm.put("/logger", {"log_path": "/dev/full"}).status == 204
    with open(path + ".img", "wb") as f:
        f.truncate(4096)
    assert vm.put("/drives/d", {"drive_id": "d", "is_root_device": False,
                                "path_on_host": path + ".img"}).status == 204
    vm.start(kernel)
    line = first_line(vm, path)
    wait_until(lambda: vm.stdout() == b"ok", "the guest's end")
    total = line["logger"]["missed_log_count"] + flushed(vm, path)["logger"]["missed_log_count"]
    assert total > 0


def test_the_guests_exits_and_serial_port(xenolith, kernel, path):
    vm = xenolith(guest='sleep 60\nprint "hello\\n"\nin8 0x3f9\nout8 0x80 1\nread32 0xd0000000\n'
                  'print "x"\n')
    put(vm, path)
    vm.start(kernel)
    first = first_line(vm, path)
    assert first["uart"]["out_bytes"] == 0
    wait_until(lambda: vm.stdout() == b"hello\nx", "the guest's output")
    line = flushed(vm, path)
    assert line["uart"]["out_bytes"] == line["uart"]["write_count"] == 7
    assert line["uart"]["read_count"] == 8
    assert line["vcpu"]["exit_io_out"] >= 7 and line["vcpu"]["exit_io_in"] == 8
    assert line["xen"]["ioreq_count"] >= 15
    assert line["io_uring"]["enter_count"] > 0
    assert all(n == 0 for n in numbers(flushed(vm, path)["uart"]))


def put_drive(vm, name, where, **more):
    with open(where, "wb") as f:
        f.truncate(1 << 20)
    response = vm.put(f"/drives/{name}", {"drive_id": name, "path_on_host": where,
                                          "is_root_device": False, **more})
    assert response.status == 204, response


BLOCK_COUNTS = {"read_count": 3, "read_bytes": 3 * 4096, "write_count": 2,
                "write_bytes": 1024, "flush_count": 1, "invalid_reqs_count": 2,
                "execute_fails": 0, "queue_event_count": 8, "interrupt_count": 8,
                "discard_count": 0, "rate_limiter_throttled_events": 0, "update_count": 0,
                "fault_count": 0, "reset_count": 0}


def test_a_drive_is_counted(xenolith, kernel, path):
    disk = Device(0, features=1 << 9)
    for _ in range(3):
        disk.block(READ, 8, 4096)
    for _ in range(2):
        disk.block(WRITE, 0, 512)
    disk.block(FLUSH, 0, 0)
    disk.block(BAD, 0, 512)
    disk.block(READ, 1 << 20, 512)  # beyond the end
    vm = xenolith(guest="sleep 60\n" + disk.text() + 'print "done"\n')
    put(vm, path)
    put_drive(vm, "rootfs", path + ".1", cache_type="Writeback")
    put_drive(vm, "other", path + ".2")
    vm.start(kernel)
    first = first_line(vm, path)
    assert all(n == 0 for n in numbers(first["block"]))
    wait_until(lambda: vm.stdout() == b"done", "the guest's requests")
    assert vm.patch("/drives/other", {"drive_id": "other",
                                      "path_on_host": path + ".2"}).status == 204
    line = flushed(vm, path)
    for name, count in BLOCK_COUNTS.items():
        assert line["block_rootfs"][name] == count, name
    assert line["block_other"]["update_count"] == 1
    assert sum(numbers(line["block_other"])) == 1
    assert line["block"] == {**line["block_rootfs"], "update_count": 1}
    for kind, n in (("read", 3), ("write", 2), ("flush", 1)):
        agg = line["block_rootfs"][f"{kind}_agg"]
        assert agg["min_us"] <= agg["max_us"] <= agg["sum_us"] <= n * agg["max_us"] + n
        assert agg["sum_us"] < 20 * 1000 * 1000
    assert line["block_rootfs"]["ioreq_count"] >= 8
    assert line["vcpu"]["exit_mmio_write"] == line["block_rootfs"]["ioreq_count"]
    again = flushed(vm, path)["block_rootfs"]
    assert sum(v for v in again.values() if isinstance(v, int)) == 0
    assert again["read_agg"]["sum_us"] == 0


def test_a_throttled_drive_is_counted(xenolith, kernel, path):
    disk = Device(0)
    for _ in range(3):
        disk.block(READ, 0, 512)
    vm = xenolith(guest=disk.text() + 'print "done"\n')
    put(vm, path)
    put_drive(vm, "d", path + ".1", rate_limiter={"ops": {"size": 1, "refill_time": 20}})
    vm.start(kernel)
    wait_until(lambda: vm.stdout() == b"done", "the guest's requests")
    flush(vm)
    lines = lines_of(path)
    assert sum(x["block_d"]["rate_limiter_throttled_events"] for x in lines) >= 2
    assert sum(x["block_d"]["read_count"] for x in lines) == 3


def up(name):
    """Bring an interface up: one that is down takes nothing."""
    with socket.socket() as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH22x", name.encode(), IFF_UP))
    return name


def test_an_interface_is_counted(xenolith, kernel, path, tap):
    net = Device(0, queue=1)
    for n in range(4):
        net.packet(60 + n)
    vm = xenolith(guest=net.text() + 'print "done"\n')
    put(vm, path)
    assert vm.put("/network-interfaces/eth0", {
        "iface_id": "eth0", "host_dev_name": up(tap())}).status == 204
    vm.start(kernel)
    wait_until(lambda: vm.stdout() == b"done", "the guest's packets")
    flush(vm)
    lines = [x["net_eth0"] for x in lines_of(path)]
    assert sum(x["tx_packets_count"] for x in lines) == 4
    assert sum(x["tx_bytes_count"] for x in lines) == 60 + 61 + 62 + 63
    assert sum(x["tx_queue_event_count"] for x in lines) == 4
    assert sum(x["interrupt_count"] for x in lines) == 4
    assert lines[-1]["tap_write_agg"]["max_us"] < 20 * 1000 * 1000
    assert [x["net"] for x in lines_of(path)] == lines


def test_32_drives(xenolith, kernel, path):
    vm = xenolith()
    put(vm, path)
    for n in range(32):
        put_drive(vm, f"d{n}", f"{path}.{n}")
    vm.start(kernel)
    line = first_line(vm, path)
    assert {f"block_d{n}" for n in range(32)} <= set(line)


def test_a_start_that_fails_leaves_no_counts(xenolith, kernel, path):
    vm = xenolith(env={"XENOLITH_FAKE_FAIL": "start:EIO"})
    put(vm, path)
    put_drive(vm, "d", path + ".1")
    assert vm.boot_source(kernel).status == 204
    assert vm.action("InstanceStart").status == 400
    assert vm.state() == NOT_STARTED and lines_of(path) == []
    assert vm.action("InstanceStart").status == 204
    line = first_line(vm, path)
    assert line["put_api_requests"]["actions_fails"] == 1
    assert "block_d" in line
