# cases_kernel.py - the kernel's layer: switches against the kernel's own counts of each thread, samples against the goroutine and the
# function that burned, throttling against cpu.stat; and that a kernel that refuses costs nothing but these events.
import os
import re
import resource
import shutil
import subprocess
import time

import cases_linked
import cases_view
import harness
import trace
from harness import case, expect

SETS = "--events=default,kernel,samples,faults"
OFTEN = "--sample-every=1ms"


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
            path, run = recorded(bench, program, SETS, options)
            events = read(bench, path).events
            alternate(events)
            count = switches_agree(events, run.stdout.decode())
            begun = {arg(e, "tid") for e in events if e.name == "ThreadBegin"}
            expect({arg(e, "tid") for e in events if e.name == "CpuIn"} <= begun, "a thread is on a CPU and never began")
            yield "%s%s: %d voluntary switches of two threads, as the kernel counted them" % (version, " in flight" if options else "", count)


@case
def kernel_samples(bench):
    for version in harness.versions():
        path, run = recorded(bench, [harness.build_go("kernel", version), "burn", "100"], SETS, ["--sample-every=500us"])
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


def is_whole(bench, path):
    """Nothing of the kernel's is lost: on a very busy machine rings fill before gtrace gets a CPU, which the trace tells."""
    return b"lost: kernel events 0" in bench.run([bench.gtrace, "info", path]).stdout


def recorded(bench, program, sets, options=()):
    """A recording from which nothing of the kernel's is missing, however busy the machine is."""
    for _ in range(20):
        path, run = bench.record(program, [sets] + list(options))
        kernel_of(bench, path)
        if is_whole(bench, path):
            return path, run
    raise harness.Failure("the kernel's events were lost, again and again")


@case
def kernel_faults(bench):
    """How many page faults there were is told exactly, whether each has an event or not; the kernel says the same of the program."""
    program = [harness.build_go("kernel", harness.newest()[0]), "touch", "20000"]
    for every in (1, 7):
        path, run = recorded(bench, program, "--events=faults", ["--fault-every=%d" % every])
        begin, pages, minor = (int(x, 0) for x in run.stdout.split())
        info = bench.run([bench.gtrace, "info", path]).stdout.decode()
        total = int(re.search(r"^page_faults +(\d+)$", info, re.M).group(1))
        expect(re.search(r"^fault_every +%d$" % every, info, re.M), "info does not tell how many each stands for: " + info)
        seen = read(bench, path)
        faults = seen.named("Fault")
        touched = [arg(e, "address") for e in faults if begin <= arg(e, "address") < begin + 4096 * pages]
        if every == 1:
            expect(len(faults) == total, "%d events of %d faults" % (len(faults), total))
            expect(sorted(touched) == list(range(begin, begin + 4096 * pages, 4096)), "%d faults of %d pages" % (len(touched), pages))
        else:
            # Each thread has counted on each CPU, and what is left there is less than one event.
            rest = (every - 1) * os.cpu_count() * len({e.args["tid"] for e in seen.named("ThreadBegin")})
            expect(total - rest <= every * len(faults) <= total, "%d events, each of %d, of %d faults" % (len(faults), every, total))
        expect(pages <= minor <= total, "%d pages were touched, getrusage says %d, the trace %d" % (pages, minor, total))
        yield "each %d.: %d events of %d faults; %d of the %d pages touched" % (every, len(faults), total, len(touched), pages)


REFUSALS = [
    ("EPERM", "perf events are not allowed: a container's seccomp filter"),
    ("EACCES", "perf events are not allowed: "),
    ("ENOSYS", "this kernel has no perf events"),
    ("EMFILE", "too many threads for perf events: raise the limit of open files"),
    ("EINVAL", "this kernel's perf events are too old"),
]


