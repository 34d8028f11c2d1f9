# stories.py - programs whose fault is known, in Go and in C, recorded: the report's first finding names the culprit, its decoys are not
# named, and a program without fault has no finding.
#
#   stories.py --gtrace PATH --c PROGRAM [LANGUAGE/STORY...]
import argparse
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.dont_write_bytecode = True
import harness  # noqa: E402
import trace as trace_reader  # noqa: E402
from harness import Failure, expect  # noqa: E402

# Story: kind of the first finding, what its title holds in Go, in C (None: not told in this language).
STORIES = {
    "convoy": ("lock-convoy", r"main\.convoyWorker.* in main\.updateTable", r"convoy_worker.* in update_table"),
    "convoy2": ("lock-convoy", r"main\.clerk.* in main\.bookEntry", r"clerk.* in book_entry"),
    "fsync": ("lock-held", r"main\.\(\*journal\)\.appendRecord; its holder was in system call fsync in main\.\(\*journal\)\.flush",
              r"append_record; its holder was in system call.* in flush_journal"),
    "fsync2": ("lock-held", r"^9 goroutines .*main\.\(\*journal\)\.appendRecord; its holder was in system call fsync",
               r"^9 goroutines .*append_record; its holder was in system call"),
    "reader": ("slow-reader", r"in main\.produceRows; the receiver G\d+ \(main\.consumeRows\) was asleep",
               r"in produce_rows; the receiver G\d+ \(consume_rows\) was asleep"),
    "reader2": ("slow-reader", r"in main\.emitMetrics; the receiver G\d+ \(main\.uploadMetrics\) was asleep",
                r"in emit_metrics; the receiver G\d+ \(upload_metrics\) was asleep"),
    "starved": ("starved", r"the only P was taken .* most by main\.crunch\b", r"the only P was taken .* most by crunch\b"),
    "starved2": ("starved", r"all 2 Ps were taken .* most by main\.hashBlocks\b", r"all 2 Ps were taken .* most by hash_blocks\b"),
    "gc": ("gc-assist", r"most in main\.tree \(main\.parseForest\)", None),
    "gc2": ("gc-assist", r"most in main\.tree \(main\.decodeBatch\)", None),
    "leak": ("leak", r"goroutines of main\.askBackend leak: .*\(chan send\) in main\.askBackend",
             r"goroutines of ask_backend leak: .*\(chan send\) in ask_backend"),
    "leak2": ("leak", r"goroutines of main\.watchSession leak: .*\(chan receive\) in main\.watchSession",
              r"goroutines of watch_session leak: .*\(chan receive\) in watch_session"),
    "select": ("stuck", r"\(main\.serveRequests\) is stuck in main\.serveRequests \(select.*: others wait for it",
               r"\(serve_requests\) is stuck in serve_requests \(select.*: others wait for it"),
    "select2": ("stuck", r"\(main\.pumpEvents\) is stuck in main\.pumpEvents \(select", r"\(pump_events\) is stuck in pump_events \(select"),
    "timers": ("timer-storm", r"most in main\.pollQueue", r"most in poll_queue"),
    "timers2": ("timer-storm", r"most in main\.checkDeadline", r"most in check_deadline"),
    "deadlock": ({"go": "lock-held", "c": "deadlock"}, r"main\.(transfer|reconcile), which nobody unlocked before the trace's end",
                 r"^deadlock: 2 goroutines .*\((transfer|reconcile)\) and .*\((transfer|reconcile)\)"),
    # Of one wrapper: sync.(*WaitGroup).Go.func1 with Go 1.25 and newer.
    "groups": ("lock-held", r"^3 goroutines \(main\.packer\) waited .* in main\.packer; its holder was asleep in main\.pause", None),
    "healthy": (None, "", ""),
}
DECOYS = re.compile(r"idle_?worker|janitor|accept\b|small_?lock", re.I)
# The second telling of a story has other pauses too.
FACTORS = {"reader2": "1.7", "fsync2": "0.8", "leak2": "1.3", "select2": "1.5"}
TRIES = 3


