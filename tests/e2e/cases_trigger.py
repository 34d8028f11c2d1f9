# cases_trigger.py - triggers: a program does one thing on purpose, and the snapshot says so; whatever fires is true.
#
# A machine may stop any thread at any time for as long as it likes, so other goroutines may wait long too. Each snapshot is held
# against its own events: since when, until when, which goroutine. The one that did it on purpose must be among them, once.
import glob
import os
import re

import trace as trace_reader
from cases_snapshot import Recorder, idle, lives
from harness import build_go, case, expect, minor, newest, versions, wait, Skip

LIMIT_NS = 100000000
BEGINS = {
    "runnable": ("GoReady", "GoYield", "GoCreate", "GoSysexit"),
    "blocked": ("GoBlock",),
    "syscall": ("GoSyscall",),
}


def metas(bench, path):
    out = bench.run([bench.gtrace, "info", path]).stdout.decode()
    return dict(re.findall(r"^(\w+) +(.*)$", out, re.M))


def snapshots(out):
    """All but the last one, which is written at the end in any case."""
    return sorted(glob.glob(out[: -len(".gtrace")] + "-*"))


def true_of(bench, path, meta):
    """What the snapshot says fired, by its own events."""
    kind = meta["trigger"].split(" ")[0].split("(")[0]
    g, since, at = (int(meta["trigger_" + key]) for key in ("goroutine", "since_ns", "at_ns"))
    trace = trace_reader.load(bench.gtrace, path)
    if kind not in BEGINS:
        return
    events = trace.by_g[g]
    # Times in a file are rounded, and told from its own zero.
    begin = [e for e in events if abs(e.ns - since) <= 2000 and e.name in BEGINS[kind]]
    expect(begin, "%s: no event of goroutine %d at %d begins it: %s" % (path, g, since, [(e.ns, e.name) for e in events][-10:]))
    between = [e for e in events if since + 2000 < e.ns < at - 2000]
    expect(not between, "%s: goroutine %d did something meanwhile: %s" % (path, g, between[:3]))
    expect(at - since > LIMIT_NS, "%s: only %d ns" % (path, at - since))


def record(bench, program, options, env=None):
    """A recording in which gtrace looked at every event: one that got no CPU for long has too many at once, and says so."""
    for _ in range(20):
        out, run = bench.record(program, ["--flight"] + options, env=env)
        if b"waits forgotten" not in run.stderr:
            break
    return out, run


def fired(bench, version, what, expression, env=None):
    """(META of each snapshot of a trigger, the goroutine that the program printed)."""
    out, run = record(bench, [build_go("triggers", version), what], ["--trigger", expression, "--trigger-interval=0", "--after=0"], env)
    found = []
    for path in snapshots(out):
        bench.check(path)
        meta = metas(bench, path)
        expect(meta["trigger"] == expression and meta["cause"].startswith("trigger " + expression + ": "), "%s: %s" % (path, meta))
        true_of(bench, path, meta)
        found.append(meta)
    return found, int(run.stdout.split()[0]), run.stderr.decode()


@case
def trigger_waits(bench):
    """A goroutine that waits for a mutex, is in a system call, or gets no P: one snapshot for its one wait."""
    # A mutex has a name of its own since Go 1.20.
    for version, what, expression, env in [
        (v, "blocked", "blocked(%s) > 100ms" % ("sync.Mutex.Lock" if minor(v) >= (1, 20) else "semacquire"), None) for v in versions()
    ] + [
        (newest()[0], "syscall", "syscall > 100ms", None),
        (newest()[0], "starved", "runnable > 100ms", {"GOMAXPROCS": 1, "GODEBUG": "asyncpreemptoff=1"}),
    ]:
        try:
            found, g, err = fired(bench, version, what, expression, env)
        except Skip as skip:
            yield str(skip)
            continue
        mine = [meta for meta in found if int(meta["trigger_goroutine"]) == g]
        expect(len(mine) == 1, "Go %s, %s: %d snapshots of goroutine %d: %s" % (version, what, len(mine), g, err))
        yield "Go %s: %s%s" % (version, mine[0]["cause"], " (and %d others)" % (len(found) - 1) if len(found) > 1 else "")


