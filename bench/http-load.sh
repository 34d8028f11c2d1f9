#!/bin/sh
# http-load.sh [SECONDS [CONNECTIONS]] - examples/http-server under wrk, every event recorded: requests, events, what the hooks cost.
# The lines are wrk's (each answer is looked at) and gtrace's summary. Builds must be there: build/release.
set -eu
cd "$(dirname "$0")/.."
bin=$PWD/build/release/bin lua=$PWD/tests/examples/wrk.lua seconds=${1:-1} connections=${2:-16}
command -v wrk >/dev/null || { echo "no wrk (apt install wrk)"; exit 77; }
folder=$(mktemp -d "${TMPDIR:-/tmp}/gtrace-http-load.XXXXXX")
record=
trap '[ -z "$record" ] || kill -INT $record 2>/dev/null || :; rm -rf "$folder"' EXIT
cd "$folder"
mkdir www
printf '<h1>index</h1>' >www/index.html
"$bin/gtrace" record -o h.gtrace -- "$bin/http-server" -p 0 www >out 2>err &
record=$!
while ! grep -q 'http://' out; do
	kill -0 $record 2>/dev/null || { cat out err; exit 1; }
	sleep 0.02
done
wrk -t 1 -c "$connections" -d "$seconds" -s "$lua" "$(sed -n 's/.*\(http:[^ ]*\).*/\1/p' out)index.html" | grep '^right='
kill -INT $record
wait $record
record=
cat err
