"""stored.py PARSED GTRACE - the traces in traces/: their events as go tool trace printed them, line by line, and all that gtrace makes of them."""
import glob
import gzip
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PARSED, GTRACE = sys.argv[1:3]
failures = []


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace").strip()


def difference(ours, theirs):
    """The first line that differs."""
    for number, (a, b) in enumerate(zip(ours.split(b"\n"), theirs.split(b"\n")), 1):
        if a != b:
            return "line %d: ours %r, Go's %r" % (number, a[:200], b[:200])
    return "one is longer: ours has %d bytes, Go's %d" % (len(ours), len(theirs))


def expect(what, good, words=""):
    if not good:
        failures.append("%s: %s" % (what, words))


def without_names(text):
    """Lines of `convert --to events` less what is only a name: those from before the trace are told when a frame is read."""
    import re

    return re.sub(rb" \([^()\s]*(\([^()\s]*\))?[^()\s]*\)", b"", text)


def one(name, path, folder):
    theirs = gzip.open(os.path.join(HERE, "traces", name + ".parsed.txt.gz")).read()
    code, ours, words = run(PARSED, path)
    expect(name, code == 0, words)
    expect(name + " against go tool trace", ours == theirs, difference(ours, theirs))
    code, told, words = run(GTRACE, "check", path)
    expect(name + " check", code == 0 and told.endswith(b"\npossible\n"), told.decode() + words)
    code, told, words = run(GTRACE, "info", path)
    expect(name + " info", code == 0 and b"Go's own tracer, version 1." in told, told.decode() + words)
    events = os.path.join(folder, "events.txt")
    code, _, words = run(GTRACE, "convert", path, "--to", "events", "-o", events)
    expect(name + " events", code == 0 and not words, words)
    # As a file of gtrace's own it is the same trace, and as possible.
    again, back = os.path.join(folder, "again.gtrace"), os.path.join(folder, "back.txt")
    code, _, words = run(GTRACE, "convert", path, "--to", "gtrace", "-o", again)
    expect(name + " to gtrace", code == 0 and not words, words)
    code, told, words = run(GTRACE, "check", again)
    expect(name + " check of the .gtrace", code == 0 and told.endswith(b"\npossible\n") and b" 0 put into order" in told, told.decode() + words)
    code, _, words = run(GTRACE, "convert", again, "--to", "events", "-o", back)
    a, b = (without_names(open(file, "rb").read()) for file in (events, back))
    expect(name + " there and back", a == b, difference(a, b))
    code, _, words = run(GTRACE, "convert", path, "-o", os.path.join(folder, "x.json"))
    expect(name + " to json", code == 0 and not words, words)
    # Every prefix gives what is whole, and one line.
    whole = open(path, "rb").read()
    for part in (17, 3, 2):
        cut = os.path.join(folder, "cut.trace")
        open(cut, "wb").write(whole[: len(whole) - len(whole) // part])
        code, ours, words = run(PARSED, cut)
        expect(name + " cut", code == 1 and words.count("\n") == 0, words)
        # All but the last event, which tells the end.
        kept = ours[: ours.rstrip(b"\n").rfind(b"\nM=") + 1]
        expect(name + " cut: a prefix", theirs.startswith(kept), difference(kept, theirs))
        code, told, words = run(GTRACE, "check", cut)
        expect(name + " check of a cut one", code == 0 and b"the file was cut: " in told and b"\npossible" in told, told.decode() + words)


def main():
    names = sorted(os.path.basename(path)[: -len(".trace.gz")] for path in glob.glob(os.path.join(HERE, "traces", "*.trace.gz")))
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            path = os.path.join(folder, name + ".trace")
            open(path, "wb").write(gzip.open(os.path.join(HERE, "traces", name + ".trace.gz")).read())
            one(name, path, folder)
        old = os.path.join(folder, "old.trace")
        open(old, "wb").write(b"go 1.21 trace\0\0\0 and more")
        code, _, words = run(GTRACE, "info", old)
        expect("refusal of 1.21", code == 1 and "Go 1.21 or older" in words and "\n" not in words, words)
        open(old, "wb").write(b"go 1.28 trace\0\0\0 and more")
        code, _, words = run(GTRACE, "info", old)
        expect("refusal of what is newer", code == 1 and "use a newer gtrace" in words and "\n" not in words, words)
    print("%d traces" % len(names))
    for failure in failures:
        print("FAILED", failure)
    return 1 if failures or not names else 0


sys.exit(main())
