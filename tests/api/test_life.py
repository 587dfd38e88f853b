# SPDX-License-Identifier: Apache-2.0
"""How it ends: what the guest does, what the host does, and what the program says; and
what happens to a guest in between."""
import re
import signal
import time

import pytest

from harness import NOT_STARTED, PAUSED, RUNNING, TIMEOUT, wait_until

# name: (the guest's last step, exit status)
ENDS = {
    "reboot": ("end reboot", 0),
    "reset by port": ("out8 0x606 1", 0),
    "power off by port": ("out8 0x604 0x34", 2),  # SLP_EN | 5 << 2
    "halt": ("end poweroff", 3),
    "crash": ("end crash", 4),
    "triple fault": ("end triple", 5),
    "other": ("end other", 6),
    "lost": ("lost", 7),
}


@pytest.mark.parametrize("name", ENDS)
def test_exit_status(xenolith, kernel, name):
    step, status = ENDS[name]
    vm = xenolith(guest=f'print "going down\\n"\n{step}\n')
    vm.start(kernel)
    assert vm.wait() == status
    assert vm.stdout() == b"going down\n"
    assert len(re.findall(r"INFO\] vm end: .*, exit status %d$" % status, vm.log(), re.M)) == 1


@pytest.mark.parametrize("name", ["reboot", "power off by port", "crash"])
def test_exit_status_at_once(xenolith, kernel, name):
    """The client gets its answer, even if the guest ends with its first step."""
    step, status = ENDS[name]
    vm = xenolith(guest=step)
    vm.start(kernel)
    assert vm.wait() == status


@pytest.mark.parametrize("steps,status", [
    ("out8 0x604 0x34\nend crash", 2), ("out8 0x606 1\nout8 0x604 0x34\nlost", 0)])
def test_the_first_end_counts(xenolith, kernel, steps, status):
    vm = xenolith(guest=steps)
    vm.start(kernel)
    assert vm.wait() == status
    assert vm.log().count(" vm end: ") == 1


def test_writes_that_are_no_end(xenolith, kernel):
    vm = xenolith(guest="""
        out8 0x604 0x14     # no SLP_EN
        out8 0x604 0x20     # SLP_EN, type 0
        out8 0x606 0
        out8 0x606 2
        in8 0x605 0
        print "still here"
        """)
    vm.start(kernel)
    wait_until(lambda: vm.stdout() == b"still here", "output")
    assert vm.state() == RUNNING


def test_accesses_that_nobody_expects(xenolith, kernel):
    """All ones from what is not there; odd sizes do no harm."""
    vm = xenolith(guest="""
        in8 0x80 0xff
        in16 0x3f0 0xffff
        in32 0xcf8 0xffffffff
        out32 0xcf8 0x80000000
        out16 0x3f8 0x4141
        out32 0x604 0xffffff00
        in32 0x3f8
        read32 0xd0000000 0xffffffff
        read64 0xfed00000 0xffffffffffffffff
        write64 0xd0000000 1
        in8 0x42 0
        in8 0x61 0
        print "done"
        """)
    vm.start(kernel)
    wait_until(lambda: b"done" in vm.stdout(), "output")
    assert vm.state() == RUNNING


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
                                    signal.SIGQUIT])
@pytest.mark.parametrize("state", [NOT_STARTED, RUNNING, PAUSED])
def test_signals(xenolith, kernel, state, number):
    vm = xenolith(guest='print "x"\nloop\n')
    vm.go_to(state, kernel)
    start = time.monotonic()
    assert vm.terminate(number) == 128 + number
    assert time.monotonic() - start < 2
    assert f"exit status {128 + number}" in vm.log()


