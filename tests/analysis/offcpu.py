# offcpu.py - a program that holds a lock while its thread has no CPU, as another process computes on the only one, or as its cgroup's
# quota is used up: with the kernel's events the report's first finding says so; without them, it says that it does not know.
#
#   offcpu.py --gtrace PATH --c PROGRAM
import json
import os
import re
import resource
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
sys.dont_write_bytecode = True
import cgroup  # noqa: E402
import harness  # noqa: E402
from harness import Failure, expect  # noqa: E402

TRIES = 5  # the machine's other work may be a worse culprit, once
KERNEL = ["-q", "--events=default,kernel,faults"]


def cpu_s():
    """What the processes that were waited for, and theirs, have had of CPU time, as the kernel tells."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report_of(bench, path):
    told = json.loads(bench.run([bench.gtrace, "report", "--json", path]).stdout)
    return told, bench.run([bench.gtrace, "report", path]).stdout.decode()


def sums_agree(report):
    """On and off CPU and what is not known are the time of running; groups are the whole."""
    kinds = ("preempted", "preempted_by_own", "page_fault", "blocked")
    for name, cpu, running in [("all", report["cpu"], sum(g["running"]["total_ns"] for g in report["groups"]))] + [
            (g["start"], g["cpu"], g["running"]["total_ns"]) for g in report["groups"]]:
        expect(cpu["on_ns"] + cpu["off_ns"] + cpu["unknown_ns"] == running, "%s: %s of %d ns running" % (name, cpu, running))
        expect(sum(cpu[k]["total_ns"] for k in kinds) == cpu["off_ns"], "%s: off CPU is not the sum of its reasons: %s" % (name, cpu))
    for key in ("on_ns", "off_ns"):
        expect(sum(g["cpu"][key] for g in report["groups"]) == report["cpu"][key], "the groups' %s is not the whole's" % key)


def named(bench, told, text, title):
    """Is that the first finding? And what hangs together does."""
    expect("kernel" not in told["missing"], "the kernel's events are missing")
    sums_agree(told)
    findings = told["findings"]
    if not findings or not re.search(title, findings[0]["title"]):
        return False
    first = findings[0]
    expect(text.startswith("1. " + first["title"]), "the text begins with something else: " + text.splitlines()[0])
    expect(any(f["kind"] == "off-cpu" for f in findings), "that running goroutines had no CPU is no finding: " + first["title"])
    expect(re.search(r"^CPUs: .*\n  goroutines ran for .*: .* on a CPU, .* off CPU", text, re.M), "the text does not split running")
    chains = [c for c in told["chains"] if c["root"] == "off CPU"]
    expect(chains, "no chain ends off CPU")
    expect("but was off CPU for" in text, "the text's chains do not tell it")
    return True


def until(bench, what, attempt):
    """What an attempt gives: was it named? None: this run shows nothing, as the machine did not do what it should."""
    shown = 0
    for _ in range(2 * TRIES):
        good, title = attempt()
        print("%s %s: %s" % ("ok  " if good else "again", what, title))
        sys.stdout.flush()
        if good:
            return
        shown += good is not None
        if shown == TRIES:
            raise Failure("%s: not the first finding in %d runs" % (what, TRIES))
    raise harness.Skip("%s: the machine has too much else to do" % what)


def first_title(told):
    return told["findings"][0]["title"] if told["findings"] else "no findings"


def beside_another(bench, program, where):
    """Pinned to one CPU, nice, and beside it a process that is not."""
    cpu = min(os.sched_getaffinity(0))

    def pin():
        os.sched_setaffinity(0, {cpu})

    def pin_nice():
        pin()
        os.nice(5)

    def attempt():
        burner = bench.start([sys.executable, "-c", "while True: pass"], preexec_fn=pin)
        try:
            begin = cpu_s(), time.monotonic()
            path, _ = bench.record([program, "preempted"], KERNEL, preexec_fn=pin_nice)
            had, passed = cpu_s() - begin[0], time.monotonic() - begin[1]
        finally:
            burner.kill()
            burner.wait()
        if had > passed / 2:
            return None, "it had the CPU for %.2f s of %.2f" % (had, passed)
        told, text = report_of(bench, path)
        if any("lost" in line for line in text.splitlines() if line.startswith("  damage")):
            return False, "events were lost"
        return named(bench, told, text, where + r"; its holder's thread was off CPU \([\w.]+\): preempted by another process; G\d+'s for "), first_title(told)

    return attempt


def throttled(bench, program, where, group):
    def attempt():
        path, before = bench.path(), group.throttled_ns()
        run = bench.run(group.command(bench.command([program, "preempted2"], KERNEL, path)))
        expect(run.returncode == 0, "exit %d: %s" % (run.returncode, run.stderr.decode()))
        told, text = report_of(bench, path)
        # Half of it is enough for the report, which does not count what gtrace itself waited behind the program's end.
        if group.throttled_ns() - before < told["cpu"]["preempted"]["total_ns"] * 0.7:
            return None, "not the quota held it: others took the CPUs"
        return named(bench, told, text, where + r"; its holder's thread was off CPU \([\w.]+\): held back by the cgroup's CPU quota; G\d+'s for "), first_title(told)

    return attempt


def without(bench, program):
    """The same program without these events: nothing is guessed."""
    path, _ = bench.record([program, "preempted2"], ["-q"])
    told, text = report_of(bench, path)
    expect("kernel" in told["missing"] and told["cpu"]["on_ns"] == told["cpu"]["off_ns"] == 0, "it tells of CPUs: %s" % told["cpu"])
    sums_agree(told)
    expect("not recorded: --events=default,kernel tells" in text, "it does not say what is missing")
    expect("off CPU" not in text.split("CPUs:")[0], "it tells what it cannot know")
    print("ok   without the kernel's events: said, nothing guessed")


def allowed(bench, program):
    path, run = bench.record([program, "healthy"], ["--events=default,kernel"])
    match = re.search(r"without the kernel's events: (.*)", run.stderr.decode())
    if match:
        told, text = report_of(bench, path)
        expect("not recorded: " in text, "it does not say what is missing")
        raise harness.Skip(match.group(1))


def main(bench, args):
    programs = [("c", args.c, "in rebuild_index", "in seal_epoch")]
    version = harness.newest((1, 22))
    if version:
        programs.append(("go", harness.build_go("culprit", version[0]), r"in main\.rebuildIndex", r"in main\.sealEpoch"))
    without(bench, args.c)
    allowed(bench, args.c)
    for language, program, preempted, sealed in programs:
        until(bench, language + ", beside another process", beside_another(bench, program, preempted))
    try:
        with cgroup.Quota(10000, 100000) as group:
            for language, program, preempted, sealed in programs:
                until(bench, language + ", under a quota", throttled(bench, program, sealed, group))
    except harness.Skip as skip:
        print("under a quota: skipped: %s" % skip)
    return True


if __name__ == "__main__":
    sys.exit(harness.one_test(main))
