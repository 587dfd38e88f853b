#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# build.sh [--debug] [--unpatched]: print the path of a directory that holds a
# hypervisor built from Debian 13's Xen source and the patches of `series`:
#
#   xen            for QEMU's -kernel, or a multiboot loader
#   xen-syms       the same with symbols, for gdb and addr2line
#   include/xen/   its public headers: -I$(build.sh)/include
#   config         its configuration
#   version        version of the source package, patches, kind of build
#
# It is built when it is not in the cache yet (lab/cache.sh). --debug: with Xen's
# assertions. --unpatched: the same source and configuration without the patches.
#
# Only the upstream tarball is used: the patches of the Debian package touch the
# tools, their installation and the version string, none of which is built here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/build.sh
xl_step=xen
. "$here/../lab/cache.sh"

usage() { sed -n '4,/^set /{/^set /d;s/^# \?//p}' "$self" >&2; exit 2; }

# apply_patches TREE: sets $applied.
apply_patches() {
	local p log
	applied=
	for p in $patches; do
		if ! log=$(patch -d "$1" -p1 --forward --no-backup-if-mismatch \
			< "$here/$p" 2>&1); then
			printf '%s\n' "$log" >&2
			say "error: $p does not apply to xen $version:"
			find "$1" -name '*.rej' | while read -r rej; do
				rej=${rej#"$1/"}
				say "error:   rejected in ${rej%.rej}"
			done
			exit 1
		fi
		applied="$applied ${p%.patch}"
	done
}

# check_config FILE: every line of xen.config (and of the debug option) took effect.
check_config() {
	local line bad=
	while read -r line; do
		case $line in
		CONFIG_*=*) grep -qxF "$line" "$1" || bad="$bad$line; " ;;
		'# CONFIG_'*' is not set')
			# An option whose dependencies are off is not listed at all.
			line=${line#'# '}
			! grep -q "^${line%% *}=" "$1" || bad="$bad$line; " ;;
		esac
	done < "$2"
	[ -z "$bad" ] || die "options that did not take effect: $bad"
}

# The builder that cache_entry runs: make_entry DEBUG SOURCE OUTDIR.
make_entry() {
	local debug=$1 source=$2 out=$3 tree=$3/tree start=$SECONDS n
	mkdir -p "$tree"
	tar -C "$tree" --strip-components=1 -xf "$source"/xen.tar.*
	apply_patches "$tree"
	n=$(wc -w <<< "$applied")
	say "xen $version unpacked, $n patches applied"

	cat "$here/xen.config" > "$out/fragment"
	echo "CONFIG_DEBUG=$debug" | sed 's/^\(.*\)=n$/# \1 is not set/' \
		>> "$out/fragment"
	# Nothing of this machine goes into the file.
	export XEN_BUILD_DATE='(none)' XEN_BUILD_TIME='' XEN_BUILD_HOST=xenolith \
		XEN_WHOAMI=xenolith XEN_DOMAIN='' XEN_VENDORVERSION=-xenolith
	KCONFIG_ALLCONFIG=$out/fragment make -C "$tree/xen" -s alldefconfig \
		> "$out/log" 2>&1 ||
		{ cat "$out/log" >&2; die "configuring xen failed"; }
	check_config "$tree/xen/.config" "$out/fragment"

	say "building with $(nproc) jobs (about 80 s on 2 cores)"
	make -C "$tree/xen" -j"$(nproc)" > "$out/log" 2>&1 || {
		grep -nE 'error|Error' "$out/log" >&2 || tail -n 40 "$out/log" >&2
		die "building xen failed"
	}
	cp "$tree/xen/xen" "$out/xen"
	cp "$tree/xen/xen-syms" "$out/xen-syms"
	cp "$tree/xen/.config" "$out/config"
	mkdir -p "$out/include/xen/sys"
	cp -R "$tree/xen/include/public/." "$out/include/xen/"
	cp "$tree"/tools/include/xen-sys/Linux/*.h "$out/include/xen/sys/"
	find "$out/include" -type f ! -name '*.h' -delete
	printf 'version=%s\npatches=%s\ndebug=%s\n' \
		"$version" "${applied# }" "$debug" > "$out/version"
	rm -rf "$tree" "$out/fragment" "$out/log"
	say "xen: $(stat -c %s "$out/xen") bytes after $((SECONDS - start)) s"
}

debug=n
patched=y
builder=
while [ $# -gt 0 ]; do
	case $1 in
	--debug) debug=y ;;
	--unpatched) patched=n ;;
	--into) builder=y; break ;;
	*) usage ;;
	esac
	shift
done

patches=
[ "$patched" = n ] ||
	patches=$(sed -e 's/#.*//' "$here/series")

if [ -n "$builder" ]; then
	version=$(sed -n 's/^version=//p' "$2/version")
	make_entry "$debug" "$2" "$3"
	exit
fi

missing=
for tool in gcc ld make flex bison python3 patch; do
	command -v "$tool" > /dev/null || missing="$missing $tool"
done
[ -z "$missing" ] ||
	die "missing:$missing; the packages are in hypervisor-patches/packages.txt"

source=$(cache_entry xen-source "$(cache_key "$here/BASE" "$here/fetch.sh")" \
	"$here/fetch.sh")

options=()
name=xen
[ "$debug" = n ] || { options+=(--debug); name=$name-debug; }
[ "$patched" = y ] || { options+=(--unpatched); name=$name-unpatched; }
inputs=("$self" "$here/xen.config" "$source/version" "$debug"
	"$(gcc --version | head -n 1)" "$(ld --version | head -n 1)")
for p in $patches; do
	[ -f "$here/$p" ] || die "series names $p, which does not exist"
	inputs+=("$here/$p")
done
cache_entry "$name" "$(cache_key "${inputs[@]}")" \
	"$self" "${options[@]}" --into "$source"
