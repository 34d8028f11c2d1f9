#!/bin/sh
# valgrind.sh PROGRAM [ARG...] - memcheck finds nothing in a program of the runtime: its stacks are told to it.
command -v valgrind >/dev/null || { echo "valgrind is not installed"; exit 77; }
valgrind --error-exitcode=9 -q true 2>/dev/null || { echo "valgrind does not start here"; exit 77; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
valgrind --error-exitcode=9 --leak-check=no --trace-children=no "$@" >"$log" 2>&1
status=$?
if [ $status = 77 ]; then
	grep -v '^==' "$log"
	exit 77
fi
if [ $status != 0 ] || ! grep -q 'ERROR SUMMARY: 0 errors' "$log" || grep -q 'switching stacks' "$log"; then
	cat "$log"
	exit 1
fi
