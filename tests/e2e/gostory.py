# gostory.py - the story of each goroutine as Go's own tracer tells it, and as gtrace tells it, in the same words.
#
# Both are lists of (what, detail): create by, block reason, ready by, stop reason, syscall, end; and, beside each, the P that the goroutine
# had when it did that itself, else None.
import collections
import re

LINE = re.compile(r'^M=\S+ P=(-?\d+) G=(-?\d+) StateTransition Time=\d+ GoID=(\d+) (\w+)->(\w+) Reason="(.*)"')

# gtrace's reasons (Go's texts in a dump of stacks) in the words of Go's tracer
GO_WORD = {
    "IO wait": "network",
    "semacquire": "sync",
    "sync.Mutex.Lock": "sync",
    "sync.RWMutex.RLock": "sync",
    "sync.RWMutex.Lock": "sync",
    "sync.WaitGroup.Wait": "sync",
    "sync.Cond.Wait": "sync.(*Cond).Wait",
    "GC assist wait": "GC mark assist wait for work",
    "wait for GC cycle": "wait until GC ends",
    "yield": "runtime.Gosched",
    "preempt": "preempted",
}


def of_go(lines):
    """From `go tool trace -d=parsed`."""
    story, places = collections.defaultdict(list), collections.defaultdict(list)
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        p, actor, g, old, new, reason = match.groups()
        actor = max(int(actor), 0)
        if (old, new) == ("NotExist", "Runnable"):
            word = ("create", actor)
        elif (old, new) == ("Running", "Waiting"):
            word = ("block", reason)
        elif (old, new) == ("Waiting", "Runnable"):
            word = ("ready", actor)
        elif (old, new) == ("Running", "Runnable"):
            word = ("stop", reason)
        elif (old, new) == ("Running", "Syscall"):
            word = ("syscall", "")
        elif new == "NotExist":
            word = ("end", "")
        else:
            continue
        story[int(g)].append(word)
        places[int(g)].append(int(p) if old == "Running" else None)
    return story, places


class Holders:
    """Which P each M has: from docs/format.md alone."""

    def __init__(self):
        self.m_of, self.p_of = {}, {}

    def take(self, m, p):
        self.give_up(p)
        self.give_up(self.p_of.get(m))
        self.m_of[p], self.p_of[m] = m, p

    def give_up(self, p):
        self.p_of.pop(self.m_of.pop(p, None), None)

    def event(self, event, number):
        p = number(event.args["p"]) if "p" in event.args else None
        if event.name in ("PStart", "GoRun"):
            self.take(event.m, p)
        elif event.name in ("PStop", "PIdle"):
            self.give_up(p)
        elif event.name == "GoSysexit" and event.args["new"] == "runnable":
            self.give_up(self.p_of.get(event.m))


OWN = ("GoBlock", "GoYield", "GoSyscall", "GoEnd")


def of_gtrace(trace, number):
    story, places, holders, had = collections.defaultdict(list), collections.defaultdict(list), Holders(), {}
    for event in trace.events:
        holders.event(event, number)
        if event.name in OWN:
            had[id(event)] = holders.p_of.get(event.m)
    for g, events in trace.by_g.items():
        words = story[g]
        for event in events:
            args, before = event.args, len(words)
            if event.name == "GoCreate":
                words.append(("create", number(args["parent"])))
            elif event.name == "GoBlock":
                words.append(("block", GO_WORD.get(args["reason"], args["reason"])))
            elif event.name == "GoReady":
                words.append(("ready", number(args["by"])))
            elif event.name == "GoRun" and args["old"] == "waiting" and words and words[-1][0] == "block":
                places[g].pop()
                words.pop()  # kept its M and P all the time: Go's tracer does not call that a wait
            elif event.name == "GoYield":
                if args["reason"] != "syscall ended, no P":
                    words.append(("stop", GO_WORD.get(args["reason"], args["reason"])))
            elif event.name == "GoSyscall":
                words.append(("syscall", ""))
            elif event.name == "GoEnd":
                words.append(("end", ""))
            if len(words) > before:
                places[g].append(had.get(id(event)))
    return story, places
