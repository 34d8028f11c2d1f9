# trace.py - reads the ordered events that `gtrace convert FILE --to events` prints, and tells what a goroutine did.
#
# One line an event: TIME m=M NAME key=value...; a value with blanks stands in quotes, a function's name in brackets behind the
# value that it explains. Other lines are left alone.
import collections
import re
import subprocess

LINE = re.compile(r'^ *(-?\d+) m=(\d+) (\w+)((?: .*)?)$')
ARGUMENT = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S*)(?: \((.*?)\))?(?= \w+=|$)')

# Old and new state of each event that has them: a state, or the argument that tells it.
STATES = ("unborn", "running", "waiting", "runnable", "dead", "syscall")
TRANSITIONS = {
    "GoCreate": ("unborn", "new"),
    "GoRun": ("old", "running"),
    "GoBlock": ("running", "waiting"),
    "GoYield": ("running", "runnable"),
    "GoReady": ("old", "runnable"),
    "GoEnd": ("running", "dead"),
    "GoSyscall": ("running", "syscall"),
    "GoSysexit": ("syscall", "new"),
    "GoState": ("old", "new"),
}

Event = collections.namedtuple("Event", "ns m name args")


class Trace:
    def __init__(self, lines):
        self.events = []
        self.strange = []
        for line in lines:
            line = line.rstrip("\n")
            match = LINE.match(line)
            if not match:
                if line and line[0] not in "# \t":
                    self.strange.append(line)
                continue
            args = {}
            for key, value, name in ARGUMENT.findall(match.group(4)):
                if name:
                    args[key + ".name"] = name
                args[key] = value[1:-1].replace('\\"', '"') if value.startswith('"') else value
            self.events.append(Event(int(match.group(1)), int(match.group(2)), match.group(3), args))
        self.by_g = collections.defaultdict(list)
        for event in self.events:
            if "g" in event.args:
                self.by_g[number(event.args["g"])].append(event)

    def named(self, name):
        return [event for event in self.events if event.name == name]

    def lost(self):
        return sum(number(event.args["count"]) for event in self.named("Lost"))

    def of(self, g, name):
        return [event for event in self.by_g[g] if event.name == name]

    def count(self, g, name, key):
        """How often each value of an argument stands in the goroutine's events of that name."""
        return collections.Counter(event.args[key] for event in self.of(g, name))

    def first_broken(self):
        """The first goroutine event whose old state is not the new state of the one before it; None when all fit.

        Written from docs/format.md alone, so that it agrees with `gtrace check` only when both are right."""
        state = {}
        for event in self.events:
            if event.name == "Lost":
                state.clear()
            if "g" not in event.args or event.name not in TRANSITIONS:
                continue
            g = number(event.args["g"])
            old, new = (text if text in STATES else event.args.get(text) for text in TRANSITIONS[event.name])
            known = state.get(g)
            if known is None:
                # Before its creation a goroutine can do nothing, but for those that the trace has met already running.
                if self.complete and old not in ("unborn", "none"):
                    return event, "before its creation"
            elif old != known and old != "none":
                return event, "it was " + known
            state[g] = new
        return None

    complete = True


def number(text):
    """Ids are plain numbers; a letter in front (G7, P0) is taken off."""
    return int(text.lstrip("GPM"), 0)


def load(gtrace, path):
    run = subprocess.run([gtrace, "convert", path, "--to", "events", "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if run.returncode != 0:
        raise ValueError("convert --to events: exit %d: %s" % (run.returncode, run.stderr.decode(errors="replace")))
    trace = Trace(run.stdout.decode(errors="replace").splitlines())
    if trace.strange:
        raise ValueError("lines that are no event: " + trace.strange[0])
    if not trace.events:
        raise ValueError("no event in " + path)
    return trace
