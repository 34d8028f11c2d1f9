# cases_calls.py - system calls, what goroutines wait for and timers, of Go programs: against strace and what the programs say.
import collections
import json
import os
import re
import shutil
import subprocess
from errno import EINTR

import trace as trace_reader
from cases_attach import Program
from cases_same import child_of
from harness import Failure, Skip, build_go, case, expect, minor, newest, runs, versions, wait
from trace import number

CALLS = ["--events=syscalls"]
WAITS = ["--events=objects,timers"]

# How many of these a program makes differs from run to run, as its threads do.
CHANCE = set("""clone clone3 epoll_pwait exit fcntl futex getpid gettid madvise mmap munmap nanosleep read restart_syscall rt_sigprocmask rt_sigreturn
    sched_yield sigaltstack tgkill write""".split())

# docs/go-hooks.md, "Not covered": by name, wherever they are made. A thread's first gettid is clone's own.
NOT_COVERED = set("arch_prctl clone clone3 execve exit fork restart_syscall rt_sigreturn vfork".split())

# What the runtime calls for itself, on whatever goroutine it is.
OF_THE_RUNTIME = {9, 11, 14, 24, 28, 35, 39, 131, 186, 202, 234}


def calls_of(trace, g):
    """Each call of a goroutine: number, arguments, result, errno, whether it kept its P, functions of its stack."""
    calls, inside, stack = [], False, None
    for e in trace.by_g[g]:
        if e.name in ("GoSyscall", "GoSysexit"):
            inside = e.name == "GoSyscall"
        elif e.name in ("SyscallInfo", "SyscallLong"):
            calls.append({"Number": number(e.args["number"]), "Arg0": number(e.args["arg0"]), "Arg2": number(e.args["arg2"]), "Raw": not inside})
        elif e.name == "SyscallStack":
            stack = e.args["stack"]
        elif e.name == "SyscallResult":
            expect(calls and "Result" not in calls[-1] and calls[-1]["Number"] == number(e.args["number"]), "a result without its call: %s" % (e,))
            expect(bool(stack) == calls[-1]["Raw"], "a raw call has a SyscallStack, another has none: %s" % (e,))
            calls[-1].update(Result=number(e.args["result"]), Errno=number(e.args["error"]))
            stack = None
    return calls


def look_calls(trace, told):
    found = [call for call in calls_of(trace, told["g"]) if call["Number"] not in OF_THE_RUNTIME]
    expect(len(found) == len(told["calls"]), "%d calls of %d" % (len(found), len(told["calls"])))
    for have, want in zip(found, told["calls"]):
        expect(have == want, "the trace says %s, the program %s" % (have, want))


@case
def calls_told(bench):
    """Number, arguments, result, errno, raw or not: what the trace says is what the program says."""
    for version in versions():
        for mode in ("static", "pie-stripped"):
            program = build_go("calls", version, mode)
            for procs in (1, 4):
                out, run = bench.record([program, "told", "20"], CALLS, {"GOMAXPROCS": procs})
                told = json.loads(run.stdout)
                look_calls(trace_reader.load(bench.gtrace, out), told)
        yield "Go %s: %d calls each" % (version, len(told["calls"]))


def call_names():
    names = {}
    here = os.path.dirname(os.path.abspath(__file__))
    for line in open(os.path.join(here, "..", "..", "format", "reading", "syscalls_x86_64.def")):
        match = re.match(r"SYSCALL\((\d+), (\w+)\)", line)
        if match:
            names[int(match.group(1))] = match.group(2)
    return names


def need_strace():
    if not shutil.which("strace"):
        raise Skip("there is no strace here")


