# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts that build something slow (hypervisor, kernels).
#
# An entry is a directory NAME-KEY under the cache, where KEY is a hash of
# everything that goes into it. It is built in a directory beside it and renamed
# into place, so an interrupted build leaves no half entry; a lock per NAME lets
# two builds of the same thing wait for each other.

xl_cache=${XENOLITH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/xenolith}

say() { printf '[%s] %s\n' "${xl_step:-xenolith}" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# cache_key INPUT...: a key made of strings, and of the names and contents of those
# that are files.
cache_key() {
	local a
	for a in "$@"; do
		if [ -f "$a" ]; then
			printf '%s ' "${a##*/}"
			sha256sum < "$a"
		else
			printf '%s\n' "$a"
		fi
	done | sha256sum | cut -c1-16
}

# cache_build NAME KEY BUILDER [ARG...]: make the entry, unless somebody else just did.
cache_build() {
	local name=$1 key=$2 tmp start
	shift 2
	(
		flock 9
		[ ! -d "$xl_cache/$name-$key" ] || exit 0
		# Of a key each, so that what has a longer name is left alone.
		rm -rf "$xl_cache/.building-$name"-????????????????
		tmp=$xl_cache/.building-$name-$key
		mkdir -p "$tmp"
		start=$SECONDS
		"$@" "$tmp" >&2 9>&- || {
			rm -rf "$tmp"
			die "building $name failed"
		}
		mv "$tmp" "$xl_cache/$name-$key"
		say "$name built in $((SECONDS - start)) s"
	) 9> "$xl_cache/.lock-$name"
}

# cache_entry NAME KEY BUILDER [ARG...]: print the path of the entry; when it is
# not there yet, run `BUILDER ARG... OUTDIR` first. BUILDER is a program, no shell
# function (`set -e` would not hold in one here); its standard output goes to
# standard error. Fails, leaving nothing, when BUILDER fails.
cache_entry() {
	local name=$1 key=$2 entry
	shift 2
	entry=$xl_cache/$name-$key
	mkdir -p "$xl_cache" || die "cannot create cache directory $xl_cache"
	if [ ! -d "$entry" ]; then
		cache_build "$name" "$key" "$@" || return 1
	fi
	touch "$entry"
	printf '%s\n' "$entry"
}

# cache_apt NAME COMMAND [ARG...]: what the command prints, an answer of apt's, which takes
# seconds and is therefore kept until apt's lists change. Fails when it prints nothing.
cache_apt() {
	local kept=$xl_cache/.apt-$1
	shift
	if [ ! "$kept" -nt /var/lib/apt/lists ]; then
		mkdir -p "$xl_cache"
		"$@" > "$kept.$$" && [ -s "$kept.$$" ] || { rm -f "$kept.$$"; return 1; }
		mv "$kept.$$" "$kept"
	fi
	cat "$kept"
}
