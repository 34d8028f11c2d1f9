#!/usr/bin/env python3
"""kinds.py GTRACE [--print]: who looks at a trace sees each kind of event, or tests/convert/kinds.table says why not.

kinds.gtt has all kinds. Each in turn is taken out of it, the times of all others kept; a view whose answer is then the same does not show that
kind. Counts of all events are no showing: they are taken out of the answers."""
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GTRACE = sys.argv[1]


def kinds_of_format():
    with open(os.path.join(ROOT, "format", "wire", "events.def")) as table:
        return re.findall(r'^GT_EVENT\(\d+,\s*\w+,\s*"(\w+)"', table.read(), re.M)


def without(lines, kind):
    """The trace's text, each line's dt kept from the line before it in the whole trace."""
    out, more = [], 0
    for line in lines:
        word = line.split(" ", 1)[0].strip()
        dt = re.search(r"\bdt=(\d+)", line)
        if word == "Events":
            more = 0
        if dt and word == kind:
            more += int(dt.group(1))
            continue
        if dt and more:
            line = line.replace(dt.group(0), "dt=%d" % (int(dt.group(1)) + more), 1)
            more = 0
        out.append(line)
    return "".join(out)


# ---- the views ----

def run(*argv):
    done = subprocess.run([GTRACE] + list(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit("%s: exit %d: %s" % (" ".join(argv), done.returncode, done.stderr.decode(errors="replace")))
    return done.stdout


def plain(to):
    return lambda path: run("convert", path, "--to", to, "-o", "-")


# What says how much there is in all, or where the file lies.
COUNTS = {"events", "events_expected", "file", "size", "size_bytes", "lost_told", "bytes", "name", "read_ns", "marks"}


def bare(value, path=()):
    if isinstance(value, dict):
        return {k: bare(v, path + (k,)) for k, v in value.items() if not (k in COUNTS and len(path) <= 1)}
    return [bare(v, path) for v in value] if isinstance(value, list) else value


def report(path):
    return json.dumps(bare(json.loads(run("report", "--json", path))), indent=1).encode()


class Page:
    """What the viewer's page can ask for."""

    def __init__(self, path):
        self.server = subprocess.Popen([GTRACE, "view", "--no-open", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.url = self.server.stdout.readline().decode().strip()

    def ask(self, what):
        try:
            with urllib.request.urlopen(self.url + "api/" + what, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            return b"%d" % error.code

    def json(self, what):
        return json.loads(self.ask(what))

    def all(self):
        while self.json("info").get("reading"):
            pass
        while "looking" in self.json("findings"):
            pass
        info = self.json("info")
        told = [info, self.json("findings")]
        whole = "t0=-1000&t1=1000000"
        for what in ("goroutines?limit=100", "goroutines?kind=6&limit=100", "counters?px=4000&" + whole, "marks?limit=1000&" + whole, "task?id=9", "latencies"):
            told.append((what, self.json(what)))
        for what in ("functions", "durations", "longest", "flames", "spans"):
            told.append((what, self.json(what + "?" + whole)))
        told.append(("samples", self.json("flames?samples=1&" + whole)))
        rows = 0
        while "error" not in json.dumps(self.json("rows?rows=%d" % rows)) and self.json("rows?rows=%d" % rows).get("rows"):
            told.append((rows, self.json("rows?rows=%d" % rows), self.json("regions?row=%d" % rows)))
            told.append(self.ask("pieces?px=100000&rows=%d&%s" % (rows, whole)).hex())
            for number in range(1000):
                one = self.json("slice?row=%d&slice=%d" % (rows, number))
                if "error" in one or not one:
                    break
                told.append(one)
            rows += 1
        return json.dumps(bare(told), indent=1, sort_keys=True).encode()

    def end(self):
        self.server.terminate()
        self.server.communicate()


def page(path):
    page = Page(path)
    try:
        return page.all()
    finally:
        page.end()


VIEWS = {"events": plain("events"), "perfetto": plain("perfetto"), "chrome": plain("json"), "report": report, "page": page}


def answers(text, folder):
    source, path = os.path.join(folder, "kinds.gtt"), os.path.join(folder, "kinds.gtrace")
    with open(source, "w") as out:
        out.write(text)
    if os.path.exists(path):
        os.unlink(path)
    run("convert", source, "--to", "gtrace", "-o", path)
    return {name: view(path) for name, view in VIEWS.items()}


def blind_of_table():
    blind = {}
    with open(os.path.join(HERE, "kinds.table")) as table:
        for line in table:
            if line.strip() and not line.startswith("#"):
                kind, views, reason = line.split(None, 2)
                blind[kind] = set(views.split(","))
    return blind


def difference(a, b):
    lines = difflib.unified_diff(a.decode(errors="replace").split("\n"), b.decode(errors="replace").split("\n"), lineterm="", n=0)
    return "\n  ".join(line[:160] for line in list(lines)[:12])


def main():
    kinds, table, failed = kinds_of_format(), blind_of_table(), 0
    with open(os.path.join(HERE, "kinds.gtt")) as source:
        lines = source.readlines()
    for kind in set(table) - set(kinds):
        sys.exit("kinds.table tells of %s, which is no kind of event" % kind)
    with tempfile.TemporaryDirectory() as folder:
        whole = answers("".join(lines), folder)
        run("check", os.path.join(folder, "kinds.gtrace"))
        again = answers("".join(lines), folder)
        for view in VIEWS:
            if whole[view] != again[view]:
                sys.exit("%s is not twice the same:\n  %s" % (view, difference(whole[view], again[view])))
        for kind in kinds:
            if not any(line.startswith(kind + " ") for line in lines):
                print("kinds.gtt has no %s" % kind)
                failed += 1
                continue
            part = answers(without(lines, kind), folder)
            for view in VIEWS:
                blind, told = part[view] == whole[view], view in table.get(kind, ())
                if "--print" in sys.argv and not blind and view in ("report", "page"):
                    print("%s in %s\n  %s" % (kind, view, difference(whole[view], part[view])))
                if blind and not told:
                    print("%s does not show %s: show it, or say in kinds.table why not" % (view, kind))
                elif told and not blind:
                    print("%s shows %s: kinds.table says that it does not" % (view, kind))
                failed += blind != told
    print("%d kinds in %d views, %d of them not shown for a reason: %s" % (len(kinds), len(VIEWS), sum(map(len, table.values())), "%d wrong" % failed if failed else "as the table says"))
    sys.exit(failed > 0)


main()
