#!/usr/bin/env python3
# server.py - what a flight recorder costs a real Go server under load: caddy (from the Go module proxy) serving a file, wrk asking.
#
# One server process; gtrace attaches to it and leaves it again, so that each pair of measurements, with and without, is of the same process a moment apart.
# Throughput and p99 latency of each pair, with a 95 % confidence interval over the pairs; any error of a client is told and ends it.
import argparse
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

import measure
from harness import CACHE, go

CADDY = "github.com/caddyserver/caddy/v2/cmd/caddy"


def build(version, go_version):
    folder = os.path.join(CACHE, "server", version)
    out = os.path.join(folder, "caddy")
    if not os.path.exists(out):
        os.makedirs(folder, exist_ok=True)
        command, env = go(go_version)
        env.update(GOBIN=folder, CGO_ENABLED="0", GOFLAGS="-buildvcs=false -trimpath")
        subprocess.run(["nice", "-n", "19", command, "install", "%s@%s" % (CADDY, version)], env=env, cwd="/", check=True)
    return out


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(url, seconds, connections):
    out = subprocess.run(["wrk", "-t", "1", "-c", str(connections), "-d", "%ds" % seconds, "--latency", url], stdout=subprocess.PIPE, check=True).stdout.decode()
    if "Socket errors" in out or "Non-2xx" in out:
        raise SystemExit("server.py: clients met errors:\n" + out)
    number, unit = re.search(r"99%\s+([0-9.]+)(us|ms|s)", out).groups()
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", out).group(1)), float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


class Recorder:
    def __init__(self, options, pid, folder):
        self.run = subprocess.Popen([options.gtrace, "attach", "--flight", "--max-bytes", options.max_bytes, "-o", os.path.join(folder, "t.gtrace"), str(pid)], stderr=subprocess.PIPE)
        line = self.run.stderr.readline()
        if b"recording process" not in line:
            raise SystemExit("server.py: " + line.decode())

    def end(self):
        self.run.send_signal(signal.SIGINT)
        err = self.run.communicate()[1].decode()
        if self.run.returncode:
            raise SystemExit("server.py: " + err)
        return err


def told(name, values, better):
    middle, low, high = measure.interval([100 * (v - 1) for v in values])
    verdict = "not resolvable" if low <= 0 <= high else "%+.2f %%" % middle
    print("  %-12s with / without: median %+.2f %%, 95 %% interval %+.2f .. %+.2f %% of %d pairs (%s is better): %s" % (name, middle, low, high, len(values), better, verdict))


def main():
    parser = argparse.ArgumentParser(description="a flight recorder's cost to a Go server under load")
    parser.add_argument("--gtrace", default=measure.default_gtrace())
    parser.add_argument("--caddy", default="v2.10.0", help="version")
    parser.add_argument("--go", default="1.25.12")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--max-bytes", default="16M")
    options = parser.parse_args()
    caddy = build(options.caddy, options.go)
    print(measure.machine())
    with tempfile.TemporaryDirectory() as folder:
        root, port = os.path.join(folder, "www"), free_port()
        os.mkdir(root)
        with open(os.path.join(root, "page.html"), "w") as page:
            page.write("x" * 4096)
        env = dict(os.environ, HOME=folder, XDG_CONFIG_HOME=folder, XDG_DATA_HOME=folder)
        server = subprocess.Popen([caddy, "file-server", "--listen", "127.0.0.1:%d" % port, "--root", root], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = "http://127.0.0.1:%d/page.html" % port
            for _ in range(100):
                time.sleep(0.1)
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    pass
            ask(url, 1, options.connections)
            got, stops = {False: [], True: []}, []
            for pair in range(options.pairs):
                for on in (False, True) if pair % 2 else (True, False):
                    recorder = Recorder(options, server.pid, folder) if on else None
                    got[on].append(ask(url, options.seconds, options.connections))
                    if recorder:
                        err = recorder.end()
                        stops.append(re.search(r"([0-9.]+ \w+) at the longest", err).group(1))
                        snapshot = re.search(r"snapshot .*?: (.*)", err)
        finally:
            server.kill()
            server.wait()
        print("caddy %s, Go %s, %d connections, %d s each; without: median %.0f requests/s, p99 %.2f ms" % (
            options.caddy, options.go, options.connections, options.seconds, sorted(v[0] for v in got[False])[options.pairs // 2], sorted(v[1] for v in got[False])[options.pairs // 2]))
        told("requests/s", [a[0] / b[0] for a, b in zip(got[True], got[False])], "more")
        told("p99", [a[1] / b[1] for a, b in zip(got[True], got[False])], "less")
        print("  stops at the longest: %s" % ", ".join(stops))
        print("  the last window: %s" % (snapshot.group(1) if snapshot else "?"))


main()
