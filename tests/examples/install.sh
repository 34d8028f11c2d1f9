#!/bin/sh
# install.sh - each example of the runtime, from its own Makefile, against an installed copy, with nothing but pkg-config; and it runs.
set -eu
for tool in pkg-config make zstd; do
	command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$GTRACE_BUILD_DIR" --prefix "$work/copy" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
pc=$(find "$work/copy" -name gtrace-runtime.pc)
[ -n "$pc" ] || { echo "skipped: the runtime is not installed yet"; exit 77; }
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
LD_LIBRARY_PATH=$(pkg-config --variable=libdir gtrace-runtime)
export LD_LIBRARY_PATH
for example in zpack http-server; do
	cp -r "$GTRACE_SOURCE_DIR/examples/$example" "$work/$example"
	make -s -C "$work/$example" CFLAGS='-O2 -Wall -Wextra -Werror -Wno-unused-parameter'
done
"$work/zpack/zpack" "$GTRACE_SOURCE_DIR/README.md" "$work/readme.zst"
zstd -q -d -c "$work/readme.zst" | cmp - "$GTRACE_SOURCE_DIR/README.md"
"$work/http-server/http-server" "$work/none" 2>&1 | grep -q 'cannot open'
echo "the installed copy builds the examples"
