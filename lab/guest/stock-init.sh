#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /init of the initramfs that stock.sh makes. xl's guests run it too, whose console is hvc0.
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev 2> /dev/null
for module in $(busybox cat /lib/modules/load.guest); do
	busybox insmod "$module" || echo "stock: cannot load $module"
done

# Found devices, one a line: bus, device, driver, what came of it.
for bus in virtio xen; do
	for device in /sys/bus/$bus/devices/*; do
		[ -e "$device/driver" ] || continue
		name=$(busybox ls "$device/block" "$device/net" 2> /dev/null)
		# `ls` of two directories prints their names, too.
		name=$(echo "$name" | busybox sed '/:$/d; /^$/d')
		echo "stock: $bus ${device##*/} $(busybox basename "$(busybox readlink \
			"$device/driver")")" $name
	done
done

root=$(busybox sed -n 's/.*\broot=\([^ ]*\).*/\1/p' /proc/cmdline)
[ -n "$root" ] || exec /sbin/init
for _ in 1 2 3 4 5 6 7 8 9 10; do
	[ -b "$root" ] && break
	busybox sleep 0.5
done
busybox mount -t ext4 "$root" /mnt || exec /sbin/init
busybox mount -o move /proc /mnt/proc
busybox mount -o move /sys /mnt/sys
busybox mount -o move /dev /mnt/dev
exec busybox switch_root /mnt /sbin/init
