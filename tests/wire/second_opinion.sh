#!/bin/sh
# second_opinion.sh WRITER READER - what WRITER says it wrote is what READER finds, for each way of writing.
set -e
command -v python3 >/dev/null || { echo "no python3: skipped"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
compare() {
	"$writer" "$dir/t.gtrace" "$dir/want" "$@"
	python3 "$reader" "$dir/t.gtrace" >"$dir/read" || { status=$?; cat "$dir/read" | tail -1; exit $status; }
	grep -Ev '^(FRAME|EVENTS|END) ' "$dir/read" >"$dir/got"
	cmp "$dir/want" "$dir/got" || { echo "differ: $*"; exit 1; }
	tail -1 "$dir/read"
	[ ! -e "$dir/t.gtrace.partial" ] || { echo "partial file left"; exit 1; }
}
writer=$1 reader=$2
compare 0
compare 150000
compare 150000 write
compare 150000 worker
compare 150000 worker write
# More frames than the index holds: neighbours are merged.
compare 132000 each worker
