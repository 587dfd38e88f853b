#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A monitor as xenolithctl starts it, whose guest is a process of this host.

What the kernel would do with the command line of `run --command` is done with it here:
/bin/sh gets the words behind `--`, the console is its output. So that it prepares nothing
on this host, mount, stty, sync and sleep are functions that do nothing.

$MOCK says what else happens: see ACTS."""
import fcntl
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading

F_OFD_SETLK = 37
HARMLESS = "mount() { :; }; busybox() { :; }; stty() { :; }; sync() { :; }; sleep() { exit; };\n"

# Before the shell, or instead of it.
ACTS = {
    "noise": lambda con: con.sendall(b"boot noise\r\n\x1exl no mark\n\x1e"),
    "dies": lambda con: (con.sendall(b"Kernel panic - not syncing\r\n"), os._exit(4)),
    "hangs": lambda con: con.recv(1),
    "crlf": None, "dies_within": None,
}


def kernel_words(args):
    """The words behind `--` as Linux cuts them: in double quotes, without escapes."""
    rest = args.split(" -- ", 1)[1]
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', rest)]


def guest(args, con, act):
    if ACTS.get(act):
        ACTS[act](con)
    words = kernel_words(args)
    assert words[0] == "-c" and len(words) == 2, words
    with subprocess.Popen(["/bin/sh", "-c", HARMLESS + words[1]], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/") as shell:
        while data := os.read(shell.stdout.fileno(), 65536):
            if act == "crlf":
                data = data.replace(b"\n", b"\r\n")
            con.sendall(data)
            if act == "dies_within":
                os._exit(2)
    con.recv(1)     # until we are ended


def fail_with(path):
    """Says why in the log, as the monitor does, and ends."""
    log = open(path, "w", encoding="utf-8")

    def fail(con):
        log.write("2026-01-01T00:00:00.1 [vm:monitor:INFO] monitor this\n"
                  "2026-01-01T00:00:00.2 [vm:monitor:ERROR] monitor io_uring: broken\n"
                  "2026-01-01T00:00:00.3 [vm:monitor:INFO] monitor that\n")
        log.flush()
        os._exit(1)

    return fail


def listen(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    return s


def main():
    flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    directory = os.path.join(flags["--run-dir"], flags["--id"])
    os.makedirs(directory, 0o700)
    pid = os.open(os.path.join(directory, "pid"), os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(pid, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
    os.write(pid, f"{os.getpid()}\n".encode())
    # As a monitor has its log: before anybody can connect.
    if os.environ.get("MOCK") == "fails":
        ACTS["fails"] = fail_with(os.path.join(directory, "log"))
    console = listen(os.path.join(directory, "console.socket"))
    api = listen(os.path.join(directory, "api.socket"))
    args = ""
    while True:
        connection, _ = api.accept()
        with connection:
            while request := connection.recv(65536):
                body = request.partition(b"\r\n\r\n")[2]
                if b"/boot-source" in request:
                    args = json.loads(body)["boot_args"]
                if b"GET" in request:
                    connection.sendall(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}")
                    continue
                connection.sendall(b"HTTP/1.1 204 \r\n\r\n")
                if b"InstanceStart" in body:
                    con, _ = console.accept()
                    threading.Thread(target=guest, daemon=True,
                                     args=(args, con, os.environ.get("MOCK", ""))).start()


if __name__ == "__main__":
    main()
