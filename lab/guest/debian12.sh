#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make a root image of Debian 12 and print the directory that holds it:
#   debian12.ext4  512 MiB, sparse: a minimal system with systemd, as mmdebstrap installs it;
#                  root is logged in on the serial port
# apt checks the packages. The image is kept until this script changes, or the cache is
# cleared: it does not follow Debian's updates.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
xl_step=guest-debian12
. "$here/../cache.sh"

suite=bookworm
# Where this machine's apt gets Debian from; XENOLITH_MIRROR names another place.
mirror=${XENOLITH_MIRROR:-$(apt-get indextargets --format '$(SITE)' \
	'Origin: Debian' 'Label: Debian' | sed -n 1p)}
packages=systemd-sysv,dbus,iproute2,iputils-ping

# customize TREE: what a machine has that has a console and nobody else to ask. Without
# udev no device unit ever comes up, so the console has the getty that does not wait for one.
customize() {
	local units=$1/etc/systemd/system

	printf 'debian\n' > "$1/etc/hostname"
	printf '127.0.0.1 localhost debian\n' > "$1/etc/hosts"
	: > "$1/etc/fstab"
	mkdir -p "$units/console-getty.service.d" "$units/getty.target.wants"
	cat > "$units/console-getty.service.d/login.conf" << 'END'
[Service]
ExecStart=
ExecStart=-/sbin/agetty --autologin root --noclear --keep-baud 115200,38400,9600 - $TERM
END
	ln -sf /lib/systemd/system/console-getty.service "$units/getty.target.wants/"
	ln -sf /lib/systemd/system/multi-user.target "$units/default.target"
	for unit in serial-getty@ttyS0 getty@tty1 systemd-timesyncd; do
		ln -sf /dev/null "$units/$unit.service"
	done
	rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/* "$1"/var/log/*.log
}

build_debian12() {
	local out=$1 tree=$1/tree

	[ -n "$mirror" ] || die "apt knows no mirror of Debian; XENOLITH_MIRROR= names one"
	[ "$(id -u)" = 0 ] || die "unpacking Debian takes root"
	mmdebstrap --quiet --variant=minbase --include="$packages" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$tree" "$mirror"
	customize "$tree"
	truncate -s 512M "$out/debian12.ext4"
	PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -L debian -m 0 -E lazy_itable_init=0 \
		-d "$tree" "$out/debian12.ext4"
	rm -rf "$tree"
	say "debian12.ext4 $(du -k "$out/debian12.ext4" | cut -f 1) KiB on disk"
}

if [ "${1-}" = --build-into ]; then
	build_debian12 "$2"
	exit
fi
command -v mmdebstrap > /dev/null || die "no mmdebstrap (make deps: package mmdebstrap)"
cache_entry guest-debian12 "$(cache_key "$here/debian12.sh")" \
	"$here/debian12.sh" --build-into
