# harness.py - what every end-to-end case needs: Go toolchains and programs (built once, kept), recordings, verdicts.
import argparse
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAMS = os.path.join(ROOT, "tests", "programs")
CACHE = os.environ.get("GTRACE_CACHE", os.path.join(ROOT, "build", "cache"))

EVERY = [line.strip() for line in open(os.path.join(ROOT, "tools", "go-versions.txt")) if line.strip() and not line.startswith("#")]
MODES = {
    "static": (["-trimpath"], {"CGO_ENABLED": "0"}),
    "stripped": (["-trimpath", "-ldflags=-s -w"], {"CGO_ENABLED": "0"}),
    "pie": (["-buildmode=pie"], {"CGO_ENABLED": "0"}),
    "pie-stripped": (["-buildmode=pie", "-ldflags=-s -w"], {"CGO_ENABLED": "0"}),
    "external": (["-ldflags=-linkmode=external"], {"CGO_ENABLED": "1"}),
    "external-stripped": (["-ldflags=-linkmode=external -s -w"], {"CGO_ENABLED": "1"}),
    "cgo": ([], {"CGO_ENABLED": "1"}),
    # Has no loader: the kernel puts it where it puts what mmap asks for.
    "static-pie": (["-tags=netgo,osusergo", "-buildmode=pie", "-ldflags=-linkmode=external -extldflags=-static-pie"], {"CGO_ENABLED": "1"}),
}


class Skip(Exception):
    """The case needs something that is not here."""


class Failure(Exception):
    pass


def expect(good, text):
    if not good:
        raise Failure(text)


def latest(text):
    """The version of a minor one: 1.22.12 of 1.22."""
    return [version for version in EVERY if version.startswith(text + ".")][-1]


# 1.22: the first whose own tracer is the one of today.
OLDEST, MIDDLE, NEWEST = EVERY[0], latest("1.22"), EVERY[-1]


def versions(default=None):
    """Which Go versions to test: of the environment, or the default sample."""
    text = os.environ.get("GTRACE_GO_VERSIONS", "")
    if text == "all":
        return EVERY
    words = {"oldest": OLDEST, "middle": MIDDLE, "newest": NEWEST}
    return [words.get(word, word) for word in text.split(",")] if text else (default or [OLDEST, MIDDLE, NEWEST])


def newest(least=(1, 0)):
    return [v for v in versions() if minor(v) >= least][-1:]


def minor(version):
    return tuple(int(x) for x in version.split(".")[:2])


def runs(default, long=None):
    """How often: GTRACE_RUNS multiplies nothing, it is the number itself; 'long' asks for the full count."""
    text = os.environ.get("GTRACE_RUNS", "")
    if text == "long":
        return long or 10 * default
    return int(text) if text else default


_toolchains = {}


def go(version):
    """The command and environment that run this version of Go."""
    if version not in _toolchains:
        script = os.path.join(ROOT, "tools", "go-toolchain.sh")
        run = subprocess.run([script, version], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _toolchains[version] = run.stdout.decode().strip() if run.returncode == 0 else None
        if run.returncode != 0:
            print("  no Go %s here: %s" % (version, run.stderr.decode().strip().splitlines()[-1:]))
    root = _toolchains[version]
    if not root:
        raise Skip("Go %s is not installed and cannot be fetched" % version)
    env = dict(os.environ, GOTOOLCHAIN="local", GOROOT=root, GOFLAGS="-buildvcs=false", GOWORK="off")
    if minor(version) < (1, 20):
        env["GODEBUG"] = "goindex=0"  # its index of packages does not find what other versions' caches know
    return os.path.join(root, "bin", "go"), env


def compiler():
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name):
            return name
    raise Skip("no C compiler")