def tell(bench, program, story, kind, title):
    """A line on what was found, or the failure as text."""
    env = {"CULPRIT_DIR": bench.dir}
    path, _ = bench.record([program, story] + ([FACTORS[story]] if story in FACTORS else []), ["-q"], env)
    run = bench.run([bench.gtrace, "report", "--json", path])
    expect(run.returncode == 0, "gtrace report --json: exit %d: %s" % (run.returncode, run.stderr.decode()))
    report = json.loads(run.stdout)
    text = bench.run([bench.gtrace, "report", path])
    expect(text.returncode == 0, "gtrace report: exit %d: %s" % (text.returncode, text.stderr.decode()))
    text = text.stdout.decode()
    findings = report["findings"]
    told = "; ".join("%s: %s" % (f["kind"], f["title"]) for f in findings[:2])
    os.rename(path, os.path.join(bench.dir, "last.gtrace"))
    path = os.path.join(bench.dir, "last.gtrace")
    if kind is None:
        return ("no findings" in text.splitlines()[0] and not findings), told
    if not findings or findings[0]["kind"] != kind or not re.search(title, findings[0]["title"]) or DECOYS.search(findings[0]["title"]):
        return False, told or "no findings"
    first = findings[0]
    expect(text.startswith("1. " + first["title"]), "the text's first line is not the first finding: " + text.splitlines()[0])
    expect(re.search(r"gtrace view \S+ --at=%d\.%09ds" % divmod(first["at_ns"], 10**9), text), "no command that opens the moment")
    expect(first["lost_ns"] > 0 and first["count"] > 0, "it costs nothing")
    expect(first["at_ns"] + first["for_ns"] <= report["recording"]["end_ns"], "its worst case lies outside of the trace")
    if kind in ("lock-held", "lock-convoy", "slow-reader", "stuck", "leak", "deadlock"):
        events = trace_reader.Trace(bench.run([bench.gtrace, "convert", path, "--to", "events", "-o", "-"]).stdout.decode(errors="replace").splitlines())
        there = [e for e in events.by_g[first["goroutine"]] if e.name == "GoBlock" and e.ns == first["at_ns"]]
        expect(there, "goroutine %d does not begin to wait at %d" % (first["goroutine"], first["at_ns"]))
    if story == "groups":
        check_groups(bench, path, report, text)
    return True, told


def check_groups(bench, path, report, text):
    """Goroutines of one wrapper stand below the functions that they run, wherever goroutines are named."""
    want = {"main.packer": 3, "main.courier": 2, "main.auditor": 1}
    counts = {g["function"]: g["goroutines"] for g in report["groups"] if g["function"] in want}
    expect(counts == want, "groups: %s" % counts)
    expect(not [g for g in report["groups"] if "WaitGroup" in g["function"]], "a group of the wrapper is left")
    expect("main.pause" in text and "main.auditor" in text.split("\n2. ")[0], "the first finding does not tell the holder's function")
    csv = bench.run([bench.gtrace, "convert", path, "--to", "csv", "-o", "-"]).stdout.decode().splitlines()
    lines = {name: len([line for line in csv if ',"%s",' % name in line]) for name in want}
    expect(lines == want, "CSV: %s" % lines)


def run_story(gtrace, language, story, program):
    kind, go_title, c_title = STORIES[story]
    if isinstance(kind, dict):
        kind = kind[language]
    title = go_title if language == "go" else c_title
    bench = harness.Bench(gtrace)
    good = False
    try:
        # Beside other work the machine itself may be the worst of all; it is not so time and again.
        for tries in range(TRIES):
            good, told = tell(bench, program, story, kind, title)
            print("%s %s/%s: %s" % ("ok  " if good else "FAIL" if tries + 1 == TRIES else "again", language, story, told or "no findings"))
            if good:
                break
    except Failure as failure:
        print("FAIL %s/%s: %s" % (language, story, failure))
        good = False
    bench.close(not good)
    sys.stdout.flush()
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gtrace", required=True)
    parser.add_argument("--c", help="the C program")
    parser.add_argument("--language", choices=("go", "c"), required=True)
    parser.add_argument("stories", nargs="*")
    args = parser.parse_args()
    program = args.c
    if args.language == "go":
        try:
            version = harness.newest((1, 22))  # before, wrappers have names like any function's
            if not version:
                raise harness.Skip("no Go 1.22 or newer is to be tested")
            program = harness.build_go("culprit", version[0])
        except harness.Skip as skip:
            print("skip: %s" % skip)
            return 77
    # Each fault in one of its two tellings; all of them in both languages when there is time.
    stories = args.stories
    if not stories and os.environ.get("GTRACE_RUNS") != "long":
        second = args.language == "c"
        stories = [s for s in STORIES if s.endswith("2") == second or s + "2" not in STORIES and not s.endswith("2")]
    bad = 0
    for story, (kind, go_title, c_title) in STORIES.items():
        if (stories and story not in stories) or (go_title if args.language == "go" else c_title) is None:
            continue
        bad += not run_story(args.gtrace, args.language, story, program)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
