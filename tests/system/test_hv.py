# SPDX-License-Identifier: Apache-2.0
"""The monitor's hypervisor interface on Xen, with small guests and no devices."""

import re

import pytest


def tap(lab, line, least):
    done = lab.run(line, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert not re.findall(r"^not ok", done.stdout, re.M), done.stdout
    assert len(re.findall(r"^ok", done.stdout, re.M)) >= least, done.stdout


WHAT = [("registers", 39), ("doorbells", 5), ("pulses", 6)]


@pytest.mark.parametrize("what, least", WHAT)
def test_interface(lab, nothing_left, what, least):
    tap(lab, f"hvops {what}", least)


@pytest.mark.parametrize("what, least", WHAT)
def test_interface_of_an_unpatched_hypervisor(unpatched, what, least):
    tap(unpatched, f"hvops {what} unpatched", least)
    assert unpatched.domains()[0] == {}
