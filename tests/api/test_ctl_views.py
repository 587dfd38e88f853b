# SPDX-License-Identifier: Apache-2.0
"""What xenolithctl shows of the instances of a host: ps, top, logs, metrics."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import NOT_STARTED, PAUSED, RUNNING, TIMEOUT, Http, wait_until
from instances import Instances

def table(text):
    """The cells by the titles, of columns two blanks apart."""
    lines = text.splitlines()
    titles = lines[0].split()
    return [dict(zip(titles, re.split(r" {2,}", line.strip()))) for line in lines[1:]]


@contextlib.contextmanager
def stopped(*vms):
    """Monitors that live but do nothing."""
    for vm in vms:
        vm.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for vm in vms:
            vm.process.send_signal(signal.SIGCONT)


# ---- ps ----

@pytest.mark.parametrize("there", [True, False])
def test_ps_of_no_instances(instances, there):
    if not there:
        os.rmdir(instances.dir)
    assert instances.run("ps").split() == ["ID", "STATE", "AGE", "VCPUS", "MEM", "TIME", "PSS",
                                           "PID", "SOCKET"]
    assert instances.run("ps", "--json") == "[]\n"


def test_ps_shows_what_monitors_and_kernel_say(instances, kernel):
    vms = {name: instances.start(name) for name in ("c-paused", "a-new", "b-run")}
    assert vms["b-run"].put("/machine-config",
                            {"vcpu_count": 3, "mem_size_mib": 256}).status == 204
    vms["b-run"].start(kernel)
    vms["c-paused"].go_to(PAUSED, kernel)
    rows = instances.rows("ps")
    assert list(rows) == sorted(vms)
    assert {n: r["state"] for n, r in rows.items()} == {
        "a-new": NOT_STARTED, "b-run": RUNNING, "c-paused": PAUSED}
    assert [(r["vcpus"], r["memory_mib"]) for r in rows.values()] == [
        (1, 128), (3, 256), (1, 128)]
    for name, row in rows.items():
        assert row["id"] == name
        assert row["pid"] == vms[name].process.pid
        assert os.path.realpath(row["api"]) == os.path.realpath(vms[name].sock_path)
        assert row["processes"] == 1 and 0 <= row["age_s"] < 60 and row["cpu_s"] >= 0
        rss = vms[name].status_kib("VmRSS") * 1024
        assert 0.5 * rss <= row["rss_bytes"] <= 1.5 * rss + (1 << 20)
        assert 0 < row["pss_bytes"] <= row["rss_bytes"] * 1.1
        assert "error" not in row and "cpu_percent" not in row

    shown = {row["ID"]: row for row in table(instances.run("ps"))}
    assert shown["b-run"]["STATE"] == RUNNING
    assert shown["b-run"]["VCPUS"] == "3" and shown["b-run"]["MEM"] == "256M"
    assert re.fullmatch(r"\d+s", shown["b-run"]["AGE"])
    assert re.fullmatch(r"\d+\.\d\ds", shown["b-run"]["TIME"])
    assert re.fullmatch(r"[0-9.]+[KM]", shown["b-run"]["PSS"])
    assert shown["b-run"]["PID"] == str(vms["b-run"].process.pid)
    assert shown["a-new"]["STATE"] == NOT_STARTED


def test_ps_counts_all_processes_of_an_instance(instances):
    """Like keeper and monitor: one that has a child."""
    with subprocess.Popen(["/bin/sh", "-c", "sleep 60 & wait"], start_new_session=True) as p:
        try:
            instances.add("two", p.pid)
            wait_until(lambda: instances.rows("ps")["two"].get("processes") == 2, "the child")
        finally:
            os.killpg(p.pid, signal.SIGKILL)


def test_ps_shows_the_dead_until_they_are_cleaned(instances):
    instances.start("alive")
    path = instances.add("dead", 1, api="/nonexistent", alive=False)
    rows = instances.rows("ps")
    assert {n: r["state"] for n, r in rows.items()} == {"alive": NOT_STARTED, "dead": "Dead"}
    assert "cpu_s" not in rows["dead"], "what pid 1 uses is not the dead one's"
    assert os.path.isdir(path)
    assert list(instances.rows("ps", "--clean")) == ["alive"]
    assert not os.path.exists(path)


def test_ps_of_an_instance_without_an_api(instances):
    vm = instances.start("mute")
    os.unlink(os.path.join(instances.dir, "mute", "api.socket"))
    row = instances.rows("ps")["mute"]
    assert row["state"] == "No API" and row["pid"] == vm.process.pid and row["age_s"] >= 0
    assert table(instances.run("ps"))[0]["STATE"] == "No API"


def test_ps_is_not_held_up_by_monitors_that_do_not_answer(instances):
    vms = [instances.start(f"vm{i}") for i in range(5)]
    with stopped(*vms[:4]):
        start = time.monotonic()
        rows = instances.rows("ps")
        took = time.monotonic() - start
    assert [r["state"] for r in rows.values()] == ["No answer"] * 4 + [NOT_STARTED]
    assert rows["vm0"]["error"] and rows["vm0"]["age_s"] >= 0
    assert took < 3, "they were asked one after the other"


def test_ps_is_not_held_up_by_a_full_queue_of_connections(instances):
    vm = instances.start("full")
    with stopped(vm), contextlib.ExitStack() as stack:
        while True:
            s = stack.enter_context(socket.socket(socket.AF_UNIX))
            s.setblocking(False)
            try:
                s.connect(vm.sock_path)
            except BlockingIOError:
                break
        assert instances.rows("ps")["full"]["state"] == "No answer"


@pytest.mark.parametrize("answer", [
    b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[}]",
    b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 100000,
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnullHTTP/1.1 200"],
    ids=["nothing", "no HTTP", "no JSON", "busy", "no body", "too long", "endless", "half"])
def test_ps_survives_what_is_no_monitor(instances, tmp, answer):
    path = os.path.join(tmp, "server")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client, contextlib.suppress(OSError):
                        client.recv(1000)
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            instances.add("odd", os.getpid(), path)
            row = instances.rows("ps")["odd"]
            assert row["state"] == "No answer" and row["error"]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(TIMEOUT)


def test_ps_does_not_harm_the_terminal(tmp, xenolith):
    directory = os.path.join(tmp, "\x1b[2J\u009b")
    os.mkdir(directory)
    instances = Instances(directory, xenolith)
    instances.add("a", os.getpid(), "/nonexistent")
    assert "/??[2J?" not in instances.run("ps") and "/?[2J??/run/a/api" in instances.run("ps")


# ---- top, without a terminal ----

def tables(text):
    """Of each table its first line and its rows."""
    parts = text.split("\n\n")
    assert parts.pop() == "", text
    return [(first, table(rows)) for first, rows in zip(parts[::2], parts[1::2])]


@contextlib.contextmanager
def busy(vm):
    """Keep a monitor at work."""
    end = threading.Event()

    def work():
        with Http(vm.sock_path) as http:
            while not end.is_set():
                http.request("GET", "/vm/config")

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(TIMEOUT)


def test_top_without_a_terminal_prints_one_table_the_busiest_first(instances, kernel):
    vms = [instances.start(f"vm{i}") for i in range(3)]
    vms[2].start(kernel)
    with busy(vms[1]):
        (first, rows), = tables(instances.run("top"))
    assert rows[0]["ID"] == "vm1" and float(rows[0]["CPU%"]) > 1
    assert [r["ID"] for r in rows[1:]] == ["vm0", "vm2"] or float(rows[1]["CPU%"]) > 0
    assert rows[0]["STATE"] == NOT_STARTED
    assert re.match(r"\d\d:\d\d:\d\d  3 instances  guests: 3 vCPUs, 384M  monitors: \d+\.\d% CPU",
                    first), first
    assert {"CPU%", "TIME", "PSS", "DISK-R/s", "DISK-W/s", "NET-IN/s", "NET-OUT/s"} <= set(rows[0])


def test_top_as_json(instances):
    instances.start("one")
    lines = instances.run("top", "--json", "-n", "2", "-d", "0.1").splitlines()
    assert len(lines) == 2
    for line in lines:
        row, = json.loads(line)
        assert row["name"] == "one" and row["cpu_percent"] >= 0
        assert row["disk_read_bytes_per_s"] >= 0 and row["net_in_bytes_per_s"] == 0


def test_top_in_batch_mode_goes_on(instances):
    instances.start("one")
    assert len(tables(instances.run("top", "--batch", "--count", "2", "-d", "0.1"))) == 2
    with subprocess.Popen(instances.argv("top", "-b", "-d", "0.1"), stdout=subprocess.PIPE) as p:
        seen = 0
        while seen < 3:
            seen += p.stdout.readline().startswith(b"ID ")
        p.stdout.close()
        assert p.wait(TIMEOUT) == 1, "it goes on when nobody reads"


def test_top_tells_what_went_through_the_taps(instances, tap):
    vm = instances.start("net")
    name = tap()
    assert vm.put("/network-interfaces/eth0",
                  {"iface_id": "eth0", "host_dev_name": name}).status == 204
    row, = json.loads(instances.run("top", "--json", "-d", "0.1"))
    assert row["net_in_bytes_per_s"] == 0 and row["net_out_bytes_per_s"] == 0


@pytest.mark.parametrize("args", [
    *(["--delay", d] for d in ("0", "0.09", "0.0999", "3600.001", "3601", "x", "", ".5", "1.2.3",
                               "1s", "-1", "1e3", "99999999999999999999999", "0.1234")),
    ["word"], ["--count", "-1"]])
def test_top_refuses(instances, args):
    instances.run("top", *args, status=153)


@pytest.mark.parametrize("delay,least", [("0.1", 0.1), ("0.250", 0.25), ("00.5", 0.5), ("1.", 1)])
def test_top_waits_as_long_as_it_is_told(instances, delay, least):
    start = time.monotonic()
    instances.run("top", "-d", delay)
    assert least <= time.monotonic() - start < least + 2


# ---- top, on a terminal ----

@pytest.fixture
def terminal(open_terminal):
    return open_terminal(120, 10)


@pytest.fixture
def on_screen(instances, terminal):
    """top in a terminal that is checked to be as before, afterwards."""
    before = terminal.settings()
    terminal.enter("echo still here")
    terminal.enter(" ".join(instances.argv("top", "-d", "0.2")))
    terminal.wait_for("^ID ")
    assert terminal.modes() == "01"
    terminal.status = 0
    yield terminal
    wait_until(lambda: terminal.modes() == "10", "the first screen")
    # An interrupted shell forgets what else is on the line: so on a line of its own.
    terminal.enter("echo status $?")
    terminal.wait_for(f"^status {terminal.status}$")
    assert "still here" in terminal.text(), "the screen before is gone"
    assert terminal.settings() == before


def test_top_is_shown_in_place(instances, on_screen):
    """on_screen comes first: instances come and go while it is shown."""
    assert re.match(r"\d\d:\d\d:\d\d  0 instances", on_screen.lines()[0])
    vm = instances.start("first")
    on_screen.wait_for(r"^first +Not started +\S+ +\d+\.\d\ds")
    assert re.match(r"\d\d:\d\d:\d\d  1 instance  ", on_screen.lines()[0])
    assert on_screen.lines()[2].startswith("ID ") and len(on_screen.lines()) == 4
    with busy(vm):
        on_screen.wait_for(r"^first +Not started +[1-9][0-9.]* ")
    vm.terminate()
    on_screen.wait_for("  0 instances ")
    assert "first" not in on_screen.text()
    on_screen.type("q")


def test_top_fits_the_terminal(instances, on_screen):
    for i in range(9):
        instances.add(f"vm{i}", os.getpid())
    on_screen.wait_for("^vm6 ")
    assert "vm7" not in on_screen.text() and "NET-OUT/s" in on_screen.text()
    on_screen("resize-window", "-x", "45", "-y", "6")
    on_screen.wait_for("^vm2 ")
    lines = on_screen.lines()
    assert lines[2].startswith("ID ") and len(lines) == 6
    assert "CPU%" in lines[2] and "NET-OUT/s" not in lines[2]
    assert max(map(len, lines)) <= 45
    on_screen("resize-window", "-x", "10", "-y", "2")
    on_screen.wait_for(r"^\d\d:\d\d:\d\d")
    on_screen("resize-window", "-x", "120", "-y", "20")
    on_screen.wait_for("^vm8 ")
    assert "NET-OUT/s" in on_screen.text()
    on_screen.type("q")


def test_top_ignores_other_keys(instances, on_screen):
    on_screen.type("xyz\n")
    on_screen("send-keys", "Up")
    instances.add("one", os.getpid())
    on_screen.type(" ")
    on_screen.wait_for("^one ")
    assert "x" not in on_screen.lines()[-1]
    on_screen.type("Q")


def foreground(terminal):
    """The process that has the terminal."""
    shell = int(terminal("display-message", "-p", "#{pane_pid}"))
    with open(f"/proc/{shell}/stat", encoding="utf-8") as f:
        return int(f.read().rpartition(")")[2].split()[5])


@pytest.mark.parametrize("how,status", [
    ("C-c", 130), ("C-\\", 131), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_top_leaves_the_terminal_as_it_was(on_screen, how, status):
    if isinstance(how, str):
        on_screen("send-keys", how)
    else:
        os.kill(foreground(on_screen), how)
    on_screen.status = status


def test_top_can_be_stopped_and_goes_on(on_screen):
    on_screen("send-keys", "C-z")
    wait_until(lambda: on_screen.modes() == "10", "the first screen")
    on_screen.wait_for("still here")
    on_screen.enter("fg")
    wait_until(lambda: on_screen.modes() == "01", "the other screen")
    on_screen.wait_for("^ID ")
    on_screen.type("q")


def test_top_can_be_left_while_a_monitor_does_not_answer(instances, on_screen):
    vm = instances.start("hung")
    with stopped(vm):
        on_screen.wait_for("^hung +No answer")
        on_screen.type("q")
        wait_until(lambda: on_screen.modes() == "10", "the end")


def test_top_without_keys(instances, terminal):
    instances.add("one", os.getpid())
    before = terminal.settings()
    terminal.enter(" ".join(instances.argv("top", "-d", "0.3", "-n", "3")) + " < /dev/null")
    wait_until(lambda: terminal.modes() == "01", "the other screen")
    terminal.wait_for("^one ")
    wait_until(lambda: terminal.modes() == "10", "the first screen")
    assert terminal.settings() == before


@pytest.mark.parametrize("term", ["dumb", ""])
def test_top_on_a_terminal_that_cannot_do_it(instances, terminal, term):
    instances.add("one", os.getpid())
    terminal.enter(f"TERM={term} " + " ".join(instances.argv("top", "-d", "0.2")) + "; echo status $?")
    terminal.wait_for("^status 0$")
    assert terminal.modes() == "10" and re.search("^one ", terminal.text(), re.M)


# ---- logs ----

def test_logs_of_an_instance(instances, tmp, kernel):
    vm = instances.start("one", "--run-log")
    vm.start(kernel)
    path = os.path.join(instances.dir, "one", "log")
    with open(path, encoding="utf-8") as f:
        log = f.read()
    assert len(log.splitlines()) > 1
    assert instances.run("logs", "one") == log
    assert instances.run("logs") == log, "there is only one"
    assert instances.run("logs", "-n", "1") == log.splitlines()[-1] + "\n"
    assert instances.run("logs", "--lines", "0") == ""
    assert [json.loads(line) for line in instances.run("logs", "--json").splitlines()] == \
        [{"line": line} for line in log.splitlines()]


def test_logs_of_a_file_elsewhere(instances, tmp):
    path = os.path.join(tmp, "elsewhere")
    vm = instances.start("one", "--log-path", path)
    vm.get("/")
    with open(path, encoding="utf-8") as f:
        assert instances.run("logs", "one") == f.read() != ""


def test_logs_follow_until_the_end(instances, kernel):
    vm = instances.start("one", "--run-log")
    with subprocess.Popen(instances.argv("logs", "-f", "one"), stdout=subprocess.PIPE,
                          text=True) as p:
        first = p.stdout.readline()
        assert first
        vm.start(kernel)
        assert vm.terminate() == 143
        rest = p.stdout.read()
        assert p.wait(TIMEOUT) == 0
    # The file is gone with the instance; what it logged last was seen.
    assert "exit status 143" in rest, rest


def test_logs_of_the_dead(instances):
    path = instances.add("dead", 1, alive=False)
    with open(os.path.join(path, "log"), "w", encoding="utf-8") as f:
        f.write("its last words\nand h")
    assert instances.run("logs", "dead") == "its last words\nand h\n"
    assert instances.run("logs", "-f", "dead") == "its last words\nand h\n"


def test_logs_do_not_harm_the_terminal(instances):
    path = instances.add("evil", os.getpid())
    with open(os.path.join(path, "log"), "wb") as f:
        f.write(b"\x1b[2J \xc2\x9b \xc3\xa4 \xff\n")
    assert instances.run("logs") == "?[2J ?? \u00e4 ?\n"


def refusal(instances, *args):
    done = subprocess.run(instances.argv(*args), capture_output=True, text=True, check=False,
                          timeout=TIMEOUT)
    assert done.returncode == 1 and done.stdout == "", done
    return done.stderr


def test_logs_that_cannot_be_shown(instances, tmp):
    instances.start("plain")
    assert "--run-log or --log-path" in refusal(instances, "logs", "plain")
    assert "no instance 'other'" in refusal(instances, "logs", "other")
    fifo = os.path.join(tmp, "fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        instances.start("fifo", "--log-path", fifo)
        assert "not a regular file" in refusal(instances, "logs", "fifo")
        assert json.loads(refusal(instances, "logs", "fifo", "--json"))["error"]
    finally:
        os.close(reader)


# ---- metrics ----

LINES = [{"utc_timestamp_ms": 1, "vmm": {"a": 0}},
         {"utc_timestamp_ms": 2, "vmm": {"a": 7, "b": 0}, "net": {"x": {"sum_us": 3}}, "flag": "t"}]


@pytest.fixture
def measured(instances):
    """The metrics file of an instance that does not write it itself."""
    path = os.path.join(instances.add("one", os.getpid()), "metrics")
    with open(path, "w", encoding="utf-8") as f:
        for line in LINES:
            f.write(json.dumps(line) + "\n")
        f.write('{"utc_timestamp_ms": 3, "half')
    return path


def test_metrics_shows_the_last_whole_line(instances, measured):
    assert json.loads(instances.run("metrics", "--json")) == LINES[1]
    shown = [line.split() for line in instances.run("metrics", "one").splitlines()]
    assert shown == [["utc_timestamp_ms", "2"], ["vmm.a", "7"], ["net.x", '{"sum_us":3}'],
                     ["flag", '"t"']]
    assert ["vmm.b", "0"] in [line.split() for line in
                              instances.run("metrics", "--all").splitlines()]


def test_metrics_of_a_monitor(instances, tmp, kernel):
    vm = instances.start("one", "--metrics-path", os.path.join(tmp, "metrics"))
    assert "nothing has been written yet" in refusal(instances, "metrics")
    assert "one: " in refusal(instances, "metrics", "--flush"), "it has not been started"
    vm.start(kernel)
    wait_until(lambda: os.path.getsize(os.path.join(tmp, "metrics")), "the first line")
    first = json.loads(instances.run("metrics", "--json"))
    second = json.loads(instances.run("metrics", "--json", "--flush"))
    assert second["utc_timestamp_ms"] > first["utc_timestamp_ms"]
    shown = instances.run("metrics", "--all")
    assert re.search(rf"^utc_timestamp_ms +{second['utc_timestamp_ms']}$", shown, re.M)
    assert len(shown.splitlines()) > len(instances.run("metrics").splitlines())


def test_metrics_follow(instances, measured):
    with subprocess.Popen(instances.argv("metrics", "-f", "--json"), stdout=subprocess.PIPE) as p:
        assert json.loads(p.stdout.readline()) == LINES[1]
        with open(measured, "a", encoding="utf-8") as f:
            f.write('": 5}\n')
        assert json.loads(p.stdout.readline()) == {"utc_timestamp_ms": 3, "half": 5}
        instances.locks[0].close()
        assert p.stdout.read() == b"" and p.wait(TIMEOUT) == 0


def test_metrics_that_cannot_be_shown(instances, measured):
    with open(measured, "w", encoding="utf-8"):
        pass
    assert "nothing has been written yet" in refusal(instances, "metrics")
    for text in ("no JSON\n", "[1]\n"):
        with open(measured, "w", encoding="utf-8") as f:
            f.write(text)
        assert "no JSON" in refusal(instances, "metrics")
    assert "has no API" in refusal(instances, "metrics", "--flush")
    os.unlink(measured)
    assert "--metrics-path FILE" in refusal(instances, "metrics")
