#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make a root directory with Debian 13's tools of Xen 4.20 and print the directory that
# holds it:
#   xl.tar  xl, xenstored, xenconsoled, QEMU for disks and HVM guests, the hotplug script, start
# What the monitor is measured against: the same guest as `xl` makes it. dom0 is Debian 12,
# whose C library is too old for these programs, so they bring their own, and run in a
# chroot; one tar file, since `lab --put` would look for their libraries here:
#   mkdir /xl && tar -x -C /xl -f xl.tar && /xl/start
#   chroot /xl xl create -F guest.cfg
# See README.md for what a guest.cfg may say.
#
# A private apt configuration does the work, with its own lists and cache: the machine's
# sources stay as they are, apt checks the signature. XENOLITH_MIRROR, XENOLITH_MIRROR_SECURITY:
# mirrors other than those the machine's own apt uses.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
xl_step=lab/xl
. "$here/../cache.sh"

suite=trixie
packages=(xen-utils-4.20 xenstore-utils qemu-system-xen seabios)
bin=usr/lib/xen-4.20/bin
programs=("$bin"/{xl,xenstored,xenconsoled,xen-init-dom0} usr/bin/xenstore
	usr/libexec/xen-qemu-system-i386 lib64/ld-linux-x86-64.so.2)
# What an HVM guest starts with: Xen's loader, its BIOS, and QEMU's ROM for a kernel without disk.
firmware=(usr/lib/xen-4.20/boot/hvmloader usr/share/seabios/bios-256k.bin
	usr/share/qemu/linuxboot_dma.bin)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
busybox=/bin/busybox

# mirror LABEL: where this machine's apt gets Debian's LABEL archive from.
mirror() {
	local uri
	uri=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' "Label: $1" | head -n 1)
	[ -n "$uri" ] || die "apt has no source for $1: apt-get update?"
	echo "$uri"
}

# machine DIR: sets `opts` to what makes apt see a machine of that suite with no packages.
machine() {
	local main security
	main=${XENOLITH_MIRROR:-$(mirror Debian)}
	security=${XENOLITH_MIRROR_SECURITY:-$(mirror Debian-Security)}
	mkdir -p "$1"/etc/{preferences.d,sources.list.d} "$1"/{lists,cache/archives}/partial
	cat > "$1/etc/sources.list" <<- END
		deb [signed-by=$keyring] $main $suite main
		deb [signed-by=$keyring] $security $suite-security main
	END
	opts=(-qq -o "Dir::Etc=$1/etc" -o "Dir::State::Lists=$1/lists"
		-o Dir::State::status=/dev/null -o "Dir::Cache=$1/cache" -o Debug::NoLocking=1
		-o "APT::Sandbox::User=$(id -un)" -o APT::Install-Recommends=0
		-o Acquire::Languages=none -o Acquire::Retries=3)
}

# unpack DIR TREE: the content of the packages and of what they depend on; TREE has Debian's
# merged directories. Through tar, which goes by way of their links.
unpack() {
	local dir file
	say "reading the index of Debian $suite"
	apt-get "${opts[@]}" -o APT::Update::Error-Mode=any update
	say "downloading ${packages[*]} and what they need"
	apt-get "${opts[@]}" -y --download-only install "${packages[@]}" < /dev/null
	mkdir -p "$2/usr"/{bin,sbin,lib,lib64}
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$2/$dir"
	done
	for file in "$1"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$file" | tar -x -C "$2" --keep-directory-symlink
	done
}

# copy FROM TO FILE: a program or library, at the same place, with the libraries it names.
copy() {
	local from=$1 to=$2 file=$3 name found
	[ ! -e "$to/$file" ] || return 0
	install -D "$from/$file" "$to/$file"
	for name in $(readelf -d "$from/$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
		found=$(cd "$from" && find usr/lib usr/lib64 -name "$name" -print -quit)
		[ -n "$found" ] || die "no package has $name, which $file needs"
		copy "$from" "$to" "$found"
	done
}

build() {
	local out=$1 all=$1/all tree=$1/tree file
	machine "$out/apt"
	unpack "$out/apt" "$all"
	mkdir -p "$tree"/{dev,proc,sys,run,tmp,out,guest,etc/xen/scripts,var/lib/xen,var/log/xen} \
		"$tree/usr"/{bin,sbin,lib,lib64}
	for file in bin sbin lib lib64; do
		ln -s "usr/$file" "$tree/$file"
	done
	for file in "${programs[@]}"; do
		copy "$all" "$tree" "$file"
	done
	for file in xl xenstored xenconsoled xen-init-dom0; do
		ln -s "/$bin/$file" "$tree/usr/sbin/$file"
	done
	for file in ls read write rm list exists; do
		ln -s xenstore "$tree/usr/bin/xenstore-$file"
	done
	mkdir -p "$tree/usr/share/qemu"
	cp -r "$all/usr/share/qemu/keymaps" "$tree/usr/share/qemu/" # it ends without one
	for file in "${firmware[@]}"; do
		install -D -m 644 "$all/$file" "$tree/$file"
	done
	ln -s /run "$tree/var/run"
	ln -s /run/lock "$tree/var/lock"
	: > "$tree/etc/xen/xl.conf"
	install "$busybox" "$tree/usr/bin/busybox"
	for file in sh ip stat mkdir sleep; do
		ln -s busybox "$tree/usr/bin/$file"
	done
	for file in block vif-bridge; do
		install "$here/hotplug" "$tree/etc/xen/scripts/$file"
	done
	install "$here/start" "$tree/start"
	tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$tree" -cf "$out/xl.tar" .
	for file in "$out"/apt/cache/archives/{"${packages[0]}","${packages[2]}"}_*.deb; do
		say "from ${file##*/}"
	done
	say "xl.tar: $(stat -c %s "$out/xl.tar") bytes"
	rm -rf "$all" "$tree" "$out/apt"
}

if [ "${1-}" = --build-into ]; then
	build "$2"
	exit
fi
[ -r "$keyring" ] || die "$keyring is missing: see lab/packages.txt"
[ -x "$busybox" ] || die "$busybox is not there: see lab/packages.txt"
key=$(cache_key "$here"/{build.sh,hotplug,start} "$busybox")
cache_entry xl-tools "$key" bash "$here/build.sh" --build-into
