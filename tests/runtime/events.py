#!/usr/bin/env python3
# events.py GTRACE PROGRAM - what events.c says that it did, and what a trace of it holds.
import collections
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from trace import Trace, number

GTRACE, PROGRAM = sys.argv[1:3]
CALLS = ("read", "write", "sendto", "accept4", "connect", "close", "fcntl", "getsockopt", "getpeername")


def run(command, **env):
    done = subprocess.run(command, env=dict(os.environ, **env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    if done.returncode:
        sys.exit("%s: status %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
    return done.stdout


class Recorded:
    def __init__(self, folder, args, procs=2, options=()):
        self.file = os.path.join(folder, "t.gtrace")
        said = run([GTRACE, "record", "-q", "-o", self.file, *options, PROGRAM, *args], GOMAXPROCS=str(procs))
        self.said = [line.split() for line in said.splitlines()]
        run([GTRACE, "check", self.file])
        self.trace = Trace(run([GTRACE, "convert", self.file, "--to", "events", "-o", "-"]).splitlines())
        expect(not self.trace.strange, "lines that are none: %s" % self.trace.strange[:3])
        expect(not self.trace.lost(), "events were lost")
        for event in self.trace.named("WakeCause"):
            if event.args["cause"] == "thread":
                # Here all wake-ups are by goroutines, timers and descriptors, also where sysmon finds them.
                sys.exit("woken by a thread that is no goroutine's: %s" % (event,))

    def json(self):
        return json.loads(run([GTRACE, "convert", self.file, "--to", "json", "-o", "-"]))

    def all_said(self, what):
        return [words[1:] for words in self.said if words[0] == what]


class Wrong(Exception):
    pass


def expect(good, text):
    if not good:
        raise Wrong(text)


def pairs_of(trace, g):
    """Each of the goroutine's waits: (WaitsOn events, GoBlock, WakeCause or None, GoReady)."""
    out, told, block, cause = [], [], None, None
    for event in trace.by_g[g]:
        if event.name == "WaitsOn":
            told.append(event)
        elif event.name == "GoBlock":
            block = event
        elif event.name == "WakeCause":
            cause = event
        elif event.name == "GoReady" and block:
            out.append((told, block, cause, event))
            told, block, cause = [], None, None
    return out


def objects(folder, procs):
    recorded = Recorded(folder, ["objects"], procs)
    slices = [r for r in recorded.json() if r.get("pid") == 2 and r.get("ph") == "X" and r["name"].startswith("waiting")]
    select = {number(words[0]): sorted(map(number, words[1:])) for words in recorded.all_said("select")}
    for words in recorded.all_said("wait"):
        g, what, thing, holder = number(words[0]), words[1].replace("_", " "), number(words[2]), number(words[3])
        cause, detail, function = words[4], number(words[5]), words[6]
        waits = pairs_of(recorded.trace, g)
        expect(waits, "goroutine %d (%s) never waited" % (g, function))
        told, block, woken, ready = waits[0]
        last = told[-1].args if told else None
        expect(last, "%s: nothing told what it waits for" % function)
        expect(last["what"] == what, "%s waits for %s, not %s" % (function, last["what"], what))
        if what == "sleep":
            expect(0 < number(last["object"]) <= 100000000, "%s: %s" % (function, last["object"]))
        else:
            expect(number(last["object"]) == thing, "%s: %s is not %x" % (function, last["object"], thing))
        expect(number(last["holder"]) == holder, "%s: held by %s, not %d" % (function, last["holder"], holder))
        if g in select:
            channels = sorted(number(event.args["object"]) for event in told[:-1])
            expect(channels == select[g], "%s: channels %s, not %s" % (function, channels, select[g]))
        else:
            expect(len(told) == 1, "%s: %d objects" % (function, len(told)))
        if cause == "goroutine":
            expect(not woken and number(ready.args["by"]) == detail, "%s: woken by %s" % (function, ready))
        elif cause != "any":
            expect(woken and woken.args["cause"] == cause and number(woken.args["detail"]) == detail and number(ready.args["by"]) == 0,
                   "%s: woken by %s, %s" % (function, woken, ready))
        shown = [r for r in slices if r["tid"] == g]
        expect(shown and function in shown[0]["args"].get("stack", ""), "%s is not in the stack: %s" % (function, shown[:1]))
        expect(shown[0]["args"]["on"].startswith(what.split()[0]), "%s: %s" % (function, shown[0]["args"]))
        expect(not holder or shown[0]["args"].get("holder") == "G%d" % holder, "%s: %s" % (function, shown[0]["args"]))
    named = [event for event in recorded.trace.named("ObjectName")]
    expect([event.args["name"] for event in named] == ["orders"], "names: %s" % named)
    expect(any(r["args"].get("on") == 'chan "orders"' for r in slices), "the name is not shown")


def marks(folder, procs):
    recorded = Recorded(folder, ["marks"], procs)
    for words in recorded.all_said("marks"):
        g, rounds, logs = map(number, words)
        open_regions, seen = [], collections.Counter()
        task = number(recorded.trace.of(g, "TaskBegin")[0].args["task"])
        for event in recorded.trace.by_g[g]:
            if event.name == "RegionBegin":
                open_regions.append((event.args["name"], number(event.args["task"])))
            elif event.name == "RegionEnd":
                expect(open_regions and open_regions.pop() == (event.args["name"], number(event.args["task"])), "regions of %d do not nest" % g)
                seen[event.args["name"]] += 1
            elif event.name in ("TaskBegin", "TaskEnd"):
                expect(number(event.args["task"]) == task, "task of %d" % g)
                seen[event.name] += 1
            elif event.name == "Log":
                seen["Log"] += 1
        expect(not open_regions, "regions of %d stay open" % g)
        expected = {"outer": rounds, "inner": rounds, "TaskBegin": 1, "TaskEnd": 1, "Log": logs}
        expect(dict(seen) == expected, "marks of %d: %s, not %s" % (g, dict(seen), expected))
    return any(len({event.m for event in events}) > 1 for g, events in recorded.trace.by_g.items() if g > 1)


def heap(folder, procs):
    recorded = Recorded(folder, ["heap"], procs, ["--events=alloc"])
    for what, name, keys in (("alloc", "Alloc", ("g", "address", "bytes", "weight")), ("free", "Free", ("g", "address", "bytes")),
                             ("heap", "Heap", ("live", "objects"))):
        said = collections.Counter(tuple(map(number, words)) for words in recorded.all_said(what))
        held = collections.Counter(tuple(number(event.args[key]) for key in keys) for event in recorded.trace.named(name))
        expect(said == held, "%s: %s" % (what, (said - held) + (held - said)))
    counters = [r for r in recorded.json() if r.get("ph") == "C" and r["name"] == "heap"]
    expect(counters and all(r["args"]["live bytes"] % 10 == 0 for r in counters), "the heap's counter")


def timers(folder, procs):
    recorded = Recorded(folder, ["timers"], procs, ["--events=default,timers"])
    held = collections.Counter()
    for event in recorded.trace.events:
        if event.name.startswith("Timer"):
            held[(event.name[5:].lower(), number(event.args["timer"]))] += 1
    said = {(words[0], number(words[1])) for words in recorded.said if words[0] in ("set", "fire", "stop")}
    expect(said and all(held[one] == 1 for one in said), "timers: %s, not %s" % (held, said))


def calls(folder, procs):
    """Each call with its descriptor, and how it ended, as strace saw the same program make them.

    It is another run of it: there a look at a descriptor may come before the bytes, here after them. Such looks are not compared."""
    if procs > 1:
        return
    if not shutil.which("strace"):
        print("no strace: system calls are not compared")
        return
    recorded = Recorded(folder, ["io", os.path.join(folder, "file")], 1, ["--events=syscalls"])
    held = collections.Counter()
    info = {}
    for event in recorded.trace.events:
        if event.name == "SyscallInfo":
            info[event.m] = event
        elif event.name == "SyscallResult":
            begin = info.pop(event.m)
            expect(begin.args["number"] == event.args["number"], "%s ends as %s" % (begin, event))
            if number(event.args["error"]) != errno.EAGAIN:
                held[(event.args["number.name"], number(begin.args["arg0"]), number(event.args["result"]), number(event.args["error"]) > 0)] += 1
    log = os.path.join(folder, "strace")
    run(["strace", "-f", "-o", log, "-e", "trace=getppid,eventfd2," + ",".join(CALLS), "-e", "signal=none", PROGRAM, "io", os.path.join(folder, "file")], GOMAXPROCS="1")
    seen, inside, begun, own = collections.Counter(), False, {}, None
    for line in open(log):
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        # Another thread's line may stand between the two halves of one.
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest[:-len("<unfinished ...>")]
            continue
        if rest.startswith("<... "):
            rest = begun.pop(thread) + rest.partition("resumed>")[2]
        match = re.match(r"(\w+)\((\w*).*= (-?\w+)", rest)
        if not match:
            continue
        if match.group(1) == "getppid":
            inside = not inside
        elif match.group(1) == "eventfd2":
            own = match.group(3)  # by which the scheduler wakes its poller
        elif inside and match.group(2) != own and " EAGAIN " not in rest:
            result = int(match.group(3), 0)
            seen[(match.group(1), int(match.group(2)), max(result, 0), result < 0)] += 1
    expect(held == seen, "calls: only in the trace %s; only strace saw %s" % (held - seen, seen - held))


def sets(folder, procs):
    """Sets that are off leave no event; sched is always there."""
    known = {"objects": ("WaitsOn", "WakeCause"), "marks": ("ObjectName",), "timers": ("TimerSet", "TimerFire"), "syscalls": ("SyscallInfo",)}
    if procs > 1:
        return
    for chosen in ("sched", "timers", "syscalls", "all", "-objects"):
        recorded = Recorded(folder, ["objects"], procs, ["--events=" + chosen])
        names = {event.name for event in recorded.trace.events}
        on = {"objects", "marks"} - {"objects"} if chosen == "-objects" else set(known) if chosen == "all" else {chosen}
        expect("GoBlock" in names, "%s: no GoBlock" % chosen)
        for one, events in known.items():
            for name in events:
                expect((name in names) == (one in on), "%s: %s is %s there" % (chosen, name, "" if name in names else "not"))
    recorded = Recorded(folder, ["objects"], procs, ["--stacks=off"])
    expect(all(event.args["stack"] == "0" for event in recorded.trace.named("GoBlock")), "stacks are off")
    done = subprocess.run([GTRACE, "record", "--events=sched,nothing", PROGRAM], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    expect(done.returncode == 2 and "nothing" in done.stderr and "syscalls" in done.stderr, "an unknown set: %s" % done.stderr)


def main():
    moved = False
    with tempfile.TemporaryDirectory() as folder:
        for case in (objects, marks, heap, timers, calls, sets):
            for procs in (1, 2):
                # On a machine that is very busy a timer may be over before its goroutine waits.
                for tries in range(50):
                    try:
                        moved |= bool(case(folder, procs))
                        break
                    except Wrong as wrong:
                        if tries == 49:
                            sys.exit("%s, GOMAXPROCS=%d: %s" % (case.__name__, procs, wrong))
        for tries in range(50):
            if moved:
                break
            moved = bool(marks(folder, 2))
        if not moved:
            sys.exit("in 50 runs no goroutine with marks moved to another thread")


main()
