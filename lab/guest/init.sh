# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by the scripts that make images: what is in all of them.

init_cc=${MUSL_CC:-musl-gcc}
busybox=/bin/busybox

# init_inputs: what the images are made of, for cache_key, one a line.
init_inputs() {
	command -v "$init_cc" > /dev/null || die "no $init_cc (make deps: package musl-tools)"
	[ -x "$busybox" ] || die "no $busybox (make deps: package busybox-static)"
	printf '%s\n' "$here/init.c" "$here/init.sh" "$busybox" "$("$init_cc" --version | head -n 1)"
}

# init_compile OUT: our PID 1. Static, because nothing else is there.
init_compile() {
	"$init_cc" -std=c17 -D_GNU_SOURCE -Os -Wall -Wextra -Wshadow -Wconversion \
		-static -s -o "$1" "$here/init.c"
}

# init_pack TREE OUT: as an initramfs, owned by root and without dates, so that equal
# inputs give equal bytes.
init_pack() {
	find "$1" -exec touch -h -d @0 {} +
	(cd "$1" && find . -mindepth 1 | LC_ALL=C sort |
		cpio --quiet --reproducible --owner=0:0 -o -H newc) > "$2"
}

# init_tree TREE: what a root image begins with: directories, init, busybox with all its
# names. Directories are merged, as in Debian.
init_tree() {
	local tree=$1 name

	mkdir -p "$tree"/{etc,dev,proc,sys,run,tmp,root,mnt,usr/bin,usr/sbin,usr/lib,usr/lib64}
	for name in bin sbin lib lib64; do
		ln -s "usr/$name" "$tree/$name"
	done
	chmod 1777 "$tree/tmp"
	chmod 700 "$tree/root"
	init_compile "$tree/sbin/init"
	install -m 755 "$busybox" "$tree/bin/busybox"
	for name in $("$busybox" --list-full); do
		case $name in
		bin/busybox | sbin/init | linuxrc) ;;
		*) ln -sf /bin/busybox "$tree/$name" ;;
		esac
	done
	printf 'root:x:0:0:root:/root:/bin/sh\n' > "$tree/etc/passwd"
	printf 'root:x:0:\n' > "$tree/etc/group"
	printf 'xenolith\n' > "$tree/etc/hostname"
	printf '127.0.0.1 localhost\n' > "$tree/etc/hosts"
}

# init_ext4 TREE OUT SIZE: the tree as an image. mke2fs fills it, so neither a loop
# device nor mounting is needed.
init_ext4() {
	truncate -s "$3" "$2"
	PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -L xenolith -m 0 \
		-E root_owner=0:0,lazy_itable_init=0 -d "$1" "$2"
	say "${2##*/} $(du -k "$2" | cut -f 1) KiB on disk"
}
