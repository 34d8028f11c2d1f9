#!/usr/bin/env python3
# run.py - the end-to-end tests: run.py --gtrace PATH [CASE...]; --list names the cases.
#
# Environment: GTRACE_GO_VERSIONS (oldest, middle, newest, numbers as 1.25.0, with commas; or all), GTRACE_RUNS (a number, or long for the full counts),
# GTRACE_CACHE (built programs; default build/cache), GTRACE_KEEP.
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import harness  # noqa: E402
import cases_snapshot  # noqa: E402,F401
import cases_story  # noqa: E402,F401
import cases_same  # noqa: E402,F401
import cases_hard  # noqa: E402,F401
import cases_view  # noqa: E402,F401
import cases_trigger  # noqa: E402,F401
import cases_alike  # noqa: E402,F401
import cases_attach  # noqa: E402,F401
import cases_gc  # noqa: E402,F401
import cases_calls  # noqa: E402,F401
import cases_kernel  # noqa: E402,F401
import cases_linked  # noqa: E402,F401
import cases_odd  # noqa: E402,F401


def main():
    parser = argparse.ArgumentParser(description="end-to-end tests of gtrace")
    parser.add_argument("--gtrace", default=os.path.join(harness.ROOT, "build", "dev", "bin", "gtrace"))
    parser.add_argument("--list", action="store_true")
    parser.add_argument("cases", nargs="*")
    options = parser.parse_args()
    if options.list:
        print("\n".join(harness.CASES))
        return 0
    unknown = [name for name in options.cases if name not in harness.CASES]
    if unknown:
        print("no such case: " + ", ".join(unknown))
        return 2
    return harness.main(os.path.abspath(options.gtrace), options.cases or list(harness.CASES))


sys.exit(main())
