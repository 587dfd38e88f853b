# SPDX-License-Identifier: Apache-2.0
"""The guest's serial port: where its output goes and where its input comes from."""
import os
import socket
import stat
import subprocess
import time

import pytest

from harness import RUNNING, SLACK_KIB, TIMEOUT, wait_until

TEXT = "".join(f"line {i} of the guest\\n" for i in range(150))
BYTES = TEXT.replace("\\n", "\n").encode()


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


def test_output_to_standard_output(xenolith, kernel):
    vm = xenolith(guest=f'print "{TEXT}"\nend reboot\n')
    vm.start(kernel)
    assert vm.wait() == 0
    assert vm.stdout() == BYTES


def test_every_byte_goes_through(xenolith, kernel):
    text = "".join(f"\\x{i:02x}" for i in range(256))
    vm = xenolith(guest=f'print "{text}"\nend reboot\n')
    vm.start(kernel)
    assert vm.wait() == 0
    assert vm.stdout() == bytes(range(256))


def test_string_output(xenolith, kernel):
    """REP OUTSB: one access for many bytes, upwards and downwards."""
    vm = xenolith(guest='outs 0x3f8 "hello "\nouts_back 0x3f8 "dlrow"\nend reboot\n')
    vm.start(kernel)
    assert vm.wait() == 0
    assert vm.stdout() == b"hello world"
    assert [io["count"] for io in vm.dump()["log"]] == [6, 5]


@pytest.mark.parametrize("spec", ["none", "stdio"])
def test_without_a_place_output_is_lost(xenolith, kernel, spec):
    vm = xenolith("--serial", spec, guest='print "hello"\nend reboot\n')
    vm.start(kernel)
    assert vm.wait() == 0
    assert vm.stdout() == (b"hello" if spec == "stdio" else b"")


def test_output_to_a_file_is_appended(xenolith, kernel, tmp):
    path = os.path.join(tmp, "serial")
    for i in range(2):
        vm = xenolith("--serial", f"file:{path}", guest=f'print "run {i}\\n"\nend reboot\n')
        vm.start(kernel)
        assert vm.wait() == 0
        assert vm.stdout() == b""
    assert read_file(path) == b"run 0\nrun 1\n"


@pytest.mark.parametrize("spec", ["file:/nonexistent/x", "file:/", "unix:/nonexistent/x",
                                  "unix:" + "/x" * 100])
def test_a_place_that_cannot_be(xenolith, spec):
    vm = xenolith("--serial", spec, wait=False)
    assert vm.wait() == 1
    assert ":ERROR] xenolith " in vm.log() and spec[5:] in vm.log()


def test_a_full_disk_ends_nothing(xenolith, kernel):
    vm = xenolith("--serial", "file:/dev/full", guest='print "x"\nloop\n')
    vm.start(kernel)
    time.sleep(0.1)
    assert vm.state() == RUNNING


def test_input_from_standard_input(xenolith, kernel):
    vm = xenolith(stdin=subprocess.PIPE, guest='print "name? "\ninput "xen\\n"\nprint "hi"\n'
                                               "end reboot\n")
    vm.start(kernel)
    wait_until(lambda: vm.stdout() == b"name? ", "the prompt")
    vm.process.stdin.write(b"xen\n")
    vm.process.stdin.flush()
    assert vm.wait() == 0
    assert vm.stdout() == b"name? hi"


def test_much_input(xenolith, kernel):
    data = bytes(33 + i % 90 for i in range(3000)).replace(b'"', b"'").replace(b"\\", b"/")
    vm = xenolith(stdin=subprocess.PIPE, guest=f'input "{data.decode()}"\nend reboot\n')
    vm.start(kernel)
    vm.process.stdin.write(data)
    vm.process.stdin.close()
    assert vm.wait() == 0


def test_input_that_nobody_takes_needs_no_memory(xenolith, kernel):
    """What Firecracker's CVE-2020-27174 was about."""
    vm = xenolith(stdin=subprocess.PIPE, guest="idle")
    vm.start(kernel)
    before = vm.status_kib("VmRSS")
    os.set_blocking(vm.process.stdin.fileno(), False)
    written, end = 0, time.monotonic() + 0.5
    while time.monotonic() < end and written < 100 << 20:
        try:
            written += os.write(vm.process.stdin.fileno(), b"x" * 65536)
        except BlockingIOError:
            time.sleep(0.01)
    assert vm.state() == RUNNING
    assert vm.status_kib("VmRSS") - before < SLACK_KIB
    assert written < 1 << 20
    vm.process.stdin.close()


