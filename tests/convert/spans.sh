#!/bin/sh
# spans.sh GTRACE - from a trace in text to JSON, line by line, which must be JSON: threads on CPUs and the collector's work (spans); a
# goroutine that comes out of its system calls and finds, in each way, that its P is gone (no_p, as Perfetto's states, too).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/gtrace-spans.XXXXXX")
trap 'rm -rf "$dir"' EXIT
for name in spans no_p; do
	"$1" convert "$here/$name.gtt" -o "$dir/$name.gtrace"
	"$1" check "$dir/$name.gtrace"
	"$1" convert "$dir/$name.gtrace" -o "$dir/$name.json"
	diff -u "$here/$name.json" "$dir/$name.json"
done
"$1" convert "$dir/spans.gtrace" --to events -o - | grep -q 'CpuSample g=1 tid=40' || { echo "a sample is not given to the goroutine that ran on its thread"; exit 1; }
if command -v python3 >/dev/null; then
	python3 -m json.tool "$dir/spans.json" >/dev/null
	"$1" convert "$dir/no_p.gtrace" -o "$dir/no_p.pftrace"
	python3 "$here/pftrace.py" "$dir/no_p.pftrace" | sed -n 's/.*timestamp=\([0-9]*\).*state{\(.*\) prio.*/\1 \2/p' >"$dir/no_p.states"
	diff -u "$here/no_p.states" "$dir/no_p.states"
fi
