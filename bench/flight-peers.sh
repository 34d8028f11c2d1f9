#!/bin/sh
# flight-peers.sh [BUILD [CHUNKS [MIB]]] - libtrace's flight recorder beside LTTng-UST's snapshot mode, both in one process and turn by turn: ns an
# event, alone and behind work; how long a snapshot takes; what it holds of the memory that each was given. Some ten seconds.
# LTTng: apt-get install lttng-tools liblttng-ust-dev babeltrace2 before the build is configured; without it only libtrace's rows.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../build/release} chunks=${2:-1501} mib=${3:-16}
tmp=$(mktemp -d) peer='' daemon=''
trap 'rm -rf "$tmp"; for pid in $peer $daemon; do kill "$pid" 2>/dev/null || :; done' EXIT

lttng=yes
if ! command -v lttng >/dev/null || ! ldd "$build/bin/bench-peer-flight" | grep -q lttng-ust; then
	echo "no LTTng here, or none when $build was configured: no row of it"
	lttng=no
fi
if [ $lttng = yes ]; then
	export LTTNG_HOME="$tmp" LTTNG_UST_REGISTER_TIMEOUT=-1
	lttng-sessiond --no-kernel >"$tmp/daemon.log" 2>&1 &
	daemon=$!
	for _ in 1 2 3 4 5 6 7 8 9 10; do lttng list >/dev/null 2>&1 && break; sleep 0.3; done
	cpus=$(nproc)
	# The memory is a CPU's there: as many for all of them together.
	size=$((mib * 1048576 / cpus / 8)) power=4096
	while [ $((power * 2)) -le "$size" ]; do power=$((power * 2)); done
	lttng create peer --snapshot --output="$tmp/out" >/dev/null
	lttng enable-channel --userspace ring --overwrite --subbuf-size=$power --num-subbuf=8 >/dev/null
	lttng enable-event --userspace --channel=ring 'peer:state' >/dev/null
	lttng start >/dev/null
fi
mkfifo "$tmp/in"
"$build/bin/bench-peer-flight" "$chunks" "$mib" "$tmp/g.gtrace" <"$tmp/in" >"$tmp/told" &
peer=$!
exec 3>"$tmp/in"
while kill -0 $peer 2>/dev/null && ! grep -q written "$tmp/told"; do sleep 0.1; done
cat "$tmp/told"
echo "libtrace: file of $(stat -c %s "$tmp/g.gtrace") bytes for a window of $((mib * 1048576))"
if [ $lttng = yes ]; then
	begin=$(date +%s%N)
	lttng snapshot record >/dev/null
	echo "LTTng: snapshot in $((($(date +%s%N) - begin) / 1000000)) ms"
	echo "LTTng: a window of $((power * 8 * cpus)) bytes; a thread that stays on one CPU has $((power * 8)) of them"
	echo "LTTng: file of $(find "$tmp/out" -type f -name 'ring_*' -exec stat -c %s {} + | awk '{s += $1} END {print s}') bytes"
	if command -v babeltrace2 >/dev/null; then
		echo "LTTng: $(babeltrace2 "$tmp/out" 2>/dev/null | wc -l) events of it"
	fi
	lttng destroy --all >/dev/null
fi
exec 3>&-
wait $peer
peer=
