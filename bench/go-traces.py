#!/usr/bin/env python3
"""go-traces.py [FILE] - reading one of Go's own traces: gtrace beside `go tool trace -d=parsed`, CPU time, wall time and memory of each.

Without FILE a program traces itself for some seconds (tests/import/program, mode long: channels and little else, about 100 MB).
Needs the release build and a Go toolchain. Each is run GTRACE_BENCH_RUNS times (3; Go's once when its first run took over a minute), the
least is told: this machine may have other work to do."""
import os
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "import"))
from golang import newest  # noqa: E402

BIN = os.path.join(ROOT, "build", "release", "bin")
RUNS = int(os.environ.get("GTRACE_BENCH_RUNS", "3"))


def measure(command, env=None):
    """(wall s, CPU s, peak KiB) of one run; its output goes nowhere."""
    begin, peak = time.monotonic(), 0
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.execve(command[0], command, env or os.environ)
    # What wait tells as its peak includes this program's before the exec: its own stands in /proc while it runs.
    while True:
        try:
            peak = next(int(line.split()[1]) for line in open("/proc/%d/status" % pid) if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            pass
        done, status, usage = os.wait4(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.02)
    if status:
        sys.exit("%s failed" % " ".join(command))
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, peak


def best(command, env=None):
    runs = [measure(command, env)]
    while len(runs) < RUNS and runs[0][0] < 60:
        runs.append(measure(command, env))
    return tuple(min(column) for column in zip(*runs))


def make(go, folder):
    program, path = os.path.join(folder, "program"), os.path.join(folder, "long.trace")
    subprocess.run([go.go, "build", "-C", os.path.join(ROOT, "tests", "import", "program"), "-o", program, "."], env=go.env, check=True)
    seconds = 2
    while True:
        subprocess.run([program, "long", path, str(seconds)], check=True)
        size = os.path.getsize(path)
        if size >= 95e6 or seconds >= 60:
            return path
        seconds = min(60, max(seconds + 1, int(seconds * 105e6 / size)))


def main():
    if len(sys.argv) > 1 and not os.path.isfile(sys.argv[1]):
        sys.exit("usage: " + __doc__.split("\n")[0])
    go = newest()
    if not go:
        sys.exit("no Go toolchain here")
    with tempfile.TemporaryDirectory() as folder:
        path = sys.argv[1] if len(sys.argv) > 1 else make(go, folder)
        size = os.path.getsize(path)
        tool = subprocess.run([go.go, "tool", "-n", "trace"], env=go.env, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        rows = [
            ("go tool trace -d=parsed", [tool, "-d=parsed", path], go.env),
            ("the same text by gotrace-parsed", [os.path.join(BIN, "bench-gotrace"), path], None),
            ("reading alone", [os.path.join(BIN, "bench-gotrace"), path, "-n"], None),
            ("gtrace check", [os.path.join(BIN, "gtrace"), "check", path], None),
            ("gtrace convert --to events", [os.path.join(BIN, "gtrace"), "convert", path, "--to", "events", "-o", "-"], None),
            ("gtrace convert --to json", [os.path.join(BIN, "gtrace"), "convert", path, "--to", "json", "-o", "-"], None),
        ]
        print("%.1f MB, Go %s" % (size / 1e6, go.version))
        print("%-34s %9s %9s %10s %9s" % ("", "wall s", "CPU s", "peak MiB", "times"))
        base = None
        for name, command, env in rows:
            wall, cpu, peak = best(command, env)
            base = base or cpu
            print("%-34s %9.2f %9.2f %10.1f %8.1fx" % (name, wall, cpu, peak / 1024, base / cpu), flush=True)


if __name__ == "__main__":
    main()
