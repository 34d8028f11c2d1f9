# cases_view.py - recordings of real programs in the real consumers of their JSON.
import json
import os
import shutil
import subprocess

from harness import NEWEST, ROOT, Skip, build_go, case, expect

TOOLS = os.path.join(os.environ.get("GTRACE_BUILD_DIR", os.path.join(ROOT, "build", "dev")), "test-tools")
WAITS = """select t.tid as g, s.name as name, count(*) as n from slice s join thread_track k on s.track_id = k.id
join thread t using (utid) join process p using (upid) where p.name = 'GOROUTINES' and s.name like 'waiting: %' group by 1, 2"""
WAKES = """select t.tid as g, count(*) as n from flow f join slice s on f.slice_in = s.id join thread_track k on s.track_id = k.id
join thread t using (utid) join process p using (upid) where p.name = 'GOROUTINES' group by 1"""
ERRORS = "select name, value from stats where value > 0 and severity != 'info'"


def tool(name, script):
    """A consumer, fetched once from npm by its script."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise Skip("there is no node or npm")
    folder = os.path.join(TOOLS, name)
    if not os.path.exists(os.path.join(folder, "good")):
        run = subprocess.run(["sh", os.path.join(ROOT, "tests", "tools", script), folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode != 0:
            raise Skip("%s: %s" % (script, run.stdout.decode(errors="replace").strip().splitlines()[-1:]))
    return folder


def query(folder, path, sql):
    run = subprocess.run([os.path.join(folder, "tp.mjs"), "--json", path, sql], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    expect(run.returncode == 0, "the trace processor: " + run.stderr.decode(errors="replace")[-500:])
    return json.loads(run.stdout)


def rows(answer):
    return [dict(zip(answer["cols"], row)) for row in answer["rows"]]


def convert(bench, trace, ending=".json"):
    out = bench.path(ending)
    run = bench.run([bench.gtrace, "convert", trace, "-o", out])
    expect(run.returncode == 0 and not run.stderr, "convert: " + run.stderr.decode(errors="replace"))
    return out


@case
def perfetto(bench):
    """Perfetto's trace processor loads a recording without an error, and its SQL finds what the program says of itself."""
    folder = tool("trace-processor", "get-trace-processor.sh")
    trace, run = bench.record([build_go("counts", NEWEST)])
    story = json.loads(run.stdout)
    path = convert(bench, trace)
    errors = rows(query(folder, path, ERRORS))
    expect(not errors, "errors in stats: %s" % errors)
    waits = {}
    for row in rows(query(folder, path, WAITS)):
        waits.setdefault(int(row["g"]), {})[row["name"][len("waiting: "):]] = int(row["n"])
    wakes = {int(row["g"]): int(row["n"]) for row in rows(query(folder, path, WAKES))}
    for w in story["workers"]:
        expect(waits.get(w["g"], {}) == w["blocks"], "goroutine %d (%s): waits %s in Perfetto, %s in the program" % (w["g"], w["name"], waits.get(w["g"]), w["blocks"]))
        # An arrow for its creation, and for each wake by another goroutine.
        woken = 1 + sum(n for by, n in w["wakes"].items() if int(by))
        expect(wakes.get(w["g"], 0) == woken, "goroutine %d (%s): %d arrows end there instead of %d" % (w["g"], w["name"], wakes.get(w["g"], 0), woken))
    yield "Go %s: %d goroutines, each wait and each arrow" % (NEWEST, len(story["workers"]))


PF_WAITS = """select t.tid as g, s.name as name, count(*) as n from slice s join thread_track k on s.track_id = k.id
join thread t using (utid) where s.category = 'wait' group by 1, 2"""
PF_WAKES = """select t.tid as g, extract_arg(s.arg_set_id, 'debug.waker') as by, count(*) as n from flow f join slice s on f.slice_in = s.id
join thread_track k on s.track_id = k.id join thread t using (utid) where s.name in ('woken', 'created') group by 1, 2"""
# A waking goroutine stands in the wait's own arguments, too.
PF_WAKERS = """select t.tid as g, extract_arg(s.arg_set_id, 'debug.waker') as by, count(*) as n from slice s
join thread_track k on s.track_id = k.id join thread t using (utid) where s.category = 'wait' and by is not null group by 1, 2"""
# CPU rows and states are one thing told twice.
PF_RUNNING = """select c.cpu, c.ns, s.ns from (select cpu, sum(dur) as ns from sched where dur > 0 group by cpu) c
left join (select cpu, sum(dur) as ns from thread_state where state = 'Running' and dur > 0 group by cpu) s using (cpu)"""
PF_STACKS = """select count(*) from slice s join __intrinsic_track_event_callstacks c on c.slice_id = s.id where s.category = 'wait' and c.callsite_id is not null"""


