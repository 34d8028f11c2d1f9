#!/bin/sh
# samples.sh OUT - builds tests/symbols/sample with every Go version at hand, one of each minor version, into OUT:
# NN.P (as built), NN.P-stripped (no symbols), NN.P-pie (position-independent, no symbols), for one version
# NN.P-noinline (nothing inlined, nothing optimised but the runtime).
#
# Toolchains are taken from where Go keeps them; none is fetched unless GTRACE_GO_FETCH=1. Prints what it left out. 77 when
# there is no Go at all.
set -u
out=${1:?usage: samples.sh OUT}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)

command -v go >/dev/null || { echo "Go is not installed: no samples"; exit 77; }
[ "${GTRACE_GO_FETCH:-0}" = 1 ] || export GOPROXY=off
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1

# build NAME FLAG...: not again when the sources are older.
build() {
	name=$1
	shift
	[ -n "$(find "$out/$name" -newer "$here/sample/main.go" 2>/dev/null)" ] && return 0
	(cd "$here/sample" && GOROOT=$goroot GO111MODULE=off GOTOOLCHAIN=local CGO_ENABLED=0 \
		"$goroot/bin/go" build "$@" -o "$out/$name.new" .) && mv "$out/$name.new" "$out/$name"
}

toolchains=$("$root/tools/go-toolchain.sh" --all 2>&1)
newest=$(echo "$toolchains" | sed -n 's/ \/.*//p' | tail -1)
[ -n "$newest" ] || { echo "no Go toolchain to be had: no samples"; exit 77; }
count=0
while read -r version goroot; do
	[ -d "$goroot" ] || { echo "$version $goroot"; continue; }
	build "$version" || exit 1
	build "$version-pie" -buildmode=pie '-ldflags=-s -w' || exit 1
	build "$version-stripped" '-ldflags=-s -w' || exit 1
	# As debuggers ask for it: the runtime then calls what it else inlines.
	[ "$version" != "$newest" ] || build "$version-noinline" '-gcflags=all=-N -l' || exit 1
	count=$((count + 1))
done <<EOF
$toolchains
EOF
echo "$count Go versions"
