# cases_linked.py - gtrace attach for programs on gtrace's own runtime: told by the program itself, again and again.
import glob
import json
import os
import random
import signal
import subprocess
import time

import trace as trace_reader
from cases_attach import Attached, Program, outside, refused, settled, unchanged, until, wait_state
from cases_hard import ITSELF, PACKING, cpu_ticks
from cases_same import child_of, read_until
from cases_snapshot import Recorder, meta, stand
from harness import LIMIT, Failure, Skip, build_go, case, expect, held_by, newest, runs, wait
from trace import number


# KiB: what gtrace knows of a program that was not started by it: its symbols, tables of functions.
SYMBOLS = 4096


def program(bench, name="runtime-midway"):
    path = os.path.join(os.path.dirname(bench.gtrace), name)
    if not os.path.exists(path):
        raise Skip("%s is not built" % name)
    return path


def until_alone(pid):
    """The thread that answers gtrace ends a moment after its answer, or when it sees that gtrace is gone."""
    for _ in range(3000):
        names = []
        for task in os.listdir("/proc/%d/task" % pid):
            try:
                names.append(open("/proc/%d/task/%s/comm" % (pid, task)).read().strip())
            except OSError:
                pass
        if "gtrace" not in names:
            return
        time.sleep(0.02)
    expect(False, "threads: %s" % names)


VISIBLE = ("code", "tracer", "masks")


def work(pid):
    """The program got some of the CPU's time, whatever the clock says."""
    before = cpu_ticks(pid)
    wait(lambda: cpu_ticks(pid) >= before + 4, "process %d to work" % pid)


def marks_of(trace):
    return [int(e.args["task"]) for e in trace.named("Log")]


def compare(story, trace, woken, stacks=True):
    """Who was there is told as it was; from there every step; marks without a gap or one twice."""
    trace.complete = False
    broken = trace.first_broken()
    expect(broken is None, "the chain breaks: %s" % (broken,))
    for g in story["idle"]:
        events = trace.by_g[g]
        expect([e.name for e in events] == ["GoState", "GoStack"][:1 + stacks] and events[0].args["reason"] == "chan receive", "goroutine %d, which only waits: %s" % (g, events))
    # Where each stood when it was found is where it stands whenever it waits for the same again.
    for g in story["workers"] + [story["main"]]:
        events = trace.by_g[g]
        expect(events and events[0].name == "GoState" and events[0].args["old"] == "none", "%d began with %s" % (g, events[:1]))
        stood = [number(e.args["stack"]) for e in trace.of(g, "GoStack")]
        expect(len(stood) <= stacks and (len(stood) == stacks or events[0].args["new"] not in ("waiting", "syscall")), "%d was found %s, at %s" % (g, events[0], stood))
        later = set(number(e.args["stack"]) for e in trace.of(g, "GoBlock") if e.args["reason"] == events[0].args["reason"])
        expect(not stood or not later or stood[0] in later, "%d was found at stack %s, and stands at %s later" % (g, stood, later))
    for g in story["workers"]:
        runs_of = trace.of(g, "GoRun")
        expect(len(runs_of) <= 4 * story["woken"] + 4, "worker %d: %d times run" % (g, len(runs_of)))
        expect(not woken or runs_of, "worker %d did nothing" % g)
    expect(trace.by_g[story["main"]][0].name == "GoState", "main was not found")
    marks = marks_of(trace)
    expect(marks and marks == list(range(marks[0], marks[0] + len(marks))), "marks with a gap: %s" % [m for i, m in enumerate(marks) if i and m != marks[i - 1] + 1][:5])
    return len(marks)


@case
def linked_story(bench):
    """Attached to three times in its life, the last time as a flight recorder: each trace begins complete, and the program is as before."""
    for _ in range(runs(2, long=30)):
        traces, texts = [], []
        with Program([program(bench)]) as p:
            p.until(b"phase 1\n")
            before = settled(p.pid)
            for phase, options in ((2, []), (3, []), (0, ["--flight", "--max-bytes=16M", "--min-age=100ms"])):
                attached = Attached(bench, p.pid, options)
                if phase:
                    p.say(b"\n")
                    p.until(b"phase %d\n" % phase)
                else:
                    work(p.pid)
                traces.append(attached.end())
                texts.append(attached.text)
                until_alone(p.pid)
                unchanged(p.pid, before, "not as it was", VISIBLE)
            p.say(b"\n")
            stdout, err = p.run.communicate(timeout=120)
            expect(p.run.returncode == 0, "the program ended with %d: %s" % (p.run.returncode, err[-2000:]))
        story = json.loads(stdout)
        found = []
        for i, path in enumerate(traces):
            trace = trace_reader.load(bench.gtrace, path)
            expect(i == 2 or "lost: 0 events" in texts[i], texts[i])
            found.append(compare(story, trace, i < 2))
            if i == 0:
                for g in story["children"]:
                    created = trace.of(g, "GoCreate")
                    expect(len(created) == 1 and number(created[0].args["parent"]) == story["main"], "goroutine %d was created by main: %s" % (g, created))
        yield "three recordings with %s marks, none missing" % found


