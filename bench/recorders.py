#!/usr/bin/env python3
# recorders.py - Go's own flight recorder (Go >= 1.25) beside `gtrace record --flight`: the same program, the same MinAge and MaxBytes.
#
# The kinds take turns within each round. Each run takes one snapshot in its middle; a last run of each is killed (SIGKILL).
#   bytes      what the recorder holds: the program's and gtrace's private memory and the shared window, less the plain program's
#   transition what a change of a goroutine's state takes longer than in the plain program; a round trip is six of them
#   kept       from the first to the last event of the snapshot (Go's: as `go tool trace -d=parsed` says); whole: of it, what has no gap
#   caller     how long who asked for the snapshot was held up; gtrace's is asked for by a signal to gtrace: nobody
import argparse
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time

import measure
from harness import build_go, go, held_by, latest

KINDS = ("plain", "go", "gtrace")
NAMES = {"plain": "plain", "go": "Go's FlightRecorder", "gtrace": "gtrace record --flight"}
TRANSITIONS = 6  # of a round trip: two goroutines block, are made ready, run
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1}


def child_of(pid):
    return int(open("/proc/%d/task/%d/children" % (pid, pid)).read().split()[0])


def kept_by_go(options, path):
    command, env = go(options.go)
    parsed = subprocess.Popen((command if isinstance(command, list) else [command]) + ["tool", "trace", "-d=parsed", path], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    times = []
    for line in parsed.stdout:
        match = re.search(rb"Time=(\d+)", line)
        if match:
            times = [times[0] if times else int(match.group(1)), int(match.group(1))]
    parsed.wait()
    return (times[1] - times[0]) / 1e9 if times else 0


def run(options, kind, folder, kill=False):
    out = os.path.join(folder, kind)
    program = [build_go("recorders", options.go), "go" if kind == "go" else "plain", str(options.seconds), out, str(options.min_age), str(options.max_bytes)]
    if kind == "gtrace":
        program = [options.gtrace, "record", "--flight", "--min-age", "%dms" % options.min_age, "--max-bytes", str(options.max_bytes),
                   "-o", out + ".gtrace", "--"] + program
    started = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    started.stdout.readline()
    pid = child_of(started.pid) if kind == "gtrace" else started.pid
    started.stdout.readline()  # the snapshot's time
    held = [held_by(pid)]
    if kind == "gtrace":
        held.append((held_by(started.pid)[0], 0))  # the window is counted once: with the program
        os.kill(started.pid, signal.SIGUSR2)
    if kill:
        time.sleep(0.3)
        os.kill(pid, signal.SIGKILL)
    text, err = started.communicate()
    result = {"kib": sum(own + shared for own, shared in held), "err": err.decode()}
    if not kill:
        result["ns"], result["pause"], result["longest"] = (float(x) for x in text.split())
    return result


def snapshot(options, kind, result, folder):
    """Bytes of the file, seconds kept, and of them those without a gap."""
    if kind == "go":
        path = os.path.join(folder, "go")
        kept = kept_by_go(options, path)
        return os.path.getsize(path), kept, kept
    line = [l for l in result["err"].splitlines() if "SIGUSR2" in l][0]
    path = re.search(r"snapshot (\S+):", line).group(1)
    kept = re.search(r"(?:the last|all) ([0-9.]+) (us|ms|s)\b", line)
    whole = re.search(r"no gap in the last ([0-9.]+) (ns|us|ms|s)\b", line) or kept
    result["copy"] = re.search(r"copied in ([0-9.]+ \w+)", line).group(1)
    return os.path.getsize(path), float(kept.group(1)) * UNITS[kept.group(2)], float(whole.group(1)) * UNITS[whole.group(2)]


def main():
    parser = argparse.ArgumentParser(description="Go's flight recorder beside gtrace's")
    parser.add_argument("--gtrace", default=measure.default_gtrace())
    parser.add_argument("--go", default=latest("1.25"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--min-age", type=int, default=3000, help="milliseconds")
    parser.add_argument("--max-bytes", type=int, default=16 << 20)
    options = parser.parse_args()
    print(measure.machine())
    rows = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            for kind in KINDS:
                result = run(options, kind, folder)
                if kind != "plain":
                    result["file"], result["kept"], result["whole"] = snapshot(options, kind, result, folder)
                rows[kind].append(result)
        middle = {kind: {key: statistics.median(r[key] for r in rows[kind]) for key in rows[kind][0] if key not in ("err", "copy")} for kind in KINDS}
        print("Go %s, 4 pairs of goroutines, MinAge %d ms, MaxBytes %d KiB, medians of %d rounds" % (
            options.go, options.min_age, options.max_bytes >> 10, options.rounds))
        left = {"plain": ""}
        for kind in ("go", "gtrace"):
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            result = run(options, kind, folder, kill=True)
            last = [line for line in result["err"].splitlines() if "(program died" in line]
            left[kind] = "the window: " + re.search(r"[0-9]+ events", last[0]).group(0) if last else "nothing since the last snapshot"
        print("| | ns a round trip | a transition | memory KiB | kept s | whole s | caller waits ms | longest trip meanwhile ms | file KiB | left after SIGKILL |\n|---|---|---|---|---|---|---|---|---|---|")
        for kind in KINDS:
            m = middle[kind]
            cells = ["%.0f" % m["ns"]] + ([""] * 5 if kind == "plain" else [
                "%.1f" % ((m["ns"] - middle["plain"]["ns"]) / TRANSITIONS), "%.0f" % (m["kib"] - middle["plain"]["kib"]), "%.2f" % m["kept"], "%.2f" % m["whole"], "%.1f" % m["pause"]])
            cells += ["%.1f" % m["longest"], "%.0f" % (m["file"] / 1024) if "file" in m else "", left[kind]]
            print("| %s | %s |" % (NAMES[kind], " | ".join(cells)))
        print("gtrace's copy of the ring: " + ", ".join(r["copy"] for r in rows["gtrace"]))


if __name__ == "__main__":
    main()
