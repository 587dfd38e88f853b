#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check.sh: the series is in order: each patch has a licence line, a sign-off, an
# author, a subject and a message; `series` names exactly the patches there are, in
# order; `git am` takes them without a complaint about white space or an inexact
# match; sizes are as README.md says. Does not build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
xl_step=patches
. "$here/../lab/cache.sh"

failed=0
bad() { say "error: $*"; failed=1; }

patches=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$here/series")
[ "$patches" = "$(cd "$here" && ls [0-9]*.patch)" ] ||
	bad "series does not name the patches of this directory, in their order"

n=0
for p in $patches; do
	n=$((n + 1))
	file=$here/$p
	[ -f "$file" ] || continue
	[ "${p%%-*}" = "$(printf %04d "$n")" ] || bad "$p is not number $n"
	head=$(sed '/^---$/q' "$file")
	grep -qx 'SPDX-License-Identifier: GPL-2.0-only' "$file" ||
		bad "$p has no SPDX line"
	grep -q '^Signed-off-by: .*<.*>$' <<< "$head" || bad "$p is not signed off"
	subject=$(git mailinfo /dev/null /dev/null < "$file" |
		sed -n 's/^Subject: //p')
	case $subject in
	*.) bad "$p: full stop after the subject" ;;
	*:\ *) ;;
	*) bad "$p: subject without a prefix" ;;
	esac
	[ "${#subject}" -le 65 ] || bad "$p: subject is longer than 65 characters"
	words=$(sed '1,/^$/d;/^Signed-off-by/d;/^---$/d' <<< "$head" | wc -w)
	[ "$words" -ge 40 ] || bad "$p: a message of $words words argues for nothing"
	long=$(sed '1,/^$/d' <<< "$head" | grep -v '^Signed-off-by' |
		grep -cE '.{77}' || true)
	[ "$long" = 0 ] || bad "$p: $long lines of the message are too long"
	added=$(grep -cE '^\+([^+]|$)' "$file")
	grep -qE "^\| ${p%%-*} .*\| $added \|" "$here/README.md" ||
		bad "$p adds $added lines: README.md's table says something else"
done

source=$(cache_entry xen-source "$(cache_key "$here/BASE" "$here/fetch.sh")" \
	"$here/fetch.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -C "$work" --strip-components=1 -xf "$source"/xen.tar.*
# A repository of its own, whatever the user's configuration says.
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
git() { command git -C "$work" -c user.name=check -c user.email=check@localhost "$@"; }
command git init -q "$work"
git add -f -A
git commit -q -m base
for p in $patches; do
	# -C3: all of the context matches.
	if ! log=$(git am -q --whitespace=error-all -C3 < "$here/$p" 2>&1); then
		printf '%s\n' "$log" >&2
		bad "$p: git am fails"
		break
	fi
done
[ -z "$(git status --porcelain | head -n 1)" ] || bad "git am left something behind"

[ "$failed" = 0 ] || die "the series is not in order"
say "$n patches apply to xen $(sed -n 's/^version=//p' "$source/version")"