@case
def linked_cycles(bench):
    """In and out again and again while goroutines come and go; a window smaller than the memory that is there, too."""
    with Program([program(bench), "-r"]) as p:
        p.until(b"phase 1\n")
        total, cycles = 0, runs(5, long=100)
        for i in range(cycles):
            options = [["--duration", "60ms"], ["--duration", "60ms", "--flight", "--max-bytes=12M"], ["--duration", "60ms", "--stacks=off"]][i % 3]
            out = bench.path()
            run = bench.run([bench.gtrace, "attach", "-o", out] + options + [str(p.pid)])
            text = run.stderr.decode(errors="replace")
            expect(run.returncode == 0, "exit %d: %s" % (run.returncode, text))
            bench.check(out)
            trace = trace_reader.load(bench.gtrace, out)
            marks = marks_of(trace)
            gaps = sum(1 for a, b in zip(marks, marks[1:]) if b != a + 1)
            expect(all(b > a for a, b in zip(marks, marks[1:])), "a mark twice, or out of order")
            expect(not gaps or trace.lost() or "lost: 0 events" not in text, "%d gaps, and nothing is lost: %s" % (gaps, text))
            total += len(marks)
            os.unlink(out)
        expect(total, "no mark at all")
        for phase in (2, 3):
            p.say(b"\n")
            p.until(b"phase %d\n" % phase)
        p.say(b"\n")
        p.run.communicate(timeout=120)
        expect(p.run.returncode == 0, "the program ended with %d" % p.run.returncode)
    yield "%d times, %d marks" % (cycles, total)


