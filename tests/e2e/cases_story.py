# cases_story.py - programs that know what they did: the trace must say the same, exactly.
import collections
import json
import os
import re
import signal
import subprocess
import time

import gostory
import trace as trace_reader
from harness import LIMIT, NEWEST, Failure, Skip, build_go, case, expect, go, minor, newest, runs, versions
from trace import number


def compare_worker(trace, w):
    """Every number that the program told about one goroutine."""
    g, who = w["g"], "goroutine %d (%s)" % (w["g"], w["name"])
    events = trace.by_g[g]
    expect(events, who + ": not in the trace")
    creates = trace.of(g, "GoCreate")
    expect(len(creates) == 1, "%s: created %d times" % (who, len(creates)))
    expect(number(creates[0].args["parent"]) == w["parent"], "%s: parent %s instead of %d" % (who, creates[0].args["parent"], w["parent"]))
    blocks = trace.count(g, "GoBlock", "reason")
    expect(dict(blocks) == w["blocks"], "%s: blocks %s instead of %s" % (who, dict(blocks), w["blocks"]))
    wakes = collections.Counter(number(e.args["by"]) for e in trace.of(g, "GoReady"))
    expect(dict(wakes) == {int(k): v for k, v in w["wakes"].items()}, "%s: woken by %s instead of %s" % (who, dict(wakes), w["wakes"]))
    ends = len(trace.of(g, "GoEnd"))
    expect(ends == int(w["ended"]), "%s: ended %d times" % (who, ends))
    syscalls, exits = len(trace.of(g, "GoSyscall")), trace.of(g, "GoSysexit")
    if w["exact"] or w["syscalls"]:
        expect(syscalls == w["syscalls"], "%s: %d syscalls instead of %d" % (who, syscalls, w["syscalls"]))
    inside = 1 if w["name"] == "signals" else 0  # sleeps there when the program ends
    expect(len(exits) == syscalls - inside, "%s: %d syscalls, %d returns" % (who, syscalls, len(exits)))
    yields = trace.count(g, "GoYield", "reason")
    if w["exact"]:
        expect(yields["yield"] == w["yields"], "%s: %d yields instead of %d" % (who, yields["yield"], w["yields"]))
    # Whatever made it runnable was followed by exactly one start.
    made = 1 + len(trace.of(g, "GoReady")) + sum(yields.values()) + sum(e.args["new"] == "runnable" for e in exits)
    ran = len(trace.of(g, "GoRun"))
    expect(ran == made or w["name"] == "signals" and made - ran in (0, 1), "%s: %d times runnable, %d starts" % (who, made, ran))


def compare_counts(trace, story):
    expect(trace.lost() == 0, "%d events lost" % trace.lost())
    broken = trace.first_broken()
    expect(broken is None, "the chain breaks: %s" % (broken,))
    for w in story["workers"]:
        compare_worker(trace, w)
    spawner = story["spawner"]
    children = collections.Counter(number(e.args["g"]) for e in trace.named("GoCreate") if number(e.args["parent"]) == spawner)
    expect(children == collections.Counter(story["children"]), "%d children in the trace, %d in the program's story" % (sum(children.values()), len(story["children"])))
    for g in story["children"]:
        expect(len(trace.of(g, "GoEnd")) == 1, "child %d ended %d times" % (g, len(trace.of(g, "GoEnd"))))
        expect(trace.by_g[g][-1].name == "GoEnd", "child %d does %s after its end" % (g, trace.by_g[g][-1].name))
    ended = len(trace.named("MEnd"))
    expect(ended == story["threads_ended"], "%d threads ended instead of %d" % (ended, story["threads_ended"]))
    compare_threads(trace, story)