def check_pftrace(bench, folder, trace, story):
    path = convert(bench, trace, ".pftrace")
    errors = rows(query(folder, path, ERRORS))
    expect(not errors, "errors in stats: %s" % errors)
    waits, wakes, wakers = {}, {}, {}
    for row in rows(query(folder, path, PF_WAITS)):
        waits.setdefault(int(row["g"]), {})[row["name"]] = int(row["n"])
    for row in rows(query(folder, path, PF_WAKES)):
        wakes.setdefault(int(row["g"]), {})[row["by"] and str(row["by"])] = int(row["n"])
    for row in rows(query(folder, path, PF_WAKERS)):
        wakers.setdefault(int(row["g"]), {})[str(row["by"])] = int(row["n"])
    for w in story["workers"]:
        who = "goroutine %d (%s): " % (w["g"], w["name"])
        expect(waits.get(w["g"], {}) == w["blocks"], who + "waits %s in Perfetto, %s in the program" % (waits.get(w["g"]), w["blocks"]))
        told = dict(wakes.get(w["g"], {}))
        expect(told.pop(None, 0) == 1, who + "one arrow of its creation: %s" % wakes.get(w["g"]))
        true = {by: n for by, n in w["wakes"].items() if int(by)}
        expect(told == true, who + "arrows by %s in Perfetto, %s in the program" % (told, true))
        expect(wakers.get(w["g"], {}) == true, who + "wakers of its waits %s in Perfetto, %s in the program" % (wakers.get(w["g"]), true))
    running = query(folder, path, PF_RUNNING)["rows"]
    expect(running and all(cpu == state for _, cpu, state in running), "CPU rows and states differ: %s" % running)
    return path


@case
def pftrace(bench):
    """The native format: no error, and each wait, waker and arrow of each goroutine as the program tells of itself."""
    folder = tool("trace-processor", "get-trace-processor.sh")
    trace, run = bench.record([build_go("counts", NEWEST)])
    story = json.loads(run.stdout)
    path = check_pftrace(bench, folder, trace, story)
    # The JSON tells by another way how long each P and all goroutines ran. Out of its system call, and without a P, a goroutine is running
    # to the runtime; on no P.
    slices = """select {} from slice s join thread_track k on s.track_id = k.id join thread t using (utid) join process p using (upid)
        where p.name = '{}' and s.name {}"""
    ps = slices.format("substr(t.name, 2) as cpu, sum(s.dur) as ns", "PROCS", "not like 'syscall %' group by 1 order by 1")
    ran = slices.format("sum(s.dur)", "GOROUTINES", "= 'running'")
    cpus = "select cast(cpu as text) as cpu, sum(iif(dur < 0, trace_end() - ts, dur)) as ns from sched group by 1 order by 1"
    json_path, got = convert(bench, trace), dict(query(folder, path, cpus)["rows"])
    want, most = query(folder, json_path, ps)["rows"], query(folder, json_path, ran)["rows"][0][0]
    expect(want and got == dict(want) and sum(got.values()) <= most,
           "running time of Ps: %s in .pftrace, %s in .json, of goroutines %s" % (got, want, most))
    stacks = query(folder, path, PF_STACKS)["rows"][0][0]
    expect(stacks > 0, "no wait has a stack")
    yield "Go %s: %d goroutines, each wait, waker and arrow; %d waits with their stack" % (NEWEST, len(story["workers"]), stacks)


@case
def catapult(bench):
    """Chrome's own viewer loads a recording without a warning."""
    folder = tool("catapult", "get-catapult.sh")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        raise Skip("there is no Chromium")
    trace, _ = bench.record([build_go("demo", NEWEST)])
    path = convert(bench, trace)
    run = subprocess.run(["node", os.path.join(ROOT, "tests", "convert", "check-catapult.mjs"), folder, chromium, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode == 77:
        raise Skip(run.stdout.decode(errors="replace").strip())
    expect(run.returncode == 0, "Catapult: " + run.stdout.decode(errors="replace")[-2000:])
    yield "Go %s: no import warning" % NEWEST
