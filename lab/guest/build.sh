#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Build the micro-VM's kernel and print the directory that holds it:
#   vmlinux     uncompressed ELF with the PVH entry note, without symbols
#   System.map  the symbols
#   config      the whole configuration
# The source is the tarball of Debian's package linux-source-6.12, whose signature
# apt checked; the configuration is kernel.config on top of allnoconfig.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
xl_step=guest-kernel
. "$here/../cache.sh"

package=linux-source-6.12
tarball=/usr/src/$package.tar.xz
fragment=$here/kernel.config
jobs=${JOBS:-$(nproc)}

# check_config CONFIG: fail when a line of the fragment did not take effect, because
# of a missing dependency or an option that another one selects.
check_config() {
	local line option bad=0
	while read -r line; do
		case $line in
		CONFIG_*=*) grep -qxF -- "$line" "$1" && continue ;;
		'# CONFIG_'*' is not set')
			option=${line#\# }
			grep -q "^${option%% *}=" "$1" || continue ;;
		*) continue ;;
		esac
		say "kernel.config: no effect: $line"
		bad=1
	done < "$fragment"
	return $bad
}

# watch_build PID LOG: a line every 30 s while PID runs.
watch_build() {
	local next=$((SECONDS + 30))
	while kill -0 "$1" 2> /dev/null; do
		sleep 1
		[ $SECONDS -ge $next ] || continue
		say "$SECONDS s: $(grep -c '^  CC ' "$2" || true) objects compiled"
		next=$((SECONDS + 30))
	done
}

build_kernel() {
	local out=$1 src=$1/src log=$1/log make_pid
	local make=(make -C "$src" KBUILD_BUILD_USER=xenolith KBUILD_BUILD_HOST=lab
		    "KBUILD_BUILD_TIMESTAMP=$stamp" KBUILD_BUILD_VERSION=1)

	mkdir "$src"
	say "unpacking $tarball"
	tar -xJf "$tarball" -C "$src" --strip-components=1
	say "$SECONDS s: configuring"
	"${make[@]}" KCONFIG_ALLCONFIG="$fragment" allnoconfig > "$log" 2>&1 ||
		{ tail -n 20 "$log" >&2; die "configuration failed"; }
	check_config "$src/.config" || die "kernel.config and the kernel disagree"

	say "$SECONDS s: compiling with $jobs jobs (some 1200 objects, minutes)"
	"${make[@]}" -j"$jobs" vmlinux > "$log" 2>&1 &
	make_pid=$!
	watch_build $make_pid "$log"
	wait $make_pid || { grep -B 5 -m 3 -E 'error|Error' "$log" >&2; die "compiling failed"; }

	strip --strip-all -o "$out/vmlinux" "$src/vmlinux"
	cp "$src/System.map" "$out/System.map"
	cp "$src/.config" "$out/config"
	rm -rf "$src" "$log"
	say "$SECONDS s: vmlinux has $(stat -c %s "$out/vmlinux") bytes"
}

version=$(dpkg-query -W -f '${Version}' $package 2> /dev/null) && [ -f $tarball ] ||
	die "package $package is not installed (make deps)"
# The package's own date, so that equal inputs give an equal kernel.
stamp=$(date -u -d "@$(stat -c %Y $tarball)")

if [ "${1-}" = --build-into ]; then
	build_kernel "$2"
	exit
fi
# Of the fragment only what counts, so that a better comment costs no rebuild.
options=$(grep -E '^CONFIG_|^# CONFIG_[A-Z0-9_]+ is not set$' "$fragment")
key=$(cache_key "$package $version" "$(gcc --version | head -n 1)" \
	"$(ld --version | head -n 1)" "$options" "$here/build.sh")
cache_entry guest-kernel "$key" "$here/build.sh" --build-into