def test_end_of_input_is_no_end(xenolith, kernel):
    vm = xenolith(stdin=subprocess.PIPE, guest='print "up"\nsleep 100\nprint "!"\nend reboot\n')
    vm.process.stdin.close()
    vm.start(kernel)
    assert vm.wait() == 0
    assert vm.stdout() == b"up!"


def test_a_reader_that_does_not_read_holds_nobody_up(xenolith, kernel):
    """Output is dropped; the guest, the API and the end go on."""
    vm = xenolith(stdout=subprocess.PIPE, guest='print "x"\nloop\n')
    vm.start(kernel)
    before = vm.status_kib("VmRSS")
    time.sleep(0.5)
    start = time.monotonic()
    assert vm.state() == RUNNING
    assert vm.status_kib("VmRSS") - before < SLACK_KIB
    assert vm.terminate() == 143
    assert time.monotonic() - start < 2
    vm.process.stdout.close()


def test_a_reader_that_goes_away(xenolith, kernel):
    """EPIPE, and no SIGPIPE."""
    vm = xenolith(stdout=subprocess.PIPE, guest='print "x"\nsleep 1\nloop\n')
    vm.start(kernel)
    assert os.read(vm.process.stdout.fileno(), 1) == b"x"
    vm.process.stdout.close()
    time.sleep(0.1)
    assert vm.state() == RUNNING


# ---- a socket ----

def client(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(TIMEOUT)
    s.connect(path)
    return s


def receive(s, size):
    data = b""
    while len(data) < size:
        more = s.recv(size - len(data))
        assert more, data
        data += more
    return data


@pytest.fixture
def console(xenolith, tmp):
    """A monitor whose serial port is a socket; it is gone when the monitor is."""
    path = os.path.join(tmp, "console")

    def start(guest):
        vm = xenolith("--serial", f"unix:{path}", guest=guest)
        vm.console = path
        assert stat.S_ISSOCK(os.stat(path).st_mode)
        return vm

    yield start


def test_output_and_input_over_a_socket(console, kernel):
    vm = console('print "login: "\ninput "root\\n"\nprint "welcome"\nsleep 50\nend reboot\n')
    with client(vm.console) as s:
        vm.start(kernel)
        assert receive(s, 7) == b"login: "
        s.sendall(b"root\n")
        assert receive(s, 7) == b"welcome"
        assert vm.wait() == 0
    assert not os.path.exists(vm.console)
    assert vm.stdout() == b""


def test_output_before_a_client_comes_is_kept(console, kernel):
    vm = console('print "boot messages"\nidle\n')
    vm.start(kernel)
    time.sleep(0.1)
    with client(vm.console) as s:
        assert receive(s, 13) == b"boot messages"


def test_clients_come_and_go(console, kernel):
    vm = console('input "a"\nprint "1"\ninput "b"\nprint "2"\ninput "c"\nprint "3"\nidle\n')
    vm.start(kernel)
    before = vm.fds()
    for send, expected in ((b"a", b"1"), (b"b", b"2"), (b"c", b"3")):
        with client(vm.console) as s:
            s.sendall(send)
            assert receive(s, 1) == expected
    # The last one counts until there is output for it: it may still be reading.
    wait_until(lambda: vm.fds() <= before + 1, "descriptors are closed")
    assert vm.state() == RUNNING


def test_a_console_client_that_does_not_read(console, kernel):
    vm = console('print "x"\nloop\n')
    with client(vm.console):
        vm.start(kernel)
        time.sleep(0.3)
        assert vm.state() == RUNNING
        assert vm.terminate() == 143
    assert not os.path.exists(vm.console)


def test_console_socket_that_is_taken(xenolith, tmp):
    path = os.path.join(tmp, "console")
    first = xenolith("--serial", f"unix:{path}")
    second = xenolith("--serial", f"unix:{path}", wait=False)
    assert second.wait() == 1
    assert path in second.log()
    with client(path):
        pass
    assert first.get("/").status == 200


def test_an_interrupt_is_raised_when_it_is_wanted(xenolith, kernel):
    """Bit 1 of IER: transmitter empty. GSI 4, an edge for each time."""
    vm = xenolith(guest="out8 0x3f9 0x02\nout8 0x3fc 0x08\nwait 4 1\nprint \"irq\"\nend reboot\n")
    vm.start(kernel)
    assert vm.wait() == 0
    assert vm.stdout() == b"irq"
    assert vm.dump()["pulses"]["4"] >= 1


def test_no_interrupt_is_raised_when_it_is_not(xenolith, kernel):
    vm = xenolith(guest=f'print "{TEXT}"\nend reboot\n')
    vm.start(kernel)
    assert vm.wait() == 0
    assert vm.dump()["pulses"] == {}
