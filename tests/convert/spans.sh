#!/bin/sh
# spans.sh GTRACE - threads on CPUs and the collector's work, from a trace in text to JSON, line by line; which must be JSON.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/gtrace-spans.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1" convert "$here/spans.gtt" -o "$dir/spans.gtrace"
"$1" check "$dir/spans.gtrace"
"$1" convert "$dir/spans.gtrace" -o "$dir/spans.json"
diff -u "$here/spans.json" "$dir/spans.json"
"$1" convert "$dir/spans.gtrace" --to events -o - | grep -q 'CpuSample g=1 tid=40' || { echo "a sample is not given to the goroutine that ran on its thread"; exit 1; }
if command -v python3 >/dev/null; then
	python3 -m json.tool "$dir/spans.json" >/dev/null
fi
