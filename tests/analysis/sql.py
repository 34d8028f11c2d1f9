# sql.py - recordings of Go and of the C runtime, whole and in parts: what Perfetto's trace processor answers is what the report says.
#
#   sql.py --gtrace PATH --c PROGRAM
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
sys.dont_write_bytecode = True
import harness  # noqa: E402


def trace_processor():
    return os.path.join(harness.tool("trace-processor"), "tp.mjs")


def main(bench, args):
    processor = trace_processor()
    env = {"CULPRIT_DIR": bench.dir}
    files = [bench.record([args.c, "fsync2", "0.5"], ["-q"], env)[0]]
    try:
        version = harness.newest((1, 22))
        if version:
            files.append(bench.record([harness.build_go("culprit", version[0]), "reader2", "0.5"], ["-q", "--events=default,syscalls"], env)[0])
    except harness.Skip as skip:
        print("without Go: %s" % skip)
    real = os.path.join(HERE, "..", "golden", "real")
    files += [os.path.join(real, "go1.22-window.gtrace"), os.path.join(real, "go1.26-coro.gtrace")]
    run = subprocess.run(["node", os.path.join(HERE, "sql.mjs"), processor, args.gtrace, bench.dir] + files)
    return run.returncode == 0


if __name__ == "__main__":
    sys.exit(harness.one_test(main))
