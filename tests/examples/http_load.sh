#!/bin/sh
# http_load.sh GTRACE SERVER LUA - wrk against examples/http-server, recorded: no error, every answer right, a trace that is possible and complete.
gtrace=$1 server=$2 lua=$3
command -v wrk >/dev/null || { echo "skipped: no wrk"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
mkdir www
printf '<h1>index</h1>' >www/index.html
bad=0
for procs in 1 2 4; do
	: >out # now, not when the one behind it comes to it: else the address before is found there
	GOMAXPROCS=$procs "$gtrace" record -o h.gtrace -- "$server" -p 0 www >out 2>err &
	record=$!
	while ! grep -q 'http://.*[^ ]$' out; do
		kill -0 $record 2>/dev/null || { cat out err; exit 1; }
		sleep 0.02
	done
	url=$(sed -n 's/.*\(http:[^ ]*\).*/\1/p' out)
	# A machine may stand still for the second that wrk takes.
	for try in 1 2 3 4 5 6 7 8 9 10; do
		wrk -t 1 -c 8 -d 1 --timeout 30 -s "$lua" "${url}index.html" >wrk 2>&1
		grep -q '^right=0 ' wrk || break
	done
	kill -INT $record
	wait $record || { echo "GOMAXPROCS=$procs: the server's status is not 0"; bad=1; }
	grep -q '^right=[1-9][0-9]* wrong=0 connect=0 read=0 write=0 status=0 timeout=0 ' wrk || { echo "GOMAXPROCS=$procs: not every answer is right"; cat wrk; bad=1; }
	"$gtrace" check h.gtrace >>err 2>&1 || { echo "GOMAXPROCS=$procs: not possible"; cat err; bad=1; }
	grep -q 'TaskBegin [1-9]' err && grep -q 'Log [1-9]' err || { echo "GOMAXPROCS=$procs: no tasks"; cat err; bad=1; }
done
exit $bad
