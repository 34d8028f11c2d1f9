#!/bin/sh
# convert-peers.sh BUILD [DIRECTORY] - `convert` beside the converters of two other tracers, on this machine, one after the other:
#   babeltrace2   a CTF trace of one-line messages -> text   (the trace is made by babeltrace2 itself; GT_CTF=DIR takes another)
#   uftrace       a record of function calls -> Chrome's JSON
# A peer that is not installed is said and left out. Times are of the user's CPU: all are one thread. Their events are not ours, so
# what compares is events a second and bytes a second, not the files.
set -eu
build=${1:?usage: convert-peers.sh BUILD [DIRECTORY]}
dir=$(mktemp -d "${2:-${TMPDIR:-/tmp}}/gtrace-peers.XXXXXX")
trap 'rm -rf "$dir"' EXIT

# user_seconds COMMAND... : its output goes to $dir/out
user_seconds() {
	TIMEFORMAT=%U bash -c 'time "$@" >"$0" 2>"$0.err"' "$dir/out" "$@" 2>&1 | tail -n 1
}

# row NAME EVENTS SECONDS BYTES
row() {
	awk -v name="$1" -v n="$2" -v s="$3" -v b="$4" \
		'BEGIN { if (s <= 0) s = 0.001; printf "%-34s %8.2f s  %7.2f M events/s  %8.1f MB/s  %6.1f B/event\n", name, s, n / s / 1e6, b / s / 1e6, b / n }'
}

echo "== gtrace"
"$build/bin/convert"

echo "== babeltrace2 -> text"
if ! command -v babeltrace2 >/dev/null; then
	echo "skipped: babeltrace2 is not installed"
else
	ctf=${GT_CTF:-$dir/ctf}
	if [ -z "${GT_CTF:-}" ]; then
		awk 'BEGIN { for (i = 0; i < 500000; i++) printf "[%5d.%06d] go %d runs on 3 with 2\n", i / 100000, (i * 7) % 1000000, i }' >"$dir/lines"
		sort -s -o "$dir/lines" "$dir/lines"
		babeltrace2 -c src:src.text.dmesg --params="path=\"$dir/lines\"" -c out:sink.ctf.fs \
			--params="path=\"$ctf\",assume-single-trace=true" >/dev/null 2>&1 || { echo "skipped: it makes no trace"; ctf=; }
	fi
	if [ -n "$ctf" ]; then
		seconds=$(user_seconds timeout 120 babeltrace2 "$ctf")
		row "babeltrace2 CTF -> text" "$(wc -l <"$dir/out")" "$seconds" "$(wc -c <"$dir/out")"
	fi
fi

echo "== uftrace -> Chrome JSON"
if ! command -v uftrace >/dev/null; then
	echo "skipped: uftrace is not installed"
elif ! command -v "${CC:-cc}" >/dev/null; then
	echo "skipped: no C compiler"
else
	cat >"$dir/calls.c" <<'C'
__attribute__((noinline)) static int leaf(int i) { __asm__ volatile("" : "+r"(i)); return i; }
__attribute__((noinline)) static int branch(int i) { return leaf(i) + leaf(i + 1); }
int main(void) { int sum = 0; for (int i = 0; i < 130000; i++) sum += branch(i); return sum == 42; }
C
	"${CC:-cc}" -O1 -pg -o "$dir/calls" "$dir/calls.c"
	timeout -k 5 20 uftrace record --no-libcall -d "$dir/calls.data" "$dir/calls" >/dev/null 2>&1 || true
	seconds=$(user_seconds timeout 120 uftrace dump --chrome -d "$dir/calls.data")
	records=$(grep -c '"ph":"[BE]"' "$dir/out" || true)
	if [ "$records" -gt 0 ]; then
		row "uftrace dump --chrome" "$records" "$seconds" "$(wc -c <"$dir/out")"
	else
		echo "skipped: uftrace recorded nothing"
	fi
fi
