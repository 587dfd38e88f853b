# SPDX-License-Identifier: Apache-2.0
"""xenolithctl: the commands that change instances, and the command line."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading

import pytest

from harness import TIMEOUT, Http, binary, wait_until

COMMANDS = ("run", "create", "start", "pause", "resume", "stop", "kill", "console", "config",
            "api")


def error(done, status=1):
    """What a failed command says: one line."""
    assert done.returncode == status, done
    assert done.stdout == b""
    text = done.stderr.decode()
    assert text.startswith("xenolithctl: ") and text.count("\n") == 1, text
    return text[len("xenolithctl: "):].strip()


def state(ctl, name):
    return json.loads(ctl.good("api", "-i", name, "GET", "/").stdout)["state"]


@pytest.fixture
def web(ctl, kernel):
    """An instance `web`, configured, not started; it may be gone at the end."""
    ctl.good("create", "web", "--kernel", kernel, guest="")
    yield "web"
    if "web" in ctl.instances():
        ctl.good("kill", "web")


# ---- the command line ----

@pytest.mark.parametrize("args,says", [
    (["frobnicate"], "unknown command 'frobnicate'"), (["--frob"], "unknown option '--frob'"),
    (["run", "--frob"], "xenolithctl run --help"), (["run", "-x"], "'-x'"),
    (["kill"], "missing NAME"), (["kill", "a", "b"], "unexpected 'b'"), (["create"], "NAME"),
    (["api", "GET"], "METHOD PATH"), (["run", "extra"], "unexpected 'extra'"),
    (["run", "--memory"], "--memory needs a value"), (["run", "--memory", "lots"], "'lots'"),
    (["run", "--memory=-1"], "'-1'"), (["run", "--memory", "1T"], "'1T'"),
    (["run", "--memory", "99999999999999999999"], "not a number"),
    (["run", "--memory", "17000000000000000000G"], "not a number"),
    (["run", "--cpus", "33"], "at most 32"), (["run", "--cpus", "0"], "at least 1"),
    (["run", "--memory", "0G"], "at least 1"), (["run", "--cpus", "2M"], "'2M'"),
    (["run", "--no-input=1"], "takes no value"), (["stop", "--timeout", ""], "not a number"),
    (["create", "a_b"], "cannot be a name"), (["create", "x" * 65], "cannot be a name"),
    (["create", ""], "cannot be a name")], ids=lambda a: " ".join(a)[:40])
def test_bad_arguments(ctl, args, says):
    assert says in error(ctl(*args), 153)


def test_without_a_command(ctl):
    done = ctl()
    assert done.returncode == 153 and done.stdout == b"" and b"commands:" in done.stderr


def test_help(ctl):
    text = ctl.good("--help").stdout.decode()
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", text, re.M), command
        one = ctl.good(command, "--help").stdout.decode()
        assert one.startswith(f"xenolithctl {command}: ") and "usage: " in one
        assert ctl.good("--help", command).stdout.decode() == one
        for option in ("--json", "--run-dir", "--help"):
            assert re.search(rf"^ +(-\w, )?{option}\b", one, re.M)
        for line in one.splitlines():
            assert len(line) <= 100 and line == line.rstrip(), line


def test_version(ctl):
    assert re.fullmatch(rb"xenolithctl v\d+\.\d+\.\d+\n", ctl.good("--version").stdout)


def test_options_may_be_anywhere(ctl, web):
    for args in (["--json", "config", web], ["config", "--json", web], ["config", web, "--json"],
                 ["config", "--json", "--", web]):
        assert json.loads(ctl.good(*args).stdout)["machine-config"]["vcpu_count"] == 1
    other = {"XENOLITH_RUN_DIR": os.path.join(ctl.tmp, "elsewhere")}
    assert "none is running" in error(ctl("config", web, env=other))
    assert ctl.good("config", web, "--run-dir", ctl.run_dir, env=other).stdout


def test_errors_as_json(ctl):
    done = ctl("kill", "x", "--json")
    assert done.returncode == 1 and done.stdout == b""
    assert "no instance 'x'" in json.loads(done.stderr)["error"]


# ---- which instance ----

def test_no_such_instance(ctl, kernel, web):
    assert error(ctl("start", "x")) == "no instance 'x'; running: web"
    ctl.good("create", "db", "-k", kernel)
    assert error(ctl("start", "x")) == "no instance 'x'; running: db, web"
    assert error(ctl("pause")) == "which instance? running: db, web"
    ctl.good("kill", "db")
    ctl.good("start")
    ctl.good("kill", "web")
    assert error(ctl("start", "web")) == f"no instance 'web'; none is running (in {ctl.run_dir})"
    assert error(ctl("stop")) == f"no instance is running (in {ctl.run_dir})"


def test_instances_that_others_started(ctl, xenolith, kernel):
    """With --api-sock and without --id, as Firecracker's clients do; two of them."""
    first = xenolith("--run-dir", ctl.run_dir)
    second = xenolith("--run-dir", ctl.run_dir)
    second.boot_source(kernel)
    name = f"anonymous-instance.{second.process.pid}"
    ctl.good("start", name)
    assert (first.state(), second.state()) == ("Not started", "Running")
    ctl.good("kill", "anonymous-instance")
    assert first.wait() == 143
    # Now the name is not ambiguous, however the directory is called.
    ctl.good("pause", "anonymous-instance")
    assert second.state() == "Paused"
    ctl.good("kill", name)
    assert second.wait() == 143


