#!/bin/sh
# flight-peers.sh [BUILD [THREADS [EVENTS [MIB]]]] - libtrace's flight recorder beside LTTng-UST's snapshot mode: ns an event, time of a snapshot, what
# it holds of the memory that both were given. LTTng: apt-get install lttng-tools liblttng-ust-dev babeltrace2; without it only libtrace's row.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${1:-$here/../build/release} threads=${2:-1} events=${3:-5000000} mib=${4:-16}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"; [ -z "${daemon:-}" ] || kill "$daemon"' EXIT

echo "$threads thread(s), $events events each, $mib MiB"
"$build/bin/bench-peer-flight" "$threads" "$events" "$mib" "$tmp/g.gtrace" </dev/null >"$tmp/own"
sed 's/^/libtrace /' "$tmp/own"
echo "libtrace file_bytes $(stat -c %s "$tmp/g.gtrace")"

if ! command -v lttng >/dev/null || ! echo '#include <lttng/tracepoint.h>' | cc -E - >/dev/null 2>&1; then
	echo "LTTng is not installed here: no row of it"
	exit 0
fi
cc -O2 -DPEER_LTTNG -I"$here" -o "$tmp/peer" "$here/peer_flight.c" -llttng-ust -ldl -lpthread
export LTTNG_HOME="$tmp" LTTNG_UST_REGISTER_TIMEOUT=-1
lttng-sessiond --no-kernel >"$tmp/daemon.log" 2>&1 &
daemon=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do lttng list >/dev/null 2>&1 && break; sleep 0.3; done
cpus=$(nproc)
# The memory is a CPU's there: as many for all of them together.
size=$((mib * 1048576 / cpus / 8))
power=4096
while [ $((power * 2)) -le "$size" ]; do power=$((power * 2)); done
lttng create peer --snapshot --output="$tmp/out" >/dev/null
lttng enable-channel --userspace ring --overwrite --subbuf-size=$power --num-subbuf=8 >/dev/null
lttng enable-event --userspace --channel=ring 'peer:state' >/dev/null
lttng start >/dev/null
mkfifo "$tmp/in"
"$tmp/peer" "$threads" "$events" <"$tmp/in" >"$tmp/theirs" &
peer=$!
exec 3>"$tmp/in"
while ! grep -q ns "$tmp/theirs"; do sleep 0.1; done
sed 's/^/lttng    /' "$tmp/theirs"
begin=$(date +%s%N)
lttng snapshot record >/dev/null
echo "lttng    snapshot_ms $((($(date +%s%N) - begin) / 1000000))"
exec 3>&-
wait $peer
echo "lttng    memory $((power * 8 * cpus)) bytes of $((mib * 1048576)); a thread that stays on one CPU fills $((power * 8))"
echo "lttng    file_bytes $(find "$tmp/out" -type f -name 'ring_*' -exec stat -c %s {} + | awk '{s += $1} END {print s}')"
if command -v babeltrace2 >/dev/null; then
	echo "lttng    events $(babeltrace2 "$tmp/out" 2>/dev/null | wc -l)"
fi
lttng destroy --all >/dev/null
