# measure.py - what the benchmarks in Python share: interleaved runs, small statistics, one line about the machine.
import math
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.dont_write_bytecode = True


def machine():
    model = "unknown CPU"
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().strip()
    return "%s, %d CPUs, Linux %s, load %.1f, commit %s, %s" % (model, os.cpu_count(), platform.release(), os.getloadavg()[0], commit or "?", time.strftime("%Y-%m-%d"))


def spread(values):
    """min, median, and how far the middle 80 % reach."""
    ordered = sorted(values)
    low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    return "min %8.1f  median %8.1f  (80 %%: %.1f to %.1f)" % (ordered[0], statistics.median(ordered), low, high)


def interval(values, times=2000):
    """Median and its 95 % confidence interval, by bootstrap with a fixed seed."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(times))
    return statistics.median(values), medians[int(times * 0.025)], medians[int(times * 0.975)]


def default_gtrace():
    return os.path.join(ROOT, "build", "release", "bin", "gtrace")


def events_of(gtrace, path):
    """Events and lost events of a trace, as gtrace info says them."""
    text = subprocess.run([gtrace, "info", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    events = re.search(r"^events\s+(\d+)", text, re.M)
    lost = sum(int(n) for what, n in re.findall(r"^lost: +(.*?) +(\d+)$", text, re.M) if what != "stacks")
    if not events:
        raise SystemExit("measure.py: gtrace info says nothing about events:\n" + text)
    return int(events.group(1)), lost


def geometric(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))