def test_control_characters_are_not_shown(ctl, xenolith):
    """What is in the run directory and is no instance's is passed over."""
    os.makedirs(os.path.join(ctl.run_dir, "bad\x1b[31mname"))
    os.makedirs(os.path.join(ctl.run_dir, "a b"))
    vm = xenolith("--run-dir", ctl.run_dir, "--id", "good")
    assert error(ctl("kill", "x")) == "no instance 'x'; running: good"
    vm.finish()
    os.rmdir(os.path.join(ctl.run_dir, "bad\x1b[31mname"))
    os.rmdir(os.path.join(ctl.run_dir, "a b"))


# ---- create ----

def test_create(ctl, kernel):
    done = ctl.good("create", "web", "-k", kernel, "--memory", "1G", "--cpus", "2", "--append",
                    "more=1", "--json")
    told = json.loads(done.stdout)
    assert told == {"name": "web", "pid": ctl.pid("web"), "started": False, **{
        key: os.path.join(ctl.run_dir, "web", name) for key, name in (
            ("api", "api.socket"), ("console", "console.socket"), ("log", "log"))}}
    config = json.loads(ctl.good("config", "web").stdout)
    assert config["machine-config"]["mem_size_mib"] == 1024
    assert config["machine-config"]["vcpu_count"] == 2
    assert config["boot-source"] == {
        "kernel_image_path": kernel,
        "boot_args": "console=ttyS0 quiet reboot=k panic=1 more=1"}
    assert state(ctl, "web") == "Not started"
    assert os.getsid(told["pid"]) == told["pid"], "it has no session of its own"
    ctl.good("kill", "web")


def test_create_and_start(ctl, kernel):
    done = ctl.good("create", "web", "-k", kernel, "--start", guest="")
    assert done.stderr == b"web: started\n"
    assert state(ctl, "web") == "Running"
    ctl.good("kill", "web")


def test_disks_and_networks(ctl, kernel, tap):
    image = os.path.join(ctl.tmp, "image")
    with open(image, "wb") as f:
        f.truncate(1 << 20)
    name = tap()
    ctl.good("create", "web", "-k", kernel, "-d", f"{image},ro,iops=100", "--disk",
             f"{image},ro,writeback,id=data,bps=10M", "--net",
             f"{name},mac=06:00:00:00:00:01,mtu=1400,pps=1K", cwd=ctl.tmp)
    config = json.loads(ctl.good("config", "web").stdout)
    second = {"size": 10 << 20, "refill_time": 1000}
    root, data = config["drives"]
    assert (root["drive_id"], root["is_root_device"], root["is_read_only"]) == (
        "disk0", True, True)
    assert root["rate_limiter"] == {"ops": {"size": 100, "refill_time": 1000}}
    assert (data["drive_id"], data["is_root_device"], data["cache_type"]) == (
        "data", False, "Writeback")
    assert data["rate_limiter"] == {"bandwidth": second}
    net = config["network-interfaces"][0]
    assert (net["iface_id"], net["host_dev_name"], net["guest_mac"], net["mtu"]) == (
        "eth0", name, "06:00:00:00:00:01", 1400)
    assert net["rx_rate_limiter"] == net["tx_rate_limiter"] == {
        "ops": {"size": 1024, "refill_time": 1000}}
    ctl.good("kill", "web")


