# speedscope.py - the profiles in speedscope itself, in Chromium: pprof and folded stacks open, and the functions are there.
#
#   speedscope.py --gtrace PATH --c PROGRAM
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.dont_write_bytecode = True
import harness  # noqa: E402


def main(bench, args):
    chromium = next((found for found in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if found), None)
    if not chromium:
        raise harness.Skip("Chromium is not installed")
    playwright = os.path.join(harness.tool("catapult"), "playwright-core")
    release = os.path.join(harness.tool("speedscope"), "release")
    path, run = bench.record([args.c, "convoy2"], ["--events=default,samples", "--sample-every=500us"], {"CULPRIT_DIR": bench.dir})
    wanted = [("sync-block", "pprof", ".pb.gz", ["book_entry", "clerk"]), ("sync-block", "folded", ".folded", ["book_entry", "clerk"])]
    if b"without the kernel's events" not in run.stderr:
        wanted.append(("cpu", "pprof", ".pb.gz", []))  # its table shows the first only
    pairs = []
    for profile, form, ending, names in wanted:
        out = os.path.join(bench.dir, profile + ending)
        run = bench.run([args.gtrace, "convert", path, "-o", out, "--to", form, "--profile", profile])
        harness.expect(run.returncode == 0, run.stderr.decode())
        pairs += (["--"] if pairs else []) + [out] + names
    run = subprocess.run(["node", os.path.join(HERE, "check-speedscope.mjs"), playwright, release, chromium] + pairs)
    return run.returncode == 0


if __name__ == "__main__":
    sys.exit(harness.one_test(main))
