#!/bin/sh
# faults.sh PROGRAM CASE - runs one case of faults.c, some times with other numbers of Ps; each has its status and its words.
program=$1 case=$2
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# ends STATUS WORDS...
ends() {
	want=$1
	shift
	timeout 120 "$program" $case >"$out" 2>&1
	got=$?
	[ $got != 77 ] || { cat "$out"; exit 77; }
	if [ $got != "$want" ]; then
		echo "$case, GOMAXPROCS=${GOMAXPROCS:-}: status $got, not $want:"
		head -n 60 "$out"
		exit 1
	fi
	for words; do
		grep -qF -- "$words" "$out" || { echo "$case: does not say '$words':"; head -n 60 "$out"; exit 1; }
	done
}
for procs in 1 2 4; do
	export GOMAXPROCS=$procs
	case $case in
	memory)
		ends 2 "fatal error: no memory for the stack of a goroutine (there are " "goroutine 1 [running]: main" "goroutines more..."
		[ "$(wc -l <"$out")" -lt 2000 ] || { echo "the list is long: $(wc -l <"$out") lines"; exit 1; }
		;;
	max-threads) ends 2 "fatal error: program exceeds 8-thread limit" "[syscall]" "blocks_its_thread+0x" ;;
	nproc) ends 2 "fatal error: cannot start a thread: " ;;
	fork)
		ends 0 good "fatal error: a gt_ call after fork"
		[ "$(grep -c 'a gt_ call after fork' "$out")" = 6 ] || { cat "$out"; exit 1; }
		;;
	affinity)
		unset GOMAXPROCS # fixes it
		ends 0
		exit 0
		;;
	*) ends 0 good ;;
	esac
done
