#!/usr/bin/env python3
"""pftrace.py FILE... - a Perfetto trace as text: an own reader of protobuf that knows nothing of how the file was written.

Every field of every packet, with names for those that gtrace writes. Fails when a byte belongs to nothing, a packet is too
long, text is no UTF-8, or a number was not told of before it is used."""
import struct
import sys

PACKET_MAX = 4096
N, F, S = "number", "fixed64", "text"
CLOCK = {1: ("clock_id", N), 2: ("timestamp", N)}
ANNOTATION = {1: ("name_iid", N), 3: ("uint", N), 6: ("string", S), 7: ("pointer", N), 10: ("name", S), 17: ("string_iid", N)}
NAMED = {1: ("iid", N), 2: ("name", S)}
MESSAGE = {"packet": {
    6: ("clock_snapshot", {1: ("clock", CLOCK), 2: ("primary", N)}), 8: ("timestamp", N), 10: ("sequence", N),
    11: ("track_event", {3: ("category_iid", N), 4: ("annotation", ANNOTATION), 9: ("type", N), 10: ("name_iid", N), 11: ("track", N), 22: ("category", S),
                         23: ("name", S), 30: ("counter", N), 47: ("flow", F), 48: ("ends_flow", F), 56: ("callstack_iid", N)}),
    12: ("interned", {1: ("category", NAMED), 2: ("event_name", NAMED), 3: ("annotation_name", NAMED), 5: ("function", NAMED),
                      6: ("frame", {1: ("iid", N), 2: ("function_iid", N), 5: ("path_iid", N), 6: ("line", N)}),
                      7: ("callstack", {1: ("iid", N), 2: ("frame_iid", N)}), 18: ("path", NAMED), 29: ("annotation_string", NAMED)}),
    13: ("flags", N), 59: ("defaults", {58: ("clock_id", N)}),
    60: ("track", {1: ("uuid", N), 2: ("name", S), 3: ("process", {1: ("pid", N), 6: ("name", S)}),
                   4: ("thread", {1: ("pid", N), 2: ("tid", N), 5: ("name", S)}), 5: ("parent", N),
                   8: ("counter", {3: ("unit", N), 6: ("unit_name", S), 7: ("y_axis", S)}), 11: ("ordering", N), 12: ("rank", N), 14: ("description", S)}),
    98: ("machine", N),
    117: ("state", {1: ("cpu", N), 3: ("tid", N), 4: ("state", N), 5: ("prio", N)}),
    122: ("processes", {1: ("process", {1: ("pid", N), 2: ("parent", N), 3: ("name", S)}),
                        2: ("thread", {1: ("tid", N), 2: ("pid", N), 3: ("name", S)})})}}["packet"]
USES = {"category_iid": "category", "callstack_iid": "callstack", "function_iid": "function", "path_iid": "path", "frame_iid": "frame",
        "string_iid": "annotation_string"}


def varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("a varint without an end at %d" % at)
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = data[at:at + 8], at + 8
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise ValueError("wire type %d at %d" % (kind, at))
        if at > len(data):
            raise ValueError("a field goes beyond its message")
        yield tag >> 3, kind, value


def show(data, message):
    out = []
    for number, kind, value in fields(data):
        if number not in message:
            raise ValueError("field %d is none of %s" % (number, sorted(message)))
        name, what = message[number]
        if kind != {N: 0, F: 1}.get(what if isinstance(what, str) else S, 2):
            raise ValueError("%s has wire type %d" % (name, kind))
        if what == N:
            out.append((name, value))
        elif what == F:
            out.append((name, struct.unpack("<Q", value)[0]))
        elif what == S:
            out.append((name, value.decode("utf-8")))
        else:
            out.append((name, show(value, what)))
    return out


def text(tree):
    return " ".join("%s{%s}" % (k, text(v)) if isinstance(v, list) else "%s=%s" % (k, ascii(v) if isinstance(v, str) else v) for k, v in tree)


class Known:
    """What was told of so far: interned numbers, tracks."""

    def __init__(self):
        self.tables, self.tracks = {}, set()

    def check(self, tree, where="packet"):
        for name, value in tree:
            if isinstance(value, list):
                if where == "interned":
                    self.tables.setdefault(name, set()).add(dict(value)["iid"])
                self.check(value, name)
            used = USES.get(name) or ({"track_event": "event_name", "annotation": "annotation_name"}.get(where) if name == "name_iid" else None)
            if used and value not in self.tables.get(used, ()):
                raise ValueError("%s %d was not told of" % (used, value))
            if where == "track_event" and name == "track" and value not in self.tracks:
                raise ValueError("track %d was not told of" % value)
            if where == "track" and name == "uuid":
                self.tracks.add(value)


def read(path, show_it):
    with open(path, "rb") as file:
        data = file.read()
    known, longest, count = Known(), 0, 0
    for number, kind, packet in fields(data):
        if (number, kind) != (1, 2):
            raise ValueError("field %d is no packet" % number)
        tree = show(packet, MESSAGE)
        if dict(tree).get("sequence") == 1 and dict(tree).get("flags") == 1:
            known.tables = {}
        known.check(tree)
        longest, count = max(longest, len(packet)), count + 1
        if show_it:
            print(len(packet), text(tree))
    if longest > PACKET_MAX:
        raise ValueError("a packet of %d bytes" % longest)
    if not show_it:
        print("%s: %d packets, the longest has %d bytes" % (path, count, longest))


if __name__ == "__main__":
    for path in sys.argv[1:]:
        read(path, len(sys.argv) == 2)
