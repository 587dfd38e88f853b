# SPDX-License-Identifier: Apache-2.0
"""Run directories: what is in them, who has which, and that none is left."""
import os
import signal
import socket
import stat

import pytest

from harness import Http, wait_until


@pytest.fixture
def run(tmp):
    """The common directory of several monitors of one test."""
    return os.path.join(tmp, "run")


def start(xenolith, run, *args, **more):
    vm = xenolith(*args, "--run-dir", run, **more)
    if not more.get("api", True) and more.get("wait", True):
        wait_until(lambda: vm.process.poll() is not None or os.path.isdir(run), "the directory")
    return vm


def pid_in(path):
    with open(os.path.join(path, "pid"), encoding="ascii") as f:
        return int(f.read())


def own_socket(xenolith, run, name, *args):
    """One without --api-sock: its socket is in its directory."""
    vm = start(xenolith, run, *args, api=False, wait=False)
    path = os.path.join(run, name, "api.socket")
    wait_until(lambda: os.path.exists(path), "the API socket")
    vm.sock_path = path
    wait_until(vm.serving, "the API")
    return vm


def test_what_is_in_it(xenolith, run):
    vm = own_socket(xenolith, run, "web", "--id", "web", "--serial", "socket", "--run-log")
    path = os.path.join(run, "web")
    assert sorted(os.listdir(path)) == ["api.socket", "console.socket", "log", "pid"]
    assert pid_in(path) == vm.process.pid
    for name in (run, path):
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o700
    with open(os.path.join(path, "log"), encoding="utf-8") as f:
        assert "] monitor" in f.read()
    assert vm.log() == ""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(os.path.join(path, "console.socket"))
    assert vm.terminate() == 143
    assert os.listdir(run) == []


def test_paths_elsewhere_become_links(xenolith, run, tmp):
    log, console = os.path.join(tmp, "a.log"), "c.socket"   # relative to its directory
    vm = start(xenolith, run, "--log-path", log, "--serial", f"unix:{console}",
               "--metrics-path", "m")
    path = os.path.join(run, "anonymous-instance")
    assert os.readlink(os.path.join(path, "api.socket")) == vm.sock_path
    assert os.readlink(os.path.join(path, "log")) == log
    assert os.readlink(os.path.join(path, "console.socket")) == os.path.join(vm.dir, console)
    assert os.readlink(os.path.join(path, "metrics")) == os.path.join(vm.dir, "m")
    with Http(os.path.join(path, "api.socket")) as http:
        assert http.request("GET", "/").status == 200
    vm.finish()
    assert os.path.exists(log), "what is elsewhere is not ours to remove"


def test_only_what_there_is(xenolith, run):
    start(xenolith, run)
    assert sorted(os.listdir(os.path.join(run, "anonymous-instance"))) == ["api.socket", "pid"]


def test_one_id_twice(xenolith, run):
    """Clients that give no --id go on to work."""
    first, second = start(xenolith, run), start(xenolith, run)
    name = f"anonymous-instance.{second.process.pid}"
    assert sorted(os.listdir(run)) == ["anonymous-instance", name]
    assert pid_in(os.path.join(run, "anonymous-instance")) == first.process.pid
    assert pid_in(os.path.join(run, name)) == second.process.pid
    assert second.get("/").json["id"] == "anonymous-instance"
    first.finish()
    assert os.listdir(run) == [name]
    third = start(xenolith, run)
    assert pid_in(os.path.join(run, "anonymous-instance")) == third.process.pid


def test_a_dead_one_is_taken_over(xenolith, run):
    """Whatever it left, and whoever has its number now."""
    dead = own_socket(xenolith, run, "web", "--id", "web", "--serial", "socket", "--run-log")
    dead.process.send_signal(signal.SIGKILL)
    dead.wait()
    path = os.path.join(run, "web")
    assert sorted(os.listdir(path)) == ["api.socket", "console.socket", "log", "pid"]
    with open(os.path.join(path, "pid"), "w", encoding="ascii") as f:
        f.write(f"{os.getpid()}\n")
    vm = own_socket(xenolith, run, "web", "--id", "web")
    assert sorted(os.listdir(path)) == ["api.socket", "pid"]
    assert pid_in(path) == vm.process.pid
    assert vm.terminate() == 143
    assert os.listdir(run) == []
    dead.sock_path = vm.sock_path


@pytest.mark.parametrize("args,status", [
    (["--config-file", "/nonexistent"], 152), (["--log-path", "/nonexistent/log"], 1),
    (["--serial", "unix:/nonexistent/s"], 1), (["--serial", "file:/nonexistent/s"], 1)])
def test_a_start_that_fails_leaves_nothing(xenolith, run, args, status):
    vm = start(xenolith, run, *args, wait=False)
    assert vm.wait() == status
    assert os.listdir(run) == []


def test_a_failure_is_told_beside_the_log_that_goes(xenolith, run):
    vm = start(xenolith, run, "--run-log", wait=False, env={"XENOLITH_FAKE_FAIL": "open:EIO"})
    assert vm.wait() == 1
    assert "error: " in vm.log()
    assert os.listdir(run) == []


def bad_base(tmp, kind):
    path = os.path.join(tmp, "base")
    if kind == "no parent":
        return os.path.join(path, "base"), "No such file"
    if kind == "a file":
        open(path, "w", encoding="utf-8").close()
        return path, "not a directory"
    os.mkdir(path)
    os.chmod(path, 0o777)
    return path, "others may write to it"


@pytest.mark.parametrize("kind", ["no parent", "a file", "open to others"])
def test_a_base_that_cannot_be(xenolith, tmp, kind):
    path, why = bad_base(tmp, kind)
    vm = xenolith("--run-dir", path, wait=False)
    assert vm.wait() == 1
    assert f"run directory {path}: " in vm.log() and why in vm.log()
    assert not os.path.exists(vm.sock_path)


@pytest.mark.parametrize("kind", ["no parent", "a file", "open to others"])
def test_launching_does_not_need_a_directory(xenolith, tmp, kind):
    """A client that names all paths does not ask for one."""
    path, why = bad_base(tmp, kind)
    vm = xenolith(env={"XENOLITH_RUN_DIR": path})
    assert f":WARN] xenolith run directory {path}: " in vm.log() and why in vm.log()
    for args in (["--run-log"], ["--serial", "socket"]):
        other = xenolith(*args, env={"XENOLITH_RUN_DIR": path}, wait=False)
        assert other.wait() == 1
    other = xenolith(env={"XENOLITH_RUN_DIR": path}, api=False)
    assert other.wait() == 1


@pytest.mark.parametrize("entry", ["directory", "link"])
def test_an_entry_of_this_name_that_is_no_directory_of_ours(xenolith, run, tmp, entry):
    os.mkdir(run, 0o700)
    path = os.path.join(run, "web")
    if entry == "directory":
        os.makedirs(os.path.join(path, "sub"))
        start(xenolith, run, "--id", "web")
        assert sorted(os.listdir(path)) == ["api.socket", "pid", "sub"]
    else:
        elsewhere = os.path.join(tmp, "elsewhere")
        os.mkdir(elsewhere)
        os.symlink(elsewhere, path)
        vm = start(xenolith, run, "--id", "web", wait=False)
        assert vm.wait() == 1
        assert os.listdir(elsewhere) == []
