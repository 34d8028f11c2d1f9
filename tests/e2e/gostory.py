# gostory.py - the story of each goroutine as Go's own tracer tells it, and as gtrace tells it, in the same words.
#
# Both are lists of (what, detail): create by, block reason, ready by, stop reason, syscall, end.
import collections
import re

LINE = re.compile(r'^M=\S+ P=\S+ G=(-?\d+) StateTransition Time=\d+ GoID=(\d+) (\w+)->(\w+) Reason="(.*)"')

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
    story = collections.defaultdict(list)
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        actor, g, old, new, reason = match.groups()
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
    return story


def of_gtrace(trace, number):
    story = collections.defaultdict(list)
    for g, events in trace.by_g.items():
        words = story[g]
        for event in events:
            args = event.args
            if event.name == "GoCreate":
                words.append(("create", number(args["parent"])))
            elif event.name == "GoBlock":
                words.append(("block", GO_WORD.get(args["reason"], args["reason"])))
            elif event.name == "GoReady":
                words.append(("ready", number(args["by"])))
            elif event.name == "GoRun" and args["old"] == "waiting" and words and words[-1][0] == "block":
                words.pop()  # kept its M and P all the time: Go's tracer does not call that a wait
            elif event.name == "GoYield":
                if args["reason"] != "syscall ended, no P":
                    words.append(("stop", GO_WORD.get(args["reason"], args["reason"])))
            elif event.name == "GoSyscall":
                words.append(("syscall", ""))
            elif event.name == "GoEnd":
                words.append(("end", ""))
    return story
