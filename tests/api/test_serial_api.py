# SPDX-License-Identifier: Apache-2.0
"""PUT /serial: where the guest's output goes instead, and how much of it."""
import json
import os
import subprocess
import time

import pytest

from harness import PAUSED, RUNNING, wait_until

AFTER = "The requested operation is not supported after starting the microVM."


@pytest.fixture
def path(tmp):
    return os.path.join(tmp, "serial-out")


def put(vm, **fields):
    response = vm.put("/serial", fields)
    assert response.status == 204, response


def read(where):
    with open(where, "rb") as f:
        return f.read()


def uart(vm, metrics, *names):
    """Sums over all lines, the one written now included."""
    assert vm.action("FlushMetrics").status == 204
    lines = [json.loads(line)["uart"] for line in read(metrics).splitlines()]
    return [sum(line[n] for line in lines) for n in names]


# ---- where ----

@pytest.mark.parametrize("option", [[], ["--serial", "none"], ["--serial", "file:/dev/null"]])
def test_output_goes_to_the_file(xenolith, kernel, path, option):
    vm = xenolith(*option, guest='print "hello\\n"\nend reboot\n')
    put(vm, serial_out_path=path)
    vm.start(kernel)
    assert vm.wait() == 0
    assert read(path) == b"hello\n" and vm.stdout() == b""
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_input_comes_from_where_it_came(xenolith, kernel, path):
    vm = xenolith(stdin=subprocess.PIPE, guest='input "xen\\n"\nprint "hi"\nend reboot\n')
    put(vm, serial_out_path=path)
    vm.start(kernel)
    vm.process.stdin.write(b"xen\n")
    vm.process.stdin.flush()
    assert vm.wait() == 0
    assert read(path) == b"hi"


def test_it_may_be_given_again_and_is_replaced_as_a_whole(xenolith, kernel, path):
    vm = xenolith(guest='print "hello"\nend reboot\n')
    fds = vm.fds()
    for n in range(20):
        put(vm, serial_out_path=f"{path}{n}", rate_limiter={"size": 1, "refill_time": 1000000})
    put(vm)
    wait_until(lambda: vm.fds() == fds, "what is not used any more is closed")
    vm.start(kernel)
    assert vm.wait() == 0
    assert vm.stdout() == b"hello" and read(f"{path}19") == b""


@pytest.mark.parametrize("where,why", [
    ("/nonexistent/s", "No such file or directory (os error 2)"),
    ("/", "Is a directory (os error 21)"),
    ("", "No such file or directory (os error 2)"),
    ("/" + "x" * 5000, "File name too long (os error 36)")], ids=["missing", "dir", "no", "long"])
def test_a_place_that_cannot_be(xenolith, kernel, where, why):
    vm = xenolith(guest='print "hello"\nend reboot\n')
    fault = vm.put("/serial", {"serial_out_path": where}).fault
    assert fault == f"Serial error: Failed to open target file: {why}"
    vm.start(kernel)
    assert vm.wait() == 0 and vm.stdout() == b"hello"


def test_a_socket_is_not_replaced_but_limited(xenolith, kernel, tmp, path):
    where = os.path.join(tmp, "console")
    vm = xenolith("--serial", f"unix:{where}", guest='print "hello"\n')
    assert "the socket that --serial names" in vm.put("/serial", {"serial_out_path": path}).fault
    assert not os.path.exists(path)
    put(vm, rate_limiter={"size": 3, "refill_time": 1000000})
    vm.start(kernel)
    import socket
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(where)
        got = b""
        while len(got) < 3:
            got += s.recv(100)
        assert got == b"hel"


@pytest.mark.parametrize("state", [RUNNING, PAUSED])
def test_not_once_the_guest_runs(vm, kernel, path, state):
    vm.go_to(state, kernel)
    assert vm.put("/serial", {"serial_out_path": path}).fault == AFTER
    assert not os.path.exists(path)


def test_nothing_shows_it(vm, path):
    before = vm.get("/vm/config").json
    put(vm, serial_out_path=path)
    assert vm.get("/vm/config").json == before


def test_a_configuration_file_may_have_it(xenolith, kernel, tmp, path):
    config = os.path.join(tmp, "vm.json")
    with open(config, "w", encoding="utf-8") as f:
        json.dump({"boot-source": {"kernel_image_path": kernel},
                   "serial": {"serial_out_path": path}}, f)
    vm = xenolith("--config-file", config, "--no-api", api=False,
                  guest='print "hello"\nend reboot\n')
    assert vm.wait() == 0
    assert read(path) == b"hello"


# ---- FIFOs and disks that are full ----

