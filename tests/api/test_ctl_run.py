# SPDX-License-Identifier: Apache-2.0
"""xenolithctl run and console: what comes out, how it ends, and that nothing is left."""
import hashlib
import json
import os
import signal
import subprocess
import termios
import time

import pytest

from harness import TIMEOUT, wait_until

MOCK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mock_monitor.py")
HELLO = 'print "hello\\n"\n'
TTY_HELLO = 'print "hello\\r\\n"\n'


def last_line(text):
    return text.decode().strip().splitlines()[-1]


# ---- how the guest ends ----

@pytest.mark.parametrize("step,status,says", [
    ("end reboot", 0, "the guest rebooted"), ("out8 0x604 0x34", 2, "the guest powered off"),
    ("end poweroff", 3, "the guest halted"), ("end crash", 4, "the guest crashed"),
    ("end triple", 5, "the guest took a triple fault"),
    ("end other", 6, "the guest shut down in another way")])
def test_exit_status(ctl, kernel, step, status, says):
    done = ctl("run", "-k", kernel, guest=HELLO + step)
    assert (done.returncode, done.stdout, done.stderr) == (status, b"hello\n", b"")
    done = ctl("run", "-k", kernel, "--json", guest=HELLO + step)
    assert (done.returncode, done.stdout) == (status, b"hello\n")
    told = json.loads(done.stderr)
    assert (told["status"], told["end"]) == (status, says)


def test_a_lost_domain(ctl, kernel):
    done = ctl("run", "-k", kernel, guest="lost")
    assert done.returncode == 7
    assert b"ended from outside" in done.stderr


def test_output_is_whole(ctl, kernel):
    """More than any buffer holds on the way, to a reader that begins late."""
    lines = 3000
    guest = 'print "0123456789abcdef0123456789abcdef\\n"\n' * lines + "end reboot"
    process = ctl.start("run", "-k", kernel, guest=guest, stdin=subprocess.DEVNULL)
    time.sleep(1)
    out, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, b"")
    assert out == b"0123456789abcdef0123456789abcdef\n" * lines


def test_input(ctl, kernel):
    done = ctl("run", "-k", kernel, input=b"sesame", guest='input "sesame"\nend reboot')
    assert done.returncode == 0


def test_input_that_ends_early(ctl, kernel):
    """The guest runs on: this is not a terminal that went away."""
    done = ctl("run", "-k", kernel, guest='sleep 300\n' + HELLO + 'end reboot')
    assert (done.returncode, done.stdout) == (0, b"hello\n")


def test_the_escape_key_is_nothing_special_in_a_pipe(ctl, kernel):
    done = ctl("run", "-k", kernel, input=b"\x1dq!", guest='input "\\x1dq!"\nend reboot')
    assert done.returncode == 0


def test_no_input(ctl, kernel):
    process = ctl.start("run", "-k", kernel, "--no-input", guest="end reboot")
    assert process.wait(TIMEOUT) == 0


def test_timeout(ctl, kernel):
    done = ctl("run", "-k", kernel, "--timeout", "1", "--name", "slow", guest=HELLO)
    assert (done.returncode, done.stdout) == (124, b"hello\n")
    assert done.stderr == b"xenolithctl: slow: ended after 1 s (--timeout)\n"


def test_a_monitor_that_fails_says_why(ctl, kernel):
    done = ctl("run", "-k", kernel, env={"XENOLITH": MOCK, "MOCK": "fails"})
    assert done.returncode == 1
    assert done.stderr == b"xenolithctl: the monitor failed: io_uring: broken\n"


# ---- from outside ----

@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                                    signal.SIGQUIT])
def test_signals(ctl, kernel, number):
    process = ctl.start("run", "-k", kernel, "--name", "vm", guest=HELLO)
    assert process.stdout.read(6) == b"hello\n"
    process.send_signal(number)
    assert process.wait(TIMEOUT) == 128 + number
    assert ctl.instances() == []
    ctl.nothing_left()


