#!/usr/bin/env python3
# real-programs.py - how much gtrace slows esbuild and tsgo, in two ways: records x ns / CPU time, and interleaved pairs of
# runs with a 95 % confidence interval; "not resolvable" when that holds zero.
import argparse
import os
import statistics
import subprocess
import tempfile
import time

import measure
from cases_same import REAL, real_commands


def run(command):
    """Wall and CPU seconds of a command and all it waits for."""
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=REAL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime


def percent(name, values):
    middle, low, high = measure.interval([100 * (v - 1) for v in values])
    verdict = "not resolvable" if low <= 0 <= high else "%+.2f %%" % middle
    print("  %-34s median %+.2f %%, 95 %% interval %+.2f .. %+.2f %% of %d pairs: %s" % (name, middle, low, high, len(values), verdict))


def main():
    parser = argparse.ArgumentParser(description="slow-down of esbuild and tsgo")
    parser.add_argument("--gtrace", default=measure.default_gtrace())
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--ns", type=float, default=10.0, help="ns a record, as go-cost.py measured it")
    options = parser.parse_args()
    subprocess.run([os.path.join(measure.ROOT, "tools", "fetch-go-programs.sh"), REAL], check=True)
    print(measure.machine())
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "t.gtrace")
        for name, command in real_commands():
            record = [options.gtrace, "record", "-q", "-o", out, "--"] + command
            flight = [options.gtrace, "record", "-q", "--flight", "-o", out, "--"] + command
            run(command), run(record)  # warm the page cache
            events, lost = measure.events_of(options.gtrace, out)
            kinds = {"plain": [], "stream": [], "flight": []}
            for i in range(options.pairs):
                order = [("plain", command), ("stream", record), ("flight", flight)]
                for kind, what in order if i % 2 else reversed(order):
                    kinds[kind].append(run(what))
            wall, cpu = (statistics.median(v[k] for v in kinds["plain"]) for k in (0, 1))
            print("%s: %d records, %d lost; plain: %.3f s wall, %.3f s CPU" % (name, events, lost, wall, cpu))
            print("  records x %.1f ns = %.2f ms: %.3f %% of its CPU time" % (options.ns, events * options.ns / 1e6, 100 * events * options.ns / 1e9 / cpu))
            for kind in ("stream", "flight"):
                percent("wall, " + kind, [a[0] / b[0] for a, b in zip(kinds[kind], kinds["plain"])])
                percent("CPU with gtrace's own, " + kind, [a[1] / b[1] for a, b in zip(kinds[kind], kinds["plain"])])


main()
