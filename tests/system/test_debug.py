# SPDX-License-Identifier: Apache-2.0
"""Xen with its assertions, of which each that fails stops the machine."""

import os

from lab import Lab, entry
from test_patches import passes

ATTACKS = int(os.environ.get("ATTACKS", "10000"))
SEED = int(os.environ.get("ATTACKS_SEED", "11"))


def test_domains_that_own_domains(dom0_files):
    xen = entry("hypervisor-patches/build.sh", "--debug") / "xen"
    with Lab("debug", "--no-driver", "--xen", str(xen), *dom0_files) as lab:
        passes(lab.dom0.run(f"hvowner {ATTACKS} {SEED}", timeout=60 + ATTACKS // 100,
                            check=False), 130)
