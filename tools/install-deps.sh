#!/bin/sh
# install-deps.sh build|tests|go ... - installs what is missing on Debian or Ubuntu, and says so. The one place that knows packages.
#
# As root, or by sudo. Nothing is done for what is already there; where apt is not, or no right to use it, one line says what to install.
# Exit status 1 when what a build needs is missing; without one of the others, the tests that need it are skipped.
set -eu

missing=
need() { # need PACKAGE TEST...: the package, when the test fails
	package=$1
	shift
	"$@" >/dev/null 2>&1 || missing="$missing $package"
}
has() { command -v "$1"; }
lib() { pkg-config --exists "$1"; }
header() { echo "#include <$1>" | cc -E -; }

# Not named build, tests, go: `command -v go' would find the function.
for_build() {
	need build-essential has cc
	need build-essential has make
	need cmake has cmake
	need ninja-build has ninja
	need pkg-config has pkg-config
	need libzstd-dev lib libzstd
	need liburing-dev lib liburing
	need zlib1g-dev lib zlib
	need libelf-dev lib libelf
	need libdw-dev lib libdw
	need libzydis-dev header Zydis/Zydis.h
	need libmicrohttpd-dev lib libmicrohttpd
}
for_tests() {
	for_build
	need git has git
	need clang has clang
	need clang-format-14 has_clang_format
	need libcriterion-dev lib criterion
	need libjansson-dev lib jansson
	need python3 has python3
	need nodejs has node
	need npm has npm
	need chromium has_chromium
	need man-db has man
	need wrk has wrk
	need zstd has zstd
	need mandoc has mandoc
	need strace has strace
	need gdb has gdb
	need valgrind has valgrind
	need libc6-dbg has_libc_symbols # without them valgrind sees errors in libc
	need gcc-aarch64-linux-gnu has aarch64-linux-gnu-gcc
	need libc6-dev-arm64-cross test -e /usr/aarch64-linux-gnu/include/stdio.h
	need qemu-user has qemu-aarch64
	for_go
}
for_go() {
	need golang-go has go
	need ca-certificates test -d /etc/ssl/certs
}
has_clang_format() { has clang-format-14 || clang-format --version | grep -q 'version 14\.'; }
has_libc_symbols() { ls /usr/lib/debug/.build-id/* || ls /usr/lib/debug/lib*/*; }
has_chromium() { has chromium || has chromium-browser || has google-chrome; }

for group in "$@"; do
	case $group in
	build | tests | go) for_$group ;;
	*)
		echo "usage: install-deps.sh build|tests|go ..." >&2
		exit 2
		;;
	esac
done
[ -n "$missing" ] || exit 0
missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
missing=${missing% }
if ! has apt-get >/dev/null; then
	echo "install-deps.sh: there is no apt-get here: install these with this system's package manager (Debian's names): $missing" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	sudo=sudo
	[ -t 0 ] || sudo="sudo -n" # nobody is there to type a password
	if ! has sudo >/dev/null || ! $sudo true 2>/dev/null; then
		echo "install-deps.sh: only root installs packages, and sudo does not help: as root: apt-get install $missing" >&2
		exit 1
	fi
fi
echo "installing what is missing (apt-get install): $missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
$sudo apt-get update -qq >/dev/null 2>"$log" || echo "install-deps.sh: apt-get update: $(tail -n 1 "$log")" >&2
for package in $missing; do
	# One by one: what a release does not have (clang-format-14, chromium) must not stop the others. By env: sudo drops the environment.
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>"$log" ||
		echo "install-deps.sh: cannot install $package: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")" >&2
done
missing=
case " $* " in *" build "* | *" tests "*) for_build ;; esac
[ -z "$missing" ] || {
	echo "install-deps.sh: gtrace cannot be built without:$missing" >&2
	exit 1
}
