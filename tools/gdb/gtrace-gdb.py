# gtrace-gdb.py - gdb's commands for goroutines of the gtrace runtime: on a live process and on a core, with or without debug
# information (the program's or library's symbol gt__inspect is enough).
#
#   info goroutines            all of them: id, state or wait reason, thread, name, start function
#   goroutine ID bt [N]        the stack (at most N frames)
#   goroutine all bt [N]       of each
#   goroutine ID COMMAND       COMMAND in the frame where ID is: goroutine 7 info locals
#   goroutine ID frame N [COMMAND]   the same, N frames further out
#
# Nothing in the process is changed: the registers of a parked goroutine come from an unwinder that is on during the command.
import struct

import gdb
from gdb.unwinder import Unwinder

NONE, RUNNING, SYSCALL, WAITING, DEAD = 0, 2, 3, 4, 6
PARTS = (("magic", "8s"), ("version", "I"), ("g_bytes", "I"), ("base", "Q"), ("slot_bytes", "Q"), ("count", "Q"), ("workers", "Q"),
         ("states", "Q"), ("reasons", "Q"), ("state_count", "Q"), ("reason_count", "Q"), ("now", "Q"),
         ("id", "I"), ("parent", "I"), ("state", "I"), ("reason", "I"), ("name", "I"), ("name_bytes", "I"), ("start", "I"),
         ("sp", "I"), ("bound", "I"), ("since", "I"), ("worker_g", "I"), ("worker_thread", "I"), ("worker_next", "I"),
         ("colours", "I"), ("colour_bytes", "I"))

# What gt__switch leaves on a stack, in words from its sp on: registers by name, the return address, the size.
SAVED = {
    "i386:x86-64": ({"r15": 1, "r14": 2, "r13": 3, "r12": 4, "rbx": 5, "rbp": 6}, 7, 8, "rip", "rsp"),
    "aarch64": ({f"x{19 + i}": 8 + i for i in range(11)}, 19, 22, "pc", "sp"),
}


def memory(at, size):
    return bytes(gdb.selected_inferior().read_memory(at, size))


def number(at, size=8):
    return int.from_bytes(memory(at, size), "little")


def text(at, limit=256):
    try:
        return gdb.Value(at).cast(gdb.lookup_type("char").pointer()).string(length=-1, errors="replace")[:limit]
    except gdb.error:
        return "?"


