# samestory.py - the same story in Go and in C, recorded: every goroutine has the same transitions, for the same reasons, woken by
# the same others. On one P, where the order is the scheduler's rules and nothing else.
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import harness
import trace as trace_reader
from harness import build_go, case, expect, newest, runs
from trace import number

PROGRAM = None


def stories(events, is_ours):
    """A list of goroutines in the order of their creation, main first; each a list of (what, detail)."""
    index = {1: 0}
    told = [[]]
    begun = False
    for event in events:
        args = event.args
        if "g" not in args:
            continue
        g = number(args["g"])
        if event.name == "GoCreate" and number(args["parent"]) in index and g != 1 and is_ours(args):
            begun = True
            index[g] = len(told)
            told.append([("create", index[number(args["parent"])])])
        elif g not in index or not begun:
            continue
        elif event.name == "GoBlock":
            told[index[g]].append(("block", args["reason"]))
        elif event.name == "GoReady":
            told[index[g]].append(("ready", index.get(number(args["by"]), "-")))
        elif event.name == "GoYield" and args["reason"] == "yield":
            told[index[g]].append(("yield", ""))
        elif event.name == "GoEnd":
            told[index[g]].append(("end", ""))
    return told


def without_timers(told):
    """Who fires a timer is whoever's M came by: only that it was no goroutine of the story, or any, is chance."""
    for i, (what, detail) in enumerate(told):
        if what == "ready" and i and told[i - 1] in (("block", "sleep"), ("block", "chan receive"), ("block", "select")) and detail in (0, "-"):
            told[i] = ("ready", "-")
    return told


@case
def samestory(bench):
    version = newest((1, 25))
    if not version:
        raise harness.Skip("no Go 1.25 or newer is to be tested")
    go_program = build_go("samestory", version[0])
    env = {"GOMAXPROCS": 1, "GOGC": "off"}
    for _ in range(runs(3)):
        # A slice that ends in the middle of a story, on a busy machine, is chance as well: then it is told again.
        for tries in range(50):
            of_go, of_c, apart = tell(bench, go_program, env)
            if not apart:
                break
        expect(not apart, apart)
        yield "Go %s: %d goroutines, %d transitions" % (version[0], len(of_go), sum(len(g) for g in of_go))


def tell(bench, go_program, env):
    """Both stories, and where they part ("" when they do not)."""
    read = lambda path: trace_reader.load(bench.gtrace, path)
    of_go = stories(read(bench.record([go_program], env=env)[0]).events, lambda args: args.get("start.name", "").startswith("main."))
    of_c = stories(read(bench.record([PROGRAM], env=env)[0]).events, lambda args: True)
    expect(len(of_go) > 15, "only %d goroutines in Go's story" % len(of_go))
    expect(len(of_go) == len(of_c), "%d goroutines in Go, %d in C" % (len(of_go), len(of_c)))
    for i, (g, c) in enumerate(zip(of_go, of_c)):
        g, c = without_timers(g), without_timers(c)
        if g != c:
            return of_go, of_c, "goroutine %d:\n  Go %s\n  C  %s" % (i, g, c)
    return of_go, of_c, ""


if __name__ == "__main__":
    PROGRAM = sys.argv[2]
    sys.exit(harness.main(sys.argv[1], ["samestory"]))
