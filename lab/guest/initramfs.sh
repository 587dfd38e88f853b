#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make the initramfs images and print the directory that holds them:
#   initramfs.cpio  init and Debian's static busybox: a shell to look around with
#   bench.cpio      init alone, so that figures are about the monitor and the kernel
# Neither is compressed. Copying the 2 MB of the first costs the guest 2 million
# instructions, unpacking them 44 million with gzip and 48 with zstd.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
xl_step=guest-initramfs
. "$here/../cache.sh"
. "$here/init.sh"

build_initramfs() {
	local out=$1 tree=$1/tree

	mkdir "$tree"
	init_compile "$tree/init"
	init_pack "$tree" "$out/bench.cpio"

	# Debian's static busybox finds its other programs by itself, so that 270 links,
	# each of which would cost time at every start, are not needed.
	mkdir "$tree/bin" "$tree/root"
	install -m 755 "$busybox" "$tree/bin/busybox"
	ln -s busybox "$tree/bin/sh"
	init_pack "$tree" "$out/initramfs.cpio"
	rm -rf "$tree"
	say "initramfs.cpio $(stat -c %s "$out/initramfs.cpio") bytes," \
		"bench.cpio $(stat -c %s "$out/bench.cpio") bytes"
}

if [ "${1-}" = --build-into ]; then
	build_initramfs "$2"
	exit
fi
inputs=$(init_inputs)
mapfile -t inputs <<< "$inputs"
cache_entry guest-initramfs "$(cache_key "${inputs[@]}" "$here/initramfs.sh")" \
	"$here/initramfs.sh" --build-into
