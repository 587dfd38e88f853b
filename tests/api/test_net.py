# SPDX-License-Identifier: Apache-2.0
"""Network interfaces: what may be put and patched."""
import json
import os

import pytest

from harness import PAUSED, RUNNING

CREATE = "Network config error: Could not create the network device: "
KEYS = ["iface_id", "host_dev_name", "guest_mac", "mtu", "rx_rate_limiter", "tx_rate_limiter"]
BUCKET = {"size": 1000, "one_time_burst": 10, "refill_time": 100}


def put(vm, name, dev, **more):
    return vm.put(f"/network-interfaces/{name}",
                  {"iface_id": name, "host_dev_name": dev, **more})


def patch(vm, name, **fields):
    return vm.patch(f"/network-interfaces/{name}", {"iface_id": name, **fields})


def nets(vm):
    return vm.get("/vm/config").json["network-interfaces"]


def mac(last):
    return f"06:00:00:00:00:{last:02x}"


def test_an_interface_has_all_its_keys(vm, tap):
    dev = tap()
    assert put(vm, "n", dev).status == 204
    assert list(nets(vm)[0].items()) == list(zip(KEYS, ("n", dev, None, None, None, None)))
    limiter = {"bandwidth": BUCKET, "ops": BUCKET}
    assert put(vm, "n", dev, guest_mac="0A:bC:00:00:00:fF", mtu=1500, rx_rate_limiter=limiter,
               tx_rate_limiter={"ops": BUCKET}).status == 204
    assert list(nets(vm)[0].items()) == list(zip(KEYS, (
        "n", dev, "0a:bc:00:00:00:ff", 1500, limiter, {"bandwidth": None, "ops": BUCKET})))


def test_interfaces_keep_their_order(vm, tap):
    for name, expected in (("b", "b"), ("a", "b a"), ("c", "b a c"), ("b", "b a c")):
        assert put(vm, name, tap()).status == 204
        assert " ".join(n["iface_id"] for n in nets(vm)) == expected


def test_a_mac_address_is_used_once(vm, tap):
    fault = "Network config error: The MAC address is already in use: 06:00:00:00:00:01"
    first, second, third = tap(), tap(), tap()
    assert put(vm, "1", first, guest_mac=mac(1)).status == 204
    for given in (mac(1), mac(1).upper()):
        assert put(vm, "2", second, guest_mac=given).fault == fault
    assert put(vm, "2", second, guest_mac=mac(2)).status == 204
    old = nets(vm)
    assert put(vm, "2", second, guest_mac=mac(1)).fault == fault
    assert nets(vm) == old
    assert put(vm, "1", third, guest_mac=mac(1)).status == 204
    assert put(vm, "1", first, guest_mac=mac(3)).status == 204
    assert put(vm, "2", second, guest_mac=mac(1)).status == 204
    assert [n["guest_mac"] for n in nets(vm)] == [mac(3), mac(1)]


@pytest.mark.parametrize("given", [
    "", "06", "06:00:00:00:00", "06:00:00:00:00:0", "06:00:00:00:00:001", "06:00:00:00:00:01:",
    "06:00:00:00:00:0g", "06-00-00-00-00-01", "060000000001", "06:00:00:00:00: 1",
    "06:00:00:00:00:+1", " 06:00:00:00:00:01"])
def test_bad_mac_addresses(vm, given):
    assert "The provided MAC address is invalid." in put(vm, "n", "t", guest_mac=given).fault
    assert nets(vm) == []


def test_mtus(vm, tap):
    dev = tap()
    for mtu in (0, 1, 10, 67):
        assert put(vm, "n", dev, mtu=mtu).fault == (
            f"{CREATE}MTU {mtu} is out of range [68, 65535]")
    for mtu in (65536, -1, 2**64):
        assert "expected u16" in put(vm, "n", dev, mtu=mtu).fault
    assert nets(vm) == []
    for mtu in (68, 1500, 65535):
        assert put(vm, "n", dev, mtu=mtu).status == 204
        assert nets(vm)[0]["mtu"] == mtu


@pytest.mark.parametrize("dev", ["", ".", "..", "a/b", "a:b", "a b", "tap%d", "x" * 16, "a\n"])
def test_names_that_no_interface_has(vm, dev):
    assert put(vm, "n", dev).fault.startswith(CREATE + "Open tap device failed: ")
    assert nets(vm) == []


def test_ids(vm, tap):
    dev = tap()
    assert put(vm, "eth_0", dev).status == 204
    for name in ("eth-0", "eth.0", "eth%30", "\u00e9"):
        assert put(vm, name, dev).fault == (
            "API Resource IDs can only contain alphanumeric characters and underscores.")
    for where in ("/network-interfaces", "/network-interfaces/"):
        for method in ("PUT", "PATCH", "DELETE"):
            sent = None if method == "DELETE" else {"iface_id": "a", "host_dev_name": dev}
            assert vm.request(method, where, sent).fault == "The ID cannot be empty."
    for method, sent in (("PUT", {"iface_id": "b", "host_dev_name": dev}),
                         ("PATCH", {"iface_id": "b"})):
        assert vm.request(method, "/network-interfaces/a", sent).fault == (
            "The id from the path [a] does not match the id from the body [b]!")
    assert len(nets(vm)) == 1


# ---- taps ----

OPEN = CREATE + "Open tap device failed: "


def exists(dev):
    return os.path.exists(f"/sys/class/net/{dev}")


