#!/usr/bin/env python3
"""make_gobinary_corpus.py - writes corpus/gobinary/: small files that look like Go programs, and broken ones.

The sound ones are what tests/agent reads where no Go is installed. Deterministic: running it again changes nothing.
"""
import os
import random
import struct

BASE = 0x400000
TEXT, TABLE = 0x200, 0x400
OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "gobinary")

CHECK = bytes.fromhex("493b6610 7620")          # cmp rsp,[r14+16]; jbe
FRAME = bytes.fromhex("55 4889e5 4883ec20")     # push rbp; mov rbp,rsp; sub rsp,32
LEAVE = bytes.fromhex("4883c420 5d c3")         # add rsp,32; pop rbp; ret


def pad(code, size):
    return code + b"\xcc" * (size - len(code))


def functions():
    body = bytes.fromhex("f0 0fb18f90000000")   # lock cmpxchg [rdi+0x90], ecx
    switch = bytes.fromhex("49895e40 49895e38 49895e60 498b5e30 488b33 c3")  # as runtime.mcall from Go 1.25 on
    return [
        ("runtime.text", pad(b"", 16)),
        ("runtime.casgstatus", pad(CHECK + FRAME + body + LEAVE, 48)),
        ("runtime.mcall", pad(switch, 32)),
        ("main.main", pad(CHECK + FRAME + b"\x90" * 8 + LEAVE, 48)),
        ("main.main", pad(b"\xe9\xcb\xff\xff\xff", 16)),                    # a wrapper of the same name
        ("main.loop", pad(bytes.fromhex("31c0 ffc0 83f80a 7cf9 c3"), 16)),  # a branch leads to its third byte
        ("main.call", pad(bytes.fromhex("e8 00000000 c3"), 16)),
    ]


def uvarint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def pctable(runs):
    """[(value, bytes of code)...] -> a pc-value table."""
    out, last = b"", -1
    for value, run in runs:
        delta = value - last
        out += uvarint(((delta << 1) ^ (delta >> 31)) & 0xffffffff) + uvarint(run)
        last = value
    return out + b"\0"


def align(data, size=8):
    return data + b"\0" * (-len(data) % size)


def pclntab(magic, funcs, text, zero_text):
    """The table; and where in it are names, functab and the name of the inlined function."""
    names, offsets = b"", {}
    for name in ["main.inlined"] + [f[0] for f in funcs]:
        if name not in offsets:
            offsets[name] = len(names)
            names += name.encode() + b"\0"
    names = align(names)
    files = align(b"main.go\0other.go\0")
    units = struct.pack("<II", 0, 8)
    values, table, records = b"\0", b"", b""
    functab_size = len(align(b"\0" * (len(funcs) * 8 + 4)))
    entry = 0
    for index, (name, code) in enumerate(funcs):
        size = len(code)
        inlined = name == "main.main" and size == 48    # bytes 16 to 23 are main.inlined, called at byte 8
        pcfile = len(values)
        values += pctable([(0, 16), (1, 8), (0, size - 24)] if inlined else [(0, size)])
        pcln = len(values)
        values += pctable([(30, 16), (77, 8), (32, size - 24)] if inlined else [(10 + index, size)])
        pcinl = len(values) if inlined else 0
        if inlined:
            values += pctable([(-1, 16), (0, 8), (-1, size - 24)])
        table += struct.pack("<II", entry, functab_size + len(records))
        wrapper = (23 if magic == 0xfffffff1 else 21) if name == "main.main" and not inlined else 0
        record = struct.pack("<IiiIIIIII", entry, offsets[name], 0, 0, 0, pcfile, pcln, 3 if inlined else 0, 0)
        if magic == 0xfffffff1:
            record += struct.pack("<i", 9)
        record += struct.pack("<BBBB", wrapper, 4 if name == "runtime.mcall" else 0, 0, 4 if inlined else 0)
        if inlined:
            record += struct.pack("<III", 0, 0, pcinl) + struct.pack("<IIII", *[0xffffffff] * 3, 0)
        records += record
        entry += size
    table = align(table + struct.pack("<I", entry))
    values = align(values)
    at_names = 72
    at_units = at_names + len(names)
    at_files = at_units + len(units)
    at_values = at_files + len(files)
    at_functions = at_values + len(values)
    header = struct.pack("<IBBBBqqQQQQQQ", magic, 0, 0, 1, 8, len(funcs), 2, 0 if zero_text else text, at_names,
                         at_units, at_files, at_values, at_functions)
    return header + names + units + files + values + table + records, at_names, at_functions, offsets["main.inlined"]


