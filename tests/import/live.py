"""live.py PARSED GTRACE [VERSION...] - programs that trace themselves, built by every Go toolchain at hand: what they wrote, read by us
and by the newest `go tool trace -d=parsed`, is the same line by line, and a possible execution.

Modes: see program/main.go; alloc is rich with GODEBUG=traceallocfree=1. All of them with the newest Go, and with the others those where
they differ; GTRACE_RUNS=long: all with all, ten times."""
import os
import subprocess
import sys
import tempfile

from golang import VERSIONS, newest, toolchain

HERE = os.path.dirname(os.path.abspath(__file__))
PARSED, GTRACE = sys.argv[1:3]
RUNS = 10 if os.environ.get("GTRACE_RUNS") == "long" else 1
TIMES = 3
failures = []


def run(command, env=None):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, timeout=300)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace").strip()


def compare(name, path, reader):
    """False: Go's reader finds the trace broken at the place where ours does, so it is the tracer's."""
    their_code, theirs, their_words = run(reader.trace_tool(path), reader.env)
    code, ours, words = run([PARSED, path])
    if code not in (0, 1):
        failures.append("%s: ended with %d: %s" % (name, code, words))
    if (code == 0) != (their_code == 0):
        failures.append("%s: ours %d (%s), Go's %d (%s)" % (name, code, words, their_code, their_words))
    if ours != theirs:
        lines = zip(ours.split(b"\n"), theirs.split(b"\n"))
        first = next((pair for pair in lines if pair[0] != pair[1]), "one is longer")
        failures.append("%s: differs: ours and Go's: %r" % (name, first))
    broken = code and their_code and ours == theirs
    code, told, words = run([GTRACE, "check", path])
    if broken and code == 1 and b"\ndamaged: broken" in told:
        return False
    if code or b"\npossible\n" not in told:
        failures.append("%s: gtrace check: %s %s" % (name, told.decode(), words))
    return True


def one(go, program, mode, folder, reader):
    """False: as compare."""
    path = os.path.join(folder, "t.trace")
    if os.path.exists(path):
        os.unlink(path)
    # With more than twelve threads at the very same time the order of Go's reader is chance (docs/go-traces.md).
    env = dict(os.environ, GOMAXPROCS="4", GODEBUG="traceallocfree=1" if mode == "alloc" else "")
    code, _, words = run([program, "rich" if mode == "alloc" else mode, path], env)
    if code != {"panic": 2, "kill": -9}.get(mode, 0) or not os.path.getsize(path):
        failures.append("go%s %s: the program ended with %d: %s" % (go.version, mode, code, words))
        return True
    return compare("go%s %s" % (go.version, mode), path, reader)


def modes(go):
    if RUNS == 1 and go.version != VERSIONS[-1]:
        return {22: ["rich", "kill"], 23: ["alloc"], 24: ["rich"], 25: ["flight"], 26: ["rich"]}[go.minor()]
    return ["rich", "panic", "kill"] + (["flight"] if go.minor() >= 25 else []) + (["alloc"] if go.minor() >= 23 else [])


def main():
    reader = newest()
    if not reader:
        print("no Go %s here: nobody to compare with" % VERSIONS[-1])
        return 77
    count = broken = 0
    with tempfile.TemporaryDirectory() as folder:
        for version in sys.argv[3:] or VERSIONS:
            go = toolchain(version)
            if not go:
                print("Go %s is not here: left out" % version)
                continue
            program = os.path.join(folder, "program-" + version)
            code, _, words = run([go.go, "build", "-C", os.path.join(HERE, "program"), "-o", program, "."], go.env)
            if code:
                failures.append("go%s: does not build: %s" % (version, words))
                continue
            for mode in modes(go) * RUNS:
                for _ in range(TIMES):
                    count += 1
                    if one(go, program, mode, folder, reader):
                        break
                    broken += 1
                else:
                    failures.append("go%s %s: %d traces that are broken for Go's reader too" % (version, mode, TIMES))
    print("%d traces%s" % (count, ", %d of them broken for Go's reader too: made once more" % broken if broken else ""))
    for failure in failures:
        print("FAILED", failure)
    return 1 if failures else 0


sys.exit(main())