def compare_threads(trace, story):
    starts = collections.Counter(e.m for e in trace.named("MStart"))
    expect(max(starts.values(), default=0) == 1, "a thread started twice: %s" % starts.most_common(1))
    tids = [e.args["tid"] for e in trace.named("MStart")]
    expect(all(number(t) > 0 for t in tids), "a thread without its number")
    # The thread that only watches (sysmon) need not have an M that shows.
    least = story["threads_created"] + story["threads_ended"] - 1
    expect(len(starts) >= least, "%d threads started, the program has had %d" % (len(starts), least))
    silent = {e.m for e in trace.events if e.name == "GoRun"} - set(starts)
    expect(not silent, "threads that ran goroutines but never started: %s" % sorted(silent)[:5])
    compare_slots(trace, story["gomaxprocs"])
    compare_idle(trace, next(w for w in story["workers"] if w["name"] == "locked to a thread"))


def compare_idle(trace, locked):
    """A thread sleeps for one of two reasons: it found no work and gave its P up before, or its own goroutine waits."""
    holder, free, waiting = {}, 0, 0
    for event in trace.events:
        if event.name == "PStart":
            holder[event.args["p"]] = event.m
        elif event.name in ("PStop", "PIdle"):
            holder[event.args["p"]] = None
        elif event.name == "MIdle":
            if event.m in holder.values():
                waiting += 1
            else:
                free += 1
    expect(free > 0, "no thread went to sleep for want of work")
    least = sum(locked["blocks"].values())
    expect(waiting >= least, "threads slept %d times with their goroutine, which waited %d times" % (waiting, least))


def compare_slots(trace, procs):
    """Each P is taken and given up in turn; no more Ps than there are; an idle P was given up before, or taken from a syscall."""
    holder, away = {}, set()
    seen = collections.Counter()
    for event in trace.events:
        if event.name in ("GoSyscall", "GoRun"):
            (away.add if event.name == "GoSyscall" else away.discard)(event.m)
        if event.name not in ("PStart", "PStop", "PIdle", "GoRun"):
            continue
        p = event.args["p"]
        if event.name == "GoRun":
            expect(holder.get(p) == event.m, "at %d ns: goroutine %s runs on M %d with P %s, held by M %s" % (event.ns, event.args["g"], event.m, p, holder.get(p)))
            continue
        seen[event.name] += 1
        if event.name == "PStart":
            holder[p] = event.m
            away.discard(event.m)
        elif event.name == "PStop":
            expect(holder.get(p) == event.m, "at %d ns: M %d gives up P %s, held by M %s" % (event.ns, event.m, p, holder.get(p)))
            holder[p] = None
        else:
            expect(holder.get(p) is None or holder[p] in away, "at %d ns: P %s is idle, but held by M %s" % (event.ns, p, holder.get(p)))
            holder[p] = None
    expect(len(holder) <= procs, "%d Ps, GOMAXPROCS is %d" % (len(holder), procs))
    for name in ("PStart", "PStop", "PIdle"):
        expect(seen[name] > 0, "not one %s" % name)


def record_counts(bench, version, procs, env=None, mode="static", options=()):
    program = build_go("counts", version, mode)
    out, run = bench.record([program], env=dict(env or {}, GOMAXPROCS=procs), options=options)
    trace = trace_reader.load(bench.gtrace, out)
    compare_counts(trace, json.loads(run.stdout))
    return trace


@case
def counts(bench):
    """Creations, blocks by reason, wakes by whom, yields, syscalls, ends: equal to the program's own story."""
    for version in versions():
        total, recordings = 0, 0
        for procs in (1, 2, 8):
            for _ in range(runs(3, long=60)):
                total += len(record_counts(bench, version, procs).events)
                recordings += 1
        yield "Go %s: %d recordings, %d events, none lost, each number exact" % (version, recordings, total)


@case
def counts_modes(bench):
    """The same, however the program was linked."""
    for version in versions():
        for mode in ("stripped", "pie", "pie-stripped", "external", "external-stripped"):
            record_counts(bench, version, 4, mode=mode)
        record_counts(bench, version, 4, options=["--stacks=off"])
        record_counts(bench, version, 4, options=["--no-uring"])
        yield "Go %s: stripped, PIE, external link, no stacks, no io_uring" % version


