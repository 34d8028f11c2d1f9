# cases_odd.py - programs that do odd things to their own process: descriptors, limits, rights, roots, filters, sessions, forks.
import os
import re
import subprocess

from cases_attach import Attached, Program
from harness import LIMIT, Skip, build_c, build_go, case, expect, newest, runs

# mlockall makes the whole of gtrace's table of threads resident: not on a small machine.
ODD = ["close", "session", "daemon", "undumpable", "files", "addresses"]
ROOTS = ["root", "user"]


def doings(bench):
    return ODD + (ROOTS if os.geteuid() == 0 else []) + (["lock"] if os.environ.get("GTRACE_RUNS") == "long" else [])


@case
def odd_record(bench):
    """What a program closes, limits, gives up or leaves: it ends as without gtrace, and its trace is whole."""
    program = build_go("odd", newest()[0])
    for what in doings(bench):
        plain = bench.plain([program, what], stdin=subprocess.DEVNULL)
        if plain.returncode:
            yield "%s is not possible here: %s" % (what, plain.stderr.decode().strip()[-100:])
            continue
        out, run = bench.record([program, what], ["-q"], stdin=subprocess.DEVNULL)
        expect(run.stdout == plain.stdout, "%s: %r, not %r" % (what, run.stdout, plain.stdout))
        yield "%s: as without gtrace" % what


def one_attached(bench, program, what, before):
    """Attached to @before it does @what, or after; it ends well. What gtrace said."""
    with Program([program, what]) as p:
        p.until(b"ready\n")
        if not before:
            p.say(b"\n")
            p.until(b"done\n")
        # No room for its memory: one line.
        if not before and what in ("files", "addresses"):
            run = bench.run([bench.gtrace, "attach", "-o", bench.path(), "--duration", "50ms", str(p.pid)])
            text = run.stderr.decode()
            expect(run.returncode == 1 and text.startswith("gtrace: cannot attach: ") and text.count("\n") == 1, "%s: exit %d: %s" % (what, run.returncode, text))
        else:
            attached = Attached(bench, p.pid)
            if before:
                p.say(b"\n")
                p.until(b"done\n")
            attached.end()
            text = attached.text
        p.say(b"\n" * 2)
        out, err = p.run.communicate(timeout=LIMIT)
        expect(p.run.returncode == 0 and out == b"125250\n", "%s: it ended with %d: %r %r" % (what, p.run.returncode, out, err))
    return text


@case
def odd_attach(bench):
    """The same, attached to before it does so, and after."""
    program = build_go("odd", newest()[0])
    for what in doings(bench):
        if bench.plain([program, what], stdin=subprocess.DEVNULL).returncode:
            yield "%s is not possible here" % what
            continue
        # Who may not read it any more cannot take the hooks out.
        if what != "undumpable" or os.geteuid() == 0:
            one_attached(bench, program, what, True)
            one_attached(bench, program, what, False)
            yield "%s: as without gtrace" % what


@case
def odd_filter(bench):
    """A seccomp filter that kills for a call that gtrace needs: attach sees that before, and the program goes on."""
    program, refuse = build_go("odd", newest()[0]), build_c("refuse")
    if bench.run([refuse, "mbind=kill", "/bin/true"]).returncode != 0:
        raise Skip("seccomp filters are not allowed here")
    readable = re.search(r"^Seccomp:\s+0$", open("/proc/self/status").read(), re.M) and os.geteuid() == 0
    for call, how, good in (("mbind", "kill", True), ("memfd_create", "kill", False), ("membarrier", "unknown", False)):
        # Who may not read filters meets them.
        if not good and not readable:
            yield "filters of others cannot be read here"
            return
        with Program([refuse, call + "=" + how, program]) as p:
            p.until(b"ready\n")
            run = bench.run([bench.gtrace, "attach", "-o", bench.path(), "--duration", "50ms", str(p.pid)])
            text = run.stderr.decode()
            if not good and run.returncode and "is gone" in text:
                yield "this kernel does not show filters"
                return
            expect(run.returncode == (0 if good else 1) and (good or ("filter" in text and call in text and text.count("\n") == 1)), "%s: exit %d: %s" % (call, run.returncode, text))
            p.say(b"\n\n")
            out, err = p.run.communicate(timeout=LIMIT)
            expect(p.run.returncode == 0 and out == b"125250\n", "%s: it ended with %d: %r %r" % (call, p.run.returncode, out, err))
        yield text.splitlines()[0]


@case
def odd_exec(bench):
    """A program with many threads becomes itself again and again while gtrace attaches: an exec waits until its other threads are gone,
    those that gtrace holds too, and what gtrace asks of it meanwhile waits for the exec."""
    program, tried = build_go("odd", newest()[0]), 0
    with Program([program, "again", str(runs(100, long=3000))], env={"GOMAXPROCS": 4}) as p:
        while p.run.poll() is None:
            run = bench.run([bench.gtrace, "attach", "-q", "-o", bench.path(), "--duration", "2ms", str(p.pid)])
            tried += 1
            text = run.stderr.decode()
            expect(run.returncode == 0 or (run.returncode == 1 and text.startswith("gtrace: ")), "exit %d: %s" % (run.returncode, text))
        out, err = p.run.communicate(timeout=LIMIT)
        expect(p.run.returncode == 0 and out == b"125250\n", "it ended with %d: %r %r" % (p.run.returncode, out, err[-2000:]))
    yield "%d times asked" % tried
