#!/usr/bin/env python3
# tidy.py - what no compiler sees: links and names in the documents, functions that nobody calls, forgotten markers. One line each.
#
#   links       [text](file#heading) in a *.md leads to a file of the tree, and to a heading of it
#   names       folder/file in documents, man pages and comments of code is there (also as a pattern: *, {a,b})
#   options     `gtrace COMMAND --option' in a document is an option of that command, and each of them stands in its man page
#   variables   GTRACE_NAME in a document is read by something
#   functions   gt_name in a document is the name of something; each function declared in a header is called from somewhere, or public
#   markers     nothing is left to do
#   scripts     every script says in its first lines what it is; those for people (bench, tools) can be run by their names
import collections
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(ROOT)
FILES = subprocess.run(["git", "ls-files", "-z"], stdout=subprocess.PIPE, check=True).stdout.decode().split("\0")[:-1]
FILES = [f for f in FILES if os.path.isfile(f)]  # not what is removed and not yet committed
FOLDERS = {f.split("/")[0] for f in FILES if "/" in f}
SOURCE = (".c", ".h", ".cc", ".S", ".def")
# Go's packages of these names are not this project's folders.
GO_PACKAGES = ("runtime/trace", "runtime/pprof", "runtime/internal", "runtime/cgo")
bad = []


def read(path):
    return open(path, encoding="utf-8", errors="replace").read()


def tell(path, number, text):
    bad.append("%s:%d: %s" % (path, number, text))


def anchors(path):
    """The names by which headings of a Markdown file are reached."""
    found = set()
    for title in re.findall(r"^#+ (.*)$", read(path), re.M):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title).strip().lower()
        found.add(re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title)))
    return found


def links(path):
    for number, line in enumerate(read(path).splitlines(), 1):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, heading = target.partition("#")
            file = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            if not os.path.exists(file):
                tell(path, number, "no such file: %s" % target)
            elif heading and file.endswith(".md") and heading not in anchors(file):
                tell(path, number, "no such heading: %s" % target)


def braces(pattern):
    """a{b,c} as a shell reads it."""
    found = re.search(r"\{([^{}]*,[^{}]*)\}", pattern)
    if not found:
        return [pattern]
    return [p for middle in found.group(1).split(",") for p in braces(pattern[:found.start()] + middle + pattern[found.end():])]


def names(path):
    """Words like folder/file where folder is one of the project's."""
    text = read(path)
    if path.endswith(SOURCE):
        # Comments only, their lines where they were.
        comments = re.sub(r"[^\n]", " ", text)
        for c in re.finditer(r"/\*.*?\*/|//[^\n]*", text, re.S):
            comments = comments[:c.start()] + c.group() + comments[c.end():]
        text = comments
    here = os.path.dirname(path)
    for number, line in enumerate(text.splitlines(), 1):
        for word in re.findall(r"(?<![\w/.$}~@<-])((?:%s)/[\w./*{},-]*[\w*}/])" % "|".join(sorted(FOLDERS)), line.replace("\\-", "-")):
            if re.search(r"[A-Z]{2}", os.path.basename(word)) and "README" not in word or word.startswith(GO_PACKAGES):
                continue  # NAME stands for something
            for name in braces(word.rstrip("/")):
                places = [name, os.path.join(here, name)]
                # A file without its ending, and what is built from it.
                if not any(glob.glob(p) or glob.glob(p + ".*") for p in places):
                    tell(path, number, "no such file: %s" % name)


def options_of(command):
    """The options in cli/cmd_COMMAND.c, and those that record and attach share."""
    text = read("cli/cmd_%s.c" % command)
    if command in ("record", "attach"):
        text += read("cli/cmd_record.c") + read("cli/triggers.c")
    return set(re.findall(r'\{"([a-z][a-z-]+)", ', text)) | {"help", "usage", "version"}


def options(path, known):
    for number, line in enumerate(read(path).replace("\\-", "-").splitlines(), 1):
        for command, rest in re.findall(r"\bgtrace (%s)\b([^`'|]*)" % "|".join(known), line):
            rest = rest.split(" -- ")[0].split("./")[0]
            for option in re.findall(r"(?<=[\s\[])--([a-z][a-z-]+)", rest):
                if option not in known[command]:
                    tell(path, number, "gtrace %s has no --%s" % (command, option))


def main():
    code = {f: read(f) for f in FILES if f.endswith(SOURCE + (".py", ".sh", ".cmake", ".txt", ".js", ".mjs", ".go", ".in", ".cli")) or f in ("check", "demo")}
    documents = [f for f in FILES if re.search(r"\.(md|[1-8])$", f)]
    plain = {f: re.sub(r"/\*.*?\*/|//[^\n]*", "", t, flags=re.S) for f, t in code.items() if f.endswith(SOURCE)}
    count = collections.Counter(w for t in plain.values() for w in re.findall(r"\bgt_\w+", t))
    everything = "\n".join(code.values())
    known = {c: options_of(c) for c in re.findall(r'\{"(\w+)", gt_cmd_', read("cli/main.c"))}

    for path in documents:
        if path.endswith(".md"):
            links(path)
        names(path)
        options(path, known)
        for number, line in enumerate(read(path).replace("\\-", "-").replace("\\&", "").splitlines(), 1):
            for name in re.findall(r"(?<![\w-])GTRACE_[A-Z_]+\b", line):
                if name not in everything:
                    tell(path, number, "nothing reads %s" % name)
            for name in re.findall(r"\b(gt_[a-z0-9_]+[a-z0-9])\b(?![*._-])", line):
                if name not in everything and "docs/man/%s.3" % name not in FILES:
                    tell(path, number, "nothing is called %s" % name)
    for path in code:
        if path.endswith(SOURCE):
            names(path)
        for number, line in enumerate(code[path].splitlines(), 1):
            if re.search(r"\b(TODO|FIXME)\b|\bXXX\b", line) and path != "tools/tidy.py":
                tell(path, number, "a forgotten marker: %s" % line.strip()[:80])
        if re.search(r"\.(py|sh)$", path) and not re.search(r"^(#(?!!)|\"\"\")", "\n".join(code[path].splitlines()[:3]), re.M):
            tell(path, 1, "does not say what it is")
        if path.startswith(("bench/", "tools/")) and code[path].startswith("#!") and not os.access(path, os.X_OK):
            tell(path, 1, "is not executable")

    for path, text in plain.items():
        if not path.endswith(".h") or path.startswith("tests/"):
            continue
        for found in re.finditer(r"^(?!typedef)(static inline )?[a-z][\w \t*]*?\b(gt_\w+)\([^;{]*\)[^;{]*([;{])", text, re.M):
            inline, name = bool(found.group(1)), found.group(2)
            # Declared and defined is two, an inline function is one; the public ones are for others to call.
            if count[name] <= (1 if inline else 2) and "/include/" not in path:
                tell(path, text[:found.start()].count("\n") + 1, "nothing calls %s" % name)
    print("\n".join(sorted(bad)) or "%d documents, %d sources: nothing" % (len(documents), len(plain)))
    return 1 if bad else 0


sys.exit(main())