@case
def calls_strace(bench):
    """Counts by name are strace's of another run, for all that do not change from run to run."""
    need_strace()
    names = call_names()
    for version in versions():
        program = [build_go("calls", version), "told", "7"]
        out = bench.path(".strace")
        run = bench.run(["strace", "-f", "-c", "-U", "name,calls", "-o", out] + program, {"GOMAXPROCS": 1})
        if run.returncode != 0:
            raise Skip("strace does not work here: " + run.stderr.decode(errors="replace")[-200:])
        straced = {}
        for line in open(out):
            match = re.match(r"\s*(\w+)\s+(\d+)\s*$", line)
            if match and match.group(1) != "total":
                straced[match.group(1)] = int(match.group(2))
        path, _ = bench.record(program, CALLS, {"GOMAXPROCS": 1})
        trace = trace_reader.load(bench.gtrace, path)
        ours = collections.Counter(names[number(e.args["number"])] for e in trace.named("SyscallInfo"))
        compared = 0
        for name in sorted(set(straced) | set(ours)):
            if name in CHANCE or name in NOT_COVERED or name == "exit_group":  # whose end strace would count
                continue
            expect(straced.get(name, 0) == ours[name], "%s: strace counts %d, gtrace %d" % (name, straced.get(name, 0), ours[name]))
            compared += ours[name]
        expect(compared >= 7 * 10, "only %d calls compared" % compared)
        yield "Go %s: %d calls of %d names" % (version, compared, len([n for n in ours if n not in CHANCE]))


def straced_calls(lines):
    """Of each thread the names of its calls in their order, as it made them: not those of its signal handlers, and once what the
    kernel began anew behind a handler. One that the process's end came over is left out: strace may have read its number too late."""
    calls, handlers, again, open_calls = collections.defaultdict(list), collections.Counter(), {}, set()
    for line in lines:
        match = re.match(r"(\d+) +(.*)", line)
        tid, text = int(match.group(1)), match.group(2)
        begin = re.match(r"(\w+)\(", text)
        name = begin.group(1) if begin else None
        if text.startswith("--- SIG"):
            # A signal without a handler has no frame; Go has one for each that can come here.
            handlers[tid] += 1
        elif name == "rt_sigreturn":
            handlers[tid] -= 1
        elif name and not handlers[tid]:
            if again.pop(tid, None) != name:
                calls[tid].append(name)
                open_calls.add(tid)
        if ") = " in text or text.startswith("<..."):
            open_calls.discard(tid)
        if text.startswith("+++ exited") and tid in open_calls:
            calls[tid].pop()
        if "ERESTARTSYS" in text or "ERESTARTNOINTR" in text:
            done = re.match(r"<\.\.\. (\w+) resumed>", text)
            again[tid] = done.group(1) if done else name
    return calls


def compare_thread(have, straced, old):
    """Both from their ends, for an old thread as far as strace has seen it. Gives what differs.

    gtrace has told the last call of a thread, which the process's end came over."""
    want = [name for name in straced if name not in NOT_COVERED]
    for extra in (1, 0):
        i, j = len(want), len(have) - extra
        while i > 0 and j > 0:
            if want[i - 1] != have[j - 1]:
                break
            i, j = i - 1, j - 1
        if i == 0 and (old or j == 0):
            return None
    return "strace has %s, gtrace %s behind them" % (want[max(i - 6, 0) : i + 3], have[max(j - 6, 0) : j + 3])


def compare_threads(trace, straced, names, old):
    """The names of each thread's calls are the same in both; an @old thread, which strace met in its midst, is compared from there on."""
    tids = {e.m: number(e.args["tid"]) for e in trace.named("MStart")}
    ours = collections.defaultdict(list)
    for e in trace.named("SyscallInfo"):
        ours[tids[e.m]].append(names[number(e.args["number"])])
    expect(set(tids.values()) <= set(straced), "threads %s that strace did not see" % (set(tids.values()) - set(straced)))
    for tid in sorted(tids.values()):
        # The first call of an old one was under way, and is not always told by its name.
        calls = straced[tid][1:] if tid in old else straced[tid]
        if tid not in old and "gettid" in calls:
            calls.remove("gettid")
        differs = compare_thread(ours[tid], calls, tid in old)
        expect(not differs, "thread %d of %d: %s" % (tid, len(tids), differs))
    return collections.Counter(name for tid in tids.values() for name in straced[tid] if name not in NOT_COVERED)


