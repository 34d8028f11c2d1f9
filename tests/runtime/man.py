#!/usr/bin/env python3
# man.py - each public function has its name in a man page of section 3, each name there is a function, and mandoc finds nothing.
import glob
import os
import re
import shutil
import subprocess
import sys

source = os.environ["GTRACE_SOURCE_DIR"]
bad = []

def code(path):
    text = open(path).read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.sub(r"//.*", "", text)

functions = {}
headers = [f"{source}/libtrace/include/gtrace/{name}.h" for name in ("flight", "gtrace", "hooks")]
for path in headers + sorted(glob.glob(f"{source}/runtime/include/gtrace/*.h")):
    text = code(path)
    # Prototypes and inline functions begin at the margin; macros by #define.
    for name in re.findall(r"^(?!#|\s|typedef)[^;{}()#]*?\b(gt_[a-z0-9]\w*)\s*\(", text, flags=re.M):
        functions.setdefault(name, path)
    for name in re.findall(r"^\s*#\s*define\s+(gt_[a-z0-9]\w*)", text, flags=re.M):
        functions.setdefault(name, path)
    # gt_chan(T) name(...)
    for name in re.findall(r"^GT_API\s+gt_chan\([^)]*\)\s+(gt_[a-z0-9]\w*)\s*\(", text, flags=re.M):
        functions.setdefault(name, path)

pages = {}
for path in sorted(glob.glob(f"{source}/docs/man/*.3")):
    names = re.search(r"^\.SH NAME\n(.*?)\\-", open(path).read(), flags=re.S | re.M)
    if not names:
        bad.append(f"{path}: no NAME")
        continue
    for name in re.split(r"[,\s]+", names.group(1).strip()):
        pages[name] = path
for name, path in functions.items():
    if name not in pages:
        bad.append(f"{name} of {os.path.relpath(path, source)} is in the NAME of no page in docs/man/*.3")
for name, path in pages.items():
    if name not in functions:
        bad.append(f"{name} of {os.path.relpath(path, source)} is in no public header")
if len(functions) < 80:
    bad.append(f"only {len(functions)} functions were found: the headers are not understood")

mandoc = shutil.which("mandoc")
if mandoc:
    for path in sorted(glob.glob(f"{source}/docs/man/*.[1-9]")):
        level = "error" if path.endswith(".1") else "warning"
        done = subprocess.run([mandoc, "-Tlint", "-W", level, path], capture_output=True, text=True)
        if done.returncode:
            bad.append(done.stdout.strip())
print("\n".join(bad) or f"{len(functions)} functions have their pages")
if bad:
    sys.exit(1)
if not mandoc:
    print("mandoc is not installed: the pages' form was not looked at")
    sys.exit(77)