def test_relative_paths(ctl, kernel):
    os.symlink(kernel, os.path.join(ctl.tmp, "vmlinux"))
    ctl.good("create", "web", "-k", "vmlinux", "--disk", "vmlinux,ro", cwd=ctl.tmp)
    config = json.loads(ctl.good("config", "web").stdout)
    path = os.path.join(ctl.tmp, "vmlinux")
    assert config["boot-source"]["kernel_image_path"] == path
    assert config["drives"][0]["path_on_host"] == path
    ctl.good("kill", "web")


def test_kernel_from_the_environment(ctl, kernel):
    ctl.good("create", "web", env={"XENOLITH_KERNEL": kernel})
    ctl.good("kill", "web")
    assert "no kernel: name one with --kernel" in error(ctl("create", "web"))


def test_create_twice(ctl, kernel, web):
    assert error(ctl("create", web, "-k", kernel)) == (
        "there is an instance 'web' already; xenolithctl kill ends it")
    assert ctl.instances() == ["web"]


def test_many_of_a_name_at_once(ctl, kernel):
    """One is made, the others fail, and none of them is left."""
    racing = [ctl.start("create", "web", "-k", kernel) for _ in range(6)]
    statuses = sorted(p.wait(TIMEOUT) for p in racing)
    assert statuses == [0, 1, 1, 1, 1, 1]
    wait_until(lambda: ctl.instances() == ["web"], "the others' end")
    ctl.good("kill", "web")


BAD_VMS = {
    "kernel": (["-k", "/nonexistent"], "/boot-source: Boot source error: The kernel file"),
    "disk": (["-d", "/nonexistent"], "/drives/disk0: Drive config error"),
    "disk word": (["-d", "x,frob"], "--disk 'x,frob': 'frob' is not understood"),
    "disk without file": (["-d", ",ro"], "the file is missing"),
    "limit": (["-d", "x,bps=fast"], "'bps=fast' is not understood"),
    "limit too large": (["-d", "x,bps=9999999999G"], "not understood"),
    "empty word": (["-d", "x,"], "'' is not understood"),
    "flag with value": (["-d", "x,ro=1"], "'ro=1' is not understood"),
    "disk id": (["-d", "/dev/null,id=a/b"], "'a/b' cannot be an id"),
    "network word": (["-n", "tap,speed=1"], "'speed=1' is not understood"),
    "network without tap": (["-n", ""], "the tap is missing"),
    "mac": (["-n", "tap,mac=1"], "The provided MAC address is invalid"),
    "wrong type": (["-f", "C"], "/machine-config: "),
    "no configuration": (["-f", "/nonexistent"], "configuration /nonexistent: No such file"),
    "unknown part": (["-f", "P"], "/frob"),
    "long command line": (["-a", "x" * 3000], "the kernel's command line has 3"),
    "initrd": (["--initrd", "/nonexistent"], "The initrd file cannot be opened"),
}


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize("name", BAD_VMS)
def test_vms_that_cannot_be(ctl, kernel, command, name):
    args, says = BAD_VMS[name]
    for letter, config in (("C", {"machine-config": {"vcpu_count": "x"}}), ("P", {"frob": {}})):
        path = os.path.join(ctl.tmp, letter)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)
        args = [path if a == letter else a for a in args]
    if "-k" not in args:
        args = ["-k", kernel, *args]
    done = ctl(*([command, "vm"] if command == "create" else [command]), *args)
    assert says in error(done)
    ctl.nothing_left()


@pytest.mark.parametrize("command", ["create", "run"])
@pytest.mark.parametrize("env,says", [
    ({"XENOLITH": "/nonexistent"}, "/nonexistent: No such file or directory"),
    ({"XENOLITH": "/bin/false"}, "ended with status 1"),
    ({"XENOLITH_FAKE_FAIL": "open:EIO"}, "the monitor has ended: "),
    ({"XENOLITH_FAKE_FAIL": "start:EIO"}, "Start microvm error"),
    ({"XENOLITH_RUN_DIR": "/nonexistent/run"}, "run directory /nonexistent/run: No such file")],
    ids=["no program", "false", "no Xen", "no start", "no directory"])
