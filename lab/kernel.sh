# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced, after cache.sh, by what is made of Debian's own kernel: dom0/build.sh and
# guest/stock.sh. The kernel is the package that linux-image-amd64 depends on; apt checks it.

kernel_arch=amd64

# kernel_package: its NAME=VERSION.
kernel_package() {
	cache_apt "linux-image-$kernel_arch" kernel_ask ||
		die "apt knows no linux-image-$kernel_arch: apt-get update?"
}
kernel_ask() {
	apt-cache show --no-all-versions "linux-image-$kernel_arch" |
		sed -nE 's/^Depends: (linux-image-[^ ]+) \(= ([^)]+)\).*/\1=\2/p'
}

# kernel_tree PACKAGE TREE: the package's content.
kernel_tree() {
	mkdir -p "$2"
	(cd "$2" && apt-get -qq -o APT::Sandbox::User=root download "$1" &&
		dpkg-deb -x ./*.deb . && rm ./*.deb)
}

# kernel_unpack BZIMAGE OUT: the ELF file inside; the boot protocol's header tells
# where it is.
kernel_unpack() {
	local setup offset length
	setup=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1")
	offset=$(od -An -tu4 -j $((0x248)) -N 4 "$1")
	length=$(od -An -tu4 -j $((0x24c)) -N 4 "$1")
	# The last four bytes are the unpacked size, which xz takes for garbage.
	tail -c +$(((setup + 1) * 512 + offset + 1)) "$1" | head -c $((length - 4)) |
		xz -dc > "$2" || true
	[ "$(head -c 4 "$2")" = $'\x7fELF' ] || die "no xz-packed ELF file in $1"
}

# kernel_modules TREE ROOT < LIST: copies the modules of LIST, lines `GROUP NAME`, and what
# they depend on, without signature (checking one costs a guest 20 ms) and debug data, and
# writes the order in which each group is to be loaded into /lib/modules/load.GROUP.
kernel_modules() {
	local tree=$1 root=$2 release group name what file dest
	release=$(ls "$tree/lib/modules")
	dest=$root/lib/modules/$release
	mkdir -p "$dest"
	depmod -b "$tree" "$release"
	cp "$tree/lib/modules/$release/"modules.{order,builtin,builtin.modinfo} "$dest"
	while read -r group name; do
		case $group in '' | '#'*) continue ;; esac
		modprobe -d "$tree" -S "$release" --show-depends "$name" > "$tree/deps" ||
			die "kernel $release has no module $name"
		while read -r what file _; do
			[ "$what" = insmod ] || continue # `builtin` needs nothing
			[ -f "$dest/${file##*/}" ] ||
				strip --strip-debug -o "$dest/${file##*/}" "$file"
			printf '%s\n' "/lib/modules/$release/${file##*/}" >> "$root/lib/modules/load.$group"
		done < "$tree/deps"
	done
	for file in "$root"/lib/modules/load.*; do
		awk '!seen[$0]++' "$file" > "$tree/order"
		mv "$tree/order" "$file"
	done
	depmod -b "$root" "$release"
	rm "$dest"/modules.*.bin "$dest"/modules.{order,builtin,builtin.modinfo}
}
