#!/usr/bin/env python3
# run.py - what gtrace says, word for word: runs the cases in *.cli files. run.py --gtrace PATH [--update] FILE...
#
# A case file:
#     % COMMAND      prepares something, must succeed, its output does not matter
#     $ COMMAND      is run by sh in a fresh folder that all commands of the file share; then what must come of it:
#     1| LINE        a line of its standard output, 2| of its standard error, exactly
#     1~ REGEX       a line that varies (2~ likewise)
#     1* / 2*        more lines, any
#     ? STATUS       its exit status (0 when not said)
# Other lines are comments. `needs go` and `needs cc` on a line of their own skip the file where that is missing.
# In the environment: GO_HELLO, C_PLAIN, SCRIPT: programs; GO_VERSION: of the first; SRC: the project. --update writes what really came into the file.
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
sys.dont_write_bytecode = True
import harness  # noqa: E402


class Step:
    def __init__(self, command, line):
        self.command, self.line, self.want, self.status = command, line, [], 0


def parse(path):
    steps, needs = [], set()
    for i, line in enumerate(open(path).read().splitlines()):
        if line.startswith("needs "):
            needs.add(line[6:].strip())
        elif line[:2] in ("$ ", "% "):
            steps.append(Step(line, i))
        elif re.match(r"[12][|~*]", line):
            steps[-1].want.append((line[0], line[1], line[3:]))
        elif line.startswith("? "):
            steps[-1].status = int(line[2:])
    return steps, needs


def matches(want, got):
    """Whether the lines of one stream are those that the case wants."""
    for kind, text in want:
        if kind == "*":
            return True
        if not got:
            return False
        line = got.pop(0)
        if (line != text) if kind == "|" else not re.fullmatch(text, line):
            return False
    return not got


def run_file(path, gtrace, update):
    steps, needs = parse(path)
    env = dict(os.environ, LC_ALL="C", COLUMNS="80", PATH=os.path.dirname(gtrace) + ":" + os.environ["PATH"], SRC=harness.ROOT, SCRIPT=os.path.join(harness.PROGRAMS, "c", "hello.sh"))
    if "go" in needs:
        env["GO_VERSION"] = "go" + harness.newest()[0]
        env["GO_HELLO"] = harness.build_go("exits", harness.newest()[0])
    if "cc" in needs:
        env["C_PLAIN"] = harness.build_c("plain")
    if "root" in needs and os.geteuid() != 0:
        raise harness.Skip("the user is not root")
    folder = tempfile.mkdtemp(prefix="gtrace-cli-")
    bad, came = [], {}
    user = {}
    if "no root" in needs and os.geteuid() == 0:
        # As somebody else, with a gtrace that he can reach.
        shutil.copy(gtrace, folder)
        env["PATH"] = folder + ":" + os.environ["PATH"]
        os.chmod(folder, 0o777)
        user = {"user": 65534, "group": 65534, "extra_groups": []}
    try:
        for step in steps:
            run = subprocess.run(["sh", "-c", step.command[2:]], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, **(user if step.command[0] == "$" else {}))
            if step.command[0] == "%":
                if run.returncode != 0:
                    bad.append("%s:%d: %s failed: %s" % (path, step.line + 1, step.command, run.stderr.decode(errors="replace")))
                continue
            streams = {"1": run.stdout.decode(errors="replace").splitlines(), "2": run.stderr.decode(errors="replace").splitlines()}
            good = run.returncode == step.status
            for name, lines in streams.items():
                good = matches([(kind, text) for stream, kind, text in step.want if stream == name], list(lines)) and good
            came[step.line] = ["%s| %s" % (name, line) if line else name + "|" for name in "12" for line in streams[name]] + (["? %d" % run.returncode] if run.returncode else [])
            if good:
                came[step.line] = None
            else:
                bad.append("%s:%d: %s\n    %s" % (path, step.line + 1, step.command, "\n    ".join(came[step.line] or ["(nothing, status 0)"])))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if update and bad:
        rewrite(path, came)
    return bad


def rewrite(path, came):
    out, skipping = [], False
    for i, line in enumerate(open(path).read().splitlines()):
        if skipping and (re.match(r"[12][|~*]", line) or line.startswith("? ")):
            continue
        skipping = False
        out.append(line)
        if came.get(i):
            out += came[i]
            skipping = True
    open(path, "w").write("\n".join(out) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gtrace", required=True)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    bad = []
    for path in options.files:
        try:
            bad += run_file(path, os.path.abspath(options.gtrace), options.update)
        except harness.Skip as skip:
            print("%s: %s" % (path, skip))
            if len(options.files) == 1:
                return 77
    for text in bad:
        print(text)
    return 1 if bad else 0


sys.exit(main())
