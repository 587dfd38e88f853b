# SPDX-License-Identifier: Apache-2.0
"""The command line, the configuration file, and the log."""
import json
import os
import re
import socket
import stat
import threading

import pytest

from harness import RUNNING, TIMEOUT, Http, wait_until

LINE = re.compile(r"^\d{4}(?:-\d\d){2}T\d\d(?::\d\d){2}\.\d{9} "
                  r"\[[A-Za-z0-9-]+:[a-z]+(?::(ERROR|WARN|INFO|DEBUG))?\] [a-z]+ \S.*$")


# ---- flags ----

def test_version_is_the_apis(xenolith, vm):
    out = xenolith("--version", api=False)
    assert out.wait() == 0
    assert re.fullmatch(rb"Xenolith v\d+\.\d+\.\d+\n", out.stdout())
    assert out.stdout().decode() == f"Xenolith v{vm.get('/').json['vmm_version']}\n"
    assert out.log() == ""


def test_help_names_every_flag(xenolith):
    out = xenolith("--help", api=False)
    assert out.wait() == 0
    text = out.stdout().decode()
    for flag in ("--api-sock", "--id", "--config-file", "--no-api", "--boot-timer", "--log-path",
                 "--level", "--http-api-max-payload-size", "--serial", "--plain-boot-args",
                 "--run-dir", "--run-log", "--builder", "--version", "--help", "--module", "--show-level",
                 "--show-log-origin", "--metrics-path", "--metrics-period-ms"):
        assert len(re.findall(rf"^ +{flag}\b", text, re.M)) == 1, flag
    for line in text.splitlines():
        assert line == line.rstrip() and len(line) <= 110


@pytest.mark.parametrize("args", [
    ["--unknown"], ["-v"], ["extra"], ["--"], [""], ["--api-sock"], ["--id"], ["--level"],
    ["--id=x"], ["--level=Info"], ["--no-api=1"], ["--id", "a", "--id", "a"],
    ["--boot-timer", "--boot-timer"], ["--no-api"], ["--id", "--boot-timer"],
    ["--id", ""], ["--id", "a_b"], ["--id", "a b"], ["--id", "x" * 65], ["--id", "\u00e9"],
    ["--level", "loud"], ["--level", ""], ["--serial", "tty"], ["--serial", "file:"],
    ["--serial", "unix:"], ["--serial", ""], ["--serial", "stdio:x"],
    ["--builder"], ["--builder", "domains=1"], ["--builder", "domains=0,memory-mib=1"],
    ["--http-api-max-payload-size", "x"], ["--http-api-max-payload-size", "-1"],
    ["--http-api-max-payload-size", ""], ["--http-api-max-payload-size", "4294967296"],
    ["--http-api-max-payload-size", "1k"], ["--start-time-us", "x"], ["--start-time-us"],
    ["--start-time-cpu-us", "-1"], ["--parent-cpu-time-us", ""],
    ["--no-seccomp", "--no-seccomp"],
    ["--serial", "socket:"], ["--run-log", "--log-path", "x"], ["--run-dir"]],
    ids=lambda a: " ".join(a)[:40] or "empty")
def test_bad_arguments(xenolith, args):
    vm = xenolith(*args, api=False)
    assert vm.wait() == 153
    assert vm.log().startswith("error: ")
    assert "--help" in vm.log()
    assert vm.stdout() == b""
    # It names what it did not like.
    word = args[0].split("=")[0] or "''"
    assert word in vm.log() or args[-1] in vm.log()


def test_a_right_that_cannot_be_given_is_an_error(xenolith):
    vm = xenolith("--builder", "domains=1,memory-mib=64", api=False)
    assert vm.wait() == 1
    assert "--builder: " in vm.log()


# Flags of Firecracker for what is not there: said with the reason.
REFUSED = {"--seccomp-filter": "filter", "--metadata": "MMDS", "--mmds-size-limit": "MMDS",
           "--enable-pci": "PCI", "--describe-snapshot": "snapshots",
           "--snapshot-version": "snapshots"}


@pytest.mark.parametrize("flag", REFUSED)
def test_flags_for_what_is_not_there(xenolith, flag):
    for args in ([flag], [flag, "x"], ["--id", "a", flag]):
        vm = xenolith(*args, api=False)
        assert vm.wait() == 153
        line = vm.log().splitlines()[0]
        assert line.startswith(f"error: The argument '{flag}' is not supported: ")
        assert REFUSED[flag] in line


