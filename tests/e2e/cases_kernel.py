# cases_kernel.py - the kernel's layer: switches against the kernel's own counts of each thread, samples against the goroutine and the
# function that burned, throttling against cpu.stat; and that a kernel that refuses costs nothing but these events.
import os
import re
import subprocess

import harness
import trace
from harness import case, expect

SETS = "--events=default,kernel,samples,faults"


def kernel_of(bench, path):
    text = bench.run([bench.gtrace, "info", path]).stdout.decode()
    line = re.search(r"^kernel_layer +(.*)$", text, re.M)
    expect(line, "gtrace info tells nothing of the kernel's layer")
    if line.group(1).startswith("missing: perf events are not allowed"):
        raise harness.Skip(line.group(1))
    return line.group(1)


def read(bench, path):
    run = bench.run([bench.gtrace, "convert", path, "--to", "events", "-o", "-"])
    expect(run.returncode == 0, "convert: " + run.stderr.decode())
    return trace.Trace(run.stdout.decode().splitlines())


def arg(event, name):
    return int(event.args[name], 0)


def alternate(events):
    """Each thread goes on a CPU, leaves that CPU, and so on: no step is missing. Ends tell for themselves."""
    on = {}
    for event in events:
        if event.name == "ThreadEnd":
            on.pop(arg(event, "tid"), None)
        if event.name not in ("CpuIn", "CpuOut"):
            continue
        tid, cpu, there = arg(event, "tid"), arg(event, "cpu"), on.get(arg(event, "tid"), "unknown")
        if event.name == "CpuIn":
            expect(there in ("unknown", None), "thread %d goes on CPU %d and is on CPU %s: %s" % (tid, cpu, there, event))
        else:
            expect(there in ("unknown", cpu), "thread %d leaves CPU %d and is on CPU %s: %s" % (tid, cpu, there, event))
        on[tid] = cpu if event.name == "CpuIn" else None


def switches_agree(events, output):
    threads = re.findall(r"^thread (\d+) (0x\w+) (0x\w+) (\d+)$", output, re.M)
    expect(len(threads) == 2, "the program said: " + output)
    for tid, begin, end, want in threads:
        own = [e for e in events if "tid" in e.args and arg(e, "tid") == int(tid)]
        marks = [i for i, e in enumerate(own) if e.name == "Fault" and e.args["address"] in (begin, end)]
        expect(len(marks) == 2, "thread %s: the two pages that it touches are seen %d times" % (tid, len(marks)))
        between = own[marks[0]:marks[1]]
        got = len([e for e in between if e.name == "CpuOut" and arg(e, "runnable") == 0])
        expect(got == int(want), "thread %s: %d switches are recorded, the kernel counted %s" % (tid, got, want))
    return sum(int(t[3]) for t in threads)


@case
def kernel_switches(bench):
    for version in harness.versions():
        program = [harness.build_go("kernel", version), "switches", str(harness.runs(100, 2000))]
        for options in ([], ["--flight", "--max-bytes", "64M"]):
            for _ in range(20):  # what a gtrace that got no CPU for long has lost is told as lost
                path, run = bench.record(program, [SETS] + options)
                kernel_of(bench, path)
                if b"lost: kernel events" not in bench.run([bench.gtrace, "info", path]).stdout:
                    break
            events = read(bench, path).events
            alternate(events)
            count = switches_agree(events, run.stdout.decode())
            begun = {arg(e, "tid") for e in events if e.name == "ThreadBegin"}
            expect({arg(e, "tid") for e in events if e.name == "CpuIn"} <= begun, "a thread is on a CPU and never began")
            yield "%s%s: %d voluntary switches of two threads, as the kernel counted them" % (version, " in flight" if options else "", count)


