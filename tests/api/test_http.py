# SPDX-License-Identifier: Apache-2.0
"""HTTP as Firecracker speaks it: bytes, limits, and clients that misbehave."""
import array
import json
import os
import socket
import time

import pytest

from harness import NOT_STARTED, SLACK_KIB, Http, wait_until

GOOD_204 = b"HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n"
TOO_MANY = (b"HTTP/1.1 503\r\nServer: Firecracker API\r\nConnection: close\r\n"
            b"Content-Length: 40\r\n\r\n{ \"error\": \"Too many open connections\" }")
DROPPED = "\nAll previous unanswered requests will be dropped."
MACHINE = '{"vcpu_count": 1, "mem_size_mib": 64}'


@pytest.fixture
def http(vm):
    with Http(vm.sock_path) as connection:
        yield connection


def works(http):
    """The connection is still there, and its next request is understood."""
    return http.request("GET", "/version").status == 200


def parse_error(response):
    """The message of a request that could not be parsed; it is JSON in ours."""
    assert response.status == 400
    assert list(response.json) == ["error"]
    assert response.json["error"].endswith(DROPPED)
    return response.json["error"][:-len(DROPPED)]


def test_reply_without_a_body_is_byte_exact(http):
    http.send(Http.format("PUT", "/machine-config", MACHINE))
    response = http.response()
    assert response.head == GOOD_204
    assert response.body == b""


