# SPDX-License-Identifier: Apache-2.0
"""Disks: what a guest writes is there, also after the worst, and a host's trouble is an
error of that disk alone."""

import itertools
import json
import re

import pytest

from lab import SOAK, Guest, Monitor

MIB = 1 << 20


@pytest.fixture
def image(io, nothing_left):
    """Makes image files in /disks, and removes them."""
    io.run("rm -rf /disks/t; mkdir /disks/t")

    def make(name, mib):
        io.run(f"truncate -s {mib}M /disks/t/{name}")
        return f"/disks/t/{name}"

    yield make
    io.run("rm -rf /disks/t")


@pytest.fixture
def guest(io, nothing_left):
    with Guest(io) as guest:
        yield guest


def blocks(lab, path):
    """Bytes that a file really has."""
    return int(lab.run(f"stat -c %b {path}")) * 512


# ---- it lasts ----

WRITE_FILES = ("mkdir -p /data && cd /data && for i in $(seq {files}); do "
               "dd if=/dev/urandom of=f$i bs=1M count={mib} conv=fsync 2> /dev/null || exit 9; "
               "done; sha256sum f* > sums && sync")
FILES, FILE_MIB = (10 if SOAK else 3), 20


def test_files_survive_a_reboot_and_the_death_of_the_vm(io, nothing_left):
    """A root image, files on it, written with fsync: 200 MiB in the long form."""
    path = "/disks/root.ext4"
    io.run(f"cp /guest/debian.ext4 {path} && truncate -s 360M {path}")
    try:
        with Guest(io) as guest:
            guest.boot(root=path, read_only=False, mem=192)
            guest.run("resize2fs /dev/vda", timeout=120)
            guest.run(WRITE_FILES.format(files=FILES, mib=FILE_MIB), timeout=240)
            guest.console.send("reboot -f\n")
            assert guest.wait_exit() == 0, guest.log()
        with Guest(io) as guest:
            guest.boot(root=path, read_only=False, mem=192)
            guest.run("cd /data && sha256sum -c sums", timeout=240)
            guest.run("dd if=/data/f1 of=/data/last bs=1M conv=fsync && sync -d /data")
            # Without a warning.
            guest.lab.run(f"kill -KILL $(cat {guest.dir}/pid)")
            guest.wait_exit()
        with Guest(io) as guest:
            guest.boot(root=path, read_only=False, mem=192)
            guest.run("cmp /data/f1 /data/last", timeout=120)
            guest.finish()
    finally:
        io.run(f"rm -f {path}")


FIO = ("fio --name=v --filename={file} --direct=1 --ioengine=libaio --rw=randrw --size={mib}M "
       "--bssplit=4k/60:16k/15:64k/10:256k/10:1M/5 --iodepth={depth} --numjobs={jobs} "
       "--offset_increment={mib}M --verify=crc32c --verify_fatal=1 --do_verify=1 --randrepeat=1 "
       "--verify_state_save=0 --thread --group_reporting --output-format=terse")


