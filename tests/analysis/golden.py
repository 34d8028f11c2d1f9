# golden.py - what gtrace report and the profiles say of one small trace, word for word; its JSON against the page that tells its members.
#
#   golden.py --gtrace PATH [--update]
import argparse
import difflib
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))


def paths(value, at=""):
    """Each member of the JSON as docs/report-json.md names it: groups[].start."""
    if isinstance(value, dict):
        # Keyed by what the trace tells, not by name.
        free = at.endswith("reasons") or at.endswith("stw_by_kind")
        for key, inner in value.items():
            name = (at + "." if at else "") + ("*" if free else key)
            yield name
            yield from paths(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, at + "[]")


def documented():
    text = open(os.path.join(SOURCE, "docs", "report-json.md")).read()
    return set(re.findall(r"^\| `([^`]+)`", text, re.M))


def check_json(text, compared):
    failed = 0
    told = documented()
    for name in sorted(set(paths(json.loads(text))) | set(paths(json.loads(compared)))):
        # Stacks are told once.
        name = re.sub(r"(culprit_)?stack\[\]\.(function|file|line)$", "stack[].\\2", name)
        if name.endswith(("stack[].function", "stack[].file", "stack[].line")):
            name = name[name.rindex("stack[]"):]
        # Both sides of a comparison are told once.
        name = re.sub(r"^(before|now)\.(?!file)", "*.", name)
        name = re.sub(r"^groups\[\]\.cpu\.", "cpu.", name)
        if name.startswith("*.findings[]") or name == "now.file":
            continue
        if re.search(r"\.(count|total_ns|max_ns|max_at_ns|max_goroutine)$", name) and name.rsplit(".", 1)[0] in told:
            continue  # what the page calls a stat
        if name not in told:
            print("docs/report-json.md lacks " + name)
            failed = 1
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gtrace", required=True)
    parser.add_argument("--update", action="store_true")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="gtrace-golden-")
    failed = 0

    def run(*command):
        return subprocess.run([args.gtrace] + list(command), cwd=folder, check=True, stdout=subprocess.PIPE).stdout.decode()

    try:
        run("convert", os.path.join(HERE, "golden.gtt"), "--to", "gtrace", "-o", "shop.gtrace")
        run("check", "shop.gtrace")
        outputs = {"report": run("report", "shop.gtrace"), "json": run("report", "--json", "shop.gtrace"),
                   "compare": run("report", "shop.gtrace", "shop.gtrace"), "csv": run("convert", "shop.gtrace", "--to", "csv", "-o", "-")}
        for profile in ("sync-block", "sched-latency", "syscall-block", "network-block", "alloc", "cpu"):
            outputs["folded-" + profile] = run("convert", "shop.gtrace", "--to=folded", "--profile=" + profile, "-o", "-")
            run("convert", "shop.gtrace", "-o", "x.pb.gz", "--profile", profile)
            gzip.decompress(open(os.path.join(folder, "x.pb.gz"), "rb").read())
        for name, text in outputs.items():
            path = os.path.join(HERE, "golden." + name)
            if args.update:
                open(path, "w").write(text)
            elif text != open(path).read():
                print("not as in %s (--update writes it):" % path)
                lines = difflib.unified_diff(open(path).read().splitlines(), text.splitlines(), "expected", "told", lineterm="", n=1)
                print("\n".join(list(lines)[:60]))
                failed = 1
        failed |= check_json(outputs["json"], run("report", "--json", "shop.gtrace", "shop.gtrace"))
    finally:
        shutil.rmtree(folder)
    return failed


if __name__ == "__main__":
    sys.exit(main())
