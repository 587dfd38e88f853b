#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds what every dom0 of the lab has in common and prints the directory it is in:
#   vmlinux    Debian's kernel, uncompressed (Xen would need seconds to unpack it)
#   base.cpio  the programs built from ./*.c, busybox, dropbear and the modules listed in ./modules
# The kernel is the package that linux-image-amd64 depends on; apt checks it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
xl_step=lab/dom0
. "$here/../cache.sh"

busybox=/bin/busybox
dropbear=/usr/sbin/dropbear
kernel_arch=amd64
cc=musl-gcc

# The kernel package as NAME=VERSION. Asking apt takes a second, so the answer is
# kept until the lists change.
kernel_package() {
	local kept=$xl_cache/dom0-package lists=/var/lib/apt/lists found
	if [ ! "$kept" -nt "$lists" ]; then
		found=$(apt-cache show --no-all-versions "linux-image-$kernel_arch" |
			sed -nE 's/^Depends: (linux-image-[^ ]+) \(= ([^)]+)\).*/\1=\2/p')
		[ -n "$found" ] || die "apt knows no linux-image-$kernel_arch: apt-get update?"
		mkdir -p "$xl_cache"
		printf '%s\n' "$found" > "$kept.$$"
		mv "$kept.$$" "$kept"
	fi
	cat "$kept"
}

# unpack_kernel BZIMAGE OUT: the ELF file inside; the boot protocol's header tells
# where it is.
unpack_kernel() {
	local setup offset length
	setup=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1")
	offset=$(od -An -tu4 -j $((0x248)) -N 4 "$1")
	length=$(od -An -tu4 -j $((0x24c)) -N 4 "$1")
	# The last four bytes are the unpacked size, which xz takes for garbage.
	tail -c +$(((setup + 1) * 512 + offset + 1)) "$1" | head -c $((length - 4)) |
		xz -dc > "$2" || true
	[ "$(head -c 4 "$2")" = $'\x7fELF' ] || die "no xz-packed ELF file in $1"
}

# Copies the modules listed, without signature (checking one costs dom0 20 ms) and
# debug data, and writes the order in which each group is to be loaded.
copy_modules() {
	local tree=$1 root=$2 release group name file dest
	release=$(ls "$tree/lib/modules")
	dest=$root/lib/modules/$release
	mkdir -p "$dest"
	depmod -b "$tree" "$release"
	cp "$tree/lib/modules/$release/"modules.{order,builtin,builtin.modinfo} "$dest"
	while read -r group name; do
		case $group in '' | '#'*) continue ;; esac
		modprobe -d "$tree" -S "$release" --show-depends "$name" > "$tree/deps" ||
			die "kernel $release has no module $name"
		while read -r _ file _; do
			[ -f "$dest/${file##*/}" ] ||
				strip --strip-debug -o "$dest/${file##*/}" "$file"
			printf '%s\n' "/lib/modules/$release/${file##*/}" >> "$root/lib/modules/load.$group"
		done < "$tree/deps"
	done < "$here/modules"
	for file in "$root"/lib/modules/load.*; do
		awk '!seen[$0]++' "$file" > "$tree/order"
		mv "$tree/order" "$file"
	done
	depmod -b "$root" "$release"
	rm "$dest"/modules.*.bin "$dest"/modules.{order,builtin,builtin.modinfo}
}

# copy_program ROOT FILE: FILE at the same place, with the libraries it asks for.
copy_program() {
	local lib
	install -D "$2" "$1$2"
	ldd "$2" | awk '/=> \//{print $3} /^[ \t]*\//{print $1}' | while read -r lib; do
		install -D "$lib" "$1$lib"
	done
}

compile() {
	"$cc" -std=gnu17 -O2 -Wall -Wextra -Werror -static -s -o "$2" "$1"
}

build() {
	local out=$1 tree=$1/kernel root=$1/root
	mkdir -p "$tree" "$root"/{bin,sbin,usr,dev,proc,sys,run,tmp,root/.ssh,etc/dropbear,lib,out,var/log}
	(cd "$tree" && apt-get -qq -o APT::Sandbox::User=root download "$package" && dpkg-deb -x ./*.deb .)
	unpack_kernel "$tree"/boot/vmlinuz-* "$out/vmlinux"
	copy_modules "$tree" "$root"

	ln -s ../bin ../sbin ../lib "$root/usr/"
	mkdir "$root/lib64"
	install "$busybox" "$root/bin/busybox"
	"$busybox" --list | while read -r name; do
		ln -s busybox "$root/bin/$name" 2> /dev/null || true
	done
	copy_program "$root" "$dropbear"
	compile "$here/init.c" "$root/init"
	compile "$here/relay.c" "$root/bin/lab-relay"
	compile "$here/shell.c" "$root/bin/lab-shell"
	echo 'root:x:0:0:root:/root:/bin/lab-shell' > "$root/etc/passwd"
	echo /bin/lab-shell > "$root/etc/shells"
	echo 'root:x:0:' > "$root/etc/group"
	find "$root" -exec touch -hd @0 {} +
	(cd "$root" && find . -mindepth 1 | LC_ALL=C sort |
		cpio --quiet -o -H newc -R 0:0 --reproducible) > "$out/base.cpio"
	rm -rf "$tree" "$root"
}

if [ "${1-}" = --build ]; then
	package=$2
	build "$3"
	exit
fi
for tool in "$busybox" "$dropbear"; do
	[ -x "$tool" ] || die "$tool is not there: see lab/packages.txt"
done
package=$(kernel_package) || exit 1
key=$(cache_key "$package" "$here/build.sh" "$here/modules" \
	"$here"/*.c "$busybox" "$dropbear")
cache_entry dom0 "$key" bash "$here/build.sh" --build "$package"