def test_every_flag_of_the_original_has_an_answer(xenolith):
    """Taken, or refused with a reason: none is unknown."""
    text = xenolith("--help", api=False)
    text.wait()
    known = set(re.findall(r"^ +(--[a-z-]+)", text.stdout().decode(), re.M)) | set(REFUSED)
    assert set("--" + flag for flag in (
        "api-sock id config-file no-api metadata boot-timer log-path level "
        "seccomp-filter no-seccomp http-api-max-payload-size "
        "mmds-size-limit enable-pci start-time-us start-time-cpu-us parent-cpu-time-us "
        "describe-snapshot snapshot-version version help").split()) <= known


def test_what_a_launcher_adds_is_accepted(xenolith):
    vm = xenolith("--id", "a", "--start-time-us", "1700000000000000", "--start-time-cpu-us",
                  "12", "--parent-cpu-time-us", "0", "--no-seccomp")
    assert vm.get("/").json["id"] == "a"


@pytest.mark.parametrize("args", [["--version", "x"], ["--version", "--version"],
                                  ["--id", "a_b", "--version"]], ids=" ".join)
def test_version_wins_over_mistakes(xenolith, args):
    out = xenolith(*args, api=False)
    assert out.wait() == 0
    assert out.stdout().startswith(b"Xenolith v")


@pytest.mark.parametrize("args", [["-h"], ["--version", "--help"], ["--id", "-h"]], ids=" ".join)
def test_help_wins_over_everything(xenolith, args):
    out = xenolith(*args, api=False)
    assert out.wait() == 0
    assert b"usage: xenolith" in out.stdout()


def test_the_version_can_be_parsed(xenolith):
    """As kata does it: the second word of the first line, without its v."""
    out = xenolith("--version", api=False)
    assert out.wait() == 0
    word = out.stdout().decode().split("\n")[0].split(" ")[1]
    assert re.fullmatch(r"\d+\.\d+\.\d+", word.removeprefix("v"))


def test_bad_arguments_leave_no_socket(xenolith):
    vm = xenolith("--unknown", wait=False)
    assert vm.wait() == 153
    assert not os.path.exists(vm.sock_path)


@pytest.mark.parametrize("value", ["x" * 64, "0", "-", "A-b-9"])
def test_good_ids(xenolith, value):
    assert xenolith("--id", value).get("/").json["id"] == value


# ---- the socket ----

def test_socket_in_use(xenolith):
    first = xenolith()
    second = xenolith("--api-sock", first.sock_path, api=False)
    assert second.wait() == 1
    assert (f"Failed to open the API socket at: {first.sock_path}. "
            "Check that it is not already used.") in second.log()
    assert first.get("/").status == 200, "the socket of the first is gone"


@pytest.mark.parametrize("kind", ["file", "stale socket", "directory"])
def test_socket_path_that_is_taken(xenolith, tmp, kind):
    path = os.path.join(tmp, "taken")
    if kind == "file":
        open(path, "w", encoding="utf-8").close()
    elif kind == "directory":
        os.mkdir(path)
    else:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
    vm = xenolith("--api-sock", path, api=False)
    assert vm.wait() == 1
    assert f"Failed to open the API socket at: {path}" in vm.log()
    assert os.path.exists(path), "it was not ours to remove"


@pytest.mark.parametrize("path", ["/nonexistent/sock", "/tmp/" + "x" * 200, ""])
def test_socket_path_that_cannot_be(xenolith, path):
    vm = xenolith("--api-sock", path, api=False)
    assert vm.wait() == 1
    assert "Failed to open the API socket at: " + path in vm.log()


# ---- the configuration file ----

def config(kernel, **more):
    return {"boot-source": {"kernel_image_path": kernel, "boot_args": "quiet"},
            "machine-config": {"vcpu_count": 2, "mem_size_mib": 64}, **more}


