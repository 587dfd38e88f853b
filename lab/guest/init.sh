# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Sourced by initramfs.sh and rootfs.sh: what both put into their images.

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
