#!/bin/bash
# Builds the runtime for aarch64 and runs its plain tests under qemu-user: switch, channels, stealing, timers, I/O, bad ends.
set -u
for tool in aarch64-linux-gnu-gcc qemu-aarch64 cmake; do
	command -v $tool >/dev/null || { echo "$tool is not installed: aarch64 is not tried"; exit 77; }
done
echo '#include <stdio.h>' | aarch64-linux-gnu-gcc -E - >/dev/null 2>&1 || { echo "no C library for aarch64 (libc6-dev-arm64-cross)"; exit 77; }
build=$GTRACE_BUILD_DIR/aarch64
cmake -S "$GTRACE_SOURCE_DIR/tests/aarch64/project" -B "$build" -G Ninja --toolchain "$GTRACE_SOURCE_DIR/cmake/aarch64-linux-gnu.cmake" \
	>"$build.log" 2>&1 && cmake --build "$build" -j 2 >>"$build.log" 2>&1 || { tail -n 40 "$build.log"; exit 1; }
bad=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# runs STATUS WORDS PROGRAM ARG...: ends so, and says WORDS.
runs() {
	local want=$1 words=$2 got
	shift 2
	# 8 GiB of addresses: qemu notes each page of what is reserved.
	timeout 120 qemu-aarch64 -R 0x200000000 "$build/bin/$1" "${@:2}" >"$out" 2>&1 </dev/null
	got=$?
	if [ $got != "$want" ] || { [ -n "$words" ] && ! grep -qF -- "$words" "$out"; }; then
		echo "$*: status $got, wanted $want and '$words':"
		head -n 40 "$out"
		bad=1
	fi
}
for procs in 1 2 4; do
	export GOMAXPROCS=$procs
	runs 0 "sum 6, after 1 tick" install_program
	runs 0 "good" valgrind_program preempt
	runs 2 "all goroutines are asleep" ends deadlock
	runs 2 "waits+0x" ends deadlock
	runs 5 "" ends checkpoint
	runs 6 "" ends chain
	runs 2 "send on closed channel" misuse send-closed
	runs 2 "goroutine 1 [running]" misuse wg-negative
done
GOMAXPROCS=2 runs 0 "" stress 20
GOMAXPROCS=2 runs 0 "" sync_stress 1
GOMAXPROCS=2 runs 0 "" io
GOMAXPROCS=1 runs 0 "0 wrong" preempt spin
[ $bad = 0 ] && echo "the runtime works on aarch64, under $(qemu-aarch64 --version | head -n 1)"
exit $bad