@case
def syscalls(bench):
    """A P is taken away in a system call, and missing when it ends."""
    for version in versions():
        out, run = bench.record([build_go("syscalls", version)])
        story = json.loads(run.stdout)
        trace = trace_reader.load(bench.gtrace, out)
        expect(trace.first_broken() is None, "the chain breaks: %s" % (trace.first_broken(),))
        waited = 0
        for g in story["sleepers"]:
            count = len(trace.of(g, "GoSyscall"))
            expect(count == story["syscalls"], "goroutine %d: %d syscalls instead of %d" % (g, count, story["syscalls"]))
            expect(len(trace.of(g, "GoSysexit")) == count, "goroutine %d: %d syscalls, %d returns" % (g, count, len(trace.of(g, "GoSysexit"))))
            waited += sum(e.args["new"] == "runnable" for e in trace.of(g, "GoSysexit"))
            waited += sum(e.args["reason"] == "syscall ended, no P" for e in trace.of(g, "GoYield"))
        expect(waited > 0, "no syscall ended without a P, though the only one was always wanted")
        yield "Go %s: %d of %d returns found no P" % (version, waited, len(story["sleepers"]) * story["syscalls"])


@case
def preempt(bench):
    """Loops without a call are preempted, and parked for the collector."""
    for version in versions():
        preempted = parked = rounds = 0
        # Whether a loop runs just when the collector looks for its stack is chance: as many runs as it takes, within reason.
        while rounds < 1 or (parked == 0 and rounds < 40):
            rounds += 1
            for procs in (1, 2, 4):
                out, run = bench.record([build_go("preempt", version)], env={"GOMAXPROCS": procs})
                story = json.loads(run.stdout)
                trace = trace_reader.load(bench.gtrace, out)
                expect(trace.first_broken() is None, "the chain breaks: %s" % (trace.first_broken(),))
                yielded = sum(trace.count(g, "GoYield", "reason")["yield"] for g in story["spinners"])
                here = sum(trace.count(g, "GoYield", "reason")["preempt"] for g in story["spinners"])
                expect(here > 0, "no loop was preempted")
                expect(yielded == 0, "%d yields of loops that never yield" % yielded)
                preempted += here
                parked += sum(trace.count(g, "GoBlock", "reason")["preempted"] for g in story["spinners"])
        expect(parked > 0, "no loop was parked for the collector in %d runs" % (3 * rounds))
        yield "Go %s: loops preempted %d times, parked for the collector %d times" % (version, preempted, parked)


@case
def coro(bench):
    """iter.Pull: two goroutines hand the thread to each other; each hand-over is there."""
    tested = [v for v in versions() if minor(v) >= (1, 23)]
    if not tested:
        raise Skip("no Go from 1.23 on among the versions")
    for version in tested:
        out, run = bench.record([build_go("coro", version)])
        story = json.loads(run.stdout)
        trace = trace_reader.load(bench.gtrace, out)
        expect(trace.first_broken() is None, "the chain breaks: %s" % (trace.first_broken(),))
        for who in ("outer", "inner"):
            found = trace.count(story[who], "GoBlock", "reason")["coroutine"]
            expect(found == story[who + "_waits"], "%s: waited %d times for its coroutine instead of %d" % (who, found, story[who + "_waits"]))
        expect(len(trace.of(story["inner"], "GoEnd")) == 1, "the coroutine ended %d times" % len(trace.of(story["inner"], "GoEnd")))
        create = trace.of(story["inner"], "GoCreate")
        expect(len(create) == 1 and create[0].args["new"] == "waiting", "the coroutine was not created waiting: %s" % create)
        yield "Go %s: %d hand-overs" % (version, story["outer_waits"] + story["inner_waits"])


