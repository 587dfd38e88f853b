#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Make the root image and print the directory that holds it:
#   rootfs.ext4  64 MiB, sparse: init, Debian's static busybox with all its names
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
xl_step=guest-rootfs
. "$here/../cache.sh"
. "$here/init.sh"

if [ "${1-}" = --build-into ]; then
	init_tree "$2/tree"
	init_ext4 "$2/tree" "$2/rootfs.ext4" 64M
	rm -rf "$2/tree"
	exit
fi
inputs=$(init_inputs)
mapfile -t inputs <<< "$inputs"
cache_entry guest-rootfs "$(cache_key "${inputs[@]}" "$here/rootfs.sh")" \
	"$here/rootfs.sh" --build-into
