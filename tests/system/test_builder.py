# SPDX-License-Identifier: Apache-2.0
"""--builder: a VM that may create domains, as far as who gives the right is concerned."""

import pytest

from lab import Monitor

NODATA = "error 61\n"


def quotas(lab, domid):
    return lab.dom0.run(f"hvowner quotas {domid}")


def only_domain(lab):
    (domid,) = lab.domains()[0]
    return domid


@pytest.mark.parametrize("vcpus", [1, 2])
def test_a_vm_gets_the_right_it_is_started_with(lab, nothing_left, vcpus):
    """Also when it is made anew because of another number of vCPUs."""
    with Monitor(lab.dom0, "--builder", "domains=3,memory-mib=100,vcpus=5,paging-pages=800") as vm:
        vm.start("xenolith.act=idle", vcpus=vcpus)
        vm.wait_up()
        assert quotas(lab, only_domain(lab)).split() == [
            "3", "0", "5", "0", str(3 * 65 + 5 * 16), "0", "12", "0", str(103 * 256), "0",
            "800", "0"]


def test_no_vm_gets_it_that_is_not(monitor):
    monitor.start("xenolith.act=idle")
    monitor.wait_up()
    assert quotas(monitor.lab, only_domain(monitor.lab)) == NODATA


def test_an_unpatched_hypervisor_has_no_such_right(unpatched):
    done = unpatched.run("xenolith --builder domains=1,memory-mib=64 --serial none", check=False)
    assert done.returncode == 1
    assert "--builder: this hypervisor has no right to create domains" in done.stdout
    assert unpatched.domains()[0] == {}
