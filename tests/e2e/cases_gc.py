# cases_gc.py - Go's collector, allocations and marks: what gtrace tells, against what Go's own tracer, runtime.MemStats, runtime/metrics
# and GODEBUG=gctrace=1 tell of the same run.
import collections
import json
import os
import re
import struct
import subprocess

import gcstory
import trace as trace_reader
from cases_attach import Attached, Program
from cases_same import same
from cases_trigger import metas, record, snapshots
from harness import NEWEST, OLDEST, Failure, Skip, build_go, case, expect, go, minor, newest, runs, versions
from trace import number


def part_of(part, whole):
    """Where @part stands in @whole, in one piece; None when nowhere."""
    for at in range(len(whole) - len(part) + 1):
        if whole[at : at + len(part)] == part:
            return at
    return None


def parse_go(bench, file):
    command, env = go(NEWEST)
    parsed = subprocess.run([command, "tool", "trace", "-d=parsed", file], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    expect(parsed.returncode == 0, "go tool trace: " + parsed.stderr.decode(errors="replace")[-500:])
    return gcstory.of_go(parsed.stdout.decode(errors="replace").splitlines())


def only_gc(world):
    """Without the stops of the world that are not the collector's, and their ends."""
    kept, other = [], False
    for word in world:
        if word[0] == "stop":
            other = not word[1].startswith("GC ")
        if not (other and word[0] in ("stop", "go on")):
            kept.append(word)
        if word[0] == "go on":
            other = False
    return kept


def behind_start(world):
    """What follows the stop that starts Go's tracer, and the state that it tells of then."""
    for at, word in enumerate(world):
        if word == ("stop", "start trace"):
            return world[world.index(("go on",), at) + 1 :]
    return world


def compare_world(version, theirs, ours):
    theirs, ours = theirs["world"], behind_start(ours["world"])
    if minor(version) < (1, 21):  # its tracer tells the collector's own stops only
        ours = only_gc(ours)
    theirs = behind_start(theirs)
    for at, (a, b) in enumerate(zip(theirs, ours)):
        expect(a == b, "word %d of the world's story: Go's tracer %s, gtrace %s" % (at, theirs[max(0, at - 2) : at + 3], ours[max(0, at - 2) : at + 3]))
    rest = ours[len(theirs) :]
    expect(len(ours) >= len(theirs) and rest in ([], [("stop", "stop trace"), ("go on",)]), "only gtrace tells %s" % rest)
    return len(theirs)


def compare_tracers(version, procs, theirs, ours):
    """Every word of Go's tracer; gtrace began earlier and ended later."""
    words = compare_world(version, theirs, ours)
    assists = 0
    expect(any("GC (" in str(story) for key, story in ours.items() if key != "world"), "no worker has a label")
    for key, story in theirs.items():
        if key == "world" or (key == "heap" and procs > 1):
            continue  # several Ms change the heap's size at once: the one or the other is told first
        # From 1.26 on a worker that was meant to run next, and did not, leaves its label to whoever runs instead.
        if key[1:].isdigit() and key[0] == "g" and minor(version) >= (1, 26) and not any(w.startswith("GC ") for w in ours[key]):
            story = [w for w in story if not w.startswith("GC ")]
        if part_of(story, ours[key]) is None:
            fits = [next((i for i, (a, b) in enumerate(zip(story, ours[key][skip:])) if a != b), len(ours[key]) - skip) for skip in range(len(ours[key]) + 1)]
            at, skip = max(fits), fits.index(max(fits))
            near = slice(max(0, at - 2), at + 3)
            raise Failure("Go %s, GOMAXPROCS=%d, %s, word %d of %d: Go's tracer %s, gtrace %s" % (version, procs, key, at, len(story), story[near], ours[key][skip:][near]))
        words += len(story)
        assists += story.count("assist") if key[0] == "g" else 0
    for key, story in ours.items():  # but for the first goroutine, before the tracer's start, nobody assists before or behind
        if "assist" in story and key != "g1":
            expect(story.count("assist") == theirs[key].count("assist"), "%s: %d assists, Go's tracer %d" % (key, story.count("assist"), theirs[key].count("assist")))
    return words, assists


def check_gc(trace):
    """What must hold whatever the program did."""
    expect(trace.lost() == 0, "%d events lost" % trace.lost())
    broken = trace.first_broken()
    expect(broken is None, "the chain breaks: %s" % (broken,))
    state, cycle, assisting, sweeping = "goes on", 0, set(), {}
    for event in trace.events:
        args = event.args
        if event.name in ("StwBegin", "StwStopped", "StwEnd"):
            want = {"StwBegin": "goes on", "StwStopped": "StwBegin", "StwEnd": "StwStopped"}[event.name]
            expect(state == want, "%s at %d, behind %s" % (event.name, event.ns, state))
            state = "goes on" if event.name == "StwEnd" else event.name
        elif event.name == "GcBegin":
            expect(number(args["cycle"]) == cycle + 1, "cycle %s follows %d" % (args["cycle"], cycle))
            cycle += 1
        elif event.name == "GcEnd":
            expect(number(args["cycle"]) == cycle and state == "StwStopped", "cycle %s ends in %d, while the world: %s" % (args["cycle"], cycle, state))
        elif event.name == "AssistBegin":
            expect(args["g"] not in assisting, "%s assists twice at once" % args["g"])
            assisting.add(args["g"])
        elif event.name == "AssistEnd":
            expect(args["g"] in assisting, "%s ends an assist that did not begin" % args["g"])
            assisting.discard(args["g"])
        elif event.name == "SweepBegin":
            expect(sweeping.get(event.m) is None, "M %d sweeps twice at once" % event.m)
            sweeping[event.m] = args["p"]
        elif event.name == "SweepEnd":
            expect(sweeping.get(event.m) == args["p"], "M %d ends a sweep of %s with %s" % (event.m, sweeping.get(event.m), args["p"]))
            sweeping[event.m] = None
    expect(len(trace.named("GcEnd")) in (cycle, cycle - 1), "%d cycles, %d ends" % (cycle, len(trace.named("GcEnd"))))
    return cycle


def compare_counts(trace, story, version):
    """Against what the program read of itself."""
    cycles = check_gc(trace)
    expect(cycles == story["cycles_all"], "%d cycles, MemStats %d" % (cycles, story["cycles_all"]))
    ends = [at for at, e in enumerate(trace.events) if e.name == "GcEnd"]
    live = [e for e in trace.events[: ends[-1]] if e.name == "Heap"][-1]
    if minor(version) >= (1, 21):
        expect(number(live.args["live"]) == story["live"], "live at the last cycle's end: %s, runtime/metrics %d" % (live.args["live"], story["live"]))
    goal = trace.named("HeapGoal")[-1]
    expect(number(goal.args["bytes"]) == story["goal"] == story["next"], "goal %s, runtime/metrics %d" % (goal.args["bytes"], story["goal"]))
    stacks = number(trace.named("StackMemory")[-1].args["bytes"])
    expect(story["deep_stacks"] <= stacks <= story["stacks"], "stacks of %d bytes; %d are deep, %d are all" % (stacks, story["deep_stacks"], story["stacks"]))
    procs = [number(e.args["count"]) for e in trace.named("Procs")]
    expect(any(b == a + 1 for a, b in zip(procs, procs[1:])) and procs[-1] == procs[0], "GOMAXPROCS one after the other: %s" % procs)


def gc_run(bench, version, procs, mode="static", options=(), env=None):
    file = bench.path(".gotrace")
    out, run = bench.record([build_go("gcstory", version, mode), file], env=dict(env or {}, GOMAXPROCS=procs), options=options)
    return trace_reader.load(bench.gtrace, out), json.loads(run.stdout), file, run.stderr.decode(errors="replace")


@case
def gc_story(bench):
    """Cycles, stops of the world with their reasons, heap goals, assists, labels of workers, bytes swept, the heap's size: word for word
    as Go's own tracer tells them; counts as runtime.MemStats and runtime/metrics have them."""
    for version in versions():
        words = assists = 0
        for procs in (1, 2):
            for _ in range(runs(1, long=20)):
                trace, story, file, _ = gc_run(bench, version, procs)
                compare_counts(trace, story, version)
                more = compare_tracers(version, procs, parse_go(bench, file), gcstory.of_gtrace(trace, number))
                words, assists = words + more[0], assists + more[1]
        expect(assists > 0, "no goroutine assisted")
        yield "Go %s: %d words agree, %d assists among them" % (version, words, assists)


@case
def gc_modes(bench):
    """The same, however the program was linked; and the lines of GODEBUG=gctrace=1."""
    for version in versions():
        for mode in ("stripped", "pie-stripped", "external-stripped"):
            trace, story, file, err = gc_run(bench, version, 2, mode, env={"GODEBUG": "gctrace=1"})
            compare_counts(trace, story, version)
            compare_tracers(version, 2, parse_go(bench, file), gcstory.of_gtrace(trace, number))
            lines = sum(line.startswith("gc ") and " @" in line for line in err.splitlines())
            expect(lines == len(trace.named("GcEnd")), "%d lines of gctrace, %d cycles" % (lines, len(trace.named("GcEnd"))))
        trace, story, file, _ = gc_run(bench, version, 2, options=["--stacks=off", "--events=gc"])
        compare_tracers(version, 2, parse_go(bench, file), gcstory.of_gtrace(trace, number))
        expect(not any(e.args.get("stack", "0") != "0" for e in trace.events), "a stack, with --stacks=off")
        yield "Go %s: stripped, PIE, external link, no stacks" % version


def interrupted(bench, path, version, caller, callee):
    """A copy of a Go program, changed in one call: where @caller calls @callee, the scheduler wants the goroutine's thread, each time."""
    command, env = go(version)
    symbols = subprocess.run([command, "tool", "nm", path], env=env, stdout=subprocess.PIPE).stdout.decode().splitlines()
    symbols = {words[-1]: int(words[0], 16) for words in map(str.split, symbols) if len(words) > 2 and words[-2] in "Tt"}
    code = bytearray(open(path, "rb").read())
    programs, size, count = struct.unpack_from("<Q", code, 32)[0], *struct.unpack_from("<HH", code, 54)
    segments = [struct.unpack_from("<IIQQQQ", code, programs + i * size) for i in range(count)]
    text, start, bytes_ = next((s[2], s[3], s[5]) for s in segments if s[0] == 1 and s[1] & 1)
    begin, told = symbols[caller] - start, symbols[callee] - start
    call = next(at for at in range(begin, begin + 2048) if code[text + at] == 0xE8 and at + 5 + struct.unpack_from("<i", code, text + at + 1)[0] == told)
    # movq $stackPreempt, 16(%r14): g.stackguard0; jmp @callee: between two functions
    change = bytes.fromhex("49c74610defaffff")
    hole = code.index(b"\xcc" * (len(change) + 5), text + symbols["runtime.text"] - start, text + bytes_) - text
    change += b"\xe9" + struct.pack("<i", told - hole - len(change) - 5)
    code[text + hole : text + hole + len(change)] = change
    struct.pack_into("<i", code, text + call + 1, hole - call - 5)
    out = bench.path(".exe")
    with open(out, "wb") as copy:
        copy.write(code)
    os.chmod(out, 0o755)
    return out


@case
def gc_interrupted(bench):
    """Each assist is preempted at the only place where that can be between its decision and its work: it is told all the same, once."""
    # Later ones cannot be preempted there.
    for version in [v for v in versions() if minor(v) < (1, 22)] or [OLDEST]:
        program, file = interrupted(bench, build_go("gcstory", version), version, "runtime.gcAssistAlloc", "runtime.traceEvent"), bench.path(".gotrace")
        for procs in (1, 2):
            out, run = bench.record([program, file], env={"GOMAXPROCS": procs})
            trace = trace_reader.load(bench.gtrace, out)
            compare_counts(trace, json.loads(run.stdout), version)
            compare_tracers(version, procs, parse_go(bench, file), gcstory.of_gtrace(trace, number))
            assists = stopped = 0
            for events in trace.by_g.values():
                for event, behind in zip(events, events[1:]):
                    assists += event.name == "AssistBegin"
                    stopped += event.name == "AssistBegin" and behind.args.get("reason") in ("preempt", "preempted")
            expect(stopped > 10, "%d assists, %d of them preempted" % (assists, stopped))
            yield "Go %s GOMAXPROCS=%d: %d assists, %d of them preempted" % (version, procs, assists, stopped)


def stacks_of(bench, out):
    """(event's name, functions of its stack, innermost first) of each event with a stack."""
    text = subprocess.run([bench.gtrace, "convert", out, "--to", "text", "-o", "-"], stdout=subprocess.PIPE).stdout.decode(errors="replace")
    strings = dict(re.findall(r'^String id=(\d+) text="(.*)"$', text, re.M))
    pcs = {pc: [strings.get(f, "") for f in re.findall(r"(\d+):\d+:\d+", lines)] for pc, lines in re.findall(r"^Pc pc=(\S+) lines=\[(.*?)\]$", text, re.M)}
    stacks = {i: sum((pcs.get(pc, []) for pc in re.findall(r"0x[0-9a-f]+", list_)), []) for i, list_ in re.findall(r"^Stack id=(\d+) pcs=\[(.*?)\]$", text, re.M)}
    for name, id_ in re.findall(r"^(\w+) dt=.* stack=(\d+)$", text, re.M):
        yield name, stacks.get(id_, [])


@case
def gc_stacks(bench):
    """Who stops the world, begins a cycle, assists, sweeps, allocates: the stack says so."""
    wanted = {
        "GcBegin": ["runtime.gcStart"],
        "StwBegin": ["runtime.gcStart", "runtime.gcMarkDone", "runtime.stopTheWorld"],
        "AssistBegin": ["runtime.gcAssistAlloc"],
        "SweepBegin": ["runtime.mallocgc", "runtime.(*mcache).refill", "runtime.systemstack_switch"],
        "Alloc": ["main.churn"],
    }
    for version in versions():
        out, _ = bench.record([build_go("gcstory", version), bench.path(".gotrace")], ["--events=gc,heap", "--alloc-rate=16K"], {"GOMAXPROCS": 2})
        right, all_ = collections.Counter(), collections.Counter()
        example = {}
        for name, stack in stacks_of(bench, out):
            if name in wanted:
                functions = wanted[name]
                if minor(version) < (1, 22) and name != "Alloc":  # who switches to the system's stack is not in its own stack
                    functions = functions + ["runtime.goexit"]
                all_[name] += 1
                right[name] += any(function in stack for function in functions)
                if not any(function in stack for function in functions):
                    example[name] = stack
        for name in wanted:
            least = all_[name] if name != "Alloc" else 1  # the runtime's, Go's tracer's are others
            expect(all_[name] > 0 or name == "SweepBegin", "no stack of a %s" % name)
            expect(right[name] >= least, "Go %s: %d of %d stacks of %s; this one is not: %s" % (version, right[name], all_[name], name, example.get(name)))
        yield "Go %s: %s" % (version, dict(right))


@case
def alloc_counts(bench):
    """With the set alloc: as many allocations, and bytes, as runtime.MemStats counts."""
    for version in versions():
        for procs in (1, 4):
            out, run = bench.record([build_go("allocs", version)], ["--events=gc,alloc"], {"GOMAXPROCS": procs})
            compare_allocs(trace_reader.load(bench.gtrace, out), json.loads(run.stdout))
        yield "Go %s: %s" % (version, run.stdout.decode().strip())
    out, run = bench.record([build_go("allocs", versions()[-1]), "late"], ["--events=gc,alloc"])
    compare_allocs(trace_reader.load(bench.gtrace, out), json.loads(run.stdout), late=True)


def compare_allocs(trace, story, late=False):
    expect(trace.lost() == 0, "%d events lost" % trace.lost())
    stops = [at for at, e in enumerate(trace.events) if e.name == "StwStopped"]
    kinds = [e.args["kind"] for e in trace.named("StwBegin")]
    marks = [at for at, kind in zip(stops, kinds) if kind == "read mem stats"]
    expect(len(marks) == 3, "stops of the world: %s" % kinds)
    first, second = (trace.events[a:b] for a, b in zip(marks, marks[1:]))
    allocs = [e for e in first if e.name == "Alloc"]
    tiny = sum(number(e.args["bytes"]) == 4 for e in allocs)
    types = collections.Counter(e.args["type"] for e in first if e.name == "AllocType")
    expect(len(allocs) == story["mallocs"], "%d allocations, MemStats %d: %s" % (len(allocs), story["mallocs"], types))
    for name, count in (("main.red", 1000), ("main.blue", 1000), ("main.small", 1000), ("main.tiny", 126), ("uint8", 1063), ("*int", 1000)):
        expect(types[name] == count, "%d of type %s instead of %d: %s" % (types[name], name, count, types))
    # Four tiny ones share a block of 16 bytes.
    total = sum(number(e.args["bytes"]) for e in allocs) - 4 * tiny
    expect(0 <= story["bytes"] - total <= 16 * tiny, "%d bytes, MemStats %d" % (total, story["bytes"]))
    expect(all(e.args["weight"] == e.args["bytes"] for e in allocs), "a weight that is not its size")
    more = sum(e.name == "Alloc" for e in second)
    theirs = sum(e.name == "Alloc" and number(e.args["g"]) >= 1 << 15 for e in second)
    expect(not late or theirs >= 3 * 400 * 5, "%d allocations of the three late goroutines" % theirs)
    expect(more == story["mallocs_all"], "%d allocations of four goroutines, MemStats %d" % (more, story["mallocs_all"]))


@case
def alloc_samples(bench):
    """Sampled: the weights add up to what was allocated, but for what no sample stands for yet; of two types by turns, both are seen."""
    for version in versions():
        for rate, options in ((524288, []), (65536, ["--alloc-rate=64K"])):
            out, run = bench.record([build_go("allocs", version), "pairs", "400000"], ["--events=heap"] + options, {"GOMAXPROCS": 2})
            story, trace = json.loads(run.stdout), trace_reader.load(bench.gtrace, out)
            allocs = trace.named("Alloc")
            weight = sum(number(e.args["weight"]) for e in allocs)
            threads = len({e.m for e in trace.events})
            expect(weight <= story["bytes"], "samples stand for %d bytes of %d" % (weight, story["bytes"]))
            expect(weight >= story["pair_bytes"] - threads * rate * 3 // 2, "samples stand for %d bytes of %d" % (weight, story["pair_bytes"]))
            types = collections.Counter(e.args["type"] for e in trace.named("AllocType"))
            both = types["main.red"], types["main.blue"]
            expect(min(both) > 0, "of two types by turns %d and %d samples" % both)
            expect(sum(both) <= story["pair_bytes"] * 2 // rate + 2 * threads, "%d samples" % len(allocs))
        yield "Go %s: %d samples of %d bytes: %d and %d of two types by turns" % (version, len(allocs), weight, both[0], both[1])


def marks_of(trace, g):
    """What a goroutine marked, in the program's words."""
    said = []
    for e in trace.by_g[g]:
        if e.name == "TaskBegin":
            said.append(["task", e.args["name"]])
        elif e.name == "TaskEnd":
            said.append(["task end", number(e.args["task"])])
        elif e.name == "RegionBegin":
            said.append(["begin", e.args["name"]])
        elif e.name == "RegionEnd":
            said.append(["end", e.args["name"]])
        elif e.name == "Log":
            said.append(["log", e.args["key"], e.args["value"]])
    return said


def compare_marks(trace, story, attached=False):
    expect(trace.lost() == 0, "%d events lost" % trace.lost())
    tasks = {number(e.args["task"]): e for e in trace.named("TaskBegin")}
    parent = next((n for n, e in tasks.items() if e.args["name"] == "parent"), 0)
    expect(parent, "no task `parent'")
    for one in story:
        said, wanted, open_ = [], [], []
        for word in marks_of(trace, one["g"]):
            if word[0] == "task end":
                word = ["task end", tasks[word[1]].args["name"]]
            # An end may have lost its name: regions nest.
            if word[0] == "begin":
                open_.append(word[1])
            elif word[0] == "end":
                name = open_.pop() if open_ else None
                expect(word[1] in ("", name), "region %s ends in %s" % (word[1], name))
                word = ["end", name]
            said.append(word)
        wanted = one["marks"]
        at = next((i for i, (a, b) in enumerate(zip(said, wanted)) if a != b), min(len(said), len(wanted)))
        expect(said == wanted, "goroutine %d, mark %d of %d and %d: %s instead of %s" % (one["g"], at, len(said), len(wanted), said[at : at + 3], wanted[at : at + 3]))
        # Everything but the message that has none is of the goroutine's own task, that one of `parent'.
        for e in trace.by_g[one["g"]]:
            if e.name == "TaskBegin":
                own = number(e.args["task"])
                expect(number(e.args["parent"]) == parent, "task %d is of %s" % (own, e.args["parent"]))
            elif e.name == "Log":
                expect(number(e.args["task"]) == (0 if e.args["value"] == "nothing" else own), "a message of task %s in task %d" % (e.args["task"], own))
            elif e.name == "RegionBegin":
                expect(number(e.args["task"]) == own, "region %s of task %s in task %d" % (e.args["name"], e.args["task"], own))
    return sum(len(one["marks"]) for one in story)


@case
def marks_story(bench):
    """Tasks, regions and messages as the program made them, while Go's tracer is off, and while it is on."""
    for version in versions():
        told = 0
        for mode, procs, arguments in (("static", 4, []), ("static", 2, [bench.path(".gotrace")]), ("pie-stripped", 1, [])):
            out, run = bench.record([build_go("marks", version, mode)] + arguments, ["--events=marks"], {"GOMAXPROCS": procs})
            told += compare_marks(trace_reader.load(bench.gtrace, out), json.loads(run.stdout))
        yield "Go %s: %d marks" % (version, told)


@case
def marks_interrupted(bench):
    """With Go's tracer on, each StartRegion is preempted before it calls userRegion, which is hooked too: one of them tells the region."""
    for version in versions():
        program = interrupted(bench, build_go("marks", version), version, "runtime/trace.StartRegion", "runtime/trace.userRegion")
        for procs in (1, 2):
            out, run = bench.record([program, bench.path(".gotrace")], env={"GOMAXPROCS": procs})
            trace = trace_reader.load(bench.gtrace, out)
            told = compare_marks(trace, json.loads(run.stdout))
            stopped = sum(e.args.get("reason") == "preempt" for e in trace.named("GoYield"))
            regions = len(trace.named("RegionBegin"))
            expect(stopped >= regions // 2, "%d regions, %d preemptions" % (regions, stopped))
        yield "Go %s: %d marks, %d regions among them, %d preemptions" % (version, told, regions, stopped)


@case
def gc_off(bench):
    """Sets that are not asked for are not there."""
    version = newest()[0]
    kinds = {
        "sched": set(),
        "marks": {"TaskBegin", "TaskEnd", "RegionBegin", "RegionEnd", "Log"},
        "heap": {"Alloc", "AllocType", "Heap", "StackMemory"},
        "gc": {"GcBegin", "GcEnd", "StwBegin", "StwStopped", "StwEnd", "AssistBegin", "AssistEnd", "SweepBegin", "SweepEnd", "GoLabel", "Procs", "Heap", "HeapGoal", "StackMemory"},
    }
    every = set().union(*kinds.values())
    for name, mine in kinds.items():
        for program in ("gcstory", "marks"):
            out, _ = bench.record([build_go(program, version), bench.path(".gotrace")], ["--events=" + name])
            there = {e.name for e in trace_reader.load(bench.gtrace, out).events} & every
            expect(there <= mine, "--events=%s: %s" % (name, there - mine))
    yield "sched, marks, heap, gc: each alone"


@case
def gc_stress(bench):
    """Everything at once with every set of these, the collector always at work: the program's output is what it is without."""
    for version in versions():
        total = 0
        for procs in (1, 2, 8):
            total += same(bench, [build_go("stress", version)], runs(2, long=100), {"GOMAXPROCS": procs, "GOGC": 5}, ["--events=default,alloc", "--buffer=64M"], "Go %s GOMAXPROCS=%d" % (version, procs))
        yield "Go %s: %d recordings, one output" % (version, total)


@case
def gc_attach(bench):
    """The same hooks in a program that runs already, and out of it again."""
    for version in versions():
        for name, sets in (("gcstory", "gc,heap"), ("marks", "default")):
            with Program([build_go(name, version), "wait"], env={"GOMAXPROCS": 2}) as p:
                p.until(b"ready\n")
                attached = Attached(bench, p.pid, ["--events=" + sets])
                p.say(b"\n")
                p.until(b"done\n")
                trace = trace_reader.load(bench.gtrace, attached.end())
                p.say(b"\n")
                stdout, err = p.run.communicate(timeout=120)
                expect(p.run.returncode == 0, "the program ended with %d: %s" % (p.run.returncode, err[-2000:]))
            story = json.loads(stdout)
            if name == "marks":
                told = compare_marks(trace, story)
            else:
                cycles = len(trace.named("GcEnd"))
                expect(trace.lost() == 0 and cycles == story["cycles"], "%d cycles, MemStats %d" % (cycles, story["cycles"]))
        yield "Go %s: %d cycles, %d marks" % (version, cycles, told)


@case
def trigger_gc(bench):
    """A snapshot because the world stood still, or a region took long, says so; short ones make none."""
    for version in versions():
        program = build_go("marks", version)
        for arguments, expression, cause in (
            (["slow", "300ms"], "region slow > 100ms", "in it for"),
            (["stw", "300000000"], "stw > 20ms", "stopped (read mem stats)"),
        ):
            out, run = record(bench, [program] + arguments, ["--trigger", expression, "--trigger-interval=0", "--after=0"], {"GOMAXPROCS": 2, "GODEBUG": "asyncpreemptoff=1"})
            g = json.loads(run.stdout)
            found = [metas(bench, path) for path in snapshots(out)]
            mine = [m for m in found if number(m.get("trigger_goroutine", "0")) == g and cause in m["cause"]]
            expect(len(mine) == 1, "Go %s: %d snapshots of goroutine %d: %s: %s" % (version, len(mine), g, [m["cause"] for m in found], run.stderr.decode()))
            yield "Go %s: %s" % (version, mine[0]["cause"])
        out, _ = bench.record([program, "slow", "1ms"], ["--flight", "--trigger", "region slow > 60s", "--trigger", "stw > 60s", "--trigger", "region fast > 1us"])
        expect(not snapshots(out), "%s" % snapshots(out))


@case
def marks_odd(bench):
    """Regions that are compared, copied, moved, ended twice or elsewhere, or with Go's tracer turned on meanwhile: the program does not notice, nor
    does its own trace."""
    command, env = go(NEWEST)
    for version in versions():
        program = build_go("marks", version)
        said, regions = [], []
        for traced in (False, True):
            file = bench.path(".gotrace")
            if traced:
                out, run = bench.record([program, "odd", file], ["-q", "--events=all,-kernel,-samples,-faults"], {"GOGC": 5, "GOMAXPROCS": 2})
            else:
                run = bench.plain([program, "odd", file], {"GOGC": 5, "GOMAXPROCS": 2})
                expect(run.returncode == 0, "exit %d without gtrace: %s" % (run.returncode, run.stderr.decode(errors="replace")))
            said.append(run.stderr)
            if minor(version) >= (1, 22):
                parsed = subprocess.run([command, "tool", "trace", "-d=parsed", file], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                expect(parsed.returncode == 0, "its own trace is damaged, traced %s: %s" % (traced, parsed.stderr.decode(errors="replace")[-300:]))
                regions.append(collections.Counter(re.findall(r"Region(?:Begin|End)", parsed.stdout.decode(errors="replace"))))
        expect(said[0] == said[1], "it says %r instead of %r" % (said[1], said[0]))
        expect(len(set(map(str, regions))) <= 1 and (not regions or regions[0]["RegionEnd"] == 2), "regions in its own trace: %s" % regions)
        trace = trace_reader.load(bench.gtrace, out)
        begun = collections.Counter(e.args["type.name"] if "type.name" in e.args else e.args.get("name", "") for e in trace.named("RegionBegin"))
        ended = len(trace.named("RegionEnd"))
        expect(sum(begun.values()) == 4 and ended == 6, "%s begun, %d ends" % (dict(begun), ended))
        yield "Go %s: %d begun, %d ends, %s" % (version, sum(begun.values()), ended, said[0].decode().split("\n")[0])


@case
def mutation_gc(bench):
    """With any one hook left away, the comparisons above must fail: they do look at what each hook gives."""
    version = newest((1, 27))
    if not version:
        raise Skip("needs Go 1.27 or newer: its functions for small allocations are among the hooks")
    version = version[0]

    def attempt(name, program, arguments, options, procs, look):
        out = bench.path()
        env = dict({"GTRACE_TEST_SKIP_HOOK": name} if name else {}, GOMAXPROCS=procs)
        run = bench.run(bench.command([build_go(program, version)] + arguments, options, out), env=env, timeout=60)
        if "no such hook" in run.stderr.decode(errors="replace"):
            raise Failure("gtrace knows no hook %s: see tests/e2e/hooks_gc.txt" % name)
        if run.returncode != 0:
            return "exit %d" % run.returncode
        try:
            bench.check(out)
            look(trace_reader.load(bench.gtrace, out), json.loads(run.stdout))
        except (Failure, ValueError, KeyError, IndexError) as failure:
            return str(failure).split("\n")[0][:150]
        return None

    file = bench.path(".gotrace")

    def look_gc(procs):
        def look(trace, story):
            compare_counts(trace, story, version)
            compare_tracers(version, procs, parse_go(bench, file), gcstory.of_gtrace(trace, number))
        return look

    looks = [
        ("gcstory", [file], [], 1, look_gc(1)),
        ("allocs", [], ["--events=gc,alloc"], 1, compare_allocs),
        ("marks", [], ["--events=marks"], 2, compare_marks),
        ("gcstory", [file], [], 2, look_gc(2)),
    ]
    for look in looks:
        found = attempt("", *look)
        expect(found is None, "%s, no hook left away: %s" % (look[0], found))
    missed = []
    for name in hook_names("hooks_gc.txt"):
        # What a sweep meets is chance.
        for look in looks + looks[-1:] * 6:
            found = attempt(name, *look)
            if found:
                yield "without %s: %s: %s" % (name, look[0], found)
                break
        if not found:
            missed.append(name)
    expect(not missed, "nobody notices that these hooks are missing: " + ", ".join(missed))


def hook_names(file):
    text = os.environ.get("GTRACE_HOOKS", "")
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), file)
    return text.split(",") if text else [line.strip() for line in open(path) if line.strip() and not line.startswith("#")]
