# SPDX-License-Identifier: Apache-2.0
"""Firecracker's clients, as tests/clients.py has them; and the two ways in which most programs
talk to the API: Python's requests over a Unix socket, which is the idiom of Firecracker's own
tests, and curl."""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import urllib.parse

import pytest
import requests_unixsocket

from harness import PAUSED, RUNNING, TOP, binary

sys.path.insert(0, os.path.join(TOP, "tests"))
import clients  # pylint: disable=wrong-import-position

# As lab/guest/init.c: it says that it is up, and obeys the power button after a while.
GUEST = f'print "{clients.UP}\\n"\nwait 5 1\nsleep 20\nout8 0x604 0x34\n'


@pytest.fixture(scope="session")
def replay(tmp_path_factory):
    program = tmp_path_factory.mktemp("replay") / "replay"
    subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-o", program,
                    os.path.join(TOP, "tests/system/tools/replay.c")], check=True)
    return program


@pytest.mark.parametrize("client", clients.CLIENTS, ids=lambda c: c.__name__)
def test_client(tmp, tap, kernel, replay, client):
    paths = {name: os.path.join(tmp, name) for name in ("guest", "root", "output")}
    pathlib.Path(paths["guest"]).write_text(GUEST)
    pathlib.Path(paths["root"]).write_bytes(bytes(1 << 20))
    c = client(clients.World(dir=tmp, id="client-1", kernel=kernel, root=paths["root"],
                             tap=tap(), program=binary()))
    if c.setup:
        subprocess.run(["sh", "-c", c.setup], check=True)
    for path, text in c.files.items():
        pathlib.Path(path).write_text(text)
    with open(paths["output"], "wb") as output:
        done = subprocess.run([replay, os.path.join(tmp, "api.sock")], input=c.text(), text=True,
                              stdout=subprocess.PIPE, stderr=output, timeout=90,
                              env={**os.environ, "XENOLITH_FAKE_GUEST": paths["guest"],
                                   "XENOLITH_RUN_DIR": os.path.join(tmp, "run")})

    def read(path):
        return pathlib.Path(path).read_text(errors="replace")

    answers = c.check(done.stdout, read(paths["output"]))
    assert done.returncode == 0
    clients.check_more(c, answers, read)


@pytest.fixture
def api(vm):
    """call(method, path, body) by requests, in one session."""
    session = requests_unixsocket.Session()
    url = "http+unix://" + urllib.parse.quote_plus(vm.sock_path)

    def call(method, path, body=None):
        return session.request(method, url + path, json=body, timeout=5)

    yield call
    session.close()


def test_requests_launches_pauses_and_reads_faults(api, vm, kernel):
    assert api("GET", "/").json()["state"] == "Not started"
    assert api("PUT", "/machine-config", {"vcpu_count": 2, "mem_size_mib": 64}).status_code == 204
    assert api("GET", "/machine-config").json()["vcpu_count"] == 2
    response = api("PUT", "/boot-source", {"kernel_image_path": "/nowhere"})
    assert response.status_code == 400
    assert "kernel file cannot be opened" in response.json()["fault_message"]
    assert api("PUT", "/boot-source", {"kernel_image_path": kernel}).status_code == 204
    response = api("PUT", "/actions", {"action_type": "InstanceStart"})
    assert response.status_code == 204 and response.text == ""
    assert api("PATCH", "/vm", {"state": "Paused"}).status_code == 204
    assert api("GET", "/").json()["state"] == PAUSED
    assert api("PATCH", "/vm", {"state": "Resumed"}).status_code == 204
    assert api("PUT", "/actions", {"action_type": "SendCtrlAltDel"}).status_code == 204


def test_requests_a_hundred_times_over_one_connection(api, vm):
    before = vm.fds()
    for i in range(100):
        assert api("PUT", "/machine-config",
                   {"vcpu_count": 1 + i % 32, "mem_size_mib": 64}).status_code == 204
        assert api("GET", "/machine-config").json()["vcpu_count"] == 1 + i % 32
    assert vm.fds() == before + 1


def test_requests_from_ten_threads(vm):
    """Each has a connection, as many as there may be."""
    url = "http+unix://" + urllib.parse.quote_plus(vm.sock_path)

    def ask(_):
        with requests_unixsocket.Session() as session:
            return [session.get(url + "/version", timeout=20).status_code for _ in range(20)]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        assert list(pool.map(ask, range(10))) == [[200] * 20] * 10


def curl(vm, path, *args):
    """(status, body)"""
    done = subprocess.run(["curl", "--silent", "--show-error", "--max-time", "10",
                           "--unix-socket", vm.sock_path, "--write-out", "\n%{http_code}",
                           *args, f"http://localhost{path}"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body) if body else None


def curl_put(vm, path, body, *args):
    return curl(vm, path, "-X", "PUT", "-H", "Content-Type: application/json",
                "-d", json.dumps(body), *args)


def test_curl_launches_and_reads_faults(vm, kernel):
    assert curl(vm, "/")[1]["state"] == "Not started"
    assert curl_put(vm, "/boot-source", {"kernel_image_path": kernel}) == (204, None)
    assert curl_put(vm, "/vsock", {"guest_cid": 3})[0] == 400
    assert curl_put(vm, "/actions", {"action_type": "InstanceStart"}) == (204, None)
    assert curl(vm, "/")[1]["state"] == RUNNING
    status, fault = curl_put(vm, "/actions", {"action_type": "InstanceStart"})
    assert status == 400 and list(fault) == ["fault_message"]


@pytest.mark.parametrize("args", [["-H", "Expect: 100-continue"], ["--http1.0"],
                                  ["-H", "Expect:"]], ids=" ".join)
def test_curl_with_a_body_that_is_announced(vm, kernel, args):
    body = {"kernel_image_path": kernel, "boot_args": "x" * 2000}
    assert curl_put(vm, "/boot-source", body, *args) == (204, None)
    assert vm.get("/vm/config").json["boot-source"]["boot_args"] == "x" * 2000
