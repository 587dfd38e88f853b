# SPDX-License-Identifier: Apache-2.0
"""What hypervisor-patches/ promise, asked of the hypervisor without the monitor."""

import os
import re

# Every feature that the series brings must be there (XENOLITH_FEAT_*).
FEATURES = "0x3ff"

# How many hypercalls a compromised driver domain makes, on others and on its own domains.
ATTACKS = int(os.environ.get("ATTACKS", "20000"))


def passes(done, least):
    """A program that prints TAP: it has this many tests, and none failed."""
    assert done.returncode == 0, done.stdout
    assert not re.findall(r"^not ok", done.stdout, re.M), done.stdout
    assert len(re.findall(r"^ok", done.stdout, re.M)) > least, done.stdout
    print("\n".join(re.findall(r"^# .*", done.stdout, re.M)))


def test_every_private_operation_keeps_its_word(lab, nothing_left):
    passes(lab.dom0.run(f"hvabi {FEATURES}", timeout=120, check=False), 130)


def test_a_domain_that_owns_domains_controls_no_others(lab, nothing_left):
    passes(lab.dom0.run(f"hvowner {ATTACKS} {ATTACKS}", timeout=60 + ATTACKS // 200,
                        check=False), 130)


def test_an_unpatched_hypervisor_fails_it(unpatched):
    done = unpatched.run(f"hvabi {FEATURES}", timeout=120, check=False)
    assert done.returncode != 0, done.stdout
    assert unpatched.domains()[0] == {}
