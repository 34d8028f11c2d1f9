#!/usr/bin/env python3
# event-table.py [--check] - writes the table of events and states in docs/format.md from format/wire/*.def; --check only compares.
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "format.md")
BEGIN, END = "<!-- from events.def -->\n", "<!-- to here -->\n"


def entries(name, macro):
    text = open(os.path.join(ROOT, "format", "wire", name)).read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for match in re.finditer(macro + r"\((.*?)\)\s*(?=%s\(|\Z)" % macro, text, flags=re.S):
        yield match.group(1)


def table():
    out = ["| number | event | arguments | meaning |", "|---|---|---|---|"]
    for entry in entries("events.def", "GT_EVENT"):
        number, _, text, rest = [part.strip() for part in entry.split(",", 3)]
        args = ", ".join("%s %s" % (a, b.lower()) for a, b in re.findall(r"A\((\w+), (\w+)\)", rest))
        meaning = re.search(r'"([^"]*)"\s*$', rest).group(1)
        out.append("| %s | %s | %s | %s |" % (number, text.strip('"'), args or "-", meaning))
    out += ["", "| state | text | meaning |", "|---|---|---|"]
    for entry in entries("states.def", "GT_STATE"):
        number, _, text, meaning = [part.strip() for part in entry.split(",", 3)]
        out.append("| %s | %s | %s |" % (number, text.strip('"'), meaning.strip('"')))
    out += ["", "| reason | text |", "|---|---|"]
    for entry in entries("reasons.def", "GT_REASON"):
        number, _, text = [part.strip() for part in entry.split(",", 2)]
        out.append("| %s | %s |" % (number, text.strip('"')))
    for name, macro, head in (("objects.def", "GT_OBJECT", "object | text | what its number holds"),
                              ("causes.def", "GT_CAUSE", "cause | text | detail")):
        out += ["", "| %s |" % head, "|---|---|---|"]
        for entry in entries(name, macro):
            number, _, text, meaning = [part.strip() for part in entry.split(",", 3)]
            out.append("| %s | %s | %s |" % (number, text.strip('"'), meaning.strip('"')))
    out += ["", "| set | by default | events |", "|---|---|---|"]
    for entry in entries("sets.def", "GT_SET"):
        _, _, text, default, meaning = [part.strip() for part in entry.split(",", 4)]
        out.append("| %s | %s | %s |" % (text.strip('"'), "yes" if default == "1" else "no", meaning.strip('"')))
    return "\n".join(out) + "\n"


def main():
    page = open(PAGE).read()
    if BEGIN not in page or END not in page:
        sys.exit("docs/format.md has no place for the table")
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    made = page[:begin] + table() + page[end:]
    if "--check" in sys.argv[1:]:
        if made != page:
            sys.exit("docs/format.md is not what format/wire/*.def say: run tools/event-table.py")
    elif made != page:
        open(PAGE, "w").write(made)


main()