def test_reply_with_a_body_is_byte_exact(http):
    http.send(b"GET /version HTTP/1.1\r\n\r\n")
    response = http.response()
    assert response.head == (
        b"HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(response.body))
    assert list(response.json) == ["firecracker_version"]


def test_fault_is_compact_json(http):
    response = http.request("GET", "/foo")
    assert response.head.startswith(b"HTTP/1.1 400 \r\nServer: Firecracker API\r\n")
    assert response.body == json.dumps(response.json, separators=(",", ":")).encode()
    assert response.fault == "Invalid request method and/or path: GET foo."


@pytest.mark.parametrize("line", [
    "GET /version HTTP/1.0", "GET /version/ HTTP/1.1", "GET //version HTTP/1.1",
    "GET /version/zzz HTTP/1.1", "GET http://localhost/version HTTP/1.1"])
def test_request_lines_that_are_good(http, line):
    http.send(line.encode() + b"\r\n\r\n")
    response = http.response()
    assert response.status_line == "HTTP/1.1 200 "
    assert "firecracker_version" in response.json


@pytest.mark.parametrize("line,message", [
    ("POST / HTTP/1.1", "Invalid HTTP Method: Unsupported HTTP method."),
    ("get / HTTP/1.1", "Invalid HTTP Method: Unsupported HTTP method."),
    ("HEAD / HTTP/1.1", "Invalid HTTP Method: Unsupported HTTP method."),
    ("GET / HTTP/2.0", "Invalid HTTP Version: Unsupported HTTP version."),
    ("GET / HTTP/0.9", "Invalid HTTP Version: Unsupported HTTP version."),
    ("GET / http/1.1", None), ("GET /", None), ("GET", None), ("\0\1\2 / HTTP/1.1", None),
    ("GET /%s HTTP/1.1" % ("x" * 2000), None)])
def test_request_lines_that_are_bad(vm, http, line, message):
    http.send(line.encode() + b"\r\n\r\n")
    error = parse_error(http.response())
    assert message is None or error == message
    assert works(http)


def test_a_refused_head_need_not_be_finished(http):
    """Clients that write a line and wait: the next request is understood."""
    for line, message in (("POST / HTTP/1.1", "Invalid HTTP Method: Unsupported HTTP method."),
                          ("GET / HTTP/2.0", "Invalid HTTP Version: Unsupported HTTP version.")):
        http.send(line.encode() + b"\r\n")
        assert parse_error(http.response()) == message
        assert works(http)
    http.send(b"GET / HTTP/1.1\r\nno colon\r\n")
    assert "incorrectly formatted" in parse_error(http.response())
    assert works(http)


@pytest.mark.parametrize("query", ["/version?x=1", "/?a", "/machine-config?"])
def test_query_strings_are_part_of_the_path(http, query):
    assert http.request("GET", query).fault.startswith("Invalid request method and/or path")


@pytest.mark.parametrize("header", [
    "X-Unknown: 1", "Content-Type: text/plain", "Accept: application/xml", "accept: */*",
    "CONTENT-LENGTH: 0", "Content-Length:0", "Accept-Encoding: gzip", "X:",
    "Connection: close", "Transfer-Encoding: identity"])
def test_headers_that_do_not_matter(http, header):
    http.send(f"GET /version HTTP/1.1\r\n{header}\r\n\r\n".encode())
    assert http.response().status == 200
    assert works(http)


@pytest.mark.parametrize("header", [
    "Content-Length: -1", "Content-Length: x", "Content-Length: 4294967296",
    "Content-Length: 1 2", "Content-Length: 0x10", "Content-Length: +1",
    "Content-Length:", "no colon", "Accept-Encoding: identity;q=0",
    "Accept-Encoding: *;q=0", "X: \xff\xfe", "X: %s" % ("y" * 2000)])
def test_headers_that_are_bad(http, header):
    http.send(f"GET /version HTTP/1.1\r\n{header}\r\n\r\n".encode("latin-1"))
    parse_error(http.response())
    assert works(http)


def test_lengths_that_differ_are_refused(http):
    http.send(b"PUT /machine-config HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n")
    parse_error(http.response())


def test_two_requests_in_one_piece_have_two_answers_in_order(http):
    http.send(Http.format("GET", "/version") + Http.format("GET", "/machine-config") +
              Http.format("PUT", "/machine-config", MACHINE) + Http.format("GET", "/"))
    assert "firecracker_version" in http.response().json
    assert http.response().json["mem_size_mib"] == 128
    assert http.response().status == 204
    assert http.response().json["state"] == NOT_STARTED


def test_many_requests_on_one_connection(vm, http):
    assert works(http)
    fds = vm.fds()
    for _ in range(300):
        assert works(http)
    assert vm.fds() == fds


def test_a_request_in_single_bytes(http):
    for byte in Http.format("PUT", "/machine-config", MACHINE):
        http.send(bytes([byte]))
    assert http.response().status == 204


def test_half_a_request_holds_nobody_up(vm, http):
    whole = Http.format("PUT", "/machine-config", MACHINE)
    for cut in (1, 10, len(whole) - len(MACHINE), len(whole) - 1):
        with Http(vm.sock_path) as half:
            half.send(whole[:cut])
            assert works(http)
            assert http.request("GET", "/machine-config").json["mem_size_mib"] == 128
    # Hung up half way: nothing was carried out.
    assert http.request("GET", "/machine-config").json["mem_size_mib"] == 128
    with Http(vm.sock_path) as half:
        half.send(whole[:-1])
        time.sleep(0.1)
        half.send(whole[-1:])
        assert half.response().status == 204


def test_a_body_up_to_the_limit_is_read(http):
    body = MACHINE + " " * (51200 - len(MACHINE))
    assert http.request("PUT", "/machine-config", body).status == 204


@pytest.mark.parametrize("length", [51201, 1 << 20])
def test_a_body_beyond_the_limit_is_refused_and_skipped(http, length):
    body = MACHINE + " " * (length - len(MACHINE))
    response = http.request("PUT", "/machine-config", body)
    assert parse_error(response) == (f"Request payload with size {length} is larger than "
                                     "the limit of 51200 allowed by server.")
    assert http.request("GET", "/machine-config").json["mem_size_mib"] == 128
    assert works(http)


def test_a_huge_length_takes_no_memory(vm, http):
    before = vm.status_kib("VmRSS")
    http.send(b"PUT /machine-config HTTP/1.1\r\nContent-Length: 4294967295\r\n\r\n")
    assert "4294967295" in parse_error(http.response())
    for _ in range(100):
        http.send(b"x" * 65536)
    assert vm.state() == NOT_STARTED
    assert vm.status_kib("VmRSS") - before < SLACK_KIB


def test_the_limit_can_be_set(xenolith):
    vm = xenolith("--http-api-max-payload-size", "40")
    assert vm.put("/machine-config", MACHINE).status == 204
    assert "limit of 40" in parse_error(vm.put("/machine-config", MACHINE + " " * 10))


def test_expect_continue_is_answered_before_the_body(http):
    http.send(b"PUT /machine-config HTTP/1.1\r\nExpect: 100-continue\r\n"
              b"Content-Length: %d\r\n\r\n" % len(MACHINE))
    assert http.response().head == (b"HTTP/1.1 100 \r\nServer: Firecracker API\r\n"
                                    b"Connection: keep-alive\r\n\r\n")
    http.send(MACHINE.encode())
    assert http.response().head == GOOD_204


@pytest.mark.parametrize("method,message", [
    ("PUT", "Empty PUT request."), ("PATCH", "Empty PATCH request.")])
def test_a_body_that_is_missing(http, method, message):
    assert http.request(method, "/machine-config").fault == message
    # Chunked bodies do not exist.
    http.send(f"{method} /machine-config HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    assert http.response().fault == message


def test_a_chunked_body_is_none(vm):
    """In one piece or in several: first that there is no body, then that chunks are no HTTP."""
    head = b"PUT /machine-config HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(MACHINE), MACHINE.encode())
    for pieces in ((head + chunks,), (head, chunks)):
        with Http(vm.sock_path) as http:
            for piece in pieces:
                http.send(piece)
                time.sleep(0.02)
            assert http.response().fault == "Empty PUT request."
            assert parse_error(http.response()) == "Invalid request."
            assert works(http)
    assert vm.get("/machine-config").json["mem_size_mib"] == 128


def test_eleven_connections(vm):
    clients = [Http(vm.sock_path) for _ in range(10)]
    assert all(works(c) for c in clients)
    for _ in range(3):
        with Http(vm.sock_path) as eleventh:
            response = eleventh.response()
            assert response.head + response.body == TOO_MANY
            assert eleventh.closed()
    assert all(works(c) for c in clients)
    clients.pop().close()

    def served():
        with Http(vm.sock_path) as c:
            c.send(Http.format("GET", "/"))
            return c.response().status == 200

    wait_until(served, "a connection after one was closed")
    for c in clients:
        c.close()


def test_connections_leak_no_descriptors(vm):
    assert vm.state() == NOT_STARTED
    before = vm.fds()
    for i in range(200):
        with Http(vm.sock_path) as c:
            if i % 2:
                c.send(b"GET / HTTP/1.1\r\n")
    wait_until(lambda: vm.fds() <= before, "descriptors are closed")


def test_a_client_that_does_not_read_holds_nobody_up(vm):
    with Http(vm.sock_path) as deaf:
        deaf.sock.setblocking(False)
        try:
            while True:
                deaf.sock.send(Http.format("GET", "/vm/config") * 50)
        except BlockingIOError:
            pass
        before = vm.status_kib("VmRSS")
        assert vm.state() == NOT_STARTED
        assert vm.put("/machine-config", MACHINE).status == 204
        assert vm.status_kib("VmRSS") - before < SLACK_KIB
    assert vm.state() == NOT_STARTED


def test_descriptors_that_come_along_are_closed(vm, http):
    assert works(http)
    before = vm.fds()
    fds = array.array("i", [0] * 10)
    for _ in range(20):
        http.sock.sendmsg([Http.format("GET", "/version")],
                          [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        assert http.response().status == 200
    assert vm.fds() == before


def test_garbage(vm):
    for seed in range(30):
        with Http(vm.sock_path) as c:
            c.send(bytes((i * seed * 7919 >> 3) & 0xff for i in range(3000)))
    with Http(vm.sock_path) as c:
        c.send(os.urandom(5000))
    assert vm.state() == NOT_STARTED
