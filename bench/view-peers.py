#!/usr/bin/env python3
"""view-peers.py [FILE] - until one of Go's own traces is seen: `gtrace view` beside `go tool trace`, time and most memory of each.

Without FILE a program traces itself until there are about 100 MB (as go-traces.py). Needs the release build and a Go toolchain.
    first picture   go tool trace: its server has given the JSON of the first window, as its page asks for it
                    gtrace view:   its server has given the page, what it asks first, and slices to draw
    whole           gtrace view:   the same, when all of the trace has been read (go tool trace shows nothing before)
Pairs of both, one after the other, GTRACE_BENCH_RUNS times (3); a ratio is one of a pair, told are the median and both ends. The file is in
the page cache for both."""
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "import"))
sys.path.insert(0, os.path.join(ROOT, "bench"))
from golang import newest  # noqa: E402

GTRACE = os.path.join(ROOT, "build", "release", "bin", "gtrace")
RUNS = int(os.environ.get("GTRACE_BENCH_RUNS", "3"))


def peak(process):
    return next(int(line.split()[1]) / 1024 for line in open("/proc/%d/status" % process.pid) if line.startswith("VmHWM"))


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        sys.exit("%s: %d" % (path, answer.status))
    return body


def go_tool(tool, env, path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = time.monotonic()
    process = subprocess.Popen([tool, "-http=127.0.0.1:%d" % port, path], env=dict(env, BROWSER="true"), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                page = get(port, "/").decode()
                break
            except ConnectionError:
                if process.poll() is not None:
                    sys.exit("go tool trace ended")
                time.sleep(0.02)
        # A long trace is shown in windows: the first of them.
        window = (re.findall(r'href="(/trace\?[^"]*start=[^"]*)"', page) or ["/trace"])[0].replace("&amp;", "&")
        viewer = get(port, window).decode()
        asks = re.search(r"/jsontrace\?[^'\"]*", viewer)
        query = urllib.parse.urlsplit(asks.group(0) if asks else window).query
        events = json.loads(get(port, "/jsontrace?" + query))["traceEvents"]
        seconds = time.monotonic() - begin
        if not events:
            sys.exit("go tool trace gave no events")
        return {"first": seconds, "peak": peak(process)}
    finally:
        process.kill()
        process.wait()


def gtrace(path):
    begin = time.monotonic()
    process = subprocess.Popen([GTRACE, "view", "--no-open", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    out = {}
    try:
        address = urllib.parse.urlsplit(process.stdout.readline().decode().strip())
        ask = lambda what: get(address.port, address.path + what)
        for name in ["", "style.css"] + re.findall(r'src="([^"]+\.js)"', ask("").decode()):
            ask(name)
        while "whole" not in out:
            info = json.loads(ask("api/info"))
            rows = [row["row"] for row in info["rows"]] + [row["row"] for row in json.loads(ask("api/goroutines?limit=40"))["rows"]]
            ask("api/counters?px=1200")
            t0, t1 = info["begin_ns"], max(info["begin_ns"] + 1, info["span_ns"])
            pieces = ask("api/pieces?t0=%d&t1=%d&px=1400&rows=%s" % (t0, t1, ",".join(map(str, rows[:80])))) if rows else b""
            # Each row has a head of 8 bytes.
            if len(pieces) > 8 * len(rows):
                out.setdefault("first", time.monotonic() - begin)
                if not info["reading"]:
                    out["whole"] = time.monotonic() - begin
            time.sleep(0.01)
        out["peak"] = peak(process)
        out["events"] = info["events"]
        return out
    finally:
        process.terminate()
        process.wait()


def told(name, values, unit):
    values = sorted(values)
    print("%-44s %8.1f%s  (%.1f to %.1f)" % (name, statistics.median(values), unit, values[0], values[-1]), flush=True)


def main():
    if len(sys.argv) > 1 and not os.path.isfile(sys.argv[1]):
        sys.exit("usage: " + __doc__.split("\n")[0])
    go = newest()
    if not go:
        sys.exit("no Go toolchain here")
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            path = sys.argv[1]
        else:
            path = __import__("go-traces").make(go, folder)
        tool = subprocess.run([go.go, "tool", "-n", "trace"], env=go.env, stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        theirs, ours = [], []
        for _ in range(RUNS):
            ours.append(gtrace(path))
            theirs.append(go_tool(tool, go.env, path))
        print("%.1f MB, %d events, Go %s, %d pairs: median (least to most)" % (os.path.getsize(path) / 1e6, ours[0]["events"], go.version, RUNS))
        told("go tool trace, first picture", [run["first"] for run in theirs], " s")
        told("gtrace view, first picture", [run["first"] for run in ours], " s")
        told("gtrace view, whole", [run["whole"] for run in ours], " s")
        told("go tool trace, most memory", [run["peak"] for run in theirs], " MiB")
        told("gtrace view, most memory", [run["peak"] for run in ours], " MiB")
        pairs = list(zip(theirs, ours))
        told("times faster, first picture", [a["first"] / b["first"] for a, b in pairs], " x")
        told("times faster, whole", [a["first"] / b["whole"] for a, b in pairs], " x")
        told("times less memory", [a["peak"] / b["peak"] for a, b in pairs], " x")


if __name__ == "__main__":
    main()
