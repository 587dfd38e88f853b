# SPDX-License-Identifier: Apache-2.0
"""The two ways in which most programs talk to the API: Python's requests over a Unix socket,
which is the idiom of Firecracker's own tests, and curl."""
import concurrent.futures
import json
import subprocess
import urllib.parse

import pytest
import requests_unixsocket

from harness import PAUSED, RUNNING


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
    assert response.status_code == 400 and "/nowhere" in response.json()["fault_message"]
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
