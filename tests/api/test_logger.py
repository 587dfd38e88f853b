# SPDX-License-Identifier: Apache-2.0
"""The log: PUT /logger, its options, and what becomes of lines that nobody reads."""
import json
import os
import re
import stat

import pytest

from harness import PAUSED, Http, wait_until

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}"
AFTER = "The requested operation is not supported after starting the microVM."


def lines_of(path):
    with open(path, encoding="utf-8") as f:
        return f.read().splitlines()


def put(vm, **fields):
    response = vm.put("/logger", fields)
    assert response.status == 204, response


def matches(lines, head):
    return lines and all(re.match(rf"^{STAMP} \[{head}\] [a-z]+ \S", line) for line in lines)


# ---- where it goes ----

def test_log_goes_to_the_file(xenolith, kernel, tmp):
    path = os.path.join(tmp, "log")
    vm = xenolith("--id", "web-7", guest="end crash")
    put(vm, log_path=path)
    before = vm.log()
    vm.start(kernel)
    assert vm.wait() == 4
    assert vm.log() == before and "fake hypervisor" in before
    lines = lines_of(path)
    assert matches(lines, "web-7:monitor")
    assert any("] vm end: the guest crashed, exit status 4" in line for line in lines)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_file_is_appended_to(vm, kernel, tmp):
    path = os.path.join(tmp, "log")
    with open(path, "w", encoding="utf-8") as f:
        f.write("before\n")
    put(vm, log_path=path)
    vm.start(kernel)
    lines = lines_of(path)
    assert lines[0] == "before" and len(lines) > 1


@pytest.mark.parametrize("path,why", [
    ("/nonexistent/log", "No such file or directory (os error 2)"),
    ("/", "Is a directory (os error 21)"),
    ("", "No such file or directory (os error 2)"),
    ("/etc/passwd/log", "Not a directory (os error 20)"),
    ("/" + "x" * 4095, "File name too long (os error 36)"),
    ("/" + "x" * 5000, "File name too long (os error 36)")], ids=lambda p: p[:20] or "empty")
def test_a_place_that_cannot_be(vm, path, why):
    fault = vm.put("/logger", {"log_path": path, "level": "Off"}).fault
    assert fault == f"Logger error: Failed to open target file: {why}"
    # Nothing of it was done.
    vm.finish()
    assert "exit status 143" in vm.log()


def test_it_may_be_given_again(vm, kernel, tmp):
    first, second = os.path.join(tmp, "1"), os.path.join(tmp, "2")
    put(vm, log_path=first, level="Debug")
    put(vm, show_level=True)
    assert ":DEBUG] api PUT" in lines_of(first)[-1]
    fds = vm.fds()
    for _ in range(20):
        put(vm, log_path=second)
    assert vm.fds() == fds
    vm.start(kernel)
    assert matches(lines_of(second), "anonymous-instance:monitor:(INFO|DEBUG)")
    assert not any("started" in line for line in lines_of(first))


@pytest.mark.parametrize("state", ["Running", PAUSED])
def test_not_once_the_guest_runs(vm, kernel, tmp, state):
    vm.go_to(state, kernel)
    assert vm.put("/logger", {"log_path": os.path.join(tmp, "log")}).fault == AFTER
    assert not os.path.exists(os.path.join(tmp, "log"))


# ---- FIFOs ----

def test_a_fifo_needs_no_reader(vm, kernel, tmp):
    path = os.path.join(tmp, "fifo")
    os.mkfifo(path)
    put(vm, log_path=path)
    vm.start(kernel)
    vm.terminate()
    # What was written is gone with the writer, which was its only end.


def test_a_reader_that_comes_late_gets_all(vm, kernel, tmp):
    path = os.path.join(tmp, "fifo")
    os.mkfifo(path)
    put(vm, log_path=path, level="Info")
    vm.start(kernel)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert b"] vm started, " in os.read(fd, 65536)
    os.close(fd)
    # It goes, and another one comes: nothing is lost in between.
    vm.set_state("Paused")
    assert vm.action("FlushMetrics").status == 204
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert b"] counts hypercalls=" in os.read(fd, 65536)
    os.close(fd)


def test_a_full_fifo_holds_nobody_up_and_says_what_is_lost(vm, tmp):
    path = os.path.join(tmp, "fifo")
    os.mkfifo(path)
    put(vm, log_path=path, level="Debug")
    requests = 3000
    with Http(vm.sock_path) as http:
        for _ in range(requests):
            assert http.request("GET", "/").status == 200
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        text = drain(fd)
        assert http.request("GET", "/").status == 200
    text += drain(fd)
    os.close(fd)
    told = sum(map(int, re.findall(r"\] log lines lost: (\d+)$", text, re.M)))
    seen = len(re.findall(r"\] api (?:GET|PUT) request: done$", text, re.M))
    assert told > 0 and told + seen == requests + 2


def drain(fd):
    text = b""
    while True:
        try:
            part = os.read(fd, 65536)
        except BlockingIOError:
            return text.decode()
        text += part


def test_a_full_disk_ends_nothing(vm, kernel):
    put(vm, log_path="/dev/full")
    vm.start(kernel)
    assert vm.state() == "Running"
    assert vm.terminate() == 143


# ---- what is shown ----

