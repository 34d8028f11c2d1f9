#!/bin/sh
# smoke.sh - every benchmark once at a tiny size: does it still run? No figure is judged. Part of ./check.
set -eu
cd "$(dirname "$0")/.."
bin=build/release/bin
dir=$(mktemp -d "${TMPDIR:-/tmp}/gtrace-smoke.XXXXXX")
trap 'rm -rf "$dir"' EXIT
$bin/hook 5 1
$bin/window_to_file -n 100000 -r 1 "$dir"
$bin/bench-collect -m 1 -r 2
$bin/convert -n 100000 -r 1 "$dir"
bench/runtime-vs-go.py --bin $bin --quick --rounds 1 --count 2000
bench/runtime-vs-go.py --bin $bin --quick --rounds 1 --count 2000 # says itself when there is no go
if ! command -v go >/dev/null; then
	echo "no go command"
	exit 77
fi
bench/go-cost.py --gtrace $bin/gtrace --rounds 1 --count 20000
