#!/usr/bin/env python3
# stop-window.py - how long gtrace attach stops a process, by its threads and its goroutines (goal: 5 ms at 50 threads, whatever the goroutines).
import argparse
import os
import re
import statistics
import subprocess
import tempfile

import measure
from harness import build_go, latest


def ms(text):
    number, unit = text.split()
    return float(number) * {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}[unit]


def main():
    parser = argparse.ArgumentParser(description="stops of an attach")
    parser.add_argument("--gtrace", default=measure.default_gtrace())
    parser.add_argument("--go", default=latest("1.25"))
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    program = build_go("quiet", options.go)
    print(measure.machine())
    print("%8s %11s %6s  %s" % ("threads", "goroutines", "stops", "longest stop of each attach, ms"))
    for threads, goroutines in ((10, 100), (50, 100), (50, 10000), (50, 100000), (200, 100)):
        run = subprocess.Popen([program, "wait", str(goroutines), str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        run.stdout.readline()
        longest, stops = [], []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(options.times):
                attach = subprocess.run([options.gtrace, "attach", "--duration", "50ms", "-o", os.path.join(folder, "t.gtrace"), str(run.pid)], stderr=subprocess.PIPE)
                text = attach.stderr.decode()
                if attach.returncode:
                    print("    " + text.strip())
                    continue
                longest.append(ms(re.search(r"([0-9.]+ \w+) at the longest", text).group(1)))
                stops.append(int(re.search(r"stopped (\d+) times", text).group(1)))
                at = int(re.search(r"at (\d+) threads", text).group(1))
        run.kill()
        run.wait()
        print("%8d %11d %6d  %s" % (at, goroutines, statistics.median(stops), measure.spread(longest)))


main()