class Runtime:
    """The scheduler of the selected program, as it is now."""

    def __init__(self):
        try:
            at = int(gdb.parse_and_eval("(unsigned long)&gt__inspect"))
        except gdb.error:
            raise gdb.GdbError("no goroutines: the program does not use the gtrace runtime, has not started, or has no symbols")
        size = struct.calcsize("=" + "".join(kind for _, kind in PARTS))
        values = struct.unpack("=" + "".join(kind for _, kind in PARTS), memory(at, size))
        for (name, _), value in zip(PARTS, values):
            setattr(self, name, value)
        if self.magic != b"gtinsp1\0" or self.version != 2:
            raise gdb.GdbError("goroutines of another version of the gtrace runtime than this file's (%d)" % self.version)
        self.low = number(self.base)
        if not self.low:
            raise gdb.GdbError("no goroutines: gt_main has not been called")
        self.slot = number(self.slot_bytes)
        self.made = number(self.count, 4)
        self.state_texts = [text(number(self.states + 8 * i)) for i in range(number(self.state_count, 4))]
        self.reason_texts = [text(number(self.reasons + 8 * i)) for i in range(number(self.reason_count, 4))]
        self.clock = number(self.now)
        self.threads()

    def threads(self):
        """Which kernel thread each goroutine runs on: by the stack pointer, or as its M says."""
        self.thread_of = {}
        by_id = {}
        selected = gdb.selected_thread()
        frame = None
        try:
            frame = gdb.selected_frame()
        except gdb.error:
            pass
        said = {}
        at = number(self.workers)
        while at:
            said[number(at + self.worker_thread, 4)] = (number(at + self.worker_g), at)
            at = number(at + self.worker_next)
        self.worker_thread_of = {}
        for thread in gdb.selected_inferior().threads():
            if not thread.is_valid():
                continue
            thread.switch()
            tid = thread.ptid[1] or thread.ptid[0]
            by_id[tid] = thread
            g, worker = said.get(tid, (0, 0))
            if worker:
                self.worker_thread_of[worker] = thread
            sp = int(gdb.newest_frame().read_register("sp")) & (1 << 64) - 1
            if self.low <= sp < self.low + self.made * self.slot:
                g = self.place((sp - self.low) // self.slot)
            if g:
                self.thread_of.setdefault(g, thread)
        if selected and selected.is_valid():
            selected.switch()
            if frame and frame.is_valid():
                frame.select()

    def place(self, slot):
        """Of the goroutine of this slot."""
        return self.low + (slot + 1) * self.slot - self.g_bytes - slot % self.colours * self.colour_bytes

    def goroutines(self):
        found = []
        for i in range(self.made):
            g = Goroutine(self, self.place(i))
            if g.state not in (NONE, DEAD):
                found.append(g)
        return sorted(found, key=lambda g: g.id)

    def goroutine(self, wanted):
        for g in self.goroutines():
            if g.id == wanted:
                return g
        raise gdb.GdbError("no goroutine %d: info goroutines lists them" % wanted)


class Goroutine:
    def __init__(self, runtime, at):
        body = memory(at, runtime.g_bytes)

        def field(offset, size=8):
            return int.from_bytes(body[offset:offset + size], "little")

        self.at = at
        self.id = field(runtime.id)
        self.parent = field(runtime.parent)
        self.state = field(runtime.state, 4)
        self.reason = field(runtime.reason, 4)
        self.name = body[runtime.name:runtime.name + runtime.name_bytes].split(b"\0")[0].decode(errors="replace")
        self.start = field(runtime.start)
        self.sp = field(runtime.sp)
        self.bound = field(runtime.bound)
        # One that was stopped by a signal stays on its thread, in the handler.
        self.thread = runtime.worker_thread_of.get(self.bound) if self.bound else runtime.thread_of.get(at)
        self.words = self.why(runtime, field(runtime.since))

    def why(self, runtime, since):
        if self.state == WAITING:
            words = runtime.reason_texts[self.reason] if self.reason < len(runtime.reason_texts) else "?"
            minutes = (runtime.clock - since) // 60000000000 if since else 0
            return words + (", %d minutes" % minutes if minutes > 0 else "")
        words = runtime.state_texts[self.state] if self.state < len(runtime.state_texts) else "?"
        return words + (", stopped by a signal" if self.bound else "")


class Parked(Unwinder):
    """Puts a parked goroutine's innermost frame right above the selected thread's newest one."""

    def __init__(self):
        super().__init__("gtrace-goroutine")
        self.sp = self.here = None

    def __call__(self, pending):
        if self.here is None:
            return None
        if (int(pending.read_register("sp")), int(pending.read_register("pc"))) != self.here:
            return None
        registers, back, size, pc, sp = SAVED[pending.architecture().name()]
        kind = pending.read_register(pc).type
        data = pending.read_register(sp).type

        class Id:
            pass

        # Below the goroutine's frames: gdb refuses a stack that seems to go backwards.
        Id.sp = gdb.Value(self.sp)
        Id.pc = pending.read_register(pc)
        info = pending.create_unwind_info(Id)
        long = gdb.lookup_type("unsigned long")
        for name, at in registers.items():
            info.add_saved_register(name, gdb.Value(number(self.sp + 8 * at)).cast(long))
        info.add_saved_register(pc, gdb.Value(number(self.sp + 8 * back)).cast(kind))
        info.add_saved_register(sp, gdb.Value(self.sp + 8 * size).cast(data))
        return info


PARKED = Parked()
gdb.unwinder.register_unwinder(None, PARKED, replace=True)


class In:
    """Within it, the newest frame of the selected thread, or the one above it, is where the goroutine is."""

    def __init__(self, g):
        self.g = g

    def __enter__(self):
        self.thread = gdb.selected_thread()
        try:
            self.frame = gdb.selected_frame()
        except gdb.error:
            raise gdb.GdbError("no process and no core")
        if self.g.thread:
            self.g.thread.switch()
            return gdb.newest_frame()
        newest = gdb.newest_frame()
        if newest.architecture().name() not in SAVED:
            raise gdb.GdbError("stacks of goroutines are not known on " + newest.architecture().name())
        PARKED.sp = self.g.sp
        PARKED.here = (int(newest.read_register("sp")), int(newest.read_register("pc")))
        gdb.invalidate_cached_frames()
        inner = gdb.newest_frame().older()
        if inner is None:
            raise gdb.GdbError("goroutine %d: its stack cannot be read" % self.g.id)
        return inner

    def __exit__(self, *_):
        PARKED.here = None
        gdb.invalidate_cached_frames()
        if self.thread and self.thread.is_valid():
            self.thread.switch()
        return False


def value(symbol, frame):
    try:
        return str(symbol.value(frame))
    except gdb.error:
        return "?"


def print_stack(g, inner, most):
    frame, level = inner, 0
    while frame is not None and frame.is_valid() and level < most:
        where = frame.find_sal()
        name = frame.name()
        arguments = ""
        if frame.function():
            try:
                block = frame.block()
                while block is not None and block.function is None:
                    block = block.superblock
                arguments = ", ".join("%s=%s" % (s.name, value(s, frame)) for s in block if s.is_argument)
            except (gdb.error, RuntimeError):
                pass
        at = " at %s:%d" % (where.symtab.filename, where.line) if where.symtab else ""
        print("#%-2d %s in %s (%s)%s" % (level, hex(frame.pc()), name or "??", arguments, at))
        if name == "gt__g_main":
            break
        frame, level = frame.older(), level + 1
    if frame is not None and level == most:
        print("(more frames: goroutine %d bt %d)" % (g.id, 2 * most))


def function_at(at):
    said = gdb.execute("info symbol %d" % at, to_string=True).strip()
    return said.split(" in section")[0] if not said.startswith("No symbol") else hex(at)


class InfoGoroutines(gdb.Command):
    """List the goroutines of the gtrace runtime: id, state or wait reason, thread, name, start function.
info goroutines [WORD]: only those whose line has WORD."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        count = 0
        for g in Runtime().goroutines():
            mark = "*" if g.thread and g.state in (RUNNING, SYSCALL) else " "
            thread = " thread %d" % g.thread.num if g.thread else ""
            line = "%s %-6d [%s]%s %s%s" % (mark, g.id, g.words, thread, g.name + ": " if g.name else "", function_at(g.start))
            if arg in line:
                print(line)
                count += 1
        print("%d goroutines" % count)


class GoroutineCommand(gdb.Command):
    """Do a command where a goroutine is: goroutine ID|all bt [N] | frame N [COMMAND] | COMMAND."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, arg, from_tty):
        words = arg.split(None, 1)
        if len(words) < 2:
            raise gdb.GdbError("usage: goroutine ID|all bt [N], goroutine ID COMMAND")
        runtime = Runtime()
        if words[0] == "all":
            for g in runtime.goroutines():
                print("\ngoroutine %d [%s]:%s" % (g.id, g.words, " " + g.name if g.name else ""))
                try:
                    self.do(g, words[1])
                except (gdb.error, gdb.GdbError) as error:
                    print(error)
            return
        try:
            wanted = int(words[0])
        except ValueError:
            raise gdb.GdbError("not a goroutine's id: " + words[0])
        self.do(runtime.goroutine(wanted), words[1])

    def do(self, g, command):
        words = command.split(None, 2)
        with In(g) as inner:
            if words[0] in ("bt", "backtrace", "where"):
                print_stack(g, inner, int(words[1]) if len(words) > 1 and words[1].isdigit() else 1000)
                return
            if words[0] == "frame" and len(words) > 1 and words[1].isdigit():
                for _ in range(int(words[1])):
                    inner = inner.older()
                    if inner is None:
                        raise gdb.GdbError("goroutine %d has not so many frames" % g.id)
                command = words[2] if len(words) > 2 else "frame"
            inner.select()
            gdb.execute(command)


InfoGoroutines()
GoroutineCommand()
