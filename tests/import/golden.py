"""golden.py PARSED GTRACE - traces in Go's text form: ours (cases/), and those of the newest Go's source when it is here.

Each must be read to its end, or not, as it says. Those of Go's own, and its fuzz inputs, are read where they are, in GOROOT; with its
`go tool trace` at hand the events of all are compared line by line too."""
import glob
import os
import subprocess
import sys
import tempfile

from golang import newest
from textform import archive, binary, unquote

HERE = os.path.dirname(os.path.abspath(__file__))
PARSED, GTRACE = sys.argv[1:3]
failures = []


def run(command, env=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=120)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace").strip()


def compare(name, path, expect, go):
    code, out, words = run([PARSED, path])
    if code not in (0, 1):
        failures.append("%s: ended with %d" % (name, code))
        return
    if expect is not None and expect.startswith("SUCCESS") != (code == 0):
        failures.append("%s: should be %s, but: %s" % (name, expect, words or "it is read"))
    if code and words.count("\n"):
        failures.append("%s: more than one line: %s" % (name, words))
    if expect is not None and code == 0:
        check, told, words = run([GTRACE, "check", path])
        if check or b"\npossible" not in told:
            failures.append("%s: gtrace check: %s %s" % (name, told.decode(), words))
    # What Go's tool cannot print it panics at: there is nothing to compare then.
    if go:
        their_code, theirs, their_words = run(go.trace_tool(path), go.env)
        if "panic" not in their_words and b"go 1.1" not in open(path, "rb").read(6) and (their_code == 0, theirs) != (code == 0, out):
            failures.append("%s: other than go tool trace (%d, %s; ours %d, %s)" % (name, their_code, their_words[:200], code, words))


def main():
    go = newest()
    count = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.trace")
        files = sorted(glob.glob(os.path.join(HERE, "cases", "*.test")))
        if go:
            files += sorted(glob.glob(os.path.join(go.root, "src/internal/trace/testdata/tests/*.test")))
        for file in files:
            expect, text = archive(file)
            open(path, "wb").write(binary(text))
            compare(os.path.basename(file), path, expect, go)
            count += 1
        fuzz = sorted(glob.glob(os.path.join(go.root, "src/internal/trace/testdata/fuzz/FuzzReader/*"))) if go else []
        for file in fuzz:
            text = open(file, encoding="utf-8").read().split("\n", 1)[1].strip()
            open(path, "wb").write(unquote(text[len("[]byte(") : -1]))
            compare("fuzz " + os.path.basename(file), path, None, go)
            for command in ("check", "info"):
                code, _, words = run([GTRACE, command, path])
                if code not in (0, 1):
                    failures.append("fuzz %s: gtrace %s ended with %d: %s" % (os.path.basename(file), command, code, words))
            count += 1
    print("%d traces%s" % (count, "" if go else "; no Go here: only our own"))
    for failure in failures:
        print("FAILED", failure)
    return 1 if failures else 0


sys.exit(main())