@case
def linked_kill(bench):
    """SIGKILL of gtrace at any instant: the program goes on, hooks go off by themselves, and the next gtrace records."""
    chance = random.Random(5)
    with Program([program(bench)]) as p:
        p.until(b"phase 1\n")
        times = runs(8, long=100)
        for _ in range(times):
            gtrace = subprocess.Popen([bench.gtrace, "attach", "-q", "-o", bench.path(), str(p.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0, 0.15))
            gtrace.kill()
            gtrace.wait()
        until_alone(p.pid)
        attached = Attached(bench, p.pid)
        p.say(b"\n")
        p.until(b"phase 2\n")
        trace = trace_reader.load(bench.gtrace, attached.end())
        expect("lost: 0 events" in attached.text, attached.text)
        p.say(b"\n")
        p.until(b"phase 3\n")
        p.say(b"\n")
        stdout, err = p.run.communicate(timeout=120)
        expect(p.run.returncode == 0, "the program ended with %d: %s" % (p.run.returncode, err[-2000:]))
        marks = compare(json.loads(stdout), trace, True)
    yield "killed %d times; then %d marks, none missing" % (times, marks)
    # SIGKILL of the program: what it did is there.
    with Program([program(bench)]) as p:
        p.until(b"phase 1\n")
        attached = Attached(bench, p.pid, ["--flight", "--max-bytes=16M"])
        work(p.pid)
        p.run.kill()
        err = attached.run.communicate(timeout=120)[1].decode(errors="replace")
        expect(attached.run.returncode == 0 and "program ended" in err, "exit %d: %s" % (attached.run.returncode, err))
        bench.check(attached.out)
        marks = marks_of(trace_reader.load(bench.gtrace, attached.out))
        expect(len(marks) > 10, "%d marks" % len(marks))
    yield "killed itself: its window holds %d marks" % len(marks)


@case
def linked_refused(bench):
    """What cannot be: one line, and nothing is changed."""
    with Program([program(bench), "-q"]) as p:
        p.until(b"phase 1\n")
        first = Attached(bench, p.pid)
        yield refused(bench, p.pid, "another gtrace")
        first.end()
        yield refused(bench, p.pid, "give --max-bytes at least", options=["--flight", "--max-bytes", "1M"])
        if os.geteuid() == 0:
            user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
            os.chmod(bench.dir, 0o777)
            if bench.run(user + [bench.gtrace, "--version"]).returncode == 0:
                yield refused(bench, p.pid, "belongs to another user", prefix=user)
        os.kill(p.pid, signal.SIGSTOP)
        wait_state(p.pid, "T")
        yield refused(bench, p.pid, "is stopped")
        os.kill(p.pid, signal.SIGCONT)
        # It is asked meanwhile by one that is gone.
        Attached(bench, p.pid).end()
        p.say(b"\n\n\n")
        p.run.communicate(timeout=120)
        expect(p.run.returncode == 0, "the program ended with %d" % p.run.returncode)
    # Started by gtrace record: that one is its recorder.
    record = subprocess.Popen(bench.command([program(bench), "-q"]), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        until(record.stderr, b"phase 1\n")
        yield refused(bench, child_of(record.pid), "gtrace records this process already")
    finally:
        record.communicate(b"\n\n\n", timeout=120)
    expect(record.returncode == 0, "recorded: exit %d" % record.returncode)


@case
def linked_hostile(bench):
    """A program whose answers are nonsense: gtrace says so in a line, or records; it neither falls over nor waits for ever."""
    hostile = program(bench, "libtrace-attend")
    good = bad = 0
    for _ in range(runs(6, long=60)):
        with Program([hostile, "hostile"], stdin=subprocess.DEVNULL) as p:
            p.until(b"ready", p.run.stdout)
            out = bench.path()
            run = bench.run([bench.gtrace, "attach", "-q", "--duration", "100ms", "-o", out, str(p.pid)], timeout=120)
            text = run.stderr.decode(errors="replace")
            expect(run.returncode in (0, 1), "exit %d: %s" % (run.returncode, text))
            expect(run.returncode == 0 or text.startswith("gtrace: "), "no word on it: %s" % text)
            expect(p.run.poll() is None, "the program ended")
            if os.path.exists(out):
                bench.run([bench.gtrace, "info", out])
                os.unlink(out)
            good, bad = good + (run.returncode == 0), bad + (run.returncode == 1)
    yield "%d times recorded, %d times refused" % (good, bad)


@case
def recorder_stopped(bench):
    """gtrace stands still (SIGSTOP) while the program goes on with numbered marks: the newest are all there, older ones are told as missing, none is there twice."""
    for _ in range(runs(1, long=20)):
        out = bench.path()
        record = subprocess.Popen(bench.command([program(bench), "-r"], ["--flight", "--max-bytes=2M"], out), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            while b"phase 1" not in record.stderr.readline():
                pass
            time.sleep(0.3)
            record.send_signal(signal.SIGSTOP)
            time.sleep(1.2 if runs(1) == 1 else 5)
            record.send_signal(signal.SIGCONT)
        finally:
            stdout, err = record.communicate(b"\n\n\n", timeout=60)
        expect(record.returncode == 0, "exit %d: %s" % (record.returncode, err))
        bench.check(out)
        story, trace = json.loads(stdout), trace_reader.load(bench.gtrace, out)
        marks = [(int(e.args["task"]), e.ns, e.m) for e in trace.named("Log")]
        expect(all(b[0] > a[0] for a, b in zip(marks, marks[1:])), "a mark twice, or out of order")
        expect(marks and marks[-1][0] == story["marks"], "the last mark is %s of %d" % (marks[-1:], story["marks"]))
        gaps = [i for i in range(1, len(marks)) if marks[i][0] != marks[i - 1][0] + 1]
        # Of each M: from its event before a Lost to that; and all before its first.
        dark, last = [], {}
        for e in trace.events:
            if e.name == "Lost" or e.m not in last:
                dark.append((last.get(e.m, 0), e.ns))
            last[e.m] = e.ns
        for i in gaps:
            expect(any(a < marks[i][1] and b > marks[i - 1][1] for a, b in dark), "marks %d to %d are missing, and nothing says so" % (marks[i - 1][0], marks[i][0]))
        expect(gaps or marks[0][0] > 1, "nothing was evicted: %d marks" % story["marks"])
        tail = len(marks) - (gaps[-1] if gaps else 0)
        expect(tail > 1000, "only %d marks at the end without a gap" % tail)
        yield "%d marks made, %d held, %d gaps, each told; the newest %d without one" % (story["marks"], len(marks), len(gaps), tail)


def triggered(bench, argv, expression, last):
    """A recorder that wrote a snapshot, ended. None of one that forgot for how long everybody waits, as it got no CPU while its window was
    overwritten, and says so: those who wait for ever give it no second chance."""
    with Program(argv) as p:
        p.until(b"phase 1\n")
        attached = Attached(bench, p.pid, ["--flight", "--max-bytes=8M", "--trigger", expression, "--after=0"])
        try:
            until(attached.run.stderr, b"trigger " + expression.encode(), LIMIT if last else LIMIT / 6)
        except Failure:
            attached.end()
            if last or "waits forgotten" not in attached.text:
                raise
            return None
        attached.end()
        return attached


@case
def attach_triggers(bench):
    """Triggers of a recorder that came in the midst: what was there counts from the moment of its coming."""
    cases = [([program(bench)], "runtime")]
    version = newest()
    if version:
        cases.append(([build_go("midway", version[0])], "Go"))
    for argv, what in cases:
        for expression in ("goroutines > 20", "blocked > 100ms"):
            for last in (False, False, False, True):
                attached = triggered(bench, argv, expression, last)
                if attached:
                    break
            made = [path for path in glob.glob(attached.out[: -len(".gtrace")] + "-*") if "trigger" in path]
            expect(made, "no snapshot, but %s" % attached.text)
            for path in made:
                bench.check(path)
            yield "%s: %s: %d snapshots" % (what, expression, len(made))


@case
def attach_memory(bench):
    """From outside: what an attached flight recorder takes in both processes stays within MaxBytes and what is told beside it; afterwards the program has what it had."""
    linked = program(bench)
    for argv, ready in (([build_go("quiet", newest()[0]), "wait", "10000"], b"ready"), ([linked, "-q", "-i", "10000"], b"phase 1")):
        for size, kib in (("2M", 2048), ("16M", 16384)):
            with Program(argv) as p:
                p.until(ready, p.run.stdout if ready == b"ready" else p.run.stderr)
                time.sleep(0.2)
                before = held_by(p.pid)[0]
                attached = Attached(bench, p.pid, ["--flight", "--max-bytes", size])
                peak = shared = grown = 0
                for number in range(8):
                    own, of_both = held_by(attached.run.pid)
                    peak, shared = max(peak, own + of_both), max(shared, of_both)
                    grown = max(grown, held_by(p.pid)[0] - before)
                    time.sleep(0.05)
                attached.end()
                after = held_by(p.pid)[0] - before
                fixed = ITSELF + SYMBOLS + (PACKING if kib >= 2048 else 0)
                yield "%s, %s: %d KiB held by gtrace, %d of them shared; the program's own grew by %d KiB, and by %d once it was left" % (os.path.basename(argv[0]).split("-")[0], size, peak, shared, grown, after)
                expect(shared <= kib and peak <= kib + fixed, "%d KiB held, %d shared, %d allowed" % (peak, shared, kib + fixed))
                # Pages of code that hooks were put into are the process's own; a list of those that live; the runtimes' own work.
                expect(grown <= 1024 and after <= 1024, "the program grew by %d KiB, then %d" % (grown, after))


# As tests/runtime/standing.c waits.
STANDS = {"receives": ("waiting", "chan receive"), "receives_nil": ("waiting", r"chan receive \(nil chan\)"), "sends": ("waiting", "chan send"),
          "sends_nil": ("waiting", r"chan send \(nil chan\)"), "selects": ("waiting", "select"), "selects_none": ("waiting", r"select \(no cases\)"),
          "expires": ("waiting", "chan receive"), "cancels": ("waiting", "select"), "locks": ("waiting", "sync.Mutex.Lock"),
          "locks_read": ("waiting", "sync.RWMutex.RLock"), "locks_write": ("waiting", "sync.RWMutex.Lock"), "conds": ("waiting", "sync.Cond.Wait"),
          "acquires": ("waiting", "semacquire"), "sleeps": ("waiting", "sleep"), "joins": ("waiting", "sync.WaitGroup.Wait"), "polls": ("waiting", "IO wait"),
          "reads": ("syscall", "unknown")}


def known_of(table):
    return {int(line.split()[0]): line.split()[1] for line in open(table)}


def window_late(recorder, pid=None):
    """A snapshot that does not reach back to the recorder's begin."""
    for _ in range(200):
        path, said = recorder.ask(pid=pid)
        if "the last" in said:
            return path
    raise Failure("the window still holds all: %s" % said)


def debugged(bench, recorder, pid):
    """While a debugger has the program's threads, nobody can wake the one that looks: it cannot answer then, and is not left asleep for ever."""
    code = """import ctypes, os, sys, time
l = ctypes.CDLL(None)
l.ptrace.argtypes = [ctypes.c_long] * 4
for task in os.listdir("/proc/%s/task" % sys.argv[1]):
    print(l.ptrace(0x4206, int(task), 0, 0))
print("done", flush=True)
time.sleep(600)"""
    for _ in range(20):
        until_alone(pid)
        with Program(["python3", "-c", code, str(pid)]) as debugger:
            debugger.until(b"done", debugger.run.stdout)
            if "did not answer" in str(meta(bench, recorder.ask()[0], "standing")):
                return
    raise Failure("it was never asleep")


@case
def linked_standing(bench):
    """Goroutines that have waited since before a window are in it, as they stand: in the program's own recorder, recorded from the start, attached to. So they are when
    nobody does anything any more. Too many, or a stopped program: not read, and that is told."""
    argv = [program(bench, "runtime-standing"), os.path.join(bench.dir, "table")]
    window = ["--max-bytes", "1M", "--min-age", "100ms"]

    def check(path, what, of=""):
        return stand(bench, path, known_of(argv[1]), what, STANDS, of)

    expect(bench.run(argv + ["0", bench.dir]).returncode == 0, "the program's own recorder")
    for name in ("first", "last"):
        check(os.path.join(bench.dir, name + ".gtrace"), "its own, " + name, None)  # functions that the dynamic linker does not know
    recorder = Recorder(bench, argv + ["10000"], window)
    path = window_late(recorder)
    expect("more than 10000" in str(meta(bench, path, "standing")), "of too many: %s" % meta(bench, path, "standing"))
    recorder.end(signal.SIGKILL)
    recorder = Recorder(bench, argv + ["0"], window)
    check(window_late(recorder), "recorded")
    read_until(recorder.process.stdout.fileno(), b"stalled")
    since = time.monotonic()
    check(recorder.ask()[0], "recorded, stalled")
    # However long nobody does anything, the window's end is the moment of its copy.
    time.sleep(0.5)
    still = time.monotonic() - since
    path = recorder.ask()[0]
    report = json.loads(bench.run([bench.gtrace, "report", "--json", path]).stdout)
    expect((report["recording"]["end_ns"] - report["recording"]["last_event_ns"]) / 1e9 >= still, "stalled for %.3f s: %s" % (still, report["recording"]))
    waits = next(group for group in report["groups"] if group["start"] == "locks")["reasons"]["sync.Mutex.Lock"]
    expect(waits["count"] == 3 and waits["max_ns"] / 1e9 >= still and int(meta(bench, path, "kept_ns")) / 1e9 >= still, "stalled for %.3f s: %s" % (still, waits))
    child = child_of(recorder.pid)
    until_alone(child)
    refused(bench, child, "gtrace records this process already|is recorded by another gtrace")
    debugged(bench, recorder, child)
    check(recorder.ask()[0], "recorded, stalled, debugged before")
    recorder.end(signal.SIGKILL)
    p = bench.start(argv + ["0"], stdout=subprocess.PIPE)
    until(p.stdout, b"ready")
    attached = bench.start([bench.gtrace, "attach", "--flight", "-o", recorder.out] + window + [str(p.pid)], env=recorder.env, stderr=subprocess.PIPE)
    wait(lambda: recorder.sockets() or attached.poll() is not None, "a socket")
    check(window_late(recorder, p.pid), "attached to")
    p.send_signal(signal.SIGSTOP)
    wait_state(p.pid, "T")
    path = recorder.ask(pid=p.pid)[0]
    expect("did not answer" in str(meta(bench, path, "standing")), "of one that is stopped: %s" % meta(bench, path, "standing"))
    p.send_signal(signal.SIGCONT)
    attached.send_signal(signal.SIGINT)
    attached.communicate(timeout=LIMIT)
    count = check(recorder.out, "at the end")
    p.kill()
    p.communicate()
    recorder = Recorder(bench, argv + ["0"], window)
    child = child_of(recorder.pid)
    recorder.process.kill()
    recorder.process.wait()
    refused(bench, child, "the gtrace that started this process was killed")
    os.kill(child, signal.SIGKILL)
    yield "%d goroutines that wait, %d in all; its own recorder, recorded, attached to" % (len(known_of(argv[1])), count)
