#!/usr/bin/env python3
# server.py - what a flight recorder costs real Go servers under load: throughput, p99 latency, CPU time a request, with and without it.
#
#   prometheus, nats-server, etcd   as Debian ships them (apt-get download; Go 1.19, dynamically linked)
#   caddy                           from the Go module proxy, built by a newer Go
#
# One server process, never started anew: gtrace attaches to it and leaves it again. Measurements without and with it alternate, and
# each one with it is held against the mean of its two neighbours without: what changes slowly on the machine falls out. The same is done
# with those without among themselves; what comes out there, though nothing differs, is what the machine does. A difference that is
# smaller than half the width of its 95 % interval is told as not resolvable. Any error of a client fails the run.
import argparse
import glob
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

import measure
from harness import CACHE, go, latest

NEWER_GO = latest("1.25")
CADDY = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.10.0"


def debian(package, program):
    """A program out of Debian's package, which is not installed."""
    folder = os.path.join(CACHE, "server", package)
    found = glob.glob(os.path.join(folder, "usr", "*bin", program))
    if not found:
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], cwd=folder, stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["dpkg", "-x"] + glob.glob(os.path.join(folder, "*.deb"))[:1] + [folder], check=True)
        found = glob.glob(os.path.join(folder, "usr", "*bin", program))
    return found[0]


def build(name, package, cwd="/"):
    """A Go program, of a module or of a folder of ours."""
    folder = os.path.join(CACHE, "server", name)
    out = os.path.join(folder, name)
    if not os.path.exists(out):
        os.makedirs(folder, exist_ok=True)
        command, env = go(NEWER_GO)
        env.update(GOBIN=folder, CGO_ENABLED="0", GOFLAGS="-buildvcs=false -trimpath")
        subprocess.run(["nice", "-n", "19", command, "install", package], env=env, cwd=cwd, check=True)
    return out


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def serverload(url, options):
    """Our own client: at a rate, or as fast as the server answers."""
    client = build("serverload", ".", os.path.join(measure.ROOT, "bench", "serverload"))
    command = [client, url, str(options.connections), "%ds" % options.seconds] + ([str(options.rate)] if options.rate else [])
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.split()
    return float(out[0]), float(out[1]), int(out[2])


def wrk(url, options, *more):
    if options.rate:
        return serverload(url, options)
    out = subprocess.run(["wrk", "-t", "1", "-c", str(options.connections), "-d", "%ds" % options.seconds, "--latency"] + list(more) + [url], stdout=subprocess.PIPE, check=True).stdout.decode()
    number, unit = re.search(r"99%\s+([0-9.]+)(us|ms|s)", out).groups()
    errors = sum(int(n) for line in out.splitlines() if "Socket errors" in line or "Non-2xx" in line for n in re.findall(r"\d+", line.replace("2xx", "").replace("3xx", "")))
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", out).group(1)), float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit], errors


class Caddy:
    name = "caddy serves a file of 4 KiB"

    def start(self, folder):
        root, self.port = os.path.join(folder, "www"), free_port()
        os.mkdir(root)
        with open(os.path.join(root, "page.html"), "w") as page:
            page.write("x" * 4096)
        return [build("caddy", CADDY), "file-server", "--listen", "127.0.0.1:%d" % self.port, "--root", root]

    def ask(self, options):
        return wrk("http://127.0.0.1:%d/page.html" % self.port, options)


class Prometheus:
    name = "prometheus answers a query"

    def start(self, folder):
        self.port, config = free_port(), os.path.join(folder, "prometheus.yml")
        with open(config, "w") as out:
            out.write('global: {scrape_interval: 1s}\nscrape_configs: [{job_name: self, static_configs: [{targets: ["127.0.0.1:%d"]}]}]\n' % self.port)
        return [debian("prometheus", "prometheus"), "--config.file", config, "--storage.tsdb.path", os.path.join(folder, "data"), "--web.listen-address", "127.0.0.1:%d" % self.port]

    def ask(self, options):
        return wrk("http://127.0.0.1:%d/api/v1/query?query=sum(rate(prometheus_http_requests_total[1m]))" % self.port, options)


class Etcd:
    name = "etcd answers a linearizable read"

    def start(self, folder):
        self.port, peer, self.script = free_port(), free_port(), os.path.join(folder, "post.lua")
        with open(self.script, "w") as out:
            out.write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = \'{"key":"Zm9v"}\'\n')
        client = "http://127.0.0.1:%d" % self.port
        other = "http://127.0.0.1:%d" % peer
        return [debian("etcd-server", "etcd"), "--data-dir", os.path.join(folder, "data"), "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", other, "--initial-advertise-peer-urls", other, "--initial-cluster", "default=" + other]

    def ask(self, options):
        return wrk("http://127.0.0.1:%d/v3/kv/range" % self.port, options, "-s", self.script)


class Nats:
    name = "nats-server gives a message back to its sender"

    def start(self, folder):
        self.port = free_port()
        return [debian("nats-server", "nats-server"), "-a", "127.0.0.1", "-p", str(self.port)]

    def ask(self, options):
        return serverload("nats://127.0.0.1:%d" % self.port, options)


SERVERS = {"caddy": Caddy, "prometheus": Prometheus, "nats": Nats, "etcd": Etcd}


