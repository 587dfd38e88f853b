# SPDX-License-Identifier: Apache-2.0
"""SendCtrlAltDel is the power button: guests that listen shut down in an orderly way, the
others do not notice."""

import http.client
import time

from lab import Guest, Monitor

CTRL_ALT_DEL = {"action_type": "SendCtrlAltDel"}


def press(monitor):
    monitor.ok("PUT", "/actions", CTRL_ALT_DEL)


def test_bundled_guest_saves_its_files_and_powers_off(io, nothing_left):
    """More presses come while it shuts down, which a stubborn process delays by a second."""
    root = "/run/button.ext4"
    io.run(f"cp /guest/debian.ext4 {root}")
    with Guest(io) as guest:
        guest.boot(root=root, read_only=False)
        guest.run("trap '' TERM; sleep 100 > /dev/null 2>&1 & seq 1 100000 > /kept")
        press(guest)
        guest.console.expect("power button", 10)
        press(guest)
        press(guest)
        assert guest.wait_exit() == 2, guest.log()
        assert guest.log().count("power button pressed") == 3
    # Clean without a look at its journal, and what was written is in it.
    checked = io.debian(f"/usr/sbin/e2fsck -fn {root}")
    assert "journal" not in checked, checked
    io.run(f"mkdir -p /run/button && mount -o loop,ro {root} /run/button")
    try:
        assert io.run("tail -n 1 /run/button/kept").strip() == "100000"
    finally:
        io.run(f"umount /run/button; rm {root}")


def test_press_while_paused_arrives_when_the_guest_goes_on(monitor):
    monitor.start("xenolith.act=idle")
    monitor.wait_up()
    monitor.ok("PATCH", "/vm", {"state": "Paused"})
    press(monitor)
    assert monitor.ok("GET", "/")["state"] == "Paused"
    assert "power button\n" not in monitor.serial()
    monitor.ok("PATCH", "/vm", {"state": "Resumed"})
    assert monitor.wait_exit() == 2, monitor.log()


def test_presses_from_the_start_on_harm_nothing(lab, nothing_left):
    """Each comes too early, and the guest comes up, or it powers off as soon as it can."""
    with Monitor(lab) as monitor:
        monitor.start("xenolith.act=idle", vcpus=2)
        end = time.monotonic() + 60
        while monitor.process.poll() is None and time.monotonic() < end:
            try:
                status, answer = monitor.request("PUT", "/actions", CTRL_ALT_DEL)
            except (OSError, http.client.HTTPException):  # the monitor is gone
                break
            assert status == 204 or "has ended" in answer["fault_message"], answer
            time.sleep(0.02)
        assert monitor.wait_exit() == 2, monitor.log() + monitor.serial()
        assert "/init reached" in monitor.serial()


def test_stock_guest_does_not_notice_without_a_driver_and_obeys_with_one(lab, nothing_left):
    with Guest(lab) as guest:
        guest.boot(root=None, kernel="/guest/stock", initrd="/guest/stock.cpio", mem=256)
        for _ in range(3):
            press(guest)
        assert guest.run("cat /proc/interrupts").count("ACPI:Ged") == 1
        assert guest.run("echo still $((40 + 2))") == "still 42\n"
        assert guest.ok("GET", "/")["state"] == "Running"
        guest.run("for module in $(cat /lib/modules/load.button); do insmod $module; done")
        assert "Power Button" in guest.run("cat /sys/class/input/*/name")
        # What Debian's acpid has, in busybox' words.
        guest.run("mkdir -p /etc/acpi/PWRF; f=/etc/acpi/PWRF/00000080; "
                  "printf '#!/bin/sh\necho obeyed > /dev/console\nkill -38 1\n' > $f; "
                  "chmod +x $f; acpid -l /dev/null")
        # It goes into the background before it has opened the device.
        guest.run("until ls -l /proc/$(pidof acpid)/fd | grep -q /dev/input/event; do "
                  "sleep 0.1; done")
        press(guest)
        guest.console.expect("obeyed", 20)
        assert guest.wait_exit() == 2, guest.log()
