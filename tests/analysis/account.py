# account.py - gtrace report's numbers against an account of its own: the events as `gtrace convert --to events` prints them, added up
# here, goroutine by goroutine. Exactly the same, to the ns.
#
#   account.py --gtrace PATH FILE...        traces without losses
import argparse
import collections
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.dont_write_bytecode = True
import trace as trace_reader  # noqa: E402
from trace import TRANSITIONS, number  # noqa: E402

SYNC = {"select", "chan receive", "chan send", "chan receive (nil chan)", "chan send (nil chan)", "select (no cases)", "sync.Mutex.Lock",
        "sync.RWMutex.Lock", "sync.RWMutex.RLock", "sync.Cond.Wait", "sync.WaitGroup.Wait", "semacquire", "coroutine", "synctest.Run",
        "synctest.Wait"}
POINTERS = ("chan", "mutex", "rwmutex", "cond", "waitgroup", "once", "semaphore", "timer", "context")


class Stat:
    def __init__(self):
        self.count = self.total = self.max = 0

    def add(self, ns):
        self.count += 1
        self.total += ns
        self.max = max(self.max, ns)

    def __eq__(self, told):
        return (self.count, self.total, self.max) == (told["count"], told["total_ns"], told["max_ns"])

    def __repr__(self):
        return "%d, %d ns, at most %d" % (self.count, self.total, self.max)


def is_system(name, runtime):
    if runtime != "go":
        return False
    return (name.startswith("runtime.") and name != "runtime.main") or name.startswith(("runtime/", "os/signal.", "internal/runtime"))


class Account:
    """What each goroutine did, from its events alone."""

    def __init__(self, events, edge, end):
        self.states = collections.defaultdict(Stat)   # (function, state)
        self.reasons = collections.defaultdict(Stat)  # (function, reason)
        self.objects = collections.defaultdict(Stat)
        self.calls = collections.defaultdict(Stat)
        self.errors = collections.Counter()
        self.latency = []
        self.start, self.now, self.reason, self.told = {}, {}, {}, {}
        self.seen = collections.Counter()
        inside = {}
        for event in events:
            args = event.args
            if event.name == "SyscallInfo":
                inside[event.m] = (args["number"], event.ns)
            elif event.name == "SyscallResult" and event.m in inside and inside[event.m][0] == args["number"]:
                self.calls[number(args["number"])].add(event.ns - inside.pop(event.m)[1])
                self.errors[number(args["number"])] += number(args["error"]) > 0
            if event.name == "WaitsOn" and number(args["g"]):
                self.told[number(args["g"])] = (args["what"], args.get("object.name", args["object"]))
            if event.name in TRANSITIONS and number(args["g"]):
                self.transition(event, edge)
        self.end = end
        for g, (state, since) in self.now.items():
            if since < self.end:
                self.slice(g, state, since, self.end, True)

    def transition(self, event, edge):
        g, args = number(event.args["g"]), event.args
        old, new = (args.get(word, word) for word in TRANSITIONS[event.name])
        if event.name == "GoCreate" or g not in self.start:
            self.start[g] = args.get("start.name") or (args.get("start") if number(args.get("start", "0")) else "(unknown)")
            self.seen[self.start[g]] += 1
            if event.name != "GoCreate" and old != "none":
                self.now[g] = (old, min(edge, event.ns))
        if g in self.now:
            state, since = self.now.pop(g)
            if state != old:
                raise SystemExit("goroutine %d was %s, not %s at %d" % (g, state, old, event.ns))
            self.slice(g, state, since, event.ns, False)
        self.reason[g] = args.get("reason", "")
        if new != "dead" and new != "none":
            self.now[g] = (new, event.ns)
        if new != "waiting":
            self.told.pop(g, None)

    def slice(self, g, state, since, end, last):
        ns, start = end - since, self.start[g]
        self.states[start, state].add(ns)
        if state == "waiting":
            self.reasons[start, self.reason.get(g) or "unknown"].add(ns)
            what, name = self.told.get(g, ("", ""))
            if what in POINTERS or what.startswith("fd "):
                self.objects[name].add(ns)
        elif state == "runnable" and not last:
            self.latency.append(ns)


