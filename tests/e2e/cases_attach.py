# cases_attach.py - hooks into programs that run already, and out again: nothing of them is changed but what is written down.
import glob
import json
import os
import random
import re
import select
import shutil
import signal
import struct
import subprocess
import time

import trace as trace_reader
from cases_same import child_of
from harness import LIMIT, MODES, Failure, Skip, build_c, build_go, case, children_of, expect, minor, newest, runs, versions, wait
from trace import number

REASONS = {"finalizer wait", "GC sweep wait", "GC scavenge wait", "force gc (idle)"}


class Program:
    """A program that runs, with pipes; killed in the end."""

    def __init__(self, argv, env=None, stdin=subprocess.PIPE):
        full = dict(os.environ, **{k: str(v) for k, v in (env or {}).items()})
        self.run = subprocess.Popen(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=full)
        self.pid = self.run.pid
        self.err = b""

    def __enter__(self):
        return self

    def __exit__(self, *args):
        if self.run.poll() is None:
            self.run.kill()
        self.run.communicate()

    def until(self, text, stream=None):
        return until(stream or self.run.stderr, text)

    def say(self, text):
        self.run.stdin.write(text)
        self.run.stdin.flush()


def until(stream, text, limit=LIMIT):
    """Reads on until @text came."""
    got, end = b"", time.monotonic() + limit
    while text not in got:
        left = end - time.monotonic()
        ready = select.select([stream], [], [], max(0, left))[0] if left > 0 else []
        part = os.read(stream.fileno(), 65536) if ready else b""
        if not part:
            raise Failure("no %r, but %r" % (text, got[-2000:]))
        got += part
    return got


def until_end(stream, limit=LIMIT):
    """All of it, until whoever writes has ended."""
    got, end = b"", time.monotonic() + limit
    while True:
        part = os.read(stream.fileno(), 65536) if select.select([stream], [], [], max(0, end - time.monotonic()))[0] else None
        expect(part is not None, "no end, but %r" % got[-2000:])
        if not part:
            return got
        got += part


