#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Start the driver domain that /lab/driver describes, and wait until it is ready. Its network
# is dom0's, by a bridge; its disk is the archive that it unpacks. Its monitor is an ordinary
# one, whose VM has the right to build others.
set -e
console=/run/driver.console

# What the domain has said and why it is not there, for the lab's console.
failed() {
	cat /run/driver.log "$console" 2> /dev/null
	echo "lab-driver: $1"
	exit 1
}

modprobe -a tun bridge
ip link add br0 type bridge
ip addr flush dev eth0
ip link set eth0 master br0 up
ip addr add 10.0.2.15/24 dev br0
ip link set br0 up

setsid xenolith --id driver --config-file /lab/driver/config.json --no-api \
	--serial "file:$console" --log-path /run/driver.log < /dev/null > /dev/null 2>&1 &
monitor=$!
# The monitor makes the interface, and has it for as long as it lives.
until ip link set driver0 master br0 up 2> /dev/null; do
	kill -0 "$monitor" 2> /dev/null || failed "the monitor has ended"
	sleep 0.02
done
until grep -q 'lab: ready' "$console" 2> /dev/null; do
	kill -0 "$monitor" 2> /dev/null || failed "the driver domain has ended"
	grep -q 'lab: failed' "$console" 2> /dev/null && failed "the driver domain failed"
	sleep 0.1
done
