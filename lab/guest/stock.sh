#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make Debian's own kernel, as it comes, startable as a guest and print the directory of:
#   vmlinux         the kernel, unpacked
#   vmlinuz         the kernel as it comes, for a BIOS
#   initramfs.cpio  init, busybox, and the virtio and ext4 modules of that kernel; those for
#                   the power button too, which /lib/modules/load.button lists
# /init is a script (stock-init.sh), which loads the modules, prints the devices that they
# found and goes on to our init: in the image that root= names, or in the initramfs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
xl_step=guest-stock
. "$here/../cache.sh"
. "$here/../kernel.sh"
. "$here/init.sh"

build_stock() {
	local out=$1 tree=$1/tree

	kernel_tree "$package" "$out/kernel"
	kernel_unpack "$out/kernel"/boot/vmlinuz-* "$out/vmlinux"
	cp "$out/kernel"/boot/vmlinuz-* "$out/vmlinuz"
	mkdir -p "$tree"/{bin,sbin,dev,proc,sys,run,tmp,root,mnt}
	kernel_modules "$out/kernel" "$tree" << 'END'
guest virtio_mmio
guest virtio_blk
guest virtio_net
guest xen-blkfront
guest xen-netfront
guest crc32c_generic
guest ext4
button button
button evdev
END
	install -m 755 "$busybox" "$tree/bin/busybox"
	ln -s busybox "$tree/bin/sh"
	init_compile "$tree/sbin/init"
	install -m 755 "$here/stock-init.sh" "$tree/init"
	init_pack "$tree" "$out/initramfs.cpio"
	rm -rf "$tree" "$out/kernel"
	say "$package: initramfs.cpio $(stat -c %s "$out/initramfs.cpio") bytes"
}

if [ "${1-}" = --build-into ]; then
	package=$2
	build_stock "$3"
	exit
fi
package=$(kernel_package) || exit 1
inputs=$(init_inputs)
mapfile -t inputs <<< "$inputs"
key=$(cache_key "${inputs[@]}" "$package" "$here/stock.sh" "$here/stock-init.sh" \
	"$here/../kernel.sh")
cache_entry guest-stock "$key" "$here/stock.sh" --build-into "$package"