@case
def calls_threads(bench):
    """Every call of every thread of one run, in its order, beside strace: the runtime's own too. What is not covered is what docs/go-hooks.md says."""
    need_strace()
    names = call_names()
    for version in versions():
        for procs in (1, 4):
            out, lines = bench.path(), bench.path(".strace")
            recorder = bench.start(bench.command([build_go("calls", version), "work"], ["-q"] + CALLS, out), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, GOMAXPROCS=str(procs)))
            expect(recorder.stdout.readline() == b"ready\n", "the program does not begin")
            pid = child_of(recorder.pid)
            wait(lambda: "S" in open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0], "the program to sleep")
            strace = bench.start(["strace", "-f", "-p", str(pid), "-o", lines], stderr=subprocess.PIPE)
            said = strace.stderr.readline().decode(errors="replace")
            if "attached" not in said:
                raise Skip("strace does not work here: " + said)
            _, err = recorder.communicate(b"\n", timeout=120)
            strace.communicate(timeout=120)
            expect(recorder.returncode == 0 and b"done" in err, "exit %d: %s" % (recorder.returncode, err))
            bench.check(out)
            straced = straced_calls(open(lines, errors="replace"))
            trace = trace_reader.load(bench.gtrace, out)
            expect(trace.lost() == 0, "%d events lost" % trace.lost())
            old = {tid for tid in straced if tid not in made_since(lines)}
            compared = compare_threads(trace, straced, names, old)
            for name in ("futex", "nanosleep", "mmap", "rt_sigprocmask", "sigaltstack", "write"):
                expect(compared[name], "%s was not compared" % name)
            yield "Go %s, GOMAXPROCS %d: %d calls of %d names, %d threads" % (version, procs, sum(compared.values()), len(compared), len(straced))


def made_since(path):
    """Threads whose clone strace saw."""
    made = set()
    for line in open(path, errors="replace"):
        match = re.search(r"clone3?(?:\(| resumed>).*= (\d+)$", line)
        if match:
            made.add(int(match.group(1)))
    return made


@case
def calls_slow(bench):
    """syscall>20ms: only those that took longer, and all of them."""
    for version in versions():
        out, run = bench.record([build_go("calls", version), "slow"], ["--events=syscall>20ms"])
        told = json.loads(run.stdout)
        trace = trace_reader.load(bench.gtrace, out)
        expect(not trace.named("SyscallInfo"), "calls are told from their begin")
        for e in trace.named("SyscallLong"):
            expect(number(e.args["duration"]) >= 20000000, "a call of %s ns is told" % e.args["duration"])
        found = calls_of(trace, told["g"])
        # A sleep that a signal ended may have been shorter than asked.
        rests, want = ([c for c in calls if c["Number"] == 35 and c["Errno"] != EINTR] for calls in (found, told["calls"]))
        expect(rests == want, "the trace says %s, the program %s" % (rests, told["calls"]))
        expect(len(found) < told["quick"], "all the quick ones are told")
        yield "Go %s: %d of %d" % (version, len(found), told["quick"] + len(rests))


@case
def calls_children(bench):
    """Between fork and exec nothing is told, whoever's memory the child has; and the program is not disturbed."""
    for version in versions():
        program = [build_go("calls", version), "children", "12"]
        plain = bench.plain(program)
        for procs in (1, 4):
            out, run = bench.record(program, ["--events=all,-kernel,-samples"], {"GOMAXPROCS": procs})
            expect(run.stdout == plain.stdout, "other output: %r" % run.stdout)
            trace = trace_reader.load(bench.gtrace, out)
            bad = [e for e in trace.named("SyscallInfo") if number(e.args["number"]) in (56, 57, 58, 59, 435)]
            expect(not bad, "a child's call: %s" % (bad[:1],))
            expect(trace.lost() == 0, "%d events lost" % trace.lost())
        yield "Go %s: 2 x 12 children, and as many in a namespace of their own where that is allowed" % version