@case
def kernel_refused(bench):
    refuse = harness.build_c("refuse")
    program = [harness.build_go("kernel", harness.newest()[0]), "burn", "1"]
    for error, why in REFUSALS:
        out = bench.path()
        run = bench.run([refuse, "perf_event_open=" + error] + bench.command(program, [SETS], out))
        if run.returncode == 77:
            raise harness.Skip(run.stderr.decode().strip())
        expect(run.returncode == 0 and b"burner" in run.stdout, "exit %d: %s" % (run.returncode, run.stderr.decode()))
        said = run.stderr.decode().splitlines()
        expect(len([line for line in said if line.startswith("gtrace: without the kernel's events: " + why)]) == 1, "it is not said in one line: %s" % said)
        bench.check(out)
        text = bench.run([bench.gtrace, "info", out]).stdout.decode()
        expect(re.search("^kernel_layer +missing: " + re.escape(why), text, re.M), "the trace does not say it: " + text)
        expect("GoRun=" in text, "and the rest is not there: " + text)
        sets = re.search(r"^events +([a-z].*)$", text, re.M).group(1).split(",")
        expect("kernel" not in sets and "sched" in sets, "the trace has sets %s" % sets)
        yield "%s: said on standard error and in the trace, the rest is recorded" % error


@case
def kernel_old(bench):
    """A kernel that does not know what came with Linux 5.12, 5.13 and 6.0: all is there but for build ids."""
    refuse = harness.build_c("refuse")
    out = bench.path()
    program = [harness.build_go("kernel", harness.newest()[0]), "burn", "100"]
    run = bench.run([refuse, "perf_event_open=old"] + bench.command(program, [SETS, OFTEN], out))
    if run.returncode == 77:
        raise harness.Skip(run.stderr.decode().strip())
    expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr.decode()))
    bench.check(out)
    kernel_of(bench, out)
    g = re.search(r"^burner (\d+) (\d+)$", run.stdout.decode(), re.M).group(1)
    seen, stacks = read(bench, out), stacks_of(bench, out)
    burning = [e for e in seen.named("CpuSample") if e.args["g"] == g and "main.burn" in stacks.get(e.args["stack"], [])]
    expect(len(burning) >= 10, "%d samples of the burner" % len(burning))
    mapped = seen.named("Mapped")
    expect(mapped and not any(e.args["build_id"] for e in mapped), "an old kernel tells build ids: %s" % mapped)
    yield "%d samples, %d mappings without build id, %d switches" % (len(burning), len(mapped), len(seen.named("CpuIn")))


def missing_of(text):
    return text.split("; missing: ")[1] if "; missing: " in text else ""


@case
def kernel_plain_user(bench):
    """Without rights: what there is, is there; what is missing is said in one line, and in the trace."""
    if os.getuid() != 0:
        raise harness.Skip("only root can be somebody else")
    program, out = harness.build_go("kernel", harness.newest()[0]), bench.path()
    copy, tool = bench.path(""), bench.path("")
    for source, target in ((program, copy), (bench.gtrace, tool)):
        shutil.copyfile(source, target)
        os.chmod(target, 0o755)
    os.chmod(bench.dir, 0o777)
    run = bench.run([tool, "record", "-o", out, SETS, OFTEN, "--", copy, "burn", "100"], user=65534, group=65534, extra_groups=[])
    expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr.decode()))
    missing = missing_of(kernel_of(bench, out))
    expect("who else takes a CPU: it takes root" in missing and "the kernel's own time in samples: it takes" in missing, "missing: " + missing)
    said = [line for line in run.stderr.decode().splitlines() if line == "gtrace: of the kernel's events there is missing: " + missing]
    expect(len(said) == 1, "not said in one line: " + run.stderr.decode())
    events = read(bench, out)
    alternate(events.events)
    stacks = stacks_of(bench, out)
    own = [e for e in events.named("CpuSample") if "main.burn" in stacks.get(e.args["stack"], [])]
    expect(len(own) >= 10 and not any(name.startswith("[kernel]") for names in stacks.values() for name in names), "%d samples in main.burn" % len(own))
    expect(not events.named("CpuOther"), "a plain user hears of others")
    yield "switches and %d samples are there; missing: %s" % (len(own), missing)


