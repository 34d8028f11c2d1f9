#!/usr/bin/env python3
# go-goals.py - the two figures that esbuild is judged by: what the default set, and every event (--events=all), add to the program's own CPU
# time. Interleaved pairs, a 95 % interval of the medians. Takes less than three minutes on two quiet CPUs.
#
# The program's CPU time is what its threads took, hooks and the faults and perf events that recording causes among it; that of gtrace
# itself, which may run on another CPU, stands beside it.
import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time

import measure
from cases_same import REAL, real_commands

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
CPU = re.compile(r"the program's ([\d.]+) (s|ms|us) of CPU time .*?gtrace itself ([\d.]+) (s|ms|us)")
KINDS = [
    ("default", ["--events=default"], 1.0),
    ("all", ["--events=all"], 20.0),
    ("all but the kernel's layer", ["--events=all,-kernel,-samples,-faults"], 20.0),
]


def run(command):
    """CPU seconds of the program, and of gtrace; events lost."""
    process = subprocess.Popen(command, cwd=REAL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    text = process.stderr.read().decode(errors="replace")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    said = CPU.search(text)
    lost = sum(int(n) for found in re.findall(r"lost: (\d+) events|events, (\d+) lost:", text) for n in found if n)
    if said:
        return float(said.group(1)) * UNITS[said.group(2)], float(said.group(3)) * UNITS[said.group(4)], lost
    return usage.ru_utime + usage.ru_stime, 0.0, 0


def main():
    parser = argparse.ArgumentParser(description="esbuild under gtrace: the default set <= 1 %, every event <= 20 % of its CPU time")
    parser.add_argument("--gtrace", default=measure.default_gtrace())
    parser.add_argument("--seconds", type=float, default=150, help="how long to go on with pairs")
    parser.add_argument("--least", type=int, default=5, help="rounds, however long they take")
    options = parser.parse_args()
    subprocess.run([os.path.join(measure.ROOT, "tools", "fetch-go-programs.sh"), REAL], check=True)
    print(measure.machine())
    name, command = real_commands()[0]
    took = {kind: [] for kind, _, _ in KINDS}
    plain, end, rounds = [], time.monotonic() + options.seconds, 0
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "t.gtrace")
        commands = [("plain", command)] + [(kind, [options.gtrace, "record", "-o", out] + flags + ["--"] + command) for kind, flags, _ in KINDS]
        for _, what in commands:
            run(what)  # warm the page cache
        while time.monotonic() < end or rounds < options.least:
            for kind, what in commands if rounds % 2 else reversed(commands):
                (plain if kind == "plain" else took[kind]).append(run(what))
            rounds += 1
    base = [own for own, _, _ in plain]
    print("%s, %d rounds; plain: %.3f s of CPU time (80 %%: %s)" % (name, rounds, statistics.median(base), "%.3f to %.3f" % (sorted(base)[rounds // 10], sorted(base)[-1 - rounds // 10])))
    for kind, _, goal in KINDS:
        middle, low, high = measure.interval([100 * (own / b - 1) for (own, _, _), b in zip(took[kind], base)])
        least = 100 * (min(own for own, _, _ in took[kind]) / min(base) - 1)
        verdict = "met" if high <= goal else "missed" if low > goal else "not resolvable"
        print("  %-28s median %+.2f %%, 95 %% interval %+.2f .. %+.2f %%, of the minima %+.2f %%: goal %.0f %%: %s; gtrace itself %.0f ms, lost %d of %d runs" % (
            kind, middle, low, high, least, goal, verdict, 1000 * statistics.median(g for _, g, _ in took[kind]), sum(lost > 0 for _, _, lost in took[kind]), rounds))


main()