@case
def calls_files(bench):
    """A descriptor that lasts is told by its path, in a stream and in a window."""
    for version in newest():
        for options in ([], ["--flight"]):
            for _ in range(20):  # gtrace looks while it is open, if it gets the CPU meanwhile
                path = bench.path(".data")
                out, run = bench.record([build_go("calls", version), "files", path], CALLS + options)
                fd = number(run.stdout.decode())
                trace = trace_reader.load(bench.gtrace, out)
                named = [e for e in trace.named("FdName") if number(e.args["fd"]) == fd and e.args["name"] == path]
                writes = [e for e in trace.named("SyscallInfo") if number(e.args["number"]) == 1 and number(e.args["arg0"]) == fd]
                shown = [e for e in writes if e.args.get("arg0.name") == path]
                if named and len(shown) >= 50:
                    break
            expect(named, "descriptor %d has no name: %s" % (fd, trace.named("FdName")))
            expect(len(writes) >= 100 and len(shown) >= 50, "%d writes, %d of them with the path" % (len(writes), len(shown)))
            yield "Go %s %s: %d of %d writes show the path" % (version, " ".join(options), len(shown), len(writes))


def waits_of(trace, g):
    """What a goroutine waited for, and what ended the wait when no goroutine did."""
    waits = []
    for e in trace.by_g[g]:
        if e.name == "WaitsOn":
            waits.append({"What": e.args["what"], "Object": number(e.args["object"]), "Cause": "", "Detail": 0})
        elif e.name == "WakeCause":
            expect(waits, "a cause of a wake, and no wait")
            waits[-1].update(Cause=e.args["cause"], Detail=number(e.args["detail"]))
    return waits


def look_waits(trace, told):
    for waiter in told["waiters"]:
        found = waits_of(trace, waiter["G"])
        # Preempted between time.Sleep's begin and the wait, it may come to another M, which does not know for how long.
        if "preempt" in trace.count(waiter["G"], "GoYield", "reason"):
            found = [dict(have, Object=want["Object"]) if have["What"] == "sleep" and have["Object"] == 0 else have for have, want in zip(found, waiter["Waits"])]
        expect(found == waiter["Waits"], "goroutine %d: the trace says %s, the program %s" % (waiter["G"], found, waiter["Waits"]))
    causes = collections.Counter(e.args["cause"] for e in trace.named("WakeCause"))
    expect(causes["gc"] > 0, "the collector woke nobody: %s" % dict(causes))


def look_timers(trace, told, version):
    offset = 16 if minor(version) >= (1, 23) else 8
    timers, short = ([t + offset for t in told["timers"][key]] for key in ("timers", "fired"))
    g = told["timers"]["g"]
    ours = set(timers)
    hour = 3600 * 10**9
    sets = [e for e in trace.of(g, "TimerSet") if number(e.args["timer"]) in ours]
    expect([number(e.args["timer"]) for e in sets] == timers, "%d of %d timers set" % (len(sets), len(timers)))
    for e in sets:
        expect(hour - 60 * 10**9 < number(e.args["delay"]) <= hour + 10**6, "a timer of an hour is set to %s ns" % e.args["delay"])
    stops = [number(e.args["timer"]) for e in trace.of(g, "TimerStop") if number(e.args["timer"]) in ours]
    expect(sorted(stops) == sorted(timers), "%d of %d timers stopped" % (len(stops), len(timers)))
    fired = collections.Counter(number(e.args["timer"]) for e in trace.named("TimerFire"))
    for timer in short:
        expect(fired[timer] >= 1, "timer 0x%x did not fire" % timer)
    expect(sum(fired[t] for t in set(short)) == len(short), "%d of %d fired" % (sum(fired[t] for t in set(short)), len(short)))
    expect(not any(fired[t] for t in ours - set(short)), "a timer of an hour fired")


@case
def waits_told(bench):
    """Channels, selects, locks, descriptors, sleeps, timers: addresses and causes are what the program says."""
    for version in versions():
        for mode, procs, more in (("static", 1, []), ("static", 4, ["--stacks=off"]), ("pie-stripped", 4, [])):
            out, run = bench.record([build_go("waits", version, mode)], WAITS + more, {"GOMAXPROCS": procs})
            told = json.loads(run.stdout)
            trace = trace_reader.load(bench.gtrace, out)
            look_waits(trace, told)
            look_timers(trace, told, version)
        yield "Go %s: %d goroutines, %d timers" % (version, len(told["waiters"]), len(told["timers"]["timers"]) + len(told["timers"]["fired"]))