def test_monitors_that_do_not_start(ctl, kernel, command, env, says):
    args = ["create", "vm", "--start"] if command == "create" else ["run"]
    assert says in error(ctl(*args, "-k", kernel, env=env))
    ctl.nothing_left()


@pytest.mark.skipif(os.path.exists("/dev/xen/privcmd"), reason="this is a Xen domain")
def test_outside_xen_it_says_what_to_do(ctl, kernel):
    real = os.path.join(os.path.dirname(binary()), "xenolith")
    if not os.path.exists(real):
        pytest.skip("the real monitor is not built")
    said = error(ctl("run", "-k", kernel, "--monitor", real))
    assert said.startswith("no /dev/xen/privcmd: this is not a Xen domain; try `make run`")


# ---- config ----

def test_config_goes_round(ctl, kernel, web):
    text = ctl.good("config", web).stdout
    ctl.good("kill", web)
    path = os.path.join(ctl.tmp, "vm.json")
    with open(path, "wb") as f:
        f.write(text)
    ctl.good("create", "web", "-f", path, "--memory", "99")
    config = json.loads(ctl.good("config", "web").stdout)
    assert config == {**json.loads(text), "machine-config": {
        **json.loads(text)["machine-config"], "mem_size_mib": 99}}
    ctl.good("config", "web", "--set", path)
    assert ctl.good("config", "web").stdout == text
    ctl.good("config", "web", "--set", "-", input=b'{"machine-config": {"vcpu_count": 3, '
             b'"mem_size_mib": 64}}')
    assert json.loads(ctl.good("config", "web").stdout)["machine-config"]["vcpu_count"] == 3


def test_config_with_nulls(ctl, web):
    assert "vsock" not in json.loads(ctl.good("config", web).stdout)
    assert json.loads(ctl.good("config", web, "--all").stdout)["vsock"] is None


@pytest.mark.parametrize("text,says", [
    (b"", "not a JSON object"), (b"[]", "not a JSON object"), (b"{", "not a JSON object"),
    (b" " * (1 << 20) + b"{}", "more than 1 MiB"),
    (b'{"machine-config": {"vcpu_count": 0, "mem_size_mib": 1}}', "/machine-config: "),
    (b'{"drives": [{"drive_id": "../x"}]}', "cannot be an id"),
    (b'{"drives": [1]}', "/drives"), (b'{"a b": {}}', "'a b' is no part of a configuration")],
    ids=lambda v: v[:20].decode().strip() if isinstance(v, bytes) else "")
def test_bad_configs(ctl, web, text, says):
    assert says in error(ctl("config", web, "--set", "-", input=text))


# ---- start, pause, resume, stop, kill ----

def test_states(ctl, web):
    assert state(ctl, web) == "Not started"
    for command, after in (("start", "Running"), ("pause", "Paused"), ("resume", "Running")):
        done = ctl.good(command, web)
        assert done.stdout == b"" and done.stderr.startswith(b"web: ")
        assert state(ctl, web) == after
    assert "not supported after starting" in error(ctl("start", web))
    assert ctl.good("pause", web, "--json").stderr == b""


def test_stop_before_the_start(ctl, web):
    assert b"had not been started" in ctl.good("stop", web).stderr
    ctl.nothing_left()


def test_stop_that_takes_too_long(ctl, web):
    ctl.good("start", web)
    assert error(ctl("stop", web, "--timeout", "1")) == (
        "web: the guest has not powered off within 1 s; xenolithctl kill web ends it")
    assert state(ctl, web) == "Running"
    ctl.good("stop", web, "--timeout", "0", "--force")
    ctl.nothing_left()


def test_stop(ctl, kernel):
    """The guest ends a while after it was asked."""
    ctl.good("create", "web", "-k", kernel, "--start", guest="sleep 500\nend poweroff")
    assert ctl.good("stop", "web").stderr == b"web: stopped\n"
    ctl.nothing_left()


def test_stop_while_paused(ctl, web):
    ctl.good("start", web)
    ctl.good("pause", web)
    assert "resume it first" in error(ctl("stop", web))
    ctl.good("stop", web, "--force")
    ctl.nothing_left()


def test_kill_a_monitor_that_hangs(ctl, web):
    os.kill(ctl.pid(web), signal.SIGSTOP)
    ctl.good("kill", web)
    ctl.nothing_left()


