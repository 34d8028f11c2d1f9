#!/bin/sh
# zpack_traced.sh GTRACE ZPACK - recorded as it is, zpack writes the same bytes, and the trace is possible, complete and tells each chunk.
gtrace=$1 zpack=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
i=0
while [ $i -lt 20000 ]; do
	echo "line $i of a text in which much is alike, and its square is $((i * i))"
	i=$((i + 1))
done >text
bad=0
for procs in 1 2 4; do
	GOMAXPROCS=$procs "$zpack" -t 4 -b 64 text plain.zst || bad=1
	GOMAXPROCS=$procs "$gtrace" record -o z.gtrace -- "$zpack" -v -t 4 -b 64 text traced.zst 2>err || { echo "record: status $?"; bad=1; }
	cmp plain.zst traced.zst || bad=1
	"$gtrace" check z.gtrace >>err 2>&1 || { echo "GOMAXPROCS=$procs: not possible"; bad=1; }
	"$gtrace" info z.gtrace >>err 2>&1
	chunks=$(sed -n 's/^zpack: \([0-9]*\) chunks.*/\1/p' err)
	# A region each for read, compress and write; the last read may find nothing.
	for words in 'complete  *yes' "TaskEnd $chunks," "RegionEnd \\($((3 * chunks))\\|$((3 * chunks + 1))\\)\\b"; do
		grep -q "$words" err || { echo "GOMAXPROCS=$procs: no '$words'"; bad=1; }
	done
	[ $bad = 0 ] || { cat err; exit 1; }
done
exit 0