@pytest.mark.parametrize("vcpus", [1, 4])
def test_fio_finds_what_it_wrote(image, guest, vcpus):
    """Queue depths 1 to 64, of all jobs together; one job a vCPU."""
    guest.drive("buffered", image("buffered", 8), cache_type="Writeback")
    guest.drive("direct", image("direct", 8), cache_type="Writeback", direct=True)
    guest.boot(vcpus=vcpus, mem=256)
    runs = [("vdb", 1), ("vdc", 32)] if vcpus == 1 else [("vdb", 64)]
    if SOAK:
        runs = itertools.product(("vdb", "vdc"), (1, 2, 4, 8, 16, 32, 64))
    for file, depth in runs:
        depth = max(1, depth // vcpus)
        out = guest.run(FIO.format(file=f"/dev/{file}", mib=8 // vcpus, depth=depth, jobs=vcpus),
                        timeout=300)
        fields = next(line for line in out.splitlines() if line.startswith("3;")).split(";")
        assert fields[4] == "0", out
        assert int(fields[5]) > 0 and int(fields[46]) > 0, out
    guest.finish()


def test_discard_and_write_zeroes_reach_the_file(image, guest, io):
    path = image("d", 32)
    guest.drive("d", path)
    guest.boot()
    guest.run("tr '\\0' x < /dev/zero | dd of=/dev/vdb bs=1M count=32 iflag=fullblock oflag=direct")
    assert blocks(io, path) >= 32 * MIB
    guest.run("/usr/sbin/blkdiscard -o 8M -l 16M /dev/vdb")
    assert blocks(io, path) <= 17 * MIB
    guest.run("dd if=/dev/vdb bs=1M skip=8 count=16 iflag=direct | "
              "cmp -n $((16 << 20)) - /dev/zero")
    guest.run("/usr/sbin/blkdiscard -z -o 24M -l 4M /dev/vdb")
    guest.run("dd if=/dev/vdb bs=1M skip=24 count=4 iflag=direct | cmp -n $((4 << 20)) - /dev/zero")
    # The rest is as it was.
    for at, n in (0, 8), (28, 4):
        assert guest.run(f"dd if=/dev/vdb bs=1M skip={at} count={n} iflag=direct 2> /dev/null | "
                         f"tr -d x | wc -c").strip() == "0"
    guest.finish()


def test_a_file_system_in_the_guest_can_be_trimmed(image, guest, io):
    path = image("fs", 64)
    io.debian("/usr/sbin/mke2fs -q -t ext4 -E lazy_itable_init=1,nodiscard /mnt/t/fs")
    guest.drive("fs", path, cache_type="Writeback")
    guest.boot()
    guest.run("mount /dev/vdb /mnt && dd if=/dev/urandom of=/mnt/x bs=1M count=24 conv=fsync")
    full = blocks(io, path)
    guest.run("rm /mnt/x; sync; /usr/sbin/fstrim /mnt; umount /mnt")
    assert blocks(io, path) < full - 20 * MIB
    io.debian("e2fsck -fn /mnt/t/fs")
    guest.finish()


# ---- flushes ----

@pytest.fixture
def mapped(io, nothing_left):
    """Makes device-mapper devices of 32 MiB; a list of their tables' lines."""
    io.run("truncate -s 32M /run/mapped.img; losetup /dev/loop7 /run/mapped.img")
    made = []

    def make(name, *table):
        lines = "\\n".join(table)
        io.run(f"printf '{lines}\\n' | chroot /debian dmsetup create {name}; "
               f"chroot /debian dmsetup mknodes")
        made.append(name)
        return f"/dev/mapper/{name}"

    yield make
    for name in made:
        io.debian(f"dmsetup remove --retry -f {name}")
    io.run("losetup -d /dev/loop7; rm /run/mapped.img")


def turn_into(io, name, table):
    """Another table for a device in use."""
    io.run(f"cd / && echo '{table}' | chroot /debian dmsetup load {name} && "
           f"chroot /debian dmsetup suspend --noflush {name} && "
           f"chroot /debian dmsetup resume {name}")


SECTORS = 65536
LINEAR = f"0 {SECTORS} linear /dev/loop7 0"
SYNC = "dd if=/dev/zero of=/dev/vdb bs=4k count=1 conv=fsync 2>&1"


def seconds(guest, line):
    out = guest.run(f"a=$(cut -d' ' -f1 /proc/uptime); {line}; "
                    f"echo from $a to $(cut -d' ' -f1 /proc/uptime)")
    start, end = re.search(r"from (\S+) to (\S+)", out).groups()
    return float(end) - float(start)


@pytest.mark.parametrize("cache, slow", [("Writeback", True), ("Unsafe", False)])
def test_fsync_waits_for_the_hosts_disk_when_it_is_told_to(mapped, guest, cache, slow):
    """Flushes of the host's disk take three seconds, nothing else does."""
    disk = mapped("slow", f"0 {SECTORS} delay /dev/loop7 0 0 /dev/loop7 0 0 /dev/loop7 0 3000")
    guest.drive("slow", disk, cache_type=cache)
    guest.boot()
    took = seconds(guest, SYNC)
    assert (took >= 3) == slow, took
    guest.finish()


def test_a_flush_that_fails_is_an_error_of_fsync(mapped, guest, io):
    disk = mapped("bad", LINEAR)
    guest.drive("bad", disk, cache_type="Writeback")
    guest.boot()
    guest.run(SYNC)
    turn_into(io, "bad", f"0 {SECTORS} error")
    status, out = guest.run(SYNC, check=False)
    assert status != 0 and "error" in out, out
    guest.finish()


# ---- trouble ----

def test_an_error_of_the_hosts_disk_is_one_of_the_guests_and_passes(mapped, image, guest, io):
    guest.drive("bad", mapped("bad", LINEAR), direct=True)
    guest.drive("good", image("good", 16))
    guest.boot()
    read = "dd if=/dev/vdb of=/dev/null bs=64k count=16 iflag=direct 2>&1"
    write = "dd if=/dev/zero of=/dev/vdb bs=64k count=16 oflag=direct 2>&1"
    guest.run(f"{write}; {read}")
    turn_into(io, "bad", f"0 {SECTORS} error")
    for line in read, write:
        status, out = guest.run(line, check=False)
        assert status != 0 and "error" in out, out
        guest.run("dd if=/dev/zero of=/dev/vdc bs=64k count=16 oflag=direct 2>&1")
    turn_into(io, "bad", LINEAR)
    guest.run(f"{write} && {read}")
    guest.finish()


def test_a_full_host_disk_is_an_error_of_that_drive_alone(image, guest, io):
    io.run("mkdir -p /run/small; mount -t tmpfs -o size=8M tmpfs /run/small; "
           "truncate -s 64M /run/small/d")
    try:
        guest.drive("small", "/run/small/d")
        guest.drive("good", image("good", 16))
        guest.boot()
        write = "dd if=/dev/zero of=/dev/vdb bs=1M count=16 oflag=direct 2>&1"
        status, out = guest.run(write, check=False)
        assert status != 0 and "error" in out, out
        guest.run("dd if=/dev/zero of=/dev/vdc bs=1M count=16 oflag=direct 2>&1")
        io.run("mount -o remount,size=64M /run/small")
        guest.run(write)
        guest.finish()
    finally:
        io.run("umount -l /run/small")


def test_a_slow_disk_holds_up_no_other(mapped, image, guest):
    """Each request to one disk takes a second; the other does hundreds meanwhile."""
    guest.drive("slow", mapped("slow", f"0 {SECTORS} delay /dev/loop7 0 1000"), direct=True)
    guest.drive("fast", image("fast", 16), direct=True)
    guest.boot()
    guest.run("dd if=/dev/vdb of=/dev/null bs=4k count=8 iflag=direct > /tmp/slow 2>&1 &")
    took = seconds(guest, "dd if=/dev/vdc of=/dev/null bs=4k count=200 iflag=direct 2>&1; "
                          "ps | grep -q '[d]d if=/dev/vdb'")
    assert took < 4, took
    guest.run("wait", timeout=30)
    assert "8+0 records out" in guest.run("cat /tmp/slow")
    guest.finish()


# ---- what the host changes ----

def test_a_read_only_drive_cannot_be_written(image, guest, io):
    path = image("ro", 4)
    guest.drive("ro", path, is_read_only=True)
    guest.boot()
    assert guest.run("cat /sys/block/vdb/ro").strip() == "1"
    assert guest.run("dd if=/dev/zero of=/dev/vdb bs=4k count=1", check=False)[0] != 0
    guest.finish()
    assert blocks(io, path) == 0


def test_a_drive_grows_and_is_exchanged_while_the_guest_runs(image, guest, io):
    path, other = image("grows", 8), image("other", 24)
    io.run(f"echo other > /tmp/o; dd if=/tmp/o of={other} conv=notrunc 2> /dev/null")
    guest.drive("d", path)
    guest.boot()
    assert guest.run("cat /sys/block/vdb/size").strip() == str(8 * 2048)
    io.run(f"truncate -s 16M {path}")
    guest.ok("PATCH", "/drives/d", {"drive_id": "d", "path_on_host": path})
    wait = "for i in $(seq 50); do [ $(cat /sys/block/vdb/size) = {} ] && break; sleep 0.1; done; "
    guest.run(wait.format(16 * 2048) + "dd if=/dev/zero of=/dev/vdb bs=1M seek=15 count=1 "
              "oflag=direct")
    guest.ok("PATCH", "/drives/d", {"drive_id": "d", "path_on_host": other})
    assert "other" in guest.run(wait.format(24 * 2048) +
                                "dd if=/dev/vdb bs=512 count=1 iflag=direct | head -n 1")
    guest.finish()


def test_a_rate_limit_holds_and_can_be_lifted(image, guest):
    limit = {"bandwidth": {"size": MIB, "refill_time": 1000}}
    guest.drive("d", image("d", 16), rate_limiter=limit)
    guest.boot()
    read = "dd if=/dev/vdb of=/dev/null bs=64k count=64 iflag=direct 2> /dev/null"
    assert 2.5 <= seconds(guest, read) < 6
    guest.ok("PATCH", "/drives/d", {"drive_id": "d", "rate_limiter": {
        "bandwidth": {"size": 0, "refill_time": 0}}})
    assert seconds(guest, read) < 2
    guest.finish()


def test_sixteen_disks_of_odd_sizes(image, guest, io):
    """15 beside the root drive; a rest below a sector is not reachable."""
    image("d0", 0)
    io.run("cd /disks/t; for i in $(seq 0 14); do head -c $((100000 + i)) /dev/zero > d$i; done")
    for i in range(15):
        guest.drive(f"d{i}", f"/disks/t/d{i}")
    guest.boot()
    sizes = guest.run("cat /sys/block/vd[b-p]/size").split()
    assert sizes == ["195"] * 15
    guest.run("for d in /dev/vd[b-p]; do dd if=$d of=/dev/null bs=512 skip=194 iflag=direct "
              "2> /dev/null || exit 1; done")
    interrupts = guest.run("grep virtio /proc/interrupts").splitlines()
    assert len(interrupts) == 16 and len({line.split(":")[0] for line in interrupts}) == 16
    guest.finish()


def test_a_config_file_boots_from_its_root_drive(io, nothing_left):
    with Monitor(io) as first:
        first.drive("root", "/guest/debian.ext4", root=True, is_read_only=True)
        first.configure("xenolith.act=reboot", initrd=None)
        config = first.ok("GET", "/vm/config")
    io.put_text("/run/root.json", json.dumps(config))
    done = io.run("xenolith --config-file /run/root.json --no-api < /dev/null", check=False)
    assert done.returncode == 0, done.stdout
