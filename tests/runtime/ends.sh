#!/bin/sh
# ends.sh PROGRAM - how a program of the runtime ends: status and words.
program=$1
bad=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# ends STATUS HOW [WORDS...]: each of WORDS is in its output.
ends() {
	want=$1 how=$2
	shift 2
	"$program" "$how" >"$log" 2>&1
	got=$?
	if [ $got -ne "$want" ]; then
		echo "$how: status $got, not $want:"; cat "$log"; bad=1
	fi
	for words; do
		grep -qF "$words" "$log" || { echo "$how: does not say '$words':"; cat "$log"; bad=1; }
	done
}

for procs in 1 2 4; do
	export GOMAXPROCS=$procs
	ends 2 deadlock "fatal error: all goroutines are asleep - deadlock!" "goroutine 1 [chan receive]: main" \
		"[chan send]: first" "[select]:" "created by goroutine 1"
	ends 2 exit-deadlock "no goroutines (main called gt_exit) - deadlock!"
	ends 2 others-wait "all goroutines are asleep - deadlock!"
	ends 2 minutes "goroutine 2 [chan receive, 2 minutes]:"
	ends 2 culprit "fatal error: sync: unlock of unlocked mutex" "[running]: culprit" "inner+0x" "goroutine 1 [" \
		"...51 goroutines more..."
	# First the message, then who is at fault.
	[ "$(sed -n '3s/.*: //p' "$log")" = culprit ] && grep -A4 ' culprit$' "$log" | grep -q 'culprit+0x' ||
		{ echo "the goroutine at fault does not stand first:"; head -n 12 "$log"; bad=1; }
	ends 7 status
	ends 0 return
	ends 5 checkpoint
	ends 6 chain
	ends 2 ready-twice "made ready in state"
	ends 0 procs "$procs "
done
unset GOMAXPROCS
case $(readelf -Ws "$program" 2>/dev/null) in
*__asan_init*|*__tsan_init*) ;;
*)
	ends 2 overflow "stack overflow" "deep one [running]" "65536 bytes"
	ends 139 segv
	ends 2 elsewhere "[syscall]: pauses" "in_pause+0x" "[runnable]: spins" "spins_for_ever+0x"
	;;
esac
if command -v taskset >/dev/null; then
	test "$(taskset -c 0 "$program" procs)" = "1 1" || { echo "the affinity mask is not followed"; bad=1; }
fi
exit $bad