@pytest.mark.parametrize("fields,head", [
    ({}, "anonymous-instance:monitor"),
    ({"show_level": False, "show_log_origin": False}, "anonymous-instance:monitor"),
    ({"show_level": True}, "anonymous-instance:monitor:INFO"),
    ({"show_log_origin": True}, r"anonymous-instance:monitor:[^:]+/[^:]+:\d+"),
    ({"show_level": True, "show_log_origin": True},
     r"anonymous-instance:monitor:INFO:[^:]+/[^:]+:\d+"),
    ({"show_level": None, "show_log_origin": None, "level": None, "module": None},
     "anonymous-instance:monitor")], ids=json.dumps)
def test_what_lines_show(vm, kernel, tmp, fields, head):
    path = os.path.join(tmp, "log")
    put(vm, log_path=path, **fields)
    vm.start(kernel)
    vm.finish()
    assert matches(lines_of(path), head)


@pytest.mark.parametrize("fields,head", [
    ({}, "anonymous-instance:monitor:INFO"),
    ({"show_level": False}, "anonymous-instance:monitor")], ids=json.dumps)
def test_lines_on_standard_error_show_their_level(vm, kernel, fields, head):
    put(vm, **fields)
    seen = len(vm.log().splitlines())
    vm.start(kernel)
    vm.finish()
    assert matches(vm.log().splitlines()[seen:], head)


@pytest.mark.parametrize("level,shown", [
    ("Off", set()), ("error", set()), ("WARN", {"WARN"}), ("Warning", {"WARN"}),
    ("Info", {"WARN", "INFO"}), ("debug", {"WARN", "INFO", "DEBUG"}),
    ("Trace", {"WARN", "INFO", "DEBUG"})])
def test_levels(xenolith, kernel, level, shown):
    vm = xenolith(env={"XENOLITH_FAKE_FAIL": "shape:EIO"})
    seen = len(vm.log().splitlines())
    put(vm, level=level)
    assert vm.put("/machine-config", {"vcpu_count": 2, "mem_size_mib": 64}).status == 204
    wait_until(lambda: ":WARN] " in vm.log() or not shown, "the warning")
    vm.let_prepare()
    assert vm.boot_source(kernel).status == 204
    vm.action("InstanceStart")
    vm.finish()
    assert set(re.findall(r":(\w+)\] ", "\n".join(vm.log().splitlines()[seen:]))) == shown


@pytest.mark.parametrize("module,seen", [
    ("vm", {"vm"}), ("", {"vm", "api", "counts"}), ("count", {"counts"}), ("zzz", set())])
def test_a_module_can_be_picked(vm, kernel, tmp, module, seen):
    path = os.path.join(tmp, "log")
    put(vm, log_path=path, module=module, level="Trace")
    vm.start(kernel)
    assert vm.action("FlushMetrics").status == 204
    vm.finish()
    assert {line.split()[2] for line in lines_of(path)} == seen


# ---- options ----

def test_options_are_the_same(xenolith, kernel, tmp):
    path = os.path.join(tmp, "log")
    vm = xenolith("--log-path", path, "--level", "Trace", "--module", "vm", "--show-level",
                  "--show-log-origin", "--id", "a-1")
    vm.start(kernel)
    vm.finish()
    assert matches(lines_of(path), r"a-1:monitor:INFO:vmm/vm\.c:\d+")
    assert vm.log() == ""


def test_the_api_changes_what_options_said(xenolith, kernel, tmp):
    first, second = os.path.join(tmp, "1"), os.path.join(tmp, "2")
    vm = xenolith("--log-path", first, "--show-level", "--level", "Error")
    put(vm, log_path=second, level="Info")
    vm.start(kernel)
    vm.finish()
    assert lines_of(first) == []
    assert matches(lines_of(second), "anonymous-instance:monitor:INFO")


def test_a_configuration_file_has_a_logger(xenolith, kernel, tmp):
    path, log = os.path.join(tmp, "vm.json"), os.path.join(tmp, "log")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"boot-source": {"kernel_image_path": kernel},
                   "logger": {"log_path": log, "show_level": True}}, f)
    vm = xenolith("--config-file", path, "--no-api", api=False, guest="end reboot")
    assert vm.wait() == 0
    assert matches(lines_of(log), "anonymous-instance:monitor:INFO")


# ---- bodies ----

D = "An error occurred when deserializing the json body of a request: "


@pytest.mark.parametrize("body,fault", [
    ({"x": 1}, "unknown field `x`, expected one of `log_path`, `level`, `show_level`, "
     "`show_log_origin`, `module`"),
    ({"level": "loud"}, "unknown variant `loud`, expected one of `Off`, `Error`, `Warn`, "
     "`Info`, `Debug`, `Trace`, `Warning`"),
    ({"level": 1}, "expected value"),
    ({"log_path": 1}, "invalid type: integer `1`, expected a string"),
    ({"show_level": "yes"}, 'invalid type: string "yes", expected a boolean'),
    ({"show_log_origin": 0}, "invalid type: integer `0`, expected a boolean"),
    ({"module": []}, "invalid type: sequence, expected a string"),
    ([], "invalid type: sequence, expected struct LoggerConfig")], ids=json.dumps)
def test_bodies_that_are_refused(vm, body, fault):
    assert vm.put("/logger", body).fault.startswith(D + fault + " at line 1 column ")


def test_the_module_is_bounded(vm):
    put(vm, module="x" * 64)
    assert "module is longer than 64 bytes" in vm.put("/logger", {"module": "x" * 65}).fault
