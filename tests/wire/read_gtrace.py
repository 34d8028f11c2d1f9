#!/usr/bin/env python3
"""read_gtrace.py FILE - every byte of a .gtrace file as text, strictly by docs/format.md.

A second opinion on the writer: shares no code with it but the table of events. Any deviation from the page
ends it with status 1 and a line that says what and where. 77: there is no libzstd to unpack with.
"""
import ctypes
import ctypes.util
import os
import re
import struct
import sys


class Damage(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Damage(text)


def crc_of_byte(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC_TABLE = [crc_of_byte(byte) for byte in range(256)]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def load_zstd():
    name = ctypes.util.find_library("zstd")
    if not name:
        print("no libzstd: skipped")
        sys.exit(77)
    lib = ctypes.CDLL(name)
    lib.ZSTD_decompress.restype = ctypes.c_size_t
    lib.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    lib.ZSTD_getFrameContentSize.restype = ctypes.c_ulonglong
    lib.ZSTD_getFrameContentSize.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    lib.ZSTD_findFrameCompressedSize.restype = ctypes.c_size_t
    lib.ZSTD_findFrameCompressedSize.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return lib


def unpack(lib, data, raw_bytes, at):
    need(data[:4] == b"\x28\xb5\x2f\xfd", f"frame at {at}: no zstd frame")
    need(data[4] & 4, f"frame at {at}: zstd frame without checksum")
    need(lib.ZSTD_getFrameContentSize(data, len(data)) == raw_bytes, f"frame at {at}: content size")
    need(lib.ZSTD_findFrameCompressedSize(data, len(data)) == len(data), f"frame at {at}: stored_bytes")
    raw = ctypes.create_string_buffer(max(raw_bytes, 1))
    need(lib.ZSTD_decompress(raw, raw_bytes, data, len(data)) == raw_bytes, f"frame at {at}: does not unpack")
    return raw.raw[:raw_bytes]


def load_kinds():
    root = os.environ.get("GTRACE_SOURCE_DIR") or os.path.join(os.path.dirname(__file__), "..", "..")
    with open(os.path.join(root, "format/wire/events.def"), encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    kinds = {}
    for match in re.finditer(r'GT_EVENT\((\d+),\s*\w+,\s*"(\w+)",((?:\s*A\(\w+,\s*\w+\))*)\s*,', text):
        kinds[int(match[1])] = (match[2], re.findall(r"A\((\w+),", match[3]))
    return kinds


class Bytes:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def left(self):
        return len(self.data) - self.at

    def take(self, size):
        need(size <= self.left(), "a length passes its container")
        self.at += size
        return self.data[self.at - size:self.at]

    def u8(self):
        return self.take(1)[0]

    def number(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                need(value < 1 << 64, "a uvarint of more than 64 bits")
                need(byte or not shift, "the writer writes canonical uvarints")
                return value
        raise Damage("a uvarint of more than 10 bytes")

    def text(self):
        return self.take(self.number()).decode("utf-8")


class Reader:
    def __init__(self, kinds, out):
        self.kinds = kinds
        self.out = out
        self.strings = set()
        self.stacks = set()
        self.pcs = set()
        self.last_of_m = {}
        self.finals = {}
        self.times = []

    def say(self, *words):
        print(*words, file=self.out)

    def events(self, body):
        m, time, count = body.number(), body.number(), body.number()
        need(count > 0, "an EVENTS record without events")
        self.say("EVENTS", f"m={m}", f"base={time}", f"count={count}")
        while count:
            kind, dt = body.u8(), body.number()
            if kind == 0:
                time -= dt
                need(time >= 0, "a time before 0")
                continue
            need(kind in self.kinds, f"unknown kind {kind}")
            time = time + dt
            name, args = self.kinds[kind]
            values = [body.number() for _ in args]
            self.say(" ", f"m={m}", time, name, *[f"{arg}={value}" for arg, value in zip(args, values)])
            self.times.append(time)
            count -= 1

    def record(self, kind, body, index):
        if kind == 1:
            key, value = body.text(), body.text()
            self.final(("META", key), value, index)
            if index is None:
                self.say("META", key, value)
        elif kind == 8:
            what, count = body.text(), body.number()
            self.final(("LOSS", what), count, index)
            if index is None:
                self.say("LOSS", what, count)
        elif kind == 16 and index is not None:
            index.append((body.number(), body.number(), body.number(), body.number()))
        elif index is not None:
            raise Damage(f"record of type {kind} in the index")
        elif kind == 2:
            number = body.number()
            need(number > 0 and number not in self.strings, f"string {number} twice")
            self.strings.add(number)
            self.say("STRING", number, body.take(body.left()).decode("utf-8", "backslashreplace"))
        elif kind == 3:
            pc, count = body.number(), body.number()
            need(pc not in self.pcs, f"pc {pc} twice")
            self.pcs.add(pc)
            lines = [(body.number(), body.number(), body.number()) for _ in range(count)]
            need(all(name == 0 or name in self.strings for line in lines for name in line[:2]), "a name not yet written")
            self.say("PC", hex(pc), *[":".join(map(str, line)) for line in lines])
        elif kind == 4:
            number, count = body.number(), body.number()
            need(number > 0 and number not in self.stacks, f"stack {number} twice")
            self.stacks.add(number)
            self.say("STACK", number, *[hex(body.number()) for _ in range(count)])
        elif kind == 5:
            self.say("THREAD", f"m={body.number()}", f"tid={body.number()}", body.text())
        elif kind == 6:
            self.say("GOROUTINE", *[body.number() for _ in range(4)])
        elif kind == 7:
            self.events(body)
        elif kind == 9:
            self.say("SINCE", f"m={body.number()}", f"ticks={body.number()}")
        else:
            raise Damage(f"record of type {kind}")
        need(body.left() == 0, f"{body.left()} bytes too many in a record of type {kind}")

    def final(self, key, value, index):
        if index is not None:
            need(self.finals.get(key) == value, f"{key} in the index is not the final value")
            self.final_seen.add(key)
        self.finals[key] = value

    def frame(self, raw, index=None):
        self.times = []
        self.final_seen = set()
        frame = Bytes(raw)
        while frame.left():
            kind = frame.u8()
            self.record(kind, Bytes(frame.take(frame.number())), index)
        if index is not None:
            need(self.final_seen == set(self.finals), "a META or LOSS is missing in the index")


def check_index(index, frames):
    """Each FRAME record against the frames that it stands for."""
    left = 0
    starts = [entry[0] for entry in index] + [1 << 64]
    for entry, after in zip(index, starts[1:]):
        run = []
        while left < len(frames) and frames[left][0] < after:
            run.append(frames[left])
            left += 1
        need(run and run[0][0] == entry[0], f"the index's offset {entry[0]} is no frame's")
        times = [time for frame in run for time in frame[1]]
        need(entry[3] == len(times), "the index's event_count")
        need(entry[1:3] == ((min(times), max(times)) if times else (0, 0)), "the index's first and last")
    need(left == len(frames), "a frame is missing in the index")


def read(path, out):
    lib, reader = load_zstd(), Reader(load_kinds(), out)
    with open(path, "rb") as file:
        data = file.read()
    head = struct.unpack("<8sHHIQQQqqII", data[:64])
    need(head[0] == b"\x89GTRACE\n", "magic")
    need(head[1:4] == (1, 0, 64), "version")
    need(head[9] == crc32c(data[:56]) and head[10] == 0, "the header's crc")
    print("HEADER", *[f"{name}={value}" for name, value in zip(
        ("flags", "ticks_per_second", "start_ticks", "start_realtime_ns", "start_monotonic_ns"), head[4:9])], file=out)
    at, frames, index, watermark = 64, [], None, 0
    while index is None:
        need(len(data) - at >= 48, f"cut at {at}")
        magic, kind, stored, raw_bytes, ticks, ns, mark, count, crc = struct.unpack("<IIIIQqQII", data[at:at + 48])
        need(magic == 0x52465447, f"frame at {at}: magic")
        need(crc == crc32c(data[at:at + 44]), f"frame at {at}: crc")
        need(kind in (1, 2), f"frame at {at}: kind {kind}")
        need(raw_bytes <= 16 << 20, f"frame at {at}: raw_bytes")
        need(mark >= watermark, f"frame at {at}: the watermark goes back")
        body = data[at + 48:at + 48 + stored]
        need(len(body) == stored, f"frame at {at}: cut")
        reader.say("FRAME", f"kind={kind}", f"ticks={ticks}", f"ns={ns}", f"watermark={mark}", f"events={count}")
        index = [] if kind == 2 else None
        start, at = at, at + 48 + stored
        reader.frame(unpack(lib, body, raw_bytes, start), index)
        need(count == len(reader.times), f"frame at {start}: event_count")
        need(all(time >= watermark for time in reader.times), f"frame at {start}: an event before the watermark")
        watermark = mark
        if kind == 1:
            frames.append((start, reader.times))
    check_index(index, frames)
    offset, crc, magic = struct.unpack("<QII", data[at:])
    need(offset == start and crc == crc32c(data[at:at + 8]) and magic == 0x444E5447, "trailer")
    print("END", f"frames={len(frames)}", f"index={len(index)}", file=out)


if __name__ == "__main__":
    try:
        read(sys.argv[1], sys.stdout)
    except Damage as damage:
        print(f"{sys.argv[1]}: {damage}", file=sys.stderr)
        sys.exit(1)
