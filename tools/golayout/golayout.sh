#!/bin/sh
# golayout.sh - checks agent/layouts/ against Go toolchains, or makes a table.
#
#   golayout.sh check [TOOLCHAIN...]   compares the tables with these toolchains (default: those of ../go-versions.txt); 1 on a
#                                      difference, 77 when no toolchain can be had
#   golayout.sh make TOOLCHAIN         writes agent/layouts/go1.NN.def
#
# A TOOLCHAIN is a version: 1.26.5. GOPROXY=off keeps it to those at hand.
set -u
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/golayout.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

command -v go >/dev/null || { echo "golayout: Go is not installed: skipped"; exit 77; }
# The reader of DWARF is built by the newest toolchain at hand: DWARF 5 needs Go 1.25 or later.
(cd "$here" && GO111MODULE=off GOTOOLCHAIN=local GOFLAGS= go build -o "$work/golayout" .) || exit 1

# table TOOLCHAIN: the table's text on stdout.
table() {
	goroot=$("$root/tools/go-toolchain.sh" "$1" 2>/dev/null) || return 77
	(cd "$root/tests/symbols/sample" && GOROOT=$goroot GO111MODULE=off GOTOOLCHAIN=local CGO_ENABLED=0 \
		"$goroot/bin/go" build -o "$work/sample" .) || return 1
	"$work/golayout" "$work/sample" "$goroot" "$root/agent/golayout.h" "$root/format/wire/reasons.def"
}

minor() {
	echo "$1" | sed 's/^\(1\.[0-9]*\).*/go\1/'
}

case "${1:-check}" in
make)
	out=$root/agent/layouts/$(minor "$2").def
	table "$2" >"$work/table" || exit 1
	{
		echo "/* $(minor "$2").def - the runtime's layout in $(minor "$2"), made by tools/golayout. */"
		cat "$work/table"
	} >"$out"
	;;
check)
	[ $# -gt 0 ] && shift
	[ $# -gt 0 ] || set -- $("$root/tools/go-toolchain.sh" --all | sed 's/ .*//')
	checked=0
	bad=0
	for toolchain in "$@"; do
		table "$toolchain" >"$work/table"
		case $? in
		0) ;;
		77) echo "golayout: Go $toolchain: not to be had, left out"; continue ;;
		*) echo "golayout: Go $toolchain: failed"; bad=1; continue ;;
		esac
		# A patch release may add a wait reason behind the others, so an older one has fewer: what it has must be ours.
		grep -v '^/\*' "$root/agent/layouts/$(minor "$toolchain").def" >"$work/ours"
		if ! grep -v GT_WAIT_REASONS "$work/table" | grep -vxF -f "$work/ours"; then
			echo "golayout: Go $toolchain: same"
		else
			echo "golayout: Go $toolchain: differs from agent/layouts/$(minor "$toolchain").def"
			bad=1
		fi
		checked=$((checked + 1))
	done
	[ $bad -eq 0 ] || exit 1
	[ $checked -gt 0 ] || { echo "golayout: no toolchain to be had: skipped"; exit 77; }
	;;
*)
	echo "usage: golayout.sh check [TOOLCHAIN...] | make TOOLCHAIN" >&2
	exit 2
	;;
esac