def test_signal_while_a_client_is_half_way(vm, kernel):
    from harness import Http
    half = Http(vm.sock_path)
    half.send(b"PUT /machine-config HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    idle = Http(vm.sock_path)
    assert vm.terminate() == 143
    half.close()
    idle.close()


@pytest.mark.parametrize("step", [ENDS["crash"][0], ENDS["power off by port"][0]])
def test_end_while_clients_are_connected(xenolith, kernel, step):
    """What they are in the middle of ends with the program, and does no harm."""
    from harness import Http
    vm = xenolith(guest=f'print "x"\nsleep 100\nprint "y"\n{step}')
    clients = [Http(vm.sock_path) for _ in range(9)]
    for c in clients[:4]:
        c.send(b"PUT /machine-config HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
    vm.start(kernel)
    assert vm.wait() in (2, 4)
    assert vm.stdout() == b"xy"
    for c in clients:
        c.close()


# ---- pausing ----

def growing(vm):
    before = len(vm.stdout())
    time.sleep(0.1)
    return len(vm.stdout()) > before


@pytest.mark.parametrize("guest", ['print "x"\nsleep 1\nloop\n', 'print "yz"\nloop\n'],
                         ids=["sleeping", "busy"])
def test_pause_stops_the_guest(xenolith, kernel, guest):
    vm = xenolith(guest=guest)
    vm.start(kernel)
    for _ in range(3):
        wait_until(lambda: growing(vm), "output")
        vm.set_state("Paused")
        assert vm.state() == PAUSED
        time.sleep(0.05)  # what it wrote before is on its way
        assert not growing(vm)
        vm.set_state("Resumed")
        assert vm.state() == RUNNING
    wait_until(lambda: growing(vm), "output")


def test_pause_and_resume_lose_nothing(xenolith, kernel):
    text = "".join(f"{i:04} " for i in range(400))
    vm = xenolith(guest=f'print "{text}"\nend reboot\n')
    vm.start(kernel)
    try:
        for state in ("Paused", "Resumed") * 50:
            if vm.patch("/vm", {"state": state}).status != 204:
                break  # it is about to end
    except (OSError, EOFError):
        pass  # it has ended
    assert vm.wait() == 0
    assert vm.stdout() == text.encode()


def test_a_paused_guest_does_not_end(xenolith, kernel):
    vm = xenolith(guest='print "up"\nsleep 100\nend crash\n')
    vm.start(kernel)
    wait_until(lambda: vm.stdout() == b"up", "output")
    vm.set_state("Paused")
    time.sleep(0.3)
    assert vm.state() == PAUSED
    vm.set_state("Resumed")
    assert vm.wait() == 4


# ---- the power button ----

POWER_BUTTON_GSI = "5"


def pulses(vm):
    """Presses that reached the hypervisor; the monitor has ended."""
    return vm.dump()["pulses"].get(POWER_BUTTON_GSI, 0)


def test_ctrl_alt_del_presses_the_power_button(xenolith, kernel):
    """Whoever waits for its interrupt powers off, after a while: an orderly end."""
    vm = xenolith(guest=f'print "up"\nwait {POWER_BUTTON_GSI} 1\nsleep 50\nout8 0x604 0x34\n')
    vm.start(kernel)
    wait_until(lambda: vm.stdout() == b"up", "output")
    assert vm.action("SendCtrlAltDel").head.startswith(b"HTTP/1.1 204 ")
    assert vm.wait() == 2
    assert vm.log().count("power button pressed") == 1
    assert pulses(vm) == 1


def test_ctrl_alt_del_ends_nothing_by_itself(xenolith, kernel):
    vm = xenolith(guest='print "up"\nloop\n')
    vm.start(kernel)
    for _ in range(5):
        assert vm.action("SendCtrlAltDel").status == 204
    assert vm.state() == RUNNING
    assert vm.terminate() == 143
    assert pulses(vm) == 5


def test_ctrl_alt_del_reaches_a_paused_guest_when_it_goes_on(xenolith, kernel):
    vm = xenolith(guest=f'print "up"\nwait {POWER_BUTTON_GSI} 1\nout8 0x604 0x34\n')
    vm.start(kernel)
    wait_until(lambda: vm.stdout() == b"up", "output")
    vm.set_state("Paused")
    assert vm.action("SendCtrlAltDel").status == 204
    time.sleep(0.2)
    assert vm.state() == PAUSED
    vm.set_state("Resumed")
    assert vm.wait() == 2


def test_ctrl_alt_del_before_the_start_presses_nothing(vm, kernel):
    assert "before starting" in vm.action("SendCtrlAltDel").fault
    vm.start(kernel)
    assert vm.terminate() == 143
    assert pulses(vm) == 0


# ---- the boot timer ----

TIMER = r"INFO\] vm Guest-boot-time = +(\d+) us (\d+) ms, +(\d+) CPU us (\d+) CPU ms$"


@pytest.mark.parametrize("asked", [True, False])
def test_boot_timer(xenolith, kernel, asked):
    vm = xenolith(*(["--boot-timer"] if asked else []),
                  guest="write8 0xc0000000 122\nsleep 30\nwrite8 0xc0000000 123\nend reboot\n")
    vm.start(kernel)
    assert vm.wait() == 0
    lines = re.findall(TIMER, vm.log(), re.M)
    assert len(lines) == int(asked)
    for us, ms, cpu_us, cpu_ms in [map(int, line) for line in lines]:
        assert 30000 <= us < TIMEOUT * 1000000 and ms == us // 1000
        assert 0 < cpu_us < TIMEOUT * 1000000 and cpu_ms == cpu_us // 1000


# ---- a guest that does its worst ----

def test_a_busy_guest_does_not_starve_the_api(xenolith, kernel):
    vm = xenolith(guest="in8 0x80\nout8 0x80 1\nread32 0xd0000000\nloop\n")
    vm.start(kernel)
    start = time.monotonic()
    for _ in range(100):
        assert vm.state() == RUNNING
    assert time.monotonic() - start < 5


def test_a_guest_that_floods_the_log_is_limited(xenolith, kernel):
    """Data outside RAM for REP OUTSB is told, but not each time."""
    vm = xenolith("--level", "Debug", guest='outs 0x9999 "x"\nouts 0x3f8 "x"\nloop\n')
    assert vm.put("/machine-config", {"vcpu_count": 1, "mem_size_mib": 32}).status == 204
    vm.start(kernel)
    time.sleep(0.3)
    assert vm.terminate() == 143
    assert len(vm.log().splitlines()) < 100