def test_an_interface_that_is_no_tap(vm, tap):
    dev = tap()
    put(vm, "n", dev)
    old = nets(vm)
    for name in ("n", "m"):
        fault = put(vm, name, "lo").fault
        assert fault.startswith(OPEN) and "lo" in fault
    assert nets(vm) == old


def test_a_tap_has_one_user(vm, xenolith, tap):
    dev = tap()
    assert put(vm, "n", dev).status == 204
    other = xenolith()
    for user, name in ((vm, "m"), (other, "n")):
        fault = put(user, name, dev).fault
        assert fault.startswith(OPEN) and dev in fault
    assert [n["iface_id"] for n in nets(vm)] == ["n"] and nets(other) == []
    vm.finish()
    assert exists(dev)
    assert put(other, "n", dev).status == 204


def test_a_tap_that_is_replaced_is_free(vm, kernel, tap):
    first, second = tap(), tap()
    put(vm, "n", first)
    put(vm, "n", second)
    assert put(vm, "m", first).status == 204
    assert put(vm, "n", second, guest_mac=mac(1)).status == 204
    assert put(vm, "m", first, guest_mac=mac(1)).status == 400
    assert put(vm, "n", first).status == 400
    assert [n["host_dev_name"] for n in nets(vm)] == [second, first]
    vm.start(kernel)


def test_a_tap_that_is_not_there_is_made_and_goes_with_the_monitor(vm, kernel, tap):
    dev = tap()[:-1] + "n"
    assert not exists(dev)
    assert put(vm, "n", dev).status == 204
    vm.start(kernel)
    assert exists(dev)
    vm.finish()
    assert not exists(dev)


@pytest.mark.parametrize("vcpus", [1, 2, 32])
@pytest.mark.parametrize("multi_queue", [False, True])
def test_taps_with_one_and_many_queues(vm, kernel, tap, vcpus, multi_queue):
    vm.put("/machine-config", {"vcpu_count": vcpus, "mem_size_mib": 128})
    assert put(vm, "n", tap(multi_queue=multi_queue)).status == 204
    vm.start(kernel)


def test_interfaces_leak_no_descriptors(vm, kernel, tap):
    devs = [tap() for _ in range(3)]
    put(vm, "n", devs[0], guest_mac=mac(1))
    before = vm.fds()
    for dev in (devs[1], devs[2], devs[2], devs[0]):
        assert "in use" in put(vm, "m", devs[1] if dev != devs[1] else devs[2],
                               guest_mac=mac(1)).fault
        assert put(vm, "n", dev, guest_mac=mac(1)).status == 204
        assert put(vm, "n", "lo").status == 400
    assert vm.fds() == before
    vm.start(kernel)


def test_a_tap_of_a_failed_start_is_kept(vm, kernel, tap):
    dev = tap()
    put(vm, "n", dev)
    assert "kernel" in vm.action("InstanceStart").fault
    assert put(vm, "m", dev).status == 400
    vm.start(kernel)


# ---- after the start ----

@pytest.mark.parametrize("state", [RUNNING, PAUSED])
def test_patch(vm, kernel, tap, state):
    put(vm, "n", tap(), rx_rate_limiter={"bandwidth": BUCKET})
    vm.go_to(state, kernel)
    other = {**BUCKET, "size": 7}
    assert patch(vm, "n", rx_rate_limiter={"ops": other},
                 tx_rate_limiter={"bandwidth": other}).status == 204
    got = nets(vm)[0]
    assert got["rx_rate_limiter"] == {"bandwidth": BUCKET, "ops": other}
    assert got["tx_rate_limiter"] == {"bandwidth": other, "ops": None}
    for fields in ({}, {"rx_rate_limiter": None}, {"tx_rate_limiter": {}}):
        assert patch(vm, "n", **fields).status == 204
    assert nets(vm)[0] == got
    assert patch(vm, "n", rx_rate_limiter={"bandwidth": {**BUCKET, "refill_time": 0},
                                           "ops": {**BUCKET, "size": 0}}).status == 204
    assert nets(vm)[0]["rx_rate_limiter"] is None


def test_patches_that_are_refused(vm, kernel, tap):
    dev = tap()
    put(vm, "n", dev)
    vm.start(kernel)
    old = nets(vm)
    assert patch(vm, "x").fault == (
        "Network config error: Unable to update the net device: Failed perform action on "
        "device: Device not found")
    for field, value in (("host_dev_name", dev), ("guest_mac", mac(1)), ("mtu", 1500)):
        assert (f"unknown field `{field}`, expected one of `iface_id`, `rx_rate_limiter`, "
                "`tx_rate_limiter`") in patch(vm, "n", **{field: value}).fault
    assert "unknown field `bytes`" in patch(vm, "n", rx_rate_limiter={"bytes": BUCKET}).fault
    assert put(vm, "m", tap()).fault == "PCI is not enabled"
    assert vm.request("DELETE", "/network-interfaces/n").fault == "PCI is not enabled"
    assert json.dumps(nets(vm)) == json.dumps(old)


def test_drives_and_interfaces_are_counted_together(vm, kernel, tap):
    for i in range(31):
        vm.put(f"/drives/d{i}", {"drive_id": f"d{i}", "is_root_device": False,
                                 "is_read_only": True, "path_on_host": kernel})
    assert put(vm, "n", tap()).status == 204
    assert "32" in put(vm, "m", tap()).fault
    assert "32" in vm.put("/drives/x", {"drive_id": "x", "is_root_device": False,
                                        "path_on_host": kernel}).fault
    assert len(nets(vm)) == 1
