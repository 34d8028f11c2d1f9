#!/usr/bin/env python3
# runtime-vs-go.py - the runtime's operations beside Go's in one run: ratio, spread, and the goal of each.
#
# The two take turns within each round, so that a noisy neighbour hits both; compared are the minima of the rounds. With one P
# all of it is on one CPU; runs are short, so that some of them find the machine quiet. Without a go command there are our figures alone.
import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile

import measure

MS = 1e6
# Name, operation, COUNT (full, quick), Ps, what of it, unit, ns a unit; goal: at most so many times Go's ("x"), or at most ("<").
ROWS = [
    ("yield", "yield", (300000, 200000), 1, "ns", "ns", 1, ("x", 0.6)),
    ("spawn and join, 1000 at a time", "spawn", (100000, 100000), 1, "ns", "ns", 1, ("x", 0.6)),
    ("unbuffered ping-pong", "pingpong", (100000, 100000), 1, "ns", "ns", 1, ("x", 0.6)),
    ("unbuffered ping-pong", "pingpong", (100000, 100000), 2, "ns", "ns", 1, ("x", 0.9)),
    ("buffered channel, an item", "buffered", (400000, 200000), 1, "ns", "ns", 1, ("x", 0.8)),
    ("buffered channel, an item", "buffered", (400000, 200000), 2, "ns", "ns", 1, ("x", 1.0)),
    ("mutex, 8 contenders", "mutex", (800000, 400000), 1, "ns", "ns", 1, ("x", 1.5)),
    ("mutex, 8 contenders", "mutex", (800000, 400000), 2, "ns", "ns", 1, ("x", 1.2)),
    ("syscall: enter and exit", "syscall", (100000, 100000), 1, "over_ns", "ns", 1, ("<", 25)),
    ("sleep of 100 us: late, p50", "sleep", (1000, 300), 1, "p50", "us", 1e3, ("<", 120)),
    ("sleep of 100 us: late, p99", "sleep", (1000, 300), 1, "p99", "us", 1e3, None),
    ("100,000 sleepers: late, p50", "sleepers", (100000, 100000), 2, "p50", "us", 1e3, ("x", 1.0)),
    ("100,000 sleepers: late, p99", "sleepers", (100000, 100000), 2, "p99", "ms", MS, ("x", 1.0)),
    ("a spinner gives way, p50", "preempt", (30, 8), 1, "p50", "ms", MS, ("<", 20)),
    ("idle goroutines: start of one", "idle", (1000000, 100000), 2, "start_ns", "ns", 1, ("x", 1.2)),
    ("idle goroutines: memory of one", "idle", (1000000, 100000), 2, "bytes", "B", 1, ("<", 4400)),
    ("idle goroutines: wake all, each", "idle", (1000000, 100000), 2, "wake_ns", "ns", 1, None),
]
# Connections; at least so many times Go's requests a second.
ECHO = [(64, 0.95), (1000, 1.1)]
ROUNDS = {"idle": 2, "sleepers": 3, "preempt": 3, "sleep": 7}


def pinned(command, cpu):
    return ["taskset", "-c", str(cpu)] + command if cpu is not None else command


def values_of(text):
    return {name: float(value) for name, value in (line.split() for line in text.splitlines())}


def run(program, op, count, procs):
    cpus = sorted(os.sched_getaffinity(0))
    command = pinned([program, op, str(count)], cpus[-1] if procs == 1 else None)
    done = subprocess.run(command, env=dict(os.environ, GOMAXPROCS=str(procs)), stdout=subprocess.PIPE, check=True, timeout=300)
    return values_of(done.stdout.decode())


def run_echo(command, load, conns, ms):
    """The server on one CPU, the load on another."""
    cpus = sorted(os.sched_getaffinity(0))
    server = subprocess.Popen(pinned(command, cpus[0]), env=dict(os.environ, GOMAXPROCS="1"), stdout=subprocess.PIPE)
    try:
        port = int(values_of(server.stdout.readline().decode())["port"])
        done = subprocess.run(pinned([load, "load", str(port), str(conns), str(ms)], cpus[-1]), stdout=subprocess.PIPE, check=True, timeout=120)
        return values_of(done.stdout.decode())["per_s"]
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def build_go(folder):
    if not shutil.which("go"):
        print("no go command: Go's figures are skipped")
        return None
    out = os.path.join(folder, "versus")
    source = os.path.join(measure.ROOT, "bench", "versus")
    subprocess.run(["go", "build", "-o", out, "."], cwd=source, check=True)
    version = subprocess.run(["go", "version", out], stdout=subprocess.PIPE, check=True).stdout.decode().split()[-1]
    print("Go: " + version)
    return out