def test_a_fifo_without_a_reader(xenolith, kernel, path):
    os.mkfifo(path)
    vm = xenolith(guest='print "early\\n"\nsleep 100\nprint "late\\n"\n')
    put(vm, serial_out_path=path)
    vm.start(kernel)
    wait_until(lambda: fifo_read(path) == b"early\n", "what was printed without a reader")
    # That reader is gone.
    wait_until(lambda: fifo_read(path) == b"late\n", "what was printed after it")


def fifo_read(path):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""
    finally:
        os.close(fd)


def test_a_full_fifo_holds_nobody_up(xenolith, kernel, tmp, path):
    os.mkfifo(path)
    metrics = os.path.join(tmp, "metrics")
    vm = xenolith(guest='outs 0x3f8 "' + "x" * 500 + '\\n"\nloop\n')
    put(vm, serial_out_path=path)
    assert vm.put("/metrics", {"metrics_path": metrics}).status == 204
    vm.start(kernel)
    wait_until(lambda: uart(vm, metrics, "out_dropped_bytes")[0] > 0, "lost output")
    assert vm.state() == RUNNING
    start = time.monotonic()
    assert vm.terminate() == 143
    assert time.monotonic() - start < 5


def test_a_full_disk_ends_nothing(xenolith, kernel, tmp):
    metrics = os.path.join(tmp, "metrics")
    vm = xenolith(guest='print "x"\nsleep 5\nloop\n')
    put(vm, serial_out_path="/dev/full")
    assert vm.put("/metrics", {"metrics_path": metrics}).status == 204
    vm.start(kernel)
    wait_until(lambda: uart(vm, metrics, "error_count")[0] > 1, "writes that failed")
    out, dropped = uart(vm, metrics, "out_bytes", "out_dropped_bytes")
    assert 0 < dropped <= out
    assert vm.state() == RUNNING


# ---- the rate limiter ----

def test_what_is_too_much_is_dropped_and_counted(xenolith, kernel, tmp, path):
    metrics = os.path.join(tmp, "metrics")
    vm = xenolith(guest='outs 0x3f8 "' + "0123456789" * 10 + '"\nsleep 60000\n')
    put(vm, serial_out_path=path,
        rate_limiter={"size": 10, "one_time_burst": 25, "refill_time": 10000000})
    assert vm.put("/metrics", {"metrics_path": metrics}).status == 204
    vm.start(kernel)
    wait_until(lambda: read(path), "output")
    assert vm.terminate() == 143
    assert read(path) == (b"0123456789" * 10)[:35]
    lines = [json.loads(line)["uart"] for line in read(metrics).splitlines()]
    assert sum(x["out_bytes"] for x in lines) == 100
    assert sum(x["rate_limiter_dropped_bytes"] for x in lines) == 65
    assert sum(x["out_dropped_bytes"] for x in lines) == 0


def test_tokens_come_back(xenolith, kernel, path):
    vm = xenolith(guest='outs 0x3f8 "' + "a" * 20 + '"\nsleep 300\nouts 0x3f8 "' + "b" * 20 +
                        '"\nend reboot\n')
    put(vm, serial_out_path=path, rate_limiter={"size": 10, "refill_time": 100})
    vm.start(kernel)
    assert vm.wait() == 0
    out = read(path)
    assert out.startswith(b"a" * 10) and out.endswith(b"b" * 10) and len(out) < 30


@pytest.mark.parametrize("limiter", [None, {"size": 0, "refill_time": 100},
                                     {"size": 1, "refill_time": 0},
                                     {"size": 1000, "refill_time": 100, "not_known": 1}])
def test_limiters_that_do_not_limit(xenolith, kernel, limiter):
    vm = xenolith(guest='print "hello"\nend reboot\n')
    put(vm, rate_limiter=limiter)
    vm.start(kernel)
    assert vm.wait() == 0 and vm.stdout() == b"hello"


# ---- bodies ----

D = "An error occurred when deserializing the json body of a request: "


@pytest.mark.parametrize("body,fault", [
    ({"x": 1}, "unknown field `x`, expected `serial_out_path` or `rate_limiter`"),
    ({"serial_out_path": 1}, "invalid type: integer `1`, expected a string"),
    ({"rate_limiter": 1}, "invalid type: integer `1`, expected struct TokenBucketConfig"),
    ({"rate_limiter": {"bandwidth": {"size": 1, "refill_time": 1}}}, "missing field `size`"),
    ({"rate_limiter": {"size": 1}}, "missing field `refill_time`"),
    ({"rate_limiter": {"size": -1, "refill_time": 1}}, "invalid value: integer `-1`")],
    ids=json.dumps)
def test_bodies_that_are_refused(vm, body, fault):
    assert vm.put("/serial", body).fault.startswith(D + fault)
