#!/usr/bin/env python3
# test-summary.py FOLDER - adds up what ./check left there: JUnit files of ctest (PRESET.xml) and steps.tsv (name, status, reason).
#
# Prints failures and skips with their reasons, then one line: N passed, N failed, N skipped. A test that failed beside others and
# passed alone (PRESET.again.xml) is unsteady: told with the end of its first output, and counted apart; more than UNSTEADY_MAX of
# them are a failure. Exit status 1 on a failure; in CI also on a skip that tests/skips-allowed.txt (lines of `pattern: reason`) does not name.
import glob
import os
import re
import sys
import xml.etree.ElementTree as ET


UNSTEADY_MAX = 3


def failed(test):
    return test.find("failure") is not None or test.get("status") == "fail"


def results(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.xml"))):
        if path.endswith(".again.xml"):
            continue
        preset = os.path.basename(path)[:-4]
        again = path[:-4] + ".again.xml"
        alone = {t.get("name") for t in ET.parse(again).getroot().iter("testcase") if t.get("status") == "run" and not failed(t)} if os.path.exists(again) else set()
        for test in ET.parse(path).getroot().iter("testcase"):
            output = (test.findtext("system-out") or "").strip().splitlines()
            last = output[-1] if output else ""
            if failed(test) and test.get("name") in alone:
                yield preset + "/" + test.get("name"), "unsteady", "failed, then passed alone; the first time it said:\n    " + "\n    ".join(output[-20:])
            elif failed(test):
                yield preset + "/" + test.get("name"), "failed", "\n    ".join(output[-20:])
            elif test.find("skipped") is not None or test.get("status") in ("notrun", "disabled"):
                yield preset + "/" + test.get("name"), "skipped", last
            else:
                yield preset + "/" + test.get("name"), "passed", output
    steps = os.path.join(folder, "steps.tsv")
    if os.path.exists(steps):
        for line in open(steps):
            name, status, reason = (line.rstrip("\n").split("\t") + ["", ""])[:3]
            yield name, status, reason


def main():
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    allowed = []
    path = os.path.join(root, "tests", "skips-allowed.txt")
    if os.path.exists(path):
        allowed = [line.split(":")[0].strip() for line in open(path) if line.strip() and not line.startswith("#")]
    count = {"passed": 0, "failed": 0, "skipped": 0, "unsteady": 0}
    refused = False
    for name, status, reason in results(sys.argv[1]):
        count[status] += 1
        if status == "passed":
            continue
        note = ""
        if status == "skipped" and os.environ.get("CI") == "true" and not any(re.fullmatch(p, name) for p in allowed):
            note, refused = " (a skip is a failure in CI)", True
        print("%s  %s: %s%s" % (status, name, reason or "no reason given", note))
    unsteady = ", %d unsteady" % count["unsteady"] if count["unsteady"] else ""
    print("%d passed, %d failed, %d skipped%s" % (count["passed"], count["failed"], count["skipped"], unsteady))
    return 1 if count["failed"] or refused or not count["passed"] or count["unsteady"] > UNSTEADY_MAX else 0


sys.exit(main())
