#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# newest.sh [TARBALL]: do the patches apply to the newest Xen that Debian has (trixie,
# testing, unstable), and does the result build? Prints one line, tells on standard
# error what did not apply where, and succeeds whatever came out: to be read, not to be
# passed. TARBALL: to that source of Xen instead.
#
# Patches are applied as by `git am -3`, so what merely moved is no trouble. One that
# conflicts stays in with its conflict: those after it then fail only by themselves.
#
# What is the newest is looked up once a day; the answer for that version, these
# patches and this compiler is kept in the cache (lab/cache.sh).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
self=$here/newest.sh
xl_step=xen-newest
. "$here/../lab/cache.sh"

field() { sed -n "s/^$1=//p" "$2/version"; }

# unpack SOURCE: as a commit on the branch that is checked out.
unpack() {
	tar -C "$work" --strip-components=1 -xf "$1"/xen.tar.*
	git add -f -A
	git commit -q -m "xen $(field version "$1")"
}

# apply PATCH: adds to `merged` or to `bad` what is to be told of it.
apply() {
	local log files name=${1%%-*}

	if log=$(git am -q -3 < "$here/$1" 2>&1); then
		[[ $log != *'3-way merge'* ]] || merged="$merged $name"
		return
	fi
	files=$(git diff --name-only --diff-filter=U)
	[ -n "$files" ] || printf '%s\n' "$log" >&2 # no conflict, but worse
	bad="$bad $name (${files//$'\n'/, })"
	say "$1 does not apply: ${files//$'\n'/, }"
	git add -f -A
	git am -q --continue > /dev/null 2>&1 || git am -q --skip
}

# build OUT: the tree with the patches in it; sets $result.
build() {
	local tree=$1/source
	mkdir "$tree"
	git archive --prefix=xen/ -o "$tree/xen.tar.gz" HEAD
	cp "$source/version" "$tree/version"
	if "$here/build.sh" --unpatched --into "$tree" "$1/xen" 2>&1 | tee "$1/log" >&2; then
		result="and the result builds"
	else
		result="but it does not build: $(sed -n 's/^\[xen\] error: //p' "$1/log" | head -n 1)"
	fi
	rm -rf "$tree" "$1/xen"
}

# The builder that cache_entry runs: make_entry SOURCE BASE OUT.
make_entry() {
	local base=$2 out=$3 p n=0
	source=$1 work=$3/git merged='' bad='' result=''
	# A repository of its own, whatever the user's configuration says.
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 GIT_EDITOR=true
	git() { command git -C "$work" -c user.name=newest -c user.email=newest@localhost "$@"; }
	command git init -q "$work"
	# What the patches were made for, for the merges.
	unpack "$base"
	for p in $patches; do
		git am -q < "$here/$p" || die "$p does not apply to what it was made for: check.sh"
	done
	git checkout -q --orphan newest
	git rm -rfq .
	unpack "$source"
	for p in $patches; do
		apply "$p"
		n=$((n + 1))
	done
	if [ -n "$bad" ]; then
		result="of $n patches do not apply:$bad"
	else
		build "$out"
		result="$n patches apply${merged:+, by a merge:$merged;} $result"
	fi
	echo "$result" > "$out/result"
	rm -rf "$work"
}

patches=$(sed -e 's/#.*//' "$here/series")
if [ "${1-}" = --into ]; then
	make_entry "$2" "$3" "$4"
	exit
fi
case $# in
0) ;;
1) [ -f "$1" ] || die "no tarball $1" ;;
*) sed -n '4,/^set /{/^set /d;s/^# \?//p}' "$self" >&2; exit 2 ;;
esac

if [ $# = 1 ]; then
	source=$(mktemp -d)
	trap 'rm -rf "$source"' EXIT
	cp "$1" "$source/xen.tar.${1##*.}"
	printf 'version=%s\nsha256=%s\n' "$(basename "$1")" "$(sha256sum < "$1")" \
		> "$source/version"
else
	source=$(cache_entry xen-newest-source \
		"$(cache_key "$here/BASE" "$here/fetch.sh" "$(date +%F)")" \
		"$here/fetch.sh" --newest) || { echo "newest xen: not known, see above"; exit 0; }
	find "$xl_cache" -maxdepth 1 -name 'xen-newest-source-*' ! -path "$source" \
		-exec rm -rf {} +
fi
version=$(field version "$source")
missing=$(field missing "$source")
name="newest xen: $version${missing:+ (this mirror has no source of ${missing// /, })}"
if [ "$version" = "$(sed -n 's/^version=//p' "$here/BASE")" ]; then
	echo "$name: what the patches were made for"
	exit
fi
base=$(cache_entry xen-source "$(cache_key "$here/BASE" "$here/fetch.sh")" "$here/fetch.sh") ||
	{ echo "$name: not tried, see above"; exit 0; }
inputs=("$self" "$here"/{build.sh,xen.config,series} "$source/version" "$base/version"
	"$(gcc --version | head -n 1)" "$(ld --version | head -n 1)")
for p in $patches; do
	inputs+=("$here/$p")
done
entry=$(cache_entry xen-newest "$(cache_key "${inputs[@]}")" "$self" --into "$source" "$base") ||
	{ echo "$name: trying it failed, see above"; exit 0; }
echo "$name: $(cat "$entry/result")"
