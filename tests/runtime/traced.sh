#!/bin/sh
# traced.sh GTRACE TRACED OTHERS... - a trace of the runtime is possible and complete, and of TRACED holds what it says it did.
gtrace=$1 traced=$2
shift 2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bad=0

fail() {
	echo "$1"
	cat "$folder/out" "$folder/err"
	bad=1
}

record() {
	"$gtrace" record -o "$folder/t.gtrace" "$@" >"$folder/out" 2>"$folder/err" || fail "$*: status $?"
	"$gtrace" check "$folder/t.gtrace" >>"$folder/err" 2>&1 || fail "$*: not possible"
	"$gtrace" info "$folder/t.gtrace" >>"$folder/err" 2>&1
	grep -q 'complete  *yes' "$folder/err" || fail "$*: not complete"
}

GOMAXPROCS=1 record "$traced"
# On a slow machine a slice may end, and a system call lose its P: then there are more of two kinds.
while read -r kind number; do
	got=$(sed -n "s/.*$kind \([0-9][0-9]*\).*/\1/p" "$folder/err" | head -1)
	case $kind in
	GoRun | GoYield) test "${got:-0}" -ge "$number" ;;
	*) test "${got:-0}" -eq "$number" ;;
	esac || fail "the program made $kind $number times, the trace has ${got:-none}"
done <"$folder/out"
for procs in 1 2 3; do
	for program; do
		# Words: the program and its arguments.
		GOMAXPROCS=$procs record $program
	done
done
exit $bad