@case
def kernel_samples(bench):
    for version in harness.versions():
        path, run = bench.record([harness.build_go("kernel", version), "burn", "100"], [SETS, "--sample-every=500us"])
        kernel_of(bench, path)
        g, tid = re.search(r"^burner (\d+) (\d+)$", run.stdout.decode(), re.M).groups()
        seen = read(bench, path)
        stacks = stacks_of(bench, path)
        own = [e for e in seen.named("CpuSample") if e.args["tid"] == tid]
        burning = [e for e in own if "main.burn" in stacks.get(e.args["stack"], [])]
        expect(len(burning) >= 10, "%d samples of the burner's thread, %d of them in main.burn" % (len(own), len(burning)))
        # While it is being preempted, its frames are there and it runs no more.
        nobody = [e for e in burning if e.args["g"] == "0"]
        wrong = [e for e in burning if e.args["g"] not in (g, "0")]
        expect(not wrong and len(nobody) <= len(burning) // 5, "of %d samples in main.burn, %d are another goroutine's than %s, %d nobody's: %s" % (len(burning), len(wrong), g, len(nobody), wrong[:1]))
        yield "%s: %d samples in main.burn, each of goroutine %s" % (version, len(burning), g)


def stacks_of(bench, path):
    """id -> names of the functions on it, from the text form."""
    text = bench.run([bench.gtrace, "convert", path, "--to", "text", "-o", "-"]).stdout.decode()
    strings = dict(re.findall(r'^String id=(\d+) text="(.*)"$', text, re.M))
    functions = {pc: [strings.get(line.split(":")[0], "") for line in lines.split()] for pc, lines in re.findall(r"^Pc pc=(\w+) lines=\[(.*)\]$", text, re.M)}
    return {ident: [name for pc in pcs.split() for name in functions.get(pc, [])] for ident, pcs in re.findall(r"^Stack id=(\d+) pcs=\[(.*)\]$", text, re.M)}


@case
def kernel_refused(bench):
    refuse = harness.build_c("refuse")
    program = [harness.build_go("kernel", harness.newest()[0]), "burn", "1"]
    out = bench.path()
    run = bench.run([refuse, "perf_event_open"] + bench.command(program, [SETS], out))
    if run.returncode == 77:
        raise harness.Skip(run.stderr.decode().strip())
    expect(run.returncode == 0 and b"burner" in run.stdout, "exit %d: %s" % (run.returncode, run.stderr.decode()))
    expect(b"gtrace: without the kernel's events: perf events are not allowed" in run.stderr, "it is not said: " + run.stderr.decode())
    bench.check(out)
    text = bench.run([bench.gtrace, "info", out]).stdout.decode()
    expect(re.search(r"^kernel_layer +missing: perf events are not allowed", text, re.M), "the trace does not say it: " + text)
    expect("GoRun=" in text, "and the rest is not there: " + text)
    yield "refused: said on standard error and in the trace, the rest is recorded"


@case
def kernel_attach(bench):
    for version in harness.newest():
        program = subprocess.Popen([harness.build_go("kernel", version), "wait", "switches", "50"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        recorder = None
        try:
            expect(program.stdout.readline() == b"ready\n", "the program does not begin")
            out = bench.path()
            recorder = subprocess.Popen([bench.gtrace, "attach", SETS, "-o", out, str(program.pid)], stderr=subprocess.PIPE)
            line = recorder.stderr.readline().decode()
            while line.startswith("gtrace: without the kernel's"):
                raise harness.Skip(line.strip())
            expect("recording process" in line, line + recorder.stderr.read().decode() if not line else line)
            output = program.communicate(b"\n", timeout=60)[0].decode()
            recorder.communicate(timeout=60)
        finally:
            program.kill()
            if recorder:
                recorder.kill()
                recorder.wait()
        bench.check(out)
        kernel_of(bench, out)
        events = read(bench, out).events
        alternate(events)
        yield "%s, attached: %d voluntary switches, as the kernel counted them" % (version, switches_agree(events, output))


@case
def kernel_throttled(bench):
    group = "/sys/fs/cgroup/cpu/gtrace-test-%d" % os.getpid()
    v2 = not os.path.exists("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    if v2:
        group = "/sys/fs/cgroup/gtrace-test-%d" % os.getpid()
    try:
        os.mkdir(group)
    except OSError as error:
        raise harness.Skip("no cgroup can be made: %s" % error)
    try:
        try:
            open(os.path.join(group, "cpu.max" if v2 else "cpu.cfs_quota_us"), "w").write("20000 100000" if v2 else "20000")
        except OSError as error:
            raise harness.Skip("no CPU quota can be set: %s" % error)
        program = [harness.build_go("kernel", harness.newest()[0]), "burn", "200"]
        out = bench.path()
        run = bench.run(["sh", "-c", 'echo $$ >%s/cgroup.procs && exec "$@"' % group, "sh"] + bench.command(program, [SETS], out))
        expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr.decode()))
        kernel_of(bench, out)
        stat = open(os.path.join(group, "cpu.stat")).read()
        want = re.search(r"throttled_usec (\d+)", stat)
        want = int(want.group(1)) * 1000 if want else int(re.search(r"throttled_time (\d+)", stat).group(1))
        got = sum(arg(e, "duration") for e in read(bench, out).named("Throttled"))
        expect(0 < got <= want, "%d ns of throttling are told, cpu.stat has %d" % (got, want))
    finally:
        # The last process of it is gone in a moment.
        for _ in range(200):
            try:
                os.rmdir(group)
                break
            except OSError:
                subprocess.run(["sleep", "0.05"])
    yield "%.0f ms of throttling told, cpu.stat has %.0f in all" % (got / 1e6, want / 1e6)