@case
def mutation_calls(bench):
    """With any one hook of these sets left away, the comparisons above must fail."""
    version = newest((1, 23))
    if not version:
        raise Skip("needs Go 1.23 or newer")
    version = version[0]
    syscall6 = "internal/runtime/syscall.Syscall6" if minor(version) < (1, 26) else "internal/runtime/syscall/linux.Syscall6"
    looks = {
        (syscall6,): ("calls", ["told", "3"], CALLS, look_calls),
        ("runtime.gopark", "runtime.(*semaRoot).queue", "runtime.netpollblock", "time.Sleep", "runtime.netpollready", "runtime.netpolldeadlineimpl"): ("waits", [], WAITS, look_waits),
        ("runtime.(*timer).modify", "runtime.(*timer).unlockAndRun", "runtime.(*timer).stop"): ("waits", [], WAITS, lambda trace, told: look_timers(trace, told, version)),
    }
    for names, (program, args, options, look) in looks.items():
        for name in ("",) + names:
            out = bench.path()
            command = bench.command([build_go(program, version)] + args, options, out)
            run = bench.run(command, dict({"GTRACE_TEST_SKIP_HOOK": name} if name else {}, GOMAXPROCS=4))
            expect(run.returncode == 0, "without %s: exit %d: %s" % (name, run.returncode, run.stderr.decode(errors="replace")))
            found = None
            try:
                bench.check(out)
                look(trace_reader.load(bench.gtrace, out), json.loads(run.stdout))
            except Failure as failure:
                found = str(failure).split("\n")[0][:150]
            expect(bool(found) == bool(name), "nobody notices that %s is missing" % name if name else "with every hook: %s" % found)
            if name:
                yield "without %s: %s" % (name, found)


@case
def sets_off(bench):
    """A set that is not asked for costs nothing: its hooks are not there, its events neither."""
    version = newest()[0]
    program = build_go("waits", version)
    counts = {}
    for sets in ("sched", "sched,objects", "sched,syscalls", "sched,timers", "all,-kernel,-samples", "default"):
        out, run = bench.record([program], ["--events=" + sets])
        trace = trace_reader.load(bench.gtrace, out)
        counts[sets] = collections.Counter(e.name for e in trace.events)
        for name, of in (("WaitsOn", "objects"), ("WakeCause", "objects"), ("SyscallInfo", "syscalls"), ("SyscallResult", "syscalls"), ("TimerSet", "timers"), ("TimerFire", "timers")):
            wanted = of in sets or sets.startswith("all") or (sets == "default" and of == "objects")
            expect(bool(counts[sets][name]) == wanted, "--events=%s: %d %s" % (sets, counts[sets][name], name))
    yield ", ".join("%s: %d events" % (sets, sum(count.values())) for sets, count in counts.items())


@case
def attach_sets(bench):
    """Hooks of these sets in and out of a running program, in the midst of calls and waits."""
    for version in versions():
        calls = waits = 0
        with Program([build_go("calls", version), "loop"], stdin=subprocess.PIPE) as program:
            program.until(b"ready\n", program.run.stdout)
            for options in (["--events=all,-kernel,-samples,-faults"], CALLS + ["--stacks=off"], WAITS + ["--flight"]):
                out = bench.path()
                run = bench.run([bench.gtrace, "attach", "-o", out, "--duration", "60ms"] + options + [str(program.run.pid)])
                expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr.decode(errors="replace")))
                bench.check(out)
                trace = trace_reader.load(bench.gtrace, out)
                calls += len(trace.named("SyscallResult"))
                waits += len(trace.named("WaitsOn"))
                for e in trace.named("SyscallResult"):
                    what = number(e.args["number"]), number(e.args["result"]), number(e.args["error"])
                    expect(what[0] not in (8, 18) or (what[0] == 8 and what[2] == 9) or (what[0] == 18 and 1 <= what[1] <= 4), "call %d gave %d, errno %d" % what)
            program.say(b"x")
            program.until(b"done\n", program.run.stdout)
            expect(program.run.wait(timeout=60) == 0, "the program ends with %d" % program.run.returncode)
        expect(calls > 0 and waits > 0, "%d calls, %d waits" % (calls, waits))
        yield "Go %s: %d calls, %d waits" % (version, calls, waits)
