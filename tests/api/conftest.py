# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the API tests: monitors that are watched to their end, and kernels."""
import os
import shutil
import tempfile

import pytest

import elf
from ctl import Ctl
from harness import Monitor, binary, wait_until
from instances import Instances
from taps import Taps
from terminal import Tmux


def pytest_sessionstart(session):
    if not os.access(binary(), os.X_OK):
        pytest.exit(f"{binary()} is not there: make xenolith-fake", returncode=1)


@pytest.fixture
def tmp():
    """A directory with a short path: sockets' names are limited to 107 bytes."""
    path = tempfile.mkdtemp(prefix="xenolith.")
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def kernel(tmp_path_factory):
    """The path of a kernel that can be booted."""
    path = tmp_path_factory.mktemp("kernel") / "vmlinux"
    path.write_bytes(elf.good().build())
    return str(path)


@pytest.fixture
def tap():
    """tap(): the name of a new tap interface; it is gone after the test."""
    taps = Taps()

    def make(**more):
        try:
            return taps(**more)
        except OSError as e:
            return pytest.skip(f"no tap interface can be made: {e}")

    yield make
    taps.remove()


@pytest.fixture
def xenolith(tmp, tap, request):
    """Start a monitor: xenolith(*args, guest=..., env=..., api=..., ...). At the end of
    the test each must end by SIGTERM, if it has not ended, and leave nothing."""
    monitors = []

    def start(*args, **more):
        directory = os.path.join(tmp, str(len(monitors)))
        os.mkdir(directory)
        monitors.append(Monitor(directory, *args, **more))
        return monitors[-1]

    yield start
    try:
        for m in monitors:
            m.finish()
    finally:
        for m in monitors:
            m.kill()


@pytest.fixture
def vm(xenolith):
    """One monitor with its API, not started."""
    return xenolith()


@pytest.fixture
def ctl(tmp):
    """xenolithctl: ctl("ps"). What a test has started it must also have ended."""
    runner = Ctl(tmp)
    try:
        yield runner
        runner.nothing_left()
    finally:
        runner.finish()


@pytest.fixture
def instances(tmp, xenolith):
    """A run directory; see Instances."""
    found = Instances(tmp, xenolith)
    yield found
    for lock in found.locks:
        lock.close()


@pytest.fixture
def open_terminal(tmp):
    """open_terminal(columns, lines, shell): a terminal whose shell is ready."""
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    opened = []

    def make(*args):
        opened.append(Tmux(os.path.join(tmp, f"tmux{len(opened)}"), *args))
        wait_until(lambda: "$" in opened[-1].text(), "the shell")
        return opened[-1]

    yield make
    for tmux in opened:
        tmux("kill-server")