class Attached:
    """gtrace attach, from the moment the hooks are in."""

    def __init__(self, bench, pid, options=(), out=None):
        self.bench, self.out = bench, out or bench.path()
        self.run = bench.start([bench.gtrace, "attach", "-o", self.out] + list(options) + [str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self.err = until(self.run.stderr, b"recording process")
        except Failure:
            self.run.kill()
            self.run.wait()
            self.run.stderr.close()
            raise

    def end(self, check=True):
        self.run.send_signal(signal.SIGINT)
        err = self.err + self.run.communicate(timeout=LIMIT)[1]
        self.text = err.decode(errors="replace")
        expect(self.run.returncode == 0, "exit %d: %s" % (self.run.returncode, self.text))
        if check:
            expect(os.path.exists(self.out), "no trace: " + self.text)
            self.bench.check(self.out)
        return self.out


def outside(pid):
    """What of a process others can see, and gtrace must leave as it was."""
    maps = [line.split() for line in open("/proc/%d/maps" % pid)]
    status = dict(line.split(":", 1) for line in open("/proc/%d/status" % pid))
    fds = []
    for name in sorted(os.listdir("/proc/%d/fd" % pid)):
        try:
            fds.append((name, os.readlink("/proc/%d/fd/%s" % (pid, name))))
        except FileNotFoundError:
            pass  # closed meanwhile
    return {
        "code": [line for line in maps if "x" in line[1]],
        "gtrace": [line for line in maps if "gtrace" in " ".join(line)],
        "fds": fds,
        "tracer": status["TracerPid"].strip(),
        "masks": [status[key].strip() for key in ("SigBlk", "SigIgn", "SigCgt")],
    }


def settled(pid):
    """outside(), once it is twice the same: for moments a thread that starts another blocks all signals."""
    seen = outside(pid)
    while True:
        time.sleep(0.01)
        again = outside(pid)
        if again == seen:
            return seen
        seen = again


def unchanged(pid, before, what, keys=None):
    """What differs for moments only is the program's own doing."""
    def as_before():
        now.update(outside(pid))
        return all(now[key] == before[key] for key in keys or before)

    now = {}
    try:
        wait(as_before, "what was", 20)
    except Failure:
        raise Failure("%s: %s" % (what, ["%s: %s, %s" % (key, before[key], now[key]) for key in keys or before if now[key] != before[key]]))


def midway_story(bench, version, mode="static", procs=2, options=(), arguments=()):
    program = build_go("midway", version, mode)
    with Program([program] + list(arguments), env={"GOMAXPROCS": procs}) as p:
        p.until(b"phase 1\n")
        before = settled(p.pid)
        attached = Attached(bench, p.pid, ["--buffer=128M"] + list(options))
        p.say(b"\n")
        p.until(b"phase 2\n")
        out = attached.end()
        if "left, unused" not in attached.text:
            unchanged(p.pid, before, "not as it was")
        p.say(b"\n")
        p.until(b"phase 3\n")
        stdout, err = p.run.communicate(timeout=LIMIT)
        expect(p.run.returncode == 0, "the program ended with %d: %s" % (p.run.returncode, err[-2000:]))
    expect("lost: 0 events" in attached.text, attached.text)
    return json.loads(stdout), trace_reader.load(bench.gtrace, out), attached.text


def compare_midway(story, trace, exact=True, stacks=True):
    """@stacks: where each stood when it was found is where it stands whenever it waits for the same again: hooks and the look from
    outside name the same stack."""
    trace.complete = False
    broken = trace.first_broken()
    expect(broken is None, "the chain breaks: %s" % (broken,))
    for worker in story["workers"]:
        events = [e for e in trace.by_g[worker["g"]] if e.name not in ("WaitsOn", "WakeCause", "GoStack")]
        expect(events, "worker %s: nothing known of it" % worker)
        first = events[0]
        expect(first.name == "GoState" and first.args["old"] == "none" and first.args["new"] == "waiting", "worker %s began with %s" % (worker, first))
        expect(first.args["reason"] == worker["reason"], "worker %s was found in %s" % (worker, first))
        stood = [number(e.args["stack"]) for e in trace.of(worker["g"], "GoStack")]
        later = set(number(e.args["stack"]) for e in trace.of(worker["g"], "GoBlock") if e.args["reason"] == worker["reason"])
        expect(len(stood) <= stacks, "worker %s: stacks %s" % (worker, stood))
        expect(not stood or not later or stood[0] in later, "worker %s was found at stack %s, and waits at %s" % (worker, stood, later))
        if not exact:
            continue
        expect(len(stood) == stacks, "worker %s: no stack" % worker)
        blocks = [e.args["reason"] for e in events if e.name == "GoBlock" and e.args["reason"] == worker["reason"]]
        expect(len(blocks) == worker["woken"], "worker %s: %d blocks: %s" % (worker, len(blocks), blocks))
        wakes = [e for e in events if e.name == "GoReady" and number(e.args["by"]) == story["main"]]
        expect(len(wakes) == worker["woken"], "worker %s: woken %d times" % (worker, len(wakes)))
        expect(events[-1].name == "GoBlock", "worker %s ended with %s" % (worker, events[-1]))
    for g in story["idle"]:
        events = list(trace.by_g[g])
        stack = events.pop(1) if stacks and len(events) == 2 else None
        expect(not stacks or not exact or (stack and stack.name == "GoStack" and number(stack.args["stack"])), "goroutine %d, which only waits: its stack is %s" % (g, stack))
        expect(len(events) == 1 and events[0].name == "GoState" and events[0].args["reason"] == "chan receive", "goroutine %d, which only waits: %s" % (g, events))
    for g in story["children"]:
        created = trace.of(g, "GoCreate")
        expect(len(created) == 1 and number(created[0].args["parent"]) == story["main"], "goroutine %d was created by main: %s" % (g, created))
        expect(trace.of(g, "GoEnd"), "goroutine %d has not ended" % g)
    expect(trace.by_g[story["main"]][0].name == "GoState", "main was not found")


@case
def attach_story(bench):
    """A program attached to in its midst: each goroutine that lived is found as it was, and each step from there is exact."""
    for version in versions():
        events, total = 0, 0
        for procs in (1, 2, 8):
            for _ in range(runs(1, long=20)):
                story, trace, text = midway_story(bench, version, procs=procs)
                compare_midway(story, trace)
                events += len(trace.events)
                total += 1
        yield "Go %s: %d times, %d events, each number exact" % (version, total, events)


@case
def attach_modes(bench):
    """The same, however the program was linked; with garbage collection, signals, no stacks, in flight."""
    for version in versions():
        for mode in MODES:
            if mode == "static-pie" and minor(version) < (1, 22):
                continue  # such a program of Go 1.19 ends at its start, gtrace or not
            story, trace, text = midway_story(bench, version, mode, procs=4)
            compare_midway(story, trace)
        story, trace, text = midway_story(bench, version, options=["--stacks=off"])
        compare_midway(story, trace, stacks=False)
        story, trace, text = midway_story(bench, version, procs=4, arguments=["-gc"])
        compare_midway(story, trace, exact=False)
        yield "Go %s: %s" % (version, ", ".join(MODES))


@case
def attach_cycles(bench):
    """Hooks in and out of a busy server, again and again: none of its clients meets an error."""
    for version in newest():
        program = build_go("web", version)
        cycles = runs(10, long=100)
        with Program([program, "serve"], stdin=subprocess.DEVNULL) as server:
            address = server.until(b"\n", server.run.stdout).decode().strip()
            before, events = settled(server.pid), 0
            with Program([program, "load", address, "20"]) as client:
                for _ in range(cycles):
                    out = bench.path()
                    run = bench.run([bench.gtrace, "attach", "-o", out, "--duration", "150ms", str(server.pid)])
                    text = run.stderr.decode(errors="replace")
                    expect(run.returncode == 0, "exit %d: %s" % (run.returncode, text))
                    bench.check(out)
                    events += int(re.search(r"(\d+) events on", text).group(1))
                    os.unlink(out)
                    unchanged(server.pid, before, "not as it was", ("code", "gtrace", "tracer", "masks"))
                client.say(b"\n")
                stdout, err = client.run.communicate(timeout=LIMIT)
                asked, wrong = stdout.split()[:2]
                expect(client.run.returncode == 0 and wrong == b"0", "errors of clients: %r %r" % (stdout, err))
                expect(int(asked) > 0 and events > 0, "%r, %d events: nothing was tested" % (stdout, events))
            expect(server.run.poll() is None, "the server ended")
        yield "Go %s: %d times in and out, %d events, %s requests, none wrong" % (version, cycles, events, asked.decode())


def kill_rounds(bench, program, env, times, chance, want):
    """Attaches and kills gtrace, until @times are through; each run of the program must end as it should."""
    killed = attached = 0
    while killed < times:
        with Program(program, env, stdin=subprocess.DEVNULL) as p:
            while p.run.poll() is None and killed < times:
                gtrace = subprocess.Popen([bench.gtrace, "attach", "-q", "--duration", "60ms", "-o", bench.path(), str(p.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                time.sleep(chance.uniform(0, 0.35))
                gtrace.kill()
                err = gtrace.communicate()[1].decode(errors="replace")
                killed += 1
                attached += gtrace.returncode in (0, -9)
                expect(gtrace.returncode in (0, -9) or p.run.poll() is not None or re.search("gone|is no|has ended|no process|ended", err), "exit %d: %s" % (gtrace.returncode, err))
            stdout, err = p.run.communicate(timeout=LIMIT)
            expect(p.run.returncode == 0 and stdout == want, "killed %d times: the program ended with %s: %r %r" % (killed, p.run.returncode, stdout, err[-3000:]))
    return attached


@case
def attach_kill(bench):
    """SIGKILL of gtrace at any instant of its way in and out: the program goes on, and the next gtrace takes over what was left."""
    chance = random.Random(3)
    for version in versions():
        program = [build_go("stress", version)]
        want = bench.plain(program).stdout
        times = runs(12, long=200)
        attached = kill_rounds(bench, program, {"GOMAXPROCS": chance.choice((1, 2, 8)), "GOGC": 5}, times, chance, want)
        yield "Go %s: killed %d times, %d of them at work" % (version, times, attached)


def refused(bench, pid, pattern, changed=None, options=(), prefix=()):
    before = settled(changed) if changed else None
    run = bench.run(list(prefix) + [bench.gtrace, "attach", "--duration", "1s", "-o", bench.path()] + list(options) + [str(pid)])
    text = run.stderr.decode(errors="replace")
    expect(run.returncode == 1 and len(text.splitlines()) == 1 and re.search(pattern, text), "exit %d: %r instead of %r" % (run.returncode, text, pattern))
    if changed:
        unchanged(changed, before, "a refused attach changed something")
    return text.strip()


@case
def attach_takes_over(bench):
    """gtrace record is killed: another gtrace attaches to its program, takes the old hooks out, and leaves none behind."""
    for version in versions():
        program = build_go("web", version)
        for options in ([], ["--flight", "--max-bytes", "2M"]):
            out = bench.path()
            recorder = subprocess.Popen([bench.gtrace, "record", "-q", "-o", out] + options + [program, "serve"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            pid = None
            try:
                address = until(recorder.stdout, b"\n").decode().strip()
                pid = children_of(recorder.pid)[0]
                expect([line for line in outside(pid)["gtrace"] if "x" in line[1]], "no hooks in process %d" % pid)
                refused(bench, pid, "is traced by another gtrace .process %d.: end that first" % recorder.pid)
                recorder.kill()
                recorder.wait()
                with Program([program, "load", address, "20"]) as client:
                    for _ in range(3):
                        a = Attached(bench, pid)
                        time.sleep(0.15)
                        a.end()
                        expect(int(re.search(r"(\d+) goroutines found", a.text).group(1)) > 0, "nobody was found: " + a.text)
                        expect(not outside(pid)["gtrace"], "something of gtrace's is left: %r" % outside(pid)["gtrace"])
                    client.say(b"\n")
                    stdout, err = client.run.communicate(timeout=LIMIT)
                    asked, wrong = stdout.split()[:2]
                    expect(client.run.returncode == 0 and int(asked) > 0 and wrong == b"0", "errors of clients: %r %r" % (stdout, err))
            finally:
                if pid:
                    os.kill(pid, signal.SIGKILL)
                recorder.kill()
                recorder.communicate()
        yield "Go %s: taken over, from a file and from a window" % version


def left_by_gtrace(pid):
    """What of gtrace's is mapped in a Go program: its memory files, and code of no file. (One that is killed between the call that maps and the next leaves
    some addresses without memory: nothing tells whose they are.)"""
    left = []
    for line in open("/proc/%d/maps" % pid):
        words = line.split()
        low = int(words[0].split("-")[0], 16)
        if "gtrace" in " ".join(words[5:]):
            left.append(words)
        elif "x" in words[1] and len(words) < 6:
            with open("/proc/%d/mem" % pid, "rb", 0) as memory:
                memory.seek(low)
                if memory.read(8) != bytes(8):
                    left.append(words)
    return left


def killed_record(bench, argv, env, options, seconds, stderr):
    """gtrace record of a program, killed after a time; the process's number, or None when it had not begun, and where its output comes."""
    run = subprocess.Popen([bench.gtrace, "record", "-q", "-o", bench.path()] + options + ["--"] + argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=dict(os.environ, **env))
    time.sleep(seconds)
    os.kill(run.pid, signal.SIGSTOP)  # so that nothing is started between the look and the end
    wait_state(run.pid, "T")
    pid = (children_of(run.pid) + [None])[0]
    run.kill()
    run.wait()

    # Killed before exec, the process ends by itself.
    if pid:
        wait(lambda: not os.path.exists("/proc/%d" % pid) or begun(pid, argv[0]), "the program's begin, or its end")
        pid = pid if begun(pid, argv[0]) else None
    return run, pid


def begun(pid, program):
    try:
        return os.path.samefile("/proc/%d/exe" % pid, program)
    except OSError:
        return False


def works_at_last(bench, pid, run, want, what):
    """One more attach works, and leaves nothing; the program ends when its input does, and has said what it should."""
    for _ in range(10):
        last = bench.run([bench.gtrace, "attach", "--duration", "10ms", "-o", bench.path(), str(pid)])
        # A thread that sleeps for long may have what looks like a signal handler on its stack.
        if b"a thread stays in them" not in last.stderr and b"left, unused" not in last.stderr:
            break
    expect(last.returncode == 0, "%s: exit %d: %s" % (what, last.returncode, last.stderr[-2000:]))
    expect(not left_by_gtrace(pid), "%s: left: %s" % (what, left_by_gtrace(pid)))
    run.stdin.close()
    said = until_end(run.stdout)
    expect(said == want, "%s: the program said %r instead of %r" % (what, said, want))


@case
def takeover_storm(bench):
    """gtrace record is killed at any instant, on its way in too, then one gtrace attach after the other on its way in or out: the last one works, leaves nothing of
    gtrace's in the program, and that says what it says without."""
    chance = random.Random(5)
    log = open(bench.path(".log"), "wb")
    for version in versions():
        want, took, early = {}, 0, 0
        modes = [mode for mode in ("static", "pie-stripped", "cgo", "static-pie") if mode != "static-pie" or minor(version) >= (1, 22)]
        times, tries = runs(1, long=60), 0
        while took < times and tries < 20 * times:
            tries += 1
            program = build_go("stress", version, chance.choice(modes))
            want[program] = want.get(program) or bench.plain([program]).stdout
            env = {"GOMAXPROCS": str(chance.choice((1, 2, 8))), "GOGC": "5"}
            options = chance.choice(([], ["--flight", "--max-bytes", "2M"], ["--events", "all"]))
            seconds = chance.choice((chance.uniform(0, 0.06), chance.uniform(0.06, 0.3))) * (1 + early / 5)
            run, pid = killed_record(bench, [program, "again"], env, options, seconds, log)
            try:
                if not pid:
                    early += 1
                    continue
                for _ in range(chance.randrange(4)):
                    gtrace = subprocess.Popen([bench.gtrace, "attach", "-q", "--duration", "60ms", "-o", bench.path(), str(pid)], stdout=log, stderr=log)
                    time.sleep(chance.uniform(0, 0.3))
                    gtrace.kill()
                    gtrace.wait()
                what = "%s, %s, killed after %.4f s" % (os.path.basename(program), options, seconds)
                # Several at once: whoever comes second waits, or is told so.
                several = [subprocess.Popen([bench.gtrace, "attach", "-q", "--duration", "30ms", "-o", bench.path(), str(pid)], stdout=log, stderr=subprocess.PIPE) for _ in range(chance.choice((0, 2, 3)))]
                errs = [(one.communicate(timeout=LIMIT)[1], one.returncode) for one in several]
                expect(all(code == 0 or b" is traced by " in err for err, code in errs) and (not errs or any(code == 0 for _, code in errs)), "%s: several: %s" % (what, errs))
                works_at_last(bench, pid, run, want[program], what)
                took += 1
            finally:
                if pid and os.path.exists("/proc/%d" % pid) and begun(pid, program):
                    os.kill(pid, signal.SIGKILL)
                for stream in (run.stdin, run.stdout):
                    stream.close()
        expect(took == times, "only %d programs were there to be taken over" % took)
        yield "Go %s: taken over %d times, %d times the program had not begun" % (version, took, early)


def under_strace(gtrace, number=None):
    """The command, killed as it makes its @number-th call of ptrace."""
    return ["strace", "-o", "/dev/null", "-e", "trace=ptrace"] + (["-e", "inject=ptrace:signal=SIGKILL:when=%d" % number] if number else []) + gtrace


def process_of(argv):
    """The one that runs this, and is no copy that another is about to start something with."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if open("/proc/%s/cmdline" % name).read().split("\0")[:-1] == argv and begun(int(name), argv[0]):
                found[int(name)] = int(open("/proc/%s/stat" % name).read().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    return ([pid for pid, parent in found.items() if parent not in found] + [None])[0]


def taken_at(bench, version, command, number, want):
    """False: the program had not begun, or gtrace was through before."""
    argv = [build_go("stress", version), "%s-%d-%d" % (command, number, os.getpid())]
    what = "Go %s: %s killed at its call %d" % (version, command, number)
    recorder = under_strace([bench.gtrace, "record", "-q", "-o", bench.path(), "--"], number) if command == "record" else []
    pid, killed = None, False
    run = subprocess.Popen(recorder + argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ, GOMAXPROCS="4"))
    try:
        if command == "record":
            killed = run.wait(timeout=LIMIT) != 0
            wait(lambda: process_of(argv) or select.select([run.stdout], [], [], 0)[0], "the program's begin, or its end")
            pid = process_of(argv)
            if not pid:
                return False
        else:
            wait(lambda: process_of(argv) and len(os.listdir("/proc/%d/task" % run.pid)) > 2, "the program's begin")
            pid = run.pid
            killed = bench.run(under_strace([bench.gtrace, "attach", "-q", "--duration", "10ms", "-o", bench.path(), str(pid)], number)).returncode != 0
        works_at_last(bench, pid, run, want, what)
        return killed
    finally:
        if pid and process_of(argv) == pid:
            os.kill(pid, signal.SIGKILL)
        for stream in (run.stdin, run.stdout):
            stream.close()
        run.wait()


@case
def takeover_instants(bench):
    """The same, with gtrace killed at its calls of ptrace, one after the other: on the way in of record, in and out of attach."""
    if not shutil.which("strace") or bench.run(under_strace(["true"], 1)).returncode != 0:
        raise Skip("strace cannot be used here")
    long = os.environ.get("GTRACE_RUNS") == "long"
    for version in versions(None if long else newest()):
        want, taken = bench.plain([build_go("stress", version)]).stdout, 0
        # Its last call of record lets go: 31; attach makes more, the more threads there are.
        instants = [("record", i) for i in range(2, 31, 1 if long else 9)] + [("attach", i) for i in range(1, 60, 1 if long else 17)]
        for command, number in instants:
            taken += taken_at(bench, version, command, number, want)
        expect(taken > len(instants) // 2, "only %d times killed in the midst" % taken)
        yield "Go %s: killed at %d instants" % (version, taken)


@case
def attach_refused(bench):
    """Whatever cannot be attached to: one line, exit 1, nothing changed, no file left."""
    version = newest()[0]
    go = build_go("web", version)
    with Program([go, "serve"], stdin=subprocess.DEVNULL) as server:
        server.until(b"\n", server.run.stdout)
        gone = Program(["true"])
        gone.run.communicate()
        yield refused(bench, gone.pid, "there is no process")
        dead = os.fork()
        if dead == 0:
            os._exit(0)
        wait_state(dead, "Z")
        yield refused(bench, dead, "has ended")
        os.waitpid(dead, 0)
        with Program(["sleep", "60"]) as other:
            yield refused(bench, other.pid, "is no Go program", other.pid)
        thread = [t for t in os.listdir("/proc/%d/task" % server.pid) if int(t) != server.pid][0]
        yield refused(bench, thread, "is a thread of process", server.pid)
        run = bench.run(["sh", "-c", 'exec "$0" attach $$', bench.gtrace])
        expect(run.returncode == 1 and b"is gtrace itself" in run.stderr, run.stderr)
        if os.path.exists("/proc/2/comm") and not os.path.exists("/proc/2/exe"):
            yield refused(bench, 2, "thread of the kernel")
        # An output that cannot be.
        yield refused(bench, server.pid, "No such file", server.pid, ["-o", "/no/such/folder/x.gtrace"])
        yield refused(bench, server.pid, "--max-bytes", server.pid, ["--flight", "--max-bytes", "8K"])
        # Another gtrace.
        first = Attached(bench, server.pid)
        yield refused(bench, server.pid, "another gtrace")
        first.end()
        # A debugger: here one that only seizes.
        code = "import ctypes,sys,time; l=ctypes.CDLL(None); l.ptrace.argtypes=[ctypes.c_long]*4; r=l.ptrace(0x4206,int(sys.argv[1]),0,0); print(r,flush=True); time.sleep(60)"
        with Program(["python3", "-c", code, str(server.pid)]) as debugger:
            debugger.until(b"0\n", debugger.run.stdout)
            yield refused(bench, server.pid, "is traced by process %d already" % debugger.pid)
        if os.geteuid() == 0:
            user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
            os.chmod(bench.dir, 0o777)
            if bench.run(user + [bench.gtrace, "--version"]).returncode == 0:
                yield refused(bench, server.pid, "belongs to another user", server.pid, prefix=user)
        left = [name for name in os.listdir(bench.dir) if not name.endswith(".gtrace")]
        expect(not left, "left: %s" % left)
    try:
        linked = build_c("linked")
    except (Skip, OSError, subprocess.CalledProcessError):
        linked = None
    if linked:
        with Program([linked]) as p:
            yield refused(bench, p.pid, "libtrace", p.pid)


@case
def attach_life(bench):
    """The program's end ends the recording; a stopped one stays stopped; --duration, a snapshot on SIGUSR2, a signal storm, cgo."""
    version = newest()[0]
    # Its own end.
    with Program([build_go("exits", version), "caught"]) as p:
        p.until(b"ready", p.run.stdout)
        attached = Attached(bench, p.pid)
        p.run.terminate()
        p.run.communicate(timeout=LIMIT)
        err = attached.run.communicate(timeout=LIMIT)[1].decode(errors="replace")
        expect(attached.run.returncode == 0 and "program ended" in err, "exit %d: %s" % (attached.run.returncode, err))
        bench.check(attached.out)
    yield "the program's end ends it"
    # SIGKILL of the program.
    with Program([build_go("midway", version)]) as p:
        p.until(b"phase 1\n")
        attached = Attached(bench, p.pid)
        p.run.kill()
        err = attached.run.communicate(timeout=LIMIT)[1].decode(errors="replace")
        expect(attached.run.returncode == 0 and "program ended" in err, "exit %d: %s" % (attached.run.returncode, err))
        bench.check(attached.out)
    yield "so does SIGKILL"
    # Stopped before: it stays so, through both.
    with Program([build_go("midway", version)]) as p:
        p.until(b"phase 1\n")
        os.kill(p.pid, signal.SIGSTOP)
        wait_state(p.pid, "T")
        attached = Attached(bench, p.pid)
        wait_state(p.pid, "T")
        attached.end()
        wait_state(p.pid, "T")
        os.kill(p.pid, signal.SIGCONT)
        p.say(b"\n")
        p.until(b"phase 2\n")
        p.say(b"\n")
        p.until(b"phase 3\n")
        expect(json.loads(p.run.communicate(timeout=LIMIT)[0])["ended"], "it did not end well")
    yield "a stopped program stays stopped"
    # Flight.
    with Program([build_go("midway", version)]) as p:
        p.until(b"phase 1\n")
        attached = Attached(bench, p.pid, ["--flight", "--min-age=100ms", "--max-bytes=4M"])
        attached.run.send_signal(signal.SIGUSR2)
        until(attached.run.stderr, b"SIGUSR2")
        p.say(b"\n")
        p.until(b"phase 2\n")
        attached.end()
        asked = glob.glob(attached.out[:-7] + "-*-SIGUSR2.gtrace")
        expect(len(asked) == 1, "snapshots: %s" % asked)
        bench.check(asked[0])
        bench.check(attached.out)
    yield "flight: snapshots on SIGUSR2 and at the end"
    # It ends with its threads in the middle of a stop: whoever waits for the first of them alone waits for ever.
    for wait_ms in range(0, 60, 4):
        with Program([build_go("ender", version), str(wait_ms)]) as p:
            p.until(b"ready", p.run.stdout)
            run = bench.run([bench.gtrace, "attach", "-q", "-o", bench.path(), "--duration", "20ms", str(p.pid)], timeout=LIMIT)
            # Too late is an error, told in one line; the program knows nothing of it.
            text = run.stderr.decode(errors="replace")
            expect(run.returncode == 0 or (run.returncode == 1 and text.count("\n") == 1), "exit %d: %s" % (run.returncode, text))
            p.run.communicate(timeout=LIMIT)
            expect(p.run.returncode == 0, "the program ended with %d" % p.run.returncode)
    yield "a program that ends while it is attached to"


def waits_of(bench, path, still, what):
    """All who wait have done so until gtrace looked for the last time, which was @still s after nothing happened any more."""
    bench.check(path)
    report = json.loads(bench.run([bench.gtrace, "report", "--json", path]).stdout)
    quiet = (report["recording"]["end_ns"] - report["recording"]["last_event_ns"]) / 1e9
    expect(quiet >= still, "%s: stood still for %.3f s, told are %.3f" % (what, still, quiet))
    groups = {group["start"]: group["reasons"] for group in report["groups"]}
    for start, reason in (("main.locks", "sync.Mutex.Lock|semacquire"), ("main.naps", "sleep"), ("runtime.main", "sync.WaitGroup.Wait|semacquire")):
        found = [stat for name, stat in groups.get(start, {}).items() if re.fullmatch(reason, name)]
        expect(len(found) == 1 and found[0]["max_ns"] / 1e9 >= still, "%s: %s stood still for %.3f s: %s" % (what, start, still, groups.get(start)))
    expect(any("main.locks" in finding["title"] for finding in report["findings"]), "%s: no finding tells of it: %s" % (what, report["findings"]))


@case
def stalled(bench):
    """A program that stands still records nothing: what is told of it goes on until it is killed, left, or asked for."""
    for version in versions():
        program = [build_go("stalls", version)]
        for how in (signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM):
            out = bench.path()
            run = bench.start(bench.command(program, ["-q"], out), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            until(run.stdout, b"ready")
            since = time.monotonic()
            time.sleep(0.3)
            still = time.monotonic() - since - 0.1  # it says that it is ready before it waits
            os.kill(child_of(run.pid), how)
            run.communicate(timeout=LIMIT)
            waits_of(bench, out, still, "Go %s, ended by %s" % (version, how.name))
        with Program(program) as p:
            p.until(b"ready", p.run.stdout)
            for options in ([], ["--flight"]):
                attached = Attached(bench, p.pid, options)
                since = time.monotonic()
                time.sleep(0.2)
                still = time.monotonic() - since
                waits_of(bench, attached.end(), still, "Go %s, attached to %s" % (version, options))
        yield "Go %s: a program that stands still" % version


@case
def attach_ends(bench):
    """A program that ends while its goroutines are read, which takes its time here: none is missing from the trace, or there is no trace."""
    version = newest()[0]
    program = build_go("ender", version)
    step = 5
    slow = ["strace", "-o", "/dev/null", "-e", "trace=process_vm_readv", "-e", "inject=process_vm_readv:delay_enter=%d" % (step * 1000)]
    if bench.run(slow + ["true"]).returncode != 0:
        slow = []
    ended = told = 0
    for wait_ms in range(0, runs(12, long=40) * step, step):
        with Program([program, "hooked", str(wait_ms)]) as p:
            p.until(b"ready", p.run.stdout)
            out = bench.path()
            run = bench.run(slow + [bench.gtrace, "attach", "-q", "--stacks=off", "-o", out, str(p.pid)], {"ASAN_OPTIONS": "detect_leaks=0"})
            text = run.stderr.decode(errors="replace")
            p.run.communicate(timeout=LIMIT)
            expect(p.run.returncode == 0, "the program ended with %d" % p.run.returncode)
        if run.returncode == 0:
            bench.check(out)
            told += 1
        else:
            expect(run.returncode == 1 and re.search("^gtrace: cannot attach: process .*(is gone|has ended)[^\n]*\n$", text), "exit %d: %r" % (run.returncode, text))
            expect(not os.path.exists(out), "a trace was left")
            ended += 1
    yield "%d times %s: %d traces, %d times it ended first" % (told + ended, "slowed down" if slow else "at full speed", told, ended)


def wait_state(pid, state):
    wait(lambda: open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] == state, "process %d to be in state %s" % (pid, state))


@case
def attach_same(bench):
    """Programs under attach after attach say what they say without: all that stress does, C threads that call back, signals."""
    for version in versions():
        cycles = 0
        for name, mode in (("stress", "static"), ("cgo", "cgo"), ("preempt", "static")):
            try:
                program = build_go(name, version, mode)
            except Skip:
                continue
            for procs in (1, 2, 8):
                env = {"GOMAXPROCS": procs, "GOGC": 5}
                want = bench.plain([program], env)
                with Program([program], env, stdin=subprocess.DEVNULL) as p:
                    while p.run.poll() is None:
                        run = bench.run([bench.gtrace, "attach", "-q", "-o", bench.path(), "--duration", "40ms", str(p.pid)])
                        text = run.stderr.decode(errors="replace")
                        expect(run.returncode == 0 or p.run.poll() is not None or "ended" in text or "gone" in text or "no process" in text, "exit %d: %s" % (run.returncode, text))
                        cycles += run.returncode == 0
                    stdout, err = p.run.communicate(timeout=LIMIT)
                    expect(p.run.returncode == want.returncode, "%s ended with %d: %s" % (name, p.run.returncode, err[-3000:]))
                    if name != "preempt":
                        expect(stdout == want.stdout, "%s: %r instead of %r" % (name, stdout, want.stdout))
        for path in [os.path.join(bench.dir, name) for name in os.listdir(bench.dir) if name.endswith(".gtrace")]:
            bench.check(path)
            os.unlink(path)
        yield "Go %s: %d times attached, nothing changed" % (version, cycles)


def losses(bench, path):
    text = bench.run([bench.gtrace, "info", path]).stdout.decode()
    return {what: int(count) for what, count in re.findall(r"lost: (.*?) +(\d+)\n", text)}


def until_none_unknown(bench, once, what):
    """A gtrace that gets no CPU for long makes lines too late: that is counted as lost, and happens on a busy machine."""
    for _ in range(6):
        out = once()
        lost = losses(bench, out)
        if lost["unknown M"] == 0:
            return out, lost
    raise Failure("%s: lost %s, six times" % (what, lost))


@case
def many_threads(bench):
    """More threads in a program's life than a window has lines for: those that ended make room. Recorded from its begin, and attached to after."""
    version = newest()[0]
    program, count = build_go("churn", version), 10500 if os.environ.get("GTRACE_RUNS") != "long" else 200000
    for options in [["--flight", "--max-bytes=16M"]] + [[]] * (os.environ.get("GTRACE_RUNS") == "long"):
        out, lost = until_none_unknown(bench, lambda: bench.record([program, str(count)], options, timeout=600)[0], options)
        trace = trace_reader.load(bench.gtrace, out)
        expect(max(e.m for e in trace.events) >= count, "the newest Ms are not in it")
        if not options and not sum(lost.values()):
            expect(len(trace.named("MEnd")) == count, "%d ends of Ms" % len(trace.named("MEnd")))
        yield "%d threads %s: lost %s" % (count, options or "streamed", {k: v for k, v in lost.items() if v})

    def attach():
        with Program([program, str(count), "again"]) as p:
            p.until(b"ready", p.run.stdout)
            attached = Attached(bench, p.pid, ["--flight", "--max-bytes=16M"])
            p.say(b"\n")
            p.until(b"done", p.run.stdout)
            err = attached.run.communicate(timeout=60)[1].decode(errors="replace")
            expect(attached.run.returncode == 0, err)
            bench.check(attached.out)
            return attached.out

    out, lost = until_none_unknown(bench, attach, "attach")
    highest = max(e.m for e in trace_reader.load(bench.gtrace, out).events)
    expect(highest >= 2 * count, "M %d" % highest)
    yield "attached to after %d: lost %s" % (count, {k: v for k, v in lost.items() if v})


def elf32(path):
    """A 32-bit program that waits for ever."""
    code = b"\xb8\x1d\x00\x00\x00\xcd\x80\xeb\xf7"  # pause, again and again
    base, size = 0x08048000, 84 + len(code)
    head = b"\x7fELF\x01\x01\x01" + b"\0" * 9 + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, base + 84, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    with open(path, "wb") as out:
        out.write(head + struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 4096) + code)
    os.chmod(path, 0o755)
    return path


@case
def attach_surroundings(bench):
    """Programs of other kinds, a filter of system calls, disks that are read-only or full, sizes that cannot be: one line, and the program goes on as before."""
    version = newest()[0]
    go = build_go("web", version)
    try:
        with Program([elf32(bench.path(".elf"))]) as p:
            time.sleep(0.05)
            yield refused(bench, p.pid, "32-bit", p.pid)
    except OSError:
        yield "32-bit programs do not run here"
    other = bench.path(".go")
    with open(other, "wb") as out:
        out.write(open(go, "rb").read().replace(b"go" + version.encode(), b"go1.99" + b"9" * (len(version) - 4)))
    os.chmod(other, 0o755)
    with Program([other, "serve"], stdin=subprocess.DEVNULL) as p:
        p.until(b"\n", p.run.stdout)
        yield refused(bench, p.pid, "layouts are known for", p.pid)
    with Program([build_c("refuse"), "memfd_create", go, "serve"], stdin=subprocess.DEVNULL) as p:
        p.until(b"\n", p.run.stdout)
        yield refused(bench, p.pid, "process %d: .*make memory: Operation not permitted" % p.pid, p.pid)
    with Program([go, "serve"], stdin=subprocess.DEVNULL) as p:
        address = p.until(b"\n", p.run.stdout).decode().strip()
        yield refused(bench, p.pid, "give --max-bytes at least", p.pid, ["--flight", "--max-bytes=0"])
        for option in ("--max-bytes=-1", "--max-bytes=10X", "--max-bytes=99999999T", "--max-bytes=999999G", "--max-bytes=8193M", "--buffer=1", "--min-age=5", "--stacks=1000", "--duration=0s"):
            run = bench.run([bench.gtrace, "attach", option, str(p.pid)])
            expect(run.returncode == 2 and option.split("=")[0].encode() in run.stderr, "%s: exit %d: %s" % (option, run.returncode, run.stderr))
        if os.geteuid() != 0 or bench.run(["unshare", "-m", "true"]).returncode != 0:
            yield "no mounts here: disks are not tested"
            return
        before = outside(p.pid)
        with Program([go, "load", address, "20"]) as client:
            for options, good in (("ro", b"Read-only file system"), ("size=200k", b"No space left on device")):
                script = 'mkdir -p "$0"; mount -t tmpfs -o $1 t "$0" && shift && exec "$@"'
                where = bench.path("")
                command = ["unshare", "-m", "sh", "-c", script, where, options, bench.gtrace, "attach", "-q", "--duration", "1s", "-o", where + "/x.gtrace", str(p.pid)]
                # On a busy machine the server may do too little to fill a disk.
                for _ in range(20):
                    run = bench.run(command)
                    if run.returncode:
                        break
                expect(run.returncode == 1 and good in run.stderr and run.stderr.count(b"\n") == 1, "%s: exit %d: %s" % (options, run.returncode, run.stderr))
                yield run.stderr.decode().strip()
            client.say(b"\n")
            expect(client.run.communicate(timeout=60)[0].split()[1] == b"0", "errors of clients")
        after = outside(p.pid)
        for key in ("code", "gtrace", "tracer", "masks"):
            expect(before[key] == after[key], "%s: %s, %s" % (key, before[key], after[key]))


@case
def attach_namespaces(bench):
    """A process in other PID and mount namespaces: recorded like any other."""
    if os.geteuid() != 0 or bench.run(["unshare", "-p", "-f", "-m", "--mount-proc", "true"]).returncode != 0:
        raise Skip("namespaces cannot be made here")
    linked = os.path.join(os.path.dirname(bench.gtrace), "runtime-midway")
    for program in [[build_go("midway", newest()[0])]] + [[linked, "-q"]] * os.path.exists(linked):
        with Program(["unshare", "-p", "-f", "-m", "--mount-proc", "--kill-child"] + program) as p:
            p.until(b"phase 1\n")
            inside = int(open("/proc/%d/task/%d/children" % (p.pid, p.pid)).read().split()[0])
            for phase in (2, 3):
                attached = Attached(bench, inside, ["--buffer=128M"])
                p.say(b"\n")
                p.until(b"phase %d\n" % phase)
                attached.end()
                # Who ends is not waited for: another thread of it may be in a hook just then. Hooks are waited for when it goes on.
                ended = "program ended" in attached.text and "no room 0, in a signal 0," in attached.text and "other 0)" in attached.text
                expect(ended or "lost: 0 events" in attached.text, attached.text)
            stdout = p.run.communicate(timeout=60)[0]
        story = json.loads(stdout)
        trace = trace_reader.load(bench.gtrace, attached.out)
        trace.complete = False
        expect(trace.first_broken() is None and trace.by_g[story["main"]], "the chain breaks")
        yield "%s: twice" % os.path.basename(program[0])
    # Recorded in there, where gtrace has another number than out here.
    out = bench.path()
    record = bench.start(["unshare", "-p", "-f", "-m", "--mount-proc", "--kill-child", bench.gtrace, "record", "-q", "-o", out, build_go("midway", newest()[0])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until(record.stderr, b"phase 1\n")
    yield refused(bench, children_of(children_of(record.pid)[0])[0], "is traced by another gtrace .process %d.: end that first" % children_of(record.pid)[0])
    record.communicate(b"\n\n\n", timeout=LIMIT)
    expect(record.returncode == 0, "recorded in a namespace: exit %d" % record.returncode)
    bench.check(out)


@case
def attach_storm(bench):
    """Signals without a pause while hooks go in and out: clients of the server meet no error."""
    version = newest()[0]
    go = build_go("web", version)
    with Program([go, "serve"], stdin=subprocess.DEVNULL) as server:
        address = server.until(b"\n", server.run.stdout).decode().strip()
        storm = subprocess.Popen(["python3", "-c", "import os,sys,time\nwhile 1:\n for s in (23,28,18): os.kill(int(sys.argv[1]),s)\n time.sleep(0.0002)", str(server.pid)])
        try:
            with Program([go, "load", address, "20"]) as client:
                times = runs(5, long=100)
                for _ in range(times):
                    out = bench.path()
                    run = bench.run([bench.gtrace, "attach", "-q", "--duration", "60ms", "-o", out, str(server.pid)])
                    expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr))
                    bench.check(out)
                client.say(b"\n")
                asked, wrong = client.run.communicate(timeout=60)[0].split()[:2]
                expect(wrong == b"0" and int(asked) > 10, "%s requests, %s wrong" % (asked, wrong))
        finally:
            storm.kill()
            storm.wait()
        expect(server.run.poll() is None, "the server ended")
    yield "%d times in and out among signals, %s requests, none wrong" % (times, asked.decode())
