#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# profile.sh [KERNEL_DIR [INITRD]]: what the kernel's start costs, without Xen.
# Boots the kernel through its PVH entry under QEMU's emulator, logs every block that is
# executed and prints the number of instructions from the entry to the first one of
# /init, in all and by function. Exact and repeatable, and minutes long. It does not see
# what Xen adds: exits, and the console. INITRD's /init is the one of bench.cpio.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
xl_step=guest-profile
. "$here/../cache.sh"

kernel=${1:-$("$here/build.sh")}
initrd=${2:-$("$here/initramfs.sh")/bench.cpio}
tmp=$(mktemp -d)
qemu=
trap '[ -z "$qemu" ] || kill $qemu 2> /dev/null || true; rm -rf "$tmp"' EXIT

# The entry is the number of the ELF note Xen, type 0x12; init's entry is its ELF entry.
entry=$(sed -n 's/^ffffffff8\([0-9a-f]*\) . pvh_start_xen$/\1/p' "$kernel/System.map")
(cd "$tmp" && cpio --quiet -i init < "$initrd")
init=$(readelf -h "$tmp/init" | sed -n 's/.*Entry point address: *0x//p')

# Nothing of this machine's that a micro-VM lacks may cost time: a clock that
# answers, and no calibration of the local APIC's timer, for which Xen has its own.
mkfifo "$tmp/log"
timeout "${LIMIT:-600}" qemu-system-x86_64 -M microvm,rtc=on -accel tcg \
	-cpu qemu64,+rdrand,+ssse3,+sse4.1,+sse4.2,+popcnt \
	-icount shift=0,sleep=off -smp 1 -m 128 \
	-kernel "$kernel/vmlinux" -initrd "$initrd" \
	-append "console=ttyS0 quiet nolapic_timer xenolith.act=idle ${APPEND-}" \
	-nodefaults -no-user-config -display none -no-reboot \
	-serial "file:$tmp/console" -d in_asm,exec,nochain -D "$tmp/log" < /dev/null &
qemu=$!

# "IN:" begins the listing of a block, one line an instruction; "Trace" its execution.
awk -v entry="$entry" -v init="$init" '
	function trimmed(hex) { sub(/^(0x)?0*/, "", hex); sub(/:$/, "", hex); return hex }
	/^IN:/ { fresh = 1; next }
	/^0x/ {
		if (fresh) { block = trimmed($1); len[block] = 0; fresh = 0 }
		len[block]++
		next
	}
	/^Trace/ {
		split($0, field, "/")
		pc = trimmed(field[2])
		if (!on && pc == trimmed(entry)) on = 1
		if (!on) next
		if (pc == init) { arrived = 1; exit }
		cost[pc] += len[pc]
	}
	END {
		for (pc in cost) print pc, cost[pc]
		exit !arrived
	}' "$tmp/log" > "$tmp/cost" || { cat "$tmp/console" >&2; die "/init was not reached"; }

{
	awk '$2 ~ /[tTwW]/ { print $1, "=", $3 }' "$kernel/System.map"
	cat "$tmp/cost"
} | LC_ALL=C sort | awk '
	$2 == "=" { name = $3; next }
	{ total += $2; of[length($1) == 16 ? name : "(before paging)"] += $2 }
	END {
		printf "%10d instructions from the entry to /init\n", total
		for (f in of) printf "%10d %s\n", of[f], f
	}' | sort -rn > "$tmp/profile"
head -n "${TOP:-40}" "$tmp/profile"