@case
def trigger_count(bench):
    """10,001 goroutines and those of the runtime: at the one above the limit, once."""
    found, count, err = fired(bench, newest()[0], "many", "goroutines > 10000")
    expect(len(found) == 1 and count > 10000, "%d snapshots of %d goroutines: %s %s" % (len(found), count, [meta["cause"] for meta in found], err))
    expect("10001 goroutines" in found[0]["cause"], found[0]["cause"])
    yield found[0]["cause"]


@case
def trigger_ends(bench):
    """How the program ends: the last snapshot says which trigger that was."""
    program = build_go("triggers", newest()[0])
    for what, code, expression, cause in [
        ("exit", 3, "exit != 0", "the program ended with status 3"),
        ("exit", 3, "exit = 3", "the program ended with status 3"),
        ("nothing", 0, "exit", "the program ended with status 0"),
        ("killed", 137, "signal", "the program died by signal 9 (Killed)"),
        ("killed", 137, "exit != 0", "the program ended with status 137"),
        ("exit", 3, "signal", None),
        ("nothing", 0, "exit != 0", None),
        ("nothing", 0, "exit = 3", None),
    ]:
        out, _ = bench.record([program, what], ["--flight", "--trigger", expression], code=code)
        meta = metas(bench, out)
        expect(not snapshots(out), "%s, %s: %s" % (what, expression, snapshots(out)))
        expect(meta.get("trigger") == (expression if cause else None), "%s, %s: %s" % (what, expression, meta))
        expect(meta["cause"] == ("trigger %s: %s" % (expression, cause) if cause else "program ended with status %d" % code), meta["cause"])
        yield meta["cause"]


@case
def trigger_nothing(bench):
    """Nothing is long: no snapshot but the last. A limit that no stopped thread reaches."""
    options = ["--flight"]
    for expression in ("runnable > 60s", "blocked(any) > 60s", "syscall > 60s", "goroutines > 10000", "exit != 0", "signal"):
        options += ["--trigger", expression]
    for version in versions():
        for what in ("nothing", "blocked"):
            try:
                out, _ = bench.record([build_go("triggers", version), what], options)
            except Skip as skip:
                yield str(skip)
                continue
            expect(not snapshots(out) and "trigger" not in metas(bench, out), "Go %s: %s" % (version, snapshots(out)))
    yield "none"


@case
def trigger_after(bench):
    """--after: what comes later is in the snapshot too; --trigger-once: no second one."""
    program = build_go("triggers", newest()[0])
    out, run = record(bench, [program, "blocked"], ["--trigger", "blocked(sync.Mutex.Lock) > 100ms", "--after=60s"])
    path = snapshots(out)
    expect(len(path) == 1, "%s: %s" % (path, run.stderr))
    meta = metas(bench, path[0])
    trace = trace_reader.load(bench.gtrace, path[0])
    g, at = int(meta["trigger_goroutine"]), int(meta["trigger_at_ns"])
    expect([e for e in trace.by_g[g] if e.name == "GoEnd" and e.ns > at], "what came after is not in it")
    yield "goroutine %d: its end is in it" % g


@case
def trigger_command(bench):
    """A command beside: its end is a trigger. It does not outlive the recording, and nothing of the program's."""
    recorder = Recorder(bench, idle(), ["--trigger-command", "exit 7", "--after=0"])
    wait(recorder.timed, "the command's snapshot")
    recorder.end(code=3)
    path = snapshots(recorder.out)
    expect(len(path) == 1, "%s: %s" % (path, recorder.err()))
    meta = metas(bench, path[0])
    expect(meta["trigger"] == "exit 7" and meta["cause"] == "trigger exit 7: it ended with status 7", meta)
    pid_file = os.path.join(bench.dir, "pid")
    recorder = Recorder(bench, idle(), ["--trigger-command", "echo $$ > %s.new; mv %s.new %s; exec sleep 1000" % ((pid_file,) * 3)])
    wait(lambda: os.path.exists(pid_file), "the command's number")
    recorder.end(code=3)
    expect(not snapshots(recorder.out), snapshots(recorder.out))
    pid = int(open(pid_file).read())
    wait(lambda: not lives(pid), "the command to end: %d" % pid)
    yield meta["cause"]
