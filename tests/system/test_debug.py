# SPDX-License-Identifier: Apache-2.0
"""Xen with its assertions, of which each that fails stops the machine."""

import os

import pytest

from lab import Lab, entry
from test_inside import SEED, compromised
from test_patches import FEATURES, passes

ATTACKS = int(os.environ.get("ATTACKS", "10000"))
LONG = "ATTACKS" in os.environ


@pytest.fixture(scope="module")
def debug(files, dom0_files):
    xen = entry("hypervisor-patches/build.sh", "--debug") / "xen"
    with Lab("debug", "--xen", xen, *(files if LONG else ["--no-driver", *dom0_files])) as lab:
        yield lab


def test_private_operations(debug):
    passes(debug.dom0.run(f"hvabi {FEATURES}", timeout=120, check=False), 130)


def test_domains_that_own_domains(debug):
    passes(debug.dom0.run(f"hvowner {ATTACKS} {SEED}", timeout=60 + ATTACKS // 100,
                          check=False), 130)


@pytest.mark.skipif(not LONG, reason="make soak does this")
def test_a_compromised_monitor(debug):
    compromised(debug, ATTACKS)
