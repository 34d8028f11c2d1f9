#!/usr/bin/env python3
# triggers.py GTRACE PROGRAM - snapshots that triggers write of a C program: regions, waits, and how it ends.
import glob
import os
import re
import subprocess
import sys
import tempfile

GTRACE, PROGRAM = sys.argv[1:3]


def metas(path):
    out = subprocess.run([GTRACE, "info", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    return dict(re.findall(r"^(\w+) +(.*)$", out, re.M))


def record(folder, what, expression, code=0):
    """META of each trigger's snapshot, META of the last one, what it printed."""
    for _ in range(20):  # a gtrace that got no CPU for long has too many events at once, and says so
        out = os.path.join(tempfile.mkdtemp(dir=folder), what + ".gtrace")
        run = subprocess.run([GTRACE, "record", "-o", out, "--flight", "--after=0", "--trigger-interval=0", "--trigger", expression, PROGRAM, what],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        if b"waits forgotten" not in run.stderr:
            break
    if run.returncode != code:
        sys.exit("%s: status %d: %s" % (what, run.returncode, run.stderr.decode()))
    found = [metas(path) for path in glob.glob(out[: -len(".gtrace")] + "*") if path != out]
    for path in glob.glob(out[: -len(".gtrace")] + "*"):
        subprocess.run([GTRACE, "check", path], stdout=subprocess.PIPE, check=True)
    return found, metas(out), run.stdout.split()


def main():
    with tempfile.TemporaryDirectory(prefix="gtrace-triggers-") as folder:
        for what, expression in (("region", "region long one > 100ms"), ("blocked", "blocked(sync.Mutex.Lock) > 100ms")):
            found, _, said = record(folder, what, expression)
            if len(found) != 1 or found[0].get("trigger_goroutine") != said[0].decode() or found[0]["trigger"] != expression:
                sys.exit("%s: %s of %s" % (what, found, said))
            if int(found[0]["trigger_lasted_ns"]) <= 100000000:
                sys.exit("%s: too early: %s" % (what, found))
            print(found[0]["cause"])
        found, last, _ = record(folder, "segv", "signal", 139)
        if found or last["cause"] != "trigger signal: the program died by signal 11 (Segmentation fault)":
            sys.exit("segv: %s %s" % (found, last["cause"]))
        print(last["cause"])
        found, last, _ = record(folder, "exit", "exit != 0", 3)
        if found or last.get("trigger") != "exit != 0":
            sys.exit("exit: %s %s" % (found, last))
        # A name that is only the beginning of the region's, and limits that no stopped thread reaches.
        for expression in ("region long > 100ms", "region short > 60s", "blocked(any) > 60s", "goroutines > 10000"):
            found, last, _ = record(folder, "region", expression)
            if found or "trigger" in last:
                sys.exit("%s: %s %s" % (expression, found, last))


main()
