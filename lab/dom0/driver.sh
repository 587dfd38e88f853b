#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# lab-driver [NAME ADDRESS [FILES [MIB]]]: start a driver domain, and wait until it is ready. The
# lab's own is the one that /lab/driver describes; NAME is another one beside it, with this
# address, an archive of what it has beside the base image, and this much memory.
#
# Its network is dom0's, by a bridge; its disk is the archive that it unpacks. Its monitor is an
# ordinary one, whose VM has the right to build others.
#
# With LAB_JOB_MIB it has a job, and no network, which the host would work for: wait until it is
# done, and take /out from its second disk, which is of that size.
set -e
name=${1:-driver} address=${2-} files=${3:-/lab/driver/files} mib=${4-}
console=/run/$name.console log=/run/$name.log config=/run/$name.json

# What the domain has said and why it is not there, for the lab's console.
failed() {
	cat "$log" "$console" 2> /dev/null
	echo "lab-driver: $name: $1"
	exit 1
}

if [ "${LAB_JOB_MIB-}" ]; then
	dd if=/dev/null of=/run/out bs=1M seek="$LAB_JOB_MIB" 2> /dev/null
elif [ ! -e /sys/class/net/br0 ]; then
	modprobe -a tun bridge
	ip link add br0 type bridge
	# Otherwise it takes the lowest of its ports' MACs, of which some come and go.
	ip link set br0 address "$(cat /sys/class/net/eth0/address)"
	ip addr flush dev eth0
	ip link set eth0 master br0 up
	ip addr add 10.0.2.15/24 dev br0
	ip link set br0 up
fi

# QEMU remembers the MAC that an address had.
sed -e "s|\"driver0\"|\"${name}0\"|" -e "s|/lab/driver/files|$files|" \
	${address:+-e "s|lab\.driver=[0-9.]*|lab.driver=$address|"} \
	${address:+-e "s|\(\"guest_mac\": \"[^\"]*:\)..\"|\1$(printf %02x "${address##*.}")\"|"} \
	${mib:+-e "s|\"mem_size_mib\": [0-9]*|\"mem_size_mib\": $mib|"} \
	/lab/driver/config.json > "$config"
rm -f "$console" "$log"
setsid xenolith --id "$name" --config-file "$config" --no-api --serial "file:$console" \
	--builder "$(cat /lab/driver/builder)" --log-path "$log" < /dev/null > /dev/null 2>&1 &
monitor=$!
echo "$monitor" > "/run/$name.pid"
if [ "${LAB_JOB_MIB-}" ]; then
	status=0
	wait "$monitor" || status=$?
	# As of a guest that has powered off: docs/exit-status.md.
	[ "$status" = 2 ] || failed "the driver domain ended with $status"
	tar -x -C / -f /run/out || failed "no results"
	exit "$(cat /out/exit)"
fi
# The monitor makes the interface, and has it for as long as it lives.
until ip link set "${name}0" master br0 up 2> /dev/null; do
	kill -0 "$monitor" 2> /dev/null || failed "the monitor has ended"
	sleep 0.02
done
until grep -q 'lab: ready' "$console" 2> /dev/null; do
	kill -0 "$monitor" 2> /dev/null || failed "the driver domain has ended"
	grep -q 'lab: failed' "$console" 2> /dev/null && failed "the driver domain failed"
	sleep 0.1
done
