# cases_snapshot.py - the flight recorder's snapshots: asked for, in storms, in time, on a full disk, at the program's death.
import collections
import glob
import os
import re
import resource
import signal
import socket
import stat
import subprocess
import time

from cases_hard import ITSELF, PACKING, UNPACKING, WRITING
from cases_same import child_of, read_until
from harness import Skip, build_go, case, children_of, expect, newest, runs, versions, wait

NAME = re.compile(r"-(\d{8}T\d{6}\.\d{3})Z-([A-Za-z0-9-]+)\.gtrace$")


class Recorder:
    """gtrace record --flight of a program, in a folder of its own, with a runtime directory of its own."""

    def __init__(self, bench, program, options=(), folder=None, gtrace_options=()):
        self.bench = bench
        self.folder = folder or os.path.join(bench.dir, "r%d" % bench.count)
        bench.count += 1
        os.makedirs(self.folder, exist_ok=True)
        self.runtime = os.path.join(self.folder, "run")
        os.makedirs(self.runtime, mode=0o700, exist_ok=True)
        self.err_name = os.path.join(bench.dir, "err%d" % bench.count)  # not in the folder: its disk may be full
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.runtime)
        self.out = os.path.join(self.folder, "t.gtrace")
        command = bench.command(program, ["--flight"] + list(options), self.out)
        with open(self.err_name, "w") as err:
            self.process = bench.start(command, stdout=subprocess.PIPE, stderr=err, env=self.env)
        read_until(self.process.stdout.fileno(), b"ready")
        self.pid = self.process.pid
        wait(lambda: self.sockets(), "a socket")

    def sockets(self):
        return glob.glob(os.path.join(self.runtime, "gtrace", "*-*"))

    def command(self, *more, pid=None):
        return [self.bench.gtrace, "snapshot", "--timeout", "60s"] + list(more) + [str(pid or self.pid)]

    def ask(self, *more, pid=None, code=0):
        """(what it printed, what it said)"""
        run = subprocess.run(self.command(*more, pid=pid), env=self.env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        out, err = run.stdout.decode().strip(), run.stderr.decode(errors="replace").strip()
        expect(run.returncode == code, "gtrace snapshot: exit %d instead of %d: %s %s" % (run.returncode, code, out, err))
        return out, err

    def timed(self):
        return sorted(f for f in os.listdir(self.folder) if NAME.search(f))

    def err(self):
        return open(self.err_name, errors="replace").read()

    def end(self, number=signal.SIGTERM, code=None):
        if number:
            os.kill(child_of(self.pid), number)
        self.process.communicate(timeout=120)
        expect(code is None or self.process.returncode == code, "exit %d instead of %s: %s" % (self.process.returncode, code, self.err()))
        expect(not self.sockets(), "a socket is left: %s" % self.sockets())
        left = [f for f in os.listdir(self.folder) if f.endswith(".partial")]
        expect(not left, "left: %s" % left)


def events(bench, path):
    run = bench.run([bench.gtrace, "convert", path, "--to", "events", "-o", "-"])
    expect(run.returncode == 0, "convert: %s" % run.stderr)
    # Without their times: ticks are the same, but the longer gtrace runs, the better it knows how long a tick is.
    return [re.sub(rb"^ *-?\d+ ", b"", line) for line in run.stdout.split(b"\n") if line and not line.startswith(b"#")]


def meta(bench, path, key):
    run = bench.run([bench.gtrace, "info", path])
    found = re.search(r"^%s +(.*)$" % re.escape(key), run.stdout.decode(errors="replace"), re.M)
    return found.group(1) if found else None


def idle():
    return [build_go("exits", newest()[0]), "caught"]


def busy(ms=600000):
    return [build_go("exits", newest()[0]), "ticks", str(ms)]


@case
def snapshot_command(bench):
    """By the pid of gtrace or of the program, under a name or without; of an idle program all are equal; nothing is leaked."""
    for options in ([], ["--no-uring"]):
        recorder = Recorder(bench, idle(), options)
        first, said = recorder.ask()
        wait(lambda: len(children_of(recorder.pid)) == 1, "the writer to be gone")
        fds = len(os.listdir("/proc/%d/fd" % recorder.pid))
        expect(os.path.dirname(first) == recorder.folder and NAME.search(first).group(2) == "command", first)
        expect("snapshot " in said and "copied in" in said and "(command)" in said, said)
        second, said = recorder.ask("-o", "mine.gtrace", "--reason", "slow login", pid=child_of(recorder.pid))
        expect(second == os.path.join(recorder.folder, "mine.gtrace"), second)
        expect(meta(bench, second, "cause") == "command: slow login" and meta(bench, second, "reason") == "slow login", "cause: %s" % meta(bench, second, "cause"))
        third, said = recorder.ask("--reason", "again/../x")
        expect(NAME.search(third).group(2) == "command-again-x", third)
        for path in (first, second, third):
            bench.check(path)
            for key in ("min_age_ns", "max_bytes", "kept_bytes", "kept_ns", "complete_ns", "copy_ns"):
                expect(meta(bench, path, key) is not None, "no " + key)
        what = [collections.Counter(events(bench, path)) for path in (first, second, third)]
        # A thread may come to rest between two of them, but what was there stays.
        expect(what[0] and not what[0] - what[1] and not what[1] - what[2], "a later snapshot of an idle program lacks %s" % list(what[0] - what[1] or what[1] - what[2])[:5])
        listed = subprocess.run([bench.gtrace, "snapshot", "--list"], env=recorder.env, stdout=subprocess.PIPE).stdout.decode()
        expect("(gtrace %d) " % recorder.pid in listed and listed.startswith("%d " % child_of(recorder.pid)), listed)
        for name in recorder.sockets():
            expect(stat.S_IMODE(os.stat(name).st_mode) == 0o600, "mode of the socket")
        expect(stat.S_IMODE(os.stat(os.path.join(recorder.runtime, "gtrace")).st_mode) == 0o700, "mode of the folder")
        wait(lambda: len(os.listdir("/proc/%d/fd" % recorder.pid)) <= fds, "descriptors to be closed")
        wait(lambda: len(children_of(recorder.pid)) == 1, "the writers to be gone")
        recorder.end(code=3)
        expect(meta(bench, recorder.out, "cause") == "program ended with status 3", "cause: %s" % meta(bench, recorder.out, "cause"))
        yield "%s: three of %d events" % (options, sum(what[0].values()))


@case
def snapshot_attach(bench):
    """Of a program that was attached to: by command, by signal, and when the recording ends; the program goes on."""
    program = bench.start(idle(), stdout=subprocess.PIPE)
    read_until(program.stdout.fileno(), b"ready")
    runtime = os.path.join(bench.dir, "run")
    os.mkdir(runtime, 0o700)
    env = dict(os.environ, XDG_RUNTIME_DIR=runtime)
    out = os.path.join(bench.dir, "t.gtrace")
    gtrace = bench.start([bench.gtrace, "attach", "--flight", "-o", out, str(program.pid)], stderr=subprocess.PIPE, env=env)
    try:
        wait(lambda: glob.glob(os.path.join(runtime, "gtrace", "*-*")) or gtrace.poll() is not None, "a socket")
        run = bench.run([bench.gtrace, "snapshot", str(program.pid)], env=env)
        expect(run.returncode == 0, "gtrace snapshot: %s" % run.stderr)
        bench.check(run.stdout.decode().strip())
        gtrace.send_signal(signal.SIGUSR2)
        wait(lambda: [f for f in os.listdir(bench.dir) if f.endswith("-SIGUSR2.gtrace")], "the snapshot of SIGUSR2")
        gtrace.send_signal(signal.SIGINT)
        err = gtrace.communicate(timeout=120)[1]
        expect(gtrace.returncode == 0, "attach: exit %d: %s" % (gtrace.returncode, err))
        bench.check(out)
        expect(meta(bench, out, "cause") == "end of the recording", "cause: %s" % meta(bench, out, "cause"))
        expect(program.poll() is None, "the program ended")
    finally:
        program.terminate()
        expect(program.wait() == 3, "the program: exit %s" % program.returncode)
        gtrace.kill()
        gtrace.wait()
    yield "attached, three snapshots"


@case
def snapshot_storm(bench):
    """20 commands at once, and 1000 signals: few files, everybody is answered, each a possible execution."""
    recorder = Recorder(bench, busy(), ["--max-bytes", "1M", "-q"])
    commands = [bench.start(recorder.command(), env=recorder.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(20)]
    names = set()
    for command in commands:
        out, err = command.communicate(timeout=120)
        expect(command.returncode == 0, "gtrace snapshot: exit %d: %s" % (command.returncode, err))
        expect(os.path.exists(out.decode().strip()), "no file: %s" % out)
        names.add(out.decode().strip())
    expect(len(names) < 20, "%d files for 20 commands at once" % len(names))
    for name in names:
        bench.check(name)
    begin = time.monotonic()
    for _ in range(999):
        recorder.process.send_signal(signal.SIGUSR2)
    last = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    recorder.process.send_signal(signal.SIGUSR2)
    wait(lambda: [f for f in recorder.timed() if "SIGUSR2" in f and NAME.search(f).group(1) >= last], "a snapshot after the last signal")
    # Nothing is under way any more: what is asked for now comes behind it.
    recorder.ask("-o", "behind.gtrace")
    took = time.monotonic() - begin
    files = [f for f in recorder.timed() if "SIGUSR2" in f]
    expect(1 <= len(files) <= took / 0.1 + 2, "%d files in %.1f s" % (len(files), took))
    bench.check(os.path.join(recorder.folder, files[-1]))
    recorder.end(signal.SIGKILL, code=137)
    yield "20 commands: %d files; 1000 signals: %d files" % (len(names), len(files))


@case
def snapshot_flat_out(bench):
    """Back to back, while the program runs as fast as it can: each is a possible execution."""
    recorder = Recorder(bench, busy(), ["--max-bytes", "1M", "-q"])
    times = runs(12, long=100)
    for i in range(times):
        path, _ = recorder.ask("-o", "b.gtrace")
        bench.check(path)
    recorder.end(signal.SIGKILL, code=137)
    bench.check(recorder.out)
    expect(meta(bench, recorder.out, "cause") == "program died: signal 9 (Killed)", "cause: %s" % meta(bench, recorder.out, "cause"))
    yield "%d snapshots" % times


@case
def snapshot_every(bench):
    """In time; --keep and --max-disk: old ones go, named and foreign ones stay."""
    recorder = Recorder(bench, busy(), ["--max-bytes", "512K", "-q", "--snapshot-every", "100ms", "--keep", "3"])
    seen = set()
    foreign = os.path.join(recorder.folder, "t-20200101T000000.000Z-every-100ms.gtrace")
    open(foreign, "w").close()
    recorder.ask("-o", "mine.gtrace")

    def six():
        seen.update(recorder.timed())
        return len(seen) >= 7
    wait(six, "six snapshots")
    recorder.end(signal.SIGKILL, code=137)
    own = [f for f in recorder.timed() if os.path.join(recorder.folder, f) != foreign]
    expect(1 <= len(own) <= 3 and os.path.exists(foreign), "kept: %s" % own)
    expect(os.path.exists(os.path.join(recorder.folder, "mine.gtrace")), "the named one went")
    for name in own:
        bench.check(os.path.join(recorder.folder, name))
    yield "%d seen, %d kept" % (len(seen) - 1, len(own))
    recorder = Recorder(bench, idle(), ["-q", "--max-disk", "1"])
    first, _ = recorder.ask()
    second, _ = recorder.ask()
    third, _ = recorder.ask()
    expect(not os.path.exists(first) and not os.path.exists(second) and os.path.exists(third), "--max-disk kept: %s" % recorder.timed())
    recorder.end(code=3)
    yield "--max-disk: the newest stays"


@case
def snapshot_disk_full(bench):
    """No room: one line, for the recorder and for who asked; no part of a file; the next one is good."""
    where, mounted = os.path.join(bench.dir, "small"), False
    os.mkdir(where)
    if os.geteuid() == 0:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", where], stderr=subprocess.DEVNULL).returncode == 0
    try:
        for options in ([], ["--no-uring"]):
            recorder = Recorder(bench, busy(), ["-q", "--max-bytes", "2M"] + options, folder=os.path.join(where, "f%d" % len(options)))
            if mounted:
                filler = os.path.join(where, "filler")
                with open(filler, "wb", buffering=0) as out:
                    try:
                        while True:
                            out.write(bytes(65536))
                    except OSError:
                        pass
                want = "No space left on device"
            else:
                resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
                want = "File too large"
            out, err = recorder.ask(code=1)
            expect(want in err and len(err.splitlines()) == 1 and not out, "said: %s" % err)
            expect(len(recorder.err().splitlines()) == 1 and want in recorder.err(), "the recorder said: %s" % recorder.err())
            expect(not recorder.timed() and not glob.glob(os.path.join(recorder.folder, "*.partial")), "left: %s" % os.listdir(recorder.folder))
            if mounted:
                os.unlink(filler)
            else:
                resource.prlimit(recorder.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            path, _ = recorder.ask()
            bench.check(path)
            recorder.end(signal.SIGKILL, code=137)
            bench.check(recorder.out)
            yield "%s: %s" % (options, err)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", where])


@case
def snapshot_names(bench):
    """Names that cannot be written to: said to who asked; the recorder goes on."""
    recorder = Recorder(bench, idle(), ["-q"])
    os.mkdir(os.path.join(recorder.folder, "folder"))
    os.mkfifo(os.path.join(recorder.folder, "fifo"))
    for name, word in (("no/such/t.gtrace", "No such file"), ("folder", "no regular file"), ("fifo", "no regular file"), ("/dev/null", "needs the name of a file"), ("x" * 300, "too long"), ("/proc/%d/exe" % child_of(recorder.pid), "name of a file"), (os.path.realpath("/proc/%d/exe" % child_of(recorder.pid)), "program itself")):
        out, err = recorder.ask("-o", name, code=1)
        expect(word in err and len(err.splitlines()) == 1, "%s: %s" % (name, err))
    path, _ = recorder.ask()
    bench.check(path)
    recorder.end(code=3)
    yield "refused, and written afterwards"


@case
def snapshot_stalled_clients(bench):
    """Clients that connect and say nothing, or nonsense, hold nobody up for long, the program never."""
    recorder = Recorder(bench, idle(), ["-q"])
    name = recorder.sockets()[0]
    folder = os.open(os.path.dirname(name), os.O_RDONLY)
    where = "/proc/self/fd/%d/%s" % (folder, os.path.basename(name))
    clients = []
    for data in (b"x", b"", b"\0" * 5000, b"racecar\0"[:8] + b"\0" * 4232, b"racecar\0" + b"\x07\0\0\0" + b"\0" * 100):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(60)
        client.connect(where)
        if data:
            client.send(data)
            answer = client.recv(65536)
            expect(len(answer) > 1000, "no answer to nonsense")
        clients.append(client)
    for _ in range(40):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.connect(where)
        clients.append(client)
    path, _ = recorder.ask()
    bench.check(path)
    for client in clients:
        client.close()
    # One that leaves before its answer.
    for _ in range(5):
        process = subprocess.Popen(recorder.command(), env=recorder.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.005)
        process.kill()
        process.wait()
    recorder.ask()
    os.close(folder)
    recorder.end(code=3)
    yield "45 that say nothing, one that asks"


def writers_of(pid):
    """The processes that write a snapshot for this recorder."""
    found = []
    for child in children_of(pid):
        try:
            if open("/proc/%d/comm" % child).read().strip() == "gtrace-snapshot":
                found.append(child)
        except OSError:
            pass
    return found


def lives(pid):
    """Neither gone nor a zombie."""
    try:
        return open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill_child(parent, pid):
    """SIGKILL, but only of what is that child still: by a descriptor, which no other process can come to have."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if pid not in children_of(parent):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


@case
def snapshot_killed(bench):
    """SIGKILL of the writer: told, the next one is good. Of gtrace while it writes: the writer finishes its file."""
    hit = 0
    # Whether the writer is caught at work is chance.
    for _ in range(40):
        recorder = Recorder(bench, busy(), ["-q", "--max-bytes", "4M"])
        process = bench.start(recorder.command(), env=recorder.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait(lambda: writers_of(recorder.pid) or process.poll() is not None, "the writer")
        for writer in writers_of(recorder.pid):
            kill_child(recorder.pid, writer)
        out, err = process.communicate(timeout=120)
        hit += process.returncode == 1
        expect(process.returncode == 0 or b"ended by signal 9" in err, "exit %d: %s" % (process.returncode, err))
        path, _ = recorder.ask("-o", "next.gtrace")
        bench.check(path)
        # Now gtrace itself, as soon as a file is being written.
        process = bench.start(recorder.command(), env=recorder.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child = child_of(recorder.pid)
        wait(lambda: writers_of(recorder.pid) or process.poll() is not None, "the writer")
        writers = writers_of(recorder.pid)
        recorder.process.kill()
        recorder.process.wait()
        process.communicate(timeout=120)
        wait(lambda: not any(map(lives, writers)), "the writer to end")
        os.kill(child, signal.SIGKILL)
        for name in recorder.timed():
            bench.check(os.path.join(recorder.folder, name))
        listed = subprocess.run([bench.gtrace, "snapshot", "--list"], env=recorder.env, stdout=subprocess.PIPE)
        expect(b"(gtrace %d)" % recorder.pid not in listed.stdout and not recorder.sockets(), "still listed: %s" % listed.stdout)
        if hit:
            break
    expect(hit, "the writer was never caught at work")
    yield "killed at work, next one good, stale socket removed"


@case
def snapshot_causes(bench):
    """How the program ended stands in the last snapshot."""
    version = newest()[0]
    for args, code, cause in ((["return"], 0, "program ended with status 0"), (["exit", "3"], 3, "program ended with status 3"), (["panic"], 2, "program ended with status 2 (of a Go program: a panic or fatal error, or os.Exit(2))"), (["kill", "9"], 137, "program died: signal 9 (Killed)"), (["kill", "15"], 143, "program died: signal 15 (Terminated)")):
        out, run = bench.record([build_go("exits", version)] + args, ["--flight"], code=code)
        expect(meta(bench, out, "cause") == cause, "cause: %s instead of %s" % (meta(bench, out, "cause"), cause))
        expect(("(%s)" % cause) in run.stderr.decode(), run.stderr.decode())
        yield cause


class Cgroup:
    """A cgroup of its own, v2 or v1's memory controller; skips the case where none can be made."""

    def __init__(self, name):
        v2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
        self.path = os.path.join("/sys/fs/cgroup" if v2 else "/sys/fs/cgroup/memory", "gtrace-test-%d-%s" % (os.getpid(), name))
        self.parts = ("anon", "shmem") if v2 else ("rss", "shmem")
        self.limit_file, self.kill_file = ("memory.max", "memory.events") if v2 else ("memory.limit_in_bytes", "memory.oom_control")
        try:
            os.mkdir(self.path)
        except OSError as error:
            raise Skip("no cgroup can be made here (%s); window_memory and attach_memory look at /proc" % error)
        if not os.path.exists(os.path.join(self.path, "memory.stat")) or not os.path.exists(os.path.join(self.path, self.limit_file)):
            os.rmdir(self.path)
            raise Skip("no memory controller in a cgroup of one's own here; window_memory and attach_memory look at /proc")

    def command(self, command):
        return ["sh", "-c", 'echo $$ >%s/cgroup.procs && exec "$@"' % self.path, "sh"] + command

    def kib(self):
        """What its processes hold: pages of their own and of memfds, each once. Not what lies in the cache of files."""
        held = dict(line.split() for line in open(os.path.join(self.path, "memory.stat")))
        return sum(int(held[part]) for part in self.parts) // 1024

    def limit(self, kib):
        with open(os.path.join(self.path, self.limit_file), "w") as out:
            out.write(str(kib << 10))

    def killed(self):
        return int(re.search(r"^oom_kill (\d+)$", open(os.path.join(self.path, self.kill_file)).read(), re.M).group(1))

    def close(self):
        def gone():
            try:
                os.rmdir(self.path)
            except FileNotFoundError:
                pass
            except OSError:
                return False
            return True
        wait(gone, "the cgroup to be empty")


@case
def window_cgroup(bench):
    """A cgroup's view of gtrace and its program together, with a limit on it: what they take more than the program alone is MaxBytes
    and what is told beside it; with a snapshot the ring's copy too. Nobody is killed for it."""
    groups = []

    def peak(name, command, pid, limit=None):
        """KiB at the most while it runs, before and with a snapshot."""
        group = Cgroup(name)
        groups.append(group)
        if limit:
            group.limit(limit)
        process = bench.start(group.command(command), stdout=subprocess.PIPE)
        read_until(process.stdout.fileno(), b"ready")
        seen = []
        for number in range(16):
            time.sleep(0.1)
            seen.append(group.kib())
            if number == 10 and pid:
                process.send_signal(signal.SIGUSR2)
        if pid:
            wait(lambda: [f for f in os.listdir(bench.dir) if f.startswith(name) and "SIGUSR2" in f], "the snapshot")
        os.kill(child_of(process.pid) if pid else process.pid, signal.SIGKILL)
        process.communicate(timeout=120)
        expect(group.killed() == 0, "%d processes were killed for want of memory" % group.killed())
        return max(seen[:11]), max(seen)

    try:
        alone = peak("plain", busy(), False)[1]
        for size, kib in (("2M", 2048), ("16M", 16384)):
            # The program is not twice the same to the page.
            fixed = ITSELF + PACKING + 2048
            out = os.path.join(bench.dir, "g%s.gtrace" % size)
            held, copied = peak("g" + size, bench.command(busy(), ["-q", "--flight", "--max-bytes", size], out), True, alone + 2 * kib + fixed + WRITING + UNPACKING + 8192)
            bench.check(out)
            yield "%s: %d KiB more than the program's own %d; %d with a snapshot's copy; %d are allowed beside the window" % (size, held - alone, alone, copied - alone, fixed)
            expect(held - alone <= kib + fixed, "%s: %d KiB" % (size, held - alone))
            expect(copied - alone <= 2 * kib + fixed + WRITING + UNPACKING, "%s: %d KiB with a snapshot" % (size, copied - alone))
    finally:
        for process in bench.started:
            if process.poll() is None:
                for child in children_of(process.pid):
                    os.kill(child, signal.SIGKILL)
                process.kill()
                process.wait()
        for group in groups:
            group.close()


# By kind: the state, and for what it waits as the Go versions call it.
STANDS = {"receives": ("waiting", "chan receive"), "selects": ("waiting", "select"), "locks": ("waiting", "sync.Mutex.Lock|semacquire"), "sleeps": ("waiting", "sleep"),
          "joins": ("waiting", "sync.WaitGroup.Wait|semacquire"), "reads": ("syscall", "unknown")}


def stand(bench, path, known, what, stands=STANDS, of="main."):
    """Each goroutine that @known has did nothing in this window: told once, as it stands, with its name and its stack. How many there are in all."""
    bench.check(path)
    text = bench.run([bench.gtrace, "convert", path, "--to", "text", "-o", "-"]).stdout.decode(errors="replace")
    expect(re.search(r"^Since m=\d+ ticks=[1-9]", text, re.M) or re.search(r"^Since .*ticks=[1-9]", text, re.M), "%s: the window holds all there was" % what)
    lines = [line.decode(errors="replace") for line in events(bench, path)]
    told = collections.Counter()
    for g, kind in known.items():
        state, reason = stands[kind]
        own = [line for line in lines if re.search(r"\bg=%d\b" % g, line)]
        # An idle M's block may hold what is older than the window's edge. Where a call was made can be read since Go 1.23.
        own = own[-1:] if kind == "reads" and " GoState " in own[-1] else own[-2:]
        expect([line.split()[1] for line in own] in (["GoState", "GoStack"], ["GoState"]), "%s: goroutine %d (%s): %s" % (what, g, kind, own))
        expect(re.search('old=none new=%s reason="(%s)"' % (state, reason), own[0]), "%s: goroutine %d (%s): %s" % (what, g, kind, own[0]))
        told[kind] += 1
    rows = bench.run([bench.gtrace, "convert", path, "--to", "csv", "-o", "-"]).stdout.decode().splitlines()[1:]
    names = {int(row.split(",")[0]): row.split(",")[2].strip('"') for row in rows}
    for g, kind in known.items():
        expect(of is None or names.get(g) == of + kind, "%s: goroutine %d (%s) is called %s" % (what, g, kind, names.get(g)))
    expect(set(told.values()) == {3} and len(told) == len(stands), "%s: %s" % (what, told))
    return len(names)


@case
def snapshot_standing(bench):
    """Goroutines that have waited since before the window are in it, as they stand; recorded from the start, and attached to. Many are read in parts."""
    window = ["--max-bytes", "1M", "--min-age", "100ms"]
    table = os.path.join(bench.dir, "table")
    many = 50000 if runs(1, long=2) == 1 else 200000
    for size in ("1M", "16M"):
        recorder = Recorder(bench, [build_go("standing", newest()[0]), table, str(many)], ["--max-bytes", size])
        for _ in range(200):
            path, said = recorder.ask()
            told = str(meta(bench, path, "standing"))
            if "the last" in said and (not told.isdigit() or int(told) >= many):
                break
        recorder.end(signal.SIGKILL)
        if many == 200000:
            expect("more than 200000" in told, "of too many: %s: %s" % (said, told))
        else:
            expect(told.isdigit() and int(told) >= many or size == "1M" and told.startswith("not told: the window is shorter"), "of many, in %s: %s: %s" % (size, said, told))
            bench.check(path)
    for version in versions():
        program = [build_go("standing", version), table]
        recorder = Recorder(bench, program, window)
        known = {int(line.split()[0]): line.split()[1] for line in open(table)}
        for _ in range(200):
            path, said = recorder.ask()
            if "the last" in said:
                break
        else:
            expect(False, "the window still holds all: %s" % said)
        stand(bench, path, known, "recorded")
        stand(bench, recorder.ask()[0], known, "recorded, again")
        recorder.end(signal.SIGKILL)
        program = bench.start(program, stdout=subprocess.PIPE)
        read_until(program.stdout.fileno(), b"ready")
        known = {int(line.split()[0]): line.split()[1] for line in open(table)}
        attached = bench.start([bench.gtrace, "attach", "--flight", "-o", recorder.out] + window + [str(program.pid)], env=recorder.env, stderr=subprocess.PIPE)
        wait(lambda: recorder.sockets() or attached.poll() is not None, "a socket")
        for _ in range(200):
            path, said = recorder.ask(pid=program.pid)
            if "the last" in said:
                break
        stand(bench, path, known, "attached to")
        attached.send_signal(signal.SIGINT)
        attached.communicate(timeout=120)
        count = stand(bench, recorder.out, known, "at the end")
        program.kill()
        program.communicate()
        yield "Go %s: %d goroutines that wait, %d in all" % (version, len(known), count)
