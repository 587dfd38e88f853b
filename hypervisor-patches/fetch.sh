#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fetch.sh [--newest] OUTDIR: put the Xen source of Debian 13 into OUTDIR: the
# upstream tarball `xen.tar.xz`, and `version` with the version of the source package
# and the SHA256 of the tarball. --newest: of the newest that Debian has at all, in
# testing and unstable as well; `version` then names newer ones that could not be had.
#
# A private apt configuration does the work: its own lists, cache and sources, so
# that the machine's sources stay as they are. apt checks the signature of the
# release; the tarball is checked against the SHA256 in that signed index. It is
# downloaded by name and not with `apt-get source`, because some mirrors carry the
# tarballs of a source package but not its .dsc.
#
# XENOLITH_MIRROR, XENOLITH_MIRROR_SECURITY: mirrors other than those the machine's
# own apt uses.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
xl_step=xen-source
. "$here/../lab/cache.sh"

newest=
[ "${1-}" != --newest ] || { newest=y; shift; }
[ $# = 1 ] || { echo "usage: fetch.sh [--newest] OUTDIR" >&2; exit 2; }
out=$(mkdir -p "$1" && cd "$1" && pwd)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
suite=$(sed -n 's/^suite=//p' "$here/BASE")
series=$(sed -n 's/^series=//p' "$here/BASE")
known=$(sed -n 's/^version=//p' "$here/BASE")

[ -r "$keyring" ] || die "$keyring is missing: install debian-archive-keyring"

# mirror LABEL NAME: where this machine's apt gets Debian's LABEL archive from; before
# the first `apt-get update` its label is not known, but what its address ends with is.
mirror() {
	local uri
	uri=$(apt-get indextargets --format '$(SITE)' 'Origin: Debian' \
		"Label: $1" 2> /dev/null | head -n 1) || uri=
	[ -n "$uri" ] || uri=$(find /etc/apt/sources.list* -type f -exec cat {} + |
		sed -nE 's/^(URIs:|deb(-src)?( \[[^]]*\])?)[[:space:]]+//p' |
		grep -oE 'https?://[^ ]+' | grep -m 1 "/$2/*\$") || uri=
	case $uri in
	http://*|https://*) echo "${uri%/}" ;;
	*) die "apt has no source for Debian's archive '$2': name one in $3" ;;
	esac
}

main=${XENOLITH_MIRROR:-$(mirror Debian debian XENOLITH_MIRROR)}
security=${XENOLITH_MIRROR_SECURITY:-$(mirror Debian-Security debian-security \
	XENOLITH_MIRROR_SECURITY)}

apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt"/etc/{preferences.d,sources.list.d} "$apt"/state/lists/partial \
	"$apt"/cache/archives/partial
: > "$apt/state/status"
cat > "$apt/etc/sources.list" << END
deb-src [signed-by=$keyring] $main $suite main
deb-src [signed-by=$keyring] $security $suite-security main
END
[ -z "$newest" ] || for s in testing unstable; do
	echo "deb-src [signed-by=$keyring] $main $s main" >> "$apt/etc/sources.list"
done
chmod -R go+rX "$apt"

opts=(
	-o "Dir::Etc::SourceList=$apt/etc/sources.list"
	-o "Dir::Etc::SourceParts=$apt/etc/sources.list.d"
	-o "Dir::Etc::Preferences=$apt/etc/preferences"
	-o "Dir::Etc::PreferencesParts=$apt/etc/preferences.d"
	-o "Dir::State=$apt/state"
	-o "Dir::State::Lists=$apt/state/lists"
	-o "Dir::State::Status=$apt/state/status"
	-o "Dir::Cache=$apt/cache"
	-o "APT::Sandbox::User=$(id -un)"
	-o "Acquire::Languages=none"
	-o "Acquire::Retries=3"
)

say "reading the source index of Debian $suite${newest:+, testing and unstable} from $main"
update=(apt-get "${opts[@]}" -o APT::Update::Error-Mode=any -qq update)
if ! "${update[@]}"; then
	say "warning: trying without the security suite ($security)"
	sed -i 2d "$apt/etc/sources.list"
	"${update[@]}" ||
		die "cannot read the source index of Debian $suite from $main"
fi

# The archive and its security suite may name different versions, and a mirror need
# not carry the newest: take the newest that is there.
versions=$(apt-cache "${opts[@]}" showsrc xen |
	sed -n 's/^Version: //p' | sort -Vru)
[ -n "$versions" ] || die "Debian $suite has no source package xen"

# download VERSION: fetch its upstream tarball; sets $file and $hash.
download() {
	local uri
	# Lines are: 'URI' FILE SIZE SHA256:HASH
	read -r uri file _ hash < <(
		apt-get "${opts[@]}" -qq source --print-uris "xen=$1" 2> "$apt/log" |
			awk '$2 ~ /\.orig\.tar\.[a-z0-9]+$/'
	) || { say "xen $1 names no upstream tarball"; return 1; }
	uri=${uri#\'}
	uri=${uri%\'}
	case $hash in
	SHA256:*) ;;
	*) say "no SHA256 for $file in the signed index: $hash"; return 1 ;;
	esac
	say "downloading $file"
	/usr/lib/apt/apt-helper "${opts[@]}" download-file "$uri" "$apt/$file" \
		"$hash" > "$apt/log" 2>&1 ||
		{ say "$(sed -n 's/^E: //p' "$apt/log" | head -n 1)"; return 1; }
}

start=$SECONDS
version=
missing=
for v in $versions; do
	case $newest$v in
	y*|"$series".*|"$series"[!0-9]*) ;;
	*) say "passing over xen $v: the patches are for $series.x"; continue ;;
	esac
	if download "$v"; then
		version=$v
		break
	fi
	say "warning: xen $v cannot be had from this mirror, trying an older one"
	missing="$missing $v"
done
[ -n "$version" ] || die "no xen $series.x in Debian $suite can be downloaded"
[ -n "$newest" ] || [ "$version" = "$known" ] ||
	say "warning: this is xen $version; the patches were last tried on $known"

mv "$apt/$file" "$out/xen.tar.${file##*.}"
printf 'version=%s\nfile=%s\nsha256=%s\n' \
	"$version" "$file" "${hash#SHA256:}" > "$out/version"
[ -z "$missing" ] || [ -z "$newest" ] || echo "missing=${missing# }" >> "$out/version"
say "$file: $(stat -c %s "$out/xen.tar.${file##*.}") bytes" \
	"in $((SECONDS - start)) s, checked against the signed index"
