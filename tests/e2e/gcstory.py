# gcstory.py - what the garbage collector did as Go's own tracer tells it, and as gtrace tells it, in the same words.
#
# Both are dictionaries of lists: "world" (cycles and stops of the world, in order), "goal" and "heap" (sizes, in order), and of each
# goroutine its assists and labels, of each P its sweeps.
import collections
import re

LINE = re.compile(r"^M=\S+ P=(-?\d+) G=(-?\d+) (RangeBegin|RangeEnd|Metric|Label) Time=\d+ (.*)")
NAME = re.compile(r'Name="([^"]*)"')
ATTRIBUTE = re.compile(r'"(bytes swept|bytes reclaimed)"=Value\{Uint64\((\d+)\)')


def of_go(lines):
    """From `go tool trace -d=parsed`."""
    story = collections.defaultdict(list)
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        p, g, what, rest = match.groups()
        name = NAME.search(rest)
        name = name.group(1) if name else ""
        begin = what == "RangeBegin"
        if what == "Label":
            story["g%s" % g].append(re.search(r'Label="([^"]*)"', rest).group(1))
        elif what == "Metric":
            value = int(re.search(r"\bValue=.*?\((\d+)[)}]*$", rest).group(1))
            if name.startswith("/gc/heap/goal"):
                # With the collector off and a memory limit, the goal is the limit; newer versions tell 0.
                story["goal"].append(value if value < 1 << 29 else 0)
            elif name.startswith("/memory/classes/heap/objects"):
                story["heap"].append(value)
        elif name == "GC concurrent mark phase":
            story["world"].append(("cycle", begin))
        elif name.startswith("stop-the-world"):
            # The name that Go's reader gives it in the traces of Go until 1.21.
            kind = name[len("stop-the-world (") : -1].replace("all goroutine stack", "all goroutines stack")
            story["world"].append(("stop", kind) if begin else ("go on",))
        elif name == "GC mark assist":
            story["g%s" % g].append("assist" if begin else "assisted")
        elif name == "GC incremental sweep" and not begin:
            bytes_ = dict(ATTRIBUTE.findall(rest))
            story["p%s" % p].append((int(bytes_["bytes swept"]), int(bytes_["bytes reclaimed"])))
    return story


def of_gtrace(trace, number):
    story = collections.defaultdict(list)
    for event in trace.events:
        args = event.args
        if event.name == "GoLabel":
            story["g%d" % number(args["g"])].append(args["label"])
        elif event.name == "HeapGoal":
            story["goal"].append(number(args["bytes"]) if number(args["bytes"]) < 1 << 29 else 0)
        elif event.name == "Heap":
            story["heap"].append(number(args["live"]))
        elif event.name in ("GcBegin", "GcEnd"):
            story["world"].append(("cycle", event.name == "GcBegin"))
        elif event.name == "StwBegin":
            story["world"].append(("stop", args["kind"]))
        elif event.name == "StwEnd":
            story["world"].append(("go on",))
        elif event.name in ("AssistBegin", "AssistEnd"):
            story["g%d" % number(args["g"])].append("assist" if event.name == "AssistBegin" else "assisted")
        elif event.name == "SweepEnd":
            story["p%d" % number(args["p"])].append((number(args["swept"]), number(args["reclaimed"])))
    return story