def wide(values):
    """How far the middle of the rounds lies from the best, in %."""
    return "%.0f %%" % (100 * (statistics.median(values) / min(values) - 1)) if min(values) > 0 else "-"


def line(name, procs, unit, ours, theirs, goal, verdict, raw=""):
    ratio = "%.2f" % (ours[0] / theirs[0]) if theirs and theirs[0] > 0 else "-"
    print("| %-32s | %d | %9.1f %-3s | %9s | %5s | %6s | %6s | %-12s | %-6s |%s" % (
        name, procs, ours[0], unit, "%.1f" % theirs[0] if theirs else "-", ratio, ours[1], theirs[1] if theirs else "-", goal, verdict, raw))


def judge(goal, ours, theirs):
    if goal is None:
        return "", ""
    kind, limit = goal
    if kind == "<":
        return "at most %g" % limit, "met" if ours <= limit else "missed"
    text = "%g x Go" % limit
    return text, "-" if theirs is None else "met" if ours <= limit * theirs else "missed"


def operations(options, programs):
    groups = {}
    for row in ROWS:
        groups.setdefault((row[1], row[2][options.quick], row[3]), []).append(row)
    for (op, count, procs), rows in groups.items():
        if options.only and op not in options.only:
            continue
        if options.count:
            count = min(count, options.count)
        results = {name: [] for name in programs}
        for _ in range(min(options.rounds, ROUNDS.get(op, options.rounds))):
            for name, program in programs.items():
                results[name].append(run(program, op, count, procs))
        for what, _, _, _, key, unit, scale, goal in rows:
            best = {}
            for name, each in results.items():
                values = [r[key] / scale for r in each]
                best[name] = (min(values), wide(values))
            theirs = best.get("go")
            text, verdict = judge(goal, best["c"][0], theirs and theirs[0])
            line(what, procs, unit, best["c"], theirs, text, "-" if options.count else verdict)


def echoes(options, programs, folder):
    if len(os.sched_getaffinity(0)) < 2:
        print("one CPU: the echo server is skipped, it needs one beside its load")
        return
    load = os.path.join(folder, "bench-echo")
    commands = {name: [program, "echo", "1"] for name, program in programs.items()}
    commands["raw"] = [load, "serve"]
    for conns, least in ECHO:
        if options.only and "echo" not in options.only:
            continue
        rates = {name: [] for name in commands}
        for _ in range(options.echo_rounds):
            for name, command in commands.items():
                rates[name].append(run_echo(command, load, conns, options.echo_ms) / 1e3)
        best = {name: (max(v), "%.0f %%" % (100 * (1 - statistics.median(v) / max(v)))) for name, v in rates.items()}
        theirs = best.get("go")
        verdict = "-" if not theirs or options.count else "met" if best["c"][0] >= least * theirs[0] else "missed"
        line("echo, %d connections, a second" % conns, 1, "k", best["c"], theirs, ">= %g x Go" % least, verdict,
             " epoll alone: %.1f k (%s)" % best["raw"])


def main():
    parser = argparse.ArgumentParser(description="the runtime beside Go's")
    parser.add_argument("--bin", default=os.path.join(measure.ROOT, "build", "release", "bin"), help="where bench-versus and bench-echo are")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="less than a minute")
    parser.add_argument("--count", type=int, help="at most so many operations, nothing judged: does it run?")
    parser.add_argument("--only", type=lambda s: s.split(","), help="operations, by their names in versus.c")
    options = parser.parse_args()
    options.rounds = options.rounds or (4 if options.quick else 21)
    options.echo_rounds = 1 if options.count else 2 if options.quick else 5
    options.echo_ms = 20 if options.count else 500 if options.quick else 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard) if hard != resource.RLIM_INFINITY else 4096, hard))
    print(measure.machine())
    with tempfile.TemporaryDirectory() as folder:
        programs = {"c": os.path.join(options.bin, "bench-versus")}
        go = build_go(folder)
        if go:
            programs["go"] = go
        print("| %-32s | P | %13s | %9s | %5s | %6s | %6s | %-12s | %-6s |" % ("", "ours", "Go", "ratio", "spread", "Go's", "goal", ""))
        print("|---|---|---|---|---|---|---|---|---|")
        operations(options, programs)
        echoes(options, programs, options.bin)


main()
