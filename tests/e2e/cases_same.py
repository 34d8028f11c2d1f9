# cases_same.py - the program under gtrace is the program without it: output, status, signals, terminal, descriptors.
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time

from harness import (CACHE, LIMIT, ROOT, Skip, build_go, case, children_of, compiler, expect, minor, newest, runs, versions, wait)


def same(bench, program, times, env=None, options=(), label=""):
    """The recorded runs print what the plain run prints, with the same status."""
    plain = bench.plain(program, env)
    expect(plain.returncode == 0, "%s fails without gtrace: %s" % (program[0], plain.stderr.decode(errors="replace")[-500:]))
    for _ in range(times):
        out, run = bench.record(program, options, env)
        expect(run.stdout == plain.stdout, "%s: other output: %r instead of %r" % (label, run.stdout[-300:], plain.stdout[-300:]))
        os.unlink(out)
    return times


@case
def stress(bench):
    """Everything at once, many times."""
    for version in versions():
        program, total = [build_go("stress", version)], 0
        for procs in (1, 2, 8):
            total += same(bench, program, runs(5, long=200), {"GOMAXPROCS": procs}, label="Go %s GOMAXPROCS=%d" % (version, procs))
        yield "Go %s: %d recordings, one output" % (version, total)


EVERY_HOOK = "--events=all,-kernel,-samples,-faults"


@case
def stress_sets(bench):
    """The same with every set of the hooks on, and a small heap; with threads of C, and with the program's own profiler's signals."""
    for version in versions():
        programs = [(build_go("stress", version), runs(2, long=100)), (build_go("cpuprof", version), runs(1, long=30))]
        try:
            programs.append((build_go("cgo", version, "cgo"), runs(1, long=40)))
        except Skip as skip:
            yield "without cgo: %s" % skip
        total = 0
        for procs in (1, 2, 8):
            for program, times in programs:
                total += same(bench, [program], times, {"GOMAXPROCS": procs, "GOGC": 5}, [EVERY_HOOK], "Go %s %s GOMAXPROCS=%d" % (version, os.path.basename(program), procs))
        yield "Go %s: %d recordings, one output" % (version, total)


@case
def stress_modes(bench):
    for version in versions():
        for mode in ("stripped", "pie", "pie-stripped", "external", "external-stripped", "static-pie"):
            if mode == "static-pie" and minor(version) < (1, 22):
                continue  # 1.19 traps at its own start
            same(bench, [build_go("stress", version, mode)], runs(1, long=20), {"GOMAXPROCS": 4}, label="Go %s %s" % (version, mode))
        yield "Go %s: stripped, PIE, external link; static PIE from 1.22 on" % version


@case
def cgo(bench):
    """Threads of C that call into Go, and the other way round."""
    compiler()
    for version in versions():
        total = 0
        for procs in (1, 2, 8):
            total += same(bench, [build_go("cgo", version, "cgo")], runs(3, long=40), {"GOMAXPROCS": procs}, label="Go %s" % version)
        yield "Go %s: %d recordings, one output" % (version, total)


@case
def cpuprof(bench):
    """The program's own CPU profiler sends 1000 signals a second into the hooks."""
    for version in versions():
        total = 0
        for procs in (1, 4):
            total += same(bench, [build_go("cpuprof", version)], runs(3, long=30), {"GOMAXPROCS": procs, "GOGC": 5}, label="Go %s" % version)
        yield "Go %s: %d recordings, one output" % (version, total)


@case
def exits(bench):
    """Exit status and last words, however the program ends."""
    ways = [["exit", "0"], ["exit", "7"], ["exit", "255"], ["return"], ["panic"], ["nil"], ["deadlock"], ["goexit"]]
    ways += [["kill", str(int(s))] for s in (signal.SIGTERM, signal.SIGKILL, signal.SIGABRT, signal.SIGHUP)]
    for version in versions():
        program = build_go("exits", version)
        for way in ways:
            plain = bench.plain([program] + way)
            code = plain.returncode if plain.returncode >= 0 else 128 - plain.returncode
            out, run = bench.record([program] + way, options=["-q"], code=code)
            expect(run.stdout == plain.stdout, "%s: other output" % way)

            def words(text):
                """Up to the first dump of a stack, which differs from run to run."""
                lines = text.decode(errors="replace").split("\n\n")[0].splitlines()
                return [l for l in lines if "0x" not in l and "goroutine " not in l]
            expect(words(run.stderr) == words(plain.stderr), "%s: other last words: %s instead of %s" % (way, words(run.stderr), words(plain.stderr)))
        yield "Go %s: %d ways to end" % (version, len(ways))


