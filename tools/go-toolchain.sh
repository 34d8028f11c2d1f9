#!/bin/sh
# go-toolchain.sh VERSION - prints the GOROOT of that version of Go (1.22.12), fetching it as a module when it is missing.
#
# A `go` from 1.21 on fetches toolchains itself; an older one can fetch the same module, but leaves it without execute bits.
set -eu
version=${1:?usage: go-toolchain.sh VERSION}

if ! command -v go >/dev/null; then
	echo "go-toolchain.sh: there is no go command: install golang-go" >&2
	exit 1
fi
unset GOROOT
cd / # no go.mod may ask for another version
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
