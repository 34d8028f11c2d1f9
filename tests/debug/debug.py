"""debug.py SERVER GTRACE - the debug server from outside: every path, every refusal, crowds and bad clients.

Nothing here depends on how fast the machine is: waits have bounds that are never the expected time.
"""
import concurrent.futures
import gzip
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

server, gtrace = sys.argv[1:3]
folder = tempfile.mkdtemp()
program = subprocess.Popen([server, "1000"], stdout=subprocess.PIPE, text=True)
port, strict_port, burn = program.stdout.readline().split()
port, strict_port = int(port), int(strict_port)
failures = []


def check(good, what):
    if not good:
        failures.append(what)
        print("FAILED:", what, flush=True)


def ask(path, method="GET", headers={}, body=None, to=None):
    """Status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", to or port, timeout=60)
    connection.request(method, path, headers=headers, body=body)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, answer.headers, data


def raw(data, to=None, end=False):
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", to or port), timeout=60) as s:
        try:
            s.sendall(data)
            if end:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        got = b""
        while True:
            try:
                part = s.recv(65536)
            except ConnectionError:
                break
            if not part:
                break
            got += part
        return got


def patient(to):
    """The status; 0 when we were too slow for the server."""
    try:
        return ask("/debug/pprof/cmdline", to=to)[0]
    except (OSError, http.client.HTTPException):
        return 0


def statuses(data):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d\d\d) [A-Z]", data)]


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def index():
    status, headers, body = ask("/debug/pprof/")
    check(status == 200 and headers["Content-Type"].startswith("text/html"), "index: %d" % status)
    check(headers["X-Content-Type-Options"] == "nosniff", "index: nosniff")
    for name in ["cmdline", "profile", "symbol", "trace"] + profiles:
        check(("<a href='%s?debug=1'>%s</a>" % (name, name)).encode() in body, "index names " + name)
    for path in ["/debug/pprof", "/"]:
        status, headers, _ = ask(path)
        check(status == 301 and headers["Location"] == "/debug/pprof/", path)


def small_pages():
    status, headers, body = ask("/debug/pprof/cmdline")
    check(body == server.encode() + b"\0" + b"1000", "cmdline: %r" % body)
    check(headers["Content-Type"] == "text/plain; charset=utf-8", "cmdline: type")
    check(ask("/debug/pprof/symbol")[2] == b"num_symbols: 1\n", "symbol of nothing")
    status, _, body = ask("/debug/pprof/symbol?" + burn + "+0x1+junk")
    check(status == 200 and body.startswith(b"num_symbols: 1\n"), "symbol: %r" % body)
    check(ask("/debug/pprof/symbol", "POST", body=burn + "+0x1+junk")[2] == body, "symbol by POST")
    status, headers, body = ask("/metrics")
    check(status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4"), "metrics")
    check(b"\ngo_goroutines " in body, "metrics: go_goroutines")


def refusals():
    check(ask("/nothing")[0] == 404 and ask("/debug/pprof/nothing")[2] == b"Unknown profile\n", "404")
    check(ask("/debug/pprof/../../etc/passwd")[0] == 404 and ask("/debug/pprof/%2e%2e/x")[0] == 404, "no path leads out")
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"]:
        status, headers, _ = ask("/debug/pprof/", method)
        check(status == 405 and headers["Allow"] == "GET, HEAD", method + ": 405")
    for path in ["/debug/pprof/", "/metrics", "/debug/pprof/cmdline", "/debug/pprof/trace?seconds=30", "/debug/pprof/profile"]:
        status, headers, body = ask(path, "HEAD")
        check(status == 200 and body == b"", "HEAD " + path)
    for host in ["evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "10.0.0.1", "[::2]:80"]:
        check(ask("/debug/pprof/", headers={"Host": host})[0] == 403, "Host: " + host)
    for host in ["localhost", "localhost:1234", "127.0.0.1", "127.9.9.9:80", "[::1]:80"]:
        check(ask("/debug/pprof/cmdline", headers={"Host": host})[0] == 200, "Host: " + host)
    check(statuses(raw(b"GET / HTTP/1.1\r\n\r\n")) == [400], "no Host")
    check(statuses(raw(b"\x16\x03\x01\0\1\n\r\n\r\n" * 10)) == [400], "garbage")
    check(statuses(raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20000)) == [431], "a long header")
    check(statuses(raw(b"GET /" + b"a" * 1000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")) == [414], "a long path")
    check(statuses(raw(b"GET / HTTP/3.0\r\nHost: localhost\r\n\r\n")) == [505], "HTTP/3.0")
    check(statuses(raw(b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
          == [411], "a body in chunks")
    check(statuses(raw(b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n"))
          == [413], "a long body")
    check(raw(b"", end=True) == b"" and raw(b"GET / HT", end=True) == b"", "a client that says nothing")
    os.urandom(1)
    for _ in range(20):
        raw(os.urandom(500) + b"\r\n\r\n", end=True)


def connections():
    """Several requests on one connection, one after the other and all at once; HTTP/1.0."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(20):
        connection.request("GET", "/debug/pprof/cmdline")
        check(connection.getresponse().read().endswith(b"1000"), "keep-alive")
        connection.request("GET", "/debug/pprof/nothing")
        check(connection.getresponse().read() == b"Unknown profile\n", "keep-alive after an error")
    connection.close()
    one = b"GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n\r\n"
    post = b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n0x1"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    got = raw(one * 60 + post + one * 60 + last + one)
    check(statuses(got) == [200] * 122, "pipelined: %d answers" % len(statuses(got)))
    got = raw(b"GET /debug/pprof/cmdline HTTP/1.0\r\n\r\n")
    check(statuses(got) == [200] and got.endswith(b"1000") and b"Connection: close" in got, "HTTP/1.0")
    got = raw(b"GET /debug/pprof/cmdline HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
              b"GET /debug/pprof/trace?seconds=0.01 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    check(statuses(got) == [200, 200] and b"chunked" not in got, "HTTP/1.0 stays, and ends without a length")


def check_trace(data, what):
    path = os.path.join(folder, "t.gtrace")
    with open(path, "wb") as f:
        f.write(data)
    result = run(gtrace, "check", path)
    check(result.returncode == 0, "%s: %s%s" % (what, result.stdout, result.stderr))
    return path


def packets(data):
    """Of a Perfetto trace: each is field 1 and as long as it says."""
    at = count = 0
    while at < len(data):
        size = shift = 0
        check(data[at] == 0x0a, "perfetto: a packet at %d" % at)
        while True:
            at += 1
            size |= (data[at] & 127) << shift
            shift += 7
            if data[at] < 128:
                break
        at += 1 + size
        count += 1
    check(at == len(data), "perfetto: the last packet is cut")
    return count


def converted():
    for _ in range(50):  # a machine may stand still for so long
        status, headers, body = ask("/debug/pprof/trace?seconds=0.3&format=perfetto")
        if len(body) > 20000:
            break
    check(status == 200 and headers["Content-Type"] == "application/octet-stream", "format=perfetto: %d %r" % (status, body[:200]))
    check(headers["Content-Disposition"] == 'attachment; filename="trace.pftrace"', "format=perfetto: name")
    check(packets(body) > 100 and b"chan receive" in body and b"wake G" in body, "format=perfetto: what is in it")
    for name in ["chrome", "json"]:
        for _ in range(50):
            status, headers, body = ask("/debug/pprof/trace?seconds=0.05&format=" + name)
            if len(body) > 10000:
                break
        check(status == 200 and headers["Content-Type"] == "application/json", "format=%s: %d" % (name, status))
        check(len(json.loads(body)["traceEvents"]) > 10, "format=%s: what is in it" % name)
    check(ask("/debug/pprof/trace?seconds=0.1&format=perfetto", method="HEAD")[0] == 200, "format=perfetto: HEAD")
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET /debug/pprof/trace?seconds=1000&format=perfetto HTTP/1.1\r\nHost: localhost\r\n\r\n")
    until = time.monotonic() + 60
    while ask("/debug/pprof/trace?seconds=0.001&format=perfetto")[0] != 200:
        check(time.monotonic() < until, "a converted trace nobody waits for goes on")
        if failures:
            return
    nowhere = subprocess.Popen([server, "1000"], stdout=subprocess.PIPE, text=True, env=dict(os.environ, TMPDIR="/nonexistent"))
    to = int(nowhere.stdout.readline().split()[0])
    status, headers, body = ask("/debug/pprof/trace?seconds=0.001&format=perfetto", to=to)
    check(status == 500 and b"no temporary file" in body, "format=perfetto without a place: %d %r" % (status, body))
    check(ask("/debug/pprof/trace?seconds=0.001", to=to)[0] == 200, "then without a format")
    nowhere.kill()
    nowhere.wait()


def trace():
    for text in ["0.5", "0.01"]:
        status, headers, body = ask("/debug/pprof/trace?seconds=" + text)
        check(status == 200 and headers["Content-Type"] == "application/octet-stream", "trace: %d" % status)
        check(headers["Content-Disposition"] == 'attachment; filename="trace"', "trace: name")
        path = check_trace(body, "trace?seconds=" + text)
    result = run(gtrace, "convert", "--to", "text", "-o", "-", path)
    converted()
    check(ask("/debug/pprof/trace?format=nonsense")[0] == 400, "trace: format=nonsense")
    check(ask("/debug/pprof/trace?seconds=1e9")[0] == 400, "trace: too long")
    for _ in range(50):  # on a busy machine the first may be over before the second is asked for
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            first = pool.submit(ask, "/debug/pprof/trace?seconds=1")
            while True:  # until the first is under way, a second one is taken
                status, headers, body = ask("/debug/pprof/trace?seconds=0.001")
                if status != 200 or first.done():
                    break
            if {status, first.result()[0]} == {200, 500}:
                break
    check({status, first.result()[0]} == {200, 500}, "two traces at once: %d %d" % (status, first.result()[0]))
    if status == 500:
        check(body.startswith(b"Could not enable tracing: ") and headers["X-Go-Pprof"] == "1", "a second trace: %r" % body)
        check_trace(first.result()[2], "the first of two")
    # A client that goes in the midst ends its trace: the next is not refused for long.
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET /debug/pprof/trace?seconds=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        s.recv(1)
    until = time.monotonic() + 60
    while ask("/debug/pprof/trace?seconds=0.001")[0] != 200:
        check(time.monotonic() < until, "a trace nobody waits for goes on")
        if failures:
            return


def profile_pages():
    for name in profiles:
        status, headers, body = ask("/debug/pprof/" + name)
        check(status == 200 and headers["Content-Disposition"] == 'attachment; filename="%s"' % name, name)
        check(gzip.decompress(body) != b"", name + " is gzipped")
        status, headers, body = ask("/debug/pprof/%s?debug=1" % name)
        check(status == 200 and headers["Content-Type"] == "text/plain; charset=utf-8" and body, name + "?debug=1")
        check(ask("/debug/pprof/%s?seconds=0" % name)[0] == 400, name + "?seconds=0")
        check(ask("/debug/pprof/%s?seconds=x" % name)[2] ==
              b'invalid value for "seconds" - must be a positive integer\n', name + "?seconds=x")
        check(ask("/debug/pprof/%s?seconds=1&debug=1" % name)[2] ==
              b"seconds and debug params are incompatible\n", name + "?seconds=1&debug=1")
    status, headers, body = ask("/debug/pprof/goroutine?seconds=1")
    check(status == 200 and headers["Content-Disposition"] == 'attachment; filename="goroutine-delta"', "a delta")
    body = ask("/debug/pprof/goroutine?debug=2")[2]
    for word in [b"goroutine 1 [", b"producer", b"chan receive"]:
        check(word in body, "goroutine?debug=2 has %r" % word)
    check(ask("/debug/pprof/heap?gc=1")[0] == 200, "heap?gc=1")
    for _ in range(20):  # on a busy machine the second may come when the first is over
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            answers = [f.result() for f in [pool.submit(ask, "/debug/pprof/profile?seconds=1") for _ in range(2)]]
        answers.sort(key=lambda a: a[0])
        if answers[1][0] != 200:
            break
    check([a[0] for a in answers] == [200, 500], "two CPU profiles at once: %s" % [a[0] for a in answers])
    check(answers[1][2].startswith(b"Could not enable CPU profiling: cpu profiling already in use"), "%r" % answers[1][2])
    check(gzip.decompress(answers[0][2]) != b"", "profile is gzipped")
    if not shutil.which("go"):
        print("go tool pprof is not tried: no go")
        return
    for path in ["profile?seconds=1", "goroutine"]:
        result = run("go", "tool", "pprof", "-top", "http://localhost:%d/debug/pprof/%s" % (port, path))
        check(result.returncode == 0 and "flat%" in result.stdout, "go tool pprof %s: %s" % (path, result.stderr))


def crowd():
    paths = ["/debug/pprof/", "/metrics", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1", "/debug/pprof/trace?seconds=0.01"]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda i: ask(paths[i % len(paths)])[0], range(200)))
    check(set(answers) <= {200, 500}, "a crowd: %s" % set(answers))
    check(all(status == 200 for i, status in enumerate(answers) if i % len(paths) != 4), "a crowd: not all answered")


def first_part(s):
    try:
        return s.recv(100)
    except ConnectionError:
        return b""


def slow_clients():
    """The strict server: 4 connections, half a second for a request to come."""
    for _ in range(50):  # if we take half a second to begin, nothing comes back
        got = raw(b"GET / HTTP/1.1\r\n", to=strict_port)
        if got:
            break
    check(statuses(got) == [408], "half a request: %r" % got)
    with socket.create_connection(("127.0.0.1", strict_port), timeout=60) as s:
        try:
            for _ in range(1000):  # byte by byte: its time is over long before
                s.sendall(b"G")
                time.sleep(0.05)
            check(False, "slow loris")
        except OSError:
            pass
    check(raw(b"", to=strict_port) == b"", "a client that says nothing is left")
    for _ in range(50):  # a place is given back after half a second: on a busy machine before the last one comes
        held = [socket.create_connection(("127.0.0.1", strict_port), timeout=60) for _ in range(12)]
        turned = sum(b" 503 " in first_part(s) for s in held)
        for s in held:
            s.close()
        if turned >= 8:
            break
    check(turned >= 8, "too many connections: %d turned away" % turned)
    until = time.monotonic() + 60
    while patient(strict_port) != 200:
        check(time.monotonic() < until, "the places are given back")
        if failures:
            return
    # Asks and does not read: the server does not wait for it for ever, and others are served.
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", strict_port))
        s.settimeout(60)
        try:
            for _ in range(300):
                s.sendall(b"GET /debug/pprof/ HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        except OSError:
            pass
        until = time.monotonic() + 60
        while patient(strict_port) != 200 and time.monotonic() < until:
            pass
        check(time.monotonic() < until, "beside a client that does not read")


profiles = ["allocs", "block", "goroutine", "heap", "mutex", "threadcreate"]
try:
    for step in [index, small_pages, refusals, connections, trace, profile_pages, crowd, slow_clients]:
        step()
    check(program.poll() is None, "the program lives")
finally:
    program.kill()
    program.wait()
    shutil.rmtree(folder)
sys.exit(1 if failures else 0)
