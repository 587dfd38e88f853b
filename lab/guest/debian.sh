#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make a root image with Debian's test programs and print the directory that holds it:
#   debian.ext4  112 MiB, sparse: rootfs.ext4's content, and the programs below with the
#                libraries that they ask for, as Debian has them
# The packages are those that apt would install on a machine that has none; apt checks them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
xl_step=guest-debian
. "$here/../cache.sh"
. "$here/init.sh"

packages=(fio iperf3 ethtool util-linux dmsetup iproute2 e2fsprogs)
programs=(usr/bin/fio usr/bin/iperf3 usr/sbin/ethtool usr/sbin/blkdiscard usr/sbin/fstrim
	usr/bin/fallocate usr/sbin/dmsetup usr/bin/ip usr/sbin/mke2fs usr/sbin/e2fsck
	usr/sbin/resize2fs)

# apt_install DEBS ARG...: apt-get install as on a machine without packages; what it
# downloads goes to DEBS.
apt_install() {
	local debs=$1
	shift
	apt-get -qq -o Dir::State::status=/dev/null -o "Dir::Cache::archives=$debs" \
		-o APT::Sandbox::User=root -o Debug::NoLocking=1 -o APT::Install-Recommends=0 \
		"$@" install "${packages[@]}" < /dev/null
}

# copy_elf FROM TO FILE: a program or library at the same place, with what it asks for.
copy_elf() {
	local from=$1 to=$2 file=$3 name found
	[ ! -e "$to/$file" ] || [ -L "$to/$file" ] || return 0
	rm -f "$to/$file"
	install -D -m 755 "$from/$file" "$to/$file"
	for name in $(readelf -d "$from/$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p'); do
		found=$(cd "$from" && find usr/lib usr/lib64 -name "$name" -print -quit)
		[ -n "$found" ] || die "no package has $name, which $file needs"
		copy_elf "$from" "$to" "$found"
	done
}

build_debian() {
	local out=$1 debs=$1/debs all=$1/all tree=$1/tree dir file

	mkdir -p "$debs/partial" "$all/usr"/{bin,sbin,lib,lib64}
	apt_install "$debs" -y --download-only
	for dir in bin sbin lib lib64; do
		ln -s "usr/$dir" "$all/$dir"
	done
	# Through tar, which goes by way of the links above.
	for file in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$file" | tar -x -C "$all" --keep-directory-symlink
	done
	init_tree "$tree"
	for file in "${programs[@]}"; do
		# Busybox may have it in the other directory.
		rm -f "$tree"/usr/{bin,sbin}/"${file##*/}"
		copy_elf "$all" "$tree" "$file"
	done
	copy_elf "$all" "$tree" lib64/ld-linux-x86-64.so.2
	init_ext4 "$tree" "$out/debian.ext4" 112M
	rm -rf "$debs" "$all" "$tree"
}

if [ "${1-}" = --build-into ]; then
	build_debian "$2"
	exit
fi
inputs=$(init_inputs)
mapfile -t inputs <<< "$inputs"
# Which versions apt would take, so that an update makes a new image.
list_versions() {
	apt_install /nonexistent -s | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\).*/\1 \2/p'
}
versions=$(cache_apt "$(cache_key "${packages[@]}")" list_versions) ||
	die "apt cannot install ${packages[*]}: apt-get update?"
cache_entry guest-debian "$(cache_key "${inputs[@]}" "$here/debian.sh" "$versions")" \
	"$here/debian.sh" --build-into
