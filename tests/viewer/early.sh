#!/bin/sh
# early.sh VIEWER_SAMPLE VIEWER_EARLY - a trace with many goroutines for viewer_early.
set -eu
dir=$(mktemp -d "${TMPDIR:-/tmp}/gtrace-early.XXXXXX")
trap 'rm -rf "$dir"' EXIT
"$1" "$dir/crowd.gtrace" crowd 60000 500
"$2" "$dir/crowd.gtrace"
