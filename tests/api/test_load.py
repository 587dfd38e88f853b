# SPDX-License-Identifier: Apache-2.0
"""Many requests and many clients: every answer is checked, and nothing grows."""
import json
import os
import re
import selectors
import threading

from harness import SLACK_KIB, Http

REQUESTS = 100_000
CLIENTS = 10  # as many as are served at once
BLOCK = 100  # requests that a client sends ahead

MACHINE = {"vcpu_count": 2, "mem_size_mib": 64}
MIX = [
    ("GET", "/", None), ("GET", "/version", None), ("PUT", "/machine-config", MACHINE),
    ("GET", "/machine-config", None), ("PATCH", "/machine-config", {"vcpu_count": 2}),
    ("GET", "/vm/config", None), ("GET", "/nowhere", None), ("PUT", "/vsock", {}),
    ("PUT", "/machine-config", {"vcpu_count": "2"}), ("PUT", "/actions", "no JSON"),
]


class Client:
    """Sends blocks of the same requests, and compares every byte that comes back."""

    def __init__(self, path, blocks, asked, told):
        self.http = Http(path)
        self.http.sock.setblocking(False)
        self.blocks, self.asked, self.told = blocks, asked, told
        self.sent = self.got = 0  # bytes of the block

    def ready(self, events):
        """Goes on; False when all was sent and answered."""
        if events & selectors.EVENT_READ:
            data = self.http.sock.recv(1 << 16)
            assert data, "the connection was closed"
            assert data == self.told[self.got:self.got + len(data)]
            self.got += len(data)
        if events & selectors.EVENT_WRITE and self.sent < len(self.asked):
            self.sent += self.http.sock.send(self.asked[self.sent:])
        if self.got == len(self.told):
            assert self.sent == len(self.asked)
            self.sent = self.got = 0
            self.blocks -= 1
        return self.blocks > 0

    def wants(self):
        more = self.sent < len(self.asked)
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if more else 0)


def run_clients(clients):
    with selectors.DefaultSelector() as selector:
        for c in clients:
            selector.register(c.http.sock, c.wants(), c)
        while selector.get_map():
            ready = selector.select(20)
            assert ready, "no client was answered for 20 s"
            for key, events in ready:
                if key.data.ready(events):
                    selector.modify(key.fileobj, key.data.wants(), key.data)
                else:
                    selector.unregister(key.fileobj)
                    key.data.http.close()


def test_a_hundred_thousand_requests_of_ten_clients(xenolith):
    """Right answers, in order, from the first to the last, and no byte kept of any."""
    # AddressSanitizer keeps what is freed, up to 256 MiB.
    options = os.environ.get("ASAN_OPTIONS", "detect_leaks=1")
    vm = xenolith(env={"ASAN_OPTIONS": f"{options}:quarantine_size_mb=16"})
    with Http(vm.sock_path) as http:
        assert http.request(*MIX[2]).status == 204
        replies = [http.request(*request) for request in MIX]
    assert [r.status for r in replies] == [200, 200, 204, 200, 204, 200, 400, 400, 400, 400]
    asked = b"".join(Http.format(m, p, json.dumps(b) if isinstance(b, dict) else b)
                     for m, p, b in MIX) * (BLOCK // len(MIX))
    told = b"".join(r.head + r.body for r in replies) * (BLOCK // len(MIX))

    def run(requests):
        run_clients([Client(vm.sock_path, requests // BLOCK // CLIENTS, asked, told)
                     for _ in range(CLIENTS)])

    run(REQUESTS // 10)
    before, fds = vm.status_kib("VmRSS"), vm.fds()
    run(REQUESTS)
    assert vm.status_kib("VmRSS") - before < SLACK_KIB
    assert vm.fds() == fds
    vm.finish()
    # Each answer is one operation of the ring at least: that many were really made.
    assert int(re.search(r"ring_ops=(\d+)", vm.log())[1]) > REQUESTS


def test_ten_clients_that_connect_anew_for_each_request(vm):
    """Who has hung up is no longer counted when the next one comes."""
    wrong = []

    def client():
        for _ in range(200):
            try:
                with Http(vm.sock_path) as http:
                    response = http.request("GET", "/version")
                if response.status != 200:
                    wrong.append(response)
            except (OSError, EOFError) as e:
                wrong.append(e)

    before = vm.fds()
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
    assert vm.fds() == before
