#!/usr/bin/env python3
# go-cost.py - what one record costs an unmodified Go program, beside Go's own tracer: a loop of yields and a ping-pong over
# channels, plain / under gtrace (full default set of hooks; without stacks; in flight mode) / under runtime/trace to nowhere.
#
# The kinds take turns within each round, so that a noisy neighbour hits all of them. ns a record = the difference of
# two neighbours, divided by the records that gtrace counted in that very run.
import argparse
import os
import statistics
import subprocess
import tempfile

import measure
from harness import NEWEST, build_go

PROGRAMS = {  # operations a run: yields of two goroutines, or round trips; what the program prints is ns for each
    "gosched": ("a yield", 2),
    "pingpong": ("a round trip", 1),
}
KINDS = [
    ("gtrace", ["-q"]),
    ("gtrace --stacks=off", ["-q", "--stacks=off"]),
    ("gtrace --flight", ["-q", "--flight"]),
    ("gtrace --flight --stacks=off", ["-q", "--flight", "--stacks=off"]),
]


def run(command, procs):
    done = subprocess.run(command, env=dict(os.environ, GOMAXPROCS=str(procs)), stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def measure_one(options, name, procs, folder):
    what, factor = PROGRAMS[name]
    program = build_go(name, options.go)
    count = options.count
    plain, traced = [], []
    cost = {kind: [] for kind, _ in KINDS}
    each = {kind: [] for kind, _ in KINDS}
    records, losses = {}, {kind: 0 for kind, _ in KINDS}
    for _ in range(options.rounds):
        base = run([program, "-n", str(count)], procs)
        plain.append(base)
        for kind, flags in KINDS:
            out = os.path.join(folder, "t.gtrace")
            cost[kind].append(run([options.gtrace, "record", "-o", out] + flags + ["--", program, "-n", str(count)], procs))
            if "--flight" not in flags:
                events, lost = measure.events_of(options.gtrace, out)
                records[kind] = (events + lost) / (count * factor)
                losses[kind] += lost
            else:  # the window holds only the end: the same hooks as in the stream
                records[kind] = records[kind.replace(" --flight", "")]
            each[kind].append((cost[kind][-1] - base) / records[kind])
            os.unlink(out)
        traced.append(run([program, "-n", str(count), "-trace"], procs))
    print("%s, GOMAXPROCS=%d, Go %s: ns for %s" % (name, procs, options.go, what))
    print("  %-30s %s" % ("plain", measure.spread(plain)))
    for kind, _ in KINDS:
        print("  %-30s %s  %.2f records, lost %d" % (kind, measure.spread(cost[kind]), records[kind], losses[kind]))
    print("  %-30s %s" % ("runtime/trace to nowhere", measure.spread(traced)))
    for kind, _ in KINDS:
        least = (min(cost[kind]) - min(plain)) / records[kind]
        print("  ns a record, %-28s from minima %.1f, median of pairs %.1f" % (kind + ":", least, statistics.median(each[kind])))
    ours, theirs = min(cost["gtrace"]) - min(plain), min(traced) - min(plain)
    verdict = "%.1f times cheaper" % (theirs / ours) if ours > 0 else "too noisy to compare"
    print("  Go's own tracer adds %.1f ns, gtrace %.1f: %s" % (theirs, ours, verdict))


def main():
    parser = argparse.ArgumentParser(description="cost of a record in an unmodified Go program")
    parser.add_argument("--gtrace", default=measure.default_gtrace())
    parser.add_argument("--go", default=NEWEST)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--count", type=int, default=500000)
    parser.add_argument("--procs", default="1,2")
    options = parser.parse_args()
    print(measure.machine())
    with tempfile.TemporaryDirectory() as folder:
        for name in PROGRAMS:
            for procs in options.procs.split(","):
                measure_one(options, name, int(procs), folder)


main()