def test_a_signal_during_the_start(ctl, kernel):
    """The monitor does not answer: it is stopped before it gets there."""
    process = ctl.start("run", "-k", kernel, "--name", "vm", "--monitor", "/bin/sleep",
                        env={"XENOLITH": ""})
    # sleep does not take our flags and ends: so does the start.
    assert process.wait(TIMEOUT) == 1
    stopped = os.path.join(ctl.tmp, "stopped")
    with open(stopped, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nexec sleep 60\n")
    os.chmod(stopped, 0o700)
    process = ctl.start("run", "-k", kernel, "--monitor", stopped)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 143
    ctl.nothing_left()


def test_when_it_is_killed_the_vm_ends(ctl, kernel):
    process = ctl.start("run", "-k", kernel, "--name", "vm", guest=HELLO)
    assert process.stdout.read(6) == b"hello\n"
    process.kill()
    process.wait()
    ctl.nothing_left()


def test_when_it_is_killed_a_monitor_that_hangs_ends(ctl, kernel):
    process = ctl.start("run", "-k", kernel, "--name", "vm", guest=HELLO)
    assert process.stdout.read(6) == b"hello\n"
    os.kill(ctl.pid("vm"), signal.SIGSTOP)
    process.kill()
    process.wait()
    wait_until(lambda: ctl.instances() == [], "the guard's work")
    ctl.nothing_left()


def test_when_the_monitor_is_killed(ctl, kernel):
    process = ctl.start("run", "-k", kernel, "--name", "vm", guest=HELLO)
    assert process.stdout.read(6) == b"hello\n"
    os.kill(ctl.pid("vm"), signal.SIGKILL)
    assert process.wait(TIMEOUT) == 137
    assert b"the monitor was ended by a signal" in process.stderr.read()
    ctl.nothing_left()


def test_kill_of_a_running_run(ctl, kernel):
    process = ctl.start("run", "-k", kernel, "--name", "vm", guest=HELLO)
    assert process.stdout.read(6) == b"hello\n"
    ctl.good("kill", "vm")
    assert process.wait(TIMEOUT) == 143
    ctl.nothing_left()


def test_nobody_reads(ctl, kernel):
    process = ctl.start("run", "-k", kernel, guest='sleep 300\n' + HELLO * 50)
    process.stdout.close()
    assert process.wait(TIMEOUT) == 141
    ctl.nothing_left()


def test_somebody_takes_the_console(ctl, kernel):
    process = ctl.start("run", "-k", kernel, "--name", "vm", guest=HELLO)
    assert process.stdout.read(6) == b"hello\n"
    other = ctl.start("console", "vm")
    assert b"another client has taken the console of vm" in process.communicate(
        timeout=TIMEOUT)[1]
    assert process.returncode == 1
    assert other.wait(TIMEOUT) == 0
    ctl.nothing_left()


def test_runs_have_names_of_their_own(ctl, kernel):
    both = [ctl.start("run", "-k", kernel, guest=HELLO) for _ in range(2)]
    for process in both:
        assert process.stdout.read(6) == b"hello\n"
    assert ctl.instances() == sorted(f"run-{p.pid}" for p in both)
    for process in both:
        process.terminate()
        process.wait(TIMEOUT)


def test_a_name_that_is_taken(ctl, kernel):
    process = ctl.start("run", "-k", kernel, "--name", "vm", guest=HELLO)
    assert process.stdout.read(6) == b"hello\n"
    done = ctl("run", "-k", kernel, "--name", "vm")
    assert done.returncode == 1 and b"there is an instance 'vm' already" in done.stderr
    assert process.poll() is None and ctl.instances() == ["vm"]
    process.terminate()
    process.wait(TIMEOUT)


# ---- on a terminal ----

def raw(fd):
    return not termios.tcgetattr(fd)[3] & (termios.ICANON | termios.ECHO | termios.ISIG)


ECHO = 'print "login: "\ninput "root\\r"\nprint "welcome\\r\\n"\n'


def test_a_terminal(ctl, kernel):
    tty = ctl.terminal("run", "-k", kernel, "--name", "vm", guest=ECHO + "end reboot")
    before = termios.tcgetattr(tty.slave)
    assert b"vm: Ctrl-] q ends it, Ctrl-] d detaches" in tty.expect(b"login: ")
    assert raw(tty.slave)
    tty.type(b"root\r")
    assert tty.expect(b"welcome") == b"", "what is typed is the guest's to echo"
    assert tty.process.wait(TIMEOUT) == 0
    assert termios.tcgetattr(tty.slave) == before


def test_ctrl_c_is_the_guests(ctl, kernel):
    tty = ctl.terminal("run", "-k", kernel, guest='print "up\\r\\n"\ninput "\\x03"\nend reboot')
    tty.expect(b"up\r\n")
    tty.type(b"\x03")
    assert tty.process.wait(TIMEOUT) == 0


def test_escape_ends(ctl, kernel):
    tty = ctl.terminal("run", "-k", kernel, "--name", "vm", guest=TTY_HELLO)
    tty.expect(b"hello\r\n")
    tty.type(b"\x1d")
    tty.type(b"q")
    tty.expect(b"vm: ended\r\n")
    assert tty.process.wait(TIMEOUT) == 0
    assert not raw(tty.slave)
    ctl.nothing_left()


def test_escape_is_sent_when_typed_twice(ctl, kernel):
    tty = ctl.terminal("run", "-k", kernel, guest='print "up\\r\\n"\ninput "\\x1dq"\nend reboot')
    tty.expect(b"up\r\n")
    tty.type(b"\x1d\x1dq")
    assert tty.process.wait(TIMEOUT) == 0


def test_detach_and_attach(ctl, kernel):
    """Again and again; the guest notices nothing."""
    tty = ctl.terminal("run", "-k", kernel, "--name", "vm", guest=ECHO + "end reboot")
    tty.expect(b"login: ")
    tty.type(b"\x1dd")
    tty.expect(b"vm runs on; xenolithctl console vm attaches again")
    assert tty.process.wait(TIMEOUT) == 0
    assert not raw(tty.slave)
    assert len(ctl.processes()) == 1, "the guard is left"
    for _ in range(2):
        tty = ctl.terminal("console", "vm")
        tty.expect(b"vm: Ctrl-] d detaches\r\n")
        wait_until(lambda: raw(tty.slave), "the raw terminal")
        tty.type(b"\x1dd")
        tty.expect(b"detached; vm runs on\r\n")
        assert tty.process.wait(TIMEOUT) == 0
        assert not raw(tty.slave)
    tty = ctl.terminal("console")
    wait_until(lambda: raw(tty.slave), "the raw terminal")
    tty.type(b"root\r")
    tty.expect(b"welcome\r\n")
    tty.expect(b"vm has ended\r\n")
    assert tty.process.wait(TIMEOUT) == 0


def test_killed_on_a_terminal(ctl, kernel):
    """The terminal is restored even then."""
    tty = ctl.terminal("run", "-k", kernel, guest=TTY_HELLO)
    before = termios.tcgetattr(tty.slave)
    tty.expect(b"hello\r\n")
    wait_until(lambda: raw(tty.slave), "the raw terminal")
    tty.process.kill()
    ctl.nothing_left()
    assert termios.tcgetattr(tty.slave) == before


def test_the_terminal_goes_away(ctl, kernel):
    tty = ctl.terminal("run", "-k", kernel, guest=TTY_HELLO)
    tty.expect(b"hello\r\n")
    tty.process.send_signal(signal.SIGHUP)
    assert tty.process.wait(TIMEOUT) == 129
    ctl.nothing_left()


# ---- console ----

def test_console_without_a_socket(ctl, xenolith):
    vm = xenolith("--run-dir", ctl.run_dir, "--id", "web")
    done = ctl("console", "web")
    assert done.returncode == 1
    assert b"web has no console socket; start monitors with --serial socket" in done.stderr
    vm.finish()


def test_console_of_one_that_hangs_in_a_pipe(ctl, kernel):
    ctl.good("create", "web", "-k", kernel, "--start", guest=HELLO)
    first = ctl.start("console", "web")
    assert first.stdout.read(6) == b"hello\n"
    second = ctl.start("console", "web")
    assert first.wait(TIMEOUT) == 1
    assert b"another client has the console now" in first.stderr.read()
    second.send_signal(signal.SIGINT)
    # A shell calls both 130; it may have only just connected.
    assert second.wait(TIMEOUT) in (130, -signal.SIGINT)
    ctl.good("kill", "web")


def test_output_before_the_first_attach_is_kept(ctl, kernel):
    ctl.good("create", "web", "-k", kernel, "--start", guest=HELLO + "sleep 500\nend reboot")
    time.sleep(0.2)
    done = ctl("console", "web")
    assert done.stdout == b"hello\n" and b"web has ended" in done.stderr
    assert done.returncode == 0


# ---- --command ----

def command(ctl, kernel, text, mock="", *args):
    return ctl("run", "-k", kernel, "-c", text, *args, env={"XENOLITH": MOCK, "MOCK": mock})


@pytest.mark.parametrize("text,status,out", [
    ("true", 0, b""), ("false", 1, b""), ("exit 255", 255, b""), ("echo hi; exit 3", 3, b"hi\n"),
    ("printf no-newline", 0, b"no-newline"), ("echo 'a  b'  \"c  d\" e", 0, b"a  b c  d e\n"),
    ("echo \"it's $((6*7))%d \\\\ =\" '\"'", 0, b"it's 42%d \\ = \"\n"),
    ("echo *; echo $PATH | cut -c1-6", 0, None), ("x='a=b'; echo $x", 0, b"a=b\n"),
    ("echo gr\u00fc\u00df\u00df", 0, "gr\u00fc\u00df\u00df\n".encode()), ("for i in 1 2\ndo echo $i\ndone", 0, b"1\n2\n"),
    ("echo err >&2; nonexistent", 127, None), ("echo ')'; (echo a", 2, None),
    ("cat; echo end", 0, b"end\n"), ("kill -9 $$", 137, None), ("", 0, b""),
    ("printf '\\036xl-B\\n\\036\\036'", 0, b"\x1exl-B\n\x1e\x1e")])
def test_command(ctl, kernel, text, status, out):
    done = command(ctl, kernel, text)
    assert done.returncode == status, done
    assert out is None or done.stdout == out
    assert done.stderr == b""


@pytest.mark.parametrize("mock", ["noise", "crlf"])
def test_what_is_not_the_command_s_output(ctl, kernel, mock):
    """What was printed before it, and the line ends of a terminal."""
    done = command(ctl, kernel, "printf 'a\\n\\036b\\nc'; exit 4", mock)
    assert (done.returncode, done.stdout, done.stderr) == (4, b"a\n\x1eb\nc", b"")


def test_much_output_of_a_command(ctl, kernel):
    done = command(ctl, kernel, "seq 1 200000")
    expected = "".join(f"{i}\n" for i in range(1, 200001)).encode()
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(expected).digest()


def test_a_command_that_is_too_long(ctl, kernel):
    done = command(ctl, kernel, "echo " + "x" * 1800)
    assert done.returncode == 1
    assert b"put a longer command into the image" in done.stderr
    done = command(ctl, kernel, "echo " + "x" * 9000)
    assert done.returncode == 1 and b"--command: too long" in done.stderr


@pytest.mark.parametrize("mock,says", [
    ("dies", b"the guest crashed (status 4) before the command began"),
    ("dies_within", b"the guest powered off (status 2) before the command had ended")])
def test_a_guest_that_ends_before_its_command(ctl, kernel, mock, says):
    done = command(ctl, kernel, "echo hi; sleep 1", mock)
    assert done.returncode == 125 and says in done.stderr
    # What the kernel said last is why.
    assert (b"Kernel panic" in done.stderr) == (mock == "dies")


def test_a_command_that_does_not_end(ctl, kernel):
    done = command(ctl, kernel, "echo hi", "hangs", "--timeout", "1")
    assert done.returncode == 124


def test_the_status_of_a_command_as_json(ctl, kernel):
    done = command(ctl, kernel, "echo hi; exit 9", "", "--json")
    assert done.stdout == b"hi\n" and done.returncode == 9
    assert json.loads(done.stderr)["status"] == 9
    assert last_line(done.stderr) == done.stderr.decode().strip()


def test_where_the_shell_comes_from(ctl, kernel):
    """From the disk, or from the initramfs when there is none."""
    for args, word in (([], "init"), (["--initrd", kernel], "rdinit"),
                       (["--initrd", kernel, "-d", kernel + ",ro"], "init")):
        process = ctl.start("run", "-k", kernel, "-c", "true", "--name", "vm", *args, guest="")
        ctl.wait_for("vm")
        wait_until(lambda: b"Running" in ctl("api", "GET", "/").stdout, "the start")
        args = json.loads(ctl.good("config", "vm").stdout)["boot-source"]["boot_args"]
        assert f" {word}=/bin/sh -- -c " in args
        process.terminate()
        process.wait(TIMEOUT)
