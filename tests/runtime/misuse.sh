#!/bin/sh
# misuse.sh PROGRAM SOURCE - each case of misuse.c ends with status 2, its message, and goroutine 1 listed with its reason.
program=$1
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
failed=0
cases=0
sed -n 's/.*CASE("\([a-z-]*\)") \/\* \(.*\) \[\(.*\)\] \*\/.*/\1|\2|\3/p' "$2" >"$out.cases"
trap 'rm -f "$out" "$out.cases"' EXIT
while IFS='|' read -r name message reason; do
	cases=$((cases + 1))
	timeout 120 "$program" "$name" </dev/null >/dev/null 2>"$out"
	status=$?
	[ $status = 2 ] || { echo "$name: status $status, not 2"; failed=1; }
	[ "$(head -n 1 "$out")" = "$message" ] || { echo "$name: '$(head -n 1 "$out")', not '$message'"; failed=1; }
	[ -z "$reason" ] || grep -qF "goroutine 1 [$reason]" "$out" || {
		echo "$name: goroutine 1 is not in [$reason]:"
		grep '^goroutine 1 ' "$out"
		failed=1
	}
done <"$out.cases"
[ $cases -ge 20 ] || { echo "only $cases cases were found in $2"; failed=1; }
exit $failed
