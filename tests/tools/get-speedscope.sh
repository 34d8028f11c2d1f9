#!/bin/sh
# get-speedscope.sh [DIR]   (default ./speedscope)
# speedscope as it is released (MIT), by npm pack: static files that a browser opens. Nothing of the package is executed at install
# time; the archive is checked against its sha256.
set -eu
DIR=${1:-./speedscope}
mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd); T=$(mktemp -d); trap 'rm -rf "$T"' EXIT
# Tests that run side by side want it at once: one fetches.
exec 9>"$DIR/lock"; flock 9; [ ! -e "$DIR/good" ] || { echo "$DIR"; exit 0; }
cd "$T"
npm pack --silent speedscope@1.25.0 >/dev/null
sha256sum -c --quiet - <<'SUMS'
2831f1e0d26df914b477e522d78b8485511495a6af81a0b88158f8b48f9e0d03  speedscope-1.25.0.tgz
SUMS
tar xzf speedscope-1.25.0.tgz package/dist/release package/LICENSE
rm -rf "$DIR/release"
mv package/dist/release "$DIR/release"
cp package/LICENSE "$DIR/"
touch "$DIR/good"
echo "$DIR"
