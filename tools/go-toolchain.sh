#!/bin/sh
# go-toolchain.sh VERSION - prints the GOROOT of that version of Go (1.22.12), fetching it as a module when it is missing.
# go-toolchain.sh --all   - prints "VERSION GOROOT" for each of go-versions.txt; tells on stderr which ones it left out. Where the
#                           latest of a minor version is not to be had, the go command's own patch release of it does.
#
# GOPROXY=off keeps it to those at hand.
# A `go` from 1.21 on fetches toolchains itself; an older one can fetch the same module, but leaves it without execute bits.
set -eu
version=${1:?usage: go-toolchain.sh VERSION | --all}

if ! command -v go >/dev/null; then
	echo "go-toolchain.sh: there is no go command: install golang-go" >&2
	exit 1
fi
unset GOROOT
here=$(cd "$(dirname "$0")" && pwd)
cd / # no go.mod may ask for another version

if [ "$version" = --all ]; then
	own=$(GOTOOLCHAIN=local go env GOVERSION)
	grep -v '#' "$here/go-versions.txt" | while read -r version; do
		if root=$("$here/go-toolchain.sh" "$version" 2>/dev/null); then
			echo "$version $root"
		elif [ "${own%.*}" = "go${version%.*}" ]; then
			echo "${own#go} $(GOTOOLCHAIN=local go env GOROOT)"
		else
			echo "Go $version is not here: left out" >&2
		fi
	done
	exit 0
fi
root=$(GOTOOLCHAIN=go$version go env GOROOT 2>/dev/null || true)
if [ -n "$root" ] && [ "$(GOTOOLCHAIN=local "$root/bin/go" env GOVERSION 2>/dev/null)" = "go$version" ]; then
	echo "$root"
	exit 0
fi
module=golang.org/toolchain@v0.0.1-go$version.linux-$(go env GOARCH)
root=$(go env GOMODCACHE)/$module
if [ ! -d "$root" ]; then
	GOFLAGS=-mod=mod GO111MODULE=on go mod download "$module" >&2
fi
if [ ! -x "$root/bin/go" ]; then
	chmod -R u+w "$root/bin" "$root/pkg/tool"
	chmod +x "$root"/bin/* "$root"/pkg/tool/*/*
fi
if [ "$(GOTOOLCHAIN=local "$root/bin/go" env GOVERSION)" != "go$version" ]; then
	echo "go-toolchain.sh: $root does not hold Go $version" >&2
	exit 1
fi
echo "$root"