def cpu_ns(pid):
    """Of all threads that live; a Go program's rarely end."""
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        try:
            total += int(open(path).read().split()[0])
        except OSError:
            pass
    return total


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


class Measured:
    """One measurement: requests a second, p99 in ms, CPU time of server and recorder a request."""

    def __init__(self, server, options, pid, recorder=None):
        time.sleep(options.settle)  # what attaching and leaving stirred up; as long without
        begin, begin_own = cpu_ns(pid), cpu_ns(recorder.run.pid) if recorder else 0
        self.rate, self.p99, self.errors = server.ask(options)
        requests = max(1, self.rate * options.seconds)
        self.cpu = (cpu_ns(pid) - begin) / requests
        self.own_cpu = (cpu_ns(recorder.run.pid) - begin_own) / requests if recorder else 0


def against_neighbours(middle, before, after, key):
    return 100 * (2 * getattr(middle, key) / (getattr(before, key) + getattr(after, key)) - 1)


def told(name, values, control, worse):
    """@worse: 1 when more is worse, else -1."""
    middle, low, high = measure.interval(values)
    nothing, control_low, control_high = measure.interval(control)
    half = (high - low) / 2
    verdict = "not resolvable, but for differences of %.1f %% and more" % half if low <= 0 <= high else "%+.2f %%" % middle
    if (low if worse > 0 else -high) > 1:
        verdict += ": worse by more than 1 %"
    print("  %-22s %+6.2f %%, 95 %% interval %+.2f to %+.2f of %d; where nothing differs %+.2f to %+.2f: %s" % (name, middle, low, high, len(values), control_low, control_high, verdict))


def warm(server, options):
    """Until it gets no faster."""
    best = 0
    for _ in range(8):
        rate = server.ask(options)[0]
        if rate < 1.03 * best:
            return
        best = rate


def measured(name, options):
    server = SERVERS[name]()
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, HOME=folder, XDG_CONFIG_HOME=folder, XDG_DATA_HOME=folder, XDG_RUNTIME_DIR=folder)
        os.chmod(folder, 0o700)
        command = server.start(folder)
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.environ["XDG_RUNTIME_DIR"] = folder
        try:
            for _ in range(300):
                time.sleep(0.1)
                try:
                    socket.create_connection(("127.0.0.1", server.port)).close()
                    break
                except OSError:
                    pass
            warm(server, options)
            without, with_it, stops = [Measured(server, options, process.pid)], [], []
            for _ in range(options.pairs):
                recorder = Recorder(options, process.pid, folder)
                with_it.append(Measured(server, options, process.pid, recorder))
                err = recorder.end()
                stops.append(re.search(r"([0-9.]+ \w+) at the longest", err).group(1))
                snapshot = re.search(r"snapshot \S*?: (.*)", err)
                without.append(Measured(server, options, process.pid))
            expect_alive = process.poll() is None
        finally:
            process.kill()
            process.wait()
    errors = sum(m.errors for m in without + with_it)
    rates = sorted(m.rate for m in without)
    p99s = sorted(m.p99 for m in without)
    cpus = sorted(m.cpu for m in without)
    print("%s: %d connections, %d times %d s with it; without: medians %.0f/s, p99 %.2f ms, %.1f us of CPU time each; errors of clients: %d" % (
        server.name, options.connections, options.pairs, options.seconds, rates[len(rates) // 2], p99s[len(p99s) // 2], cpus[len(cpus) // 2] / 1000, errors))
    own = sorted(100 * m.own_cpu / without[i].cpu for i, m in enumerate(with_it))
    for what, key, worse in (("throughput", "rate", -1), ("p99", "p99", 1), ("its CPU time a request", "cpu", 1)):
        told(what, [against_neighbours(m, without[i], without[i + 1], key) for i, m in enumerate(with_it)],
             [against_neighbours(without[i], without[i - 1], without[i + 1], key) for i in range(1, len(without) - 1)], worse)
    print("  gtrace's own CPU time: %.1f %% of the server's" % own[len(own) // 2])
    print("  stood still at the longest, each time: %s" % ", ".join(stops))
    print("  the last window: %s" % (snapshot.group(1) if snapshot else "?"))
    return errors == 0 and expect_alive


def main():
    parser = argparse.ArgumentParser(description="a flight recorder's cost to Go servers under load")
    parser.add_argument("servers", nargs="*", default=["caddy", "prometheus", "nats"], help="of " + ", ".join(SERVERS))
    parser.add_argument("--gtrace", default=measure.default_gtrace())
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement")
    parser.add_argument("--settle", type=float, default=0.3, help="seconds before each")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=int, default=0, help="requests a second (default: as many as the server answers); not of etcd")
    parser.add_argument("--max-bytes", default="16M")
    options = parser.parse_args()
    if options.pairs < 3 or any(name not in SERVERS for name in options.servers) or (options.rate and "etcd" in options.servers):
        parser.error("at least 3 pairs; servers are " + ", ".join(SERVERS) + "; etcd only without --rate")
    print(measure.machine())
    good = [measured(name, options) for name in options.servers]
    if not all(good):
        raise SystemExit("server.py: clients met errors, or the server ended")


main()