@case
def self(bench):
    """Arguments, environment, descriptors, signal masks, limits: the same, byte for byte; and no tracer is left on it."""
    read, write = os.pipe()
    os.set_inheritable(read, True)
    try:
        for version in versions():
            for mode in ("static", "external"):
                program = [build_go("self", version, mode), "stdin", "an argument", "", "--to=x", "-o"]
                for more in ({}, {"SELF_TRACER": "1"}):
                    kinds = []
                    for command in (program, bench.command(program, ["-q"])):
                        kinds.append(bench.run(command, env=more, input=b"line 1\nline 2\n", pass_fds=[read],
                                               preexec_fn=lambda: (signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]), os.umask(0o027))))
                    if more and kinds[0].stdout != kinds[1].stdout:
                        # gtrace may stay attached where the kernel lets it do so harmlessly; say so.
                        continue
                    a, b = kinds[0].stdout.decode().splitlines(), kinds[1].stdout.decode().splitlines()
                    differ = [(x, y) for x, y in zip(a, b) if x != y]
                    expect(len(a) == len(b) and not differ, "mode %s: plain %s, under gtrace %s" % (mode, [x for x in a if x not in b], [y for y in b if y not in a]))
                    expect(kinds[0].stderr == kinds[1].stderr and kinds[0].returncode == kinds[1].returncode, "other errors: %r" % kinds[1].stderr)
            yield "Go %s: nothing differs" % version
    finally:
        os.close(read)
        os.close(write)


def read_until(fd, word, seconds=LIMIT):
    text, end = b"", time.monotonic() + seconds
    while word not in text:
        expect(time.monotonic() < end, "waited in vain for %r, got %r" % (word, text))
        if select.select([fd], [], [], 0.2)[0]:
            try:
                part = os.read(fd, 4096)
            except OSError:
                part = b""
            expect(part, "ended before %r: %r" % (word, text))
            text += part
    return text


def child_of(pid):
    """The traced program of a gtrace process."""
    def found():
        for child in children_of(pid):
            try:
                if "gtrace" not in os.path.basename(os.readlink("/proc/%d/exe" % child)):
                    return child
            except OSError:
                pass  # it ended meanwhile
        return None
    return wait(found, "gtrace's child")


