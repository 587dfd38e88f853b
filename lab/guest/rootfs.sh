#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make the root image and print the directory that holds it:
#   rootfs.ext4  64 MiB, sparse: init, Debian's static busybox with all its names
# mke2fs fills it from a tree, so neither a loop device nor mounting is needed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
xl_step=guest-rootfs
. "$here/../cache.sh"
. "$here/init.sh"
PATH=$PATH:/usr/sbin:/sbin
size=64M

build_rootfs() {
	local out=$1 tree=$1/tree name

	mkdir -p "$tree"/{bin,sbin,etc,dev,proc,sys,run,tmp,root,mnt,usr/bin,usr/sbin}
	chmod 1777 "$tree/tmp"
	chmod 700 "$tree/root"
	init_compile "$tree/sbin/init"
	install -m 755 "$busybox" "$tree/bin/busybox"
	for name in $("$busybox" --list-full); do
		case $name in
		bin/busybox | sbin/init | linuxrc) ;;
		*) ln -s /bin/busybox "$tree/$name" ;;
		esac
	done
	printf 'root:x:0:0:root:/root:/bin/sh\n' > "$tree/etc/passwd"
	printf 'root:x:0:\n' > "$tree/etc/group"
	printf 'xenolith\n' > "$tree/etc/hostname"
	printf '127.0.0.1 localhost\n' > "$tree/etc/hosts"

	truncate -s $size "$out/rootfs.ext4"
	mke2fs -q -F -t ext4 -L xenolith -m 0 -E root_owner=0:0,lazy_itable_init=0 \
		-d "$tree" "$out/rootfs.ext4"
	rm -rf "$tree"
	say "rootfs.ext4 $(du -k "$out/rootfs.ext4" | cut -f 1) KiB on disk"
}

if [ "${1-}" = --build-into ]; then
	build_rootfs "$2"
	exit
fi
inputs=$(init_inputs)
mapfile -t inputs <<< "$inputs"
cache_entry guest-rootfs "$(cache_key "${inputs[@]}" "$here/rootfs.sh")" \
	"$here/rootfs.sh" --build-into
