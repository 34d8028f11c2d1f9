# cases_alike.py - every stack that is told is the one that the program itself knows, where stacks look alike.
import collections
import re
import subprocess

from cases_attach import Attached, Program
from harness import LIMIT, build_go, case, expect, runs, versions
from trace import Trace, number

DEPTH = 16


def read(bench, path):
    """The events, and by a stack's id its pcs, and functions by pc."""
    text = subprocess.run([bench.gtrace, "convert", path, "--to", "text", "-o", "-"], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
    strings = dict(re.findall(r'^String id=(\d+) text="(.*)"$', text, re.M))
    names = {int(pc, 16): [strings.get(f, "") for f in re.findall(r"(\d+):\d+:\d+", lines)] for pc, lines in re.findall(r"^Pc pc=(\S+) lines=\[(.*?)\]$", text, re.M)}
    stacks = {int(i): [int(pc, 16) for pc in re.findall(r"0x[0-9a-f]+", pcs)] for i, pcs in re.findall(r"^Stack id=(\d+) pcs=\[(.*?)\]$", text, re.M)}
    lines = subprocess.run([bench.gtrace, "convert", path, "--to", "events", "-o", "-"], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
    return Trace(lines.splitlines()), stacks, names


def compare(trace, stacks, names, known):
    """Of each goroutine that lived within the trace all stacks; how many, and how many different ones."""
    compared, different = 0, set()
    for g, wanted in known.items():
        events = trace.by_g.get(g, [])
        if not any(e.name == "GoCreate" for e in events) or not any(e.name == "GoEnd" for e in events):
            continue
        # One that assists the collector waits meanwhile, for whatever it waited for last: that is no sleep.
        sleeps = [e for before, e in zip(events, events[1:]) if before.name == "WaitsOn" and before.args["what"] == "sleep" and e.name == "GoBlock"]
        for told in (sleeps, [e for e in events if e.name == "GoSyscall"]):
            told = [number(e.args["stack"]) for e in told]
            expect(len(told) == len(wanted), "goroutine %d: %d stacks instead of %d" % (g, len(told), len(wanted)))
            for id_, pcs in zip(told, wanted):
                expect(id_ in stacks, "goroutine %d: no stack %d" % (g, id_))
                frames = stacks[id_]
                inner = [i for i, pc in enumerate(frames) if names.get(pc) == ["main.leaf"]]
                expect(len(inner) == 1 and inner[0] < 8, "goroutine %d: stack %s" % (g, [names.get(pc) for pc in frames]))
                callers = frames[inner[0] + 1:]
                full = [pc - 1 for pc in pcs]
                expect(callers == full[:DEPTH - inner[0] - 1], "goroutine %d: stack %d: %s, but it was %s" % (g, id_, [hex(pc) for pc in callers], [hex(pc) for pc in full]))
                compared += 1
                different.add(id_)
    return compared, len(different)


@case
def alike(bench):
    """Stacks of equal shapes by different callers, and in stacks that Go moves: each is told as it was. Attached three times."""
    for version in versions():
        total = collections.Counter()
        for _ in range(runs(1, long=10)):
            with Program([build_go("alike", version)], env={"GOGC": 5, "GOMAXPROCS": 3}) as p:
                p.until(b"ready\n")
                files = []
                for _ in range(3):
                    attached = Attached(bench, p.pid, ["--buffer=64M"])
                    p.say(b"\n")
                    p.until(b"done\n")
                    files.append(attached.end())
                stdout, err = p.run.communicate(timeout=LIMIT)
                expect(p.run.returncode == 0, "the program ended with %d: %s" % (p.run.returncode, err[-2000:]))
            known = {}
            for line in stdout.decode().splitlines():
                g, *places = line.split()
                known[int(g)] = [[int(pc, 16) for pc in place.split(",")] for place in places]
            for i, path in enumerate(files):
                compared, different = compare(*read(bench, path), known)
                expect(compared == 4 * 200 * 4 * 2, "attached for the %d. time: %d stacks compared" % (i + 1, compared))
                total["compared"] += compared
                total["different"] += different
        yield "Go %s: %d stacks, %d different ones" % (version, total["compared"], total["different"])