def step_end(ns):
    """The greatest value of the report's step: 64 steps an octave."""
    if ns < 64:
        return ns
    shift = ns.bit_length() - 7
    return (((ns >> shift) + 1) << shift) - 1


def quantile(values, q):
    values = sorted(values)
    return min(step_end(values[min(int(q * len(values)), len(values) - 1)]), values[-1])


def compare(path, gtrace):
    report = json.loads(subprocess.run([gtrace, "report", "--json", path], check=True, stdout=subprocess.PIPE).stdout)
    text = subprocess.run([gtrace, "convert", path, "--to", "events", "-o", "-"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    events = trace_reader.Trace(text.stdout.decode(errors="replace").splitlines()).events
    bad = []

    def same(what, mine, told):
        if mine != told:
            bad.append("%s: %s: %s by this account, %s by the report" % (path, what, mine, told))

    recording, runtime = report["recording"], report["recording"]["runtime"]
    if recording["events_misfit"] or recording["slices_cut"]:
        print("%s: events are missing in it: not for this test" % path)
        return [], 0
    end = recording["end_ns"]
    same("last event", events[-1].ns, recording["last_event_ns"])
    same("ends behind its last event", True, end >= events[-1].ns)
    account = Account(events, max(events[0].ns, recording["complete_ns"]), end)
    same("events", len(events), recording["events"])
    same("span", end - events[0].ns, recording["span_ns"])
    groups = {group["start"]: group for group in report["groups"]}
    same("functions", set(account.seen), set(groups))
    for name, group in groups.items():
        same("goroutines of " + name, account.seen[name], group["goroutines"])
        same("system " + name, is_system(name, runtime or "go"), group["system"])
        for state in ("running", "runnable", "syscall", "waiting"):
            same("%s %s" % (name, state), account.states[name, state], group[state])
        mine = {reason: stat for (start, reason), stat in account.reasons.items() if start == name}
        same("reasons of " + name, set(mine), set(group["reasons"]))
        for reason, stat in mine.items():
            if reason in group["reasons"]:
                same("%s: %s" % (name, reason), stat, group["reasons"][reason])
    latency = report["latency"]
    same("latencies", (len(account.latency), sum(account.latency)), (latency["count"], latency["total_ns"]))
    for name, q in (("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99)):
        same(name, quantile(account.latency, q) if account.latency else 0, latency[name])
    same("objects", len(account.objects), report["objects_in_all"])
    for thing in report["objects"]:
        same(thing["name"], account.objects[thing["name"]], thing)
    same("calls", set(account.calls), set(call["number"] for call in report["syscalls"]))
    for call in report["syscalls"]:
        same("call " + call["name"], account.calls[call["number"]], call)
        same("errors of " + call["name"], account.errors[call["number"]], call["errors"])
    mine = collections.Counter()
    for (start, state), stat in account.states.items():
        if not is_system(start, runtime or "go"):
            mine["sched-latency"] += stat.total if state == "runnable" else 0
            mine["syscall-block"] += stat.total if state == "syscall" else 0
    for (start, reason), stat in account.reasons.items():
        if not is_system(start, runtime or "go"):
            mine["sync-block"] += stat.total if reason in SYNC else 0
            mine["network-block"] += stat.total if reason == "IO wait" else 0
    for name in ("sched-latency", "syscall-block", "network-block", "sync-block"):
        same("profile " + name, mine[name], report["profiles"][name]["total"])
        folded = subprocess.run([gtrace, "convert", path, "--to", "folded", "--profile", name, "-o", "-"], check=True, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout.decode()
        same("folded " + name, sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines()), mine[name])
    running = sum(stat.total for (start, state), stat in account.states.items() if state == "running")
    same("Ps run no longer than goroutines", True, sum(p["running_ns"] for p in report["procs"]) <= running)
    return bad, len(events)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gtrace", required=True)
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()
    failed = 0
    for path in args.files:
        bad, events = compare(path, args.gtrace)
        print("%s: %d events: %s" % (path, events, "the same" if not bad else "DIFFERENT"))
        for line in bad[:10]:
            print("  " + line)
        failed |= bool(bad)
    return failed


if __name__ == "__main__":
    sys.exit(main())
