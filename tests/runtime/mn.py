#!/usr/bin/env python3
# mn.py GTRACE PROGRAM - is it truly M:N? At GOMAXPROCS=2 the trace of mn.c shows two goroutines that run at once on two Ms, one that was
# stolen, and a P that another M took from a goroutine in a system call. A machine may be too busy to show all of it at once: again, then.
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from trace import load, number

GTRACE, PROGRAM = sys.argv[1:3]
RUNS = 200


def seen_in(trace):
    seen = set()
    here = {}  # M -> the P that it has
    inside = {}  # goroutine in a system call -> (its M, its P)
    home = {}  # a goroutine that is new -> the P of who created it
    running = {}  # M -> its goroutine
    for event in trace.events:
        args, m = event.args, event.m
        g = number(args["g"]) if "g" in args else None
        if event.name == "PStart":
            p = number(args["p"])
            for other, (thread, lost) in inside.items():
                if lost == p and thread != m:
                    seen.add("retaken")
            here = {thread: held for thread, held in here.items() if held != p}
            here[m] = p
        elif event.name == "PStop":
            here.pop(m, None)
        elif event.name == "GoCreate":
            home[g] = here.get(m)
        elif event.name == "GoRun":
            p = number(args["p"])
            if g in home:
                # It was put into its creator's queue, which is never full here. Elsewhere, while the creator runs, it can only be by a thief.
                if home[g] is not None and home[g] != p and 1 in running.values():
                    seen.add("stolen")
                del home[g]
            running[m] = g
            if len(running) > 1:
                seen.add("at once")
        elif event.name in ("GoBlock", "GoYield", "GoEnd"):
            running.pop(m, None)
        elif event.name == "GoSyscall":
            running.pop(m, None)
            inside[g] = (m, here.get(m))
        elif event.name == "GoSysexit":
            inside.pop(g, None)
            if args["new"] == "running":
                running[m] = g
    return seen


def main():
    wanted = {"at once", "stolen", "retaken"}
    seen = set()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mn.gtrace")
        for _ in range(RUNS):
            done = subprocess.run([GTRACE, "record", "-q", "-o", path, PROGRAM], env=dict(os.environ, GOMAXPROCS="2"), timeout=120)
            if done.returncode:
                sys.exit("record: status %d" % done.returncode)
            subprocess.run([GTRACE, "check", path], check=True, stdout=subprocess.DEVNULL, timeout=120)
            trace = load(GTRACE, path)
            if trace.lost():
                sys.exit("events were lost")
            seen |= seen_in(trace)
            if seen >= wanted:
                return
    sys.exit("in %d runs never seen: %s" % (RUNS, ", ".join(sorted(wanted - seen))))


main()
