"""textform.py - the text form of Go's traces ("Trace Go1.22", an event a line) as the bytes that it stands for; and Go's quoted bytes.

The table of events is format/import/gotrace.def's; what stands for parts of the file is written down here."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STRUCTURE = {
    "EventBatch": (1, ["gen", "m", "time", "size"]),
    "Stacks": (2, []),
    "Stack": (3, ["id", "nframes"]),
    "Strings": (4, []),
    "String": (5, ["id"]),
    "CPUSamples": (6, []),
    "CPUSample": (7, ["time", "m", "p", "g", "stack"]),
    "Frequency": (8, ["freq"]),
    "ExperimentalBatch": (49, ["exp", "gen", "m", "time"]),
    "Sync": (50, []),
    "EndOfGeneration": (52, []),
}


def events():
    table = dict(STRUCTURE)
    text = open(os.path.join(ROOT, "format", "import", "gotrace.def")).read()
    for number, name, args in re.findall(r'^GT_GOTRACE\((\d+), +\w+, +"(\w+)", +"([^"]*)"', text, flags=re.M):
        table[name] = (int(number), ["dt"] + args.split())
    return table


def uvarint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "\\": 92, '"': 34, "'": 39}


def unquote(text):
    """A Go string literal, in double or back quotes, as bytes."""
    text = text.strip()
    if text[0] == "`":
        return text[1:-1].encode()
    out, i, text = bytearray(), 0, text[1:-1]
    while i < len(text):
        if text[i] != "\\":
            out += text[i].encode()
            i += 1
            continue
        kind = text[i + 1]
        if kind in ESCAPES:
            out.append(ESCAPES[kind])
            i += 2
        elif kind == "x":
            out.append(int(text[i + 2 : i + 4], 16))
            i += 4
        elif kind in "uU":
            length = 4 if kind == "u" else 8
            out += chr(int(text[i + 2 : i + 2 + length], 16)).encode()
            i += 2 + length
        else:
            out.append(int(text[i + 1 : i + 4], 8))
            i += 4
    return bytes(out)


def values(line, names):
    """name=value pairs in that order, behind the line's first word when there is one."""
    pairs = [pair.split("=") for pair in line.split() if "=" in pair]
    if [name for name, _ in pairs] != names:
        raise ValueError("%r has not %r" % (line, names))
    return [int(value) for _, value in pairs]


def data(line):
    return unquote(line.split("=", 1)[1])


def with_sizes(lines, table):
    """A batch of size 0 gets the size of the lines that follow it."""
    out, batch = [], None
    for line in lines + ["EventBatch"]:
        word = line.split()[0]
        if word in ("EventBatch", "ExperimentalBatch", "EndOfGeneration") and batch is not None:
            body = encode(out[batch + 1 :], table)
            out[batch] = re.sub(r"size=0\b", "size=%d" % len(body), out[batch])
            batch = None
        out.append(line)
        if word == "EventBatch":
            batch = len(out) - 1
    return out[:-1]


def binary(text):
    """The file of it; version is the text's first line."""
    table = events()
    lines = [line for line in text.splitlines() if line.split("#")[0].strip()]
    header = b"go 1.%s trace\0\0\0" % re.match(r"Trace Go1\.(\d+)", lines[0]).group(1).encode()
    return header + encode(with_sizes(lines[1:], table), table)


def encode(lines, table):
    out, lines = bytearray(), lines[::-1]
    while lines:
        line = lines.pop()
        # A comment only counts outside of quotes, and only data has those.
        words = line.split("#")[0].split()
        number, names = table[words[0]]
        args = values(" ".join(words[1:]), names)
        out.append(number)
        if words[0] == "ExperimentalBatch":
            payload = data(lines.pop())
            out.append(args[0])
            for arg in args[1:]:
                out += uvarint(arg)
            out += uvarint(len(payload)) + payload
            continue
        for arg in args:
            out += uvarint(arg)
        if words[0] == "Stack":
            for _ in range(args[1]):
                for arg in values(lines.pop(), ["pc", "func", "file", "line"]):
                    out += uvarint(arg)
        elif words[0] == "String":
            payload = data(lines.pop())
            out += uvarint(len(payload)) + payload
    return bytes(out)


def archive(path):
    """(expect, trace) of a file with sections `-- expect --` and `-- trace --`."""
    parts = re.split(r"^-- (\w+) --\n", open(path, encoding="utf-8").read(), flags=re.M)
    sections = dict(zip(parts[1::2], parts[2::2]))
    return sections["expect"].strip(), sections["trace"]