def tool(name):
    """Folder of what tests/tools/get-NAME.sh fetches with npm, for node."""
    folder = os.path.join(os.environ.get("GTRACE_BUILD_DIR", "."), "test-tools", name)
    if not shutil.which("node"):
        raise Skip("node is not installed")
    if not os.path.exists(os.path.join(folder, "good")):
        if not shutil.which("npm"):
            raise Skip("npm is not installed")
        run = subprocess.run(["sh", os.path.join(ROOT, "tests", "tools", "get-%s.sh" % name), folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode != 0:
            raise Skip("no %s: %s" % (name, run.stdout.decode(errors="replace").strip().splitlines()[-1:]))
    return folder


def fingerprint(folder, *more):
    digest = hashlib.sha256(repr(more).encode())
    for path in sorted(os.path.join(folder, name) for name in os.listdir(folder)):
        if os.path.isfile(path):
            digest.update(path.encode() + open(path, "rb").read())
    return digest.hexdigest()[:16]


def build_go(program, version, mode="static"):
    """Path of the Go program, built by this version in this mode; an old build of the same source is used again."""
    folder = os.path.join(PROGRAMS, program)
    flags, more = MODES[mode]
    if more["CGO_ENABLED"] == "1":
        compiler()
    out = os.path.join(CACHE, "go", version, "%s-%s-%s" % (program, mode, fingerprint(folder, flags, version)))
    if os.path.exists(out):
        return out
    command, env = go(version)
    env.update(more)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    part = out + ".%d" % os.getpid()
    run = subprocess.run([command, "build"] + flags + ["-o", part, "."], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if run.returncode != 0:
        raise Failure("go %s build %s (%s): %s" % (version, program, mode, run.stdout.decode(errors="replace")))
    os.rename(part, out)
    return out


def build_c(name):
    source = os.path.join(PROGRAMS, "c", name + ".c")
    digest = hashlib.sha256(open(source, "rb").read()).hexdigest()[:16]
    out = os.path.join(CACHE, "c", "%s-%s" % (name, digest))
    if not os.path.exists(out):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        part = out + ".%d" % os.getpid()
        subprocess.run([compiler(), "-O1", "-o", part, source], check=True)
        os.rename(part, out)
    return out


def children_of(pid):
    """Of a process that nobody else waits for: while it lives, they are its own."""
    try:
        return [int(child) for child in open("/proc/%d/task/%d/children" % (pid, pid)).read().split()]
    except OSError:
        return []


# Nothing takes as long as that; what does will never come.
LIMIT = 120


def held_by(pid):
    """KiB that a process holds: its own memory, and the pages of memfds, which gtrace shares with the program. Pages of files are nobody's own
    until they are written to; but they count as dirty here until they are on the disk, so those of a program that was just built do."""
    own = shared = 0
    for line in open("/proc/%d/smaps" % pid):
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            ours, file = "memfd:" in line, re.search(r" /\S", line)
        elif line.startswith("Rss:") and ours:
            shared += int(line.split()[1])
        elif line.startswith(("Anonymous:" if file else "Private_Dirty:", "Swap:")) and not ours:
            own += int(line.split()[1])
    return own, shared


def wait(condition, what, limit=LIMIT):
    """Until it holds; gives what it gave."""
    end = time.monotonic() + limit
    while True:
        found = condition()
        if found:
            return found
        expect(time.monotonic() < end, "waited in vain for " + what)
        time.sleep(0.01)


class Bench:
    """A folder for one case's files, and gtrace."""

    def __init__(self, gtrace):
        self.gtrace = gtrace
        self.dir = tempfile.mkdtemp(prefix="gtrace-e2e-")
        self.count = 0
        self.started = []

    def path(self, ending=".gtrace"):
        self.count += 1
        return os.path.join(self.dir, "t%d%s" % (self.count, ending))

    def start(self, command, **more):
        """A process beside the case, which does not outlive it: nor does what it records, when the case failed."""
        process = subprocess.Popen(command, **more)
        self.started.append(process)
        return process

    def close(self, keep):
        for process in self.started:
            if process.poll() is None:
                for child in children_of(process.pid):
                    os.kill(child, signal.SIGKILL)
                process.kill()
                process.wait()
        if keep:
            print("  files kept in " + self.dir)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def command(self, program, options=(), out=None):
        return [self.gtrace, "record", "-o", out or self.path()] + list(options) + ["--"] + list(program)

    def run(self, command, env=None, timeout=120, **more):
        full = dict(os.environ, **{k: str(v) for k, v in (env or {}).items()})
        return subprocess.run(command, env=full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **more)

    def record(self, program, options=(), env=None, timeout=120, code=0, **more):
        """Records, checks exit status and trace; gives (trace file, run)."""
        out = self.path()
        run = self.run(self.command(program, options, out), env, timeout, **more)
        expect(code is None or run.returncode == code, "exit %d instead of %s: %s" % (run.returncode, code, run.stderr.decode(errors="replace")[-2000:]))
        expect(os.path.exists(out), "no trace written: " + run.stderr.decode(errors="replace")[-2000:])
        self.check(out)
        return out, run

    def check(self, path):
        run = self.run([self.gtrace, "check", path])
        expect(run.returncode == 0, "gtrace check: exit %d: %s" % (run.returncode, (run.stdout + run.stderr).decode(errors="replace")[-2000:]))

    def plain(self, program, env=None, **more):
        return self.run(list(program), env, **more)


CASES = {}


def one_test(body):
    """A test that is a program of its own: body(bench, args) with --gtrace and --c; its exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gtrace", required=True)
    parser.add_argument("--c", required=True)
    args = parser.parse_args()
    bench = Bench(args.gtrace)
    good = False
    try:
        good = body(bench, args)
    except Skip as skip:
        print("skip: %s" % skip)
        good = True
        return 77
    except (Failure, subprocess.TimeoutExpired) as failure:
        print("FAIL: %s" % failure)
    finally:
        bench.close(not good)
    return 0 if good else 1


def case(function):
    CASES[function.__name__] = function
    return function


def main(gtrace, names):
    """Exit status: 0 good, 1 a failure, 77 all skipped."""
    failed, passed, skipped = 0, 0, 0
    for name in names:
        bench = Bench(gtrace)
        bad = False
        try:
            for text in CASES[name](bench) or ():
                print("  " + text)
                sys.stdout.flush()
            passed += 1
            print("ok   " + name)
        except Skip as skip:
            skipped += 1
            print("skip %s: %s" % (name, skip))
        except (Failure, ValueError, subprocess.TimeoutExpired) as failure:
            failed += 1
            bad = True
            print("FAIL %s: %s" % (name, failure))
        bench.close(bad)
    return 1 if failed else 0 if passed else 77
