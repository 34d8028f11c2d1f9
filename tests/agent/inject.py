#!/usr/bin/env python3
"""inject.py RUNNER KILLER WHAT - hooks in real Go programs, built here by every Go toolchain that is at hand.

WHAT: chains   every goroutine's changes of state add up, for each Go version and way of building
      same     output, exit status, descriptors, signal mask and dispositions are those of a run without gtrace
      killed   gtrace is killed at any instant of the start
      signals  signals and job control reach a program that is being set up
      refused  what cannot be traced is refused in one line, and does not run
Exit 77: no Go here.
"""
import os, random, shutil, signal, subprocess, sys, time

RUNNER, KILLER, WHAT = sys.argv[1:4]
SOURCE = os.path.join(os.environ["GTRACE_SOURCE_DIR"], "tests/programs")
BUILT = os.path.join(os.environ["GTRACE_BUILD_DIR"], "tests/agent/programs")
TOOLCHAINS = os.path.join(os.environ["GTRACE_SOURCE_DIR"], "tools/go-toolchain.sh")
WAYS = {
    "static": ([], "0"),
    "pie": (["-buildmode=pie", "-ldflags=-s -w"], "0"),
    "external": (["-ldflags=-linkmode=external -s -w"], "1"),
}
failures = []


def build(program, version="local", way="static"):
    """The path of a program, or None when it cannot be built here (no such toolchain, a newer language)."""
    flags, cgo = WAYS[way]
    out = os.path.join(BUILT, f"{program}-{version}-{way}")
    # GOPROXY=off: only what is installed.
    env = dict(os.environ, CGO_ENABLED=cgo, GOPROXY="off", GOFLAGS="-trimpath", GOWORK="off",
               GOTOOLCHAIN=version if version == "local" else "go" + version)
    os.makedirs(BUILT, exist_ok=True)
    # Others of these tests build the same: what is there is always whole.
    part = f"{out}.{os.getpid()}"
    made = subprocess.run(["go", "build", "-o", part] + flags + ["."], cwd=os.path.join(SOURCE, program), env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode:
        return None
    os.rename(part, out)
    return out


def versions():
    """Those that are at hand."""
    listed = run(["sh", TOOLCHAINS, "--all"], GOPROXY="off")
    print(listed.stderr.decode(), end="", flush=True)
    return [line.split()[0] for line in listed.stdout.decode().splitlines()]


def fail(text):
    failures.append(text)
    print("FAIL", text, flush=True)


def run(command, **environment):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                          env=dict(os.environ, **environment))


def chains():
    ran = 0
    for version in versions():
        for way in WAYS:
            program = build("conc", version, way)
            if not program:
                print("not built:", version, way)
                continue
            plain = run([program])
            for procs, depth in (("1", "0"), ("2", "16"), ("8", "64")):
                hooked = run([RUNNER, "-b", "8192", "-s", depth, program], GOMAXPROCS=procs, GOGC="5")
                ran += 1
                if (hooked.returncode, hooked.stdout) != (plain.returncode, plain.stdout):
                    fail(f"conc {version} {way} GOMAXPROCS={procs} -s {depth}: {hooked.returncode}\n{hooked.stderr.decode()}")
    print(ran, "runs")
    if not ran:
        sys.exit(77)


def same():
    for version in versions():
        program = build("fds", version)
        if not program:
            continue
        sys.stdout.flush()
        for blocked, ignored in (([], []), ([signal.SIGUSR1, signal.SIGWINCH], [signal.SIGHUP])):
            def before():
                for number in ignored:
                    signal.signal(number, signal.SIG_IGN)
                signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
            outputs = [subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                      preexec_fn=before, timeout=60) for command in ([program], [RUNNER, program])]
            if outputs[0].stdout != outputs[1].stdout or outputs[0].returncode != outputs[1].returncode:
                fail(f"fds {version}: {outputs[0].stdout} {outputs[1].stdout} {outputs[1].returncode}")


def killed():
    for way in WAYS:
        program = build("hello", "local", way)
        if program:
            made = run([KILLER, RUNNER, program, "150"])
            print(way, made.stdout.decode().strip())
            if made.returncode:
                fail(f"{way}: {made.stderr.decode()}")


def child_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as children:
            return int(children.read().split()[0])
    except (OSError, IndexError):
        return None


def signals():
    program = build("hello")
    for number in range(90):
        runner = subprocess.Popen([RUNNER, "-b", "256", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child = None
        while child is None and runner.poll() is None:
            child = child_of(runner.pid)
        if child is None:
            runner.communicate()
            continue
        until = time.monotonic() + random.random() * 0.004
        while time.monotonic() < until:
            pass
        try:
            if number % 3 == 0:
                os.kill(child, signal.SIGSTOP)
                time.sleep(0.02)
                os.kill(child, signal.SIGCONT)
            elif number % 3 == 1:
                os.kill(child, signal.SIGWINCH)
                os.kill(child, signal.SIGURG)
            else:
                os.kill(child, signal.SIGTERM)
        except ProcessLookupError:
            pass
        output, errors = runner.communicate(timeout=60)
        good = (5, 143, 98) if number % 3 == 2 else (5,)
        if runner.returncode not in good or (runner.returncode == 5 and output != b"hello\n"):
            fail(f"round {number}: status {runner.returncode} {output} {errors.decode()}")


def refused():
    program = build("hello")
    if shutil.which("strace"):
        made = run(["strace", "-f", "-qq", "-o", "/dev/null", RUNNER, program])
        if made.returncode != 98 or made.stdout or b"cannot trace the program" not in made.stderr:
            fail(f"under strace: {made.returncode} {made.stdout} {made.stderr}")
    made = run([RUNNER, "-x", "runtime.nosuch", program])
    if made.returncode != 98 or made.stdout:
        fail(f"a hook that is not: {made.returncode} {made.stdout} {made.stderr}")
    # Without a hook the chains do not add up: the check is worth something.
    conc = build("conc")
    for hook in ("runtime.casgstatus", "runtime.newproc1", "runtime.exitsyscall", "runtime.reentersyscall"):
        made = run([RUNNER, "-x", hook, conc])
        if made.returncode != 99 and hook != "runtime.newproc1":
            fail(f"without {hook} nothing was found: {made.returncode}")


if not shutil.which("go"):
    print("no go command here")
    sys.exit(77)
{"chains": chains, "same": same, "killed": killed, "signals": signals, "refused": refused}[WHAT]()
sys.exit(1 if failures else 0)