def test_config_file_starts_the_vm(xenolith, kernel, tmp):
    path = os.path.join(tmp, "vm.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config(kernel, drives=[]), f)
    vm = xenolith("--config-file", path)
    assert vm.state() == RUNNING
    vm.finish()
    assert vm.dump()["shape"] == {"vcpus": 2, "ram": 64 << 20}
    assert vm.dump()["cmdline"].endswith("quiet")


def test_no_api(xenolith, kernel, tmp):
    path = os.path.join(tmp, "vm.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(config(kernel), f)
    vm = xenolith("--config-file", path, "--no-api", "--api-sock", os.path.join(tmp, "sock"),
                  api=False, guest='print "up"\nsleep 50\nend poweroff\n')
    assert vm.wait() == 3
    assert vm.stdout() == b"up"
    assert not os.path.exists(os.path.join(tmp, "sock"))


def test_what_get_vm_config_tells_is_accepted(xenolith, kernel, tmp):
    first = xenolith()
    first.put("/machine-config", {"vcpu_count": 3, "mem_size_mib": 99})
    first.boot_source(kernel, boot_args="a b")
    response = first.get("/vm/config")
    path = os.path.join(tmp, "vm.json")
    with open(path, "wb") as f:
        f.write(response.body)
    second = xenolith("--config-file", path)
    assert second.state() == RUNNING
    assert second.get("/vm/config").json == response.json


def test_a_whole_configuration_comes_back(xenolith, kernel, tap, tmp):
    """Every field of every object, printed, read, and printed again."""
    image, path, name = os.path.join(tmp, "image"), os.path.join(tmp, "vm.json"), tap()
    with open(image, "wb") as f:
        f.truncate(1 << 20)
    bucket = {"size": 2**63, "one_time_burst": 7, "refill_time": 100}
    whole = {
        "machine-config": {"vcpu_count": 3, "mem_size_mib": 99},
        "boot-source": {"kernel_image_path": kernel, "initrd_path": kernel, "boot_args": "a b"},
        "drives": [
            {"drive_id": "root", "is_root_device": True, "is_read_only": True,
             "path_on_host": image, "partuuid": "0eaa91a0-01", "cache_type": "Writeback",
             "io_engine": "Async", "rate_limiter": {"bandwidth": bucket, "ops": bucket}},
            {"drive_id": "second", "is_root_device": False, "path_on_host": image}],
        "network-interfaces": [
            {"iface_id": "eth0", "host_dev_name": name, "guest_mac": "06:00:ac:10:00:02",
             "mtu": 1400, "rx_rate_limiter": {"bandwidth": bucket},
             "tx_rate_limiter": {"ops": {"size": 1, "refill_time": 1}}}],
    }
    printed = []
    for _ in range(3):
        with open(path, "w", encoding="utf-8") as f:
            json.dump(whole, f)
        vm = xenolith("--config-file", path)
        assert vm.state() == RUNNING
        printed.append(whole := vm.get("/vm/config").json)
        vm.finish()  # the tap is for one at a time
    assert printed[0] == printed[1] == printed[2]
    assert printed[0]["drives"][0]["rate_limiter"] == {"bandwidth": bucket, "ops": bucket}
    assert len(printed[0]) == 13 and all(len(d) == 9 for d in printed[0]["drives"])


BAD_CONFIGS = {
    "empty": ("", "EOF"), "no JSON": ("hello", "line 1"), "list": ("[]", ""),
    "no boot source": ({"machine-config": {"vcpu_count": 1, "mem_size_mib": 64}}, "boot-source"),
    "no kernel": ({"boot-source": {}}, "kernel_image_path"),
    "kernel not there": ({"boot-source": {"kernel_image_path": "/nonexistent"}},
                         "No such file or directory (os error 2) (/nonexistent)"),
    "kernel that is none": ({"boot-source": {"kernel_image_path": "/etc/passwd"}}, "ELF"),
    "unknown field": ({"boot-source": {"kernel_image_path": "K", "x": 1}}, "`x`"),
    "no vCPUs": ({"boot-source": {"kernel_image_path": "K"},
                  "machine-config": {"vcpu_count": 0, "mem_size_mib": 64}}, "vCPUs"),
    "wrong type": ({"boot-source": {"kernel_image_path": "K"},
                    "machine-config": {"vcpu_count": "1", "mem_size_mib": 64}}, "expected u8"),
    "huge pages": ({"boot-source": {"kernel_image_path": "K"}, "machine-config": {
        "vcpu_count": 1, "mem_size_mib": 64, "huge_pages": "2M"}}, "huge pages are not supported"),
    "a drive without a file": ({"boot-source": {"kernel_image_path": "K"}, "drives": [
        {"drive_id": "x", "is_root_device": True}]}, "no path_on_host"),
    "half a drive": ({"boot-source": {"kernel_image_path": "K"}, "drives": [{"drive_id": "x"}]},
                     "is_root_device"),
    "drives that are no list": ({"boot-source": {"kernel_image_path": "K"}, "drives": {}},
                                "expected a sequence"),
    "two root drives": ({"boot-source": {"kernel_image_path": "K"}, "drives": [
        {"drive_id": i, "is_root_device": True, "is_read_only": True, "path_on_host": "K"}
        for i in "xy"]}, "Drive config error: A root block device already exists!"),
    "a bad MAC": ({"boot-source": {"kernel_image_path": "K"}, "network-interfaces": [
        {"iface_id": "x", "host_dev_name": "t", "guest_mac": "1"}]}, "MAC address is invalid"),
    "a vsock": ({"boot-source": {"kernel_image_path": "K"}, "vsock": {"guest_cid": 3}}, "vsock"),
    "too much memory": ({"boot-source": {"kernel_image_path": "K"},
                         "machine-config": {"vcpu_count": 1, "mem_size_mib": 1 << 30}},
                        "not enough free memory"),
    "too long": (" " * (2 << 20), "1 MiB"),
}


@pytest.mark.parametrize("api", [True, False])
@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_bad_config_file(xenolith, kernel, tmp, name, api):
    text, expected = BAD_CONFIGS[name]
    if isinstance(text, dict):
        text = json.dumps(text).replace('"K"', json.dumps(kernel))
    path = os.path.join(tmp, "vm.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    vm = xenolith("--config-file", path, *([] if api else ["--no-api"]), api=api, wait=False)
    assert vm.wait() == 152
    errors = [line for line in vm.log().splitlines() if ":ERROR] " in line]
    assert len(errors) == 1 and path in errors[0] and expected in errors[0], vm.log()


@pytest.mark.parametrize("path", ["/nonexistent", "/", "/dev/null", ""])
def test_config_file_that_cannot_be_read(xenolith, path):
    vm = xenolith("--config-file", path, "--no-api", api=False)
    assert vm.wait() == 152
    assert ":ERROR] " in vm.log()


# ---- the log ----

def test_log_lines(vm, kernel):
    vm.start(kernel)
    vm.finish()
    lines = vm.log().splitlines()
    assert lines and all(LINE.match(line) for line in lines), vm.log()
    times = [line.split()[0] for line in lines]
    assert times == sorted(times)
    assert any(":INFO] monitor fake hypervisor" in line for line in lines)


def test_log_path(xenolith, kernel, tmp):
    path = os.path.join(tmp, "log")
    with open(path, "w", encoding="utf-8") as f:
        f.write("before\n")
    vm = xenolith("--log-path", path, guest="end crash")
    vm.start(kernel)
    assert vm.wait() == 4
    with open(path, encoding="utf-8") as f:
        lines = f.read().splitlines()
    assert lines[0] == "before" and all(LINE.match(line) for line in lines[1:])
    assert "exit status 4" in lines[-1] or any("exit status 4" in line for line in lines)
    assert vm.log() == ""


def test_log_path_that_cannot_be(xenolith):
    vm = xenolith("--log-path", "/nonexistent/log", wait=False)
    assert vm.wait() == 1
    assert "/nonexistent/log: No such file or directory" in vm.log()


def test_log_to_a_fifo(xenolith, kernel, tmp):
    path = os.path.join(tmp, "fifo")
    os.mkfifo(path)
    got = []

    def read():
        with open(path, "rb") as f:
            got.append(f.read())

    vm = xenolith("--log-path", path)  # nobody reads yet
    assert vm.get("/").status == 200
    reader = threading.Thread(target=read)
    reader.start()
    vm.start(kernel)
    assert vm.terminate() == 143
    reader.join(TIMEOUT)
    assert b"exit status 143" in got[0]


def test_a_log_that_nobody_reads_holds_nobody_up(xenolith, tmp):
    path = os.path.join(tmp, "fifo")
    os.mkfifo(path)
    vm = xenolith("--log-path", path, "--level", "Debug")
    with Http(vm.sock_path) as http:
        for _ in range(3000):
            assert http.request("GET", "/").status == 200


@pytest.mark.parametrize("level,shown", [
    ("Off", set()), ("Error", set()), ("Warn", {"WARN"}), ("Info", {"WARN", "INFO"}),
    ("Debug", {"WARN", "INFO", "DEBUG"}), ("tRACE", {"WARN", "INFO", "DEBUG"})])
def test_levels(xenolith, kernel, level, shown):
    vm = xenolith("--level", level, env={"XENOLITH_FAKE_FAIL": "shape:EIO"})
    # Preparing fails, which is a warning.
    assert vm.put("/machine-config", {"vcpu_count": 2, "mem_size_mib": 64}).status == 204
    wait_until(lambda: ":WARN] " in vm.log() or not shown, "the warning")
    assert vm.boot_source(kernel).status == 204
    vm.action("InstanceStart")
    vm.finish()
    assert {LINE.match(line)[1] for line in vm.log().splitlines()} == shown


def test_client_text_cannot_forge_log_lines(xenolith):
    vm = xenolith("--level", "Debug")
    vm.boot_source("/x\n1.000000 error vm forged\x1b[2J")
    vm.get("/x%0a\x1b[31m")
    vm.finish()
    assert all(LINE.match(line) for line in vm.log().splitlines())
    assert "\x1b" not in vm.log()


def test_files_are_private(xenolith, kernel, tmp):
    serial, log = os.path.join(tmp, "serial"), os.path.join(tmp, "log")
    old = os.umask(0)
    try:
        xenolith("--serial", f"file:{serial}", "--log-path", log)
    finally:
        os.umask(old)
    for path in (serial, log):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600, path