@case
def gotrace(bench):
    """Go's own tracer on the same run tells the same story of each goroutine, word for word."""
    command, env = go(NEWEST)
    for version in versions():
        words = 0
        for procs in (1, 2, 4):
            file = bench.path(".gotrace")
            out, run = bench.record([build_go("gotrace", version), file], env={"GOMAXPROCS": procs})
            ids = json.loads(run.stdout)["goroutines"]
            parsed = subprocess.run([command, "tool", "trace", "-d=parsed", file], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            expect(parsed.returncode == 0, "go tool trace: " + parsed.stderr.decode(errors="replace"))
            theirs, their_ps = gostory.of_go(parsed.stdout.decode(errors="replace").splitlines())
            trace = trace_reader.load(bench.gtrace, out)
            expect(trace.lost() == 0, "%d events lost" % trace.lost())
            ours, our_ps = gostory.of_gtrace(trace, number)
            for g in ids:
                a, b = theirs[g], ours[g]
                if minor(version) >= (1, 22):  # the old format's P is that of the buffer
                    at = next((i for i, (p, q) in enumerate(zip(their_ps[g], our_ps[g])) if p != q), None)
                    expect(at is None, "Go %s, GOMAXPROCS=%d, goroutine %d, word %s: on P %s by Go's tracer, %s by gtrace" % (version, procs, g, at, their_ps[g][at or 0:][:4], our_ps[g][at or 0:][:4]))
                if minor(version) < (1, 22):  # the old format has no begin for every system call
                    a, b = [w for w in a if w[0] != "syscall"], [w for w in b if w[0] != "syscall"]
                    a = [("block", "preempted") if w == ("block", "") else w for w in a]  # it has no word for that
                words += len(a)
                if a == b:
                    continue
                # A mutex handed over to a starving goroutine: Go's tracer says that the giver was preempted; it yields.
                b = [x if x == ("stop", "preempted") and y == ("stop", "runtime.Gosched") else y for x, y in zip(a, b)] + b[len(a):]
                if a == b:
                    continue
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                raise Failure("Go %s, GOMAXPROCS=%d, goroutine %d, word %d of %d and %d: Go's tracer %s, gtrace %s" % (version, procs, g, at, len(a), len(b), a[max(at - 2, 0):at + 4], b[max(at - 2, 0):at + 4]))
        yield "Go %s: %d creations, blocks, wakes, stops, syscalls and ends agree, and where they were" % (version, words)


@case
def loss(bench):
    """A stopped gtrace loses events: they are counted, and recorded + lost is what the program did."""
    program, count = build_go("gosched", newest()[0]), 1500000
    for _ in range(20):  # the program may be over, or not begun, while gtrace stands still
        out = bench.path()
        run = bench.start(bench.command([program, "-n", str(count)], ["--buffer=1M"], out), env=dict(os.environ, GOMAXPROCS="1"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        time.sleep(0.1)
        run.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        run.send_signal(signal.SIGCONT)
        stdout, stderr = run.communicate(timeout=LIMIT)
        expect(run.returncode == 0, "exit %d: %s" % (run.returncode, stderr.decode(errors="replace")))
        bench.check(out)
        trace = trace_reader.load(bench.gtrace, out)
        if trace.lost():
            break
    lost, recorded = trace.lost(), len(trace.events) - len(trace.named("Lost"))
    expect(lost > 0, "nothing was lost, though gtrace stood still")
    yields = sum(e.args["reason"] == "yield" for e in trace.named("GoYield"))
    did = 2 * 2 * count  # two goroutines; each yield is a GoYield and a GoRun
    expect(yields <= 2 * count, "%d yields of %d" % (yields, 2 * count))
    # What the runtime does besides is little: a few goroutines, threads and preemptions.
    expect(did <= recorded + lost <= did + 20000, "%d recorded + %d lost, the program did %d" % (recorded, lost, did))
    text = subprocess.run([bench.gtrace, "info", out], stdout=subprocess.PIPE).stdout.decode()
    told = sum(int(n) for what, n in re.findall(r"^lost: +(.*?) +(\d+)$", text, re.M) if what != "stacks")
    expect(told == lost, "gtrace info tells %d lost events, the trace %d:\n%s" % (told, lost, text))
    yield "%d recorded + %d lost, the program did at least %d" % (recorded, lost, did)


def hook_names(bench):
    text = os.environ.get("GTRACE_HOOKS", "")
    if text:
        return text.split(",")
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hooks.txt")
    return [line.strip() for line in open(path) if line.strip() and not line.startswith("#")]


@case
def mutation(bench):
    """With any one hook left away, the comparisons above must fail: they do look at what each hook gives."""
    version = newest((1, 23))
    if not version:
        raise Skip("needs Go 1.23 or newer")
    version = version[0]

    def attempt(name, program, look, procs):
        out = bench.path()
        try:
            run = bench.run(bench.command([build_go(program, version)], out=out), env=dict({"GTRACE_TEST_SKIP_HOOK": name} if name else {}, GOMAXPROCS=procs), timeout=60)
        except subprocess.TimeoutExpired:
            return "the recording hangs"
        if "no such hook" in run.stderr.decode(errors="replace"):
            raise Failure("gtrace knows no hook %s: see tests/e2e/hooks.txt" % name)
        if run.returncode != 0:
            return "exit %d" % run.returncode
        try:
            bench.check(out)
            look(trace_reader.load(bench.gtrace, out), json.loads(run.stdout))
        except (Failure, ValueError, KeyError) as failure:
            return str(failure).split("\n")[0][:150]
        return None

    def look_syscalls(trace, story):
        waited = 0
        for g in story["sleepers"]:
            expect(len(trace.of(g, "GoSyscall")) == len(trace.of(g, "GoSysexit")) == story["syscalls"], "goroutine %d: %d syscalls" % (g, len(trace.of(g, "GoSyscall"))))
            waited += sum(e.args["new"] == "runnable" for e in trace.of(g, "GoSysexit")) + trace.count(g, "GoYield", "reason")["syscall ended, no P"]
        expect(waited > 0, "no syscall ended without a P")

    def look_preempt(trace, story):
        reasons = collections.Counter()
        for g in story["spinners"]:
            reasons += trace.count(g, "GoBlock", "reason")
            reasons += collections.Counter({"!" + k: v for k, v in trace.count(g, "GoYield", "reason").items()})
        expect(reasons["preempted"] > 0 and reasons["!preempt"] > 0 and reasons["!yield"] == 0, "reasons %s" % dict(reasons))

    def look_coro(trace, story):
        for who in ("outer", "inner"):
            found = trace.count(story[who], "GoBlock", "reason")["coroutine"]
            expect(found == story[who + "_waits"], "%s waited %d times for its coroutine" % (who, found))

    def attempts(name, program, look, procs):
        """What some run of a program whose story depends on chance shows is there: only what none shows is missing."""
        for _ in range(1 if look is not look_preempt else 8 if name else 40):
            found = attempt(name, program, look, procs)
            if not found:
                break
        return found

    looks = [("counts", compare_counts, 4), ("preempt", look_preempt, 2), ("syscalls", look_syscalls, 1), ("coro", look_coro, 2)]
    for program, look, procs in looks:  # all of them hold with every hook in its place
        found = attempts("", program, look, procs)
        expect(found is None, "%s, no hook left away: %s" % (program, found))
    missed = []
    for name in hook_names(bench):
        found = None
        for program, look, procs in looks:
            found = attempts(name, program, look, procs)
            if found:
                yield "without %s: %s: %s" % (name, program, found)
                break
        if not found:
            missed.append(name)
    expect(not missed, "nobody notices that these hooks are missing: " + ", ".join(missed))