def test_kill_spares_who_has_the_number_now(ctl, web):
    """The file's number is another process's: that one does not get the signal."""
    pid = ctl.pid(web)
    with subprocess.Popen(["sleep", "60"]) as other:
        with open(os.path.join(ctl.run_dir, web, "pid"), "w", encoding="ascii") as f:
            f.write(f"{other.pid}\n")
        assert "does not end" in error(ctl("kill", web))
        assert other.poll() is None
        other.kill()
    with open(os.path.join(ctl.run_dir, web, "pid"), "w", encoding="ascii") as f:
        f.write(f"{pid}\n")


def test_what_a_dead_monitor_left_goes_with_the_next_start(ctl, kernel, web):
    ctl.good("create", "db", "-k", kernel)
    os.kill(ctl.pid("db"), signal.SIGKILL)
    wait_until(lambda: ctl("start", "db").stderr == b"xenolithctl: no instance 'db'; "
               b"running: web\n", "its death")
    assert ctl.instances() == ["db", "web"]
    ctl.good("create", "other", "-k", kernel)
    assert ctl.instances() == ["other", "web"]
    ctl.good("kill", "other")


def test_progress_of_what_takes_long(ctl, web):
    ctl.good("start", web)
    terminal = ctl.terminal("stop", web, "-t", "2")
    terminal.expect(b"waiting for the guest: 1 of 2 s")
    terminal.expect(b"has not powered off within 2 s")
    assert terminal.process.wait(TIMEOUT) == 1
    # A monitor that does not answer: told, until it is.
    os.kill(ctl.pid(web), signal.SIGSTOP)
    threading.Timer(1.5, os.kill, (ctl.pid(web), signal.SIGCONT)).start()
    terminal = ctl.terminal("config", web)
    terminal.expect(b"waiting for the monitor ...")
    terminal.expect(b"kernel_image_path")
    assert terminal.process.wait(TIMEOUT) == 0


def test_what_a_dead_monitor_left_is_no_instance(ctl, kernel, web):
    os.kill(ctl.pid(web), signal.SIGKILL)
    wait_until(lambda: b"none is running" in ctl("start", web).stderr, "its death")
    assert ctl.instances() == ["web"]
    ctl.good("create", "web", "-k", kernel)
    assert state(ctl, "web") == "Not started"


# ---- api ----

def test_api(ctl, web):
    assert json.loads(ctl.good("api", "GET", "/version").stdout)
    done = ctl.good("api", "PUT", "/machine-config", '{"vcpu_count": 2, "mem_size_mib": 64}')
    assert done.stdout == b""
    assert "EOF" in error(ctl("api", "PUT", "/machine-config", "{"))
    assert "Invalid request method and/or path" in error(ctl("api", "GET", "/frob"))
    socket_path = os.path.join(ctl.run_dir, web, "api.socket")
    assert ctl.good("api", "GET", "/", "--socket", socket_path).stdout
    assert "No such file" in error(ctl("api", "GET", "/", "--socket", "/nonexistent"))
    assert "too long" in error(ctl("api", "GET", "/", "--socket", "/" + "x" * 200))


BAD_REPLIES = {
    "nothing": (b"", "the monitor has ended"),
    "no HTTP": (b"hello\r\n\r\n", "Bad message"),
    "half a head": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n", "the monitor has ended"),
    "half a body": (b"HTTP/1.1 200 \r\nContent-Length: 9\r\n\r\n{}", "the monitor has ended"),
    "no JSON": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{[", "no JSON"),
    "long head": (b"HTTP/1.1 200 \r\n" + b"X: y\r\n" * 9000, "Bad message"),
    "long body": (b"HTTP/1.1 200 \r\nContent-Length: 99999999999\r\n\r\n", "Message too long"),
    "500 without body": (b"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", "status 500"),
    "fault that is no text": (b"HTTP/1.1 400 \r\nContent-Length: 19\r\n\r\n"
                              b'{"fault_message":1}', "status 400"),
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_bad_replies(ctl, name):
    reply, says = BAD_REPLIES[name]
    path = os.path.join(ctl.tmp, "sock")

    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(reply)
            except OSError:
                pass

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        assert says in error(ctl("api", "GET", "/", "--socket", path))
        server.join()
