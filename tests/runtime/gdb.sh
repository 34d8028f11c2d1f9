#!/bin/bash
# gdb.sh PROGRAM - gdb lists the goroutines of a live process and of a core, and shows their stacks; a stripped program's too.
set -u
program=$(realpath "$1")
script=$GTRACE_SOURCE_DIR/tools/gdb/gtrace-gdb.py
work=$(mktemp -d)
child=
trap '[ -z "$child" ] || kill -9 $child 2>/dev/null; rm -rf "$work"' EXIT
command -v gdb >/dev/null || { echo "gdb is not installed"; exit 77; }
gdb -q -batch -nx -ex 'python print(1)' 2>/dev/null | grep -qx 1 || { echo "this gdb has no Python"; exit 77; }
bad=0

# wants FILE LABEL REGEX...: each is in a line of the output.
wants() {
	local file=$1 label=$2 what
	shift 2
	for what; do
		grep -qE -- "$what" "$file" || { echo "$label: no line '$what' in:"; cat "$file"; bad=1; }
	done
}
refuses() { grep -qE -- "$3" "$1" && { echo "$2: a line '$3' in:"; cat "$1"; bad=1; }; }

# start PROGRAM: runs it until it says ready.
start() {
	mkfifo "$work/out.$1"
	GOMAXPROCS=2 "$2" </dev/null >"$work/out.$1" 2>"$work/err" &
	child=$!
	exec 3<"$work/out.$1"
	read -r -t 60 line <&3 && [ "$line" = ready ] || { echo "the program did not start: $(cat "$work/err")"; exit 1; }
	exec 3<&-
}
commands=(-ex 'info goroutines' -ex 'goroutine all bt' -ex 'goroutine 1 bt')
# live ARGUMENTS...: lists and shows them, until the main goroutine waits too, which it does only after it said ready.
live() {
	local try
	for try in {1..20}; do
		look -p $child -x "$script" "${commands[@]}" "$@"
		grep -qE '^  1 +\[sync.Mutex.Lock\]' "$work/log" && break
	done
}
look() { gdb -q -batch -nx -iex 'set auto-load off' -iex 'set debuginfod enabled off' "$@" >"$work/log" 2>&1; }
listed=('^  [0-9]+ +\[chan receive\] receiver: receives' '^  [0-9]+ +\[sync.Mutex.Lock\] locker: locks'
	'^\* [0-9]+ +\[syscall\] thread [0-9]+ reader: in_syscall' '^  [0-9]+ +\[sleep\] sleeper: sleeps'
	'\[(running|runnable, stopped by a signal)\] thread [0-9]+ spinner: spins' '^  1 +\[sync.Mutex.Lock\] main: ' '^6 goroutines')

start live "$program"
live -ex 'info threads'
if grep -qE 'ptrace: Operation not permitted|Could not attach' "$work/log"; then
	echo "ptrace is not permitted here"
	exit 77
fi
wants "$work/log" live "${listed[@]}" ' in receives_inner \(depth=7\) at ' ' in receives \(arg=' ' in locks \(' ' in in_syscall \(' ' in sleeps \(' \
	' in spins \(' ' in run \(argc=1' '#[0-9]+ +0x[0-9a-f]+ in gt__g_main'
refuses "$work/log" live '^#[0-9]+ .*\?\?'
receiver=$(sed -n 's/^  \([0-9]*\) *\[chan receive\] receiver.*/\1/p' "$work/log")
level=$(sed -n "/^goroutine $receiver /,/^\$/s/^#\([0-9]*\) .* in receives_inner .*/\1/p" "$work/log")
look -p $child -x "$script" -ex "goroutine $receiver frame ${level:-0} print secret" -ex 'goroutine 99 bt' -ex 'goroutine x bt'
wants "$work/log" live-frame '^\$1 = 4718' 'no goroutine 99' "not a goroutine's id"
# Nothing was changed: the program goes on after gdb.
kill -0 $child || { echo "the program did not survive gdb"; bad=1; }

kill -9 $child
wait $child 2>/dev/null

# core FILE LABEL: what a core shows.
core() {
	look "$program" -c "$1" -x "$script" "${commands[@]}" -ex "goroutine $receiver frame ${level:-0} print secret"
	wants "$work/log" "$2" "${listed[@]:0:5}" '^6 goroutines' ' in receives_inner \(depth=7\) at ' ' in spins \(' '^\$1 = 4718'
	refuses "$work/log" "$2" '^#[0-9]+ .*\?\?'
}

# gdb's own core (it stops to write at a page of the other kind of guard), and the kernel's.
GT_STACK_GUARD=mprotect start mprotect "$program"
look -p $child -ex "generate-core-file $work/gcore"
[ -s "$work/gcore" ] || { echo "gdb wrote no core:"; cat "$work/log"; exit 1; }
core "$work/gcore" gcore
kill -9 $child
wait $child 2>/dev/null
pattern=$(cat /proc/sys/kernel/core_pattern)
case $pattern in
core | core.*)
	mkdir "$work/cores"
	(cd "$work/cores" && ulimit -c unlimited && GOMAXPROCS=2 "$program" abort) >/dev/null 2>&1
	written=$(find "$work/cores" -type f | head -n 1)
	if [ -n "$written" ]; then
		core "$written" core
	else
		echo "no core: limits of this machine"
	fi
	;;
*) echo "the kernel's cores go elsewhere ($pattern): not tried" ;;
esac

if command -v strip >/dev/null; then
	strip --strip-debug "$program" -o "$work/bare"
	start bare "$work/bare"
	live
	wants "$work/log" bare "${listed[@]}" ' in receives_inner \(' ' in locks \(' ' in in_syscall \(' ' in spins \('
	kill -9 $child
	wait $child 2>/dev/null
fi
child=

# What is no program of the runtime is told so.
look "$(command -v sleep)" -x "$script" -ex 'info goroutines'
wants "$work/log" other 'no goroutines'
exit $bad
