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
from harness import Failure, Skip, build_go, case, expect, minor, newest, runs, versions
from trace import number

CALLS = ["--events=syscalls"]
WAITS = ["--events=objects,timers"]

# docs/syscalls.md: made by the runtime's own assembly, which is not hooked. Others of the same number may go through Syscall6.
STUBS = set("""arch_prctl brk clone clone3 close epoll_create epoll_create1 epoll_ctl epoll_pwait exit exit_group fcntl futex getpid gettid
    kill madvise mincore mmap munmap nanosleep open openat pipe pipe2 prlimit64 read rt_sigaction rt_sigprocmask rt_sigreturn
    sched_getaffinity sched_yield setitimer sigaltstack tgkill timer_create timer_delete timer_settime write execve prctl
    eventfd2 readlinkat uname""".split())


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
    found = calls_of(trace, told["g"])
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


@case
def calls_strace(bench):
    """Counts by name are strace's, for all that goes through Go's Syscall6."""
    if not shutil.which("strace"):
        raise Skip("there is no strace here")
    names = {}
    here = os.path.dirname(os.path.abspath(__file__))
    for line in open(os.path.join(here, "..", "..", "format", "reading", "syscalls_x86_64.def")):
        match = re.match(r"SYSCALL\((\d+), (\w+)\)", line)
        if match:
            names[int(match.group(1))] = match.group(2)
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
            if name in STUBS:
                continue
            expect(straced.get(name, 0) == ours[name], "%s: strace counts %d, gtrace %d" % (name, straced.get(name, 0), ours[name]))
            compared += ours[name]
        expect(compared >= 7 * 10, "only %d calls compared" % compared)
        yield "Go %s: %d calls of %d names" % (version, compared, len([n for n in ours if n not in STUBS]))


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
