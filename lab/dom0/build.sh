#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds what every dom0 of the lab has in common and prints the directory it is in:
#   vmlinux    Debian's kernel, uncompressed (Xen would need seconds to unpack it)
#   base.cpio  the programs built from ./*.c, busybox, dropbear and the modules listed in ./modules
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
xl_step=lab/dom0
. "$here/../cache.sh"
. "$here/../kernel.sh"

busybox=/bin/busybox
dropbear=/usr/sbin/dropbear
cc=musl-gcc

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
	mkdir -p "$root"/{bin,sbin,usr,dev,proc,sys,run,tmp,root/.ssh,etc/dropbear,lib,out,var/log}
	kernel_tree "$package" "$tree"
	kernel_unpack "$tree"/boot/vmlinuz-* "$out/vmlinux"
	kernel_modules "$tree" "$root" < "$here/modules"

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
	install "$here/driver.sh" "$root/bin/lab-driver"
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
key=$(cache_key "$package" "$here/build.sh" "$here/../kernel.sh" \
	"$here/modules" "$here"/*.c "$here/driver.sh" "$busybox" "$dropbear")
cache_entry dom0 "$key" bash "$here/build.sh" --build "$package"