@case
def signals(bench):
    """What is sent to gtrace reaches the program."""
    version = newest()[0]
    program = [build_go("exits", version), "caught"]
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
        run = bench.start(bench.command(program, ["-q"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        text = read_until(run.stdout.fileno(), b"ready\n")
        run.send_signal(sig)
        out, err = run.communicate(timeout=LIMIT)
        names = {signal.SIGTERM: b"terminated", signal.SIGINT: b"interrupt", signal.SIGHUP: b"hangup", signal.SIGUSR1: b"user defined signal 1", signal.SIGUSR2: b"user defined signal 2", signal.SIGQUIT: b"quit"}
        expect(b"got " + names[sig] in text + out, "%s: the program got %r" % (sig.name, text + out))
        expect(run.returncode == 3, "%s: exit %d instead of 3: %s" % (sig.name, run.returncode, err))
        yield sig.name


def state_of(pid):
    return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0]


# A shell as small as it can be: starts a job in the foreground of its terminal, says when it stops, continues it.
SHELL = r"""
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)  # one that comes while the terminal is the shell's
report = int(sys.argv[1])
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(sys.argv[2], sys.argv[2:])
while True:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.tcsetpgrp(0, os.getpgrp())
        os.write(report, b"stopped %d by %d\n" % (pid, os.WSTOPSIG(status)))
        sys.stdin.readline()
        os.tcsetpgrp(0, pid)
        os.killpg(pid, signal.SIGCONT)
        continue
    os.write(report, b"exit %d\n" % (os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)))
    break
"""


def job(bench, command, steps):
    """Runs a command as a job in a terminal; steps(master, report) plays the user."""
    read, write = os.pipe()
    pid, master = pty.fork()
    if pid == 0:
        os.set_inheritable(write, True)
        os.execv(sys.executable, [sys.executable, "-c", SHELL, str(write)] + command)
    os.close(write)
    try:
        return steps(master, read)
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
        os.waitpid(pid, 0)
        os.close(master)
        os.close(read)


@case
def terminal(bench):
    """Ctrl-C and Ctrl-Z in a terminal: the job stops, goes on, and gets its interrupt, as without gtrace."""
    version = newest()[0]
    program = [build_go("exits", version), "caught"]

    def interrupt(master, report):
        read_until(master, b"ready")
        os.write(master, b"\x03")
        return read_until(report, b"\n"), read_until(master, b"got interrupt")

    def suspend(master, report):
        read_until(master, b"ready")
        os.write(master, b"\x1a")
        stopped = read_until(report, b"\n")
        job_pid = int(stopped.split()[1])
        # gtrace's own child is no part of the job: it waits for the program to go on alone.
        for pid in [job_pid] + ([child_of(job_pid)] if children_of(job_pid) else []):
            wait(lambda: state_of(pid) in "Tt", "process %d to be stopped" % pid)
        os.write(master, b"\n")  # the shell continues the job
        # Before, it gives the terminal back; a Ctrl-C that came earlier would take that line away.
        wait(lambda: state_of(job_pid) not in "Tt", "the job to go on")
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            os.write(master, b"\x03")
            if select.select([report], [], [], 1)[0]:
                break
        return stopped.split()[3], read_until(report, b"exit"), read_until(master, b"got interrupt")

    for name, steps in (("Ctrl-C", interrupt), ("Ctrl-Z", suspend)):
        plain = job(bench, program, steps)
        traced = job(bench, bench.command(program, ["-q"]), steps)
        expect(plain[0] == traced[0], "%s: %s without gtrace, %s under it" % (name, plain[0], traced[0]))
        yield name


@case
def stopped_late(bench):
    """The terminal's SIGTSTP reaches a gtrace that sees the program stopped already: the job stops once, not once more when it is continued."""
    program = bench.command([build_go("exits", newest()[0]), "caught"], ["-q"])
    late = ["strace", "-o", "/dev/null", "-e", "trace=wait4", "-e", "inject=wait4:delay_enter=200000"]
    if not shutil.which("strace") or bench.run(late + ["true"]).returncode != 0:
        raise Skip("strace cannot be used here")

    def steps(master, report):
        read_until(master, b"ready")
        gtrace = os.tcgetpgrp(master)
        pid = child_of(gtrace)
        strace = bench.start(late + ["-p", str(gtrace)], stderr=subprocess.PIPE)
        if b"attached" not in strace.stderr.readline():
            raise Skip("strace cannot be used here")
        os.kill(pid, signal.SIGTSTP)
        wait(lambda: state_of(pid) == "T", "the program to be stopped")
        time.sleep(0.1)  # a guess: gtrace has read why it was woken, and waits to be let into wait4; the case cannot fail for it
        os.kill(gtrace, signal.SIGTSTP)
        read_until(report, b"\n")
        os.write(master, b"\n")
        wait(lambda: state_of(pid) != "T", "the program to go on")
        os.kill(pid, signal.SIGTERM)
        line = read_until(report, b"\n")
        strace.communicate(timeout=LIMIT)
        return line.split()[0]

    expect(job(bench, program, steps) == b"exit", "the job stopped once more")


@case
def stopped(bench):
    """The program is stopped and continued, or killed, by somebody who knows it alone: gtrace does not stay behind."""
    program = [build_go("exits", newest()[0]), "caught"]
    for sig, wanted in ((signal.SIGTERM, 3), (signal.SIGKILL, 137)):
        run = bench.start(bench.command(program, ["-q"]), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        read_until(run.stdout.fileno(), b"ready\n")
        pid = child_of(run.pid)
        os.kill(pid, signal.SIGSTOP)
        _, status = os.waitpid(run.pid, os.WUNTRACED)
        expect(os.WIFSTOPPED(status) and os.WSTOPSIG(status) == signal.SIGSTOP, "the program stopped, gtrace has status %#x" % status)
        if sig != signal.SIGKILL:
            os.kill(pid, signal.SIGCONT)
        os.kill(pid, sig)
        out, err = run.communicate(timeout=LIMIT)
        expect(run.returncode == wanted, "%s: exit %d instead of %d: %s" % (sig.name, run.returncode, wanted, err))
        yield sig.name


REAL = os.path.join(CACHE, "real")


@case
def real_programs(bench):
    """esbuild and tsgo as their makers ship them: the same output, every time."""
    script = os.path.join(ROOT, "tools", "fetch-go-programs.sh")
    if not os.path.exists(os.path.join(REAL, "done")):
        fetch = subprocess.run([script, REAL], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if fetch.returncode != 0:
            raise Skip("tools/fetch-go-programs.sh: " + fetch.stdout.decode(errors="replace").strip()[-200:])
    for name, command in real_commands():
        plain = bench.plain(command, cwd=REAL, timeout=300)
        again = bench.plain(command, cwd=REAL, timeout=300)
        expect((plain.stdout, plain.returncode) == (again.stdout, again.returncode), "%s is not the same twice without gtrace" % name)
        times = runs(5, long=50)
        for i in range(times):
            options = ["-q", EVERY_HOOK] if i % 4 == 0 else ["-q"]
            out, run = bench.record(command, options, cwd=REAL, timeout=300, code=plain.returncode)
            expect(run.stdout == plain.stdout, "%s: %d bytes of output differ from %d" % (name, len(run.stdout), len(plain.stdout)))
            os.unlink(out)
        yield "%s: %d recordings, %d bytes of output, the same" % (name, times, len(plain.stdout))


def real_commands():
    return [
        ("esbuild", [os.path.join(REAL, "esbuild"), "entry.js", "--bundle", "--minify", "--platform=node", "--log-level=error"]),
        ("tsgo", [os.path.join(REAL, "tsgo"), "--project", "project", "--noEmit", "--pretty", "false"]),
    ]