@case
def kernel_rival(bench):
    """Who took the CPU: a process that shares the program's only CPU is named."""
    cpu = min(os.sched_getaffinity(0))
    rival = bench.start([harness.build_c("rival")], stdin=subprocess.PIPE, preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    name = open("/proc/%d/comm" % rival.pid).read().strip()
    for version in harness.newest():
        # Who comes next is the kernel's to say; where many want the CPU the rival may be seldom next.
        for _ in range(30):
            path, _ = bench.record([harness.build_go("kernel", version), "burn", "100"], [SETS], preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
            missing = missing_of(kernel_of(bench, path))
            if "who else" in missing:
                raise harness.Skip(missing)
            events = read(bench, path).events
            ours = {arg(e, "tid") for e in events if e.name == "ThreadBegin"}
            others = [e for e in events if e.name == "CpuOther"]
            expect(not [e for e in others if arg(e, "tid") in ours], "one of ours is told to be another's")
            named = [e for e in others if arg(e, "tid") == rival.pid]
            if named:
                break
        expect(named and all(e.args["name"] == name and arg(e, "cpu") == cpu and arg(e, "from") in ours for e in named),
               "the rival %d (%s) is told so: %s" % (rival.pid, name, named[:3]))
        # Right behind the one who had to go.
        stream = [e for e in events if e.m == (1 << 32) + cpu]
        for before, e in zip(stream, stream[1:]):
            if e.name == "CpuOther":
                expect(before.name == "CpuOut" and arg(before, "tid") == arg(e, "from") and arg(before, "runnable") == 1, "before %s stands %s" % (e, before))
        yield "%s: %s (%d) took CPU %d from the program %d times" % (version, name, rival.pid, cpu, len(named))
    rival.stdin.close()
    rival.wait()


def libraries_of(bench):
    """(name of its inner function, file) of two shared libraries."""
    for inner in ("inner_of_one", "inner_of_two"):
        path = bench.path("-%s.so" % inner)
        subprocess.run([harness.compiler(), "-O1", "-g", "-fno-omit-frame-pointer", "-fPIC", "-shared", "-DINNER=" + inner, "-o", path,
                        os.path.join(harness.PROGRAMS, "c", "hot.c")], check=True)
        yield inner, path


def turns_of(libraries, samples, g):
    """In which order the libraries burned, and how many samples say so."""
    order = []
    for owner, names in samples:
        for inner, _ in libraries:
            if inner in names:
                expect("hot" in names and names.index(inner) < names.index("hot"), "its caller is not there: %s" % names)
                expect(owner in (g, "0"), "a sample of goroutine %s instead of %s" % (owner, g))
                order.append(inner)
    return [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name], len(order)


@case
def kernel_late(bench):
    """Libraries come and go at the same address on two CPUs by turns, while gtrace stands still: it learns of one CPU's first."""
    if len(os.sched_getaffinity(0)) < 2:
        raise harness.Skip("needs two CPUs")
    libraries = list(libraries_of(bench))
    program = harness.build_go("libs", harness.newest()[0], "cgo")
    for options in ([], ["--flight", "--max-bytes", "64M"]):
        path, run = bench.record([program, "late"] + [p for _, p in libraries] * 2, [SETS, "--sample-every=500us"] + options)
        kernel_of(bench, path)
        stacks, g = stacks_of(bench, path), re.search(r"^g (\d+)$", run.stdout.decode(), re.M).group(1)
        samples = [(e.args["g"], stacks.get(e.args["stack"], [])) for e in read(bench, path).named("CpuSample")]
        turns, count = turns_of(libraries, samples, g)
        addresses = set(re.findall(r"^hot \S+ (0x\w+)$", run.stdout.decode(), re.M))
        expect(turns == [inner for inner, _ in libraries] * 2, "the libraries burned in the order %s, at %s" % (turns, addresses))
        yield "%d samples in two libraries%s%s" % (count, " at one address" if len(addresses) == 1 else "", ", in flight" if options else "")


@case
def kernel_libraries(bench):
    """Samples in C code, in libraries that come and go (at the same address, if the loader likes), in the kernel and the vdso."""
    libraries = list(libraries_of(bench))
    program = harness.build_go("libs", harness.newest()[0], "cgo")
    for options in ([], ["--flight", "--max-bytes", "64M"]):
        path, run = recorded(bench, [program] + [p for _, p in libraries] * 2, SETS, ["--sample-every=500us"] + options)
        layer = kernel_of(bench, path)
        said = re.findall(r"^hot (\S+) (0x\w+)$", run.stdout.decode(), re.M)
        g = re.search(r"^g (\d+)$", run.stdout.decode(), re.M).group(1)
        expect(len(said) == 4 and all(int(address, 16) for _, address in said), "the program said: " + run.stdout.decode())
        seen, stacks = read(bench, path), stacks_of(bench, path)
        mapped = seen.named("Mapped")
        for (_, library), (_, address) in zip(libraries * 2, said):
            inside = [e for e in mapped if e.args["file"] == library and arg(e, "address") <= int(address, 16) < arg(e, "address") + arg(e, "bytes")]
            expect(inside, "no Mapped tells of %s at %s" % (library, address))
        samples = [(e.args["g"], stacks.get(e.args["stack"], [])) for e in seen.named("CpuSample")]
        turns, count_of_all = turns_of(libraries, samples, g)
        expect(turns == [inner for inner, _ in libraries] * 2, "the libraries burned in the order %s" % turns)
        for what, least in (("inlined_step", 10), ("burn_in_c", 10), ("clock_gettime", 1)):
            count = len([1 for _, names in samples if [n for n in names if what in n]])
            expect(count >= least, "%d samples in %s" % (count, what))
        vdso = len([1 for _, names in samples if names and names[0].startswith("[vdso]")])
        expect(vdso >= 10, "%d samples in the vdso" % vdso)
        kernel = len([1 for _, names in samples if names and names[0].startswith("[kernel]") and "burn_in_kernel" in names])
        expect(kernel >= 10 or "kernel's own time" in layer, "%d samples in the kernel, below burn_in_kernel" % kernel)
        yield "%d samples in two libraries%s, %d in the vdso, %d in the kernel%s" % (
            count_of_all, " at one address" if len({a for _, a in said}) == 1 else "", vdso, kernel, ", in flight" if options else "")


def share(counts):
    total = sum(counts.values())
    return {name: count / max(total, 1) for name, count in counts.items()}


FUNCTIONS = ("main.heavy", "main.middle", "main.light")


def perf_shares(bench, program):
    """By perf: which of the three each sample of it is in."""
    data = bench.path(".data")
    run = bench.run(["perf", "record", "-q", "-g", "-e", "cpu-clock:u", "-F", "1000", "-o", data, "--"] + program)
    if run.returncode != 0 or not os.path.exists(data):
        raise harness.Skip("perf does not record here: " + run.stderr.decode().strip()[-200:])
    text = bench.run(["perf", "script", "-i", data, "-F", "ip,sym", "--no-inline"]).stdout.decode()
    return dict((name, len(re.findall(r"(?m)^\s+\w+ %s$" % re.escape(name), text))) for name in FUNCTIONS)


@case
def kernel_perf(bench):
    """The same program by perf and by gtrace: the same shares of its functions, 6 : 3 : 1 by construction."""
    if not shutil.which("perf"):
        raise harness.Skip("there is no perf")
    for version in harness.versions():
        program = [harness.build_go("kernel", version), "shares", "1000"]
        theirs = perf_shares(bench, program)
        path, _ = bench.record(program, [SETS, OFTEN])
        kernel_of(bench, path)
        stacks = stacks_of(bench, path)
        ours = dict.fromkeys(FUNCTIONS, 0)
        for e in read(bench, path).named("CpuSample"):
            for name in FUNCTIONS:
                if name in stacks.get(e.args["stack"], []):
                    ours[name] += 1
                    if stacks[e.args["stack"]][0] == "main.spin" and "main.main" not in stacks[e.args["stack"]]:
                        expect(False, "the caller is not there: %s" % stacks[e.args["stack"]])
        a, b = share(theirs), share(ours)
        expect(min(sum(theirs.values()), sum(ours.values())) >= 100, "few samples: perf %s, gtrace %s" % (theirs, ours))
        for name, true in zip(FUNCTIONS, (0.6, 0.3, 0.1)):
            expect(abs(b[name] - true) < 0.12 and abs(a[name] - b[name]) < 0.2, "perf %s, gtrace %s" % (theirs, ours))
        yield "%s: perf %s, gtrace %s" % (version, {k: "%.0f %%" % (100 * v) for k, v in a.items()}, {k: "%.0f %%" % (100 * v) for k, v in b.items()})


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


@case
def kernel_churn(bench):
    """Threads come and go: each is born and ends in the trace, and gtrace's descriptors do not grow with them."""
    count = harness.runs(100, 1000)
    out = bench.path()
    recorder = bench.start(bench.command([harness.build_go("kernel", harness.newest()[0]), "churn", str(count)], [SETS], out),
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    tids = []
    before = 0
    for line in iter(recorder.stdout.readline, b""):
        before = before or descriptors(recorder.pid)
        if line == b"done\n":
            break
        tids.append(int(line.split()[1]))
    after = descriptors(recorder.pid)
    errors = recorder.communicate(timeout=120)[1]
    expect(recorder.returncode == 0 and len(tids) == count, "exit %d: %s" % (recorder.returncode, errors.decode()))
    bench.check(out)
    kernel_of(bench, out)
    events = read(bench, out).events
    alternate(events)
    begun = [arg(e, "tid") for e in events if e.name == "ThreadBegin" and arg(e, "parent")]
    ended = [arg(e, "tid") for e in events if e.name == "ThreadEnd"]
    first = {arg(e, "tid") for e in events if e.name == "ThreadBegin" and not arg(e, "parent")}
    for tid in set(tids) - first:
        expect(begun.count(tid) == ended.count(tid) == tids.count(tid), "thread %d lived %d times, began %d and ended %d times in the trace" % (tid, tids.count(tid), begun.count(tid), ended.count(tid)))
    # Those of the threads that are there at the start are all that there are.
    expect(after <= before + 2, "gtrace has %d descriptors, and had %d" % (after, before))
    yield "%d threads, each born and ended; gtrace has %d descriptors" % (count, after)


@case
def kernel_many_threads(bench):
    """More threads than descriptors: one line, and the rest is recorded."""
    program = bench.start([harness.build_go("kernel", harness.newest()[0]), "crowd", "120"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    expect(program.stdout.readline() == b"done\n", "the program does not begin")
    out = bench.path()
    limit = (100, 100)
    run = bench.run([bench.gtrace, "attach", "--duration=200ms", SETS, "-o", out, str(program.pid)],
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))
    program.communicate()
    said = run.stderr.decode().splitlines()
    if [line for line in said if "perf events are not allowed" in line]:
        raise harness.Skip("perf events are not allowed")
    expect(run.returncode == 0, "exit %d: %s" % (run.returncode, said))
    expect(len([line for line in said if "too many threads for perf events: raise the limit of open files (ulimit -n)" in line]) == 1, "it is said so: %s" % said)
    bench.check(out)
    events = read(bench, out)
    states = [e for e in events.named("GoState") if e.args["new"] == "syscall"]
    expect(len(states) >= 120, "%d goroutines are told to be in system calls" % len(states))
    yield "120 threads, 100 descriptors: said in one line, %d goroutines in system calls are told" % len(states)


@case
def kernel_linked(bench):
    """A running program on gtrace's own runtime: its threads on CPUs, and samples of its goroutines by name."""
    program = bench.start([cases_linked.program(bench)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    expect(program.stderr.readline() == b"phase 1\n", "the program does not begin")
    for _ in range(20):  # it may get no CPU at all in so short a time
        out = bench.path()
        run = bench.run([bench.gtrace, "attach", "--duration=200ms", SETS, OFTEN, "-o", out, str(program.pid)])
        expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr.decode()))
        bench.check(out)
        kernel_of(bench, out)
        seen, stacks = read(bench, out), stacks_of(bench, out)
        tied = []
        if not is_whole(bench, out):
            continue
        alternate(seen.events)
        begun = {arg(e, "tid") for e in seen.named("ThreadBegin")}
        expect({arg(e, "tid") for e in seen.named("CpuIn")} <= begun, "a thread is on a CPU and never began")
        maps = [e for e in seen.named("Mapped") if os.path.basename(e.args["file"]) == "runtime-midway"]
        expect(maps, "the program's own file is not told to be mapped")
        tied = [e for e in seen.named("CpuSample") if e.args["g"] != "0" and "gt__g_main" in stacks.get(e.args["stack"], [])]
        if tied:
            break
    expect(tied, "no sample of a goroutine in 20 recordings from which nothing is lost")
    yield "%d switches, %d samples of goroutines" % (len(seen.named("CpuIn")), len(tied))


# The kernel's threads are a machine of their own; its CPUs have no goroutines.
CPU_ROWS = """select t.tid as tid, p.name as process, sum(s.dur) as ns from sched s join thread t using (utid) left join process p using (upid)
where s.dur > 0 and t.machine_id = 1 group by t.utid"""
P_ROWS = "select t.tid as g, sum(s.dur) as ns from sched s join thread t using (utid) where s.dur > 0 and t.machine_id = 0 and t.tid > 0 group by t.utid"


@case
def kernel_levels(bench):
    """Cores, threads and goroutines in one trace, each with rows of its own, as Perfetto's trace processor sees them."""
    folder = cases_view.tool("trace-processor", "get-trace-processor.sh")
    trace_path, run = recorded(bench, [harness.build_go("kernel", harness.newest()[0]), "switches", "50"], "--events=default,kernel,samples")
    path = cases_view.convert(bench, trace_path, ".pftrace")
    errors = cases_view.rows(cases_view.query(folder, path, cases_view.ERRORS))
    expect(not errors, "errors in stats: %s" % errors)
    seen = read(bench, trace_path)
    on, want = {}, {}
    for e in seen.events:
        if e.name == "CpuIn":
            on[arg(e, "tid")] = e.ns
        elif e.name in ("CpuOut", "ThreadEnd") and on.get(arg(e, "tid")) is not None:
            want[arg(e, "tid")] = want.get(arg(e, "tid"), 0) + e.ns - on.pop(arg(e, "tid"))
    got, others = {}, set()
    for row in cases_view.rows(cases_view.query(folder, path, CPU_ROWS)):
        if row["process"] == "other processes":
            others.add(int(row["tid"]))
        else:
            got[int(row["tid"])] = got.get(int(row["tid"]), 0) + int(row["ns"])
    # An exiting thread has been told to end when it goes on a CPU for the last time.
    ended = {arg(e, "tid"): e.ns for e in seen.named("ThreadEnd")}
    late = {arg(e, "tid") for e in seen.named("CpuIn") if e.ns > ended.get(arg(e, "tid"), e.ns)}
    ms = {arg(e, "tid") for e in seen.named("MStart")}
    compared = [tid for tid in want if tid in ms and tid not in on and tid not in late]
    expect(compared, "no thread that runs goroutines was on a CPU")
    for tid in compared:
        expect(got.get(tid) == want[tid], "thread %d was on CPUs for %s ns in Perfetto, %d in the trace" % (tid, got.get(tid), want[tid]))
    threads = {int(t) for t in re.findall(r"^thread (\d+) ", run.stdout.decode(), re.M)}
    expect(len(threads) == 2 and threads <= set(got), "threads %s of the program have no row: %s" % (threads, set(got)))
    told = {arg(e, "tid") for e in seen.named("CpuOther") if arg(e, "tid")}
    expect(others <= told, "other processes' threads %s, %s are told" % (others, told))
    ran = {int(e.args["g"]) for e in seen.named("GoRun")}
    rows = {int(row["g"]) for row in cases_view.rows(cases_view.query(folder, path, P_ROWS))}
    expect(ran and ran == rows, "goroutines %s ran, %s have rows" % (ran, rows))
    yield "%d threads with the same time on CPUs, to the ns; %d goroutines on Ps; %d threads of other processes" % (len(compared), len(rows), len(others))


def pairs_of(text):
    return {key: float(value) for key, value in (pair.split("=") for pair in text.split())}


@case
def recorder_cost(bench):
    """What the trace says that recording cost, against what is in the file, and what the program says of itself."""
    for version, options in ((harness.versions()[0], []), (harness.newest()[0], ["--flight"])):
        begin = time.monotonic()
        path, _ = bench.record([harness.build_go("counts", version)], options)
        wall_ns = (time.monotonic() - begin) * 1e9
        text = bench.run([bench.gtrace, "convert", path, "--to", "text", "-o", "-"]).stdout.decode()
        told = pairs_of(re.findall(r'^Meta key="recorder" value="(.*)"$', text, re.M)[-1])
        events = read(bench, path).events
        expect(told["events"] == len(events), "%d events are told, %d are in the file" % (told["events"], len(events)))
        if not options:
            size = os.path.getsize(path)
            expect(0.5 * size < told["bytes"] <= size, "%d bytes are told, the file has %d" % (told["bytes"], size))
        else:
            # Records are one to three cells of 16 bytes; one cell may give two events, and a descriptor's name.
            expect(16 / 3 * len(events) < told["bytes"] <= 48 * len(events), "%d bytes for %d events" % (told["bytes"], len(events)))
        last = events[-1].ns - events[0].ns
        expect(last * 0.99 <= told["span_ns"] <= wall_ns, "%d ns are told, events span %d, the command took %d" % (told["span_ns"], last, wall_ns))
        beside = ("WaitsOn", "WakeCause", "AllocType", "Lost", "FdName")
        records = len([e for e in events if e.name not in beside and e.m < 1 << 32])
        # A P that is taken back at a system call's end is told in one record with that.
        records -= max(0, sum((e.name == "PStart") - (e.name == "PStop") for e in events))
        expect(abs(told["hooks_ns"] / told["record_ns"] - records) <= 0.02 * records + 20, "%.0f ns at %.1f each, and %d records are there" % (told["hooks_ns"], told["record_ns"], records))
        expect(0 < told["program_ns"] <= 64 * wall_ns and 0 < told["own_ns"] <= 64 * wall_ns, "CPU times %s" % told)
        info = re.search(r"^recorder +([\d.]+) ?([kMG]?) ?events/s, ", bench.run([bench.gtrace, "info", path]).stdout.decode(), re.M)
        shown = float(info.group(1)) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[info.group(2)]
        true = len(events) / told["span_ns"] * 1e9
        expect(abs(shown - true) <= 0.06 * true + 1, "info shows %s events/s, the file has %.1f" % (shown, true))
        report = bench.run([bench.gtrace, "report", path]).stdout.decode()
        expect(re.search(r"^  recorder +[\d.]+ ?\w? ?events/s", report, re.M), "the report does not show it: " + report[:500])
        yield "%s%s: %d events, %d records of %.1f ns" % (version, " in flight" if options else "", len(events), records, told["record_ns"])


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


def throttled_ns(group):
    stat = open(os.path.join(group, "cpu.stat")).read()
    us = re.search(r"throttled_usec (\d+)", stat)
    return int(us.group(1)) * 1000 if us else int(re.search(r"throttled_time (\d+)", stat).group(1))


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
        got = held = 0
        for _ in range(20):  # on a busy machine it may get no more than the quota would let it have
            out = bench.path()
            before = throttled_ns(group)
            run = bench.run(["sh", "-c", 'echo $$ >%s/cgroup.procs && exec "$@"' % group, "sh"] + bench.command(program, [SETS], out))
            expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr.decode()))
            kernel_of(bench, out)
            want = throttled_ns(group) - before
            got = sum(arg(e, "duration") for e in read(bench, out).named("Throttled"))
            expect(got <= want, "%d ns of throttling are told, cpu.stat has %d" % (got, want))
            held += want
            if got:
                break
        if not held:
            raise harness.Skip("the machine is too busy: in 20 runs the quota never held the program")
        expect(got, "the quota held the program for %d ns, and nothing is told" % held)
    finally:
        # The last process of it is gone in a moment.
        for _ in range(200):
            try:
                os.rmdir(group)
                break
            except OSError:
                subprocess.run(["sleep", "0.05"])
    yield "%.0f ms of throttling told, cpu.stat has %.0f in all" % (got / 1e6, want / 1e6)
