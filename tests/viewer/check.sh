#!/bin/sh
# check.sh security|page|go|large GTRACE VIEWER_SAMPLE [C_PROGRAM] - gives a running `gtrace view` to strangers, or to Chromium. Exit 77: something is missing.
set -eu
check=$1 gtrace=$2 sample=$3
here=$(cd "$(dirname "$0")" && pwd)
tools=${GTRACE_BUILD_DIR:-.}/test-tools
skip() { echo "skipped: $*"; exit 77; }

command -v node >/dev/null || skip "node is not installed"
dir=$(mktemp -d "${TMPDIR:-/tmp}/gtrace-viewer.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$sample" "$dir/hostile.gtrace" hostile
if [ "$check" = security ]; then
	node "$here/check-security.mjs" "$gtrace" "$dir/hostile.gtrace"
	exit
fi
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "Chromium is not installed"
mkdir -p "$tools"
if [ ! -e "$tools/catapult/good" ]; then
	command -v npm >/dev/null || skip "npm is not installed"
	# Two tests may come here at once: each makes its own, and the last to be ready is kept.
	sh "$here/../tools/get-catapult.sh" "$dir/catapult" >"$dir/log" 2>&1 || skip "no playwright-core: $(tail -n 1 "$dir/log")"
	playwright=$dir/catapult
else
	playwright=$tools/catapult
fi
case $check in
large)
	"$sample" "$dir/crowd.gtrace" crowd 10000000 100000
	only=crowd,chain ;;
go)
	# Its tasks, regions and logs are those of runtime/trace.
	command -v go >/dev/null || skip "there is no Go toolchain"
	(cd "$here/../programs/marks" && GOFLAGS=-mod=mod GOWORK=off go build -o "$dir/marks" .) >"$dir/log" 2>&1 ||
		skip "the Go program cannot be built: $(tail -n 1 "$dir/log")"
	# LeakSanitizer would stop threads by ptrace: the recorder needs that itself.
	(cd "$dir" && ASAN_OPTIONS=detect_leaks=0 timeout 100 "$gtrace" record --events=default,syscalls,alloc -o "$dir/go.gtrace" ./marks) >"$dir/log" 2>&1 ||
		{ cat "$dir/log"; exit 1; }
	only=recordings ;;
*)
	"$sample" "$dir/crowd.gtrace" crowd 120000 3000
	"$sample" "$dir/told.gtrace" told
	"$gtrace" convert "$here/cpus.gtt" -o "$dir/cpus.gtrace"
	"$gtrace" convert "$here/../analysis/golden.gtt" -o "$dir/shop.gtrace"
	# One of the C runtime's, one of Go's own format, where they can be had.
	if [ -n "${4:-}" ] && [ -x "${4:-}" ]; then
		timeout 60 "$gtrace" record -o "$dir/c.gtrace" "$4" >/dev/null 2>&1 || rm -f "$dir/c.gtrace"
	fi
	cp "$here/../fuzz/corpus/gotrace/tiny-go1.27.3.trace" "$dir/go.trace"
	only= ;;
esac
GT_ONLY=${GT_ONLY:-$only} node "$here/check-page.mjs" "$playwright" "$chromium" "$gtrace" "$dir" ${GT_SCREENSHOTS:-}