def program(minor=26, magic=0xfffffff1, version="go1.26.5", buildinfo=True, sections=True):
    funcs = functions()
    text = b"".join(code for _, code in funcs)
    text_va, table_va = BASE + TEXT, BASE + TABLE
    table, names, functab, inlined_name = pclntab(magic, funcs, text_va, minor >= 26)
    if magic == 0xfffffff1:
        tree = struct.pack("<Bxxxiii", 0, inlined_name, 8, 70)
    else:
        tree = struct.pack("<hBxiiii", -1, 0, 0, 30, inlined_name, 8)
    tree_at = TABLE + len(table)
    rodata = table + tree
    data_at = (tree_at + len(tree) + 63) & ~63
    module = bytearray(608)

    def put(offset, *values):
        struct.pack_into("<%dQ" % len(values), module, offset, *values)
    put(0, table_va, table_va + names)
    put(128, table_va + functab, len(funcs) + 1, len(funcs) + 1)
    put(176, text_va, text_va + len(text))
    put({27: 344, 19: 304}.get(minor, 320), BASE + tree_at)
    data = bytes(module)
    if buildinfo:
        data += b"\xff Go buildinf:" + bytes([8, 2]) + b"\0" * 16 + uvarint(len(version)) + version.encode() + b"\0"
    else:
        data += struct.pack("<QQ", BASE + data_at + len(data) + 16, len(version)) + version.encode() + b"tail"
    data = align(data)
    programs = b""
    for flags, offset, size in ((5, TEXT, len(text)), (4, TABLE, len(rodata)), (6, data_at, len(data))):
        programs += struct.pack("<IIQQQQQQ", 1, flags, offset, BASE + offset, BASE + offset, size, size, 0x1000)
    strings = b"\0.gopclntab\0.shstrtab\0"
    strings_at = data_at + len(data)
    section_at = strings_at + len(strings) + -(strings_at + len(strings)) % 8
    headers = b"\0" * 64
    headers += struct.pack("<IIQQQQIIQQ", 1, 1, 2, table_va, TABLE, len(table), 0, 0, 8, 0)
    headers += struct.pack("<IIQQQQIIQQ", 12, 3, 0, 0, strings_at, len(strings), 0, 0, 1, 0)
    header = b"\x7fELF\2\1\1" + b"\0" * 9
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, text_va + 16, 64, section_at if sections else 0, 0, 64, 56, 3,
                          64, 3 if sections else 0, 2 if sections else 0)
    out = bytearray(section_at + len(headers) if sections else strings_at)
    parts = [(0, header), (64, programs), (TEXT, text), (TABLE, rodata), (data_at, data)]
    if sections:
        parts += [(strings_at, strings), (section_at, headers)]
    for at, part in parts:
        out[at:at + len(part)] = part
    return bytes(out)


def write(name, data):
    with open(os.path.join(OUT, name), "wb") as file:
        file.write(data)


def patched(data, offset, form, *values):
    out = bytearray(data)
    struct.pack_into("<" + form, out, offset, *values)
    return bytes(out)


def main():
    os.makedirs(OUT, exist_ok=True)
    good, old = program(), program(19, 0xfffffff0, "go1.19.13")
    write("sound-go1.26", good)
    write("sound-go1.19", old)
    write("sound-go1.27-stripped", program(27, 0xfffffff1, "go1.27.1", buildinfo=False, sections=False))
    write("unknown-go1.99", program(99, 0xfffffff1, "go1.99.1"))
    write("development", program(26, 0xfffffff1, "devel go1.27-0123456789"))
    write("empty", b"")
    write("script", b"#!/usr/bin/env -S node --enable-source-maps\n")
    write("script-endless", b"#!" + b"/a " * 400)
    write("elf-header-only", good[:64])
    write("elf-half-header", good[:40])
    write("cut-in-text", good[:TEXT + 16])
    write("cut-in-table", good[:TABLE + 256])
    write("elf32", patched(good, 4, "B", 1))
    write("big-endian", patched(good, 5, "B", 2))
    write("arm64", patched(good, 18, "H", 183))
    write("relocatable", patched(good, 16, "H", 1))
    write("many-programs", patched(good, 56, "H", 0xffff))
    write("segment-wraps", patched(good, 64 + 40, "Q", 0xffffffffffffffff))
    write("segment-cut-off", patched(good, 64 + 32, "QQ", 0x10000000, 0x10000000))
    write("go1.17-table", patched(good, TABLE, "I", 0xfffffffa))
    write("no-functions", patched(good, TABLE + 8, "Q", 0))
    write("endless-functions", patched(good, TABLE + 8, "Q", 0x7fffffffffffffff))
    write("names-behind-end", patched(good, TABLE + 32, "Q", 0xffffffffffffff00))
    write("functab-behind-end", patched(good, TABLE + 64, "Q", 0x7fffffff))
    rng = random.Random(1)
    for number in range(24):
        source = good if number % 2 else old
        broken = bytearray(source)
        for _ in range(rng.randrange(1, 12)):
            area = rng.choice([(0, 232), (TEXT, TEXT + 192), (TABLE, len(source))])
            broken[rng.randrange(*area)] = rng.choice([0, 1, 0x7f, 0x80, 0xff, rng.randrange(256)])
        write("mutated-%02d" % number, bytes(broken))


if __name__ == "__main__":
    main()
