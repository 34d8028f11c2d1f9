# cases_hard.py - gtrace killed, the program killed, no memory, no disk, calls refused: the program is never harmed.
import ctypes
import glob
import os
import random
import re
import resource
import signal
import subprocess
import time

import trace as trace_reader
from cases_same import child_of, read_until
from harness import LIMIT, Skip, build_c, build_go, case, expect, held_by, newest, runs, versions, wait

PR_SET_CHILD_SUBREAPER = 36


@case
def kill_gtrace(bench):
    """SIGKILL gtrace at any instant: the program goes on, and ends as it should."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise Skip("cannot become a subreaper")
    chance = random.Random(1)
    for version in versions():
        program = [build_go("stress", version)]
        want = bench.plain(program).stdout
        started = 0
        times = max(4, runs(12, long=200))
        killed = 0
        # When it hits is chance, the more so on a busy machine.
        while killed < times or (started < times // 3 and killed < 20 * times):
            i, killed = killed, killed + 1
            # Half of them while the hooks are put in, half later.
            delay = chance.uniform(0, 0.02) if i % 2 else chance.uniform(0, 0.4)
            read, write = os.pipe()
            options = ["-q", "--flight"] if i % 4 > 1 else ["-q"]
            gtrace = subprocess.Popen(bench.command(program, options), stdout=write, stderr=subprocess.DEVNULL, env=dict(os.environ, GOMAXPROCS="4"))
            os.close(write)
            time.sleep(delay)
            child = None
            try:
                child = int(open("/proc/%d/task/%d/children" % (gtrace.pid, gtrace.pid)).read().split()[0])
                name = os.path.basename(os.readlink("/proc/%d/exe" % child))
            except (OSError, IndexError):
                name = ""
            gtrace.kill()
            gtrace.wait()
            out = b""
            while True:
                part = os.read(read, 65536)
                if not part:
                    break
                out += part
            os.close(read)
            status = None
            try:
                while True:
                    pid, code = os.waitpid(-1, 0)
                    if pid == child:
                        status = code
            except ChildProcessError:
                pass
            if gtrace.returncode == 0 or name != os.path.basename(program[0]):
                continue  # too late, or before the program was there
            started += 1
            expect(status == 0 and out == want, "Go %s, killed after %.4f s: the program ended with %s and %r" % (version, delay, status, out))
        yield "Go %s: %d times killed, %d times with the program under way" % (version, killed, started)


def held_events(bench, path):
    return int(re.search(rb"^events +(\d+)$", bench.run([bench.gtrace, "info", path]).stdout, re.M).group(1))


@case
def kill_program(bench):
    """SIGKILL the program at any instant: what was recorded is whole."""
    chance = random.Random(2)
    for version in versions():
        program = [build_go("exits", version), "ticks", "600000"]
        events = 0
        for i in range(max(3, runs(6, long=100))):
            out = bench.path()
            gtrace = bench.start(bench.command(program, ["-q"], out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ, GOMAXPROCS="4"))
            pid = child_of(gtrace.pid)
            time.sleep(chance.uniform(0, 0.5) if i else 0)
            os.kill(pid, signal.SIGKILL)
            err = gtrace.communicate(timeout=LIMIT)[1].decode(errors="replace")
            expect(gtrace.returncode == 137, "exit %d instead of 137: %s" % (gtrace.returncode, err))
            if "before it began" in err:  # killed before the hooks were in: there is nothing to tell
                expect(not os.path.exists(out), "a trace of a program that did not begin")
                continue
            bench.check(out)
            events += held_events(bench, out)
            os.unlink(out)
        yield "Go %s: %d events read from traces of killed programs" % (version, events)


@case
def flight(bench):
    """The flight recorder: a snapshot on SIGUSR2, another at the end, each a possible execution and within its bounds."""
    version = newest()[0]
    program = [build_go("exits", version), "ticks", "600000"]
    out = bench.path()
    options = ["--flight", "--min-age=200ms", "--max-bytes=1M"]
    gtrace = bench.start(bench.command(program, options, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    read_until(gtrace.stdout.fileno(), b"ready")
    names = []
    for count in range(1, 4):
        time.sleep(0.2)
        gtrace.send_signal(signal.SIGUSR2)
        wait(lambda: len(glob.glob(out[:-len(".gtrace")] + "-*Z-SIGUSR2.gtrace")) == count, "snapshot %d" % count)
    os.kill(child_of(gtrace.pid), signal.SIGTERM)
    stdout, err = gtrace.communicate(timeout=LIMIT)
    expect(gtrace.returncode == 143, "exit %d: %s" % (gtrace.returncode, err))
    base = out[:-len(".gtrace")]
    timed = sorted(glob.glob(base + "-*Z-SIGUSR2.gtrace"))
    expect(len(timed) == 3, "not three snapshots: %s" % timed)
    for name in timed + [out]:
        bench.check(name)
        trace = trace_reader.load(bench.gtrace, name)
        span = trace.events[-1].ns - trace.events[0].ns
        expect(os.path.getsize(name) <= 4 << 20, "%s has %d bytes" % (name, os.path.getsize(name)))
        names.append("%d events over %d ms" % (len(trace.events), span // 1000000))
    for name in names:
        yield name


@case
def more_threads_than_blocks(bench):
    """Threads that never get a block: all that they lost is told in its place, and so the rest is a possible execution."""
    program = [build_go("exits", newest()[0]), "threads", "300"]
    for options in (["--flight", "--max-bytes", "512K"], ["--buffer", "256K"]):
        trace = bench.path()
        run = bench.run([bench.gtrace, "record", "-q", "-o", trace] + options + program)
        expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr))
        check = bench.run([bench.gtrace, "check", trace])
        expect(check.returncode == 0, "%s: %s" % (options, check.stdout.decode()))
        told = int(re.search(rb"(\d+) lost,", check.stdout).group(1))
        info = bench.run([bench.gtrace, "info", trace]).stdout
        counted = sum(int(x) for x in re.findall(rb"lost: (?:no room|in a signal) +(\d+)", info))
        # What a thread lost before the oldest of its blocks that is left lies before the window.
        good = told <= counted if "--flight" in options else told == counted > 0
        expect(good, "%s: %d lost in their places, %d in sum" % (options, told, counted))
        yield "%s: %d lost, %d told" % (options[0], counted, told)


@case
def quiet_threads(bench):
    """Threads that sleep give their blocks back: the window holds as much of the others' history as without them. They wake, and
    the chain of each goroutine is whole, or it says what is missing."""
    program = build_go("quiet", newest()[0])

    def held(*args):
        trace = bench.path()
        run = bench.run([bench.gtrace, "record", "-q", "-o", trace, "--flight", "--max-bytes", "640K", program] + list(args))
        expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr))
        check = bench.run([bench.gtrace, "check", trace])
        expect(check.returncode == 0, "%s: %s" % (args, check.stdout.decode()))
        return int(re.search(rb"(\d+) events,", check.stdout).group(1))

    alone = held("1", "30000", "1")
    # gtrace may get no CPU while the two play: then the blocks are where they were.
    for _ in range(20):
        beside = held("200", "30000", "1")
        if beside > alone // 2:
            break
    expect(beside > alone // 2, "%d events held beside 200 threads, %d alone" % (beside, alone))
    yield "%d events held beside 200 threads, %d alone" % (beside, alone)
    for threads, turns, naps in (("20", "2000", "10"), ("100", "300", "30"), ("300", "100", "10")):
        yield "%s threads, %s naps: %d events held" % (threads, naps, held(threads, turns, naps))


# KiB beside the window: gtrace's own (symbols, tables of threads and stacks); what packing needs where there is a history; buffers of a snapshot's file,
# and what is unpacked for it at a time.
ITSELF, PACKING, WRITING, UNPACKING = 1536, 256, 2048, 2304


@case
def window_memory(bench):
    """From outside: what is held for a window stays within MaxBytes, while 10,000 goroutines come and go and 1000 threads sleep;
    a snapshot adds a copy of the ring."""
    program = build_go("quiet", newest()[0])
    for size, kib in (("512K", 512), ("2M", 2048), ("16M", 16384)):
        out = bench.path()
        gtrace = bench.start(bench.command([program, "crowd", "10000", "1000"], ["-q", "--flight", "--max-bytes", size], out),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        expect(gtrace.stdout.readline() == b"ready\n", "the program did not begin")
        peaks = []
        for number in range(12):
            peaks.append(held_by(gtrace.pid))
            if number == 8:
                os.kill(gtrace.pid, signal.SIGUSR2)
            time.sleep(0.1)
        wait(lambda: glob.glob(out[:-len(".gtrace")] + "-*Z-SIGUSR2.gtrace"), "the snapshot")
        gtrace.stdin.close()
        gtrace.stdout.read()
        expect(gtrace.wait() == 0, "exit %d" % gtrace.returncode)
        fixed = ITSELF + (PACKING if kib >= 2048 else 0)
        alone, copied = max(sum(p) for p in peaks[:9]), max(sum(p) for p in peaks)
        yield "%s: %d KiB held, %d of them shared; %d with a snapshot's copy; %d are allowed beside the window" % (
            size, alone, max(p[1] for p in peaks), copied, fixed)
        expect(max(p[1] for p in peaks) <= kib, "%s: %d KiB are shared" % (size, max(p[1] for p in peaks)))
        expect(alone <= kib + fixed, "%s: %d KiB held" % (size, alone))
        expect(copied <= 2 * kib + fixed + WRITING + (UNPACKING if kib >= 2048 else 0), "%s: %d KiB held with a snapshot" % (size, copied))


def cpu_ticks(pid):
    fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def quiet_second(pids, most):
    """The CPU ticks of each in one second, the first in which none takes more than @most: what came with a beginning takes its time, and
    then there must be a second in which nothing does."""
    for _ in range(60):
        before = [cpu_ticks(pid) for pid in pids]
        time.sleep(1)
        used = [cpu_ticks(pid) - count for pid, count in zip(pids, before)]
        if all(count <= limit for count, limit in zip(used, most)):
            break
    return used


@case
def idle_goroutines(bench):
    """100,000 goroutines that wait cost nothing a second, neither gtrace nor the program: CPU time of both, beside that for ten, and
    beside the program's without gtrace. Recorded from the beginning, and attached to."""
    go = build_go("quiet", newest()[0])
    linked = os.path.join(os.path.dirname(bench.gtrace), "runtime-midway")
    slack = 5  # ticks: what others on the machine cause, interrupts and caches
    ticks = {}
    for count in (10, 100000):
        gtrace = bench.start(bench.command([go, "wait", str(count)], ["-q", "--flight"], bench.path()), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        expect(gtrace.stdout.readline() == b"ready\n", "the program did not begin")
        most = ticks.get(10, [0, 0])
        ticks[count] = quiet_second([gtrace.pid, child_of(gtrace.pid)], [n + slack for n in most])
        gtrace.stdin.close()
        expect(gtrace.wait() == 0, "exit %d" % gtrace.returncode)
    yield "CPU ticks in 1 s of gtrace and of the program: %s beside 10 goroutines, %s beside 100,000" % (ticks[10], ticks[100000])
    expect(all(many <= few + slack for many, few in zip(ticks[100000], ticks[10])), "%s ticks beside 100,000 waiting goroutines, %s beside ten" % (ticks[100000], ticks[10]))
    for command, ready in (([go, "wait", "100000"], "stdout"), ([linked, "-q", "-i", "100000"], "stderr")):
        if not os.path.exists(command[0]):
            continue
        process = bench.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        getattr(process, ready).readline()
        alone = quiet_second([process.pid], [slack])[0]
        gtrace = bench.start([bench.gtrace, "attach", "--flight", "-o", bench.path(), str(process.pid)], stderr=subprocess.PIPE)
        expect(b"recording process" in gtrace.stderr.readline(), "not attached")
        used = quiet_second([gtrace.pid, process.pid], [ticks[10][0] + slack, alone + slack])
        gtrace.send_signal(signal.SIGINT)
        gtrace.communicate(timeout=LIMIT)
        process.kill()
        process.communicate()
        yield "%s: %s, the program without gtrace: %d" % (os.path.basename(command[0]).split("-static")[0], used, alone)
        expect(used[0] <= ticks[10][0] + slack and used[1] <= alone + slack, "%s ticks beside 100,000 waiting goroutines" % used)


@case
def flight_killed(bench):
    """SIGKILL the program in flight mode, at any instant: the window survives, and of each thread at most the record that it was writing is missing."""
    program, chance = [build_go("exits", newest()[0]), "ticks", "600000"], random.Random(6)
    events = partial = 0
    for _ in range(runs(5, long=500)):
        out = bench.path()
        gtrace = bench.start(bench.command(program, ["--flight", "-q"], out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, GOMAXPROCS="4"))
        read_until(gtrace.stdout.fileno(), b"ready")
        time.sleep(chance.uniform(0, 0.3))
        pid = child_of(gtrace.pid)
        threads = len(os.listdir("/proc/%d/task" % pid))
        os.kill(pid, signal.SIGKILL)
        err = gtrace.communicate(timeout=LIMIT)[1]
        expect(gtrace.returncode == 137, "exit %d instead of 137: %s" % (gtrace.returncode, err))
        bench.check(out)
        missing = int(re.search(rb"^lost: in flight at the end +(\d+)$", bench.run([bench.gtrace, "info", out]).stdout, re.M).group(1))
        expect(missing <= threads, "%d records are partial, of %d threads" % (missing, threads))
        partial += missing
        events += held_events(bench, out)
        os.unlink(out)
    yield "%d times killed: %d events, %d records were being written" % (runs(5, long=500), events, partial)


@case
def refused(bench):
    """ptrace refused: a clear line, and 125. io_uring refused: a line, and the trace is written with write()."""
    version = newest()[0]
    wrapper, program = build_c("refuse"), [build_go("exits", version), "return"]
    if bench.run([wrapper, "io_uring_setup", "/bin/true"]).returncode != 0:
        raise Skip("seccomp filters are not allowed here")
    out = bench.path()
    run = bench.run([wrapper, "ptrace"] + bench.command(program, out=out))
    err = run.stderr.decode(errors="replace")
    expect(run.returncode == 125, "ptrace refused: exit %d: %s" % (run.returncode, err))
    expect(err.startswith("gtrace: ") and "ptrace" in err, "ptrace refused: no word on it: " + err)
    expect(not os.path.exists(out), "ptrace refused: a trace under the final name")
    expect(not [f for f in os.listdir(bench.dir) if f.startswith(os.path.basename(out))], "ptrace refused: files left: %s" % os.listdir(bench.dir))
    yield "ptrace: " + err.strip().splitlines()[0]
    out = bench.path()
    run = bench.run([wrapper, "io_uring_setup"] + bench.command(program, out=out))
    err = run.stderr.decode(errors="replace")
    expect(run.returncode == 0, "io_uring refused: exit %d: %s" % (run.returncode, err))
    expect("io_uring" in err, "io_uring refused: no word on it: " + err)
    bench.check(out)
    yield "io_uring: " + [l for l in err.splitlines() if "io_uring" in l][0]
    run = bench.run([wrapper, "memfd_create"] + bench.command(program))
    expect(run.returncode == 125 and run.stderr.startswith(b"gtrace: "), "memfd refused: exit %d: %s" % (run.returncode, run.stderr))
    yield "memfd: " + run.stderr.decode().splitlines()[0]


@case
def memory_limit(bench):
    """Too little address space for gtrace or the program: a line, or a good run; never a crash of gtrace."""
    version = newest()[0]
    program = [build_go("exits", version), "return"]
    seen = []
    for limit in (64 << 20, 256 << 20, 1 << 30, 4 << 30):
        def less():
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        plain = bench.run(program, preexec_fn=less)
        run = bench.run(bench.command(program), preexec_fn=less)
        err = run.stderr.decode(errors="replace")
        expect(run.returncode in (plain.returncode, 125), "%d MiB: exit %d (%d without gtrace): %s" % (limit >> 20, run.returncode, plain.returncode, err))
        expect(run.returncode != 125 or "gtrace: " in err, "%d MiB: no word on why: %s" % (limit >> 20, err))
        seen.append("%d MiB: %d" % (limit >> 20, run.returncode))
    yield "exit status by limit: " + ", ".join(seen)


@case
def disk_full(bench):
    """No room for the trace: the program runs to its end; gtrace says so, and leaves no file under the final name."""
    where = os.path.join(bench.dir, "small")
    os.mkdir(where)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", where], stderr=subprocess.DEVNULL).returncode != 0:
        # Without root: a limit on file sizes gives the same error to write().
        yield from full(bench, os.path.join(bench.dir, "t.gtrace"), lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))))
        return
    try:
        yield from full(bench, os.path.join(where, "t.gtrace"), None)
    finally:
        subprocess.run(["umount", "-l", where])


def full(bench, out, prepare):
    version = newest()[0]
    for options in ([], ["--no-uring"]):
        run = bench.run(bench.command([build_go("pingpong", version), "-n", "300000"], options, out), preexec_fn=prepare)
        err = run.stderr.decode(errors="replace")
        expect(run.stdout.strip() != b"", "the program did not end well: %s" % err)
        expect(run.returncode == 125, "exit %d instead of 125: %s" % (run.returncode, err))
        expect("gtrace: cannot write" in err, "no word on it: " + err)
        expect(not os.path.exists(out), "a part of a trace lies under the final name")
        yield [l for l in err.splitlines() if "cannot write" in l][0]
